// Whose key is it, and what may it do now: all that an edge must know of a caller.
#include "clock.h"
#include "role.h"

OM_SQL(key_resolve,
       "SELECT k.id, k.tenant, k.name, k.scopes, k.expires_ms, k.revoked_ms, k.env, "
       "k.person, k.models, k.cidrs, k.version, k.requests, k.tokens, k.concurrent, "
       "t.state, t.plan, t.prepaid, s.id, s.clock_ms, "
       "m.state, m.requests, m.tokens, m.concurrent, "
       "g.id, g.requests, g.tokens, g.concurrent "
       "FROM api_key k JOIN tenant t ON t.id = k.tenant "
       "LEFT JOIN tenant s ON (k.env = 'test' OR $2 = 1) AND s.parent = k.tenant "
       "LEFT JOIN membership m ON m.tenant = k.tenant AND m.person = k.person "
       "LEFT JOIN team g ON g.id = coalesce(k.team, m.team) WHERE k.hash = $1");
OM_SQL(key_tenant, "SELECT tenant FROM api_key WHERE hash = $1");
OM_SQL(config_known, "SELECT name, value FROM tenant_config WHERE tenant = $1");

enum {
    COL_ID,
    COL_TENANT,
    COL_NAME,
    COL_SCOPES,
    COL_EXPIRES,
    COL_REVOKED,
    COL_ENV,
    COL_USER,
    COL_MODELS,
    COL_CIDRS,
    COL_VERSION,
    COL_LIMITS, // three columns
    COL_STATE = COL_LIMITS + LIMITS_COUNT,
    COL_PLAN,
    COL_PREPAID,
    COL_SANDBOX,
    COL_CLOCK,
    COL_USER_STATE,
    COL_USER_LIMITS,
    COL_TEAM = COL_USER_LIMITS + LIMITS_COUNT,
    COL_TEAM_LIMITS,
};

struct limit_list {
    struct om_buf items;
    size_t count;
};

static void
add_limits(struct limit_list *list, const char *scope, struct om_str subject,
           struct limits limits)
{
    if (!limits.requests && !limits.tokens && !limits.concurrent)
        return;
    struct rate_limit_item item = { 0 };
    REC_SET(&item, rate_limit_item, scope, om_str(scope));
    REC_SET(&item, rate_limit_item, subject, subject);
    LIMITS_SHOW(&item, rate_limit_item, limits);
    rec_encode(&rate_limit_item_rec, &item, &list->items);
    list->count++;
}

static int64_t
read_integer(struct om_str bytes)
{
    struct rec_value value;
    return rec_next_value(&bytes, &value) && value.kind == REC_VALUE_I64 ? value.integer
                                                                         : 0;
}

static bool
read_bool(struct om_str bytes)
{
    struct rec_value value;
    return rec_next_value(&bytes, &value) && value.kind == REC_VALUE_BOOL &&
           value.integer;
}

// What the tenant has set that the edge goes by.
static void
read_config(struct om_call *call, struct om_txn *txn, const struct om_uuid *tenant,
            struct key_resolve_reply *reply, struct limits *limits)
{
    OM_AUTO(om_rows_close)
    struct om_rows *rows = om_db_query(txn, &sql_config_known, DB_UUID(tenant));
    while (om_rows_next(rows)) {
        struct om_str name = om_row_str(rows, 0), value = om_row_str(rows, 1);
        if (om_str_eq(name, OM_LIT("cors_origins")))
            REC_SET(reply, key_resolve_reply, origins, om_call_copy(call, value));
        else if (om_str_eq(name, OM_LIT("requests_per_minute")))
            limits->requests = read_integer(value);
        else if (om_str_eq(name, OM_LIT("tokens_per_minute")))
            limits->tokens = read_integer(value);
        else if (om_str_eq(name, OM_LIT("concurrent_requests")))
            limits->concurrent = read_integer(value);
        else if (om_str_eq(name, OM_LIT("cache")))
            REC_SET(reply, key_resolve_reply, cache, read_bool(value));
    }
}

// OM_OK if the key is good at all.
static enum om_rc
check_key(struct om_call *call, struct om_rows *rows)
{
    struct om_str state = om_row_str(rows, COL_STATE);
    bool test = om_str_eq(om_row_str(rows, COL_ENV), OM_LIT("test"));
    bool has_user = !om_row_is_null(rows, COL_USER);
    if (test && om_row_is_null(rows, COL_SANDBOX))
        return OM_EINTERNAL; // never as a key of the tenant itself
    if (!om_row_is_null(rows, COL_REVOKED))
        return om_job_fail(call->job, OM_EAUTH, NULL, "this API key was revoked");
    if (row_end(rows, COL_EXPIRES) <= om_clock_wall_ms())
        return om_job_fail(call->job, OM_EAUTH, NULL, "this API key has expired");
    if (has_user && !om_str_eq(om_row_str(rows, COL_USER_STATE), OM_LIT("active")))
        return om_job_fail(call->job, OM_EAUTH, NULL,
                           "the user this API key acts for is suspended");
    if (call->from != ROLE_BROKER)
        return OM_OK;
    // The edge says more of a request than a broker that closes a worker's session.
    if (om_str_eq(state, OM_LIT("suspended")) || om_str_eq(state, OM_LIT("closed")))
        return om_job_fail(call->job, OM_EFORBIDDEN, NULL, "the tenant is %.*s",
                           (int)state.size, state.data);
    if (!om_row_is_null(rows, COL_CIDRS))
        return om_job_fail(call->job, OM_EFORBIDDEN, NULL,
                           "a key that is bound to networks cannot be a worker's");
    return OM_OK;
}

static void
show_key(struct om_call *call, struct om_rows *rows, struct key_resolve_reply *reply)
{
    REC_SET(reply, key_resolve_reply, id,
            om_call_id(call, OM_ID_KEY, om_row_uuid(rows, COL_ID)));
    REC_SET(reply, key_resolve_reply, name,
            om_call_copy(call, om_row_str(rows, COL_NAME)));
    if (!om_row_is_null(rows, COL_EXPIRES))
        REC_SET(reply, key_resolve_reply, expires_ms, om_row_i64(rows, COL_EXPIRES));
    if (!om_row_is_null(rows, COL_USER))
        REC_SET(reply, key_resolve_reply, user,
                om_call_id(call, OM_ID_USER, om_row_uuid(rows, COL_USER)));
    if (!om_row_is_null(rows, COL_MODELS))
        REC_SET(reply, key_resolve_reply, models,
                om_call_copy(call, om_row_str(rows, COL_MODELS)));
    if (!om_row_is_null(rows, COL_CIDRS))
        REC_SET(reply, key_resolve_reply, cidrs,
                om_call_copy(call, om_row_str(rows, COL_CIDRS)));
    if (!om_row_is_null(rows, COL_VERSION))
        REC_SET(reply, key_resolve_reply, version,
                om_call_copy(call, om_row_str(rows, COL_VERSION)));
}

static void
show_tenant(struct om_call *call, struct om_rows *rows, struct key_resolve_reply *reply)
{
    bool test = !om_row_is_null(rows, COL_SANDBOX);
    struct om_uuid tenant = om_row_uuid(rows, test ? COL_SANDBOX : COL_TENANT);
    struct om_str state = om_row_str(rows, COL_STATE);
    REC_SET(reply, key_resolve_reply, tenant, om_call_id(call, OM_ID_TENANT, tenant));
    REC_SET(reply, key_resolve_reply, plan,
            om_call_copy(call, om_row_str(rows, COL_PLAN)));
    if (!om_str_eq(state, OM_LIT("active")))
        REC_SET(reply, key_resolve_reply, state, om_call_copy(call, state));
    if (test) {
        REC_SET(reply, key_resolve_reply, sandbox, true);
        REC_SET(reply, key_resolve_reply, clock_ms, om_row_i64(rows, COL_CLOCK));
    } else if (om_row_i64(rows, COL_PREPAID)) {
        REC_SET(reply, key_resolve_reply, prepaid, true);
    }
}

// What the key may do, and its user too.
static uint64_t
find_scopes(struct om_txn *txn, struct om_rows *rows, const struct om_uuid *tenant)
{
    uint64_t mask = (uint64_t)om_row_i64(rows, COL_SCOPES);
    if (mask & SCOPE_BIT(ALL))
        mask |= SCOPES_OWNER;
    if (!om_row_is_null(rows, COL_USER)) {
        struct om_uuid user = om_row_uuid(rows, COL_USER);
        mask &= user_scopes(txn, tenant, &user, om_clock_wall_ms());
    }
    if (!om_row_is_null(rows, COL_SANDBOX))
        mask &= ~SCOPES_LIVE_ONLY;
    return mask;
}

static void
show_limits(struct om_call *call, struct om_rows *rows, struct limits of_tenant,
            struct key_resolve_reply *reply)
{
    struct limit_list list = { 0 };
    OM_AUTO(om_buf_finish) struct om_buf array = { 0 };
    add_limits(&list, "key", reply->id, limits_row(rows, COL_LIMITS));
    if (!om_row_is_null(rows, COL_USER))
        add_limits(&list, "user", reply->user, limits_row(rows, COL_USER_LIMITS));
    if (!om_row_is_null(rows, COL_TEAM))
        add_limits(&list, "team",
                   om_call_id(call, OM_ID_TEAM, om_row_uuid(rows, COL_TEAM)),
                   limits_row(rows, COL_TEAM_LIMITS));
    add_limits(&list, "tenant", reply->tenant, of_tenant);
    om_pack_array(&array, list.count);
    om_buf_put(&array, list.items.data, list.items.size);
    if (list.count)
        REC_SET(reply, key_resolve_reply, limits, om_call_copy(call, om_buf_str(&array)));
    om_buf_finish(&list.items);
}

// Who replays a request may never have had a test key.
static enum om_rc
make_sandbox(struct identity *self, struct om_str hash)
{
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin(self->db);
    if (!txn)
        return OM_EDB;
    OM_AUTO(om_rows_close)
    struct om_rows *rows = om_db_query(txn, &sql_key_tenant, DB_BIN(hash));
    if (om_rows_next(rows)) {
        struct om_uuid tenant = om_row_uuid(rows, 0);
        om_rows_close(&rows);
        enum om_rc rc = tenant_sandbox(txn, &tenant, om_clock_wall_ms());
        if (rc)
            return rc;
    }
    return om_db_commit(&txn);
}

enum om_rc
on_key_resolve(void *context, struct om_call *call, const void *message, void *answer)
{
    struct identity *self = context;
    const struct key_resolve_request *request = message;
    struct key_resolve_reply *reply = answer;
    struct limits limits = { 0 };
    enum om_rc rc = request->sandbox ? make_sandbox(self, request->hash) : OM_OK;
    if (rc)
        return rc;
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin_read(self->db);
    if (!txn)
        return OM_EDB;
    OM_AUTO(om_rows_close)
    struct om_rows *rows = om_db_query(txn, &sql_key_resolve, DB_BIN(request->hash),
                                       DB_I64(request->sandbox));
    if (!om_rows_next(rows))
        return om_db_rc(txn) ? om_db_rc(txn)
                             : om_job_fail(call->job, OM_EAUTH, NULL, "no such API key");
    rc = check_key(call, rows);
    if (rc)
        return rc;
    struct om_uuid tenant = om_row_uuid(rows, COL_TENANT);
    show_key(call, rows, reply);
    show_tenant(call, rows, reply);
    REC_SET(reply, key_resolve_reply, scopes,
            scope_names(call, find_scopes(txn, rows, &tenant)));
    read_config(call, txn, &tenant, reply, &limits);
    show_limits(call, rows, limits, reply);
    return om_db_commit(&txn);
}
