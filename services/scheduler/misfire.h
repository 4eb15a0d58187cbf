// misfire.h - which of a schedule's times fire now, and which were missed for good. Pure.
//
// Times that passed while the scheduler was down, or could not write, were missed. A time
// missed for longer than a year never fires.
#pragma once
#include "cron.h"

// clang-format off
//  symbol   name       what fires of the times that were missed
#define MISFIRE_LIST(X)                                                                   \
    X(LATEST, "latest", "only the latest")                                                \
    X(SKIP,   "skip",   "none that is later than a minute")                               \
    X(ALL,    "all",    "each, at most the latest 100")
// clang-format on

enum misfire {
#define MISFIRE_ENUM(symbol, name, doc) MISFIRE_##symbol,
    MISFIRE_LIST(MISFIRE_ENUM)
#undef MISFIRE_ENUM
        MISFIRE_COUNT
};

enum {
    MISFIRE_ALL_MAX = 100,
    MISFIRE_GRACE_MS = 60 * 1000,
};

const char *misfire_name(enum misfire policy);

// OM_EINVAL if there is no such policy.
OM_MUST_CHECK enum om_rc misfire_find(struct om_str name, enum misfire *out);

struct misfire_plan {
    int64_t fire_ms[MISFIRE_ALL_MAX]; // nominal times, rising
    size_t count;
    int64_t next_ms; // the first time after now
};

// `next_ms` is the first time that was not dealt with.
void misfire_decide(const struct cron *cron, enum misfire policy, int64_t next_ms,
                    int64_t now_ms, struct misfire_plan *out);
