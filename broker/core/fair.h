// fair.h - whose turn it is: deficit round robin over the tenants of a band.
//
// Shreedhar and Varghese, "Efficient fair queueing using deficit round robin" (1995). The
// cost of an item is 1 and what its tenant has in flight in the queue, up to a cap, so a
// tenant that already holds many workers waits longer for the next.
#pragma once
#include "inner.h"

// Something that waits in a flow: a task or a call.
struct item {
    struct item *prev, *next;
    struct flow *flow; // NULL while it does not wait
};

// What of one tenant waits in one band.
struct flow {
    struct flow *prev, *next; // in its band's ring, while something waits
    struct item *items;
    struct share *share;
    struct band *band;
    int deficit;
};

struct band {
    struct flow *ring;
};

// One tenant's part of a queue.
struct share {
    struct om_uuid tenant;
    struct queue_state *queue;
    size_t refs;      // tasks and calls that count in it
    size_t in_flight; // leases and calls at workers
    size_t waiting_calls;
    struct flow calls, jobs[BANDS];
    UT_hash_handle hh;
};

// Put an item at the end of a flow.
void fair_push(struct flow *flow, struct item *item);

// Take an item out of its flow; nothing happens if it is in none.
void fair_remove(struct item *item);

// Take out the item whose turn it is; NULL if nothing waits.
struct item *fair_pick(struct band *band);
