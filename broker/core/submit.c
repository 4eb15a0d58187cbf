#include "limit.h"
#include "submit.h"
#include "task_inner.h"

static void
reject(struct core *self, const struct asker *asker, const struct om_uuid *id,
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
send_duplicate(struct core *self, const struct asker *asker, const struct om_uuid *id)
{
    char task[OM_TYPEID_MAX];
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, id, label_str(&asker->id));
    WIRE_SET(&msg, task,
             ((struct om_str){ task, om_typeid_encode(OM_ID_TASK, id, task) }));
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
        reject(self, asker, &task->id, OM_EREUSED, NULL);
    else if (task->committed || task->reopened)
        send_duplicate(self, asker, &task->id);
    else
        task->asker = *asker; // answered when it is durable
}

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
    if (tenant && tenant->open >= self->conf.max_open_per_tenant) {
        *why = "too many of the tenant's jobs are open";
        return OM_EFULL;
    }
    return self->stats.open_tasks >= self->conf.max_open_tasks ? OM_EFULL : OM_OK;
}

// The header as it is stored: what is needed to run the job, and nothing else. Borrowed
// from the batch.
static struct om_str
stored_header(struct core *self, const struct wire_msg *msg)
{
    struct wire_msg copy = *msg;
    copy.has &= ~W(events);
    om_buf_reset(&self->scratch);
    wire_encode(WIRE_SUBMIT, &copy, &self->scratch);
    if (self->scratch.failed)
        abort();
    return commit_copy(self, om_buf_str(&self->scratch));
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
        .header = stored_header(self, in->msg),
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
        reject(self, &asker, NULL, OM_EINVAL,
               "the task id is not valid, or not of the tenant's shard");
        return;
    }
    struct task *task = task_find_any(self, &id);
    if (task) {
        submit_again(self, task, in, &asker);
        return;
    }
    const char *why;
    enum om_rc rc = submit_check_room(self, &in->tenant, &why);
    struct queue_state *queue = NULL;
    if (rc == OM_OK && !events_valid(msg->events)) {
        rc = OM_EINVAL;
        why = "an event is not valid";
    } else if (rc == OM_OK && !(queue = queue_get(self, &in->tenant, msg->queue))) {
        rc = OM_EINVAL;
        why = "there is no such queue";
    } else if (rc == OM_OK && msg->limit_key.size > 0 &&
               !limit_fits(self, &in->tenant, SETTING_KEY, msg->limit_key)) {
        rc = OM_EFULL;
        why = "too many limit keys of the tenant are in use: 10000";
        queue_tidy(self, queue);
    }
    if (rc != OM_OK) {
        reject(self, &asker, &id, rc, why);
        return;
    }
    task = task_create(self, &id, &in->tenant, queue, msg, ++self->last_task_seq);
    task->created_ms = self->now.wall_ms;
    task->stream_seq = 1;
    task->asker = asker;
    task->empty_payload = payload_bytes(in->payload).size == 0;
    task_cache(self, task, in->payload);
    add_submit(self, task, in);
}

void
submit_failed(struct core *self, struct group *group, enum om_rc rc)
{
    reject(self, &group->task->asker, &group->task->id, rc, NULL);
    task_destroy(self, &group->task);
}

void
submit_durable(struct core *self, struct group *group, struct change *change)
{
    static const uint8_t no_hash[32];
    struct task *task = group->task;
    if (change->duplicate) {
        bool other = change->known_foreign ||
                     (task->has_hash && memcmp(change->known_hash, no_hash, 32) != 0 &&
                      memcmp(change->known_hash, task->hash, 32) != 0);
        if (other)
            reject(self, &task->asker, &task->id, OM_EREUSED, NULL);
        else
            send_duplicate(self, &task->asker, &task->id);
        task_destroy(self, &group->task);
        return;
    }
    self->stats.submitted++;
    stats_in(self, task->share);
    task->committed = true;
    ack_submitted(self, &task->asker, &task->id);
    task_place(self, task);
}
