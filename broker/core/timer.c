#include <stdlib.h>

#include "inner.h"

void
timers_finish(struct timers *self)
{
    free(self->heap);
    *self = (struct timers){ 0 };
}

static void
put(struct timers *self, size_t place, struct timer *timer)
{
    self->heap[place - 1] = timer;
    timer->place = place;
}

static void
sift_up(struct timers *self, struct timer *timer)
{
    size_t place = timer->place;
    while (place > 1 && self->heap[place / 2 - 1]->at_ms > timer->at_ms) {
        put(self, place, self->heap[place / 2 - 1]);
        place /= 2;
    }
    put(self, place, timer);
}

static void
sift_down(struct timers *self, struct timer *timer)
{
    size_t place = timer->place;
    for (size_t child = place * 2; child <= self->count; child = place * 2) {
        if (child < self->count &&
            self->heap[child]->at_ms < self->heap[child - 1]->at_ms)
            child++;
        if (self->heap[child - 1]->at_ms >= timer->at_ms)
            break;
        put(self, place, self->heap[child - 1]);
        place = child;
    }
    put(self, place, timer);
}

void
timer_set(struct timers *self, struct timer *timer, int64_t at_ms,
          void (*fire)(struct core *core, struct timer *timer))
{
    timer->at_ms = at_ms;
    timer->fire = fire;
    if (timer->place == 0) {
        if (self->count == self->capacity) {
            self->capacity = self->capacity ? self->capacity * 2 : 64;
            self->heap = core_realloc(self->heap, self->capacity * sizeof(*self->heap));
        }
        put(self, ++self->count, timer);
    }
    sift_up(self, timer);
    sift_down(self, timer);
}

void
timer_stop(struct timers *self, struct timer *timer)
{
    size_t place = timer->place;
    if (place == 0)
        return;
    timer->place = 0;
    struct timer *last = self->heap[--self->count];
    if (last == timer)
        return;
    put(self, place, last);
    sift_up(self, last);
    sift_down(self, last);
}

struct timer *
timers_take(struct timers *self, int64_t now_ms)
{
    if (timers_next(self) > now_ms)
        return NULL;
    struct timer *first = self->heap[0];
    timer_stop(self, first);
    return first;
}

int64_t
timers_next(const struct timers *self)
{
    return self->count ? self->heap[0]->at_ms : INT64_MAX;
}
