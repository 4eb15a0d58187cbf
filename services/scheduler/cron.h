// cron.h - cron expressions: when is the next time? Pure; all times are UTC.
//
// Five fields: minute (0-59), hour (0-23), day of month (1-31), month (1-12 or jan-dec),
// weekday (0-7 or sun-sat; 0 and 7 are Sunday). A field is a list of parts joined by
// commas:
// `*`, a value, or a range `a-b`, each with an optional step `/n`; `a/n` runs from a to
// the end. Or one of @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually.
//
// As in Vixie's cron, when both day of month and weekday are restricted (neither begins
// with `*`), a day that matches either matches.
#pragma once
#include "rc.h"

enum { CRON_TEXT_MAX = 128 };

// A bit for every value that matches.
struct cron {
    uint64_t minutes;
    uint32_t hours, days, months, weekdays;
    bool either_day; // day of month or weekday, not both
};

// OM_EINVAL: not an expression, or one no time ever matches (30 February). The reason,
// with the name of the field, has been written to `why`.
OM_MUST_CHECK enum om_rc cron_parse(struct om_str text, struct cron *out, char *why,
                                    size_t why_size);

// The first time after `after_ms` that matches, ms since 1970. `after_ms` is not
// negative.
int64_t cron_next(const struct cron *self, int64_t after_ms);
