// accuracy.h - how far a forecast is from what really happened. Pure.
#pragma once
#include "base.h"

// Mean absolute scaled error (Hyndman & Koehler 2006): the mean absolute error over that
// of the seasonal naive forecast within `history`. Below 1 is better than it was there.
// NAN if `history` is not longer than a season, or does not change.
double accuracy_mase(const double *history, size_t history_size, size_t period,
                     const double *actual, const double *forecast, size_t steps);

// Symmetric mean absolute percentage error, 0 to 200 (as in the M4 competition).
double accuracy_smape(const double *actual, const double *forecast, size_t steps);
