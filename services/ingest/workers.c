// Workers and dead letters: who holds what, draining, failed tasks made ready again.
#include "exchange.h"
#include "id.h"
#include "json.h"
#include "tasks.h"

REC_DEFINE(worker_item, WORKER_ITEM);
REC_DEFINE(worker_page, WORKER_PAGE);
REC_DEFINE(retry_request, RETRY_REQUEST);
REC_DEFINE(retry_reply, RETRY_REPLY);

enum { BROKER_MS = 10000, RETRY_MS = 60000, RETRY_STANDARD = 1000 };

// ---- workers

static void
on_workers(void *context, const struct om_answer *answer)
{
    struct exchange *x = context;
    if (!exchange_answered(x, answer))
        return;
    struct om_buf *out = &x->edge->out;
    struct rec_iter iter = rec_iter(answer->payload);
    const char *comma = "";
    om_json_put(out, "{\"object\":\"list\",\"data\":[");
    for (struct om_str bytes; rec_next_raw(&iter, &bytes);) {
        struct worker_item item;
        if (rec_decode(&worker_item_rec, bytes, &item, NULL) != OM_OK)
            continue;
        REC_SET(&item, worker_item, object, OM_LIT("worker"));
        om_json_put(out, comma);
        om_json_put_record(out, &worker_item_rec, &item);
        comma = ",";
    }
    om_json_put(out, "]}");
    struct om_http_response response = { .status = x->route->status };
    exchange_reply_json(x, &response);
}

// Ask for the caller's workers, or for all of the platform; `drain`: have that of the
// path drain.
static void
ask_workers(struct exchange *x, bool all, bool drain)
{
    char traceparent[OM_TRACEPARENT_SIZE + 1];
    struct wire_msg msg = exchange_msg(x, false, traceparent);
    msg.has &= ~W(traceparent);
    if (all)
        msg.has &= ~W(tenant);
    if (drain) {
        if (x->params[0].size == 0 || x->params[0].size > 64) {
            exchange_fail(x, OM_ENOTFOUND, "node", "there is no such worker");
            return;
        }
        WIRE_SET(&msg, node, x->params[0]);
        WIRE_SET(&msg, action, OM_LIT("drain"));
    }
    exchange_send(x, WIRE_WORKERS, &msg, (struct om_str){ 0 }, BROKER_MS, on_workers);
}

void
worker_list(struct exchange *x)
{
    ask_workers(x, false, false);
}

void
worker_drain(struct exchange *x)
{
    ask_workers(x, false, true);
}

void
admin_worker_list(struct exchange *x)
{
    ask_workers(x, true, false);
}

static void
drain_any(struct exchange *x)
{
    ask_workers(x, true, true);
}

void
admin_worker_drain(struct exchange *x)
{
    exchange_announce(x, drain_any);
}

// ---- dead letters

static void
on_retried(void *context, const struct om_answer *answer)
{
    struct exchange *x = context;
    if (!exchange_answered(x, answer))
        return;
    struct retry_reply reply = { 0 };
    bool more = WIRE_HAS(answer->msg, after);
    REC_SET(&reply, retry_reply, retried, answer->msg->sent);
    REC_SET(&reply, retry_reply, has_more, more);
    if (more)
        REC_SET(&reply, retry_reply, after, answer->msg->after);
    exchange_reply_record(x, &retry_reply_rec, &reply);
}

void
task_retry_many(struct exchange *x)
{
    char traceparent[OM_TRACEPARENT_SIZE + 1];
    const struct retry_request *request = exchange_read(x, &retry_request_rec);
    if (!request)
        return;
    struct wire_msg msg = exchange_msg(x, true, traceparent);
    msg.has &= ~W(traceparent);
    WIRE_SET(&msg, limit,
             REC_HAS(request, retry_request, limit) ? request->limit : RETRY_STANDARD);
    if (request->queue.data)
        WIRE_SET(&msg, queue, request->queue);
    if (request->kind.data)
        WIRE_SET(&msg, kind, request->kind);
    if (request->code.data)
        WIRE_SET(&msg, code, request->code);
    if (request->after.data) {
        if (!task_read_id(x, request->after))
            return;
        WIRE_SET(&msg, after, request->after);
    }
    exchange_send(x, WIRE_RETRY_MANY, &msg, (struct om_str){ 0 }, RETRY_MS, on_retried);
}
