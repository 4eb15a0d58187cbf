#include "limit.h"
#include "task_inner.h"
#include "told.h"

// So many releases in a row are free; then the job waits, longer each time.
enum { RELEASES_FREE = 5, RELEASES_MAX = 12, RELEASE_DELAY_MS = 50 };

// A band with jobs that could start is passed over so often in a row at most, and once
// more for each other band that has been.
enum { BAND_PASSED_MAX = 32 };

static struct task *
task_of(struct lease *lease)
{
    return TIMER_OWNER(lease, struct task, lease);
}

struct change_mark *
task_mark(struct core *self, struct task *task, enum mark_kind kind)
{
    struct change *change = commit_add(self, CHANGE_MARK);
    change->mark = (struct change_mark){
        .task_seq = task->seq,
        .kind = kind,
        .at_ms = self->now.wall_ms,
    };
    task->changed = commit_slot(self).batch;
    return &change->mark;
}

// ---- to a worker

static bool
may_start(struct core *self, struct flow *flow)
{
    return spill_gate(self, flow) && limit_gate(self, flow);
}

static struct item *
pick_of(struct core *self, struct queue_state *queue, size_t band)
{
    if (!queue->jobs[band].ring)
        return NULL;
    struct item *item = fair_pick(self, &queue->jobs[band], may_start);
    if (!item)
        return NULL;
    queue->passed[band] = 0;
    for (size_t lower = band + 1; lower < BANDS; lower++)
        if (queue->jobs[lower].ring)
            queue->passed[lower]++;
    return item;
}

// The first band that has something to start, but for one that was passed over often. A
// band whose jobs are being read is waited for.
static struct task *
pick(struct core *self, struct queue_state *queue)
{
    struct item *item = NULL;
    for (size_t band = 1; band < BANDS && !item; band++)
        if (queue->passed[band] >= BAND_PASSED_MAX)
            item = pick_of(self, queue, band);
    for (size_t band = 0; band < BANDS && !item; band++) {
        item = pick_of(self, queue, band);
        if (!item && queue->jobs[band].awaited > 0)
            return NULL;
    }
    if (!item)
        return NULL;
    self->stats.ready--;
    return TIMER_OWNER(item, struct task, item);
}

static void
add_lease_mark(struct core *self, struct task *task)
{
    struct lease *lease = &task->lease;
    struct group *group =
        commit_group(self, EFFECT_LEASE, 1 + limit_starts(&task->lease));
    group->task = task;
    group->token = lease->token;
    struct change_mark *mark = task_mark(self, task, MARK_LEASE);
    mark->token = lease->token;
    mark->node = commit_copy(self, om_str(lease->session->holder));
    task->lease_mark = commit_slot(self);
    limit_add_starts(self, lease);
    if (!(lease->waiting & WAIT_COMMIT))
        commit_lazily(self);
}

bool
task_hand_out(struct core *self, struct queue_state *queue, struct credit *credit)
{
    struct task *task = pick(self, queue);
    if (!task)
        return false;
    if (task->attempts == 0 && task->expires_ms <= self->now.wall_ms) {
        task_place(self, task); // which ends it
        return true;
    }
    told_wait(self, task);
    task_unplace(self, task);
    spill_refill(self, task->flow);
    task->attempts++;
    self->stats.delivered++;
    task->started_ms = self->now.wall_ms;
    task->state = STATE_LEASED;
    task->progress = 0;
    task_set_text(&task->detail, (struct om_str){ 0 });
    task_count(task);
    lease_grant(self, &task->lease, credit, &task->id, ++task->last_attempt);
    if (queue->class == CLASS_LONG || limit_binds(&task->lease))
        task->lease.waiting |= WAIT_COMMIT;
    if (!task->payload && !task->empty_payload)
        task->lease.waiting |= WAIT_PAYLOAD;
    add_lease_mark(self, task);
    if (task->lease.waiting & WAIT_PAYLOAD)
        query_payload(self, task);
    lease_ready(self, &task->lease, 0);
    return true;
}

void
task_lease_durable(struct core *self, struct group *group, struct change *change)
{
    (void)change;
    struct lease *lease = &group->task->lease;
    if (lease->active && token_eq(&lease->token, &group->token))
        lease_ready(self, lease, WAIT_COMMIT);
}

void
task_payload_read(struct core *self, const struct wire_token *token,
                  const struct read *read)
{
    struct lease *lease = task_lease(self, token);
    if (!lease || !lease->active || !token_eq(&lease->token, token))
        return;
    struct task *task = task_of(lease);
    if (read->rc != OM_OK) {
        lease->kind->release(self, lease);
        if (task->ending)
            return; // meanwhile it has expired or was purged
        task_unplace(self, task);
        task_back_off(self, task, self->conf.retry_base_ms);
        return;
    }
    task_cache(self, task, read->payload);
    if (!task->payload)
        task->payload = payload_ref(read->payload); // until it is sent
    if (!task->payload)
        task->empty_payload = true;
    lease_ready(self, lease, WAIT_PAYLOAD);
}

static void
attempt_send(struct core *self, struct lease *lease)
{
    struct task *task = task_of(lease);
    char token[WIRE_TOKEN_BYTES];
    wire_token_encode(&lease->token, token);
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, token, ((struct om_str){ token, sizeof(token) }));
    WIRE_SET(&msg, attempt, task->attempts);
    WIRE_SET(&msg, lease_ms, lease->lease_ms);
    WIRE_SET(&msg, hard_ms, lease->hard_ms);
    struct out *job = out_encode_spliced(self, lease->session->conn, WIRE_JOB, &msg,
                                         task->job, task->payload);
    out_push(self, &job);
    if (!task->cached)
        payload_unref(&task->payload);
    watch_notify(self, task);
}

// ---- what a worker says of it

static void
attempt_started(struct core *self, struct lease *lease)
{
    struct task *task = task_of(lease);
    if (task->state != STATE_LEASED)
        return;
    task->state = STATE_RUNNING;
    task->releases = 0;
    watch_notify(self, task);
}

static void
attempt_progress(struct core *self, struct lease *lease, const struct wire_held *held)
{
    struct task *task = task_of(lease);
    bool same_detail = om_str_eq(om_str(task->detail), held->detail);
    if (task->progress == held->progress && same_detail)
        return;
    task->progress = held->progress;
    if (!same_detail)
        task_set_text(&task->detail, held->detail);
    watch_notify(self, task);
}

static void
attempt_chunk(struct core *self, struct lease *lease, const struct input *in)
{
    chunk_add(self, task_of(lease), in);
}

static void
attempt_done(struct core *self, struct lease *lease, const struct input *in)
{
    struct ending ending = { .state = STATE_SUCCEEDED,
                             .ctype = in->msg->ctype,
                             .result = in->payload,
                             .usage = in->msg->usage,
                             .events = in->msg->events,
                             .conn = in->conn };
    task_end(self, task_of(lease), &ending);
}

static void
attempt_failed(struct core *self, struct lease *lease, const struct failure *failure)
{
    task_attempt_failed(self, task_of(lease), failure);
}

static void
attempt_lost(struct core *self, struct lease *lease)
{
    task_attempt_lost(self, task_of(lease));
}

// Given back and taken again in a circle, a job would cost two marks a round.
static int64_t
release_delay_ms(struct task *task)
{
    if (task->releases < RELEASES_MAX)
        task->releases++;
    int over = task->releases - RELEASES_FREE;
    return over > 0 ? RELEASE_DELAY_MS << over : 0;
}

static void
attempt_release(struct core *self, struct lease *lease)
{
    struct task *task = task_of(lease);
    // One that a restart has found, and nobody spoke for, is lost, though it costs
    // nothing.
    const struct om_rc_info *lost = lease->claimed ? NULL : om_rc_info(OM_ELOST);
    told_attempt(self, task, om_str(lost ? lost->code : NULL),
                 om_str(lost ? lost->text : NULL));
    lease_end(self, lease, 0);
    task->attempts--;
    if (!commit_withdraw(self, task->lease_mark)) {
        commit_group(self, EFFECT_NONE, 1);
        task_mark(self, task, MARK_RELEASE);
        commit_lazily(self);
    }
    int64_t delay_ms = release_delay_ms(task);
    if (delay_ms > 0 && !task->cancel)
        task_back_off(self, task, delay_ms);
    else
        task_place(self, task);
}

const struct lease_kind task_kind = {
    .send = attempt_send,
    .started = attempt_started,
    .progress = attempt_progress,
    .chunk = attempt_chunk,
    .done = attempt_done,
    .fail = attempt_failed,
    .release = attempt_release,
    .lost = attempt_lost,
};

// ---- CANCEL

// The result that waits for the disk decides.
static void
cancel_ending(struct core *self, struct task *task, const struct asker *asker)
{
    struct out *answer;
    if (task->ending == STATE_CANCELLED) {
        answer = out_about(self, asker, WIRE_CANCEL_ACK, &task->id);
    } else {
        struct wire_msg msg = { 0 };
        WIRE_SET(&msg, id, label_str(&asker->id));
        WIRE_SET(&msg, code, om_str(om_rc_info(OM_ECONFLICT)->code));
        WIRE_SET(&msg, text, OM_LIT("the task has ended"));
        answer = out_encode(self, asker->conn, WIRE_ERROR, &msg, NULL);
    }
    commit_after(self, &answer);
}

void
task_cancel(struct core *self, struct task *task, const struct asker *asker)
{
    if (task->ending) {
        cancel_ending(self, task, asker);
        return;
    }
    struct out *ack = out_about(self, asker, WIRE_CANCEL_ACK, &task->id);
    if (!task->lease.active || task->lease.credit) { // no worker has it
        task->cancel = true;
        task_end(self, task, &(struct ending){ .state = STATE_CANCELLED, .send = ack });
    } else if (!task->cancel) {
        task->cancel = true;
        struct group *group = commit_group(self, EFFECT_CANCEL, 1);
        group->task = task;
        group->send = ack;
        task_mark(self, task, MARK_CANCEL);
    } else if (task->cancel_durable) {
        out_push(self, &ack);
    } else {
        commit_after(self, &ack);
    }
}

void
task_cancel_durable(struct core *self, struct group *group, struct change *change)
{
    (void)change;
    struct task *task = group->task;
    task->cancel_durable = true;
    if (!task->lease.active)
        return; // its end is on its way
    task->state = STATE_CANCELLING;
    lease_cancel(self, &task->lease);
    watch_notify(self, task);
}
