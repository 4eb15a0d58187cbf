// plans.h - the rate limits of the plans, as billing said them last. One thread.
//
// A plan nobody has told this edge of, because billing was not reached yet or the plan is
// newer than what was heard, has the limits of the settings OMNI_DEFAULT_REQUESTS and
// OMNI_DEFAULT_CONCURRENT, and no limit of tokens.
#pragma once
#include "caller.h"

enum { PLANS_MAX = 256 };

struct plan {
    char code[33];
    int64_t most[COUNTER_KINDS]; // in a minute, or at a time; NO_LIMIT
};

struct plans {
    int64_t version; // of billing's plans; 0: never heard
    size_t count;
    struct plan rows[PLANS_MAX], fallback;
};

// Replace the plans by an answer of billing, if it says other ones. False: it is
// malformed, and nothing changed.
bool plans_apply(struct plans *self, const struct plan_changes_reply *reply);

// The plan of that code, or the fallback.
const struct plan *plans_find(const struct plans *self, const char *code);
