// fair.h - whose turn it is: deficit round robin over the tenants of a band.
//
// Shreedhar and Varghese, "Efficient fair queueing using deficit round robin" (1995). A
// tenant's turn grows by its weight in each round; the cost of an item is 1 and what the
// tenant has in flight in the queue for each unit of its weight, up to a cap, so a tenant
// that already holds many workers waits longer for the next. Within a turn the tenant's
// flows, one for each limit key, follow each other round and round; a flow is first in,
// first out.
//
// A flow or a share that may not start anything now is blocked: it leaves the round, and
// costs nothing until it is unblocked.
#pragma once
#include "inner.h"
#include "seqs.h"

enum { WEIGHT_MAX = 100 };

// Why a flow or a share is blocked; several reasons may hold at once.
enum block {
    BLOCK_LIMIT = 1, // a limit is reached
    BLOCK_PAUSE = 2,
    BLOCK_LOAD = 4, // of a flow: nothing of it is in memory yet
};

// Something that waits in a flow: a task or a call.
struct item {
    struct item *prev, *next;
    struct flow *flow; // NULL while it does not wait
};

// A flow or a share that waits for a limit to open (limit.h).
struct limit_wait {
    struct limit *limit; // NULL while it does not wait
    struct flow *flow;   // either
    struct share *share; // or
    struct limit_wait *prev, *next;
};

// What of one tenant waits in one band under one limit key, or under none.
struct flow {
    struct flow *prev, *next; // in its turn's ring, while it may be picked
    struct turn *turn;
    struct item *items;
    size_t count;     // items
    unsigned blocked; // enum block
    bool in_ring;
    size_t refs;         // tasks of it
    struct om_str key;   // the limit key; owned; absent: none
    struct limit *limit; // of the key
    struct limit_wait wait;

    // Its tasks that are not in memory (spill.h).
    size_t away;
    struct seq_deque spilled; // ready, behind the items
    struct seq_heap wakes;    // those that wait for a time, or expire
    struct timer wake;        // wall clock
    size_t asked;             // of `spilled`, being read
    bool is_awaited;          // and there is no item
    bool looking;             // others are being read
    bool swept;
    bool is_hungry;
    struct flow *hungry_prev, *hungry_next;
    UT_hash_handle hh; // of its turn's flows
};

// What of one tenant waits in one band.
struct turn {
    struct turn *prev, *next; // in its band's ring, while a flow of it may be picked
    struct share *share;
    struct band *band;
    struct flow *ring;
    struct flow *flows; // all, by limit key
    bool in_ring;
    int deficit;
};

struct band {
    struct turn *ring;
    size_t awaited; // flows whose next item is being read
};

// One tenant's part of a queue.
struct share {
    struct om_uuid tenant;
    struct queue_state *queue;
    size_t refs;      // tasks, calls and flows that count in it
    size_t in_flight; // leases and calls at workers
    size_t running;   // leases
    size_t waiting_calls;
    int weight;              // 1 to WEIGHT_MAX; share_set_weight()
    unsigned blocked;        // enum block; its jobs only, never its calls
    struct limit *limits[2]; // of the tenant, of its part of the queue; NULL: none
    struct limit_wait wait;
    struct queue_stats *stats; // NULL: it had calls only
    struct turn call_turn, long_turn;
    struct flow calls, long_calls;
    struct turn *jobs[BANDS]; // NULL: nothing waited in the band so far
    UT_hash_handle hh;
};

// The tenant's part of the queue, with one more reference.
struct share *share_get(struct core *self, struct queue_state *queue,
                        const struct om_uuid *tenant);
void share_unref(struct core *self, struct share **share_p);

// NULL if nothing of the tenant counts in the queue.
struct share *share_find(const struct queue_state *queue, const struct om_uuid *tenant);

void share_set_weight(struct share *share, int64_t weight);

// The flow of a share's jobs, with one more reference.
struct flow *flow_get(struct share *share, uint8_t band, struct om_str limit_key);
void flow_unref(struct core *self, struct flow **flow_p);

// Take a flow, or all jobs of a share, out of the round; blocked twice for one reason is
// blocked once. Unblocking hands out work again when the input is handled.
void flow_block(struct flow *flow, enum block why);
void flow_unblock(struct core *self, struct flow *flow, enum block why);
void share_block(struct share *share, enum block why);
void share_unblock(struct core *self, struct share *share, enum block why);

// Put a flow in the round, or take it out, as it must be now that `spilled` changed.
void flow_update(struct flow *flow);

// Put an item at the end of a flow.
void fair_push(struct flow *flow, struct item *item);

// Take an item out of its flow; nothing happens if it is in none.
void fair_remove(struct item *item);

// May the next item of the flow be started? If not, it has blocked the flow or its share.
typedef bool fair_gate(struct core *self, struct flow *flow);

// Take out the item whose turn it is; NULL if nothing waits that may be started. `gate`
// (NULL: all may) is asked last, of the one flow that would be picked.
struct item *fair_pick(struct core *self, struct band *band, fair_gate *gate);
