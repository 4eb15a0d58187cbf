#include <time.h>

#include "period.h"

int64_t
period_hour(int64_t at_ms)
{
    return at_ms - at_ms % PERIOD_HOUR_MS;
}

int64_t
period_day(int64_t at_ms)
{
    return at_ms - at_ms % PERIOD_DAY_MS;
}

static int64_t
month_start(int64_t at_ms, int months)
{
    time_t seconds = (time_t)(at_ms / 1000);
    struct tm date;
    gmtime_r(&seconds, &date);
    date.tm_mon += months; // timegm() carries it into the year
    date.tm_mday = 1;
    date.tm_hour = date.tm_min = date.tm_sec = 0;
    return (int64_t)timegm(&date) * 1000;
}

int64_t
period_month(int64_t at_ms)
{
    return month_start(at_ms, 0);
}

int64_t
period_next_month(int64_t at_ms)
{
    return month_start(at_ms, 1);
}

struct period
period_split(int64_t from_ms, int64_t to_ms)
{
    struct period period = { from_ms, period_hour(from_ms + PERIOD_HOUR_MS - 1),
                             period_hour(to_ms), to_ms };
    if (period.first_ms > period.last_ms) // it lies within one hour
        period.first_ms = period.last_ms = to_ms;
    return period;
}
