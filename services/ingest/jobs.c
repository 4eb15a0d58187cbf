// One job: its options, its key, its answer.
#include "jobs.h"

#include <stdio.h>

#include "clock.h"
#include "id.h"
#include "json.h"
#include "keyed.h"
#include "tasks.h"

REC_DEFINE(task_create, TASK_CREATE);
REC_DEFINE(task_accepted, TASK_ACCEPTED);
REC_DEFINE(unique_key, UNIQUE_KEY);

// ---- the key of a request

void
job_identify(struct exchange *x, struct om_str content, size_t place, char idem_key[65],
             uint8_t hash[32], struct wire_msg *msg)
{
    OM_AUTO(om_buf_finish) struct om_buf buf = { 0 };
    om_pack_i64(&buf, (int64_t)place);
    om_pack_bin(&buf, content);
    om_sha256(om_buf_str(&buf), hash);
    WIRE_SET(msg, hash, ((struct om_str){ (const char *)hash, 32 }));
    if (!x->idem_key.data)
        return;
    // A key counts for its path, and names each job of a batch.
    uint8_t name[32];
    om_buf_reset(&buf);
    keyed_put_scope(x, &buf);
    om_pack_i64(&buf, (int64_t)place);
    om_sha256(om_buf_str(&buf), name);
    om_hex(name, sizeof(name), idem_key);
    WIRE_SET(msg, idem_key, om_str(idem_key));
}

// ---- a job

static bool
refuse(struct job_refusal *why, enum om_rc rc, const char *param, const char *text)
{
    why->rc = rc;
    why->param = param;
    snprintf(why->text, sizeof(why->text), "%s", text);
    return false;
}

static bool
check_queue(struct om_str queue, struct job_refusal *why)
{
    size_t prefix = strlen(QUEUE_PLATFORM_PREFIX);
    if (queue.size >= prefix && memcmp(queue.data, QUEUE_PLATFORM_PREFIX, prefix) == 0)
        return refuse(why, OM_EFORBIDDEN, "queue",
                      "queues whose names begin with " QUEUE_PLATFORM_PREFIX
                      " belong to the platform");
    if (!queue_name_valid(queue))
        return refuse(why, OM_EINVAL, "queue",
                      "\"queue\" must be a lower-case letter and up to 63 letters, "
                      "digits, - or _");
    return true;
}

static bool
set_unique(struct exchange *x, const struct task_create *record, struct wire_msg *msg,
           struct job_refusal *why)
{
    struct unique_key unique;
    struct om_json_error error;
    OM_AUTO(om_buf_finish) struct om_buf text = { 0 };
    if (!record->unique.data)
        return true;
    if (!om_json_put_msgpack(&text, record->unique))
        return refuse(why, OM_EINVAL, "unique", "\"unique\" cannot be read");
    if (om_json_to_record(&unique_key_rec, om_buf_str(&text), &x->arena, &unique,
                          &error) != OM_OK)
        return refuse(why, OM_EINVAL, "unique", error.text);
    WIRE_SET(msg, unique_key, unique.key);
    if (REC_HAS(&unique, unique_key, for_ms))
        WIRE_SET(msg, unique_ms, unique.for_ms);
    return true;
}

static bool
check_parents(struct om_str list, struct job_refusal *why)
{
    struct om_uuid id;
    struct rec_iter iter = rec_iter(list);
    for (struct om_str text; rec_next_str(&iter, &text);)
        if (om_typeid_decode(OM_ID_TASK, text, &id) != OM_OK)
            return refuse(why, OM_EINVAL, "depends_on",
                          "\"depends_on\" must be a list of task ids");
    return true;
}

// A time of the caller's clock, as the broker has it.
static int64_t
broker_ms(const struct exchange *x, int64_t at_ms)
{
    int64_t ahead_ms = caller_clock_ms(&x->caller);
    return at_ms > ahead_ms ? at_ms - ahead_ms : 0;
}

#define COPY(field)                                                                      \
    if (REC_HAS(record, task_create, field))                                             \
    WIRE_SET(msg, field, record->field)

static void
set_options(const struct exchange *x, const struct task_create *record,
            struct wire_msg *msg)
{
    COPY(priority);
    COPY(max_attempts);
    COPY(limit_key);
    if (REC_HAS(record, task_create, delay_ms))
        WIRE_SET(msg, due_ms, om_clock_wall_ms() + record->delay_ms);
    if (REC_HAS(record, task_create, due_ms))
        WIRE_SET(msg, due_ms, broker_ms(x, record->due_ms));
    if (REC_HAS(record, task_create, expires_ms))
        WIRE_SET(msg, expires_ms, broker_ms(x, record->expires_ms));
    COPY(soft_ms);
    COPY(hard_ms);
    COPY(retain_ms);
    COPY(depends_on);
    COPY(run_anyway);
}

bool
job_make(struct exchange *x, const struct task_create *record, struct om_str content,
         size_t place, struct job *out, struct job_refusal *why)
{
    *out = (struct job){ 0 };
    struct wire_msg *msg = &out->msg;
    if (!check_queue(record->queue, why) || !check_parents(record->depends_on, why) ||
        !set_unique(x, record, msg, why))
        return false;
    if (!record->payload.data)
        om_json_put(&out->payload, "{}");
    else if (!om_json_put_msgpack(&out->payload, record->payload))
        return refuse(why, OM_EINVAL, "payload", "\"payload\" cannot be kept as JSON");
    if (out->payload.failed || out->payload.size > WIRE_PAYLOAD_MAX)
        return refuse(why, OM_ETOOBIG, "payload",
                      "the job is larger than a message may be: 1 MiB");
    om_id_text(OM_ID_TASK, om_uuid_shard(&x->caller.tenant), out->task);
    WIRE_SET(msg, id, om_str(x->id_text));
    WIRE_SET(msg, task, om_str(out->task));
    WIRE_SET(msg, queue, record->queue);
    WIRE_SET(msg, kind, record->kind);
    WIRE_SET(msg, ctype, OM_LIT("application/json"));
    set_options(x, record, msg);
    job_identify(x, content, place, out->idem_key, out->hash, msg);
    return true;
}

void
job_finish(struct job *job)
{
    om_buf_finish(&job->payload);
    om_buf_finish(&job->parents);
}

void
job_put(const struct job *job, struct om_buf *out)
{
    OM_AUTO(om_buf_finish) struct om_buf header = { 0 };
    struct wire_batch_job item = { 0 };
    wire_encode(WIRE_SUBMIT, &job->msg, &header);
    REC_SET(&item, wire_batch_job, header, om_buf_str(&header));
    REC_SET(&item, wire_batch_job, payload, om_buf_str(&job->payload));
    rec_encode(&wire_batch_job_rec, &item, out);
    out->failed = out->failed || header.failed;
}

// ---- accepted: submit, cancel, retry

// `status` is absent if it is not known.
static void
reply_accepted(struct exchange *x, struct om_str status, bool held, bool cancel)
{
    char url[16 + sizeof(x->resource)];
    snprintf(url, sizeof(url), "/api/v1/tasks/%s", x->resource);
    struct task_accepted reply = { 0 };
    REC_SET(&reply, task_accepted, task_id, om_str(x->resource));
    if (cancel) // at once, or when its worker has stopped it
        REC_SET(&reply, task_accepted, cancel_requested, true);
    else if (status.data)
        REC_SET(&reply, task_accepted, status, status);
    REC_SET(&reply, task_accepted, check_url, om_str(url));
    if (held)
        REC_SET(&reply, task_accepted, duplicate, true);
    om_json_put_record(&x->edge->out, &task_accepted_rec, &reply);
    struct om_http_response response = { .status = held ? 200 : 202 };
    om_http_response_field(&response, "location", om_str(url));
    exchange_reply_json(x, &response);
}

static void
on_holder(void *context, const struct om_answer *answer)
{
    struct exchange *x = context;
    struct wire_task task;
    struct om_str status = { 0 };
    x->pending = 0;
    if (answer->rc == OM_OK &&
        rec_decode(&wire_task_rec, answer->msg->info, &task, NULL) == OM_OK)
        status = om_str(state_info(task.state)->public_name);
    reply_accepted(x, status, true, false);
}

// The task that holds the job's unique key is another: what does it do?
static void
ask_holder(struct exchange *x)
{
    char traceparent[OM_TRACEPARENT_SIZE + 1];
    struct wire_msg msg = task_msg(x, om_str(x->resource), traceparent);
    x->pending = 0;
    exchange_send(x, WIRE_GET, &msg, (struct om_str){ 0 }, JOB_BROKER_MS, on_holder);
}

// A request that was made before is answered as it was then.
static struct om_str
status_then(const struct exchange *x)
{
    const struct task_create *job =
        x->route->on_request == task_submit ? x->record : NULL;
    bool later = job && (job->delay_ms > 0 || job->due_ms > caller_now_ms(&x->caller)) &&
                 !job->depends_on.data;
    return om_str(state_info(later ? STATE_SCHEDULED : STATE_READY)->public_name);
}

void
on_accepted(void *context, const struct om_answer *answer)
{
    struct exchange *x = context;
    if (!exchange_answered(x, answer))
        return;
    const struct wire_msg *msg = answer->msg;
    if (msg->task.size) // not the id that was made
        snprintf(x->resource, sizeof(x->resource), "%.*s", (int)msg->task.size,
                 msg->task.data);
    x->replayed = om_str_eq(msg->param, OM_LIT("idem_key"));
    bool held = om_str_eq(msg->param, OM_LIT("unique_key"));
    struct om_str status = om_str(state_info(STATE_READY)->public_name);
    if (x->replayed)
        status = status_then(x);
    else if (msg->status.data)
        status = msg->status;
    if (held && !msg->status.data)
        ask_holder(x);
    else
        reply_accepted(x, status, held, msg->type == WIRE_CANCEL_ACK);
}

void
task_submit(struct exchange *x)
{
    char traceparent[OM_TRACEPARENT_SIZE + 1];
    struct job job;
    struct job_refusal why;
    struct task_create *record = exchange_read(x, &task_create_rec);
    if (!record)
        return;
    OM_AUTO(om_buf_finish) struct om_buf content = { 0 };
    rec_encode(&task_create_rec, record, &content);
    if (job_make(x, record, om_buf_str(&content), 0, &job, &why)) {
        struct wire_msg msg = exchange_msg(x, true, traceparent);
        job.msg.has |= msg.has;
        job.msg.id = msg.id;
        job.msg.tenant = msg.tenant;
        job.msg.traceparent = msg.traceparent;
        job.msg.tracestate = msg.tracestate;
        snprintf(x->resource, sizeof(x->resource), "%s", job.task);
        x->record = record;
        exchange_send(x, WIRE_SUBMIT, &job.msg, om_buf_str(&job.payload), JOB_BROKER_MS,
                      on_accepted);
    } else {
        exchange_fail(x, why.rc, why.param, "%s", why.text);
    }
    job_finish(&job);
}
