// Making and rotating API keys. A key never gives more than the key that makes it has,
// nor the powers of another user.
#include "api_version.h"
#include "cidr.h"
#include "clock.h"
#include "key.h"
#include "user.h"

enum { OVERLAP_S = 86400, MODEL_MAX = 64 };

OM_SQL(key_succeed, "UPDATE api_key SET successor = $1, expires_ms = $2 WHERE id = $3");

// ---- what is asked for

// What the new key may do: what was asked for, of what the caller may do itself.
static enum om_rc
choose_scopes(struct om_call *call, const struct key_create_request *request, bool test,
              uint64_t *out)
{
    uint64_t granted;
    struct om_str unknown;
    enum om_rc rc = read_granted(call, request->granted, &granted);
    if (rc)
        return rc;
    if (!REC_HAS(request, key_create_request, scopes)) {
        *out = granted & SCOPES_DEFAULT & ~(test ? SCOPES_LIVE_ONLY : 0);
        return OM_OK;
    }
    if (scopes_decode(request->scopes, out, &unknown))
        return om_job_fail(call->job, OM_EINVAL, "scopes", "scopes: \"%.*s\" is no scope",
                           (int)unknown.size, unknown.data ? unknown.data : "");
    uint64_t live_only = test ? *out & SCOPES_LIVE_ONLY : 0;
    if (live_only)
        return om_job_fail(
            call->job, OM_EINVAL, "scopes",
            "scopes: a test key cannot have \"%s\": it sees the sandbox only",
            scope_infos[__builtin_ctzll(live_only)].name);
    return refuse_more(call, *out, granted, "scopes", "grant");
}

static enum om_rc
check_models(struct om_call *call, struct om_str list)
{
    struct rec_iter iter = rec_iter(list);
    for (struct om_str model; rec_next_str(&iter, &model);)
        if (model.size == 0 || model.size > MODEL_MAX)
            return om_job_fail(call->job, OM_EINVAL, "models",
                               "models: a model's name has 1 to %d bytes", MODEL_MAX);
    return OM_OK;
}

// The networks in their usual form, so that what is shown is what is meant.
static enum om_rc
read_cidrs(struct om_call *call, struct om_str list, struct om_str *out)
{
    OM_AUTO(om_buf_finish) struct om_buf buf = { 0 };
    struct rec_iter iter = rec_iter(list);
    om_pack_array(&buf, iter.left);
    for (struct om_str text; rec_next_str(&iter, &text);) {
        struct om_cidr cidr;
        char usual[OM_CIDR_MAX];
        if (om_cidr_parse(text, &cidr) != OM_OK)
            return om_job_fail(call->job, OM_EINVAL, "cidrs",
                               "cidrs: \"%.*s\" is no network; write 192.0.2.0/24, "
                               "2001:db8::/32 or one address, with no bit set behind "
                               "the prefix",
                               (int)(text.size < 64 ? text.size : 64), text.data);
        om_cidr_text(&cidr, usual);
        om_pack_str(&buf, om_str(usual));
    }
    *out = om_call_copy(call, om_buf_str(&buf));
    return OM_OK;
}

static enum om_rc
read_request(struct om_call *call, const struct key_create_request *request,
             struct new_key *key, int64_t now_ms)
{
    enum om_rc rc;
    key->test = om_str_eq(request->env, OM_LIT("test"));
    if (REC_HAS(request, key_create_request, env) && !key->test &&
        !om_str_eq(request->env, OM_LIT("live")))
        return om_job_fail(call->job, OM_EINVAL, "env", "env: must be live or test");
    if ((rc = choose_scopes(call, request, key->test, &key->scopes)))
        return rc;
    if (REC_HAS(request, key_create_request, expires_ms)) {
        key->expires_ms = request->expires_ms;
        if (key->expires_ms <= now_ms)
            return om_job_fail(call->job, OM_EINVAL, "expires_ms",
                               "expires_ms: must be in the future");
    }
    if (REC_HAS(request, key_create_request, version) &&
        !api_version_find(request->version))
        return om_job_fail(call->job, OM_EINVAL, "version",
                           "version: there is no such version of the interface, but %s",
                           api_version_names());
    key->name = request->name;
    key->version = request->version;
    LIMITS_READ(request, key_create_request, &key->limits);
    if (rec_iter(request->models).left > 0) {
        key->models = request->models;
        rc = check_models(call, key->models);
    }
    if (!rc && rec_iter(request->cidrs).left > 0)
        rc = read_cidrs(call, request->cidrs, &key->cidrs);
    return rc;
}

// Its user and team are the tenant's.
static enum om_rc
read_owner(struct om_call *call, struct om_txn *txn,
           const struct key_create_request *request, struct new_key *key)
{
    if (REC_HAS(request, key_create_request, user) &&
        (om_typeid_decode(OM_ID_USER, request->user, &key->user) != OM_OK ||
         !member_exists(txn, &call->tenant_id, &key->user)))
        return om_job_fail(call->job, OM_EINVAL, "user",
                           "user: no such user; GET /api/v1/admin/users lists them");
    if (REC_HAS(request, key_create_request, team) &&
        (om_typeid_decode(OM_ID_TEAM, request->team, &key->team) != OM_OK ||
         !team_exists(txn, &call->tenant_id, &key->team)))
        return om_job_fail(call->job, OM_EINVAL, "team",
                           "team: no such team; GET /api/v1/admin/teams lists them");
    return OM_OK;
}

// ---- what the key that makes it allows

static bool
has_text(struct om_str list, struct om_str text)
{
    struct rec_iter iter = rec_iter(list);
    for (struct om_str one; rec_next_str(&iter, &one);)
        if (om_str_eq(one, text))
            return true;
    return false;
}

static bool
has_network(struct om_str list, struct om_str text)
{
    struct om_cidr inner, outer;
    struct rec_iter iter = rec_iter(list);
    if (om_cidr_parse(text, &inner) != OM_OK)
        return false;
    for (struct om_str one; rec_next_str(&iter, &one);)
        if (om_cidr_parse(one, &outer) == OM_OK && inner.prefix >= outer.prefix &&
            om_cidr_contains(&outer, &inner.address))
            return true;
    return false;
}

// Keep a list within the maker's: the same if none was given.
static enum om_rc
narrow(struct om_call *call, struct om_str *list, struct om_str maker, const char *param,
       bool (*has)(struct om_str list, struct om_str one))
{
    if (!maker.data)
        return OM_OK;
    if (!list->data)
        *list = maker;
    struct rec_iter iter = rec_iter(*list);
    for (struct om_str one; rec_next_str(&iter, &one);)
        if (!has(maker, one))
            return om_job_fail(call->job, OM_EFORBIDDEN, param,
                               "%s: your key may not use %.*s itself", param,
                               (int)one.size, one.data);
    return OM_OK;
}

static enum om_rc
narrow_number(struct om_call *call, int64_t *value, int64_t maker, int64_t none,
              const char *param)
{
    if (maker == none)
        return OM_OK;
    if (*value == none)
        *value = maker;
    if (*value > maker)
        return om_job_fail(call->job, OM_EFORBIDDEN, param,
                           "%s: your key is limited to %lld itself", param,
                           (long long)maker);
    return OM_OK;
}

// The new key is no way out of what binds the key that makes it.
static enum om_rc
narrow_to_maker(struct om_call *call, struct om_txn *txn, struct om_str by,
                struct new_key *key)
{
    struct om_uuid id;
    struct key_row maker;
    if (!by.data)
        return OM_OK;
    enum om_rc rc = om_typeid_decode(OM_ID_KEY, by, &id);
    if (!rc)
        rc = key_load(call, txn, id, &maker);
    if (rc)
        return rc;
    bool other = !om_uuid_is_zero(&key->user) && !om_uuid_eq(&key->user, &maker.user);
    if (!om_uuid_is_zero(&maker.user) && other)
        return om_job_fail(call->job, OM_EFORBIDDEN, "user",
                           "user: your key acts for a user, and makes keys for that "
                           "user only");
    if (om_uuid_is_zero(&key->user))
        key->user = maker.user;
    if (om_uuid_is_zero(&key->team))
        key->team = maker.team;
    rc = narrow(call, &key->models, maker.models, "models", has_text);
    if (!rc)
        rc = narrow(call, &key->cidrs, maker.cidrs, "cidrs", has_network);
    if (!rc)
        rc = narrow_number(call, &key->limits.requests, maker.limits.requests, 0,
                           "requests");
    if (!rc)
        rc = narrow_number(call, &key->limits.tokens, maker.limits.tokens, 0, "tokens");
    if (!rc)
        rc = narrow_number(call, &key->limits.concurrent, maker.limits.concurrent, 0,
                           "concurrent");
    if (!rc)
        rc = narrow_number(call, &key->expires_ms, maker.expires_ms, INT64_MAX,
                           "expires_ms");
    return rc;
}

// ---- operations

static enum om_rc
insert(struct om_call *call, struct om_txn *txn, struct new_key *key, int64_t now_ms,
       struct key_item *out)
{
    key->tenant = call->tenant_id;
    key->call_id = call->id;
    enum om_rc rc = key->test ? tenant_sandbox(txn, &key->tenant, now_ms) : OM_OK;
    if (!rc)
        rc = key_insert(txn, key, now_ms);
    if (rc)
        return rc;
    if (om_db_changes(txn) == 0)
        return key_refuse_repeat(call, txn);
    rc = key_reply(call, txn, key->id, out);
    if (rc == OM_OK)
        REC_SET(out, key_item, key, om_call_copy(call, om_str(key->text)));
    explicit_bzero(key->text, sizeof(key->text));
    return rc;
}

enum om_rc
on_key_create(void *context, struct om_call *call, const void *message, void *answer)
{
    struct identity *self = context;
    const struct key_create_request *request = message;
    int64_t now_ms = om_clock_wall_ms();
    struct new_key key = { .expires_ms = INT64_MAX };
    enum om_rc rc = read_request(call, request, &key, now_ms);
    if (rc)
        return rc;
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin(self->db);
    if (!txn)
        return OM_EDB;
    if ((rc = read_owner(call, txn, request, &key)) ||
        (rc = narrow_to_maker(call, txn, request->by, &key)) ||
        (rc = insert(call, txn, &key, now_ms, answer)))
        return rc;
    return om_db_commit(&txn);
}

// May it be rotated: it is in force, nothing has taken its place, and who sees the new
// one gets nothing that the own key has not?
static enum om_rc
check_rotation(struct om_call *call, const struct key_row *old,
               const struct key_rotate_request *request, int64_t now_ms)
{
    uint64_t granted, scopes = old->scopes;
    enum om_rc rc = read_granted(call, request->granted, &granted);
    if (rc)
        return rc;
    if (old->revoked_ms != INT64_MAX || old->expires_ms <= now_ms)
        return om_job_fail(call->job, OM_ECONFLICT, "id",
                           "this key is not in force any more; make a new one");
    if (!om_uuid_is_zero(&old->successor))
        return om_job_fail(call->job, OM_ECONFLICT, "id",
                           "this key was rotated: its successor is %s",
                           om_call_id(call, OM_ID_KEY, old->successor).data);
    if (REC_HAS(request, key_rotate_request, expires_ms) && request->expires_ms <= now_ms)
        return om_job_fail(call->job, OM_EINVAL, "expires_ms",
                           "expires_ms: must be in the future");
    if (scopes & SCOPE_BIT(ALL))
        scopes |= SCOPES_OWNER;
    return refuse_more(call, scopes, granted, "id", "rotate a key with");
}

// The successor is the same key but for its secret: one that would have to be narrower is
// not for the caller's key to rotate.
static enum om_rc
refuse_change(struct om_call *call, const struct new_key *key, const struct key_row *old)
{
    if (om_uuid_eq(&key->user, &old->user) && om_uuid_eq(&key->team, &old->team) &&
        key->models.data == old->models.data && key->cidrs.data == old->cidrs.data &&
        memcmp(&key->limits, &old->limits, sizeof(old->limits)) == 0)
        return OM_OK;
    return om_job_fail(call->job, OM_EFORBIDDEN, "id",
                       "your key is bound to a user, a team, models, networks or limits "
                       "that this key is not bound to: rotate it with another");
}

enum om_rc
on_key_rotate(void *context, struct om_call *call, const void *message, void *answer)
{
    struct identity *self = context;
    const struct key_rotate_request *request = message;
    int64_t now_ms = om_clock_wall_ms(), overlap_s = OVERLAP_S;
    struct om_uuid id;
    struct key_row old;
    enum om_rc rc = read_id(call, OM_ID_KEY, request->id, "API key", &id);
    if (rc)
        return rc;
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin(self->db);
    if (!txn)
        return OM_EDB;
    if ((rc = key_load(call, txn, id, &old)) ||
        (rc = check_rotation(call, &old, request, now_ms)))
        return rc;
    if (REC_HAS(request, key_rotate_request, overlap_s))
        overlap_s = request->overlap_s;
    struct new_key key = {
        .name = old.name,
        .models = old.models,
        .cidrs = old.cidrs,
        .version = old.version,
        .user = old.user,
        .team = old.team,
        .test = old.test,
        .scopes = old.scopes,
        .limits = old.limits,
        .expires_ms = REC_HAS(request, key_rotate_request, expires_ms)
                          ? request->expires_ms
                          : old.expires_ms,
    };
    if ((rc = narrow_to_maker(call, txn, request->by, &key)) ||
        (rc = refuse_change(call, &key, &old)) ||
        (rc = insert(call, txn, &key, now_ms, answer)))
        return rc;
    int64_t end_ms = now_ms + overlap_s * 1000;
    if (end_ms > old.expires_ms)
        end_ms = old.expires_ms;
    om_db_exec(txn, &sql_key_succeed, DB_UUID(&key.id), DB_I64(end_ms), DB_UUID(&id));
    feed_key(txn, &id);
    return om_db_commit(&txn);
}
