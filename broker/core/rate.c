#include "rate.h"
#include "inner.h"

enum { CAPACITY_MIN = 8 };

void
rate_finish(struct rate *self)
{
    free(self->marks);
    *self = (struct rate){ 0 };
}

void
rate_set(struct rate *self, int64_t limit, int64_t window_ms)
{
    if (limit == 0) {
        int64_t reserved = self->reserved;
        rate_finish(self);
        self->reserved = reserved;
        return;
    }
    self->limit = limit;
    self->window_ms = window_ms;
}

static struct rate_mark *
mark_at(const struct rate *self, size_t index)
{
    return &self->marks[(self->first + index) % self->capacity];
}

static void
grow(struct rate *self)
{
    size_t capacity = self->capacity ? 2 * self->capacity : CAPACITY_MIN;
    struct rate_mark *marks = core_realloc(NULL, capacity * sizeof(*marks));
    for (size_t i = 0; i < self->count; i++)
        marks[i] = *mark_at(self, i);
    free(self->marks);
    self->marks = marks;
    self->capacity = capacity;
    self->first = 0;
}

// Forget the starts that no window which ends now, or later, has in it.
static void
forget(struct rate *self, int64_t now_ms)
{
    while (self->count > 0 && mark_at(self, 0)->at_ms < now_ms - self->window_ms) {
        self->started -= mark_at(self, 0)->count;
        self->first = (self->first + 1) % self->capacity;
        self->count--;
    }
}

bool
rate_allows(struct rate *self, int64_t now_ms)
{
    if (self->limit == 0)
        return true;
    forget(self, now_ms);
    return self->started + self->reserved < self->limit;
}

int64_t
rate_next_ms(struct rate *self, int64_t now_ms)
{
    if (rate_allows(self, now_ms))
        return now_ms;
    // So many of the oldest have to leave the window.
    int64_t excess = self->started + self->reserved - self->limit + 1;
    for (size_t i = 0; i < self->count; i++) {
        excess -= mark_at(self, i)->count;
        if (excess <= 0)
            return mark_at(self, i)->at_ms + self->window_ms + 1;
    }
    return INT64_MAX;
}

void
rate_reserve(struct rate *self)
{
    self->reserved++;
}

void
rate_give_back(struct rate *self)
{
    self->reserved--;
}

void
rate_start(struct rate *self, int64_t now_ms)
{
    rate_give_back(self);
    rate_add(self, now_ms, 1);
}

void
rate_add(struct rate *self, int64_t at_ms, int64_t count)
{
    if (self->limit == 0)
        return;
    forget(self, at_ms);
    struct rate_mark *last = self->count ? mark_at(self, self->count - 1) : NULL;
    self->started += count;
    if (last && last->at_ms >= at_ms) {
        last->count += count;
        return;
    }
    if (self->count == self->capacity)
        grow(self);
    self->count++;
    *mark_at(self, self->count - 1) = (struct rate_mark){ at_ms, count };
}

void
rate_shift(struct rate *self, int64_t by_ms, int64_t latest_ms)
{
    for (size_t i = 0; i < self->count; i++) {
        int64_t at_ms = mark_at(self, i)->at_ms + by_ms;
        mark_at(self, i)->at_ms = at_ms < latest_ms ? at_ms : latest_ms;
    }
}
