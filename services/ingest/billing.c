// Plans and quotas, as billing keeps them.
#include <stdio.h>

#include "exchange.h"
#include "id.h"
#include "quota.h"

enum { BILLING_MS = 10000 };

// Call billing in the name of another tenant than the caller's.
static void
call_for(struct exchange *x, enum op op, bool effect, struct om_str tenant,
         const void *request, om_answer_fn *fn)
{
    char traceparent[OM_TRACEPARENT_SIZE + 1];
    OM_AUTO(om_buf_finish) struct om_buf body = { 0 };
    struct wire_msg msg = exchange_msg(x, effect, traceparent);
    WIRE_SET(&msg, tenant, tenant);
    WIRE_SET(&msg, queue, om_str(queues[QUEUE_BILLING].name));
    WIRE_SET(&msg, kind, om_str(ops[op].name));
    WIRE_SET(&msg, ctype, OM_LIT("application/msgpack"));
    rec_encode(ops[op].request, request, &body);
    exchange_send(x, WIRE_CALL, &msg, om_buf_str(&body), BILLING_MS, fn);
}

static void
on_reply(void *context, const struct om_answer *answer)
{
    struct exchange *x = context;
    if (!exchange_answered(x, answer))
        return;
    const struct rec *type = ops[x->route->op].reply;
    void *record = om_arena_alloc(&x->arena, type->size);
    if (rec_decode(type, answer->payload, record, NULL) != OM_OK)
        exchange_fail(x, OM_EINTERNAL, NULL, "billing's answer is malformed");
    else
        exchange_reply_record(x, type, record);
}

// ---- plans

static void
set_plan(struct exchange *x)
{
    exchange_call(x, OP_plan_set, true, x->record, 0, on_reply);
}

void
admin_plan_set(struct exchange *x)
{
    struct plan_set_request *request = exchange_read(x, ops[OP_plan_set].request);
    if (!request)
        return;
    if (x->params[0].size > 32) {
        exchange_fail(x, OM_EINVAL, "code", "code: at most 32 characters");
        return;
    }
    REC_SET(request, plan_set_request, code, x->params[0]);
    x->record = request;
    exchange_announce(x, set_plan);
}

// ---- quotas

void
quota_list(struct exchange *x)
{
    struct quota_list_request *request = exchange_read(x, ops[OP_quota_list].request);
    if (!request)
        return;
    if (x->caller.policy)
        REC_SET(request, quota_list_request, plan, om_str(x->caller.policy->plan));
    exchange_call(x, OP_quota_list, false, request, 0, on_reply);
}

// The tenant in the path is known, and has this plan: go on.
typedef void tenant_fn(struct exchange *x, struct om_str plan);

static void
go_on_with(struct exchange *x, const struct om_answer *answer, tenant_fn *fn)
{
    struct tenant_get_reply tenant;
    if (!exchange_answered(x, answer))
        return;
    if (rec_decode(ops[OP_tenant_get].reply, answer->payload, &tenant, NULL) != OM_OK)
        exchange_fail(x, OM_EINTERNAL, NULL, "identity's answer is malformed");
    else
        fn(x,
           (struct om_str){ om_arena_strdup(&x->arena, tenant.plan), tenant.plan.size });
}

// Find out about the tenant in the path, and then do as `fn` does.
static void
find_tenant(struct exchange *x, om_answer_fn *fn)
{
    struct tenant_get_request request = { 0 };
    if (quota_find(x->params[1]) == QUOTA_COUNT) {
        exchange_fail(x, OM_ENOTFOUND, NULL,
                      "there is no quota of that name; GET /api/v1/quotas lists them");
        return;
    }
    if (x->params[0].size == 0 || x->params[0].size > 48) {
        exchange_fail(x, OM_ENOTFOUND, NULL, "there is no such tenant");
        return;
    }
    REC_SET(&request, tenant_get_request, id, x->params[0]);
    exchange_call(x, OP_tenant_get, false, &request, 0, fn);
}

// Show the one in the path.
static void
on_quotas(void *context, const struct om_answer *answer)
{
    struct exchange *x = context;
    struct quota_list_reply reply;
    struct quota_item item;
    struct om_str bytes;
    if (!exchange_answered(x, answer))
        return;
    if (rec_decode(ops[OP_quota_list].reply, answer->payload, &reply, NULL) == OM_OK) {
        struct rec_iter iter = rec_iter(reply.data);
        while (rec_next_rec(&iter, &quota_item_rec, &item, &bytes))
            if (om_str_eq(item.policy, x->params[1])) {
                exchange_reply_record(x, &quota_item_rec, &item);
                return;
            }
    }
    exchange_fail(x, OM_EINTERNAL, NULL, "billing's answer is malformed");
}

static void
show_quota(struct exchange *x, struct om_str plan)
{
    struct quota_list_request request = { 0 };
    REC_SET(&request, quota_list_request, plan, plan);
    call_for(x, OP_quota_list, false, x->params[0], &request, on_quotas);
}

static void
on_tenant_to_show(void *context, const struct om_answer *answer)
{
    go_on_with(context, answer, show_quota);
}

void
admin_quota_get(struct exchange *x)
{
    find_tenant(x, on_tenant_to_show);
}

static void
set_quota(struct exchange *x)
{
    call_for(x, OP_quota_set, true, x->params[0], x->record, on_reply);
}

static void
announce_quota(struct exchange *x, struct om_str plan)
{
    struct quota_set_request *request = x->record;
    REC_SET(request, quota_set_request, plan, plan);
    exchange_announce(x, set_quota);
}

static void
on_tenant_to_set(void *context, const struct om_answer *answer)
{
    go_on_with(context, answer, announce_quota);
}

void
admin_quota_set(struct exchange *x)
{
    struct quota_set_request *request = exchange_read(x, ops[OP_quota_set].request);
    if (!request)
        return;
    snprintf(x->resource, sizeof(x->resource), "%.*s/%.*s", (int)x->params[0].size,
             x->params[0].data, (int)x->params[1].size, x->params[1].data);
    REC_SET(request, quota_set_request, policy, x->params[1]);
    x->record = request;
    find_tenant(x, on_tenant_to_set);
}
