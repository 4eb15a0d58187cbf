#include "depend.h"
#include "task_inner.h"
#include "told.h"

static void
add_result(struct core *self, struct task *task, const struct ending *ending)
{
    struct change *change = commit_add(self, CHANGE_RESULT);
    change->result = (struct change_result){
        .task_seq = task->seq,
        .state = ending->state,
        .attempts = task->attempts,
        .lost = task->lost,
        .started_ms = task->started_ms,
        .finished_ms = self->now.wall_ms,
        .code = commit_copy(self, ending->code),
        .text = commit_copy(self, ending->text),
        .ctype = commit_copy(self, ending->ctype),
        .payload = payload_ref(ending->result),
    };
}

// Write a number in decimal. Returns how many digits.
static size_t
put_number(char *out, uint32_t value)
{
    char digits[10];
    size_t count = 0;
    do {
        digits[count++] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    for (size_t i = 0; i < count; i++)
        out[i] = digits[count - 1 - i];
    return count;
}

enum { PREFIX_MAX = OM_TYPEID_MAX + 24 };

// "<task>/<attempt>", with which the ids of its events begin.
static struct om_str
event_prefix(const struct task *task, char out[PREFIX_MAX])
{
    size_t size = om_typeid_encode(OM_ID_TASK, &task->id, out);
    out[size++] = '/';
    return (struct om_str){ out,
                            size + put_number(out + size, task->lease.token.attempt) };
}

static struct events_origin
origin_of(const struct task *task)
{
    return (struct events_origin){ .tenant = task->tenant->id,
                                   .traceparent = task->traceparent,
                                   .tracestate = task_tracestate(task),
                                   .own_worker = !task->share->queue->info };
}

// Usage and events go with the change that caused them. A lost attempt bills nothing.
static void
add_events(struct core *self, const struct task *task, struct om_str usage,
           struct om_str events)
{
    struct events_origin origin = origin_of(task);
    char prefix[PREFIX_MAX];
    events_add_usage(self, &origin, event_prefix(task, prefix), usage);
    events_add(self, &origin, events);
}

// The attempt failed: that is an event too, in the commit which says so.
static void
add_error(struct core *self, const struct task *task, struct om_str code,
          struct om_str text, bool retried)
{
    struct events_origin origin = origin_of(task);
    char prefix[PREFIX_MAX], id[OM_TYPEID_MAX];
    om_typeid_encode(OM_ID_TASK, &task->id, id);
    struct error_event error = { 0 };
    REC_SET(&error, error_event, source, OM_LIT(ERROR_SOURCE_JOB));
    REC_SET(&error, error_event, queue, queue_name(task->share->queue));
    REC_SET(&error, error_event, code, code.size ? code : OM_LIT("failed"));
    REC_SET(&error, error_event, text, text.data ? text : OM_LIT(""));
    REC_SET(&error, error_event, task_id, om_str(id));
    REC_SET(&error, error_event, attempt, task->lease.token.attempt);
    if (retried)
        REC_SET(&error, error_event, retried, true);
    if (task->kind.size)
        REC_SET(&error, error_event, kind, task->kind);
    if (task->lease.node.size)
        REC_SET(&error, error_event, worker, label_str(&task->lease.node));
    events_add_error(self, &origin, event_prefix(task, prefix), &error);
}

// A worker's word ended the attempt: it hears DONE_ACK when `group` is durable.
static void
acknowledge(struct core *self, struct task *task, struct group *group, core_conn conn)
{
    group->ack = conn != 0;
    group->conn = conn;
    group->token = task->lease.token;
    if (task->lease.active)
        lease_end(self, &task->lease, conn);
}

void
task_end(struct core *self, struct task *task, struct ending *ending)
{
    // The result says all that the mark of the attempt would, and no RETRY follows.
    if (ending->state == STATE_SUCCEEDED)
        commit_withdraw(self, task->lease_mark);
    bool failed = ending->state == STATE_FAILED;
    size_t count =
        1 + events_count(ending->usage) + events_count(ending->events) + failed;
    struct group *group = commit_group(self, EFFECT_END, count);
    group->task = task;
    group->send = ending->send;
    told_attempt(self, task, ending->code, ending->text);
    add_result(self, task, ending);
    add_events(self, task, ending->usage, ending->events);
    if (failed)
        add_error(self, task, ending->code, ending->text, false);
    task->ending = ending->state;
    depend_ending(self, task, ending->state);
    task->finished_ms = self->now.wall_ms;
    task_unplace(self, task);
    task_count(task);
    acknowledge(self, task, group, ending->conn);
}

void
task_end_durable(struct core *self, struct group *group, struct change *change)
{
    struct task *task = group->task;
    task->state = change->result.state;
    if (change->result.code.size)
        task_set_text(&task->code, change->result.code);
    if (change->result.text.size)
        task_set_text(&task->text, change->result.text);
    stats_out(self, task->share);
    if (task->state == STATE_SUCCEEDED)
        stats_count(task->share, TALLY_COMPLETED);
    if (task->state == STATE_FAILED)
        stats_count(task->share, TALLY_FAILED);
    self->stats.completed += task->state == STATE_SUCCEEDED;
    self->stats.failed += task->state == STATE_FAILED;
    self->stats.cancelled += task->state == STATE_CANCELLED;
    self->stats.expired += task->state == STATE_EXPIRED;
    watch_finish(self, task);
    depend_ended(self, &task->tenant->id, &task->id, task->state);
    task_destroy(self, &group->task);
}

// Full jitter: anything up to the backoff, so that what failed together does not come
// back together.
static int64_t
backoff_ms(struct core *self, int64_t failures)
{
    int64_t most_ms = self->conf.retry_base_ms;
    while (--failures > 0 && most_ms < self->conf.retry_cap_ms)
        most_ms *= 2;
    if (most_ms > self->conf.retry_cap_ms)
        most_ms = self->conf.retry_cap_ms;
    return 1 + core_random(self, most_ms);
}

static void
retry_later(struct core *self, struct task *task, enum mark_kind kind,
            const struct failure *failure, int64_t delay_ms)
{
    self->stats.retried++;
    bool failed = !failure->cancelled; // else its worker gave it back, as it has to stop
    struct group *group =
        commit_group(self, EFFECT_RETRY, 1 + events_count(failure->usage) + failed);
    group->task = task;
    struct change_mark *mark = task_mark(self, task, kind);
    mark->due_ms = self->now.wall_ms + delay_ms;
    mark->code = commit_copy(self, failure->code);
    mark->text = commit_copy(self, failure->text);
    add_events(self, task, failure->usage, (struct om_str){ 0 });
    if (failed)
        add_error(self, task, failure->code, failure->text, true);
    told_attempt(self, task, failure->code, failure->text);
    acknowledge(self, task, group, failure->conn);
    task_set_text(&task->code, failure->code);
    task_set_text(&task->text, failure->text);
    task_back_off(self, task, delay_ms);
}

void
task_retry_durable(struct core *self, struct group *group, struct change *change)
{
    (void)change;
    spill_trim_later(self, group->task);
}

void
task_attempt_failed(struct core *self, struct task *task, const struct failure *failure)
{
    struct ending ending = { .code = failure->code,
                             .text = failure->text,
                             .usage = failure->usage,
                             .conn = failure->conn };
    int64_t failures = task->attempts - task->lost;
    if (task->cancel) {
        ending.state = STATE_CANCELLED;
        ending.code = ending.text = (struct om_str){ 0 };
        task_end(self, task, &ending);
    } else if (!failure->retryable || failures >= task->max_attempts) {
        ending.state = STATE_FAILED;
        task_end(self, task, &ending);
    } else {
        int64_t delay_ms =
            failure->retry_ms >= 0 ? failure->retry_ms : backoff_ms(self, failures);
        retry_later(self, task, MARK_FAIL, failure, delay_ms);
    }
}

// Where no worker of this start of the broker ever spoke for the lease, the restart may
// have caused the loss: then the attempt does not count.
void
task_attempt_lost(struct core *self, struct task *task)
{
    if (task->cancel) {
        task_end(self, task, &(struct ending){ .state = STATE_CANCELLED });
        return;
    }
    if (!task->lease.claimed) {
        task->lease.kind->release(self, &task->lease);
        return;
    }
    struct failure failure = { .code = om_str(om_rc_info(OM_ELOST)->code),
                               .text = om_str(om_rc_info(OM_ELOST)->text) };
    task->lost++;
    stats_count(task->share, TALLY_LOST);
    if (task->lost >= self->conf.max_lost)
        task_end(self, task,
                 &(struct ending){
                     .state = STATE_FAILED, .code = failure.code, .text = failure.text });
    else
        retry_later(self, task, MARK_LOST, &failure, backoff_ms(self, task->lost));
}
