// depend.h - tasks that wait for others.
//
// A task with parents is BLOCKED until each of them has ended, which is known from their
// results: nothing more is stored. Parents are awaited by id, so they need not be in
// memory; those that are not are read once, before the child is taken. A child whose
// parent ends without success is cancelled at once, with all that waits for it, unless it
// is to run anyway. What a parent's end sets free is placed by depend_settle(), a slice
// at a time, never by recursion.
//
// There are no cycles: a parent is acknowledged before its child is submitted, or comes
// in the same atomic batch, which is sorted.
#pragma once
#include "submit.h"

struct link;

struct depend {
    struct task *task;
    size_t open;     // parents that have not ended
    bool failed;     // one of the ended did not succeed
    bool run_anyway; // nevertheless
    bool is_loose;
    struct depend *prev, *next; // of the loose
    size_t count;
    struct link *links; // one a parent
};

// Have the task wait for its parents; questions about those that are not in memory count
// in task->submission->unread. Not OM_OK: it cannot be taken, `why` says why.
OM_MUST_CHECK enum om_rc depend_link(struct core *self, struct task *task,
                                     const struct wire_msg *msg,
                                     char why[SUBMIT_WHY_MAX]);

// Is there room for one more task of the tenant's that waits for others?
bool depend_room(const struct core *self, const struct tenant_state *tenant);

// A loaded task goes on waiting.
void depend_restore(struct core *self, struct task *task,
                    const struct stored_task *stored);

// Does a parent's end keep the task from running? Must it still wait? One that need not
// waits for nothing any more.
bool depend_has_failed(const struct task *task);
bool depend_must_wait(struct core *self, struct task *task);
void depend_destroy(struct core *self, struct task *task);

// The task's end is decided; the task has ended, durably.
void depend_ending(struct core *self, const struct task *task, enum task_state state);
void depend_ended(struct core *self, const struct om_uuid *tenant,
                  const struct om_uuid *id, enum task_state state);

// Place tasks that were set free.
void depend_settle(struct core *self);

// The answer to a question about a parent.
void depend_read_done(struct core *self, const struct om_uuid *tenant,
                      const struct om_uuid *id, int64_t question,
                      const struct read *read);

// Sort the made jobs of a set so that parents come before children. False: there is a
// cycle, and *found is one of those on it or behind it.
bool depend_sort(struct core *self, struct task *const *tasks, size_t count,
                 struct task **found);

// Does `list`, a depends_on, name the task?
bool depend_names(struct om_str list, const struct om_uuid *id);

void on_parent(struct core *self, const struct input *in);
