// Quotas: windows, blocks, limits and plans, as billing keeps them.
#include "../services/call.h"
#include "id.h"
#include "period.h"
#include "plan.h"
#include "tally.h"
#include "usage.h"

enum { S = 1000, MINUTE = 60 * S, HOUR = 60 * MINUTE, DAY = 24 * HOUR };
#define NOVEMBER INT64_C(1793491200000) // 2026-11-01 00:00 UTC
#define NOON     (NOVEMBER + 20 * (int64_t)DAY + 12 * HOUR)

static struct call_folder folder;
static struct billing billing;
static struct call call;
static struct om_uuid tenant;
static char tenant_text[OM_TYPEID_MAX];
static int64_t clock_ms, seq;

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

static enum om_rc
ask(enum op op, const char *id, const void *request, void *reply)
{
    return call_op(&call, billing_routes, &billing, op, tenant, id, request, reply);
}

// ---- usage

static void
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

static void
count_calls(int64_t quantity, int64_t at_ms)
{
    char id[32];
    snprintf(id, sizeof(id), "evt_%d", (int)seq);
    meter(id, "api_call", quantity, at_ms);
}

// ---- limits

static void
limit_to(const char *policy, int64_t limit)
{
    struct quota_set_request request = { 0 };
    struct quota_set_reply reply;
    REC_SET(&request, quota_set_request, policy, om_str(policy));
    if (limit >= 0)
        REC_SET(&request, quota_set_request, limit, limit);
    cr_assert(ask(OP_quota_set, "", &request, &reply) == OM_OK);
}

static struct quota_item
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

// ---- blocks

struct got {
    int64_t granted, remaining, leased, expires_ms, resets_ms, limit;
    bool limited;
    char name[65];
};

static struct got
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

static enum om_rc
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

static void
settle(const char *name, int64_t used)
{
    cr_assert(settle_for(name, used, NULL) == OM_OK, "%s", name);
}

Test(quota, grants_no_more_than_the_limit_however_it_is_shared)
{
    int64_t granted = 0;
    struct got got;
    limit_to("api_calls_month", 1000);
    for (int i = 0; i < 200; i++) {
        char id[16];
        snprintf(id, sizeof(id), "req_%d", i);
        got = lease(id, "api_calls_month", 300, 1);
        granted += got.granted;
        if (got.granted == 0)
            break;
        cr_assert(got.granted <= 250, "one edge leaves something for the others");
    }
    cr_expect_eq(granted, 1000);
    cr_expect_eq(got.granted, 0);
    cr_expect_str_eq(got.name, "");
    cr_expect_eq(got.leased, 1000, "it may come back");
    cr_expect_eq(got.limit, 1000);
    cr_expect_eq(got.resets_ms, NOVEMBER + 30 * (int64_t)DAY);
}

Test(quota, gives_again_what_comes_back)
{
    limit_to("api_calls_month", 10);
    struct got one = lease("req_1", "api_calls_month", 10, 10);
    cr_expect_eq(one.granted, 10);
    cr_expect_eq(lease("req_2", "api_calls_month", 10, 1).granted, 0);
    settle(one.name, 4);
    cr_expect_eq(lease("req_3", "api_calls_month", 6, 6).granted, 6);
    cr_expect_eq(lease("req_4", "api_calls_month", 1, 1).granted, 0);
}

Test(quota, counts_a_block_and_its_usage_once_whichever_comes_first)
{
    limit_to("api_calls_month", 100);
    struct got one = lease("req_1", "api_calls_month", 50, 50);
    count_calls(30, clock_ms); // of the block
    cr_expect_eq(lease("req_2", "api_calls_month", 50, 50).granted, 50);
    settle(one.name, 40);
    cr_expect_eq(lease("req_3", "api_calls_month", 11, 11).granted, 0);
    struct got three = lease("req_4", "api_calls_month", 10, 10);
    cr_expect_eq(three.granted, 10);
    settle(three.name, 0);
    count_calls(10, clock_ms); // the rest of the first block
    cr_expect_eq(lease("req_5", "api_calls_month", 11, 11).granted, 0);
    cr_expect_eq(lease("req_6", "api_calls_month", 10, 10).granted, 10);
    cr_expect_eq(show(QUOTA_API_CALLS).used, 40);
    cr_expect_eq(show(QUOTA_API_CALLS).leased, 60);
}

Test(quota, lets_the_block_of_a_dead_edge_expire_into_what_was_metered)
{
    limit_to("api_calls_month", 100);
    cr_expect_eq(lease("req_1", "api_calls_month", 80, 80).granted, 80);
    count_calls(25, clock_ms);
    cr_expect_eq(lease("req_2", "api_calls_month", 21, 21).granted, 0);
    clock_ms += MINUTE;
    billing_tick(&billing, 0);
    cr_expect_eq(show(QUOTA_API_CALLS).leased, 0);
    cr_expect_eq(lease("req_3", "api_calls_month", 76, 76).granted, 0);
    cr_expect_eq(lease("req_4", "api_calls_month", 75, 75).granted, 75);
}

Test(quota, counts_what_was_never_in_a_block)
{
    limit_to("api_calls_month", 100);
    count_calls(90, clock_ms);
    cr_expect_eq(lease("req_1", "api_calls_month", 11, 11).granted, 0);
    cr_expect_eq(lease("req_2", "api_calls_month", 10, 10).granted, 10);
}

Test(quota, forgets_use_that_was_never_metered_after_some_minutes)
{
    limit_to("api_calls_month", 100);
    struct got one = lease("req_1", "api_calls_month", 100, 100);
    settle(one.name, 100);
    cr_expect_eq(lease("req_2", "api_calls_month", 1, 1).granted, 0);
    clock_ms += 3 * MINUTE;
    cr_expect_eq(lease("req_3", "api_calls_month", 100, 100).granted, 100,
                 "the truth is what is metered");
}

Test(quota, keeps_use_in_mind_that_events_may_be_late_for_after_a_restart)
{
    limit_to("api_calls_month", 100);
    settle(lease("req_1", "api_calls_month", 100, 100).name, 100);
    clock_ms += 3 * MINUTE;
    om_db_close(&billing.db);
    billing.db = call_open_db(&folder, "billing", billing_schema);
    billing.began_ms = clock_ms;
    cr_expect_eq(lease("req_2", "api_calls_month", 1, 1).granted, 0);
}

Test(quota, begins_anew_with_the_window)
{
    limit_to("ml_inference_day", 10);
    limit_to("api_calls_month", 10);
    clock_ms = NOVEMBER + 30 * (int64_t)DAY - 30 * S;
    struct got day = lease("req_1", "ml_inference_day", 10, 10);
    struct got month = lease("req_1", "api_calls_month", 10, 10);
    cr_expect_eq(day.resets_ms, NOVEMBER + 30 * (int64_t)DAY);
    cr_expect_eq(month.resets_ms, NOVEMBER + 30 * (int64_t)DAY);
    cr_expect_eq(day.expires_ms, day.resets_ms, "no block lasts into the next window");
    clock_ms += 30 * S;
    cr_expect_eq(lease("req_2", "ml_inference_day", 10, 10).granted, 10);
    cr_expect_eq(lease("req_2", "api_calls_month", 10, 10).granted, 10);
    settle(day.name, 10); // late: it has expired
    cr_expect_eq(show(QUOTA_INFERENCE).leased, 10);
}

Test(quota, counts_late_events_in_their_own_window)
{
    limit_to("ml_inference_day", 10);
    clock_ms = NOVEMBER + DAY + S;
    meter("a", "ml_inference", 9, NOVEMBER + DAY - S);
    meter("b", "ml_inference", 3, NOVEMBER + DAY);
    cr_expect_eq(show(QUOTA_INFERENCE).used, 3);
    struct got got = lease("req_1", "ml_inference_day", 7, 7);
    cr_expect_eq(got.granted, 7);
    meter("c", "ml_inference", 9, NOVEMBER + DAY - S);
    cr_expect_eq(show(QUOTA_INFERENCE).used, 3);
}

Test(quota, sums_up_what_was_metered_before_anyone_asked)
{
    limit_to("api_calls_month", 100);
    for (int day = 0; day < 30; day++)
        count_calls(2, NOVEMBER + day * (int64_t)DAY);
    count_calls(50, NOVEMBER - 1);
    count_calls(50, NOVEMBER + 30 * (int64_t)DAY);
    cr_expect_eq(show(QUOTA_API_CALLS).used, 60);
    cr_expect_eq(lease("req_1", "api_calls_month", 41, 41).granted, 0);
    cr_expect_eq(lease("req_2", "api_calls_month", 40, 40).granted, 40);
}

Test(quota, gives_a_call_that_is_repeated_the_same_block)
{
    limit_to("api_calls_month", 100);
    struct got one = lease("req_1", "api_calls_month", 20, 1);
    struct got two = lease("req_1", "api_calls_month", 20, 1);
    cr_expect_eq(one.granted, 20);
    cr_expect_eq(two.granted, 20);
    cr_expect(two.limited);
    cr_expect_str_eq(one.name, two.name);
    cr_expect_eq(show(QUOTA_API_CALLS).leased, 20);
    for (int times = 0; times < 3; times++)
        settle(one.name, 5);
    cr_expect_eq(lease("req_2", "api_calls_month", 96, 96).granted, 0);
    cr_expect_eq(lease("req_3", "api_calls_month", 95, 95).granted, 95);
}

Test(quota, loses_nothing_when_it_starts_again)
{
    limit_to("api_calls_month", 100);
    struct got one = lease("req_1", "api_calls_month", 50, 50);
    count_calls(10, clock_ms);
    om_db_close(&billing.db);
    billing.db = call_open_db(&folder, "billing", billing_schema);
    cr_expect_eq(lease("req_2", "api_calls_month", 51, 51).granted, 0);
    settle(one.name, 10);
    cr_expect_eq(lease("req_3", "api_calls_month", 90, 90).granted, 90);
}

Test(quota, knows_a_tenant_by_its_own_blocks_and_limits)
{
    limit_to("api_calls_month", 10);
    struct got one = lease("req_1", "api_calls_month", 10, 10);
    tenant = om_id_new(9);
    cr_expect_eq(show(QUOTA_API_CALLS).leased, 0);
    cr_expect_eq(show(QUOTA_API_CALLS).limit, 10000);
    settle(one.name, 0); // another tenant's: nothing happens
    cr_expect_eq(lease("req_1", "api_calls_month", 100, 100).granted, 100);
}

Test(quota, has_the_limits_of_the_plan_until_the_tenant_has_its_own)
{
    cr_expect_eq(show(QUOTA_INFERENCE).limit, 500);
    limit_to("ml_inference_day", 7);
    cr_expect_eq(show(QUOTA_INFERENCE).limit, 7);
    cr_expect(show(QUOTA_INFERENCE).overridden);
    limit_to("ml_inference_day", -1);
    cr_expect_eq(show(QUOTA_INFERENCE).limit, 500);
    cr_expect(!REC_HAS(&(struct quota_item){ 0 }, quota_item, overridden));
}

OM_SQL(tallies, "SELECT count(*) FROM quota_tally");

static int64_t
count_tallies(void)
{
    struct om_txn *txn = om_db_begin_read(billing.db);
    struct om_rows *rows = om_db_query(txn, &sql_tallies);
    cr_assert(om_rows_next(rows));
    int64_t count = om_row_i64(rows, 0);
    om_rows_close(&rows);
    om_db_rollback(&txn);
    return count;
}

Test(quota, forgets_windows_that_are_long_over_but_not_what_there_is)
{
    limit_to("ml_inference_day", 10);
    limit_to("storage_bytes", 10);
    settle(lease("req_1", "ml_inference_day", 3, 3).name, 3);
    settle(lease("req_2", "storage_bytes", 3, 3).name, 3);
    meter("a", "ml_inference", 3, clock_ms);
    clock_ms += 39 * (int64_t)DAY;
    billing_tick(&billing, 0);
    cr_expect_eq(count_tallies(), 2);
    clock_ms += 2 * (int64_t)DAY;
    billing_tick(&billing, 0);
    cr_expect_eq(count_tallies(), 1);
    clock_ms -= 41 * (int64_t)DAY;
    cr_expect_eq(show(QUOTA_INFERENCE).used, 3, "it is summed up again");
}

// ---- what there is

Test(quota, gives_storage_back_when_a_file_is_deleted)
{
    limit_to("storage_bytes", 1000);
    struct got one = lease("req_1", "storage_bytes", 700, 700);
    cr_expect_eq(one.granted, 700);
    cr_expect(settle_for(one.name, 600, "file_1") == OM_OK);
    cr_expect_eq(lease("req_2", "storage_bytes", 400, 400).granted, 0);
    meter("file_1/storage_bytes", "storage_bytes", 600, clock_ms);
    cr_expect_eq(show(QUOTA_STORAGE).used, 600);
    cr_expect_eq(show(QUOTA_STORAGE).leased, 0);
    struct got two = lease("req_3", "storage_bytes", 400, 400);
    cr_expect_eq(two.granted, 400);
    settle(two.name, 0); // the upload failed
    meter("file_1/storage_bytes_removed", "storage_bytes_removed", 600, clock_ms);
    cr_expect_eq(show(QUOTA_STORAGE).used, 0);
    cr_expect_eq(lease("req_4", "storage_bytes", 1000, 1000).granted, 1000);
}

Test(quota, does_not_wait_for_usage_that_has_come_already)
{
    limit_to("storage_bytes", 1000);
    struct got one = lease("req_1", "storage_bytes", 700, 700);
    meter("file_1/storage_bytes", "storage_bytes", 600, clock_ms);
    cr_expect(settle_for(one.name, 600, "file_1") == OM_OK);
    cr_expect_eq(lease("req_2", "storage_bytes", 400, 400).granted, 400);
}

Test(quota, holds_a_training_until_its_model_is_counted)
{
    limit_to("custom_models", 2);
    struct got one = lease("req_1", "custom_models", 1, 1);
    struct got two = lease("req_2", "custom_models", 1, 1);
    cr_expect(settle_for(one.name, 1, "task_a") == OM_OK);
    cr_expect(settle_for(two.name, 1, "task_b") == OM_OK);
    clock_ms += 30 * MINUTE;
    cr_expect_eq(lease("req_3", "custom_models", 1, 1).granted, 0);
    meter("task_a/1/custom_model", "custom_model", 1, clock_ms);
    cr_expect_eq(lease("req_4", "custom_models", 1, 1).granted, 0);
    meter("task_b/3/custom_model", "custom_model", 0, clock_ms); // failed for good
    cr_expect_eq(lease("req_5", "custom_models", 1, 1).granted, 1);
}

// ---- plans

static struct plan_changes_reply
changes(int64_t since)
{
    struct plan_changes_request request = { 0 };
    struct plan_changes_reply reply;
    REC_SET(&request, plan_changes_request, since, since);
    cr_assert(ask(OP_plan_changes, "", &request, &reply) == OM_OK);
    return reply;
}

static enum om_rc
set_plan(const char *code, const char *policy, int64_t limit)
{
    struct plan_set_request request = { 0 };
    struct plan_set_reply reply;
    struct plan_quota quota = { 0 };
    struct om_buf list = { 0 };
    REC_SET(&quota, plan_quota, policy, om_str(policy));
    REC_SET(&quota, plan_quota, limit, limit);
    om_pack_array(&list, 1);
    rec_encode(&plan_quota_rec, &quota, &list);
    REC_SET(&request, plan_set_request, code, om_str(code));
    REC_SET(&request, plan_set_request, name, OM_LIT("Name"));
    REC_SET(&request, plan_set_request, quotas, om_buf_str(&list));
    enum om_rc rc = ask(OP_plan_set, "", &request, &reply);
    om_buf_finish(&list);
    return rc;
}

Test(quota, begins_with_three_plans)
{
    static const char *const codes[] = { "free", "pro", "enterprise" };
    struct plan_list_request request = { 0 };
    struct plan_list_reply reply;
    struct plan_item item;
    struct om_str bytes;
    cr_assert(ask(OP_plan_list, "", &request, &reply) == OM_OK);
    struct rec_iter iter = rec_iter(reply.data);
    for (size_t i = 0; i < OM_COUNT(codes); i++) {
        cr_assert(rec_next_rec(&iter, &plan_item_rec, &item, &bytes));
        cr_expect(om_str_eq(item.code, om_str(codes[i])));
        cr_expect_eq(rec_iter(item.quotas).left, i < 2 ? QUOTA_COUNT : 0);
        cr_expect_eq(REC_HAS(&item, plan_item, requests), i < 2);
    }
    cr_expect(!rec_next_rec(&iter, &plan_item_rec, &item, &bytes));
}

Test(quota, limits_nothing_on_a_plan_without_quotas)
{
    struct quota_lease_request request = { 0 };
    struct quota_lease_reply reply;
    REC_SET(&request, quota_lease_request, policy, OM_LIT("api_calls_month"));
    REC_SET(&request, quota_lease_request, plan, OM_LIT("enterprise"));
    REC_SET(&request, quota_lease_request, amount, 1000000);
    REC_SET(&request, quota_lease_request, least, 1);
    cr_assert(ask(OP_quota_lease, "req_1", &request, &reply) == OM_OK);
    cr_expect_eq(reply.granted, 1000000);
    cr_expect(!REC_HAS(&reply, quota_lease_reply, limit));
    cr_expect_eq(show(QUOTA_API_CALLS).leased, 0);
    cr_expect(!REC_HAS(&(struct quota_item){ 0 }, quota_item, limit));
}

Test(quota, tells_edges_what_changed)
{
    int64_t version = changes(0).version;
    cr_expect(REC_HAS(&(struct plan_changes_reply){ 0 }, plan_changes_reply, data) == 0);
    struct plan_changes_reply reply = changes(version);
    cr_expect(!REC_HAS(&reply, plan_changes_reply, data), "nothing changed");

    limit_to("api_calls_month", 5);
    reply = changes(version);
    cr_expect_eq(reply.version, version + 1);
    struct rec_iter iter = rec_iter(reply.tenants);
    struct om_str text;
    cr_assert(rec_next_str(&iter, &text));
    cr_expect(om_str_eq(text, om_str(tenant_text)));
    cr_expect_eq(iter.left, 0);

    cr_assert(set_plan("free", "api_calls_month", 5) == OM_OK);
    reply = changes(version);
    cr_expect(REC_HAS(&reply, plan_changes_reply, data));
    cr_expect(!REC_HAS(&reply, plan_changes_reply, tenants), "perhaps anyone's");
    cr_expect(!REC_HAS(&reply, plan_changes_reply, tenants));
    reply = changes(0);
    cr_expect(!REC_HAS(&reply, plan_changes_reply, tenants));
}

Test(quota, follows_a_plan_that_is_changed)
{
    cr_assert(set_plan("free", "api_calls_month", 5) == OM_OK);
    cr_expect_eq(lease("req_1", "api_calls_month", 6, 6).granted, 0);
    cr_expect_eq(lease("req_2", "api_calls_month", 5, 5).granted, 5);
    struct quota_item item = show(QUOTA_INFERENCE);
    cr_expect(!REC_HAS(&item, quota_item, limit), "it was not named");
}

// ---- bad questions

Test(quota, names_the_field_of_a_bad_plan)
{
    static const struct {
        const char *code, *policy, *param;
    } cases[] = {
        { "Free", "api_calls_month", "code" }, { "9", "api_calls_month", "code" },
        { "a b", "api_calls_month", "code" },  { "a/b", "api_calls_month", "code" },
        { "free", "bananas", "quotas" },       { "free", "API_CALLS_MONTH", "quotas" },
    };
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        cr_expect(set_plan(cases[i].code, cases[i].policy, 1) == OM_EINVAL, "%zu", i);
        cr_expect_str_eq(call.job.param, cases[i].param);
    }
}

Test(quota, names_the_field_of_a_bad_lease)
{
    static const struct {
        const char *id, *policy;
        int64_t amount, least;
        const char *param;
    } cases[] = {
        { "req_1", "bananas", 1, 1, "policy" },
        { "", "api_calls_month", 1, 1, "id" },
        { "an id that is longer than any id is", "api_calls_month", 1, 1, "id" },
        { "req_1", "api_calls_month", 1, 2, "least" },
    };
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        struct quota_lease_request request = { 0 };
        struct quota_lease_reply reply;
        REC_SET(&request, quota_lease_request, policy, om_str(cases[i].policy));
        REC_SET(&request, quota_lease_request, plan, OM_LIT("free"));
        REC_SET(&request, quota_lease_request, amount, cases[i].amount);
        REC_SET(&request, quota_lease_request, least, cases[i].least);
        cr_expect(ask(OP_quota_lease, cases[i].id, &request, &reply) == OM_EINVAL, "%zu",
                  i);
        cr_expect_str_eq(call.job.param, cases[i].param);
    }
}

Test(quota, takes_no_nonsense_as_a_settlement)
{
    limit_to("api_calls_month", 10);
    struct got one = lease("req_1", "api_calls_month", 5, 5);
    static const char *const names[] = { "x",
                                         "/",
                                         "req_1",
                                         "req_1/",
                                         "req_1/bananas",
                                         "req_2/api_calls_month",
                                         "req_1/ml_inference_day" };
    for (size_t i = 0; i < OM_COUNT(names); i++)
        settle(names[i], 3);
    cr_expect_eq(show(QUOTA_API_CALLS).leased, 5);
    cr_expect(settle_for(one.name, 6, NULL) == OM_EINVAL);
    cr_expect_str_eq(call.job.param, "used");
    cr_expect_eq(show(QUOTA_API_CALLS).leased, 5);
}

// ---- whatever happens

static uint64_t seed;

static int64_t
draw(int64_t below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (int64_t)(seed >> 33) % below;
}

// Edges that take blocks, use some of each, crash or settle, and whose usage is metered
// late: in the end no more was used than the limit, and all of it can be.
Test(quota, never_lets_more_be_used_than_the_limit)
{
    enum { LIMIT = 60, BLOCKS = 8, STEPS = 150, RUNS = 12 };
    struct {
        char name[65];
        int64_t granted, used;
    } blocks[BLOCKS];
    for (unsigned run = 1; run <= RUNS; run++) {
        seed = run;
        tenant = om_id_new(9);
        om_typeid_encode(OM_ID_TENANT, &tenant, tenant_text);
        limit_to("api_calls_month", LIMIT);
        memset(blocks, 0, sizeof(blocks));
        int64_t used = 0, metered = 0;
        for (int step = 0; step < STEPS; step++) {
            int64_t i = draw(BLOCKS);
            char id[32];
            snprintf(id, sizeof(id), "req_%u_%d", run, step);
            if (blocks[i].granted == 0) {
                struct got got = lease(id, "api_calls_month", 1 + draw(20), 1);
                blocks[i].granted = got.granted;
                memcpy(blocks[i].name, got.name, sizeof(got.name));
            } else if (draw(3) == 0) {
                settle(blocks[i].name, blocks[i].used);
                memset(&blocks[i], 0, sizeof(blocks[i]));
            } else if (blocks[i].used < blocks[i].granted) {
                blocks[i].used++;
                used++;
            }
            if (draw(4) == 0 && metered < used) {
                int64_t part = 1 + draw(used - metered);
                count_calls(part, clock_ms);
                metered += part;
            }
            cr_assert_leq(used, LIMIT, "run %u step %d", run, step);
        }
        for (int i = 0; i < BLOCKS; i++)
            if (blocks[i].granted > 0)
                settle(blocks[i].name, blocks[i].used);
        count_calls(used - metered, clock_ms);
        cr_expect_eq(show(QUOTA_API_CALLS).used, used);
        if (used < LIMIT)
            cr_expect_eq(
                lease("req_last", "api_calls_month", LIMIT - used, LIMIT - used).granted,
                LIMIT - used, "run %u", run);
    }
}
