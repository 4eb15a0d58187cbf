#include "task_inner.h"

// ---- making and freeing

void
task_set_text(char **member, struct om_str text)
{
    free(*member);
    *member = core_strdup(text);
}

static struct tenant_state *
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

static void
tenant_remove(struct core *self, struct task *task)
{
    struct tenant_state *tenant = task->tenant;
    DL_DELETE(tenant->tasks, task);
    if (--tenant->open > 0)
        return;
    HASH_DEL(self->tenants, tenant);
    free(tenant);
}

// Tasks of a tenant stand in the order of their seq; nearly always at the end.
static void
tenant_add(struct tenant_state *tenant, struct task *task)
{
    struct task *before = tenant->tasks ? tenant->tasks->prev : NULL; // the last
    while (before && before->seq > task->seq)
        before = before == tenant->tasks ? NULL : before->prev;
    if (before)
        DL_APPEND_ELEM(tenant->tasks, before, task);
    else
        DL_PREPEND(tenant->tasks, task);
    tenant->open++;
}

static int64_t
or_default(const struct wire_msg *msg, uint64_t field, int64_t value, int64_t fallback)
{
    return msg->has & field ? value : fallback;
}

// What a job's header says of it. `header` is owned by the task and holds the strings.
static enum om_rc
read_options(const struct core *self, struct task *task)
{
    struct wire_msg msg;
    enum om_rc rc = wire_decode(task->header, &msg);
    if (rc != OM_OK)
        return rc;
    task->kind = msg.kind;
    task->traceparent = msg.traceparent;
    task->priority = (uint8_t)or_default(&msg, W(priority), msg.priority, 5);
    task->flow = flow_get(task->share, task->priority, msg.limit_key);
    task->due_ms = msg.due_ms;
    task->expires_ms = or_default(&msg, W(expires_ms), msg.expires_ms, INT64_MAX);
    task->max_attempts =
        or_default(&msg, W(max_attempts), msg.max_attempts, self->conf.max_attempts);
    task->lease.hard_ms =
        or_default(&msg, W(hard_ms), msg.hard_ms, task->share->queue->hard_ms);
    task->has_hash = WIRE_HAS(&msg, hash);
    if (task->has_hash)
        memcpy(task->hash, msg.hash.data, sizeof(task->hash));
    return OM_OK;
}

static struct task *
task_create(struct core *self, const struct om_uuid *id, const struct om_uuid *tenant,
            struct queue_state *queue, struct om_str header, int64_t seq)
{
    struct task *task = core_alloc(sizeof(*task));
    char *copy = core_realloc(NULL, header.size + 1);
    memcpy(copy, header.data, header.size);
    task->header = (struct om_str){ copy, header.size };
    task->id = *id;
    task->seq = seq;
    task->tenant = tenant_get(self, tenant);
    task->share = share_get(self, queue, tenant);
    task->state = STATE_READY; // until it is placed
    task->lease.kind = &task_kind;
    task->lease.queue = queue;
    task->lease.share = task->share;
    HASH_ADD(hh, self->tasks, id, sizeof(task->id), task);
    tenant_add(task->tenant, task);
    self->stats.open_tasks++;
    return task;
}

void
task_unplace(struct core *self, struct task *task)
{
    if (task->item.flow)
        self->stats.ready--;
    fair_remove(&task->item);
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
    if (task->lease.active)
        lease_end(self, &task->lease, 0);
    uncache(self, task);
    HASH_DEL(self->tasks, task);
    tenant_remove(self, task);
    if (task->flow)
        flow_unref(self, &task->flow);
    share_unref(self, &task->share);
    free(task->detail);
    free(task->code);
    free(task->text);
    free((char *)task->header.data);
    free(task);
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

static struct task *
find_any(const struct core *self, const struct om_uuid *id)
{
    struct task *task = NULL;
    HASH_FIND(hh, self->tasks, id, sizeof(*id), task);
    return task;
}

struct task *
task_find(const struct core *self, const struct om_uuid *tenant, const struct om_uuid *id)
{
    struct task *task = find_any(self, id);
    bool visible = task && task->committed && om_uuid_eq(&task->tenant->id, tenant);
    return visible ? task : NULL;
}

struct lease *
task_lease(struct core *self, const struct wire_token *token)
{
    struct task *task = find_any(self, &token->task);
    return task ? &task->lease : NULL;
}

// ---- SUBMIT

void
task_reject(struct core *self, const struct asker *asker, const struct om_uuid *id,
            enum om_rc rc, const char *text)
{
    char task[OM_TYPEID_MAX];
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, id, label_str(&asker->id));
    WIRE_SET(&msg, code, om_str(om_rc_info(rc)->code));
    WIRE_SET(&msg, text, om_str(text ? text : om_rc_info(rc)->text));
    if (id)
        WIRE_SET(&msg, task,
                 ((struct om_str){ task, om_typeid_encode(OM_ID_TASK, id, task) }));
    if (om_rc_info(rc)->retryable)
        WIRE_SET(&msg, retry_ms, self->conf.retry_base_ms);
    out_send(self, asker->conn, WIRE_REJECT, &msg, NULL);
}

static void
send_submitted(struct core *self, const struct asker *asker, const struct om_uuid *id,
               bool duplicate)
{
    char task[OM_TYPEID_MAX];
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, id, label_str(&asker->id));
    WIRE_SET(&msg, task,
             ((struct om_str){ task, om_typeid_encode(OM_ID_TASK, id, task) }));
    if (duplicate)
        WIRE_SET(&msg, duplicate, true);
    out_send(self, asker->conn, WIRE_SUBMITTED, &msg, NULL);
}

// The id is open in memory: the same job again, or another one under its id?
static void
submit_again(struct core *self, struct task *task, const struct input *in,
             const struct asker *asker)
{
    const struct wire_msg *msg = in->msg;
    bool other = !om_uuid_eq(&task->tenant->id, &in->tenant) ||
                 (task->has_hash && WIRE_HAS(msg, hash) &&
                  memcmp(task->hash, msg->hash.data, sizeof(task->hash)) != 0);
    if (other)
        task_reject(self, asker, &task->id, OM_EREUSED, NULL);
    else if (task->committed || task->reopened)
        send_submitted(self, asker, &task->id, true);
    else
        task->asker = *asker; // answered when it is durable
}

static enum om_rc
check_room(const struct core *self, const struct om_uuid *tenant_id, const char **why)
{
    struct tenant_state *tenant = NULL;
    HASH_FIND(hh, self->tenants, tenant_id, sizeof(*tenant_id), tenant);
    *why = NULL;
    if (self->disk_free < 0.1)
        return OM_ENOSPACE;
    if (commit_congested(self))
        return OM_EDB;
    if (tenant && tenant->open >= self->conf.max_open_per_tenant) {
        *why = "too many of the tenant's jobs are open";
        return OM_EFULL;
    }
    return self->stats.open_tasks >= self->conf.max_open_tasks ? OM_EFULL : OM_OK;
}

// The header as it is stored: what is needed to run the job, and nothing else.
static void
stored_header(struct core *self, const struct wire_msg *msg)
{
    struct wire_msg copy = *msg;
    copy.has &= ~W(events);
    om_buf_reset(&self->scratch);
    wire_encode(WIRE_SUBMIT, &copy, &self->scratch);
}

static void
add_submit(struct core *self, struct task *task, const struct input *in)
{
    struct group *group =
        commit_group(self, EFFECT_SUBMIT, 1 + events_count(in->msg->events));
    group->task = task;
    struct change *change = commit_add(self, CHANGE_TASK);
    change->task = (struct change_task){
        .seq = task->seq,
        .id = task->id,
        .tenant = task->tenant->id,
        .queue = commit_copy(self, queue_name(task->share->queue)),
        .kind = commit_copy(self, task->kind),
        .created_ms = task->created_ms,
        .header = commit_copy(self, task->header),
        .payload = payload_ref(in->payload),
        .priority = task->priority,
        .due_ms = task->due_ms,
        .expires_ms = task->expires_ms == INT64_MAX ? 0 : task->expires_ms,
        .limit_key = commit_copy(self, task->flow->key),
    };
    struct events_origin origin = { .tenant = in->tenant,
                                    .traceparent = in->msg->traceparent };
    events_add(self, &origin, in->msg->events);
}

void
on_submit(struct core *self, const struct input *in)
{
    const struct wire_msg *msg = in->msg;
    struct asker asker = { .conn = in->conn };
    label_set(&asker.id, msg->id);
    struct om_uuid id;
    if (om_uuid_is_zero(&in->tenant) ||
        om_typeid_decode(OM_ID_TASK, msg->task, &id) != OM_OK ||
        om_uuid_shard(&id) != om_uuid_shard(&in->tenant)) {
        task_reject(self, &asker, NULL, OM_EINVAL,
                    "the task id is not valid, or not of the tenant's shard");
        return;
    }
    struct task *task = find_any(self, &id);
    if (task) {
        submit_again(self, task, in, &asker);
        return;
    }
    const char *why;
    enum om_rc rc = check_room(self, &in->tenant, &why);
    struct queue_state *queue = NULL;
    if (rc == OM_OK && !events_valid(msg->events)) {
        rc = OM_EINVAL;
        why = "an event is not valid";
    } else if (rc == OM_OK && !(queue = queue_get(self, &in->tenant, msg->queue))) {
        rc = OM_EINVAL;
        why = "there is no such queue";
    }
    if (rc != OM_OK) {
        task_reject(self, &asker, &id, rc, why);
        return;
    }
    stored_header(self, msg);
    task = task_create(self, &id, &in->tenant, queue, om_buf_str(&self->scratch),
                       ++self->last_task_seq);
    if (read_options(self, task) != OM_OK)
        abort(); // this core encoded it
    task->created_ms = self->now.wall_ms;
    task->asker = asker;
    task->empty_payload = payload_bytes(in->payload).size == 0;
    task_cache(self, task, in->payload);
    add_submit(self, task, in);
}

void
task_submit_failed(struct core *self, struct group *group, enum om_rc rc)
{
    task_reject(self, &group->task->asker, &group->task->id, rc, NULL);
    task_destroy(self, &group->task);
}

void
task_submit_durable(struct core *self, struct group *group, struct change *change)
{
    static const uint8_t no_hash[32];
    struct task *task = group->task;
    if (change->duplicate) {
        bool other = change->known_foreign ||
                     (task->has_hash && memcmp(change->known_hash, no_hash, 32) != 0 &&
                      memcmp(change->known_hash, task->hash, 32) != 0);
        if (other)
            task_reject(self, &task->asker, &task->id, OM_EREUSED, NULL);
        else
            send_submitted(self, &task->asker, &task->id, true);
        task_destroy(self, &group->task);
        return;
    }
    self->stats.submitted++;
    task->committed = true;
    send_submitted(self, &task->asker, &task->id, false);
    task_place(self, task);
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
    timer_set(&self->mono, &task->backoff, self->now.mono_ms + delay_ms, on_backoff);
    watch_notify(self, task);
}

void
task_place(struct core *self, struct task *task)
{
    task_unplace(self, task);
    int64_t wall_ms = self->now.wall_ms;
    bool may_expire = task->attempts == 0 && task->expires_ms != INT64_MAX;
    if (task->cancel) {
        task_end(self, task, &(struct ending){ .state = STATE_CANCELLED });
        return;
    }
    if (may_expire && task->expires_ms <= wall_ms) {
        struct om_str code = om_str(om_rc_info(OM_EEXPIRED)->code);
        task_end(self, task, &(struct ending){ .state = STATE_EXPIRED, .code = code });
        return;
    }
    enum task_state before = task->state;
    int64_t wake_ms = may_expire ? task->expires_ms : INT64_MAX;
    if (task->due_ms > wall_ms) {
        task->state = STATE_SCHEDULED;
        wake_ms = task->due_ms < wake_ms ? task->due_ms : wake_ms;
    } else {
        task->state = STATE_READY;
        fair_push(task->flow, &task->item);
        self->stats.ready++;
        queue_touch(self, task->share->queue);
    }
    if (wake_ms != INT64_MAX)
        timer_set(&self->wall, &task->wall, wake_ms, on_wall);
    if (task->state != before)
        watch_notify(self, task);
}

// ---- RETRY

static struct task *
from_stored(struct core *self, const struct stored_task *stored)
{
    struct queue_state *queue = queue_get(self, &stored->tenant, stored->queue);
    if (!queue)
        return NULL;
    struct task *task = task_create(self, &stored->id, &stored->tenant, queue,
                                    stored->header, stored->seq);
    if (read_options(self, task) != OM_OK) {
        task_destroy(self, &task);
        return NULL;
    }
    task->created_ms = stored->created_ms;
    task->last_attempt = stored->token.attempt;
    return task;
}

bool
task_retry_open(struct core *self, const struct om_uuid *tenant, const struct om_uuid *id,
                const struct asker *asker)
{
    struct task *task = find_any(self, id);
    if (!task || !om_uuid_eq(&task->tenant->id, tenant))
        return false;
    if (!task->reopened) {
        out_error(self, asker->conn, label_str(&asker->id), OM_ECONFLICT,
                  "the task has not failed");
        return true;
    }
    struct out *submitted = out_about(self, asker, WIRE_SUBMITTED, id);
    if (task->committed)
        out_push(self, &submitted);
    else
        commit_after(self, &submitted);
    return true;
}

void
task_reopen(struct core *self, const struct stored_task *stored,
            const struct asker *asker)
{
    const char *why;
    enum om_rc rc = check_room(self, &stored->tenant, &why);
    struct task *task = rc == OM_OK ? from_stored(self, stored) : NULL;
    if (!task) {
        out_error(self, asker->conn, label_str(&asker->id), rc == OM_OK ? OM_EDB : rc,
                  why);
        return;
    }
    task->reopened = true;
    task->due_ms = 0;
    task->expires_ms = INT64_MAX;
    struct group *group = commit_group(self, EFFECT_REOPEN, 2);
    group->task = task;
    group->send = out_about(self, asker, WIRE_SUBMITTED, &task->id);
    commit_add(self, CHANGE_REOPEN)->reopen_seq = task->seq;
    task_mark(self, task, MARK_REOPEN);
}

void
task_reopen_durable(struct core *self, struct group *group, struct change *change)
{
    (void)change;
    group->task->committed = true;
    task_place(self, group->task);
}

// ---- loading

enum om_rc
core_load_task(struct core *self, const struct stored_task *stored)
{
    struct task *task = from_stored(self, stored);
    if (!task)
        return OM_EPROTO;
    task->committed = true;
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
    } else if (stored->due_ms) {
        task->state = STATE_RETRY_WAIT;
        task->due_ms = stored->due_ms;
    }
    if (stored->seq > self->last_task_seq)
        self->last_task_seq = stored->seq;
    return OM_OK;
}

void
task_serve_all(struct core *self)
{
    struct task *task, *next;
    HASH_ITER (hh, self->tasks, task, next) {
        int64_t delay_ms = task->due_ms - self->now.wall_ms;
        if (task->lease.active)
            lease_count_anew(self, &task->lease);
        else if (task->state == STATE_RETRY_WAIT && delay_ms > 0 && !task->cancel)
            task_back_off(self, task, delay_ms);
        else
            task_place(self, task);
    }
}
