#include "quota_fixture.h"

struct call_folder folder;
struct billing billing;
struct call call;
struct om_uuid tenant;
char tenant_text[OM_TYPEID_MAX];
int64_t clock_ms;
static int64_t seq;

static int64_t
read_clock(void)
{
    return clock_ms;
}

static void
open_all(void)
{
    clock_ms = NOON;
    seq = 0;
    folder = call_folder_make();
    billing.db = call_open_db(&folder, "billing", billing_schema);
    billing.clock = read_clock;
    billing.began_ms = clock_ms;
    tenant = om_id_new(9);
    om_typeid_encode(OM_ID_TENANT, &tenant, tenant_text);
}

static void
close_all(void)
{
    om_db_close(&billing.db);
    call_finish(&call);
    call_folder_remove(&folder);
}

TestSuite(quota, .init = open_all, .fini = close_all);

enum om_rc
ask(enum op op, const char *id, const void *request, void *reply)
{
    return call_op(&call, billing_routes, &billing, op, tenant, id, request, reply);
}

void
meter(const char *id, const char *name, int64_t quantity, int64_t at_ms)
{
    struct wire_usage usage = { 0 };
    struct om_buf body = { 0 };
    REC_SET(&usage, wire_usage, meter, om_str(name));
    REC_SET(&usage, wire_usage, quantity, quantity);
    rec_encode(&wire_usage_rec, &usage, &body);
    struct wire_logged event = { .seq = ++seq,
                                 .topic = OM_LIT("usage"),
                                 .id = om_str(id),
                                 .tenant = om_str(tenant_text),
                                 .at = at_ms,
                                 .body = om_buf_str(&body) };
    cr_assert(usage_apply(&billing, 9, &event, 1) == OM_OK);
    om_buf_finish(&body);
}

void
count_calls(int64_t quantity, int64_t at_ms)
{
    char id[32];
    snprintf(id, sizeof(id), "evt_%d", (int)seq);
    meter(id, "api_call", quantity, at_ms);
}

void
limit_to(const char *policy, int64_t limit)
{
    struct quota_set_request request = { 0 };
    struct quota_set_reply reply;
    REC_SET(&request, quota_set_request, policy, om_str(policy));
    if (limit >= 0)
        REC_SET(&request, quota_set_request, limit, limit);
    cr_assert(ask(OP_quota_set, "", &request, &reply) == OM_OK);
}

struct quota_item
show(enum quota quota)
{
    struct quota_list_request request = { 0 };
    struct quota_list_reply reply;
    struct quota_item item = { 0 };
    struct om_str bytes;
    cr_assert(ask(OP_quota_list, "", &request, &reply) == OM_OK);
    struct rec_iter iter = rec_iter(reply.data);
    for (unsigned i = 0; i <= (unsigned)quota; i++)
        cr_assert(rec_next_rec(&iter, &quota_item_rec, &item, &bytes));
    cr_assert(om_str_eq(item.policy, om_str(quota_infos[quota].name)));
    return item;
}

struct got
lease(const char *id, const char *policy, int64_t amount, int64_t least)
{
    struct quota_lease_request request = { 0 };
    struct quota_lease_reply reply;
    REC_SET(&request, quota_lease_request, policy, om_str(policy));
    REC_SET(&request, quota_lease_request, plan, OM_LIT("free"));
    REC_SET(&request, quota_lease_request, amount, amount);
    REC_SET(&request, quota_lease_request, least, least);
    cr_assert(ask(OP_quota_lease, id, &request, &reply) == OM_OK, "%s", id);
    struct got got = { reply.granted,
                       reply.remaining,
                       reply.leased,
                       reply.expires_ms,
                       reply.resets_ms,
                       reply.limit,
                       REC_HAS(&reply, quota_lease_reply, limit),
                       "" };
    snprintf(got.name, sizeof(got.name), "%.*s", (int)reply.lease.size, reply.lease.data);
    return got;
}

enum om_rc
settle_for(const char *name, int64_t used, const char *object)
{
    struct quota_settle_request request = { 0 };
    struct quota_settle_reply reply;
    REC_SET(&request, quota_settle_request, lease, om_str(name));
    REC_SET(&request, quota_settle_request, used, used);
    if (object)
        REC_SET(&request, quota_settle_request, object, om_str(object));
    return ask(OP_quota_settle, "", &request, &reply);
}

void
settle(const char *name, int64_t used)
{
    cr_assert(settle_for(name, used, NULL) == OM_OK, "%s", name);
}
