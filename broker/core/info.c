#include "depend.h"
#include "task_inner.h"

// What an open and a stored task have in common.
struct view {
    const struct om_uuid *id, *tenant;
    enum task_state state;
    struct om_str code, text;
};

static void
encode(struct wire_task *record, const struct view *view, struct om_buf *out)
{
    char id[OM_TYPEID_MAX], tenant[OM_TYPEID_MAX];
    size_t id_size = om_typeid_encode(OM_ID_TASK, view->id, id);
    size_t tenant_size = om_typeid_encode(OM_ID_TENANT, view->tenant, tenant);
    REC_SET(record, wire_task, task, ((struct om_str){ id, id_size }));
    REC_SET(record, wire_task, tenant, ((struct om_str){ tenant, tenant_size }));
    REC_SET(record, wire_task, state, view->state);
    bool failed = view->state == STATE_FAILED || view->state == STATE_RETRY_WAIT ||
                  view->state == STATE_EXPIRED || view->state == STATE_CANCELLED;
    if (failed && view->code.size)
        REC_SET(record, wire_task, code, view->code);
    if (failed && view->text.size)
        REC_SET(record, wire_task, text, view->text);
    rec_encode(&wire_task_rec, record, out);
}

// A whole record is too large for a list of many.
static void
put_open(const struct task *task, bool whole, struct om_buf *out)
{
    struct wire_task record = { 0 };
    struct view view = { &task->id, &task->tenant->id, task->state, om_str(task->code),
                         om_str(task->text) };
    REC_SET(&record, wire_task, queue, queue_name(task->share->queue));
    REC_SET(&record, wire_task, kind, task->kind);
    REC_SET(&record, wire_task, attempts, task->attempts);
    REC_SET(&record, wire_task, lost, task->lost);
    REC_SET(&record, wire_task, created_ms, task->created_ms);
    if (task->started_ms)
        REC_SET(&record, wire_task, started_ms, task->started_ms);
    if (state_info(task->state)->ended)
        REC_SET(&record, wire_task, finished_ms, task->finished_ms);
    if (task->state == STATE_SCHEDULED || task->state == STATE_RETRY_WAIT ||
        (task->state == STATE_BLOCKED && task->due_ms > 0))
        REC_SET(&record, wire_task, due_ms, task->due_ms > 0 ? task->due_ms : 0);
    REC_SET(&record, wire_task, priority, task->priority);
    REC_SET(&record, wire_task, max_attempts, task->max_attempts);
    if (task->unique_key.size)
        REC_SET(&record, wire_task, unique_key, task->unique_key);
    if (task->expires_ms != INT64_MAX)
        REC_SET(&record, wire_task, expires_ms, task->expires_ms);
    if (task->flow->key.size)
        REC_SET(&record, wire_task, limit_key, task->flow->key);
    if (task->lease.active)
        REC_SET(&record, wire_task, progress, task->progress);
    if (task->lease.active && !task->lease.credit)
        REC_SET(&record, wire_task, node, label_str(&task->lease.node));
    if (task->detail)
        REC_SET(&record, wire_task, detail, om_str(task->detail));
    if (task->cancel_durable)
        REC_SET(&record, wire_task, cancel_requested, true);
    if (task->depend)
        REC_SET(&record, wire_task, waits_for, (int64_t)task->depend->open);
    if (whole && task->depends_on.size)
        REC_SET(&record, wire_task, depends_on, task->depends_on);
    encode(&record, &view, out);
}

void
task_info(const struct task *task, struct om_buf *out)
{
    put_open(task, false, out);
}

void
task_info_whole(const struct task *task, struct om_buf *out)
{
    put_open(task, true, out);
}

// A stored task without a result that is not open in memory: what its marks say of it.
static enum task_state
open_state(const struct core *self, const struct stored_task *stored)
{
    enum task_state away = spill_state(self, stored);
    if (away)
        return away;
    if (stored->leased)
        return stored->cancel ? STATE_CANCELLING : STATE_RUNNING;
    return stored->due_ms ? STATE_RETRY_WAIT : STATE_READY;
}

// What the record shows of a task's SUBMIT.
static void
set_submitted(const struct core *self, const struct stored_task *stored,
              enum task_state state, bool whole, const struct wire_msg *submit,
              struct wire_task *record)
{
    REC_SET(record, wire_task, priority,
            WIRE_HAS(submit, priority) ? submit->priority : PRIORITY_DEFAULT);
    REC_SET(record, wire_task, max_attempts,
            WIRE_HAS(submit, max_attempts) ? submit->max_attempts
                                           : self->conf.max_attempts);
    if (WIRE_HAS(submit, unique_key))
        REC_SET(record, wire_task, unique_key, submit->unique_key);
    if (WIRE_HAS(submit, limit_key))
        REC_SET(record, wire_task, limit_key, submit->limit_key);
    if (WIRE_HAS(submit, expires_ms) && !stored->reopened)
        REC_SET(record, wire_task, expires_ms, submit->expires_ms);
    if (state == STATE_SCHEDULED)
        REC_SET(record, wire_task, due_ms, submit->due_ms);
    if (whole && WIRE_HAS(submit, depends_on))
        REC_SET(record, wire_task, depends_on, submit->depends_on);
}

static void
put_stored(const struct core *self, const struct stored_task *stored, bool whole,
           struct om_buf *out)
{
    struct wire_msg submit;
    struct wire_task record = { 0 };
    struct view view = { &stored->id, &stored->tenant, stored->state, stored->code,
                         stored->text };
    if (view.state == STATE_NONE)
        view.state = open_state(self, stored);
    REC_SET(&record, wire_task, queue, stored->queue);
    REC_SET(&record, wire_task, kind, stored->kind);
    REC_SET(&record, wire_task, attempts, stored->attempts);
    REC_SET(&record, wire_task, lost, stored->lost);
    REC_SET(&record, wire_task, created_ms, stored->created_ms);
    if (stored->started_ms)
        REC_SET(&record, wire_task, started_ms, stored->started_ms);
    if (stored->finished_ms)
        REC_SET(&record, wire_task, finished_ms, stored->finished_ms);
    if (view.state == STATE_RETRY_WAIT)
        REC_SET(&record, wire_task, due_ms, stored->due_ms);
    if (stored->ctype.size)
        REC_SET(&record, wire_task, ctype, stored->ctype);
    if (stored->cancel)
        REC_SET(&record, wire_task, cancel_requested, true);
    if (stored_task_header(stored, &submit) == OM_OK)
        set_submitted(self, stored, view.state, whole, &submit, &record);
    encode(&record, &view, out);
}

void
task_stored_info(const struct core *self, const struct stored_task *stored,
                 struct om_buf *out)
{
    put_stored(self, stored, false, out);
}

void
task_stored_info_whole(const struct core *self, const struct stored_task *stored,
                       struct om_buf *out)
{
    put_stored(self, stored, true, out);
}
