// artifact.h - a trained model as it is stored and served: the plug-in's state, what its
// backtest measured, and how to turn both into a forecast with an interval.
//
// An artifact does not change once made; any number of threads may forecast with it.
#pragma once
#include "backtest.h"

enum {
    ARTIFACT_BYTES_MAX = 32 << 20,
    ARTIFACT_STEPS_MAX = 1000, // of one forecast
    ARTIFACT_FOLDS = 3,
};

struct artifact;

// Where a training stands, for people who wait.
struct artifact_progress {
    struct model_progress model; // of the part under way
    size_t fold, folds;          // fold 0: the model itself; from 1: its backtest
    double share;                // of all the work, 0 to 1
};

struct artifact_watch {
    void (*report)(void *ctx, const struct artifact_progress *progress);
    bool (*stop)(void *ctx); // true: give up; asked at least every 100 ms
    void *ctx;
};

// Train `plugin` on all of job->series, then backtest it. job->watch is not used: `watch`
// is. The series must have passed series_check.
//   OM_EINVAL      too few values
//   OM_ECANCELLED  the watch said stop
OM_MUST_CHECK enum om_rc artifact_train(const struct model_plugin *plugin,
                                        const struct model_job *job,
                                        const struct artifact_watch *watch,
                                        struct artifact **out);
void artifact_destroy(struct artifact **self_p);

const struct model_plugin *artifact_plugin(const struct artifact *self);
size_t artifact_period(const struct artifact *self);

// Append what was measured as a msgpack map: loss, folds and BACKTEST_METRICS, without
// those that are not defined.
void artifact_metrics(const struct artifact *self, struct om_buf *out);

struct forecast {
    double values[ARTIFACT_STEPS_MAX], lower[ARTIFACT_STEPS_MAX],
        upper[ARTIFACT_STEPS_MAX];
};

// Forecast `steps` (1 to ARTIFACT_STEPS_MAX) values after `series`, whose period is taken
// from the artifact. The interval is as wide as the share `confidence` of the backtest's
// errors, and wider beyond the backtest's horizon. Results as model_plugin.predict.
OM_MUST_CHECK enum om_rc artifact_forecast(const struct artifact *self,
                                           const struct series *series, size_t steps,
                                           double confidence, struct forecast *out,
                                           char *why);

// Fit `plugin` to the series of `job` within job->work_max and forecast job->horizon
// steps. Seasonal naive takes its place, and *used says so, if the series is too short
// for it, if it does not beat seasonal naive on the backtest, or if job->watch.stop ended
// the fit.
//   OM_EINVAL  too short even for seasonal naive; `why` says so
OM_MUST_CHECK enum om_rc artifact_fit_forecast(const struct model_plugin *plugin,
                                               const struct model_job *job,
                                               double confidence, struct forecast *out,
                                               const struct model_plugin **used,
                                               char *why);

// Append the artifact as bytes; the caller checks out->failed.
void artifact_save(const struct artifact *self, struct om_buf *out);

// Read bytes of any origin. OM_EPROTO if artifact_save cannot have written them.
OM_MUST_CHECK enum om_rc artifact_load(struct om_str bytes, struct artifact **out);
