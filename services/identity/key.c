// API keys as their owners see them: list, get, revoke, last use; and storing one.
#include "key.h"
#include "clock.h"
#include "id.h"
#include "inner.h"
#include "page.h"

#define KEY_COLUMNS                                                                      \
    "id, name, prefix, env, scopes, person, team, models, cidrs, requests, tokens, "     \
    "concurrent, version, created_ms, expires_ms, revoked_ms, used_ms, successor"

OM_SQL(key_insert,
       "INSERT INTO api_key (id, tenant, call_id, name, prefix, hash, env, scopes, "
       "person, team, models, cidrs, requests, tokens, concurrent, version, created_ms, "
       "expires_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, "
       "$15, $16, $17, $18) ON CONFLICT (tenant, call_id) DO NOTHING");
OM_SQL(key_of_call, "SELECT id FROM api_key WHERE tenant = $1 AND call_id = $2");
OM_SQL(key_find, "SELECT " KEY_COLUMNS " FROM api_key WHERE tenant = $1 AND id = $2");
OM_PAGE_SQL(key_list,
            "SELECT " KEY_COLUMNS
            " FROM api_key WHERE tenant = $1 AND id > $2 AND id < $3",
            "id", "$4");
OM_SQL(key_revoke, "UPDATE api_key SET revoked_ms = $1 "
                   "WHERE tenant = $2 AND id = $3 AND revoked_ms IS NULL");
OM_SQL(key_used, "UPDATE api_key SET used_ms = $1 WHERE id = $2");

enum om_rc
key_insert(struct om_txn *txn, struct new_key *key, int64_t now_ms)
{
    uint8_t entropy[SECRET_ENTROPY], hash[32];
    om_random(entropy, sizeof(entropy));
    secret_format(entropy, key->test, key->text);
    om_sha256(om_str(key->text), hash);
    key->id = om_id_new(om_uuid_shard(&key->tenant));
    struct om_str prefix = { key->text, SECRET_SHOWN };
    struct om_str env = key->test ? OM_LIT("test") : OM_LIT("live");
    return om_db_exec(txn, &sql_key_insert, DB_UUID(&key->id), DB_UUID(&key->tenant),
                      DB_STR(key->call_id), DB_STR(key->name), DB_STR(prefix),
                      DB_HASH(hash), DB_STR(env), DB_I64((int64_t)key->scopes),
                      value_id(&key->user), value_id(&key->team), DB_BIN(key->models),
                      DB_BIN(key->cidrs), DB_I64(key->limits.requests),
                      DB_I64(key->limits.tokens), DB_I64(key->limits.concurrent),
                      DB_STR(key->version), DB_I64(now_ms), value_end(key->expires_ms));
}

// ---- showing

// A row of KEY_COLUMNS.
static void
read_key(struct om_rows *rows, struct key_row *out)
{
    *out = (struct key_row){
        .id = om_row_uuid(rows, 0),
        .name = om_row_str(rows, 1),
        .prefix = om_row_str(rows, 2),
        .test = om_str_eq(om_row_str(rows, 3), OM_LIT("test")),
        .scopes = (uint64_t)om_row_i64(rows, 4),
        .user = om_row_uuid(rows, 5),
        .team = om_row_uuid(rows, 6),
        .models = om_row_str(rows, 7),
        .cidrs = om_row_str(rows, 8),
        .limits = limits_row(rows, 9),
        .version = om_row_str(rows, 12),
        .created_ms = om_row_i64(rows, 13),
        .expires_ms = row_end(rows, 14),
        .revoked_ms = row_end(rows, 15),
        .used_ms = row_end(rows, 16),
        .successor = om_row_uuid(rows, 17),
    };
}

void
key_show(struct om_call *call, const struct key_row *row, struct key_item *out)
{
    REC_SET(out, key_item, id, om_call_id(call, OM_ID_KEY, row->id));
    REC_SET(out, key_item, object, OM_LIT("api_key"));
    REC_SET(out, key_item, name, row->name);
    REC_SET(out, key_item, prefix, row->prefix);
    REC_SET(out, key_item, env, row->test ? OM_LIT("test") : OM_LIT("live"));
    REC_SET(out, key_item, scopes, scope_names(call, row->scopes));
    if (!om_uuid_is_zero(&row->user))
        REC_SET(out, key_item, user, om_call_id(call, OM_ID_USER, row->user));
    if (!om_uuid_is_zero(&row->team))
        REC_SET(out, key_item, team, om_call_id(call, OM_ID_TEAM, row->team));
    if (row->models.data)
        REC_SET(out, key_item, models, row->models);
    if (row->cidrs.data)
        REC_SET(out, key_item, cidrs, row->cidrs);
    LIMITS_SHOW(out, key_item, row->limits);
    if (row->version.data)
        REC_SET(out, key_item, version, row->version);
    REC_SET(out, key_item, created_ms, row->created_ms);
    if (row->expires_ms != INT64_MAX)
        REC_SET(out, key_item, expires_ms, row->expires_ms);
    if (row->revoked_ms != INT64_MAX)
        REC_SET(out, key_item, revoked_ms, row->revoked_ms);
    if (row->used_ms != INT64_MAX)
        REC_SET(out, key_item, used_ms, row->used_ms);
    if (!om_uuid_is_zero(&row->successor))
        REC_SET(out, key_item, successor, om_call_id(call, OM_ID_KEY, row->successor));
}

enum om_rc
key_load(struct om_call *call, struct om_txn *txn, struct om_uuid id, struct key_row *out)
{
    OM_AUTO(om_rows_close)
    struct om_rows *rows =
        om_db_query(txn, &sql_key_find, DB_UUID(&call->tenant_id), DB_UUID(&id));
    if (!om_rows_next(rows))
        return om_db_rc(txn)
                   ? om_db_rc(txn)
                   : om_job_fail(call->job, OM_ENOTFOUND, "id", "no such API key");
    read_key(rows, out);
    // What the row borrows is gone when it is closed.
    struct om_str *const texts[] = { &out->name, &out->prefix, &out->models, &out->cidrs,
                                     &out->version };
    for (size_t i = 0; i < OM_COUNT(texts); i++)
        if (texts[i]->data)
            *texts[i] = om_call_copy(call, *texts[i]);
    return OM_OK;
}

enum om_rc
key_reply(struct om_call *call, struct om_txn *txn, struct om_uuid id,
          struct key_item *out)
{
    struct key_row row;
    enum om_rc rc = key_load(call, txn, id, &row);
    if (rc == OM_OK)
        key_show(call, &row, out);
    return rc;
}

enum om_rc
key_refuse_repeat(struct om_call *call, struct om_txn *txn)
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

// ---- operations

enum om_rc
on_key_get(void *context, struct om_call *call, const void *message, void *answer)
{
    struct identity *self = context;
    const struct key_get_request *request = message;
    struct om_uuid id;
    enum om_rc rc = read_id(call, OM_ID_KEY, request->id, "API key", &id);
    if (rc)
        return rc;
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin_read(self->db);
    if (!txn)
        return OM_EDB;
    rc = key_reply(call, txn, id, answer);
    return rc ? rc : om_db_commit(&txn);
}

enum om_rc
on_key_list(void *context, struct om_call *call, const void *message, void *answer)
{
    struct identity *self = context;
    const struct key_list_request *request = message;
    struct om_span span;
    OM_AUTO(om_page_finish) struct om_page page = om_page(&key_item_rec, request->limit);
    enum om_rc rc =
        om_page_span(&page, call->job, OM_ID_KEY, OM_PAGE_ASK(request), &span);
    if (rc)
        return rc;
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin_read(self->db);
    if (!txn)
        return OM_EDB;
    OM_AUTO(om_rows_close)
    struct om_rows *rows =
        om_db_query(txn, OM_PAGE_QUERY(key_list, span.up), DB_UUID(&call->tenant_id),
                    DB_UUID(&span.low), DB_UUID(&span.high), DB_I64(page.limit + 1));
    while (om_rows_next(rows)) {
        struct key_item item = { 0 };
        struct key_row row;
        read_key(rows, &row);
        key_show(call, &row, &item);
        om_page_add(&page, item.id, &item);
    }
    struct key_list_reply *reply = answer;
    OM_PAGE_REPLY(&page, call->job->arena, key_list_reply, reply);
    return om_db_commit(&txn);
}

// The feed gets its row in the same transaction, so an edge that asks later sees it.
enum om_rc
on_key_revoke(void *context, struct om_call *call, const void *message, void *answer)
{
    struct identity *self = context;
    const struct key_revoke_request *request = message;
    struct om_uuid id;
    enum om_rc rc = read_id(call, OM_ID_KEY, request->id, "API key", &id);
    if (rc)
        return rc;
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin(self->db);
    if (!txn)
        return OM_EDB;
    om_db_exec(txn, &sql_key_revoke, DB_I64(om_clock_wall_ms()),
               DB_UUID(&call->tenant_id), DB_UUID(&id));
    if (om_db_changes(txn) == 1)
        feed_key(txn, &id);
    rc = key_reply(call, txn, id, answer);
    return rc ? rc : om_db_commit(&txn);
}

// Edges say once a minute which keys they have seen.
enum om_rc
on_key_used(void *context, struct om_call *call, const void *message, void *answer)
{
    struct identity *self = context;
    const struct key_used_request *request = message;
    struct rec_iter iter = rec_iter(request->ids);
    int64_t now_ms = om_clock_wall_ms();
    (void)call, (void)answer;
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin(self->db);
    if (!txn)
        return OM_EDB;
    for (struct om_str text; rec_next_str(&iter, &text);) {
        struct om_uuid id;
        if (om_typeid_decode(OM_ID_KEY, text, &id) == OM_OK)
            om_db_exec(txn, &sql_key_used, DB_I64(now_ms), DB_UUID(&id));
    }
    return om_db_commit(&txn);
}
