// period.h - ranges of time in usage queries, and the windows of quotas. Pure.
#pragma once
#include "base.h"

enum { PERIOD_HOUR_MS = 60 * 60 * 1000, PERIOD_DAY_MS = 24 * PERIOD_HOUR_MS };

// A range cut at full hours: whole hours are read from sums, the rest from single events.
struct period {
    int64_t from_ms;  // the range is [from_ms, to_ms)
    int64_t first_ms; // events in [from_ms, first_ms),
    int64_t last_ms;  // hours in [first_ms, last_ms),
    int64_t to_ms;    // events in [last_ms, to_ms)
};

// from_ms <= to_ms, neither negative.
struct period period_split(int64_t from_ms, int64_t to_ms);

// When the hour, the day and the calendar month (UTC) of a time began, and the next
// month.
int64_t period_hour(int64_t at_ms);
int64_t period_day(int64_t at_ms);
int64_t period_month(int64_t at_ms);
int64_t period_next_month(int64_t at_ms);
