// Queues and limits: what goes on in them, and what is set for them, as the broker tells.
#include <stdio.h>

#include "exchange.h"
#include "id.h"
#include "json.h"

REC_DEFINE(queue_item, QUEUE_ITEM);
REC_DEFINE(queue_page, QUEUE_PAGE);
REC_DEFINE(queue_settings, QUEUE_SETTINGS);
REC_DEFINE(queue_query, QUEUE_QUERY);
REC_DEFINE(limit_settings, LIMIT_SETTINGS);
REC_DEFINE(limit_item, LIMIT_ITEM);
REC_DEFINE(limit_page, LIMIT_PAGE);
REC_DEFINE(tenant_settings, TENANT_SETTINGS);

enum { BROKER_MS = 10000, KEY_BYTES_MAX = 128 };

// ---- answers

// A row of the broker's answer as JSON. False: it is malformed.
static bool
put_row(struct exchange *x, const struct rec *type, struct om_str bytes)
{
    union {
        struct queue_item queue;
        struct limit_item limit;
    } row;
    if (rec_decode(type, bytes, &row, NULL) != OM_OK)
        return false;
    if (type == &queue_item_rec)
        REC_SET(&row.queue, queue_item, object, OM_LIT("queue"));
    else
        REC_SET(&row.limit, limit_item, object, OM_LIT("limit"));
    om_json_put_record(&x->edge->out, type, &row);
    return true;
}

static void
reply_one(struct exchange *x, const struct om_answer *answer, const struct rec *type)
{
    struct rec_iter iter = rec_iter(answer->payload);
    struct om_str bytes;
    if (!rec_next_raw(&iter, &bytes) || !put_row(x, type, bytes)) {
        exchange_fail(x, OM_EINTERNAL, NULL, "the broker's answer is malformed");
        return;
    }
    struct om_http_response response = { .status = x->route->status };
    exchange_reply_json(x, &response);
}

static void
reply_list(struct exchange *x, const struct om_answer *answer, const struct rec *type)
{
    struct om_buf *out = &x->edge->out;
    struct rec_iter iter = rec_iter(answer->payload);
    const char *comma = "";
    om_json_put(out, "{\"object\":\"list\",\"data\":[");
    for (struct om_str bytes; rec_next_raw(&iter, &bytes); comma = ",") {
        om_json_put(out, comma);
        if (!put_row(x, type, bytes))
            break;
    }
    if (iter.left > 0) {
        exchange_fail(x, OM_EINTERNAL, NULL, "the broker's answer is malformed");
        return;
    }
    om_json_put(out, "]}");
    struct om_http_response response = { .status = x->route->status };
    exchange_reply_json(x, &response);
}

static void
on_queue(void *context, const struct om_answer *answer)
{
    if (exchange_answered(context, answer))
        reply_one(context, answer, &queue_item_rec);
}

static void
on_queues(void *context, const struct om_answer *answer)
{
    if (exchange_answered(context, answer))
        reply_list(context, answer, &queue_item_rec);
}

static void
on_limit(void *context, const struct om_answer *answer)
{
    if (exchange_answered(context, answer))
        reply_one(context, answer, &limit_item_rec);
}

static void
on_limits(void *context, const struct om_answer *answer)
{
    if (exchange_answered(context, answer))
        reply_list(context, answer, &limit_item_rec);
}

// ---- asking

static struct wire_msg
queue_msg(struct exchange *x, const char *action)
{
    char traceparent[OM_TRACEPARENT_SIZE + 1];
    struct wire_msg msg = exchange_msg(x, false, traceparent);
    msg.has &= ~W(traceparent);
    WIRE_SET(&msg, action, om_str(action));
    return msg;
}

static void
send_msg(struct exchange *x, struct wire_msg *msg, om_answer_fn *fn)
{
    exchange_send(x, WIRE_QUEUE, msg, (struct om_str){ 0 }, BROKER_MS, fn);
}

// The queue of the path: one the tenant could have, or to look at one of the platform's.
// False: replied.
static bool
read_queue(struct exchange *x, bool change)
{
    struct om_str name = x->params[0];
    if (queue_name_valid(name) || (!change && queue_find(name)))
        return true;
    if (queue_find(name))
        exchange_fail(x, OM_EFORBIDDEN, "queue",
                      "queues whose names begin with %s belong to the platform",
                      QUEUE_PLATFORM_PREFIX);
    else
        exchange_fail(x, OM_ENOTFOUND, "queue", "there can be no queue of that name");
    return false;
}

static bool
read_key(struct exchange *x)
{
    if (x->params[0].size > 0 && x->params[0].size <= KEY_BYTES_MAX)
        return true;
    exchange_fail(x, OM_EINVAL, "key", "a limit key has 1 to %d bytes", KEY_BYTES_MAX);
    return false;
}

void
queue_list(struct exchange *x)
{
    struct wire_msg msg = queue_msg(x, "list");
    send_msg(x, &msg, on_queues);
}

static void
steer(struct exchange *x, const char *action)
{
    if (!read_queue(x, x->route->flags & ROUTE_MUTATES))
        return;
    struct wire_msg msg = queue_msg(x, action);
    WIRE_SET(&msg, queue, x->params[0]);
    send_msg(x, &msg, on_queue);
}

void
queue_get(struct exchange *x)
{
    steer(x, "list");
}

void
queue_pause(struct exchange *x)
{
    steer(x, "pause");
}

void
queue_resume(struct exchange *x)
{
    steer(x, "resume");
}

void
queue_purge(struct exchange *x)
{
    steer(x, "purge");
}

void
queue_set(struct exchange *x)
{
    const struct queue_settings *record;
    if (!read_queue(x, true) || !(record = exchange_read(x, &queue_settings_rec)))
        return;
    OM_AUTO(om_buf_finish) struct om_buf settings = { 0 };
    rec_encode(&queue_settings_rec, record, &settings);
    struct wire_msg msg = queue_msg(x, "set");
    WIRE_SET(&msg, queue, x->params[0]);
    WIRE_SET(&msg, settings, om_buf_str(&settings));
    send_msg(x, &msg, on_queue);
}

// ---- limits

void
limit_list(struct exchange *x)
{
    struct wire_msg msg = queue_msg(x, "limits");
    send_msg(x, &msg, on_limits);
}

void
limit_get(struct exchange *x)
{
    if (!read_key(x))
        return;
    struct wire_msg msg = queue_msg(x, "limits");
    WIRE_SET(&msg, limit_key, x->params[0]);
    send_msg(x, &msg, on_limit);
}

void
limit_set(struct exchange *x)
{
    const struct limit_settings *record;
    if (!read_key(x) || !(record = exchange_read(x, &limit_settings_rec)))
        return;
    OM_AUTO(om_buf_finish) struct om_buf settings = { 0 };
    rec_encode(&limit_settings_rec, record, &settings);
    struct wire_msg msg = queue_msg(x, "set");
    WIRE_SET(&msg, limit_key, x->params[0]);
    WIRE_SET(&msg, settings, om_buf_str(&settings));
    send_msg(x, &msg, on_limit);
}

// ---- what operators do

static bool
read_tenant(struct exchange *x, struct om_str text)
{
    struct om_uuid id;
    if (om_typeid_decode(OM_ID_TENANT, text, &id) == OM_OK)
        return true;
    exchange_fail(x, OM_ENOTFOUND, NULL, "there is no such tenant");
    return false;
}

void
admin_queue_list(struct exchange *x)
{
    const struct queue_query *query = exchange_read(x, &queue_query_rec);
    if (!query || (query->tenant.data && !read_tenant(x, query->tenant)))
        return;
    struct wire_msg msg = queue_msg(x, "list");
    msg.has &= ~W(tenant);
    if (query->tenant.data)
        WIRE_SET(&msg, tenant, query->tenant);
    if (query->queue.data)
        WIRE_SET(&msg, queue, query->queue);
    send_msg(x, &msg, on_queues);
}

void
admin_limit_list(struct exchange *x)
{
    if (!read_tenant(x, x->params[0]))
        return;
    struct wire_msg msg = queue_msg(x, "limits");
    WIRE_SET(&msg, tenant, x->params[0]);
    send_msg(x, &msg, on_limits);
}

static void
set_tenant(struct exchange *x)
{
    const struct tenant_settings *record = x->record;
    OM_AUTO(om_buf_finish) struct om_buf settings = { 0 };
    rec_encode(&tenant_settings_rec, record, &settings);
    struct wire_msg msg = queue_msg(x, "set");
    WIRE_SET(&msg, tenant, x->params[0]);
    if (record->queue.data)
        WIRE_SET(&msg, queue, record->queue);
    WIRE_SET(&msg, settings, om_buf_str(&settings));
    send_msg(x, &msg, record->queue.data ? on_queue : on_limit);
}

void
admin_tenant_set(struct exchange *x)
{
    if (!read_tenant(x, x->params[0]))
        return;
    x->record = exchange_read(x, &tenant_settings_rec);
    if (x->record)
        exchange_announce(x, set_tenant);
}
