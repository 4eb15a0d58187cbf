// spill.h - which of the waiting tasks are in memory, and how the others come back.
//
// Of a flow's ready tasks the first few are in memory; of the others only the seq is, in
// the order they came. Tasks that wait for a time are in memory while that is near and
// there is room. What has a lease, a watcher, a change that is not durable or parents to
// wait for stays in memory. A task that is away is read again: when its turn comes near,
// when its time has come, or when somebody asks for more than its record.
//
// A task is open and away exactly while its seq is in one of two sets. Every seq in them
// stands in its flow's deque or heap, which may name others too: those are passed over.
// What a read says of a seq that is in neither set, or that was in memory since the read
// was asked for, is out of date and changes nothing.
#pragma once
#include "fair.h"

struct parked;
struct read;
struct stored_task;
struct stored_waiting;

enum load_kind {
    LOAD_NEXT, // a flow's next tasks
    LOAD_LOOK, // tasks that may have to end
};

// A read of tasks of one flow.
struct load {
    enum load_kind kind;
    struct flow *flow; // with a reference of the load's
    unsigned generation;
};

struct spill {
    struct seq_set ready, timed; // open tasks that are away
    struct seq_set moved[2];     // came and went since reads were asked for
    size_t asked[2];             // those reads, in two generations
    unsigned generation;
    size_t timed_count; // tasks in memory that wait for a time
    size_t deep;        // flows with tasks that are away
    struct parked *parked;
    const struct flow *filling; // of which a read is being taken in
    struct om_uuid *leaving;    // tasks to let go when the batch is through
    size_t leaving_count, leaving_capacity;
    struct flow *hungry; // flows whose read failed
    struct timer retry;
};

struct spill *spill_create(void);

// Ready tasks that are away, or stand behind such.
size_t spill_ready(const struct core *self);

// Before the queues and after the questions are freed.
void spill_destroy(struct core *self);

// ---- who stays

// The task was placed. If there is no room for it, it leaves memory: then it is freed.
void spill_trim(struct core *self, struct task *task);

// The same, when all that became durable with the task's change has been dealt with.
void spill_trim_later(struct core *self, const struct task *task);
void spill_trim_all(struct core *self);

// A loaded task that waits leaves at once if its flow has enough: then it is freed.
void spill_trim_loaded(struct core *self, struct task *task);

// An open task that is not read into memory at all. OM_EPROTO: there is no such queue.
enum om_rc spill_load_waiting(struct core *self, const struct stored_waiting *waiting);

// ---- who comes back

// A fair_gate: a flow of which nothing is in memory asks for some.
bool spill_gate(struct core *self, struct flow *flow);

// An item of the flow was taken.
void spill_refill(struct core *self, struct flow *flow);

// What became of an open task that is away: STATE_READY, STATE_SCHEDULED or
// STATE_RETRY_WAIT; STATE_NONE of one that is not away.
enum task_state spill_state(const struct core *self, const struct stored_task *stored);

// A read of tasks is asked for: returns its generation, for when it is answered.
unsigned spill_asked(struct core *self);
void spill_answered(struct core *self, unsigned generation);

// The numbers below `before` of the tenant's tasks that are away and wait for a time, in
// no order, some of them twice. *count is how many; the caller frees them.
int64_t *spill_timed(const struct core *self, const struct tenant_state *tenant,
                     int64_t before, size_t *count);

// Is what was read of a task that is away out of date, or a task of its id on its way in?
bool spill_is_stale(const struct core *self, const struct stored_task *stored);

// Take a task that is away into memory, placed nowhere. NULL: it cannot be read.
struct task *spill_take(struct core *self, const struct stored_task *stored);

// Does what becomes ready in the flow stand behind tasks that are away?
bool spill_is_behind(const struct core *self, const struct flow *flow);

// The task, which is ready and in memory, stands behind those: in the deque.
void spill_park(struct core *self, struct task *task);

// Take a task that is away and ready into memory, standing where it stood.
struct task *spill_take_parked(struct core *self, const struct stored_task *stored);

// A read of query_load() is answered.
void spill_loaded(struct core *self, const struct load *load, const struct read *read);

// Nobody watches the task any more: if it was parked, it is freed.
void spill_unwatched(struct core *self, struct task *task);

// The task waits for its turn no longer.
void spill_unpark(struct core *self, struct task *task);

// Look at all tasks of the share that are away and have a seq up to `upto`, some at each
// call, from the first on after `begin`: what ends them has changed. False: all were.
// Those that stay keep their places.
bool spill_sweep(struct core *self, struct share *share, int64_t upto);
void spill_sweep_begin(struct share *share);

// The flow is freed.
void spill_forget(struct core *self, struct flow *flow);
