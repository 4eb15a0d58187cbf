// period.h - ranges of time in usage queries. Pure.
#pragma once
#include "base.h"

enum { PERIOD_HOUR_MS = 60 * 60 * 1000 };

// A range cut at full hours: whole hours are read from sums, the rest from single events.
struct period {
    int64_t from_ms;  // the range is [from_ms, to_ms)
    int64_t first_ms; // events in [from_ms, first_ms),
    int64_t last_ms;  // hours in [first_ms, last_ms),
    int64_t to_ms;    // events in [last_ms, to_ms)
};

// from_ms <= to_ms, neither negative.
struct period period_split(int64_t from_ms, int64_t to_ms);

// When the hour and when the calendar month (UTC) of a time began.
int64_t period_hour(int64_t at_ms);
int64_t period_month(int64_t at_ms);
