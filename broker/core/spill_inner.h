// spill_inner.h - what spill.c (who stays) and recall.c (who comes back) share.
#pragma once
#include "queue.h"
#include "spill.h"
#include "task_inner.h"

enum {
    LOAD_SEQS = 512,   // of a read
    LOOK_SEQS = 128,   // of a read of tasks that may have to end
    WINDOW_LEAST = 16, // of a flow, however many there are
    WAKES_MAX = 4096,  // looked at in one turn
};

// How many ready tasks of a flow are to be in memory.
size_t spill_size(const struct core *self);

// One more, or one less, task of the flow is away, and counts as `gauge`.
void spill_away(struct core *self, struct flow *flow, struct tenant_state *tenant,
                enum gauge gauge);
void spill_back(struct core *self, struct flow *flow, struct tenant_state *tenant,
                enum gauge gauge);

// Set the flow's timer to its first wake.
void spill_arm(struct core *self, struct flow *flow);

static inline bool
spill_is_away(const struct spill *spill, int64_t seq)
{
    return seq_set_has(&spill->ready, seq) || seq_set_has(&spill->timed, seq);
}
