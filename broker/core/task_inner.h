// task_inner.h - what the files of the job lane share: submit.c (a job on its way in),
// task.c (load, place, retry), attempt.c (a job at a worker), ending.c (failures and
// results).
#pragma once
#include "commit.h"
#include "events.h"
#include "fair.h"
#include "lease.h"
#include "out.h"
#include "query.h"
#include "queue.h"
#include "session.h"
#include "spill.h"
#include "task.h"
#include "watch.h"

// How a task ends.
struct ending {
    enum task_state state;
    struct om_str code, text, ctype;
    struct payload *result;
    struct om_str usage, events;
    core_conn conn;   // the worker whose word it is; 0: nobody's
    struct out *send; // goes out when the end is durable; taken
};

extern const struct lease_kind task_kind;

// What a JOB says that depends on the lease.
#define JOB_LEASE_FIELDS (W(token) | W(attempt) | W(lease_ms) | W(hard_ms))

// A new task, not placed anywhere, with what the header `msg` says of it.
struct task *task_create(struct core *self, const struct om_uuid *id,
                         const struct om_uuid *tenant, struct queue_state *queue,
                         const struct wire_msg *msg, int64_t seq);

// Its tracestate, which few have, borrowed; empty if none.
struct om_str task_tracestate(const struct task *task);

// Give the task, which is not durable yet, the newest number.
void task_renumber(struct core *self, struct task *task);
// The tenant, made if it is new; and one task of it less, which may free it.
struct tenant_state *tenant_get(struct core *self, const struct om_uuid *id);
void tenant_drop(struct core *self, struct tenant_state *tenant);

// An open task as it was stored, not placed anywhere; NULL: it cannot be read.
struct task *task_restore(struct core *self, const struct stored_task *stored);

// A restored task goes on where it was.
void task_resume(struct core *self, struct task *task);

// Is a waiting task to end: cancelled, purged, expired, or for a parent's sake? Then it
// does, and is taken out of whatever it waits in.
bool task_end_if_over(struct core *self, struct task *task);

// A waiting task goes where it belongs: scheduled, ready, or its end.
void task_place(struct core *self, struct task *task);

// Count the task where its state says.
void task_count(struct task *task);

// Take a task out of whatever it waits in.
void task_unplace(struct core *self, struct task *task);

// The end is decided: it is added to the batch and happens when that is durable.
void task_end(struct core *self, struct task *task, struct ending *ending);

// An attempt ended without a result: retry it after a while, or end the task.
void task_attempt_failed(struct core *self, struct task *task,
                         const struct failure *failure);

// The worker of its lease is gone: retry it after a while, or end the task.
void task_attempt_lost(struct core *self, struct task *task);

// Forget the task, whatever is waiting for it having been told.
void task_destroy(struct core *self, struct task **task_p);

// A backoff of the task's ends after `delay_ms`.
void task_back_off(struct core *self, struct task *task, int64_t delay_ms);

// Keep `payload` in memory with the task while there is room for it.
void task_cache(struct core *self, struct task *task, struct payload *payload);

// Add a mark; the caller fills in the rest.
struct change_mark *task_mark(struct core *self, struct task *task, enum mark_kind kind);

// Set a copied text of the task.
void task_set_text(char **member, struct om_str text);
