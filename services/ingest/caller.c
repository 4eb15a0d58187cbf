#include <stdlib.h>

#include "caller.h"
#include "clock.h"
#include "id.h"
#include "scope.h"

// ---- what it allows

int64_t
caller_clock_ms(const struct caller *self)
{
    const struct policy *policy = self->policy;
    return policy && policy->sandbox ? policy->clock_ms : 0;
}

int64_t
caller_now_ms(const struct caller *self)
{
    return om_clock_wall_ms() + caller_clock_ms(self);
}

bool
caller_is_near(const struct caller *self, const char *address)
{
    struct om_address from;
    if (!self->policy || !self->policy->has_networks)
        return true;
    return om_address_parse(om_str(address), &from) == OM_OK &&
           om_cidr_any(self->policy->networks, self->policy->network_count, &from);
}

bool
caller_may_use(const struct caller *self, struct om_str model)
{
    if (!self->policy || !self->policy->has_models)
        return true;
    for (size_t i = 0; i < self->policy->model_count; i++)
        if (om_str_eq(self->policy->models[i], model))
            return true;
    return false;
}

// ---- identity's answer

static bool
copy_text(char *out, size_t size, struct om_str text)
{
    if (text.size >= size)
        return false;
    memcpy(out, text.data ? text.data : "", text.size);
    out[text.size] = '\0';
    return true;
}

static enum tenant_state
state_of(const struct key_resolve_reply *reply)
{
    static const char *const names[] = {
#define TENANT_STATE_NAME(symbol, name) name,
        TENANT_STATE_LIST(TENANT_STATE_NAME)
#undef TENANT_STATE_NAME
    };
    if (!REC_HAS(reply, key_resolve_reply, state))
        return TENANT_ACTIVE;
    for (unsigned i = 0; i < OM_COUNT(names); i++)
        if (om_str_eq(reply->state, om_str(names[i])))
            return (enum tenant_state)i;
    return TENANT_SUSPENDED;
}

static void
read_networks(struct policy *self, struct om_str list)
{
    struct rec_iter iter = rec_iter(list);
    struct om_str text;
    while (rec_next_str(&iter, &text))
        self->network_count +=
            om_cidr_parse(text, &self->networks[self->network_count]) == OM_OK;
}

// Copy a list of names behind *used bytes of the policy's text. Returns how many.
static size_t
read_names(struct policy *self, size_t *used, struct om_str list, struct om_str *out)
{
    struct rec_iter iter = rec_iter(list);
    struct om_str text;
    size_t count = 0;
    while (rec_next_str(&iter, &text)) {
        memcpy(self->text + *used, text.data, text.size);
        out[count++] = (struct om_str){ self->text + *used, text.size };
        *used += text.size;
    }
    return count;
}

static enum limit_scope
scope_of(struct om_str name)
{
    static const char *const names[] = {
#define LIMIT_SCOPE_NAME(symbol, name, prefix) name,
        LIMIT_SCOPE_LIST(LIMIT_SCOPE_NAME)
#undef LIMIT_SCOPE_NAME
    };
    unsigned at = 0;
    while (at < LIMIT_SCOPES && !om_str_eq(name, om_str(names[at])))
        at++;
    return (enum limit_scope)at;
}

static int64_t
least(int64_t a, bool has, int64_t b)
{
    return has && (a == NO_LIMIT || b < a) ? b : a;
}

// Add a limit; of two on the same the less holds, so that no counter is asked twice.
static void
add_limit(struct policy *self, const struct rate_limit_item *item)
{
    uint8_t hash[32];
    enum limit_scope scope = scope_of(item->scope);
    struct rate_limit *limit = self->limits;
    if (scope >= LIMIT_PLAN)
        return;
    om_sha256(item->subject, hash);
    while (limit < self->limits + self->limit_count &&
           (limit->scope != scope || memcmp(limit->subject, hash, COUNTER_SUBJECT) != 0))
        limit++;
    if (limit == self->limits + self->limit_count) {
        self->limit_count++;
        *limit = (struct rate_limit){ .scope = scope,
                                      .most = { NO_LIMIT, NO_LIMIT, NO_LIMIT } };
        memcpy(limit->subject, hash, COUNTER_SUBJECT);
    }
    int64_t *most = limit->most;
    most[COUNTER_REQUESTS] = least(
        most[COUNTER_REQUESTS], REC_HAS(item, rate_limit_item, requests), item->requests);
    most[COUNTER_TOKENS] =
        least(most[COUNTER_TOKENS], REC_HAS(item, rate_limit_item, tokens), item->tokens);
    most[COUNTER_CONCURRENT] =
        least(most[COUNTER_CONCURRENT], REC_HAS(item, rate_limit_item, concurrent),
              item->concurrent);
}

// False: one of them is malformed, so that a limit would be missed.
static bool
read_limits(struct policy *self, struct om_str list)
{
    struct rec_iter iter = rec_iter(list);
    struct rate_limit_item item;
    struct om_str bytes;
    while (rec_next_rec(&iter, &rate_limit_item_rec, &item, &bytes))
        add_limit(self, &item);
    return iter.left == 0;
}

// Count a list's names and their bytes. False: too many, or an item is no string.
static bool
measure(struct om_str list, size_t max, size_t *count, size_t *size)
{
    struct rec_iter iter = rec_iter(list);
    struct om_str text;
    *count = iter.left;
    while (rec_next_str(&iter, &text))
        *size += text.size;
    return iter.left == 0 && *count <= max;
}

// Room for what the answer lists, in one piece. NULL: no memory.
static struct policy *
make_policy(size_t limits, size_t networks, size_t models, size_t origins, size_t text)
{
    struct policy *self;
    size_t names = models + origins;
    size_t size = sizeof(*self) + limits * sizeof(*self->limits) +
                  names * sizeof(*self->models) + networks * sizeof(*self->networks) +
                  text;
    self = calloc(1, size);
    if (!self)
        return NULL;
    self->holders = 1;
    self->limits = (struct rate_limit *)(self + 1);
    self->models = (struct om_str *)(self->limits + limits);
    self->origins = self->models + models;
    self->networks = (struct om_cidr *)(self->models + names);
    self->text = (char *)(self->networks + networks);
    return self;
}

static struct policy *
measure_policy(const struct key_resolve_reply *reply, enum om_rc *rc)
{
    size_t limits = rec_iter(reply->limits).left, networks, models, origins;
    size_t size = 0, unused = 0;
    *rc = OM_EPROTO;
    if (limits > CALLER_LIMITS_MAX ||
        !measure(reply->cidrs, CALLER_NETWORKS_MAX, &networks, &unused) ||
        !measure(reply->models, CALLER_NAMES_MAX, &models, &size) ||
        !measure(reply->origins, CALLER_ORIGINS_MAX, &origins, &size) ||
        size > CALLER_TEXT_MAX)
        return NULL;
    *rc = OM_EUNAVAILABLE;
    return make_policy(limits, networks, models, origins, size);
}

static enum om_rc
read_policy(const struct key_resolve_reply *reply, struct policy **out)
{
    enum om_rc rc;
    size_t used = 0;
    bool has_plan = REC_HAS(reply, key_resolve_reply, plan);
    struct policy *self = *out = measure_policy(reply, &rc);
    if (!self)
        return rc;
    self->state = state_of(reply);
    self->sandbox = reply->sandbox;
    self->prepaid = reply->prepaid;
    self->clock_ms = reply->clock_ms;
    self->uncached = REC_HAS(reply, key_resolve_reply, cache) && !reply->cache;
    self->has_networks = REC_HAS(reply, key_resolve_reply, cidrs);
    self->has_models = REC_HAS(reply, key_resolve_reply, models);
    read_networks(self, reply->cidrs);
    self->model_count = read_names(self, &used, reply->models, self->models);
    self->origin_count = read_names(self, &used, reply->origins, self->origins);
    bool good = copy_text(self->user, sizeof(self->user), reply->user) &&
                copy_text(self->plan, sizeof(self->plan),
                          has_plan ? reply->plan : OM_LIT("free")) &&
                copy_text(self->version, sizeof(self->version), reply->version) &&
                read_limits(self, reply->limits);
    return good ? OM_OK : OM_EPROTO;
}

enum om_rc
caller_decode(const struct key_resolve_reply *reply, struct caller *out)
{
    *out = (struct caller){ .expires_ms = INT64_MAX };
    if (om_typeid_decode(OM_ID_TENANT, reply->tenant, &out->tenant) != OM_OK ||
        !copy_text(out->key, sizeof(out->key), reply->id))
        return OM_EPROTO;
    om_typeid_encode(OM_ID_TENANT, &out->tenant, out->tenant_text);
    if (REC_HAS(reply, key_resolve_reply, expires_ms))
        out->expires_ms = reply->expires_ms;

    struct rec_iter iter = rec_iter(reply->scopes);
    struct om_str name;
    while (rec_next_str(&iter, &name))
        for (unsigned i = 0; i < SCOPE_COUNT; i++)
            if (om_str_eq(name, om_str(scope_infos[i].name)))
                out->scopes |= UINT64_C(1) << i;
    if (out->scopes & SCOPE_BIT(ALL))
        out->scopes |= SCOPES_OWNER;

    enum om_rc rc = read_policy(reply, &out->policy);
    if (rc != OM_OK)
        caller_drop(out);
    return rc;
}

struct caller
caller_hold(const struct caller *self)
{
    if (self->policy)
        self->policy->holders++;
    return *self;
}

void
caller_drop(struct caller *self)
{
    if (self->policy && --self->policy->holders == 0)
        free(self->policy);
    self->policy = NULL;
}
