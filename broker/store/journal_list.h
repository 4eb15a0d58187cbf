// journal_list.h - the journal's state, for journal.c and journal_recover.c only.
#pragma once
#include <pthread.h>

#include "journal_segment.h"

// Segments, the longest in the list first.
struct segments {
    struct segment *first, *last;
    size_t count;
};

struct journal {
    struct journal_conf conf;
    char *folder;
    bool broken;              // the appending thread's: an outcome is unknown
    struct journal_mark mark; // the maintaining thread's

    pthread_mutex_t mutex; // for what follows; only the appending thread moves the tail
    struct segment *active;
    size_t tail;           // where the next record goes in `active`
    int64_t last;          // record that was appended
    struct segments full;  // in the order of their records
    struct segments spare; // what they hold is not needed
    unsigned next_name;
};

static inline void
segments_push(struct segments *self, struct segment *segment)
{
    segment->next = NULL;
    if (self->last)
        self->last->next = segment;
    else
        self->first = segment;
    self->last = segment;
    self->count++;
}

static inline struct segment *
segments_pop(struct segments *self)
{
    struct segment *segment = self->first;
    if (segment) {
        self->first = segment->next;
        if (!self->first)
            self->last = NULL;
        self->count--;
    }
    return segment;
}

// The first segment, if it has at least `bytes`.
static inline struct segment *
segments_take(struct segments *self, size_t bytes)
{
    return self->first && self->first->bytes >= bytes ? segments_pop(self) : NULL;
}
