// submit.h - a job on its way in: from SUBMIT, alone or in a SUBMIT_BATCH, to SUBMITTED,
// REJECT or its item of BATCH.
//
// A job has a task in memory from the moment it is found valid, so that the same job said
// again meets it. It is added to a commit when all that must be read first was read:
// tasks it depends on that are not in memory, and whether an old id is known.
#pragma once
#include "commit.h"

enum { SUBMIT_WHY_MAX = 96 };

// Who waits to hear what became of a job.
struct submitter {
    struct submitter *next;
    struct asker asker;    // of a SUBMIT
    struct intake *intake; // of a SUBMIT_BATCH; NULL: of a SUBMIT
    size_t place;          // its job's in the batch
    bool joined;           // somebody else submitted the job first,
    enum known_by by;      // and this one found it by that
};

// What became of a job.
struct outcome {
    enum om_rc rc;
    const char *why;          // NULL: what the code says
    const struct om_uuid *id; // NULL: it is none
    bool duplicate;
    enum known_by by;      // of a duplicate
    enum task_state state; // STATE_NONE: not known
};

// What is known of a job until it is durable. A plain SUBMIT needs none of it.
struct submission {
    struct submitter *submitters; // besides task->asker
    struct name *names[2];
    struct intake *set;   // the atomic batch it is added with
    size_t place;         // in that
    struct om_buf header; // of a job that is not added yet
    struct payload *payload;
    size_t unread;    // answers to come before it can be added
    int64_t question; // about its own id; 0: none
    size_t unsorted;  // parents in its set that are not sorted yet
};

void on_submit(struct core *self, const struct input *in);

// Take the job of `in->msg`, a SUBMIT. A job of an atomic batch is only made ready.
void submit_job(struct core *self, const struct input *in, const struct submitter *by);

// An answer that the job, which is not added yet, had to wait for has come; with the last
// one it is added.
void submit_answered(struct core *self, struct task *task);

// The job cannot be taken: say so, and forget it.
void submit_refuse(struct core *self, struct task *task, enum om_rc rc, const char *why);

// Have a job that is held wait for its parents: depend_link().
OM_MUST_CHECK enum om_rc submit_link(struct core *self, struct task *task,
                                     char why[SUBMIT_WHY_MAX]);

// Add a job that is ready to the newest batch; `set` is 0 of one that stands alone.
void submit_add(struct core *self, struct task *task, uint32_t set, bool set_known);

// How many changes that will be.
size_t submit_changes(const struct task *task);

// The answer to a question about an old id.
void submit_known_read(struct core *self, const struct om_uuid *id, int64_t question,
                       const struct read *read);

// Forget what is known of the task only until it is durable.
void submission_destroy(struct core *self, struct task *task);

// Is there room for one more task of the tenant's? If not, why: OM_ENOSPACE, OM_EDB or
// OM_EFULL, and *why (NULL: what the code says).
enum om_rc submit_check_room(const struct core *self, const struct om_uuid *tenant,
                             const char **why);

// The field of a SUBMIT that names a job in that way.
const char *known_by_field(enum known_by by);

// ---- what follows when the group of a SUBMIT is durable, or is not

void submit_durable(struct core *self, struct group *group, struct change *change);
void submit_failed(struct core *self, struct group *group, enum om_rc rc);
