// timers.h - deadlines of one thread, earliest first.
//
// A timer is a member of its owner's struct and is zero before its first use. A set timer
// is in the heap and must be cleared before its memory goes. Setting a timer again moves
// it.
#pragma once
#include "base.h"

struct om_timer {
    int64_t at_ms;
    size_t place; // in the heap, from 1; 0 = not set
    void (*fire)(void *context);
    void *context;
};

struct om_timers {
    struct om_timer **heap;
    size_t count, capacity;
};

// Free the heap. Timers still in it are forgotten.
void om_timers_finish(struct om_timers *timers);

// Fire at `at_ms` of the caller's clock. False when there is no memory for one more
// timer; moving a timer that is set never fails.
OM_MUST_CHECK bool om_timers_set(struct om_timers *timers, struct om_timer *timer,
                                 int64_t at_ms);

// Take the timer out, if it is set.
void om_timers_clear(struct om_timers *timers, struct om_timer *timer);

// When the earliest timer fires, or INT64_MAX if none is set.
int64_t om_timers_next_ms(const struct om_timers *timers);

// Take out and fire every timer due at `now_ms`. A timer set by a fired one to a time
// that has come waits for the next call.
void om_timers_run(struct om_timers *timers, int64_t now_ms);
