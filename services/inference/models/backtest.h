// backtest.h - how well a model would have forecast the end of a series it is given, and
// how seasonal naive would have: rolling-origin evaluation (Tashman 2000).
//
// Each fold trains on the values before an origin and forecasts the `horizon` after it;
// the last fold ends where the series ends. Errors are pooled over the folds. The model
// chosen by it and the width of intervals rest on nothing else.
#pragma once
#include "model.h"

enum { BACKTEST_RESIDUALS_MAX = 1024 };

//  name         what it is
#define BACKTEST_METRICS(X)                                                              \
    X(mae, "mean absolute error")                                                        \
    X(rmse, "root of the mean squared error")                                            \
    X(smape, "symmetric mean absolute percentage error, 0 to 200")                       \
    X(mase, "MAE in units of seasonal naive's error before each origin")                 \
    X(seasonal_naive_mae, "MAE of seasonal naive on the same folds")                     \
    X(seasonal_naive_mase, "MASE of seasonal naive on the same folds")

// A metric that is not defined for the series is NaN.
struct backtest {
    size_t folds, horizon; // folds is 0 if the series is too short for one
#define BACKTEST_MEMBER(name, doc) double name;
    BACKTEST_METRICS(BACKTEST_MEMBER)
#undef BACKTEST_MEMBER
    // Absolute errors over series_scale before the fold's origin, ascending.
    double residuals[BACKTEST_RESIDUALS_MAX];
    size_t residual_count;
};

// Told before each fold (from 0) begins; may be NULL.
typedef void backtest_fold_fn(void *ctx, size_t fold, size_t folds);

// Evaluate `plugin` on job->series, with at most `folds_max` folds of at most
// job->horizon steps. job->work_max is for the whole of it, job->watch sees each fold's
// training.
//   OM_ECANCELLED  the watch said stop
OM_MUST_CHECK enum om_rc backtest_run(const struct model_plugin *plugin,
                                      const struct model_job *job, size_t folds_max,
                                      backtest_fold_fn *on_fold, struct backtest *out);

// Is the model's error smaller than seasonal naive's? False without a fold.
bool backtest_passed(const struct backtest *self);
