// What a request takes of quotas, from its admission to its end.
#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

#include "admit.h"
#include "clock.h"
#include "log.h"

enum { LEASE_MS = 2000 };

// What follows from one look at what is still wanted.
enum step {
    STEP_HAS,   // nothing more is wanted
    STEP_WAITS, // for a block, or a lease
    STEP_ENDED, // refused, and replied to
};

static const char *
plan_of(const struct caller *caller)
{
    return caller->policy ? caller->policy->plan : "free";
}

static bool
is_prepaid(const struct caller *caller)
{
    return caller->policy && caller->policy->prepaid;
}

static bool
is_test(const struct caller *caller)
{
    return caller->policy && caller->policy->sandbox;
}

// ---- refusals

static void
put_reason(const struct quota_spot *spot, enum quota quota, char *out, size_t size)
{
    const struct quota_info *info = &quota_infos[quota];
    char date[OM_CLOCK_TEXT_MAX];
    int used = snprintf(out, size, "Quota exceeded: %s (limit %lld%s", info->name,
                        (long long)spot->limit,
                        info->window == QUOTA_WINDOW_DAY     ? " a day"
                        : info->window == QUOTA_WINDOW_MONTH ? " a month"
                                                             : "");
    if (spot->resets_wall_ms > 0) {
        om_clock_format(spot->resets_wall_ms, date);
        used += snprintf(out + used, size - (size_t)used, "; more from %.19sZ", date);
    }
    snprintf(out + used, size - (size_t)used, ")");
}

static enum step
refuse(struct exchange *x, enum quota quota, const struct quota_spot *spot)
{
    const struct om_rc_info *info = om_rc_info(OM_EQUOTA);
    char text[160];
    int64_t left_ms = spot->resets_wall_ms - om_clock_wall_ms();
    const char *violated[] = { quota_infos[quota].name };
    put_reason(spot, quota, text, sizeof(text));
    struct error_text error = { .type = info->type,
                                .code = info->code,
                                .message = om_str(text),
                                .violated = violated,
                                .violated_count = 1 };
    admit_revoke(x);
    x->limited = true;
    exchange_refuse(x, info->http_status, &error,
                    spot->resets_wall_ms == 0 ? 0
                    : left_ms > 0             ? left_ms / 1000 + 1
                                              : 1);
    return STEP_ENDED;
}

static enum step
has(struct exchange *x, enum quota quota)
{
    x->quota.wanted &= ~(1u << quota);
    return STEP_HAS;
}

static enum step
refuse_unknown(struct exchange *x)
{
    admit_revoke(x);
    exchange_fail(x, OM_EUNAVAILABLE, NULL,
                  "quotas cannot be checked now; try again later");
    return STEP_ENDED;
}

// ---- taking

static enum step advance(struct exchange *x);

static int64_t
amount_of(const struct exchange *x, enum quota quota)
{
    return quota == QUOTA_STORAGE   ? x->quota.amount
           : quota == QUOTA_COMPUTE ? 0 // it is metered when it is known
                                    : 1;
}

// A lease of the request's own has been answered.
static enum step
take_lease(struct exchange *x, const struct om_answer *answer)
{
    enum quota quota = x->quota.asked;
    struct quota_lease_reply reply;
    struct quota_spot spot = { .tenant = x->caller.tenant,
                               .quota = quota,
                               .epoch = x->quota.epoch };
    if (answer->rc != OM_OK ||
        rec_decode(ops[OP_quota_lease].reply, answer->payload, &reply, NULL) != OM_OK)
        return quotas_are_free(x->edge, &spot, plan_of(&x->caller), true)
                   ? has(x, quota)
                   : refuse_unknown(x);
    quotas_heard(x->edge->ingest->quotas);
    if (reply.granted == 0) {
        spot.resets_wall_ms = reply.resets_ms;
        spot.limit = reply.limit;
        return refuse(x, quota, &spot);
    }
    if (REC_HAS(&reply, quota_lease_reply, limit)) {
        memcpy(x->quota.leases[quota].name, reply.lease.data, reply.lease.size);
        x->quota.leases[quota].name[reply.lease.size] = '\0';
        x->quota.leases[quota].granted = reply.granted;
    } else
        quotas_set_free(x->edge, &spot);
    return has(x, quota);
}

static void
go_on(struct exchange *x)
{
    if (advance(x) == STEP_HAS)
        x->quota.go_on(x);
}

static void
on_lease(void *context, const struct om_answer *answer)
{
    struct exchange *x = context;
    x->pending = 0;
    if (take_lease(x, answer) == STEP_HAS)
        go_on(x);
}

static enum step
ask_lease(struct exchange *x, enum quota quota)
{
    struct quota_lease_request request = { 0 };
    struct quota_spot spot = { .tenant = x->caller.tenant, .quota = quota };
    int64_t amount = amount_of(x, quota);
    if (amount < 1)
        amount = 1;
    if (quotas_are_free(x->edge, &spot, plan_of(&x->caller), false))
        return has(x, quota);
    x->quota.epoch = spot.epoch;
    x->quota.asked = quota;
    REC_SET(&request, quota_lease_request, policy, om_str(quota_infos[quota].name));
    REC_SET(&request, quota_lease_request, plan, om_str(plan_of(&x->caller)));
    REC_SET(&request, quota_lease_request, amount, amount);
    REC_SET(&request, quota_lease_request, least, amount);
    if (x->handle)
        om_http_pause(x->edge->loop, x->handle);
    exchange_call(x, OP_quota_lease, true, &request, LEASE_MS, on_lease);
    return STEP_WAITS;
}

static enum step
take_block(struct exchange *x, enum quota quota)
{
    const struct caller *caller = &x->caller;
    struct quota_spot spot = { .tenant = caller->tenant, .quota = quota };
    enum quota_verdict verdict =
        quotas_take(x->edge, &spot, plan_of(caller), amount_of(x, quota));
    bool late = x->quota.parked && om_clock_mono_ms() >= x->quota.park_until_ms;
    if (verdict == QUOTA_WAIT && !late) {
        if (x->quota.parked)
            return STEP_WAITS;
        om_http_pause(x->edge->loop, x->handle);
        quota_park(x);
        return take_block(x, quota); // the answer may have come before it was parked
    }
    quota_unpark(x);
    if (verdict == QUOTA_REFUSED)
        return refuse(x, quota, &spot);
    if (verdict != QUOTA_TAKEN)
        return quotas_trust(x->edge->ingest->quotas, &spot) ? has(x, quota)
                                                            : refuse_unknown(x);
    x->quota.in_blocks |= 1u << quota;
    x->quota.resets_wall_ms[quota] = spot.resets_wall_ms;
    return has(x, quota);
}

static enum step
advance(struct exchange *x)
{
    for (unsigned i = 0; i < QUOTA_COUNT; i++) {
        if (!(x->quota.wanted >> i & 1))
            continue;
        bool exact = quota_infos[i].window == QUOTA_WINDOW_NONE || is_prepaid(&x->caller);
        enum step step =
            exact ? ask_lease(x, (enum quota)i) : take_block(x, (enum quota)i);
        if (step != STEP_HAS)
            return step;
    }
    x->quota.admitted = true;
    return STEP_HAS;
}

void
quota_look(struct edge *edge)
{
    struct exchange *x, *next;
    DL_FOREACH_SAFE2(edge->quotas.parked, x, next, quota.next)
    go_on(x);
    struct exchange *first = edge->quotas.parked;
    if (first && !om_timers_set(om_http_timers(edge->loop), &edge->quotas.park_timer,
                                first->quota.park_until_ms))
        om_log(OM_ERROR, "no memory for a timer");
}

// The bytes a form of this length can hold at most; -1: it does not say.
static int64_t
read_length(const struct exchange *x)
{
    struct om_http_request *request = om_http_find(x->edge->loop, x->handle);
    struct om_str text =
        request ? om_http_field(request, "content-length") : (struct om_str){ 0 };
    return text.data ? strtoll(text.data, NULL, 10) : -1;
}

bool
quota_admit(struct exchange *x, void (*fn)(struct exchange *x))
{
    // What runs the platform is nobody's use, and works when a quota is used up.
    if (x->route->auth != AUTH_KEY || x->route->scope == SCOPE_OPERATOR)
        return true;
    x->quota.go_on = fn;
    x->quota.wanted = is_test(&x->caller) ? 0 : x->route->quotas | QUOTA_BIT(API_CALLS);
    if (x->quota.wanted & QUOTA_BIT(STORAGE)) {
        x->quota.amount = read_length(x);
        if (x->quota.amount < 0) // quota_store() follows at its end
            x->quota.wanted &= ~QUOTA_BIT(STORAGE);
    }
    if (x->route->cache.ttl_s > 0) {
        x->quota.later = x->quota.wanted & (QUOTA_BIT(INFERENCE) | QUOTA_BIT(COMPUTE));
        x->quota.wanted &= ~x->quota.later;
    }
    return advance(x) == STEP_HAS;
}

bool
quota_rest(struct exchange *x, void (*fn)(struct exchange *x))
{
    x->quota.go_on = fn;
    x->quota.wanted = x->quota.later;
    x->quota.later = 0;
    return advance(x) == STEP_HAS;
}

bool
quota_store(struct exchange *x, int64_t bytes, void (*fn)(struct exchange *x))
{
    if (x->quota.amount >= 0 || is_test(&x->caller))
        return true;
    x->quota.go_on = fn;
    x->quota.amount = bytes;
    x->quota.wanted = QUOTA_BIT(STORAGE);
    return advance(x) == STEP_HAS;
}

// ---- the end

// How much of what was taken was used; of a request that a limit refused, nothing.
static int64_t
used_of(const struct exchange *x, enum quota quota, bool done)
{
    if (!x->quota.admitted || x->limited || quota == QUOTA_COMPUTE)
        return 0;
    if (quota == QUOTA_API_CALLS)
        return 1;
    return done ? amount_of(x, quota) : 0;
}

static void
put_back(struct exchange *x, enum quota quota)
{
    struct quota_spot spot = { .tenant = x->caller.tenant,
                               .quota = quota,
                               .resets_wall_ms = x->quota.resets_wall_ms[quota] };
    quotas_put_back(x->edge, &spot, 1);
}

void
quota_finish(struct exchange *x, int status)
{
    bool done = status >= 200 && status < 400;
    const struct om_uuid *tenant = &x->caller.tenant;
    quota_unpark(x);
    if (x->quota.admitted && !x->limited)
        report_api_call(&x->edge->report, x->caller.tenant_text, om_uuid_shard(tenant));
    for (unsigned i = 0; i < QUOTA_COUNT; i++) {
        enum quota quota = (enum quota)i;
        int64_t used = used_of(x, quota, done);
        bool object = done && quota_infos[i].window == QUOTA_WINDOW_NONE;
        if (x->quota.in_blocks >> i & 1 && used == 0 && quota != QUOTA_COMPUTE)
            put_back(x, quota);
        if (x->quota.leases[i].name[0])
            quotas_settle(x->edge, tenant, x->quota.leases[i].name, used,
                          object ? om_str(x->resource) : (struct om_str){ 0 });
    }
}
