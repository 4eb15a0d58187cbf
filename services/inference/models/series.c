#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "series.h"

enum {
    LAG_MAX = 1000,
    TAIL_MAX =
        8192, // values looked at for a season: bounds the time, and is the recent past
    SEASONS_MIN = 3, // a season seen less often is not told from chance
};

static const double value_max = 1e15;

enum om_rc
series_check(const double *values, size_t count, size_t least, char *why)
{
    if (count < least) {
        snprintf(why, SERIES_WHY_MAX, "has %zu values but at least %zu are needed", count,
                 least);
        return OM_EINVAL;
    }
    if (count > SERIES_MAX) {
        snprintf(why, SERIES_WHY_MAX, "has %zu values but at most %d are taken", count,
                 SERIES_MAX);
        return OM_EINVAL;
    }
    for (size_t i = 0; i < count; i++) {
        if (isfinite(values[i]) && fabs(values[i]) <= value_max)
            continue;
        snprintf(why, SERIES_WHY_MAX,
                 "has %s as value %zu; remove it or fill it in with a finite number up "
                 "to 1e15",
                 isnan(values[i]) ? "NaN" : "infinity or too large a number", i + 1);
        return OM_EINVAL;
    }
    return OM_OK;
}

bool
series_is_constant(const double *values, size_t count)
{
    for (size_t i = 1; i < count; i++)
        if (values[i] < values[0] || values[i] > values[0])
            return false;
    return true;
}

// Autocorrelation at `lag` of `count` values around `mean`, whose squares sum to `power`.
static double
autocorrelation(const double *values, size_t count, double mean, double power, size_t lag)
{
    double sum = 0;
    for (size_t i = lag; i < count; i++)
        sum += (values[i] - mean) * (values[i - lag] - mean);
    return sum / power;
}

// The first peak nearly as high as the highest: multiples of the season peak as well. The
// sum over count - lag products shrinks with the lag, which favours the first one too.
static size_t
first_peak(const double *correlation, size_t lags, double threshold)
{
    double highest = 0;
    for (size_t lag = 2; lag <= lags; lag++)
        if (correlation[lag] > correlation[lag - 1] &&
            correlation[lag] >= correlation[lag + 1])
            highest = fmax(highest, correlation[lag]);
    if (highest < threshold)
        return 1;
    for (size_t lag = 2; lag <= lags; lag++)
        if (correlation[lag] > correlation[lag - 1] &&
            correlation[lag] >= correlation[lag + 1] && correlation[lag] >= 0.9 * highest)
            return lag;
    return 1;
}

size_t
series_find_period(const double *values, size_t count)
{
    if (count > TAIL_MAX) {
        values += count - TAIL_MAX;
        count = TAIL_MAX;
    }
    size_t lags = count / SEASONS_MIN < LAG_MAX ? count / SEASONS_MIN : LAG_MAX;
    if (lags < 2)
        return 1;
    // Changes from value to value have no trend, which would hide the season.
    size_t changes = count - 1;
    double *change = malloc((changes + lags + 2) * sizeof(double));
    if (!change)
        return 1;
    double *correlation = change + changes;
    double mean = 0, power = 0;
    for (size_t i = 0; i < changes; i++)
        mean += (change[i] = values[i + 1] - values[i]) / (double)changes;
    for (size_t i = 0; i < changes; i++)
        power += (change[i] - mean) * (change[i] - mean);
    size_t period = 1;
    if (power > 0) {
        correlation[0] = 1;
        for (size_t lag = 1; lag <= lags + 1; lag++)
            correlation[lag] = autocorrelation(change, changes, mean, power, lag);
        period = first_peak(correlation, lags, fmax(0.2, 3 / sqrt((double)changes)));
    }
    free(change);
    return period;
}

double
series_scale(const struct series *series)
{
    if (series->count <= series->period)
        return 0;
    double sum = 0;
    for (size_t i = series->period; i < series->count; i++)
        sum += fabs(series->values[i] - series->values[i - series->period]);
    return sum / (double)(series->count - series->period);
}
