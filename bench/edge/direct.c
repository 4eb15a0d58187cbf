// What a forecast costs as a call of a function: 24 values, 6 steps, seasonal naive. What
// the platform adds to it is measured against this.
#include <stdio.h>
#include <stdlib.h>

#include "artifact.h"
#include "clock.h"

enum { CALLS = 20000, BATCH = 10, STEPS = 6, PERIOD = 12 };

static int
compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static bool
forecast_once(const struct model_plugin *plugin, const struct series *series)
{
    static struct forecast forecast;
    char why[SERIES_WHY_MAX];
    struct model_job job = { .series = *series, .horizon = STEPS };
    struct artifact *artifact = NULL;
    bool made =
        model_params_read(plugin, (struct om_str){ 0 }, job.params, why) == OM_OK &&
        artifact_train(plugin, &job, NULL, &artifact) == OM_OK &&
        artifact_forecast(artifact, series, STEPS, 0.9, &forecast, why) == OM_OK;
    artifact_destroy(&artifact);
    return made;
}

int
main(void)
{
    static const double values[] = { 112, 118, 132, 129, 121, 135, 148, 148,
                                     136, 119, 104, 118, 115, 126, 141, 135,
                                     125, 149, 170, 170, 158, 133, 114, 140 };
    static double us[CALLS / BATCH];
    struct series series = { values, OM_COUNT(values), PERIOD };
    for (size_t i = 0; i < OM_COUNT(us); i++) {
        int64_t began_us = om_clock_mono_us();
        for (int call = 0; call < BATCH; call++)
            if (!forecast_once(&seasonal_naive_plugin, &series)) {
                fprintf(stderr, "bench-direct: the forecast failed\n");
                return EXIT_FAILURE;
            }
        us[i] = (double)(om_clock_mono_us() - began_us) / BATCH;
    }
    qsort(us, OM_COUNT(us), sizeof(us[0]), compare);
    printf("{\"calls\":%d,\"p50_us\":%.2f,\"p99_us\":%.2f}\n", (int)CALLS,
           us[OM_COUNT(us) / 2], us[OM_COUNT(us) * 99 / 100]);
    return EXIT_SUCCESS;
}
