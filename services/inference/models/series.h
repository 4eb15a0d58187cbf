// series.h - a series of observed values, oldest first, and what is asked of one before a
// model sees it.
#pragma once
#include "rc.h"

enum {
    SERIES_MAX = 1000000,      // values
    SERIES_PERIOD_MAX = 10000, // steps in a season
    SERIES_WHY_MAX = 256,      // bytes of a text that says what is wrong
};

// Borrowed values. `period` is the number of steps in a season, 1 if there is none.
struct series {
    const double *values;
    size_t count;
    size_t period;
};

// OM_EINVAL if there are fewer than `least` values or more than SERIES_MAX, if one is NaN
// or infinite, or larger than 1e15 (sums of squares must stay finite). `why` then holds
// SERIES_WHY_MAX bytes of text that names the value and the fix.
OM_MUST_CHECK enum om_rc series_check(const double *values, size_t count, size_t least,
                                      char *why);

// Are all values the same? Then there is nothing to learn.
bool series_is_constant(const double *values, size_t count);

// The number of steps in a season: the first high peak of the autocorrelation of the
// series' changes, at most a third of its length and 1,000. 1 if there is none.
size_t series_find_period(const double *values, size_t count);

// Mean absolute change over one period: the error of seasonal naive inside the series,
// and the unit of MASE (Hyndman and Koehler 2006). 0 if the series is no longer than a
// period.
double series_scale(const struct series *series);
