#include <stdio.h>

#include "admission.h"

const struct admission_info admission_infos[ADMISSION_COUNT] = {
#define ADMISSION_INFO(symbol, code, status, type)                                       \
    [ADMISSION_##symbol] = { code, type, status },
    ADMISSION_LIST(ADMISSION_INFO)
#undef ADMISSION_INFO
};

// ---- without counting

static enum admission
check_tenant(const struct caller *caller, const struct route *route)
{
    enum tenant_state state = caller->policy ? caller->policy->state : TENANT_ACTIVE;
    if (state == TENANT_SUSPENDED || state == TENANT_CLOSED)
        return ADMISSION_SUSPENDED;
    if (state == TENANT_PAST_DUE && route->flags & ROUTE_COSTS)
        return ADMISSION_PAYMENT;
    return ADMISSION_ADMITTED;
}

enum admission
admission_check(const struct admission_facts *facts)
{
    const struct caller *caller = facts->caller;
    const struct route *route = facts->route;
    if (route->auth == AUTH_NONE)
        return ADMISSION_ADMITTED;
    if (!caller)
        return ADMISSION_NO_KEY;
    if (caller->expires_ms <= facts->wall_ms)
        return ADMISSION_EXPIRED;
    // A grant is for one job, which was admitted when it was submitted; what it gives is
    // checked against the blob it is for.
    if (route->auth == AUTH_GRANT)
        return ADMISSION_ADMITTED;
    if (!caller_is_near(caller, facts->address))
        return ADMISSION_NETWORK;
    if (!(caller->scopes >> route->scope & 1))
        return ADMISSION_SCOPE;
    if (facts->model.data && !caller_may_use(caller, facts->model))
        return ADMISSION_MODEL;
    return check_tenant(caller, route);
}

// ---- what it takes

static size_t
want(struct counter_want *out, const struct caller *caller,
     const struct rate_limit *limit, enum counter_kind kind, int64_t amount)
{
    if (limit->most[kind] == NO_LIMIT)
        return 0;
    out->key.tenant = caller->tenant;
    memcpy(out->key.subject, limit->subject, COUNTER_SUBJECT);
    out->key.scope = (uint8_t)limit->scope;
    out->key.kind = (uint8_t)kind;
    out->limit = limit->most[kind];
    out->amount = amount;
    return 1;
}

// The plan's limits are on the tenant as a whole, beside those of its own.
static struct rate_limit
limit_of_plan(const struct plan *plan)
{
    struct rate_limit limit = { .scope = LIMIT_PLAN };
    memcpy(limit.most, plan->most, sizeof(limit.most));
    return limit;
}

static bool
is_limited(const struct caller *caller)
{
    return caller->policy && !(caller->scopes & SCOPE_BIT(OPERATOR));
}

_Static_assert((CALLER_LIMITS_MAX + 1) * COUNTER_KINDS <= COUNTERS_WANTS_MAX,
               "room for all limits a caller can have");

size_t
admission_wants(const struct admission_facts *facts,
                struct counter_want wants[COUNTERS_WANTS_MAX])
{
    static const int64_t amounts[COUNTER_KINDS] = { 1, 0, 1 };
    const struct caller *caller = facts->caller;
    size_t count = 0;
    if (facts->route->auth != AUTH_KEY || !is_limited(caller))
        return 0;
    struct rate_limit of_plan = limit_of_plan(facts->plan);
    for (unsigned kind = 0; kind < COUNTER_KINDS; kind++) {
        count += want(&wants[count], caller, &of_plan, kind, amounts[kind]);
        for (size_t i = 0; i < caller->policy->limit_count; i++)
            count += want(&wants[count], caller, &caller->policy->limits[i], kind,
                          amounts[kind]);
    }
    return count;
}

size_t
admission_token_wants(const struct caller *caller, const struct plan *plan,
                      int64_t tokens, struct counter_want wants[COUNTERS_WANTS_MAX])
{
    if (!is_limited(caller))
        return 0;
    struct rate_limit of_plan = limit_of_plan(plan);
    size_t count = want(wants, caller, &of_plan, COUNTER_TOKENS, tokens);
    for (size_t i = 0; i < caller->policy->limit_count; i++)
        count += want(&wants[count], caller, &caller->policy->limits[i], COUNTER_TOKENS,
                      tokens);
    return count;
}

// ---- what came of it

// The longest wait first; of several teams' limits one is named.
static void
add_violated(struct admission_limits *out, const struct admission_policy *policy)
{
    size_t at = out->violated_count;
    if (at == LIMIT_SCOPES)
        return;
    for (; at > 0 && out->violated[at - 1].state.wait_ms < policy->state.wait_ms; at--)
        out->violated[at] = out->violated[at - 1];
    out->violated[at] = *policy;
    out->violated_count++;
}

static void
show(struct admission_limits *out, const struct admission_policy *policy)
{
    struct admission_policy *shown = &out->shown[policy->kind];
    if (out->has[policy->kind] && (shown->state.remaining < policy->state.remaining ||
                                   (shown->state.remaining == policy->state.remaining &&
                                    shown->limit <= policy->limit)))
        return;
    *shown = *policy;
    out->has[policy->kind] = true;
}

enum admission
admission_judge(enum om_rc rc, const struct counter_want *wants,
                const struct counter_state *states, size_t count,
                struct admission_limits *out)
{
    for (size_t i = 0; i < count; i++)
        if (wants[i].key.kind < COUNTER_CONCURRENT)
            out->has[wants[i].key.kind] = false;
    out->violated_count = 0;
    for (size_t i = 0; i < count; i++) {
        struct admission_policy policy = { (enum limit_scope)wants[i].key.scope,
                                           (enum counter_kind)wants[i].key.kind,
                                           wants[i].limit, wants[i].amount, states[i] };
        if (policy.kind < COUNTER_CONCURRENT)
            show(out, &policy);
        if (rc == OM_ERATE && states[i].wait_ms > 0)
            add_violated(out, &policy);
    }
    if (rc == OM_OK)
        return ADMISSION_ADMITTED;
    return rc == OM_ERATE ? ADMISSION_RATE : ADMISSION_CROWDED;
}
