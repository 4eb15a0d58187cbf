// list.h - LIST: pages of a tenant's tasks, newest first.
//
// Ended tasks are read from the store. Open ones come from memory while all that could be
// listed are there; else from the store, in slices, each as memory knows it: the store
// may be behind it. A few that wait for a time among many that are ready are read by
// their numbers.
#pragma once
#include "inner.h"

// A page being made.
struct listing {
    struct asker asker;
    struct om_uuid tenant, after;
    struct om_uuid cut;             // no older task was looked at; zero: none is left
    bool open;                      // of open tasks
    bool states[STATE_COUNT];       // of those
    enum task_state ended;          // else; STATE_NONE: of all tasks
    struct label queue, kind, code; // empty: all
    size_t limit, count;
    struct om_buf records; // of the page, packed one after the other
};

// A read of the listing is answered.
void list_read_done(struct core *self, struct listing **listing_p,
                    const struct read *read);

void listing_destroy(struct listing **self_p);

void on_list(struct core *self, const struct input *in);
