// Routes that are one operation: request to record, CALL, reply to JSON.
#include <stdio.h>

#include "admit.h"
#include "etag.h"
#include "exchange.h"
#include "json.h"
#include "keyed.h"
#include "later.h"
#include "parts.h"

enum { PLANS_ASKED = 100 };

// ---- replies

static const struct rec_field *
find_field(const struct rec *type, const char *name, enum rec_field_type kind)
{
    for (size_t i = 0; i < type->count; i++)
        if (type->fields[i].type == kind && strcmp(type->fields[i].name, name) == 0)
            return &type->fields[i];
    return NULL;
}

static void *
member(void *record, const struct rec_field *field)
{
    return (char *)record + field->offset;
}

// The object's version as its tag. True: who asks has it already, and was told so.
static bool
reply_tag(struct exchange *x, const struct rec *type, void *record,
          struct om_http_response *response, char tag[ETAG_MAX])
{
    const struct om_http_request *request = exchange_request(x);
    const struct rec_field *field = find_field(type, "version", REC_I64);
    if (!(x->route->flags & ROUTE_ETAG) || !field)
        return false;
    int64_t version = *(int64_t *)member(record, field);
    size_t size = etag_write(version, tag);
    om_http_response_field(response, "etag", (struct om_str){ tag, size });
    if (x->route->method != OM_HTTP_GET || !request ||
        !etag_listed(om_http_field(request, "if-none-match"), version))
        return false;
    response->status = 304;
    exchange_reply(x, response);
    return true;
}

// What was made has an id only now.
static void
name_resource(struct exchange *x, const struct rec *type, void *record)
{
    const struct rec_field *field = find_field(type, "id", REC_STR);
    if (x->resource[0] || !field)
        return;
    struct om_str id = *(struct om_str *)member(record, field);
    snprintf(x->resource, sizeof(x->resource), "%.*s", (int)id.size,
             id.size ? id.data : "");
}

static void
on_reply(void *context, const struct om_answer *answer)
{
    struct exchange *x = context;
    char tag[ETAG_MAX];
    if (!exchange_answered(x, answer))
        return;
    const struct rec *type = ops[x->route->op].reply;
    void *record = om_arena_alloc(&x->arena, type->size);
    if (rec_decode(type, answer->payload, record, NULL) != OM_OK) {
        exchange_fail(x, OM_EINTERNAL, NULL, "the service's answer is malformed");
        return;
    }
    name_resource(x, type, record);
    struct om_http_response response = { .status = x->route->status };
    if (reply_tag(x, type, record, &response, tag))
        return;
    om_json_put_record(&x->edge->out, type, record);
    if (x->cached.result != CACHED_NOT)
        cached_keep(x);
    exchange_reply_json(x, &response);
}

// ---- calling

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
    if (x->parts)
        cached_call(x, parts_call);
    else if (later_is_wanted(x))
        cached_call(x, later_submit);
    else if (x->route->cache.ttl_s > 0)
        cached_call(x, call);
    else if (x->route->flags & ROUTE_PRIVILEGED)
        exchange_announce(x, call);
    else
        call(x);
}

// ---- what the edge adds to a request: its INTERNAL fields

static void
set_text(const struct rec *type, const struct rec_field *field, void *record,
         struct om_str text)
{
    *(struct om_str *)member(record, field) = text;
    *(uint64_t *)record |= UINT64_C(1) << (field - type->fields);
}

// A key can give no more than it has itself.
static void
add_granted(struct exchange *x, const struct rec *type, void *record)
{
    const struct rec_field *field = find_field(type, "granted", REC_STRS);
    if (!field)
        return;
    OM_AUTO(om_buf_finish) struct om_buf scopes = { 0 };
    scopes_encode(x->caller.scopes, &scopes);
    struct om_str granted = { om_arena_strdup(&x->arena, om_buf_str(&scopes)),
                              scopes.size };
    set_text(type, field, record, granted);
}

// False: refused, and replied.
static bool
add_if_version(struct exchange *x, const struct rec *type, void *record)
{
    const struct rec_field *field = find_field(type, "if_version", REC_I64);
    int64_t version;
    if (!field)
        return true;
    switch (etag_read(om_http_field(exchange_request(x), "if-match"), &version)) {
    case ETAG_ANY:
        return true;
    case ETAG_VERSION:
        *(int64_t *)member(record, field) = version;
        *(uint64_t *)record |= UINT64_C(1) << (field - type->fields);
        return true;
    case ETAG_NEVER:
        exchange_fail(x, OM_EMATCH, NULL, "no version of this object had that ETag");
        return false;
    case ETAG_BAD:
        break;
    }
    exchange_fail(x, OM_EINVAL, NULL,
                  "if-match: must be one entity tag, as the ETag of the answer was");
    return false;
}

static bool
add_internal(struct exchange *x, const struct rec *type, void *record)
{
    const struct rec_field *by = find_field(type, "by", REC_STR);
    const struct rec_field *name = find_field(type, "name", REC_STR);
    if (by)
        set_text(type, by, record, om_str(x->caller.key));
    add_granted(x, type, record);
    if (name && !x->resource[0] && x->route->flags & ROUTE_MUTATES) {
        struct om_str text = *(struct om_str *)member(record, name);
        snprintf(x->resource, sizeof(x->resource), "%.*s", (int)text.size,
                 text.size ? text.data : "");
    }
    return add_if_version(x, type, record);
}

// Read the request into x->record. False: refused, and replied.
static bool
read_request(struct exchange *x)
{
    const struct rec *type = ops[x->route->op].request;
    x->record = exchange_read(x, type);
    if (!x->record)
        return false;
    if (x->idem_key.data) { // what the caller asks for, whoever it is
        OM_AUTO(om_buf_finish) struct om_buf content = { 0 };
        rec_encode(type, x->record, &content);
        keyed_identify(x, om_buf_str(&content));
    }
    return add_internal(x, type, x->record);
}

void
operate(struct exchange *x)
{
    if (read_request(x))
        go_on(x);
}

// ---- the plan of a tenant: identity keeps its code, billing knows which there are

static struct om_str
plan_wanted(struct exchange *x)
{
    const struct rec_field *field =
        find_field(ops[x->route->op].request, "plan", REC_STR);
    return *(struct om_str *)member(x->record, field);
}

static void
on_plans(void *context, const struct om_answer *answer)
{
    struct exchange *x = context;
    struct om_str plan = plan_wanted(x);
    struct plan_list_reply reply;
    struct plan_item item;
    struct om_str bytes;
    if (!exchange_answered(x, answer))
        return;
    if (rec_decode(&plan_list_reply_rec, answer->payload, &reply, NULL) != OM_OK) {
        exchange_fail(x, OM_EINTERNAL, NULL, "the answer about plans is malformed");
        return;
    }
    bool found = reply.has_more; // more than are looked at: billing takes what it gets
    struct rec_iter iter = rec_iter(reply.data);
    while (!found && rec_next_rec(&iter, &plan_item_rec, &item, &bytes))
        found = om_str_eq(item.code, plan);
    if (found)
        go_on(x);
    else
        exchange_fail(x, OM_EINVAL, "plan",
                      "plan: there is no plan \"%.*s\"; GET /api/v1/plans lists them",
                      (int)plan.size, plan.data);
}

void
tenant_change(struct exchange *x)
{
    struct plan_list_request request = { 0 };
    if (!read_request(x))
        return;
    if (!plan_wanted(x).data) {
        go_on(x);
        return;
    }
    REC_SET(&request, plan_list_request, limit, PLANS_ASKED);
    exchange_call(x, OP_plan_list, false, &request, 0, on_plans);
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
    x->cached.tokens = values + request->forecast_steps;
    if (parts_wanted(x, request->stream) && !parts_want(x))
        return;
    if (admit_tokens(x, x->cached.tokens, go_on))
        go_on(x);
}
