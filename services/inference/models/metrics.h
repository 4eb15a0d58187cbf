// metrics.h - how far a forecast was from what happened. Pure functions.
#pragma once
#include "base.h"

double metrics_mae(const double *actual, const double *forecast, size_t count);
double metrics_rmse(const double *actual, const double *forecast, size_t count);

// Symmetric mean absolute percentage error as M4 defines it, 0 to 200. A pair of zeros
// counts as no error.
double metrics_smape(const double *actual, const double *forecast, size_t count);

// MAE in units of `scale`, seasonal naive's error inside the training series (see
// series_scale). NaN if the scale is 0: then it is not defined.
double metrics_mase(const double *actual, const double *forecast, size_t count,
                    double scale);

// The value below which the share `level` (0 to 1) of `sorted` lies, interpolated between
// neighbours (Hyndman and Fan 1996, type 7). 0 if count is 0.
double metrics_quantile(const double *sorted, size_t count, double level);
