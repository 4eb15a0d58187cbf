#include "sim.h"

struct sim_queue {
    struct sim_event *heap;
    size_t count, capacity;
    uint64_t order;
};

struct sim_queue *
sim_queue_create(void)
{
    struct sim_queue *self = calloc(1, sizeof(*self));
    if (!self)
        abort();
    return self;
}

void
sim_event_finish(struct sim_event *event)
{
    om_buf_finish(&event->header);
    om_buf_finish(&event->payload);
    read_destroy(&event->read);
}

void
sim_queue_destroy(struct sim_queue **self_p)
{
    struct sim_queue *self = *self_p;
    *self_p = NULL;
    for (size_t i = 0; i < self->count; i++)
        sim_event_finish(&self->heap[i]);
    free(self->heap);
    free(self);
}

static bool
is_before(const struct sim_event *a, const struct sim_event *b)
{
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->order < b->order;
}

void
sim_queue_put(struct sim_queue *self, const struct sim_event *event)
{
    if (self->count == self->capacity) {
        self->capacity = self->capacity ? self->capacity * 2 : 256;
        self->heap = realloc(self->heap, self->capacity * sizeof(*self->heap));
        if (!self->heap)
            abort();
    }
    struct sim_event added = *event;
    added.order = ++self->order;
    size_t at = self->count++;
    for (; at > 0 && is_before(&added, &self->heap[(at - 1) / 2]); at = (at - 1) / 2)
        self->heap[at] = self->heap[(at - 1) / 2];
    self->heap[at] = added;
}

bool
sim_queue_take(struct sim_queue *self, struct sim_event *out)
{
    if (self->count == 0)
        return false;
    *out = self->heap[0];
    struct sim_event last = self->heap[--self->count];
    size_t at = 0;
    for (size_t child = 1; child < self->count; child = at * 2 + 1) {
        if (child + 1 < self->count &&
            is_before(&self->heap[child + 1], &self->heap[child]))
            child++;
        if (!is_before(&self->heap[child], &last))
            break;
        self->heap[at] = self->heap[child];
        at = child;
    }
    if (self->count > 0)
        self->heap[at] = last;
    return true;
}
