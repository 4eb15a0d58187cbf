// artifact_inside.h - the members of an artifact, for the files that make, store and load
// one; everyone else uses artifact.h.
#pragma once
#include "artifact.h"

struct artifact {
    const struct model_plugin *plugin;
    void *state;
    size_t period;
    size_t horizon;                           // of the backtest, at least 1
    double scale;                             // series_scale of the training series
    struct om_buf metrics;                    // a msgpack map
    double residuals[BACKTEST_RESIDUALS_MAX]; // as in struct backtest
    size_t residual_count;
};
