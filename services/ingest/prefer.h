// prefer.h - what a client prefers, of what we know: the field Prefer of RFC 7240.
//
// A preference is a wish: what is unknown or malformed is as if it were not there, and of
// one that is said twice the first counts.
#pragma once
#include "base.h"

enum { PREFER_WAIT_MAX_S = 60, PREFER_TEXT_MAX = 32 };

struct prefer {
    bool respond_async; // answer 202 rather than late
    bool has_wait;
    int64_t wait_s; // how long it would wait, at most PREFER_WAIT_MAX_S
};

// Add what one field says; of several, in their order.
void prefer_add(struct prefer *self, struct om_str value);

// The value of Preference-Applied, of an answer that is `late`: 202, and not the result.
// Empty if nothing was applied.
void prefer_applied(const struct prefer *self, bool late, char out[PREFER_TEXT_MAX]);
