// Tasks: jobs on their way, as the broker tells of them.
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "admit.h"
#include "clock.h"
#include "id.h"
#include "jobs.h"
#include "json.h"
#include "tasks.h"

REC_DEFINE(task_query, TASK_QUERY);
REC_DEFINE(task_list_query, TASK_LIST_QUERY);
REC_DEFINE(task_item, TASK_ITEM);
REC_DEFINE(task_page, TASK_PAGE);

enum {
    BROKER_MS = 10000,
    WATCH_GRACE_MS = 2000, // for the last event of a watch
    LIST_STANDARD = 20,
    CHECK_MS = 3000,                 // for a look at a training's file
    GRANT_MS = 7 * 24 * 3600 * 1000, // a training may wait and run this long
};

// ---- a task as JSON

// JSON text that a worker sent: only what can be read is passed on.
static bool
put_json(struct om_buf *out, struct om_str text)
{
    json_t *value = json_loadb(text.data, text.size, JSON_DECODE_ANY, NULL);
    if (!value)
        return false;
    json_decref(value);
    om_buf_put(out, text.data, text.size);
    return true;
}

static void
put_result(struct exchange *x, const struct wire_task *task, struct om_str result)
{
    struct om_buf *out = &x->edge->out;
    size_t start = out->size;
    const struct op_info *op = queue_find(task->queue) ? op_find(task->kind) : NULL;
    bool shown = false;
    if (op) {
        void *record = om_arena_alloc(&x->arena, op->reply->size);
        shown = rec_decode(op->reply, result, record, NULL) == OM_OK;
        if (shown)
            om_json_put_record(out, op->reply, record);
    } else if (om_str_eq(task->ctype, OM_LIT("application/msgpack"))) {
        shown = om_json_put_msgpack(out, result);
    } else if (result.size > 0) {
        shown = put_json(out, result);
    }
    if (!shown) {
        out->size = start;
        om_json_put(out, "null");
    }
}

static void
put_time(struct om_buf *out, const char *key, bool has, int64_t ms)
{
    om_json_put(out, key);
    if (has)
        om_json_put_i64(out, ms / 1000);
    else
        om_json_put(out, "null");
}

static void
put_name(struct om_buf *out, const char *key, struct om_str name)
{
    om_json_put(out, key);
    if (name.size)
        om_json_put_str(out, name);
    else
        om_json_put(out, "null");
}

static void
put_error(struct om_buf *out, const struct wire_task *task)
{
    om_json_put(out, ",\"error\":");
    if (!REC_HAS(task, wire_task, code)) {
        om_json_put(out, "null");
        return;
    }
    om_json_put(out, "{\"code\":");
    om_json_put_str(out, task->code);
    om_json_put(out, ",\"message\":");
    om_json_put_str(out, task->text);
    om_json_put(out, "}");
}

static void
put_parents(struct exchange *x, const struct wire_task *task)
{
    struct om_buf *out = &x->edge->out;
    struct rec_iter iter = rec_iter(task->depends_on);
    bool listed = x->route->on_request == task_list;
    om_json_put(out, listed ? ",\"depends_on\":null" : ",\"depends_on\":[");
    const char *comma = "";
    for (struct om_str id; rec_next_str(&iter, &id); comma = ",") {
        om_json_put(out, comma);
        om_json_put_str(out, id);
    }
    om_json_put(out, listed ? ",\"waits_for\":" : "],\"waits_for\":");
    om_json_put_i64(out, task->waits_for);
}

// The broker's times are those of the wall clock, the caller's those of its own.
static void
put_times(const struct exchange *x, const struct wire_task *task)
{
    struct om_buf *out = &x->edge->out;
    int64_t ahead_ms = caller_clock_ms(&x->caller);
    bool waits = REC_HAS(task, wire_task, due_ms);
    bool retries = task->state == STATE_RETRY_WAIT;
    put_time(out, ",\"created_at\":", true, task->created_ms + ahead_ms);
    put_time(out, ",\"due_at\":", waits && !retries, task->due_ms + ahead_ms);
    put_time(out, ",\"retry_at\":", waits && retries, task->due_ms + ahead_ms);
    put_time(out, ",\"expires_at\":", REC_HAS(task, wire_task, expires_ms),
             task->expires_ms + ahead_ms);
    put_time(out, ",\"started_at\":", REC_HAS(task, wire_task, started_ms),
             task->started_ms + ahead_ms);
    put_time(out, ",\"finished_at\":", REC_HAS(task, wire_task, finished_ms),
             task->finished_ms + ahead_ms);
}

void
task_put(struct exchange *x, const struct wire_task *task, struct om_str result)
{
    struct om_buf *out = &x->edge->out;
    const struct state_info *state = state_info(task->state);
    bool complete = task->state == STATE_SUCCEEDED;
    om_json_put(out, "{\"id\":");
    om_json_put_str(out, task->task);
    om_json_put(out, ",\"object\":\"task\",\"queue\":");
    om_json_put_str(out, task->queue);
    om_json_put(out, ",\"kind\":");
    om_json_put_str(out, task->kind);
    om_json_put(out, ",\"status\":");
    om_json_put_str(out, om_str(state->public_name));
    om_json_put(out, ",\"priority\":");
    om_json_put_i64(out, task->priority);
    put_name(out, ",\"limit_key\":", task->limit_key);
    put_name(out, ",\"unique_key\":", task->unique_key);
    om_json_put(out, ",\"progress\":");
    om_json_put_f64(out, complete ? 1 : task->progress);
    om_json_put(out, ",\"detail\":");
    if (task->detail.size == 0 || task->detail.data[0] != '{' ||
        !put_json(out, task->detail))
        om_json_put(out, "{}");
    om_json_put(out, ",\"result\":");
    put_result(x, task, complete ? result : (struct om_str){ 0 });
    put_error(out, task);
    om_json_put(out, ",\"attempts\":");
    om_json_put_i64(out, task->attempts);
    om_json_put(out, ",\"max_attempts\":");
    om_json_put_i64(out, task->max_attempts);
    om_json_put(out, ",\"lost\":");
    om_json_put_i64(out, task->lost);
    om_json_put(out, task->cancel_requested ? ",\"cancel_requested\":true"
                                            : ",\"cancel_requested\":false");
    put_parents(x, task);
    put_times(x, task);
    om_json_put(out, "}");
}

// ---- one task

struct wire_msg
task_msg(struct exchange *x, struct om_str task, char *traceparent)
{
    struct wire_msg msg = exchange_msg(x, false, traceparent);
    msg.has &= ~W(traceparent); // asking is no part of the task's trace
    WIRE_SET(&msg, task, task);
    return msg;
}

bool
task_read_id(struct exchange *x, struct om_str text)
{
    struct om_uuid id;
    if (om_typeid_decode(OM_ID_TASK, text, &id) == OM_OK)
        return true;
    exchange_fail(x, OM_ENOTFOUND, "id", "there is no such task");
    return false;
}

void
task_ask(struct exchange *x, struct om_str task, om_answer_fn *fn)
{
    char traceparent[OM_TRACEPARENT_SIZE + 1];
    struct wire_msg msg = task_msg(x, task, traceparent);
    exchange_send(x, WIRE_GET, &msg, (struct om_str){ 0 }, BROKER_MS, fn);
}

struct task_watch {
    struct om_str task;
    om_answer_fn *fn;
};

static void
end_watch(struct exchange *x)
{
    const struct task_watch *watch = x->watch;
    x->pending = 0;
    x->on_stop = NULL;
    task_ask(x, watch->task, watch->fn);
}

// The watch ends with the task or with the time: either way the task is asked for.
static void
on_watch(void *context, const struct om_answer *answer)
{
    struct exchange *x = context;
    if (answer->rc == OM_OK && !answer->msg->drain)
        return; // it changed, but goes on
    if (answer->rc == OM_OK || answer->rc == OM_ETIMEOUT)
        end_watch(x);
    else
        exchange_answered(x, answer);
}

static void
stop_watch(struct exchange *x)
{
    om_client_forget(x->edge->client, x->pending);
    end_watch(x);
}

void
task_await(struct exchange *x, struct om_str task, int64_t wait_ms, om_answer_fn *fn)
{
    char traceparent[OM_TRACEPARENT_SIZE + 1];
    struct wire_msg msg = task_msg(x, task, traceparent);
    x->watch = om_arena_alloc(&x->arena, sizeof(*x->watch));
    *x->watch = (struct task_watch){ task, fn };
    x->on_stop = stop_watch;
    WIRE_SET(&msg, ttl_ms, wait_ms);
    exchange_send(x, WIRE_WATCH, &msg, (struct om_str){ 0 }, wait_ms + WATCH_GRACE_MS,
                  on_watch);
}

static void
on_task(void *context, const struct om_answer *answer)
{
    struct exchange *x = context;
    struct wire_task task;
    if (!exchange_answered(x, answer))
        return;
    if (rec_decode(&wire_task_rec, answer->msg->info, &task, NULL) != OM_OK) {
        exchange_fail(x, OM_EINTERNAL, NULL, "the broker's answer is malformed");
        return;
    }
    if (answer->msg->ctype.data)
        task.ctype = answer->msg->ctype;
    task_put(x, &task, answer->payload);
    struct om_http_response response = { .status = x->route->status };
    exchange_reply_json(x, &response);
}

void
task_get(struct exchange *x)
{
    struct task_query *query = exchange_read(x, &task_query_rec);
    if (!query || !task_read_id(x, query->id))
        return;
    if (query->wait == 0)
        task_ask(x, query->id, on_task);
    else
        task_await(x, query->id, query->wait * 1000, on_task);
}

// ---- the list

static void
on_tasks(void *context, const struct om_answer *answer)
{
    struct exchange *x = context;
    if (!exchange_answered(x, answer))
        return;
    struct om_buf *out = &x->edge->out;
    const struct task_list_query *query = x->record;
    struct rec_iter iter = rec_iter(answer->payload);
    struct om_str bytes, first = { 0 }, last = { 0 };
    bool cut = answer->msg->after.data; // older tasks were not looked at
    bool more = (int64_t)iter.left > query->limit || cut; // one more was asked for
    om_json_put(out, "{\"object\":\"list\",\"data\":[");
    for (int64_t n = 0; n < query->limit && rec_next_raw(&iter, &bytes); n++) {
        struct wire_task task;
        if (rec_decode(&wire_task_rec, bytes, &task, NULL) != OM_OK)
            continue;
        om_json_put(out, first.size ? "," : "");
        task_put(x, &task, (struct om_str){ 0 });
        first = first.size ? first : task.task;
        last = task.task;
    }
    if (cut)
        last = answer->msg->after;
    om_json_put(out, more ? "],\"has_more\":true" : "],\"has_more\":false");
    put_name(out, ",\"first_id\":", first);
    put_name(out, ",\"last_id\":", last);
    om_json_put(out, "}");
    struct om_http_response response = { .status = 200 };
    exchange_reply_json(x, &response);
}

static bool
is_status(struct om_str text)
{
    for (int64_t state = 1; state < STATE_COUNT; state++)
        if (om_str_eq(text, om_str(state_info(state)->public_name)))
            return true;
    return false;
}

void
task_list(struct exchange *x)
{
    char traceparent[OM_TRACEPARENT_SIZE + 1];
    struct task_list_query *query = exchange_read(x, &task_list_query_rec);
    if (!query)
        return;
    if (!REC_HAS(query, task_list_query, limit))
        query->limit = LIST_STANDARD;
    struct wire_msg msg = exchange_msg(x, false, traceparent);
    msg.has &= ~W(traceparent);
    WIRE_SET(&msg, limit, query->limit + 1);
    if (query->status.data) {
        if (!is_status(query->status)) {
            exchange_fail(x, OM_EINVAL, "status",
                          "\"status\" must be submitted, scheduled, running, retrying, "
                          "complete, failed, cancelled or expired");
            return;
        }
        WIRE_SET(&msg, status, query->status);
    }
    if (query->queue.data)
        WIRE_SET(&msg, queue, query->queue);
    if (query->kind.data)
        WIRE_SET(&msg, kind, query->kind);
    if (query->code.data)
        WIRE_SET(&msg, code, query->code);
    if (query->after.data) {
        if (!task_read_id(x, query->after))
            return;
        WIRE_SET(&msg, after, query->after);
    }
    x->record = query;
    exchange_send(x, WIRE_LIST, &msg, (struct om_str){ 0 }, BROKER_MS, on_tasks);
}

// ---- accepted: submit, cancel, retry

static void
steer(struct exchange *x, enum wire_type type)
{
    char traceparent[OM_TRACEPARENT_SIZE + 1];
    if (!task_read_id(x, x->params[0]))
        return;
    struct wire_msg msg = task_msg(x, x->params[0], traceparent);
    exchange_send(x, type, &msg, (struct om_str){ 0 }, BROKER_MS, on_accepted);
}

void
task_cancel(struct exchange *x)
{
    steer(x, WIRE_CANCEL);
}

void
task_retry(struct exchange *x)
{
    steer(x, WIRE_RETRY);
}

static void
submit_training(struct exchange *x)
{
    char traceparent[OM_TRACEPARENT_SIZE + 1], task[OM_TYPEID_MAX], grant[OM_GRANT_MAX];
    char idem_key[65];
    uint8_t hash[32];
    OM_AUTO(om_buf_finish) struct om_buf payload = { 0 };
    rec_encode(ops[OP_train].request, x->record, &payload);
    om_id_text(OM_ID_TASK, om_uuid_shard(&x->caller.tenant), task);
    snprintf(x->resource, sizeof(x->resource), "%s", task);
    struct om_grant claims = { .tenant = x->caller.tenant,
                               .expires_ms = om_clock_wall_ms() + GRANT_MS,
                               .rights = OM_GRANT_READ | OM_GRANT_WRITE };
    memcpy(claims.task, task, sizeof(task));
    om_grant_mint(&x->edge->ingest->secret, &claims, grant);
    struct wire_msg msg = exchange_msg(x, true, traceparent);
    WIRE_SET(&msg, queue, om_str(queues[QUEUE_TRAINING].name));
    WIRE_SET(&msg, kind, om_str(ops[OP_train].name));
    WIRE_SET(&msg, ctype, OM_LIT("application/msgpack"));
    WIRE_SET(&msg, task, om_str(task));
    WIRE_SET(&msg, grant, om_str(grant));
    job_identify(x, om_buf_str(&payload), 0, idem_key, hash, &msg);
    if (payload.failed || payload.size > WIRE_PAYLOAD_MAX)
        exchange_fail(x, OM_ETOOBIG, NULL, "the job is larger than a message may be");
    else
        exchange_send(x, WIRE_SUBMIT, &msg, om_buf_str(&payload), BROKER_MS, on_accepted);
}

// Only what is wrong with the request refuses it: a training is a durable job, and is
// taken though nobody can look at its file now.
static void
on_checked(void *context, const struct om_answer *answer)
{
    struct exchange *x = context;
    bool wrong = answer->rc != OM_OK && om_rc_info(answer->rc)->http_status < 500;
    if (wrong && !exchange_answered(x, answer))
        return;
    x->pending = 0;
    submit_training(x);
}

void
train_submit(struct exchange *x)
{
    x->record = exchange_read(x, ops[OP_train].request);
    if (x->record && admit_model(x, ((const struct train_request *)x->record)->model))
        exchange_call(x, OP_train_check, false, x->record, CHECK_MS, on_checked);
}
