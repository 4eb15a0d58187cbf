#include "depend.h"
#include "limit.h"
#include "purge.h"
#include "submit.h"
#include "task_inner.h"
#include "told.h"

// ---- making and freeing

void
task_set_text(char **member, struct om_str text)
{
    free(*member);
    *member = core_strdup(text);
}

struct tenant_state *
tenant_get(struct core *self, const struct om_uuid *id)
{
    struct tenant_state *tenant = NULL;
    HASH_FIND(hh, self->tenants, id, sizeof(*id), tenant);
    if (!tenant) {
        tenant = core_alloc(sizeof(*tenant));
        tenant->id = *id;
        HASH_ADD(hh, self->tenants, id, sizeof(tenant->id), tenant);
    }
    return tenant;
}

void
tenant_drop(struct core *self, struct tenant_state *tenant)
{
    if (--tenant->open > 0)
        return;
    HASH_DEL(self->tenants, tenant);
    free(tenant);
}

static int64_t
or_default(const struct wire_msg *msg, uint64_t field, int64_t value, int64_t fallback)
{
    return msg->has & field ? value : fallback;
}

// What a job's header says of it.
static void
read_options(struct core *self, const struct wire_msg *msg, struct task *task)
{
    task->priority =
        (uint8_t)or_default(msg, W(priority), msg->priority, PRIORITY_DEFAULT);
    task->flow = flow_get(task->share, task->priority, msg->limit_key);
    task->lease.flow = task->flow;
    limit_join_flow(self, task->flow);
    stats_join(self, task->share);
    task->due_ms = msg->due_ms;
    task->expires_ms = or_default(msg, W(expires_ms), msg->expires_ms, INT64_MAX);
    task->max_attempts =
        or_default(msg, W(max_attempts), msg->max_attempts, self->conf.max_attempts);
    task->lease.hard_ms =
        or_default(msg, W(hard_ms), msg->hard_ms, task->share->queue->hard_ms);
    task->has_hash = WIRE_HAS(msg, hash);
    if (task->has_hash)
        memcpy(task->hash, msg->hash.data, sizeof(task->hash));
}

// A task with room for what its JOB takes from the header as it is.
static struct task *
task_alloc(struct core *self, const struct wire_msg *msg)
{
    const uint64_t kept = W(kind) | W(traceparent) | W(tracestate) | W(depends_on);
    struct om_buf *buf = &self->scratch;
    om_buf_reset(buf);
    uint64_t has = wire_encode_part(WIRE_JOB, msg, W(kind), buf).has;
    size_t kind_end = buf->size;
    has |= wire_encode_part(WIRE_JOB, msg, W(traceparent), buf).has;
    size_t trace_end = buf->size;
    has |= wire_encode_part(WIRE_JOB, msg, W(tracestate), buf).has;
    has |= wire_encode_part(WIRE_JOB, msg, W(depends_on), buf).has;
    size_t depends_end = buf->size;
    has |= wire_encode_part(WIRE_JOB, msg, ~(JOB_LEASE_FIELDS | kept), buf).has;
    size_t job_end = buf->size;
    om_buf_put(buf, msg->unique_key.data, msg->unique_key.size);
    if (buf->failed)
        abort();
    struct task *task = pool_take(&self->pool, sizeof(*task) + buf->size);
    memcpy(task->memory, buf->data, buf->size);
    task->job = (struct wire_part){ has, { task->memory, job_end } };
    task->unique_key = (struct om_str){ task->memory + job_end, msg->unique_key.size };
    task->kind =
        (struct om_str){ task->memory + kind_end - msg->kind.size, msg->kind.size };
    if (WIRE_HAS(msg, traceparent))
        task->traceparent =
            (struct om_str){ task->memory + trace_end - msg->traceparent.size,
                             msg->traceparent.size };
    if (WIRE_HAS(msg, depends_on))
        task->depends_on =
            (struct om_str){ task->memory + depends_end - msg->depends_on.size,
                             msg->depends_on.size };
    return task;
}

struct om_str
task_tracestate(const struct task *task)
{
    struct rec_value key, value;
    if (!(task->job.has & W(tracestate)) || task->traceparent.size == 0)
        return (struct om_str){ 0 };
    const char *at = task->traceparent.data + task->traceparent.size;
    const char *end = task->job.bytes.data + task->job.bytes.size;
    struct om_str rest = { at, (size_t)(end - at) }; // it is encoded behind that
    bool found = rec_next_value(&rest, &key) && rec_next_value(&rest, &value);
    return found ? value.bytes : (struct om_str){ 0 };
}

struct task *
task_create(struct core *self, const struct om_uuid *id, const struct om_uuid *tenant,
            struct queue_state *queue, const struct wire_msg *msg, int64_t seq)
{
    struct task *task = task_alloc(self, msg);
    task->id = *id;
    task->seq = seq;
    task->tenant = tenant_get(self, tenant);
    task->share = share_get(self, queue, tenant);
    task->state = STATE_READY; // until it is placed
    task->lease.kind = &task_kind;
    task->lease.queue = queue;
    task->lease.share = task->share;
    read_options(self, msg, task);
    HASH_ADD(hh, self->tasks, id, sizeof(task->id), task);
    DL_APPEND(task->tenant->tasks, task);
    task->tenant->open++;
    self->stats.open_tasks++;
    return task;
}

void
task_count(struct task *task)
{
    static const enum gauge gauges[STATE_COUNT] = {
        [STATE_BLOCKED] = GAUGE_BLOCKED,     [STATE_SCHEDULED] = GAUGE_SCHEDULED,
        [STATE_READY] = GAUGE_READY,         [STATE_LEASED] = GAUGE_RUNNING,
        [STATE_RUNNING] = GAUGE_RUNNING,     [STATE_CANCELLING] = GAUGE_RUNNING,
        [STATE_RETRY_WAIT] = GAUGE_RETRYING,
    };
    enum gauge gauge = task->ending ? GAUGE_NONE : gauges[task->state];
    if (gauge != task->gauge)
        stats_move(task->share, task->gauge, gauge);
    task->gauge = gauge;
}

void
task_renumber(struct core *self, struct task *task)
{
    if (task->seq == self->last_task_seq)
        return;
    DL_DELETE(task->tenant->tasks, task);
    task->seq = ++self->last_task_seq;
    DL_APPEND(task->tenant->tasks, task);
}

void
task_unplace(struct core *self, struct task *task)
{
    if (task->item.flow)
        self->stats.ready--;
    fair_remove(&task->item);
    self->spill->timed_count -= task->timed;
    task->timed = false;
    if (task->parked)
        spill_unpark(self, task);
    timer_stop(&self->mono, &task->backoff);
    timer_stop(&self->wall, &task->wall);
}

static void
uncache(struct core *self, struct task *task)
{
    if (task->cached)
        self->cached_bytes -= task->payload->bytes.size;
    task->cached = false;
    payload_unref(&task->payload);
}

void
task_destroy(struct core *self, struct task **task_p)
{
    struct task *task = *task_p;
    *task_p = NULL;
    task_unplace(self, task);
    stats_move(task->share, task->gauge, GAUGE_NONE);
    if (task->lease.active)
        lease_end(self, &task->lease, 0);
    submission_destroy(self, task);
    depend_destroy(self, task);
    uncache(self, task);
    chunk_forget(self, task);
    HASH_DEL(self->tasks, task);
    DL_DELETE(task->tenant->tasks, task);
    tenant_drop(self, task->tenant);
    if (task->flow)
        flow_unref(self, &task->flow);
    share_unref(self, &task->share);
    free(task->detail);
    free(task->code);
    free(task->text);
    pool_give(task);
    self->stats.open_tasks--;
}

void
task_destroy_all(struct core *self)
{
    struct task *task, *next;
    HASH_ITER (hh, self->tasks, task, next)
        task_destroy(self, &task);
}

void
task_cache(struct core *self, struct task *task, struct payload *payload)
{
    if (task->payload || !payload)
        return;
    size_t size = payload->bytes.size;
    if (size > self->conf.payload_cache_bytes - self->cached_bytes)
        return;
    task->payload = payload_ref(payload);
    task->cached = true;
    self->cached_bytes += size;
}

struct task *
task_find_any(const struct core *self, const struct om_uuid *id)
{
    struct task *task = NULL;
    HASH_FIND(hh, self->tasks, id, sizeof(*id), task);
    return task;
}

struct task *
task_find(const struct core *self, const struct om_uuid *tenant, const struct om_uuid *id)
{
    struct task *task = task_find_any(self, id);
    bool visible = task && task->committed && om_uuid_eq(&task->tenant->id, tenant);
    return visible ? task : NULL;
}

struct lease *
task_lease(struct core *self, const struct wire_token *token)
{
    struct task *task = task_find_any(self, &token->task);
    return task ? &task->lease : NULL;
}

// ---- waiting

static void
on_wall(struct core *self, struct timer *timer)
{
    struct task *task = TIMER_OWNER(timer, struct task, wall);
    if (task->state != STATE_RETRY_WAIT)
        task_place(self, task);
}

static void
on_backoff(struct core *self, struct timer *timer)
{
    struct task *task = TIMER_OWNER(timer, struct task, backoff);
    task->due_ms = 0;
    task_place(self, task);
}

void
task_back_off(struct core *self, struct task *task, int64_t delay_ms)
{
    task->state = STATE_RETRY_WAIT;
    task->due_ms = self->now.wall_ms + delay_ms;
    self->spill->timed_count += !task->timed;
    task->timed = true;
    task_count(task);
    timer_set(&self->mono, &task->backoff, self->now.mono_ms + delay_ms, on_backoff);
    watch_notify(self, task);
}

static bool
may_expire(const struct task *task)
{
    return task->attempts == 0 && task->expires_ms != INT64_MAX;
}

bool
task_end_if_over(struct core *self, struct task *task)
{
    struct ending ending = { .state = STATE_NONE };
    if (task->cancel || purge_covers(task)) {
        ending.state = STATE_CANCELLED;
    } else if (may_expire(task) && task->expires_ms <= self->now.wall_ms) {
        ending.state = STATE_EXPIRED;
        ending.code = om_str(om_rc_info(OM_EEXPIRED)->code);
    } else if (depend_has_failed(task)) {
        ending.state = STATE_CANCELLED;
        ending.code = OM_LIT("parent_failed");
        ending.text = OM_LIT("a task it depends on did not succeed");
    }
    if (ending.state)
        task_end(self, task, &ending);
    return ending.state != STATE_NONE;
}

void
task_place(struct core *self, struct task *task)
{
    task_unplace(self, task);
    if (task_end_if_over(self, task))
        return;
    int64_t wall_ms = self->now.wall_ms;
    enum task_state before = task->state;
    int64_t wake_ms = may_expire(task) ? task->expires_ms : INT64_MAX;
    if (depend_must_wait(self, task)) {
        task->state = STATE_BLOCKED;
    } else if (task->due_ms > wall_ms) {
        task->state = STATE_SCHEDULED;
        task->timed = true;
        self->spill->timed_count++;
        wake_ms = task->due_ms < wake_ms ? task->due_ms : wake_ms;
    } else {
        task->state = STATE_READY;
        told_ready(self, task);
        if (spill_is_behind(self, task->flow)) {
            spill_park(self, task);
        } else {
            fair_push(task->flow, &task->item);
            self->stats.ready++;
        }
        queue_touch(self, task->share->queue);
    }
    task_count(task);
    if (wake_ms != INT64_MAX)
        timer_set(&self->wall, &task->wall, wake_ms, on_wall);
    if (task->state != before)
        watch_notify(self, task);
}

// ---- RETRY

static struct task *
from_stored(struct core *self, const struct stored_task *stored)
{
    struct wire_msg msg;
    if (stored_task_header(stored, &msg) != OM_OK)
        return NULL;
    char id[OM_TYPEID_MAX], tenant[OM_TYPEID_MAX];
    size_t id_size = om_typeid_encode(OM_ID_TASK, &stored->id, id);
    size_t tenant_size = om_typeid_encode(OM_ID_TENANT, &stored->tenant, tenant);
    WIRE_SET(&msg, task, ((struct om_str){ id, id_size }));
    WIRE_SET(&msg, tenant, ((struct om_str){ tenant, tenant_size }));
    WIRE_SET(&msg, queue, stored->queue);
    WIRE_SET(&msg, kind, stored->kind);
    struct queue_state *queue = queue_get(self, &stored->tenant, stored->queue);
    if (!queue)
        return NULL;
    struct task *task =
        task_create(self, &stored->id, &stored->tenant, queue, &msg, stored->seq);
    task->created_ms = stored->created_ms;
    task->last_attempt = stored->token.attempt;
    chunk_load(task, stored);
    return task;
}

bool
task_retry_open(struct core *self, const struct om_uuid *tenant, const struct om_uuid *id,
                const struct asker *asker)
{
    struct task *task = task_find_any(self, id);
    if (!task || !om_uuid_eq(&task->tenant->id, tenant))
        return false;
    if (!task->reopened) {
        out_error(self, asker->conn, label_str(&asker->id), OM_ECONFLICT,
                  "the task has not failed");
        return true;
    }
    char text[OM_TYPEID_MAX];
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, id, label_str(&asker->id));
    WIRE_SET(&msg, task,
             ((struct om_str){ text, om_typeid_encode(OM_ID_TASK, id, text) }));
    WIRE_SET(&msg, status, om_str(state_info(task->state)->public_name));
    struct out *submitted = out_encode(self, asker->conn, WIRE_SUBMITTED, &msg, NULL);
    if (task->committed)
        out_push(self, &submitted);
    else
        commit_after(self, &submitted);
    return true;
}

// A RETRY opened it again: it is due at once, and does not expire.
static void
set_reopened(struct task *task)
{
    task->reopened = true;
    task->due_ms = 0;
    task->expires_ms = INT64_MAX;
}

enum om_rc
task_reopen(struct core *self, const struct stored_task *stored, struct out **send_p,
            const char **why)
{
    enum om_rc rc = submit_check_room(self, &stored->tenant, why);
    struct task *task = rc == OM_OK ? from_stored(self, stored) : NULL;
    if (!task)
        return rc == OM_OK ? OM_EDB : rc;
    set_reopened(task);
    struct group *group = commit_group(self, EFFECT_REOPEN, 2);
    group->task = task;
    group->send = *send_p;
    *send_p = NULL;
    commit_add(self, CHANGE_REOPEN)->reopen_seq = task->seq;
    task_mark(self, task, MARK_REOPEN)->token.lease = (uint64_t)++self->last_task_seq;
    return OM_OK;
}

void
task_reopen_durable(struct core *self, struct group *group, struct change *change)
{
    (void)change;
    group->task->committed = true;
    task_place(self, group->task);
    spill_trim(self, group->task);
}

// ---- loading

struct task *
task_restore(struct core *self, const struct stored_task *stored)
{
    struct task *task = from_stored(self, stored);
    if (!task)
        return NULL;
    task->committed = true;
    task_cache(self, task, stored->payload);
    if (stored->reopened)
        set_reopened(task);
    depend_restore(self, task, stored);
    task->cancel = task->cancel_durable = stored->cancel;
    task->attempts = stored->attempts;
    task->lost = stored->lost;
    task->started_ms = stored->started_ms;
    task_set_text(&task->code, stored->code);
    task_set_text(&task->text, stored->text);
    if (stored->leased) {
        lease_restore(self, &task->lease, &stored->token, stored->node);
        task->lease.cancel = task->cancel;
        task->state = task->cancel ? STATE_CANCELLING : STATE_RUNNING;
        task_count(task);
    } else if (stored->due_ms) {
        task->state = STATE_RETRY_WAIT;
        task->due_ms = stored->due_ms;
    }
    return task;
}

void
task_resume(struct core *self, struct task *task)
{
    int64_t delay_ms = task->due_ms - self->now.wall_ms;
    if (delay_ms > WIRE_RETRY_MAX_MS)
        delay_ms = WIRE_RETRY_MAX_MS; // the clock was set back
    if (task->lease.active)
        lease_count_anew(self, &task->lease);
    else if (task->state == STATE_RETRY_WAIT && delay_ms > 0 && !task->cancel)
        task_back_off(self, task, delay_ms);
    else
        task_place(self, task);
}

static void
note_seq(struct core *self, int64_t seq)
{
    if (seq > self->last_task_seq)
        self->last_task_seq = seq;
}

enum om_rc
core_load_task(struct core *self, const struct stored_task *stored)
{
    struct task *task = task_restore(self, stored);
    if (!task)
        return OM_EPROTO;
    note_seq(self, stored->seq);
    note_seq(self, stored->reopen_seq);
    spill_trim_loaded(self, task);
    return OM_OK;
}

enum om_rc
core_load_waiting(struct core *self, const struct stored_waiting *waiting)
{
    note_seq(self, waiting->seq);
    return spill_load_waiting(self, waiting);
}

void
task_serve_all(struct core *self)
{
    struct task *task, *next;
    HASH_ITER (hh, self->tasks, task, next)
        task_resume(self, task);
}
