// limiter.h - how much of something was used in the last minute: a sliding window, exact
// and of fixed size. Pure, and of one thread at a time.
//
// What was taken is kept in a ring of entries, each with the span of time in which its
// amount was taken. An entry counts until the *last* of what is in it has left the
// window, so that more is counted than was taken, never less: whatever the times are, no
// window of 60 s, wherever it begins, holds more than the limit.
//
// A limit below LIMITER_ENTRIES is exact to the millisecond. For greater ones what is
// taken within LIMITER_JOIN_MS (1/63 of the window) shares an entry, and leaves the
// window together: that is by how much too late at most something is given back.
#pragma once
#include "base.h"

enum {
    LIMITER_WINDOW_MS = 60000,
    LIMITER_ENTRIES = 64,
    LIMITER_JOIN_MS = (LIMITER_WINDOW_MS + LIMITER_ENTRIES - 2) / (LIMITER_ENTRIES - 1),
};

struct limiter_entry {
    uint32_t from_ms, last_ms; // the low bits of the clock
    int64_t amount;
};

// Zero is a limiter of which nothing was taken.
struct limiter {
    int64_t newest_ms; // of the last take; the clock does not go back behind it
    int64_t used;      // sum of the entries
    uint32_t oldest, count;
    struct limiter_entry ring[LIMITER_ENTRIES];
};

// Forget what has left the window. Returns the time that now holds: `now_ms`, or that of
// the newest take if this is later. Then `used` is what counts.
int64_t limiter_advance(struct limiter *self, int64_t now_ms);

// Until `amount` more may be used, if nothing else is: 0 if it may be now. Of an amount
// above the limit it is the whole window, and will be so then. After limiter_advance().
int64_t limiter_wait_ms(const struct limiter *self, int64_t now_ms, int64_t limit,
                        int64_t amount);

// Until the oldest of what is used is given back; 0: nothing is used.
int64_t limiter_reset_ms(const struct limiter *self, int64_t now_ms);

// Use `amount`, whether it fits or not. After limiter_advance(), which gave `now_ms`.
void limiter_take(struct limiter *self, int64_t now_ms, int64_t limit, int64_t amount);

// Give back what was taken at `at_ms` and not used after all. What has left the window
// by then is gone.
void limiter_give(struct limiter *self, int64_t at_ms, int64_t amount);
