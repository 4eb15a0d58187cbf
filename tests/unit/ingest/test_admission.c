// The decision, held against a plain statement of the rules with random callers, plans
// and times.
#include <criterion/criterion.h>
#include <stdio.h>

#include "admission.h"
#include "limiter.h"
#include "scope.h"

static uint64_t
next(uint64_t *seed)
{
    uint64_t z = *seed += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static int64_t
below(uint64_t *seed, int64_t end)
{
    return (int64_t)(next(seed) % (uint64_t)end);
}

// A caller of the test's own memory.
struct someone {
    struct caller caller;
    struct policy policy;
    struct rate_limit limits[CALLER_LIMITS_MAX];
    struct om_cidr network;
    struct om_str model;
    struct plan plan;
};

static void
someone_begin(struct someone *self, uint8_t tenant)
{
    *self = (struct someone){ .policy = { .holders = 1 },
                              .plan = { .most = { NO_LIMIT, NO_LIMIT, NO_LIMIT } } };
    self->caller.tenant.bytes[0] = tenant;
    self->caller.expires_ms = INT64_MAX;
    self->caller.scopes = SCOPES_OWNER;
    self->caller.policy = &self->policy;
    self->policy.limits = self->limits;
}

static struct admission_facts
facts_of(const struct someone *self, const struct route *route)
{
    return (struct admission_facts){ .route = route,
                                     .caller = &self->caller,
                                     .plan = &self->plan,
                                     .address = "198.51.100.1",
                                     .model = OM_LIT("ets"),
                                     .wall_ms = 1000 };
}

// ---- what is known without counting

// What can be wrong with a request, in the order it is found.
enum wrong {
    WRONG_KEY,
    WRONG_AGE,
    WRONG_NETWORK,
    WRONG_SCOPE,
    WRONG_MODEL,
    WRONG_TENANT,
    WRONG_MONEY,
    WRONGS
};

static const enum admission answers[WRONGS] = {
    ADMISSION_NO_KEY, ADMISSION_EXPIRED,   ADMISSION_NETWORK, ADMISSION_SCOPE,
    ADMISSION_MODEL,  ADMISSION_SUSPENDED, ADMISSION_PAYMENT,
};

static void
make_wrong(struct someone *who, struct admission_facts *facts, enum wrong what)
{
    switch (what) {
    case WRONG_KEY:
        facts->caller = NULL;
        break;
    case WRONG_AGE:
        who->caller.expires_ms = facts->wall_ms;
        break;
    case WRONG_NETWORK:
        who->policy.has_networks = true;
        break;
    case WRONG_SCOPE:
        who->caller.scopes = 0;
        break;
    case WRONG_MODEL:
        who->policy.has_models = true;
        break;
    case WRONG_TENANT:
        who->policy.state = TENANT_CLOSED;
        break;
    default:
        who->policy.state =
            who->policy.state == TENANT_CLOSED ? TENANT_CLOSED : TENANT_PAST_DUE;
    }
}

Test(admission, finds_what_is_wrong_in_the_order_of_the_design)
{
    static const struct route route = { .auth = AUTH_KEY,
                                        .scope = SCOPE_PREDICT,
                                        .flags = ROUTE_COSTS };
    for (unsigned mask = 0; mask < 1u << WRONGS; mask++) {
        struct someone who;
        someone_begin(&who, 1);
        struct admission_facts facts = facts_of(&who, &route);
        enum admission wanted = ADMISSION_ADMITTED;
        for (unsigned i = WRONGS; i-- > 0;)
            if (mask >> i & 1)
                wanted = answers[i];
        for (unsigned i = 0; i < WRONGS; i++)
            if (mask >> i & 1)
                make_wrong(&who, &facts, (enum wrong)i);
        cr_expect_eq(admission_check(&facts), wanted, "mask %x", mask);
    }
}

Test(admission, who_is_behind_with_paying_may_do_what_is_free)
{
    static const struct route free_route = { .scope = SCOPE_FILES_READ };
    static const struct route dear_route = { .scope = SCOPE_PREDICT,
                                             .flags = ROUTE_COSTS };
    struct someone who;
    someone_begin(&who, 1);
    who.policy.state = TENANT_PAST_DUE;
    struct admission_facts facts = facts_of(&who, &free_route);
    cr_expect_eq(admission_check(&facts), ADMISSION_ADMITTED);
    facts.route = &dear_route;
    cr_expect_eq(admission_check(&facts), ADMISSION_PAYMENT);
}

// ---- rates

Test(admission, an_operators_key_has_no_rate_limit)
{
    static const struct route route = { .scope = SCOPE_PREDICT };
    struct counter_want wants[COUNTERS_WANTS_MAX];
    struct someone who;
    someone_begin(&who, 1);
    who.plan.most[COUNTER_REQUESTS] = 1;
    struct admission_facts facts = facts_of(&who, &route);
    cr_expect_eq(admission_wants(&facts, wants), 1);
    who.caller.scopes |= SCOPE_BIT(OPERATOR);
    cr_expect_eq(admission_wants(&facts, wants), 0);
}

static void
random_limits(struct someone *who, uint64_t *seed)
{
    who->policy.limit_count = (size_t)below(seed, CALLER_LIMITS_MAX + 1);
    for (size_t i = 0; i < who->policy.limit_count; i++) {
        struct rate_limit *limit = &who->limits[i];
        *limit =
            (struct rate_limit){ .scope = (enum limit_scope)below(seed, LIMIT_PLAN) };
        limit->subject[0] = (uint8_t)i;
        for (int kind = 0; kind < COUNTER_KINDS; kind++)
            limit->most[kind] = below(seed, 3) == 0 ? below(seed, 40) : NO_LIMIT;
    }
    for (int kind = 0; kind < COUNTER_KINDS; kind++)
        who->plan.most[kind] = below(seed, 2) == 0 ? below(seed, 60) : NO_LIMIT;
}

// The least that any of the limits allows; INT64_MAX: no limit.
static int64_t
strictest(const struct someone *who, enum counter_kind kind)
{
    int64_t least = INT64_MAX;
    for (size_t i = 0; i < who->policy.limit_count; i++)
        if (who->limits[i].most[kind] != NO_LIMIT && who->limits[i].most[kind] < least)
            least = who->limits[i].most[kind];
    if (who->plan.most[kind] != NO_LIMIT && who->plan.most[kind] < least)
        least = who->plan.most[kind];
    return least;
}

enum { STEPS = 400 };

// What a plain reading of the rules says.
struct rules {
    int64_t at_ms[STEPS];
    size_t count;
    int64_t flying;
};

static int64_t
in_window(const struct rules *rules, int64_t now_ms)
{
    int64_t used = 0;
    for (size_t i = 0; i < rules->count; i++)
        used += rules->at_ms[i] > now_ms - LIMITER_WINDOW_MS;
    return used;
}

static void
check_seed(uint64_t seed)
{
    static const struct route route = { .scope = SCOPE_PREDICT };
    struct counters *counters = counters_create(1024);
    struct rules rules = { 0 };
    struct someone who;
    uint64_t random = seed;
    int64_t now_ms = 100000;
    someone_begin(&who, (uint8_t)seed);
    random_limits(&who, &random);
    int64_t requests = strictest(&who, COUNTER_REQUESTS);
    int64_t concurrent = strictest(&who, COUNTER_CONCURRENT);
    for (int step = 0; step < STEPS; step++) {
        struct counter_want wants[COUNTERS_WANTS_MAX];
        struct counter_state states[COUNTERS_WANTS_MAX];
        struct admission_limits limits = { 0 };
        struct admission_facts facts = facts_of(&who, &route);
        int64_t at_ms;
        now_ms += below(&random, 3) ? below(&random, 300) : below(&random, 9000);
        size_t count = admission_wants(&facts, wants);
        enum om_rc rc = counters_take(counters, now_ms, wants, count, states, &at_ms);
        enum admission what = admission_judge(rc, wants, states, count, &limits);
        bool fits = in_window(&rules, now_ms) < requests && rules.flying < concurrent;
        cr_assert_eq(what, fits ? ADMISSION_ADMITTED : ADMISSION_RATE,
                     "seed %llu, step %d", (unsigned long long)seed, step);
        cr_assert_eq(limits.violated_count > 0, !fits, "seed %llu",
                     (unsigned long long)seed);
        if (fits) {
            rules.at_ms[rules.count++] = now_ms;
            rules.flying++;
        }
        if (limits.has[COUNTER_REQUESTS])
            cr_assert_eq(limits.shown[COUNTER_REQUESTS].state.remaining,
                         requests - in_window(&rules, now_ms), "seed %llu, step %d",
                         (unsigned long long)seed, step);
        size_t first = 0;
        while (first < count && wants[first].key.kind != COUNTER_CONCURRENT)
            first++;
        if (rules.flying > 0 && below(&random, 3) == 0) {
            counters_give(counters, now_ms, wants + first, count - first);
            rules.flying--;
        }
    }
    counters_destroy(&counters);
}

// Limits below 64 are exact, so the rules say to the millisecond what must come.
Test(admission, the_strictest_limit_decides_and_a_refusal_takes_nothing)
{
    for (uint64_t seed = 1; seed <= 300; seed++)
        check_seed(seed);
}

Test(admission, names_the_limit_that_lasts_longest_first)
{
    struct counter_want wants[3] = { { .limit = 5, .amount = 1 },
                                     { .limit = 9, .amount = 1 },
                                     { .limit = 7, .amount = 1 } };
    struct counter_state states[3] = { { .wait_ms = 1000 },
                                       { .wait_ms = 0, .remaining = 2 },
                                       { .wait_ms = 31001 } };
    struct admission_limits limits = { 0 };
    char reason[200];
    wants[0].key.scope = LIMIT_KEY;
    wants[1].key.scope = LIMIT_TENANT;
    wants[2].key.scope = LIMIT_PLAN;
    cr_assert_eq(admission_judge(OM_ERATE, wants, states, 3, &limits), ADMISSION_RATE);
    cr_assert_eq(limits.violated_count, 2);
    cr_expect_str_eq(admission_policy_name(&limits.violated[0]), "rpm");
    cr_expect_str_eq(admission_policy_name(&limits.violated[1]), "key_rpm");
    admission_reason(&limits, reason, sizeof(reason));
    cr_expect_str_eq(reason, "rpm: this plan allows 7 requests in any minute; try again "
                             "in 32 s");
    cr_assert_eq(admission_judge(OM_EFULL, wants, states, 3, &limits), ADMISSION_CROWDED);
    cr_expect_eq(limits.violated_count, 0);
}

Test(admission, says_that_a_request_is_too_large_for_a_limit_and_not_when_to_come_back)
{
    struct counter_want want = { .key = { .scope = LIMIT_PLAN, .kind = COUNTER_TOKENS },
                                 .limit = 100,
                                 .amount = 101 };
    struct counter_state state = { .wait_ms = 60000, .remaining = 100 };
    struct admission_limits limits = { 0 };
    char reason[200];
    cr_assert_eq(admission_judge(OM_ERATE, &want, &state, 1, &limits), ADMISSION_RATE);
    cr_expect_eq(admission_retry_s(&limits), 0);
    admission_reason(&limits, reason, sizeof(reason));
    cr_expect_str_eq(reason, "tpm: this plan allows 100 tokens in any minute; this "
                             "request alone wants 101");
    want.limit = 0; // nothing may pass until the limit is changed: that may be soon
    limits = (struct admission_limits){ 0 };
    cr_assert_eq(admission_judge(OM_ERATE, &want, &state, 1, &limits), ADMISSION_RATE);
    cr_expect_eq(admission_retry_s(&limits), 60);
}

// ---- header fields

Test(admission, writes_the_header_fields_of_the_interface)
{
    static const struct {
        const char *name, *value;
    } wanted[] = {
        { "ratelimit-policy",
          "\"rpm\";q=600;w=60,\"key_tpm\";q=100000;w=60;qu=\"tokens\"" },
        { "ratelimit", "\"rpm\";r=599;t=12,\"key_tpm\";r=0;t=60" },
        { "x-ratelimit-limit-requests", "600" },
        { "x-ratelimit-remaining-requests", "599" },
        { "x-ratelimit-reset-requests", "12s" },
        { "x-ratelimit-limit-tokens", "100000" },
        { "x-ratelimit-remaining-tokens", "0" },
        { "x-ratelimit-reset-tokens", "60s" },
    };
    struct admission_limits limits = {
        .has = { true, true },
        .shown = { { LIMIT_PLAN, COUNTER_REQUESTS, 600, 1, { 599, 0, 11001 } },
                   { LIMIT_KEY, COUNTER_TOKENS, 100000, 1, { 0, 0, 60000 } } },
    };
    struct om_http_response response = { 0 };
    char text[ADMISSION_TEXT_MAX];
    admission_fields(&limits, text, &response);
    cr_assert_eq(response.field_count, OM_COUNT(wanted));
    for (size_t i = 0; i < OM_COUNT(wanted); i++) {
        cr_expect(om_str_eq(response.fields[i].name, om_str(wanted[i].name)));
        cr_expect(om_str_eq(response.fields[i].value, om_str(wanted[i].value)), "%.*s",
                  (int)response.fields[i].value.size, response.fields[i].value.data);
    }
}

Test(admission, has_room_for_the_longest_header_fields)
{
    struct admission_limits limits = {
        .has = { true, true },
        .shown = { { LIMIT_TENANT,
                     COUNTER_REQUESTS,
                     INT64_MAX,
                     1,
                     { INT64_MAX, 0, 60000 } },
                   { LIMIT_TENANT,
                     COUNTER_TOKENS,
                     INT64_MAX,
                     1,
                     { INT64_MAX, 0, 60000 } } },
    };
    struct om_http_response response = { 0 };
    char text[ADMISSION_TEXT_MAX];
    admission_fields(&limits, text, &response);
    const struct om_http_field *last = &response.fields[response.field_count - 1];
    cr_expect(om_str_eq(last->value, OM_LIT("60s")));
}

// ---- plans

Test(admission, a_plan_nobody_told_of_has_the_limits_of_the_settings)
{
    static struct plans plans = { .fallback = { .most = { 600, NO_LIMIT, 100 } } };
    struct om_buf list = { 0 };
    struct plan_item item = { 0 };
    struct plan_changes_reply reply = { 0 };
    cr_expect_eq(plans_find(&plans, "pro")->most[COUNTER_REQUESTS], 600);
    REC_SET(&item, plan_item, code, OM_LIT("pro"));
    REC_SET(&item, plan_item, object, OM_LIT("plan"));
    REC_SET(&item, plan_item, name, OM_LIT("Pro"));
    REC_SET(&item, plan_item, requests, 5000);
    REC_SET(&item, plan_item, quotas, OM_LIT("\x90"));
    om_pack_array(&list, 1);
    rec_encode(&plan_item_rec, &item, &list);
    REC_SET(&reply, plan_changes_reply, version, 3);
    REC_SET(&reply, plan_changes_reply, data, om_buf_str(&list));
    cr_assert(plans_apply(&plans, &reply));
    cr_expect_eq(plans_find(&plans, "pro")->most[COUNTER_REQUESTS], 5000);
    cr_expect_eq(plans_find(&plans, "pro")->most[COUNTER_TOKENS], NO_LIMIT);
    cr_expect_eq(plans_find(&plans, "free")->most[COUNTER_REQUESTS], 600);
    cr_expect_eq(plans.version, 3);

    // "Nothing new" has a version alone; half an answer changes nothing.
    reply = (struct plan_changes_reply){ 0 };
    REC_SET(&reply, plan_changes_reply, version, 3);
    cr_assert(plans_apply(&plans, &reply));
    cr_expect_eq(plans_find(&plans, "pro")->most[COUNTER_REQUESTS], 5000);
    REC_SET(&reply, plan_changes_reply, version, 4);
    REC_SET(&reply, plan_changes_reply, data, OM_LIT("\x92\x80\xc0"));
    cr_expect_not(plans_apply(&plans, &reply));
    cr_expect_eq(plans.version, 3);
    cr_expect_eq(plans_find(&plans, "pro")->most[COUNTER_REQUESTS], 5000);
    om_buf_finish(&list);
}
