// timer.h - deadlines in a heap.
//
// A timer is a member of what it wakes; while it is set, its owner may not be freed. One
// thread.
#pragma once
#include "base.h"

struct core;

struct timer {
    int64_t at_ms;
    size_t place; // in the heap, from 1; 0 while it is not set
    void (*fire)(struct core *core, struct timer *self);
};

struct timers {
    struct timer **heap;
    size_t count, capacity;
};

// The struct of which `member` is the timer.
#define TIMER_OWNER(timer, type, member)                                                 \
    ((type *)(void *)((char *)(timer)-offsetof(type, member)))

void timers_finish(struct timers *self);

// Set the timer, or move it if it is set. Timers of the same time fire in no set order.
void timer_set(struct timers *self, struct timer *timer, int64_t at_ms,
               void (*fire)(struct core *core, struct timer *timer));

// Nothing happens if it is not set.
void timer_stop(struct timers *self, struct timer *timer);

// Take the first timer due at `now_ms` out of the heap; NULL if none is.
struct timer *timers_take(struct timers *self, int64_t now_ms);

// When the first is due; INT64_MAX if none is set.
int64_t timers_next(const struct timers *self);
