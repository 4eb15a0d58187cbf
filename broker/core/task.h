// task.h - the job lane: a task from SUBMIT to its end.
//
// Memory is ahead of the disk by the batches under way, but nothing is said of a change
// before it is durable.
#pragma once
#include "inner.h"

struct group;

void on_submit(struct core *self, const struct input *in);

// The open and committed task of that id, if it is the tenant's; else NULL.
struct task *task_find(const struct core *self, const struct om_uuid *tenant,
                       const struct om_uuid *id);

// The lease of the task a token is about, current or not; NULL if there is no such task.
struct lease *task_lease(struct core *self, const struct wire_token *token);

// Give the next ready job to the session of `credit`; false if none is ready.
bool task_hand_out(struct core *self, struct queue_state *queue, struct credit *credit);

// CANCEL of an open task by `asker`: CANCEL_ACK when the intent is durable.
void task_cancel(struct core *self, struct task *task, const struct asker *asker);

// RETRY of a task that is open in memory: SUBMITTED if it was opened again, else ERROR
// conflict. False if there is no such task in memory.
bool task_retry_open(struct core *self, const struct om_uuid *tenant,
                     const struct om_uuid *id, const struct asker *asker);

// Open a failed task, read from the store, again: SUBMITTED when that is durable.
void task_reopen(struct core *self, const struct stored_task *stored,
                 const struct asker *asker);

// The payload of the lease `token` was read.
void task_payload_read(struct core *self, const struct wire_token *token,
                       const struct read *read);

// Put the loaded tasks where they belong.
void task_serve_all(struct core *self);
void task_destroy_all(struct core *self);

// The task as a wire_task record; a stored one, for which there is no open task, too.
void task_info(const struct task *task, struct om_buf *out);
void task_stored_info(const struct stored_task *stored, struct om_buf *out);

// REJECT in answer to `asker`.
void task_reject(struct core *self, const struct asker *asker, const struct om_uuid *id,
                 enum om_rc rc, const char *text);

// ---- what follows when a group is durable, or a submit's is not

void task_submit_durable(struct core *self, struct group *group, struct change *change);
void task_submit_failed(struct core *self, struct group *group, enum om_rc rc);
void task_lease_durable(struct core *self, struct group *group, struct change *change);
void task_cancel_durable(struct core *self, struct group *group, struct change *change);
void task_end_durable(struct core *self, struct group *group, struct change *change);
void task_reopen_durable(struct core *self, struct group *group, struct change *change);
