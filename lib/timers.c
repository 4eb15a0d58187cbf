#include <stdlib.h>

#include "timers.h"

void
om_timers_finish(struct om_timers *timers)
{
    for (size_t i = 0; i < timers->count; i++)
        timers->heap[i]->place = 0;
    free(timers->heap);
    *timers = (struct om_timers){ 0 };
}

static void
put(struct om_timers *timers, size_t place, struct om_timer *timer)
{
    timers->heap[place - 1] = timer;
    timer->place = place;
}

// Move the timer to where it belongs, up or down from the hole at its place.
static void
sift(struct om_timers *timers, struct om_timer *timer)
{
    size_t place = timer->place;
    for (; place > 1; place /= 2) {
        struct om_timer *parent = timers->heap[place / 2 - 1];
        if (parent->at_ms <= timer->at_ms)
            break;
        put(timers, place, parent);
    }
    for (size_t child; (child = 2 * place) <= timers->count; place = child) {
        if (child < timers->count &&
            timers->heap[child]->at_ms < timers->heap[child - 1]->at_ms)
            child++;
        if (timer->at_ms <= timers->heap[child - 1]->at_ms)
            break;
        put(timers, place, timers->heap[child - 1]);
    }
    put(timers, place, timer);
}

bool
om_timers_set(struct om_timers *timers, struct om_timer *timer, int64_t at_ms)
{
    if (timer->place == 0) {
        if (timers->count == timers->capacity) {
            size_t capacity = timers->capacity ? 2 * timers->capacity : 64;
            struct om_timer **heap =
                reallocarray(timers->heap, capacity, sizeof(struct om_timer *));
            if (!heap)
                return false;
            timers->heap = heap;
            timers->capacity = capacity;
        }
        timer->place = ++timers->count;
    }
    timer->at_ms = at_ms;
    sift(timers, timer);
    return true;
}

void
om_timers_clear(struct om_timers *timers, struct om_timer *timer)
{
    if (timer->place == 0)
        return;
    struct om_timer *last = timers->heap[--timers->count];
    if (last != timer) {
        last->place = timer->place;
        sift(timers, last);
    }
    timer->place = 0;
}

int64_t
om_timers_next_ms(const struct om_timers *timers)
{
    return timers->count > 0 ? timers->heap[0]->at_ms : INT64_MAX;
}

void
om_timers_run(struct om_timers *timers, int64_t now_ms)
{
    // Each timer due now fires once: their number bounds the loop even if they set
    // themselves again.
    for (size_t left = timers->count; left > 0; left--) {
        if (om_timers_next_ms(timers) > now_ms)
            return;
        struct om_timer *timer = timers->heap[0];
        om_timers_clear(timers, timer);
        timer->fire(timer->context);
    }
}
