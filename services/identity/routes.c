#include "clock.h"
#include "id.h"
#include "identity.h"
#include "page.h"
#include "scope.h"
#include "secret.h"

enum { CHANGES_MAX = 256 }; // of a reply to key_changes

#define KEY_COLUMNS "id, name, prefix, scopes, created_ms, expires_ms, revoked_ms"

OM_SQL(key_resolve, "SELECT id, tenant, name, scopes, expires_ms, revoked_ms "
                    "FROM api_key WHERE hash = $1");
OM_SQL(
    key_insert,
    "INSERT INTO api_key (id, tenant, call_id, name, prefix, hash, scopes, created_ms, "
    "expires_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) "
    "ON CONFLICT (tenant, call_id) DO NOTHING");
OM_SQL(key_of_call, "SELECT id FROM api_key WHERE tenant = $1 AND call_id = $2");
OM_SQL(key_find, "SELECT " KEY_COLUMNS " FROM api_key WHERE tenant = $1 AND id = $2");
OM_SQL(key_list, "SELECT " KEY_COLUMNS " FROM api_key WHERE tenant = $1 AND id < $2 "
                 "ORDER BY id DESC LIMIT $3");
OM_SQL(key_revoke, "UPDATE api_key SET revoked_ms = $1 "
                   "WHERE tenant = $2 AND id = $3 AND revoked_ms IS NULL");
OM_SQL(change_insert,
       "INSERT INTO key_change (hash) SELECT hash FROM api_key WHERE id = $1");
OM_SQL(change_list,
       "SELECT seq, hash FROM key_change WHERE seq > $1 ORDER BY seq LIMIT $2");
OM_SQL(change_last, "SELECT max(seq) FROM key_change");

// ---- values of replies

static struct om_str
scope_names(struct om_call *call, uint64_t mask)
{
    if (mask & SCOPE_BIT(ALL))
        mask |= SCOPES_OWNER;
    struct om_buf buf = { 0 };
    scopes_encode(mask, &buf);
    struct om_str names = om_call_copy(call, om_buf_str(&buf));
    om_buf_finish(&buf);
    return names;
}

// A row of KEY_COLUMNS. key_create and key_revoke reply with a key_item too.
static void
read_key(struct om_call *call, struct om_rows *rows, struct key_item *out)
{
    REC_SET(out, key_item, id, om_call_id(call, OM_ID_KEY, om_row_uuid(rows, 0)));
    REC_SET(out, key_item, object, OM_LIT("api_key"));
    REC_SET(out, key_item, name, om_call_copy(call, om_row_str(rows, 1)));
    REC_SET(out, key_item, prefix, om_call_copy(call, om_row_str(rows, 2)));
    REC_SET(out, key_item, scopes, scope_names(call, (uint64_t)om_row_i64(rows, 3)));
    REC_SET(out, key_item, created_ms, om_row_i64(rows, 4));
    if (!om_row_is_null(rows, 5))
        REC_SET(out, key_item, expires_ms, om_row_i64(rows, 5));
    if (!om_row_is_null(rows, 6))
        REC_SET(out, key_item, revoked_ms, om_row_i64(rows, 6));
}

// The key `id` of the caller's tenant.
static enum om_rc
find_key(struct om_call *call, struct om_txn *txn, struct om_uuid id,
         struct key_item *out)
{
    OM_AUTO(om_rows_close)
    struct om_rows *rows =
        om_db_query(txn, &sql_key_find, DB_UUID(&call->tenant_id), DB_UUID(&id));
    if (om_rows_next(rows)) {
        read_key(call, rows, out);
        return OM_OK;
    }
    return om_db_rc(txn) ? om_db_rc(txn)
                         : om_job_fail(call->job, OM_ENOTFOUND, "id", "no such API key");
}

// ---- key_resolve

static enum om_rc
on_key_resolve(void *context, struct om_call *call, const void *message, void *answer)
{
    struct identity *self = context;
    const struct key_resolve_request *request = message;
    struct key_resolve_reply *reply = answer;
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin_read(self->db);
    if (!txn)
        return OM_EDB;
    OM_AUTO(om_rows_close)
    struct om_rows *rows = om_db_query(txn, &sql_key_resolve, DB_BIN(request->hash));
    if (!om_rows_next(rows))
        return om_db_rc(txn) ? om_db_rc(txn)
                             : om_job_fail(call->job, OM_EAUTH, NULL, "no such API key");
    if (!om_row_is_null(rows, 5))
        return om_job_fail(call->job, OM_EAUTH, NULL, "this API key was revoked");
    if (!om_row_is_null(rows, 4)) {
        REC_SET(reply, key_resolve_reply, expires_ms, om_row_i64(rows, 4));
        if (reply->expires_ms <= om_clock_wall_ms())
            return om_job_fail(call->job, OM_EAUTH, NULL, "this API key has expired");
    }
    REC_SET(reply, key_resolve_reply, id,
            om_call_id(call, OM_ID_KEY, om_row_uuid(rows, 0)));
    REC_SET(reply, key_resolve_reply, tenant,
            om_call_id(call, OM_ID_TENANT, om_row_uuid(rows, 1)));
    REC_SET(reply, key_resolve_reply, name, om_call_copy(call, om_row_str(rows, 2)));
    REC_SET(reply, key_resolve_reply, scopes,
            scope_names(call, (uint64_t)om_row_i64(rows, 3)));
    return om_db_commit(&txn);
}

// ---- key_create

// What the new key may do: what was asked for, of what the caller may do itself.
static enum om_rc
choose_scopes(struct om_call *call, const struct key_create_request *request,
              uint64_t *out)
{
    uint64_t granted;
    struct om_str unknown;
    if (scopes_decode(request->granted, &granted, NULL))
        return om_job_fail(call->job, OM_EINVAL, "granted",
                           "granted: not a list of scopes");
    if (!REC_HAS(request, key_create_request, scopes)) {
        *out = granted & SCOPES_DEFAULT;
        return OM_OK;
    }
    if (scopes_decode(request->scopes, out, &unknown))
        return om_job_fail(call->job, OM_EINVAL, "scopes", "scopes: \"%.*s\" is no scope",
                           (int)unknown.size, unknown.data ? unknown.data : "");
    uint64_t missing = *out & ~granted;
    if (missing)
        return om_job_fail(call->job, OM_EFORBIDDEN, "scopes",
                           "scopes: your key cannot grant \"%s\", which it does not have",
                           scope_infos[__builtin_ctzll(missing)].name);
    return OM_OK;
}

// The call was applied before. Its key cannot be shown again: only its hash is known.
static enum om_rc
refuse_repeat(struct om_call *call, struct om_txn *txn)
{
    OM_AUTO(om_rows_close)
    struct om_rows *rows =
        om_db_query(txn, &sql_key_of_call, DB_UUID(&call->tenant_id), DB_STR(call->id));
    if (!om_rows_next(rows))
        return om_db_rc(txn) ? om_db_rc(txn) : OM_EINTERNAL;
    return om_job_fail(
        call->job, OM_ECONFLICT, NULL,
        "this request made key %s before; a key is shown only once: if you "
        "did not get it, revoke it and make another",
        om_call_id(call, OM_ID_KEY, om_row_uuid(rows, 0)).data);
}

static enum om_rc
on_key_create(void *context, struct om_call *call, const void *message, void *answer)
{
    struct identity *self = context;
    const struct key_create_request *request = message;
    int64_t now_ms = om_clock_wall_ms();
    uint64_t scopes;
    enum om_rc rc = choose_scopes(call, request, &scopes);
    if (rc)
        return rc;
    bool expires = REC_HAS(request, key_create_request, expires_ms);
    if (expires && request->expires_ms <= now_ms)
        return om_job_fail(call->job, OM_EINVAL, "expires_ms",
                           "expires_ms: must be in the future");

    uint8_t entropy[SECRET_ENTROPY], hash[32];
    char text[SECRET_SIZE + 1];
    om_random(entropy, sizeof(entropy));
    secret_format(entropy, text);
    om_sha256(om_str(text), hash);
    struct om_uuid id = om_id_new(om_uuid_shard(&call->tenant_id));
    struct om_str prefix = { text, SECRET_SHOWN };
    struct om_value none = DB_NULL, end = DB_I64(request->expires_ms);

    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin(self->db);
    if (!txn)
        return OM_EDB;
    rc =
        om_db_exec(txn, &sql_key_insert, DB_UUID(&id), DB_UUID(&call->tenant_id),
                   DB_STR(call->id), DB_STR(request->name), DB_STR(prefix), DB_HASH(hash),
                   DB_I64((int64_t)scopes), DB_I64(now_ms), expires ? end : none);
    if (rc)
        return rc;
    if (om_db_changes(txn) == 0)
        return refuse_repeat(call, txn);
    struct key_item *reply = answer;
    rc = find_key(call, txn, id, reply);
    if (rc)
        return rc;
    REC_SET(reply, key_item, key, om_call_copy(call, om_str(text)));
    return om_db_commit(&txn);
}

// ---- key_list, key_revoke, key_changes

static enum om_rc
on_key_list(void *context, struct om_call *call, const void *message, void *answer)
{
    struct identity *self = context;
    const struct key_list_request *request = message;
    struct om_uuid after;
    memset(&after, 0xff, sizeof(after));
    if (REC_HAS(request, key_list_request, after) &&
        om_typeid_decode(OM_ID_KEY, request->after, &after))
        return om_job_fail(call->job, OM_EINVAL, "after",
                           "after: not the id of an API key");

    OM_AUTO(om_page_finish) struct om_page page = om_page(&key_item_rec, request->limit);
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin_read(self->db);
    if (!txn)
        return OM_EDB;
    OM_AUTO(om_rows_close)
    struct om_rows *rows = om_db_query(txn, &sql_key_list, DB_UUID(&call->tenant_id),
                                       DB_UUID(&after), DB_I64(page.limit + 1));
    while (om_rows_next(rows)) {
        struct key_item item = { 0 };
        read_key(call, rows, &item);
        om_page_add(&page, item.id, &item);
    }
    struct key_list_reply *reply = answer;
    OM_PAGE_REPLY(&page, call->job->arena, key_list_reply, reply);
    return om_db_commit(&txn);
}

// The feed gets its row in the same transaction, so an edge that asks later sees it.
static enum om_rc
on_key_revoke(void *context, struct om_call *call, const void *message, void *answer)
{
    struct identity *self = context;
    const struct key_revoke_request *request = message;
    struct om_uuid id;
    if (om_typeid_decode(OM_ID_KEY, request->id, &id))
        return om_job_fail(call->job, OM_ENOTFOUND, "id", "no such API key");
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin(self->db);
    if (!txn)
        return OM_EDB;
    om_db_exec(txn, &sql_key_revoke, DB_I64(om_clock_wall_ms()),
               DB_UUID(&call->tenant_id), DB_UUID(&id));
    if (om_db_changes(txn) == 1)
        om_db_exec(txn, &sql_change_insert, DB_UUID(&id));
    enum om_rc rc = find_key(call, txn, id, answer);
    return rc ? rc : om_db_commit(&txn);
}

static enum om_rc
on_key_changes(void *context, struct om_call *call, const void *message, void *answer)
{
    struct identity *self = context;
    const struct key_changes_request *request = message;
    struct key_changes_reply *reply = answer;
    OM_AUTO(om_page_finish)
    struct om_page page = om_page(&key_change_item_rec, CHANGES_MAX);
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin_read(self->db);
    if (!txn)
        return OM_EDB;
    OM_AUTO(om_rows_close)
    struct om_rows *rows =
        om_db_query(txn, &sql_change_list, DB_I64(request->since), DB_I64(CHANGES_MAX));
    while (om_rows_next(rows)) {
        struct key_change_item item = { 0 };
        REC_SET(&item, key_change_item, seq, om_row_i64(rows, 0));
        REC_SET(&item, key_change_item, hash, om_row_str(rows, 1));
        om_page_add(&page, (struct om_str){ 0 }, &item);
    }
    OM_AUTO(om_rows_close) struct om_rows *last = om_db_query(txn, &sql_change_last);
    if (om_rows_next(last))
        REC_SET(reply, key_changes_reply, last, om_row_i64(last, 0));
    REC_SET(reply, key_changes_reply, data, om_page_take(&page, call->job->arena));
    return om_db_commit(&txn);
}

const struct om_route identity_routes[] = {
    { OP_key_resolve, on_key_resolve }, { OP_key_create, on_key_create },
    { OP_key_list, on_key_list },       { OP_key_revoke, on_key_revoke },
    { OP_key_changes, on_key_changes }, { 0 },
};
