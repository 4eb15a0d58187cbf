// Routes that are one operation: request to record, CALL, reply to JSON.
#include <stdio.h>

#include "admit.h"

static void
on_reply(void *context, const struct om_answer *answer)
{
    struct exchange *x = context;
    if (!exchange_answered(x, answer))
        return;
    const struct rec *type = ops[x->route->op].reply;
    void *record = om_arena_alloc(&x->arena, type->size);
    if (rec_decode(type, answer->payload, record, NULL) != OM_OK) {
        exchange_fail(x, OM_EINTERNAL, NULL, "the service's answer is malformed");
        return;
    }
    exchange_reply_record(x, type, record);
}

static void
call(struct exchange *x)
{
    exchange_call(x, x->route->op, true, x->record, 0, on_reply);
}

static void
on_announced(void *context, const struct om_answer *answer)
{
    struct exchange *x = context;
    if (exchange_answered(x, answer))
        x->announced(x);
}

void
exchange_announce(struct exchange *x, void (*fn)(struct exchange *x))
{
    x->announced = fn;
    char traceparent[OM_TRACEPARENT_SIZE + 1];
    uint8_t shard = om_uuid_shard(&x->caller.tenant);
    OM_AUTO(om_buf_finish) struct om_buf events = { 0 };
    struct audit_event event = exchange_audit_event(x, "pending");
    report_encode(shard, &event, &events);
    struct wire_msg msg = exchange_msg(x, false, traceparent);
    WIRE_SET(&msg, events, om_buf_str(&events));
    exchange_send(x, WIRE_PUBLISH, &msg, (struct om_str){ 0 }, 5000, on_announced);
}

static void
go_on(struct exchange *x)
{
    if (x->route->flags & ROUTE_PRIVILEGED)
        exchange_announce(x, call);
    else
        call(x);
}

void
operate(struct exchange *x)
{
    x->record = exchange_read(x, ops[x->route->op].request);
    if (x->record)
        go_on(x);
}

void
predict(struct exchange *x)
{
    struct predict_request *request = exchange_read(x, ops[OP_predict].request);
    if (!request)
        return;
    if (x->params[0].size > 64) {
        exchange_fail(x, OM_ENOTFOUND, "model", "there is no model of that name");
        return;
    }
    REC_SET(request, predict_request, model, x->params[0]);
    x->record = request;
    // A token for each value that is read, and for each that is forecast.
    int64_t values = (int64_t)rec_iter(request->time_series).left;
    if (admit_tokens(x, values + request->forecast_steps))
        go_on(x);
}

// A key can grant no more than the key that makes it has.
void
key_create(struct exchange *x)
{
    struct key_create_request *request = exchange_read(x, ops[OP_key_create].request);
    if (!request)
        return;
    OM_AUTO(om_buf_finish) struct om_buf scopes = { 0 };
    scopes_encode(x->caller.scopes, &scopes);
    struct om_str granted = { om_arena_strdup(&x->arena, om_buf_str(&scopes)),
                              scopes.size };
    REC_SET(request, key_create_request, granted, granted);
    snprintf(x->resource, sizeof(x->resource), "%.*s", (int)request->name.size,
             request->name.data);
    x->record = request;
    go_on(x);
}
