// commit.h - changes on their way to the disk, and what follows when they are there.
//
// Changes are added in groups. A group is never split over two batches, batches commit in
// the order they were begun, and what a group causes happens when it is durable: never
// before. A batch that failed is kept, without its submits, and tried again.
#pragma once
#include "inner.h"

// What happens when a group is durable. SUBMIT alone is dropped when a commit fails.
//  symbol   function
#define EFFECT_LIST(X)                                                                   \
    X(NONE, NULL)                                                                        \
    X(SUBMIT, submit_durable)                                                            \
    X(LEASE, task_lease_durable)                                                         \
    X(CANCEL, task_cancel_durable)                                                       \
    X(END, task_end_durable)                                                             \
    X(RETRY, task_retry_durable)                                                         \
    X(REOPEN, task_reopen_durable)                                                       \
    X(CURSOR, run_cursor_durable)                                                        \
    X(SETTING, setting_durable)                                                          \
    X(CHUNK, chunk_durable)

enum effect {
#define EFFECT_ENUM(symbol, function) EFFECT_##symbol,
    EFFECT_LIST(EFFECT_ENUM)
#undef EFFECT_ENUM
};

struct group {
    struct group *next;
    enum effect effect;
    size_t first, count; // its changes in the batch
    struct task *task;
    struct run *run;
    struct wire_token token;
    bool ack;         // a worker waits for DONE_ACK of `token`
    core_conn conn;   // that worker
    struct out *send; // goes out when the group is durable; owned
};

// Where a change stands, while its batch has not gone out.
struct change_slot {
    int64_t batch;
    size_t index;
};

// Begin a group of `count` changes (at most BATCH_MAX), which commit_add() then adds.
struct group *commit_group(struct core *self, enum effect effect, size_t count);

// Have the groups of the next `count` changes stand in one batch.
void commit_reserve(struct core *self, size_t count);

// One more change of the group begun last.
struct change *commit_add(struct core *self, enum change_kind kind);

// The group begun last may wait a little for others: nobody is kept waiting by it.
void commit_lazily(struct core *self);

// Where the change added last stands.
struct change_slot commit_slot(const struct core *self);

// The change at `slot`, to be altered, if its batch has not gone out yet; else NULL.
struct change *commit_change(const struct core *self, struct change_slot slot);

// Have a change not written, if its batch has not gone out yet. Was it in time?
bool commit_withdraw(struct core *self, struct change_slot slot);

// A copy of `text` that lives as long as the batch of the group begun last.
struct om_str commit_copy(struct core *self, struct om_str text);

// Send when everything added so far is durable; at once if it is.
void commit_after(struct core *self, struct out **out_p);

// Is the batch of this number, and all before it, on disk?
bool commit_is_durable(const struct core *self, int64_t batch);

// Count bytes of a submit with the batch its group is in.
void commit_weigh(struct core *self, size_t bytes);

// Are so many batches waiting that no more work should be taken?
bool commit_congested(const struct core *self);

// The oldest batch, which was out, ended with `rc`.
void commit_done(struct core *self, enum om_rc rc);

// When to look for a batch again, on the mono clock, if there is none now: a failed
// commit is to be tried again, or what may wait has waited. INT64_MAX for no such.
int64_t commit_due(const struct core *self);

void commit_destroy_all(struct core *self);
