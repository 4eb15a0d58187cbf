#include "submit.h"

#include "acks.h"
#include "batch.h"
#include "depend.h"
#include "limit.h"
#include "name.h"
#include "task_inner.h"
#include "told.h"

enum { OLD_ID_AHEAD_MS = 24 * 3600 * 1000 }; // how far a client's clock may be ahead

static const uint8_t no_hash[32];

const char *
known_by_field(enum known_by by)
{
    static const char *const fields[] = {
        [KNOWN_ID] = "task", [KNOWN_IDEM] = "idem_key", [KNOWN_UNIQUE] = "unique_key"
    };
    return fields[by];
}

// ---- answers

static void
send_outcome(struct core *self, const struct asker *asker, const struct outcome *outcome)
{
    char task[OM_TYPEID_MAX];
    const struct om_rc_info *info = om_rc_info(outcome->rc);
    bool taken = outcome->rc == OM_OK;
    if (taken && !outcome->duplicate && outcome->state != STATE_SCHEDULED) {
        ack_submitted(self, asker, outcome->id);
        return;
    }
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, id, label_str(&asker->id));
    if (outcome->id)
        WIRE_SET(
            &msg, task,
            ((struct om_str){ task, om_typeid_encode(OM_ID_TASK, outcome->id, task) }));
    if (taken && outcome->duplicate)
        WIRE_SET(&msg, duplicate, true);
    if (taken && outcome->state)
        WIRE_SET(&msg, status, om_str(state_info(outcome->state)->public_name));
    if (taken && outcome->by != KNOWN_ID)
        WIRE_SET(&msg, param, om_str(known_by_field(outcome->by)));
    if (!taken) {
        WIRE_SET(&msg, code, om_str(info->code));
        WIRE_SET(&msg, text, om_str(outcome->why ? outcome->why : info->text));
    }
    if (!taken && info->retryable)
        WIRE_SET(&msg, retry_ms, self->conf.retry_base_ms);
    out_send(self, asker->conn, taken ? WIRE_SUBMITTED : WIRE_REJECT, &msg, NULL);
}

static void
tell(struct core *self, const struct submitter *to, const struct outcome *outcome)
{
    if (to->intake)
        intake_note(self, to->intake, to->place, outcome);
    else
        send_outcome(self, &to->asker, outcome);
}

static void
refuse(struct core *self, const struct submitter *to, const struct om_uuid *id,
       enum om_rc rc, const char *why)
{
    tell(self, to, &(struct outcome){ .rc = rc, .why = why, .id = id });
}

// The outcome for one that joined the job; `batch` is the one the job came in.
static struct outcome
outcome_joined(const struct submitter *to, const struct outcome *first,
               const struct intake *batch)
{
    struct outcome outcome = *first;
    if (outcome.rc == OM_OK && !outcome.duplicate) {
        outcome.duplicate = true;
        outcome.by = to->by;
    } else if (outcome.rc == OM_EREUSED && to->by == KNOWN_UNIQUE && batch &&
               to->intake == batch) {
        outcome.rc = OM_ECONFLICT; // that batch said again would end in the same way
        outcome.why = "another job of the batch, which has its unique key, was refused";
    } else if ((outcome.rc == OM_EREUSED && to->by == KNOWN_UNIQUE) ||
               (outcome.rc == OM_ECONFLICT && to->intake != batch)) {
        outcome.rc = OM_EUNAVAILABLE; // that was the other job's fault
        outcome.why = "another job of its key was refused; try again";
    }
    return outcome;
}

// The batch of who submitted the job first; NULL: it came alone.
static const struct intake *
first_batch(const struct submission *submission)
{
    const struct submitter *to = submission ? submission->submitters : NULL;
    while (to && to->joined)
        to = to->next;
    return to ? to->intake : NULL;
}

// Tell all who submitted the job, the first of them and those that joined.
static void
tell_all(struct core *self, struct task *task, const struct outcome *first)
{
    struct submission *submission = task->submission;
    const struct intake *batch = first_batch(submission);
    if (task->asker.conn)
        send_outcome(self, &task->asker, first);
    task->asker.conn = 0;
    while (submission && submission->submitters) {
        struct submitter *to = submission->submitters;
        LL_DELETE(submission->submitters, to);
        struct outcome outcome = to->joined ? outcome_joined(to, first, batch) : *first;
        tell(self, to, &outcome);
        free(to);
    }
}

// ---- the same job again

static struct submission *
submission_get(struct task *task)
{
    if (!task->submission)
        task->submission = core_alloc(sizeof(*task->submission));
    return task->submission;
}

void
submission_destroy(struct core *self, struct task *task)
{
    struct submission *submission = task->submission;
    task->submission = NULL;
    if (!submission)
        return;
    while (submission->submitters) {
        struct submitter *to = submission->submitters;
        LL_DELETE(submission->submitters, to);
        free(to);
    }
    name_remove(self, submission);
    payload_unref(&submission->payload);
    om_buf_finish(&submission->header);
    free(submission);
}

static void
add_submitter(struct task *task, const struct submitter *by)
{
    struct submission *submission = submission_get(task);
    struct submitter *copy = core_alloc(sizeof(*copy));
    *copy = *by;
    LL_PREPEND(submission->submitters, copy);
}

// Does `by` wait already for what becomes of the task? A SUBMIT that is said again does.
static bool
waits(const struct task *task, const struct submitter *by)
{
    if (by->intake)
        return false;
    const struct om_str id = label_str(&by->asker.id);
    if (task->asker.conn == by->asker.conn && om_str_eq(label_str(&task->asker.id), id))
        return true;
    const struct submitter *to = task->submission ? task->submission->submitters : NULL;
    for (; to; to = to->next)
        if (to->asker.conn == by->asker.conn && om_str_eq(label_str(&to->asker.id), id))
            return true;
    return false;
}

static bool
same_content(const struct task *task, const struct wire_msg *msg)
{
    return !task->has_hash || !WIRE_HAS(msg, hash) ||
           memcmp(task->hash, msg->hash.data, sizeof(task->hash)) == 0;
}

// The job is in memory, by its id or, while it is not durable, by a key.
static void
join(struct core *self, struct task *task, const struct input *in,
     const struct submitter *by, enum known_by known_by)
{
    bool foreign = !om_uuid_eq(&task->tenant->id, &in->tenant);
    bool other = known_by != KNOWN_UNIQUE && !same_content(task, in->msg);
    if (foreign || other) {
        refuse(self, by, &task->id, OM_EREUSED, NULL);
    } else if (task->committed || task->reopened) {
        if (by->intake)
            intake_known(by->intake);
        tell(self, by,
             &(struct outcome){
                 .id = &task->id, .duplicate = true, .state = task->state });
    } else if (!waits(task, by)) {
        struct submitter joined = *by;
        joined.joined = true;
        joined.by = known_by;
        if (by->intake && (!task->submission || task->submission->set != by->intake))
            intake_known(by->intake);
        add_submitter(task, &joined);
    }
}

// ---- a new job

enum om_rc
submit_check_room(const struct core *self, const struct om_uuid *tenant_id,
                  const char **why)
{
    struct tenant_state *tenant = NULL;
    HASH_FIND(hh, self->tenants, tenant_id, sizeof(*tenant_id), tenant);
    *why = NULL;
    if (self->disk_free < 0.1)
        return OM_ENOSPACE;
    if (commit_congested(self))
        return OM_EDB;
    if (self->submit_bytes >= self->conf.max_pending_bytes) {
        *why = "too many jobs are on their way to the disk";
        return OM_EUNAVAILABLE;
    }
    if (tenant && tenant->open >= self->conf.max_open_per_tenant) {
        *why = "too many of the tenant's jobs are open";
        return OM_EFULL;
    }
    return self->stats.open_tasks >= self->conf.max_open_tasks ? OM_EFULL : OM_OK;
}

// Is the id so old that, if the store does not know it, it may have forgotten it?
static bool
is_old(const struct core *self, const struct om_uuid *id)
{
    return om_uuid_time_ms(id) < self->now.wall_ms - self->conf.id_memory_ms;
}

// Whatever refuses a job before it has a task.
static enum om_rc
check(struct core *self, const struct input *in, const struct om_uuid *id,
      struct queue_state **queue, const char **why)
{
    struct tenant_state *tenant = NULL;
    enum om_rc rc = submit_check_room(self, &in->tenant, why);
    if (rc != OM_OK)
        return rc;
    HASH_FIND(hh, self->tenants, &in->tenant, sizeof(in->tenant), tenant);
    if (rec_iter(in->msg->depends_on).left > 0 && !depend_room(self, tenant)) {
        *why = "too many jobs wait for others";
        return OM_EFULL;
    }
    *why = "too many questions are open";
    if (is_old(self, id) && !query_room(self))
        return OM_EUNAVAILABLE;
    *why = "an event is not valid";
    if (!events_valid(in->msg->events))
        return OM_EINVAL;
    *why = "the task id is of a time to come";
    if (om_uuid_time_ms(id) > self->now.wall_ms + OLD_ID_AHEAD_MS)
        return OM_EINVAL;
    *why = "there is no such queue";
    *queue = queue_get(self, &in->tenant, in->msg->queue);
    if (!*queue)
        return OM_EINVAL;
    *why = "too many limit keys of the tenant are in use: 10000";
    if (in->msg->limit_key.size == 0 ||
        limit_fits(self, &in->tenant, SETTING_KEY, in->msg->limit_key))
        return OM_OK;
    queue_tidy(self, *queue);
    return OM_EFULL;
}

static struct task *
make(struct core *self, const struct input *in, const struct om_uuid *id,
     struct queue_state *queue, const struct submitter *by)
{
    struct task *task =
        task_create(self, id, &in->tenant, queue, in->msg, ++self->last_task_seq);
    task->since_us = told_now_us(self);
    task->created_ms = self->now.wall_ms;
    task->stream_seq = 1;
    task->empty_payload = payload_bytes(in->payload).size == 0;
    task_cache(self, task, in->payload);
    if (by->intake)
        add_submitter(task, by);
    else
        task->asker = by->asker;
    if (in->msg->has & (W(idem_key) | W(unique_key))) {
        submission_get(task);
        name_add(self, task, in->msg);
    }
    return task;
}

// Keep what the job is until it can be added.
static void
hold(struct task *task, const struct input *in)
{
    struct submission *submission = submission_get(task);
    wire_encode(WIRE_SUBMIT, in->msg, &submission->header);
    if (submission->header.failed)
        abort();
    submission->payload = payload_ref(in->payload);
}

static void
ask_known(struct core *self, struct task *task)
{
    struct submission *submission = submission_get(task);
    submission->question = ++self->last_question;
    submission->unread++;
    query_known(self, &task->tenant->id, &task->id, submission->question);
}

// The header as it is stored: what is needed to run the job and has no column of its own.
// Borrowed from the batch.
static struct om_str
stored_header(struct core *self, const struct wire_msg *msg)
{
    struct wire_msg copy = *msg;
    copy.has &= ~(W(events) | W(id) | W(task) | W(tenant) | W(queue) | W(kind));
    om_buf_reset(&self->scratch);
    wire_encode(WIRE_SUBMIT, &copy, &self->scratch);
    if (self->scratch.failed)
        abort();
    return commit_copy(self, om_buf_str(&self->scratch));
}

static struct change_task *
add(struct core *self, struct task *task, const struct wire_msg *msg,
    struct payload *payload)
{
    struct group *group =
        commit_group(self, EFFECT_SUBMIT, 1 + events_count(msg->events));
    group->task = task;
    struct change *change = commit_add(self, CHANGE_TASK);
    change->task = (struct change_task){
        .seq = task->seq,
        .id = task->id,
        .tenant = task->tenant->id,
        .queue = commit_copy(self, queue_name(task->share->queue)),
        .kind = commit_copy(self, task->kind),
        .created_ms = task->created_ms,
        .header = stored_header(self, msg),
        .payload = payload_ref(payload),
        .priority = task->priority,
        .due_ms = task->due_ms,
        .expires_ms = task->expires_ms == INT64_MAX ? 0 : task->expires_ms,
        .limit_key = commit_copy(self, task->flow->key),
        .depends = task->depends_on.size > 0,
        .retain_ms = msg->retain_ms,
        .idem_key = commit_copy(self, msg->idem_key),
        .unique_key = commit_copy(self, msg->unique_key),
        .unique_until_ms =
            WIRE_HAS(msg, unique_ms) ? task->created_ms + msg->unique_ms : 0,
    };
    commit_weigh(self, payload_bytes(payload).size);
    struct events_origin origin = { .tenant = task->tenant->id,
                                    .traceparent = msg->traceparent,
                                    .tracestate = msg->tracestate };
    events_add(self, &origin, msg->events);
    return &change->task;
}

static void
decode_held(const struct task *task, struct wire_msg *msg)
{
    if (wire_decode(om_buf_str(&task->submission->header), msg) != OM_OK)
        abort(); // this core encoded it
}

size_t
submit_changes(const struct task *task)
{
    struct wire_msg msg;
    decode_held(task, &msg);
    return 1 + events_count(msg.events);
}

void
submit_add(struct core *self, struct task *task, uint32_t set, bool set_known)
{
    struct wire_msg msg;
    struct submission *submission = task->submission;
    decode_held(task, &msg);
    task_renumber(self, task); // others were added since it was made
    struct change_task *change = add(self, task, &msg, submission->payload);
    change->set = set;
    change->set_known = set_known;
    submission->set = NULL;
    payload_unref(&submission->payload);
    om_buf_finish(&submission->header);
}

void
submit_answered(struct core *self, struct task *task)
{
    struct submission *submission = task->submission;
    if (--submission->unread > 0)
        return;
    if (submission->set)
        intake_ready(self, submission->set);
    else
        submit_add(self, task, 0, false);
}

void
submit_refuse(struct core *self, struct task *task, enum om_rc rc, const char *why)
{
    if (task->submission && task->submission->set) {
        intake_refuse(self, task, rc, why);
        return;
    }
    tell_all(self, task, &(struct outcome){ .rc = rc, .why = why, .id = &task->id });
    task_destroy(self, &task);
}

enum om_rc
submit_link(struct core *self, struct task *task, char why[SUBMIT_WHY_MAX])
{
    struct wire_msg msg;
    decode_held(task, &msg);
    return depend_link(self, task, &msg, why);
}

// Add the job that was just made, or have it wait for what must be read before.
static void
take(struct core *self, struct task *task, const struct input *in,
     const struct submitter *by)
{
    char why[SUBMIT_WHY_MAX];
    bool old = is_old(self, &task->id);
    bool depends = rec_iter(task->depends_on).left > 0;
    bool in_set = by->intake && intake_is_atomic(by->intake);
    if (!old && !depends && !in_set) {
        add(self, task, in->msg, in->payload);
        return;
    }
    hold(task, in);
    enum om_rc rc = OM_OK;
    if (old)
        ask_known(self, task);
    if (in_set)
        intake_made(by->intake, by->place, task);
    else if ((rc = submit_link(self, task, why)) != OM_OK)
        submit_refuse(self, task, rc, why);
    else if (task->submission->unread == 0)
        submit_add(self, task, 0, false);
}

void
submit_job(struct core *self, const struct input *in, const struct submitter *by)
{
    const struct wire_msg *msg = in->msg;
    struct om_uuid id;
    if (om_uuid_is_zero(&in->tenant) ||
        om_typeid_decode(OM_ID_TASK, msg->task, &id) != OM_OK ||
        om_uuid_shard(&id) != om_uuid_shard(&in->tenant)) {
        refuse(self, by, NULL, OM_EINVAL,
               "the task id is not valid, or not of the tenant's shard");
        return;
    }
    enum known_by known_by = KNOWN_ID;
    struct task *task = task_find_any(self, &id);
    if (!task)
        task = name_find(self, &in->tenant, msg, &known_by);
    if (task) {
        join(self, task, in, by, known_by);
        return;
    }
    const char *why;
    struct queue_state *queue = NULL;
    enum om_rc rc = check(self, in, &id, &queue, &why);
    if (rc != OM_OK) {
        refuse(self, by, &id, rc, why);
        return;
    }
    take(self, make(self, in, &id, queue, by), in, by);
}

void
on_submit(struct core *self, const struct input *in)
{
    struct submitter by = { .asker = { .conn = in->conn } };
    label_set(&by.asker.id, in->msg->id);
    submit_job(self, in, &by);
}

// ---- what follows

// The store knows the job, or one of its set.
static void
not_taken(struct core *self, struct task *task, const struct change *change)
{
    bool other = change->known_foreign ||
                 (change->known_by != KNOWN_UNIQUE && task->has_hash &&
                  memcmp(change->known_hash, no_hash, sizeof(no_hash)) != 0 &&
                  memcmp(change->known_hash, task->hash, sizeof(task->hash)) != 0);
    struct outcome outcome = { .id = &task->id, .duplicate = true };
    if (change->left_out) {
        outcome.rc = OM_ECONFLICT;
        outcome.why = "another job of the batch is known already";
    } else if (other) {
        outcome.rc = OM_EREUSED;
    } else if (change->known_by != KNOWN_ID) {
        const struct task *known = task_find(self, &task->tenant->id, &change->known_id);
        outcome.id = &change->known_id;
        outcome.by = change->known_by;
        outcome.state = known ? known->state : STATE_NONE;
    }
    tell_all(self, task, &outcome);
    task_destroy(self, &task);
}

// What the task, which is durable now, is placed as.
static enum task_state
first_state(const struct core *self, const struct task *task)
{
    if (task->depend && task->depend->open > 0)
        return STATE_BLOCKED;
    return task->due_ms > self->now.wall_ms ? STATE_SCHEDULED : STATE_READY;
}

void
submit_durable(struct core *self, struct group *group, struct change *change)
{
    struct task *task = group->task;
    if (change->duplicate || change->left_out) {
        not_taken(self, task, change);
        return;
    }
    self->stats.submitted++;
    stats_in(self, task->share);
    task->committed = true;
    told_commit(self, task);
    tell_all(self, task,
             &(struct outcome){ .id = &task->id, .state = first_state(self, task) });
    submission_destroy(self, task);
    task_place(self, task);
    spill_trim(self, task);
}

void
submit_failed(struct core *self, struct group *group, enum om_rc rc)
{
    submit_refuse(self, group->task, rc, NULL);
}

// An id of long ago that the store knows: the same job again, or another one.
static void
known_of_old(struct core *self, struct task *task, const struct stored_task *stored)
{
    struct wire_msg msg;
    if (stored_task_header(stored, &msg) != OM_OK || !same_content(task, &msg)) {
        submit_refuse(self, task, OM_EREUSED, NULL);
        return;
    }
    struct intake *set = task->submission->set;
    if (set)
        intake_leave(set, task);
    tell_all(self, task, &(struct outcome){ .id = &task->id, .duplicate = true });
    task_destroy(self, &task);
    if (set)
        intake_left(self, set);
}

void
submit_known_read(struct core *self, const struct om_uuid *id, int64_t question,
                  const struct read *read)
{
    struct task *task = task_find_any(self, id);
    if (!task || !task->submission || task->submission->question != question)
        return;
    task->submission->question = 0;
    if (read->rc == OM_OK)
        known_of_old(self, task, read->tasks);
    else if (read->rc == OM_ENOTFOUND)
        submit_refuse(self, task, OM_EEXPIRED,
                      "the id is older than what is remembered: submit the job under a "
                      "new one");
    else
        submit_refuse(self, task, read->rc, NULL);
}
