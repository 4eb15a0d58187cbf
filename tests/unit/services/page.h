// page.h - what this process's page of metrics says.
#pragma once
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "metrics.h"

// The value of the series, e.g. "name{label=\"x\"}"; -1 if it is not there.
static inline double
page_value(const char *series)
{
    struct om_buf page = { 0 };
    char line[256];
    double value = -1;
    om_metrics_write(&page, METRIC_TEXT, NULL, NULL);
    om_buf_put(&page, "", 1);
    snprintf(line, sizeof(line), "\n%s ", series);
    const char *at = page.data ? strstr(page.data, line) : NULL;
    if (at)
        value = strtod(at + strlen(line), NULL);
    om_buf_finish(&page);
    return value;
}
