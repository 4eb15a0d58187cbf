// Accuracy and cost of the forecasting models on M4's hourly series, whose published
// errors of other methods are the yardstick:
//
//   bench-forecast DIR [EVERY [MODEL]]
//
// DIR holds Hourly-train.csv and Hourly-test.csv of github.com/Mcompetitions/M4-methods;
// EVERY = 10 takes each tenth of the 414 series, MODEL only that one. The data is no part
// of this repository: without it the program says so and ends with status 77, which test
// tools take for skipped.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "artifact.h"
#include "metrics.h"

enum {
    VALUES_MAX = 2000,
    HORIZON = 48,
    PERIOD = 24,
    LINE_MAX_BYTES = 1 << 16,
    SKIPPED = 77
};

struct score {
    double smape, mase, held; // sums over the series; held: values inside the interval
    int count;
    clock_t time;
};

// The numbers of a line "id","1","2",…
static size_t
read_line(FILE *file, double *out, size_t max)
{
    static char line[LINE_MAX_BYTES];
    size_t count = 0;
    if (!fgets(line, sizeof(line), file))
        return 0;
    strtok(line, ",\r\n");
    for (char *cell; count < max && (cell = strtok(NULL, ",\r\n")); count++) {
        char *end;
        cell += *cell == '"';
        out[count] = strtod(cell, &end);
        if (end == cell)
            break;
    }
    return count;
}

static void
add_score(struct score *score, const struct series *series, const double *actual,
          const struct forecast *forecast)
{
    score->smape += metrics_smape(actual, forecast->values, HORIZON);
    score->mase += metrics_mase(actual, forecast->values, HORIZON, series_scale(series));
    for (int i = 0; i < HORIZON; i++)
        score->held += actual[i] >= forecast->lower[i] && actual[i] <= forecast->upper[i];
    score->count++;
}

static bool
run_model(const struct model_plugin *plugin, const struct series *series,
          const double *actual, struct score *score)
{
    static struct forecast forecast;
    char why[SERIES_WHY_MAX];
    struct model_job job = { .series = *series, .horizon = HORIZON };
    struct artifact *artifact = NULL;
    clock_t start = clock();
    if (model_params_read(plugin, (struct om_str){ 0 }, job.params, why) != OM_OK ||
        artifact_train(plugin, &job, NULL, &artifact) != OM_OK)
        return false;
    bool made =
        artifact_forecast(artifact, series, HORIZON, 0.9, &forecast, why) == OM_OK;
    score->time += clock() - start;
    artifact_destroy(&artifact);
    if (made)
        add_score(score, series, actual, &forecast);
    return made;
}

static FILE *
open_data(const char *dir, const char *name)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *file = fopen(path, "r");
    if (!file) {
        fprintf(stderr, "SKIPPED: %s: %s\n", path, strerror(errno));
        exit(SKIPPED);
    }
    return file;
}

static void
print_scores(const struct score *scores)
{
    printf("%-16s %8s %8s %10s %10s\n", "model", "sMAPE", "MASE", "in 90 %", "CPU s");
    for (size_t i = 0; i < model_plugin_count; i++) {
        const struct score *s = &scores[i];
        if (s->count == 0)
            continue;
        printf("%-16s %8.3f %8.3f %9.1f%% %10.1f\n", model_plugins[i]->name,
               s->smape / s->count, s->mase / s->count,
               100 * s->held / s->count / HORIZON, (double)s->time / CLOCKS_PER_SEC);
    }
    printf("published, all 414: seasonal naive 13.912 / 1.193, Theta 18.138 / 2.455, "
           "MLP 13.842 / 2.607, RNN 14.698 / 3.048, winner 9.328 / 0.893\n");
}

int
main(int argc, char **argv)
{
    static double values[VALUES_MAX], actual[HORIZON];
    struct score scores[8] = { 0 };
    if (argc < 2) {
        fprintf(stderr, "Usage: bench-forecast DIR [EVERY [MODEL]]\n");
        return 2;
    }
    int every = argc > 2 ? atoi(argv[2]) : 1;
    FILE *train = open_data(argv[1], "Hourly-train.csv");
    FILE *test = open_data(argv[1], "Hourly-test.csv");
    read_line(train, values, VALUES_MAX); // the headers
    read_line(test, actual, HORIZON);
    for (int line = 0;; line++) {
        struct series series = { values, read_line(train, values, VALUES_MAX), PERIOD };
        if (series.count == 0 || read_line(test, actual, HORIZON) != HORIZON)
            break;
        if (line % (every > 0 ? every : 1) != 0)
            continue;
        for (size_t i = 0; i < model_plugin_count; i++) {
            const char *name = model_plugins[i]->name;
            if ((argc <= 3 || strcmp(argv[3], name) == 0) &&
                !run_model(model_plugins[i], &series, actual, &scores[i]))
                fprintf(stderr, "series %d: %s failed\n", line + 1, name);
        }
    }
    fclose(train);
    fclose(test);
    print_scores(scores);
    return 0;
}
