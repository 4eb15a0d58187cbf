// The limits of plans, and questions about quotas that are wrong.
#include "quota_fixture.h"

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
