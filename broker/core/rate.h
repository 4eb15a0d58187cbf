// rate.h - a sliding log of starts: never more than n in any window.
//
// Exact: the times themselves are kept, those of the same millisecond as one entry, so
// there are at most n entries. A window is closed at both ends: of any n + 1 starts the
// last is more than `window_ms` behind the first. Times are of the mono clock; a time
// before the last one is taken for the last. One thread.
#pragma once
#include "base.h"

struct rate_mark {
    int64_t at_ms, count;
};

struct rate {
    int64_t limit, window_ms; // limit 0: none, and no times are kept
    int64_t reserved;         // places of starts that are decided and have not happened
    int64_t started;          // those of the marks
    struct rate_mark *marks;  // a ring, oldest first
    size_t first, count, capacity;
};

void rate_finish(struct rate *self);

// From now on at most `limit` in any `window_ms`. The starts under the limit before still
// count, as far back as that went.
void rate_set(struct rate *self, int64_t limit, int64_t window_ms);

// May one more start be decided on now?
bool rate_allows(struct rate *self, int64_t now_ms);

// When one more may be, if no place is given back before: `now_ms` if it may be now;
// INT64_MAX if that depends on starts that have not happened.
int64_t rate_next_ms(struct rate *self, int64_t now_ms);

// Keep a place for a start; then it happens, or its place is free again.
void rate_reserve(struct rate *self);
void rate_start(struct rate *self, int64_t now_ms);
void rate_give_back(struct rate *self);

// The starts, oldest first, some of which may have left the window.
static inline const struct rate_mark *
rate_mark(const struct rate *self, size_t index)
{
    return &self->marks[(self->first + index) % self->capacity];
}

// `count` starts that were not reserved, as found in the store.
void rate_add(struct rate *self, int64_t at_ms, int64_t count);

// All starts were `by_ms` later than was said, but none after `latest_ms`.
void rate_shift(struct rate *self, int64_t by_ms, int64_t latest_ms);
