#include <criterion/criterion.h>

#include "caller.h"
#include "id.h"
#include "scope.h"

// An answer of identity, with the bytes its lists are in.
struct answer {
    struct key_resolve_reply reply;
    struct om_buf bytes[5];
    size_t count;
    char tenant[OM_TYPEID_MAX];
};

static void
answer_begin(struct answer *self)
{
    memset(self, 0, sizeof(*self));
    om_id_text(OM_ID_TENANT, 9, self->tenant);
    REC_SET(&self->reply, key_resolve_reply, id, OM_LIT("key_1"));
    REC_SET(&self->reply, key_resolve_reply, tenant, om_str(self->tenant));
}

static void
answer_finish(struct answer *self)
{
    for (size_t i = 0; i < self->count; i++)
        om_buf_finish(&self->bytes[i]);
}

static struct om_str
names(struct answer *self, size_t count, const char *const *list)
{
    struct om_buf *out = &self->bytes[self->count++];
    om_pack_array(out, (uint32_t)count);
    for (size_t i = 0; i < count; i++)
        om_pack_str(out, om_str(list[i]));
    return om_buf_str(out);
}

#define NAMES(answer, ...)                                                               \
    names(answer, OM_COUNT(((const char *const[]){ __VA_ARGS__ })),                      \
          (const char *const[]){ __VA_ARGS__ })

Test(caller, reads_identitys_answer_and_ignores_scopes_of_a_newer_one)
{
    struct answer answer;
    struct caller caller;
    answer_begin(&answer);
    REC_SET(&answer.reply, key_resolve_reply, scopes,
            NAMES(&answer, "predict", "teleport", "files:read"));
    cr_assert_eq(caller_decode(&answer.reply, &caller), OM_OK);
    cr_expect_eq(caller.scopes, SCOPE_BIT(PREDICT) | SCOPE_BIT(FILES_READ));
    cr_expect_str_eq(caller.tenant_text, answer.tenant);
    cr_expect_eq(om_uuid_shard(&caller.tenant), 9);
    cr_expect_eq(caller.expires_ms, INT64_MAX);
    cr_expect_eq(caller.policy->state, TENANT_ACTIVE);
    cr_expect_str_eq(caller.policy->plan, "free");
    cr_expect(caller_is_near(&caller, "203.0.113.9"));
    cr_expect(caller_may_use(&caller, OM_LIT("any")));
    caller_drop(&caller);
    answer_finish(&answer);
}

Test(caller, refuses_what_is_no_answer)
{
    struct answer answer;
    struct caller caller;
    answer_begin(&answer);
    answer.reply.tenant = OM_LIT("ten_nonsense");
    cr_expect_eq(caller_decode(&answer.reply, &caller), OM_EPROTO);
    answer_begin(&answer);
    answer.reply.id =
        OM_LIT("an id that is a good deal longer than any id of ours will ever be");
    cr_expect_eq(caller_decode(&answer.reply, &caller), OM_EPROTO);
    answer_begin(&answer);
    REC_SET(&answer.reply, key_resolve_reply, plan,
            OM_LIT("a plan whose code is longer than 32"));
    cr_expect_eq(caller_decode(&answer.reply, &caller), OM_EPROTO);
    cr_expect_null(caller.policy);
    answer_begin(&answer);
    om_pack_array(&answer.bytes[answer.count], 1);
    om_pack_i64(&answer.bytes[answer.count], 7);
    REC_SET(&answer.reply, key_resolve_reply, models,
            om_buf_str(&answer.bytes[answer.count++]));
    cr_expect_eq(caller_decode(&answer.reply, &caller), OM_EPROTO);
    answer_finish(&answer);
}

Test(caller, a_state_nobody_knows_is_suspended)
{
    static const struct {
        const char *text;
        enum tenant_state state;
    } cases[] = { { "active", TENANT_ACTIVE },
                  { "past_due", TENANT_PAST_DUE },
                  { "suspended", TENANT_SUSPENDED },
                  { "closed", TENANT_CLOSED },
                  { "levitating", TENANT_SUSPENDED } };
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        struct answer answer;
        struct caller caller;
        answer_begin(&answer);
        REC_SET(&answer.reply, key_resolve_reply, state, om_str(cases[i].text));
        cr_assert_eq(caller_decode(&answer.reply, &caller), OM_OK);
        cr_expect_eq(caller.policy->state, cases[i].state, "%s", cases[i].text);
        caller_drop(&caller);
    }
}

Test(caller, is_let_in_only_from_its_networks)
{
    static const struct {
        const char *address;
        bool near;
    } cases[] = {
        { "10.1.2.3", true },
        { "10.2.0.1", false },
        { "192.0.2.7", true },
        { "192.0.2.8", false },
        { "2001:db8::1", true },
        { "2001:db9::1", false },
        { "::ffff:10.1.0.1", true },
        { "nonsense", false },
        { "", false },
        { NULL, false },
    };
    struct answer answer;
    struct caller caller;
    answer_begin(&answer);
    REC_SET(&answer.reply, key_resolve_reply, cidrs,
            NAMES(&answer, "10.1.0.0/16", "192.0.2.7", "2001:db8::/32"));
    cr_assert_eq(caller_decode(&answer.reply, &caller), OM_OK);
    for (size_t i = 0; i < OM_COUNT(cases); i++)
        cr_expect_eq(caller_is_near(&caller, cases[i].address), cases[i].near, "%s",
                     cases[i].address ? cases[i].address : "(none)");
    caller_drop(&caller);
    answer_finish(&answer);
}

Test(caller, a_network_that_cannot_be_read_is_nobodys)
{
    static const char *const bad[] = { "10.0.0.0/33", "10.0.0/8", "everywhere", "",
                                       "::/129",      "1.2.3.4/", "10.1.0.0/8" };
    for (size_t i = 0; i < OM_COUNT(bad); i++) {
        struct answer answer;
        struct caller caller;
        answer_begin(&answer);
        REC_SET(&answer.reply, key_resolve_reply, cidrs, NAMES(&answer, bad[i]));
        cr_assert_eq(caller_decode(&answer.reply, &caller), OM_OK);
        cr_expect_not(caller_is_near(&caller, "10.1.2.3"), "%s", bad[i]);
        caller_drop(&caller);
        answer_finish(&answer);
    }
}

Test(caller, may_use_only_its_models)
{
    struct answer answer;
    struct caller caller;
    answer_begin(&answer);
    REC_SET(&answer.reply, key_resolve_reply, models, NAMES(&answer, "ets", "theta"));
    cr_assert_eq(caller_decode(&answer.reply, &caller), OM_OK);
    cr_expect(caller_may_use(&caller, OM_LIT("theta")));
    cr_expect_not(caller_may_use(&caller, OM_LIT("thet")));
    cr_expect_not(caller_may_use(&caller, OM_LIT("")));
    caller_drop(&caller);
    answer_finish(&answer);
}

static void
pack_limit(struct om_buf *out, const char *scope, const char *subject, int64_t requests,
           int64_t tokens)
{
    struct rate_limit_item item = { 0 };
    REC_SET(&item, rate_limit_item, scope, om_str(scope));
    REC_SET(&item, rate_limit_item, subject, om_str(subject));
    if (requests >= 0)
        REC_SET(&item, rate_limit_item, requests, requests);
    if (tokens >= 0)
        REC_SET(&item, rate_limit_item, tokens, tokens);
    rec_encode(&rate_limit_item_rec, &item, out);
}

Test(caller, of_two_limits_on_the_same_the_less_holds)
{
    struct answer answer;
    struct caller caller;
    answer_begin(&answer);
    struct om_buf *list = &answer.bytes[answer.count++];
    om_pack_array(list, 4);
    pack_limit(list, "team", "team_a", 100, -1);
    pack_limit(list, "team", "team_a", 50, 9);
    pack_limit(list, "team", "team_b", 70, -1);
    pack_limit(list, "planet", "earth", 1, -1);
    REC_SET(&answer.reply, key_resolve_reply, limits, om_buf_str(list));
    cr_assert_eq(caller_decode(&answer.reply, &caller), OM_OK);
    cr_assert_eq(caller.policy->limit_count, 2);
    const struct rate_limit *limits = caller.policy->limits;
    cr_expect_eq(limits[0].most[COUNTER_REQUESTS], 50);
    cr_expect_eq(limits[0].most[COUNTER_TOKENS], 9);
    cr_expect_eq(limits[0].most[COUNTER_CONCURRENT], NO_LIMIT);
    cr_expect_eq(limits[1].most[COUNTER_REQUESTS], 70);
    caller_drop(&caller);
    answer_finish(&answer);
}

Test(caller, the_policy_lives_as_long_as_someone_holds_it)
{
    struct answer answer;
    struct caller caller;
    answer_begin(&answer);
    cr_assert_eq(caller_decode(&answer.reply, &caller), OM_OK);
    struct caller copy = caller_hold(&caller);
    caller_drop(&caller);
    cr_expect_null(caller.policy);
    cr_expect_str_eq(copy.policy->plan, "free");
    caller_drop(&copy); // the address sanitizer says whether this was right
}
