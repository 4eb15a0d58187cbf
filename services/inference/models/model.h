// model.h - what a model is: a plug-in with a name, a schema of parameters, and functions
// to train, predict, save and load.
//
// A new model is one file with one `struct model_plugin` and one row of MODEL_LIST. A
// plug-in has no global state: any number of threads may train and predict at once, and
// a trained state is read by several threads at once. The same series, parameters and
// seed give the same state on one machine.
#pragma once
#include "pack.h"
#include "series.h"

enum { MODEL_PARAMS_MAX = 8 };

struct model_param {
    const char *name;
    bool integer;
    double min, max, standard; // `standard` is used if it is not given
    const char *doc;
};

struct model_progress {
    int64_t epoch, epochs; // epoch of epochs is done
    double loss;           // of that epoch
};

// How a training talks to whoever started it. Both functions may be NULL.
struct model_watch {
    void (*report)(void *ctx, const struct model_progress *progress); // after each epoch
    bool (*stop)(void *ctx); // true: give up; asked at least every 100 ms
    void *ctx;
};

struct model_job {
    struct series series;
    size_t horizon;                  // steps that will be asked for, at least 1
    double params[MODEL_PARAMS_MAX]; // in the order of the plug-in's table
    double work_max;                 // floating-point operations to spend; 0 = no limit
    struct model_watch watch;
};

struct model_plugin {
    const char *name, *doc;
    const struct model_param *params;
    size_t param_count;

    // The fewest values `train` can learn from.
    size_t (*least_values)(size_t period);

    // Learn from a series that series_check passed. `loss` is that of the last epoch.
    //   OM_EINVAL      too few values
    //   OM_ECANCELLED  watch.stop said so
    enum om_rc (*train)(const struct model_job *job, void **state, double *loss);

    // Forecast `steps` values after the end of `series`, in its own units.
    //   OM_EINVAL    the series does not fit this state; `why` (SERIES_WHY_MAX bytes)
    //   says
    //                what to change
    //   OM_EINTERNAL the forecast is not finite
    enum om_rc (*predict)(const void *state, const struct series *series, size_t steps,
                          double *forecast, char *why);

    // `save` appends the state as bytes; `load` reads bytes of any origin and refuses
    // with OM_EPROTO what `save` cannot have written.
    void (*save)(const void *state, struct om_buf *out);
    enum om_rc (*load)(struct om_str bytes, void **state);
    void (*destroy)(void *state);
};

#define MODEL_LIST(X)                                                                    \
    X(seasonal_naive_plugin)                                                             \
    X(revenue_lstm_plugin)

#define MODEL_EXTERN(plugin) extern const struct model_plugin plugin;
MODEL_LIST(MODEL_EXTERN)
#undef MODEL_EXTERN

extern const struct model_plugin *const model_plugins[];
extern const size_t model_plugin_count;

// The plug-in of that name, or NULL.
const struct model_plugin *model_find(struct om_str name);

// Fill `out` (MODEL_PARAMS_MAX values) from a msgpack map of parameters; an absent map
// (data == NULL) gives the standard values. OM_EINVAL if one is unknown, no number or out
// of range: `why` (SERIES_WHY_MAX bytes) names it and what is allowed.
OM_MUST_CHECK enum om_rc model_params_read(const struct model_plugin *plugin,
                                           struct om_str map, double *out, char *why);
