#include <stdio.h>
#include <strings.h>

#include "admit.h"
#include "api_version.h"
#include "clock.h"
#include "cors_reply.h"
#include "id.h"
#include "keyed.h"

enum { REASON_MAX = 256 };

// ---- refusals

static void
refuse_rate(struct exchange *x)
{
    const struct admission_limits *limits = &x->ticket->limits;
    const struct admission_info *info = &admission_infos[ADMISSION_RATE];
    const char *violated[LIMIT_SCOPES];
    char reason[REASON_MAX];
    for (size_t i = 0; i < limits->violated_count; i++)
        violated[i] = admission_policy_name(&limits->violated[i]);
    admission_reason(limits, reason, sizeof(reason));
    struct error_text error = { info->type,     info->code, NULL,
                                om_str(reason), violated,   limits->violated_count };
    x->limited = true;
    exchange_refuse(x, info->status, &error, admission_retry_s(limits));
}

void
admit_refuse(struct exchange *x, enum admission why)
{
    static const char *const texts[ADMISSION_COUNT] = {
        [ADMISSION_NO_KEY] = "an API key is needed: send \"Authorization: Bearer "
                             "omni_live_…\"",
        [ADMISSION_EXPIRED] = "this API key has expired",
        [ADMISSION_NETWORK] = "this API key may not be used from your address",
        [ADMISSION_MODEL] = "this API key may not use that model",
        [ADMISSION_SUSPENDED] = "this tenant is suspended or closed",
        [ADMISSION_PAYMENT] = "a payment is due: what costs money waits until it is made",
        [ADMISSION_CROWDED] = "more limits are in use than this edge can count; try "
                              "again later",
    };
    const struct admission_info *info = &admission_infos[why];
    char text[REASON_MAX];
    if (why == ADMISSION_RATE) {
        refuse_rate(x);
        return;
    }
    if (why == ADMISSION_SCOPE)
        snprintf(text, sizeof(text), "this API key lacks the scope \"%s\"",
                 scope_infos[x->route->scope].name);
    else
        snprintf(text, sizeof(text), "%s", texts[why]);
    struct error_text error = { .type = info->type,
                                .code = info->code,
                                .param = why == ADMISSION_MODEL ? "model" : NULL,
                                .message = om_str(text) };
    exchange_refuse(x, info->status, &error, info->status == 503);
}

// ---- the decision

static void enter(struct exchange *x);

static void
take_quotas(struct exchange *x)
{
    if (quota_admit(x, enter))
        enter(x);
}

// Which version of the interface is meant: that of the header, of the key, or the newest.
// False: one that there is not, and that was replied.
static bool
choose_version(struct exchange *x)
{
    const struct om_http_request *request = exchange_request(x);
    const struct policy *policy = x->caller.policy;
    struct om_str asked =
        request ? om_http_field(request, "omni-version") : (struct om_str){ 0 };
    struct om_str pinned = policy ? om_str(policy->version) : (struct om_str){ 0 };
    if (asked.data)
        x->version = api_version_find(asked);
    else
        x->version = pinned.size ? api_version_find(pinned) : api_version_newest();
    if (!x->version)
        exchange_fail(x, OM_EINVAL, "Omni-Version",
                      asked.data ? "Omni-Version: there is no such version of the "
                                   "interface, but %s"
                                 : "this API key is made for a version of the interface "
                                   "that is not spoken here: send Omni-Version with %s",
                      api_version_names());
    return x->version;
}

// True: admitted. False: refused and replied to, or it waits.
static bool
decide(struct exchange *x, const struct caller *caller)
{
    const struct om_http_request *request = exchange_request(x);
    exchange_identify(x, caller);
    struct admission_facts facts = {
        .route = x->route,
        .caller = &x->caller,
        .plan = admit_plan(x),
        .address = request ? x->remote : NULL,
        .model = x->route->flags & ROUTE_MODEL ? x->params[0] : (struct om_str){ 0 },
        .wall_ms = caller_now_ms(&x->caller),
    };
    enum admission what = admission_check(&facts);
    if (what != ADMISSION_ADMITTED) {
        admit_refuse(x, what);
        return false;
    }
    if (!cors_admit(x) || !choose_version(x))
        return false;
    if (x->route->action && report_full(&x->edge->report)) {
        exchange_fail(x, OM_EUNAVAILABLE, NULL,
                      "the audit log cannot be written; try again later");
        return false;
    }
    return admit_request(x, &facts, take_quotas) && quota_admit(x, enter);
}

// It has waited, and has all it needs.
static void
enter(struct exchange *x)
{
    struct om_http_loop *loop = x->edge->loop;
    uint64_t handle = x->handle;
    if (x->instead) {
        keyed_handle(x);
        return;
    }
    if (!handle) { // the client left meanwhile
        exchange_abandon(x);
        return;
    }
    if (x->route->on_head)
        x->route->on_head(x);
    om_http_resume(loop, handle);
}

static void
admit(struct exchange *x, const struct caller *caller)
{
    if (decide(x, caller) && x->route->on_head)
        x->route->on_head(x);
}

void
admit_replay(struct exchange *x, const struct caller *caller)
{
    if (decide(x, caller))
        keyed_handle(x);
}

// ---- by key

static void
on_key(void *context, const struct om_answer *answer)
{
    struct exchange *x = context;
    struct key_resolve_reply reply;
    struct caller caller;
    admit_asked(x);
    if (answer->rc == OM_EAUTH)
        keys_drop(&x->edge->keys, x->key_hash);
    else
        guess_take_back(x);
    if (!exchange_answered(x, answer))
        return;
    enum om_rc rc = rec_decode(ops[OP_key_resolve].reply, answer->payload, &reply, NULL);
    if (rc == OM_OK)
        rc = caller_decode(&reply, &caller);
    if (rc != OM_OK) {
        exchange_fail(x, rc == OM_EUNAVAILABLE ? rc : OM_EINTERNAL, NULL,
                      "the answer about this API key cannot be read");
        return;
    }
    struct om_http_loop *loop = x->edge->loop;
    uint64_t handle = x->handle;
    keys_put(&x->edge->keys, x->key_hash, &caller, x->asked_seq);
    if (decide(x, &caller)) {
        if (x->route->on_head)
            x->route->on_head(x);
        om_http_resume(loop, handle);
    }
    caller_drop(&caller);
}

static void
ask_key(struct exchange *x)
{
    struct key_resolve_request request = { 0 };
    om_http_pause(x->edge->loop, x->handle);
    traced_ask(x);
    x->asked_seq = x->edge->keys.seq;
    REC_SET(&request, key_resolve_request, hash,
            ((struct om_str){ (const char *)x->key_hash, KEY_HASH }));
    exchange_call(x, OP_key_resolve, false, &request, 0, on_key);
}

// Requests with one new key that come together are one guess, not each another.
static bool
first_asks(struct exchange *x)
{
    struct exchange *first;
    HASH_FIND(hh, x->edge->asking, x->key_hash, KEY_HASH, first);
    if (first)
        return false;
    HASH_ADD(hh, x->edge->asking, key_hash, KEY_HASH, x);
    x->asking = true;
    return true;
}

void
admit_asked(struct exchange *x)
{
    if (x->asking)
        HASH_DEL(x->edge->asking, x);
    x->asking = false;
}

static void
refuse_malformed(struct exchange *x)
{
    exchange_fail(x, OM_EAUTH, NULL,
                  "this is no API key: send \"Authorization: Bearer omni_live_…\"");
}

void
admit_key(struct exchange *x, const struct om_http_request *request)
{
    struct om_str header = om_http_field(request, "authorization");
    if (!header.data) {
        admit_refuse(x, ADMISSION_NO_KEY);
        return;
    }
    if (!keys_read(header, x->key_hash)) {
        if (guess_begin(x, refuse_malformed))
            refuse_malformed(x);
        return;
    }
    if (!edge_keys_hold(x->edge)) {
        exchange_fail(x, OM_EUNAVAILABLE, NULL,
                      "API keys cannot be checked now; try again later");
        return;
    }
    const struct caller *known = keys_find(&x->edge->keys, x->key_hash);
    if (known)
        admit(x, known);
    else if (keys_knew(&x->edge->keys, x->key_hash) || !first_asks(x) ||
             guess_begin(x, ask_key))
        ask_key(x);
}

// ---- by the token of a task: blobs for workers that share no directory

static void
refuse_grant(struct exchange *x)
{
    exchange_fail(x, OM_EAUTH, NULL, "a valid grant of a task is needed");
}

void
admit_grant(struct exchange *x, const struct om_http_request *request)
{
    static const char scheme[] = "Bearer ";
    struct om_str header = om_http_field(request, "authorization");
    struct om_grant grant;
    struct caller caller = { .expires_ms = INT64_MAX };
    if (header.size < sizeof(scheme) || strncasecmp(header.data, scheme, 7) != 0 ||
        om_grant_verify(&x->edge->ingest->secret, om_clock_wall_ms(),
                        (struct om_str){ header.data + 7, header.size - 7 },
                        &grant) != OM_OK) {
        if (!header.data || guess_begin(x, refuse_grant))
            refuse_grant(x);
        return;
    }
    caller.tenant = grant.tenant;
    caller.scopes = grant.rights;
    om_typeid_encode(OM_ID_TENANT, &grant.tenant, caller.tenant_text);
    snprintf(caller.key, sizeof(caller.key), "%s", grant.task);
    admit(x, &caller);
}

// ---- by model

bool
admit_model(struct exchange *x, struct om_str model)
{
    bool may = caller_may_use(&x->caller, model);
    if (!may) {
        admit_revoke(x);
        x->quota.admitted = false;
        admit_refuse(x, ADMISSION_MODEL);
    }
    return may;
}
