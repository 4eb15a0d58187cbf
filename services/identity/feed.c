// The feed of changes: what edges and the broker have to forget, in order.
//
// A row stands for the newest change of a key or a tenant only, so the feed is no longer
// than there are keys and tenants.
#include "inner.h"
#include "page.h"

enum { CHANGES_MAX = 256 }; // of a reply

OM_SQL(change_of_key,
       "INSERT INTO key_change (hash) SELECT hash FROM api_key WHERE id = $1");
OM_SQL(change_of_key_once, "DELETE FROM key_change WHERE tenant IS NULL "
                           "AND hash = (SELECT hash FROM api_key WHERE id = $1) "
                           "AND seq < (SELECT max(seq) FROM key_change)");
OM_SQL(change_of_tenant, "INSERT INTO key_change (hash, tenant) "
                         "SELECT $2, id FROM tenant WHERE id = $1 OR parent = $1");
OM_SQL(change_of_tenant_once,
       "DELETE FROM key_change WHERE hash = $2 "
       "AND tenant IN (SELECT id FROM tenant WHERE id = $1 OR parent = $1) "
       "AND EXISTS (SELECT 1 FROM key_change AS newer WHERE newer.hash = $2 "
       "AND newer.tenant = key_change.tenant AND newer.seq > key_change.seq)");
OM_SQL(change_list,
       "SELECT seq, hash, tenant FROM key_change WHERE seq > $1 ORDER BY seq LIMIT $2");
OM_SQL(change_last, "SELECT max(seq) FROM key_change");

enum om_rc
feed_key(struct om_txn *txn, const struct om_uuid *key)
{
    om_db_exec(txn, &sql_change_of_key, DB_UUID(key));
    return om_db_exec(txn, &sql_change_of_key_once, DB_UUID(key));
}

enum om_rc
feed_tenant(struct om_txn *txn, const struct om_uuid *tenant)
{
    static const uint8_t all_keys[32];
    om_db_exec(txn, &sql_change_of_tenant, DB_UUID(tenant), DB_HASH(all_keys));
    return om_db_exec(txn, &sql_change_of_tenant_once, DB_UUID(tenant),
                      DB_HASH(all_keys));
}

enum om_rc
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
        if (!om_row_is_null(rows, 2))
            REC_SET(&item, key_change_item, tenant,
                    om_call_id(call, OM_ID_TENANT, om_row_uuid(rows, 2)));
        om_page_add(&page, (struct om_str){ 0 }, &item);
    }
    OM_AUTO(om_rows_close) struct om_rows *last = om_db_query(txn, &sql_change_last);
    if (om_rows_next(last))
        REC_SET(reply, key_changes_reply, last, om_row_i64(last, 0));
    REC_SET(reply, key_changes_reply, data, om_page_take(&page, call->job->arena));
    return om_db_commit(&txn);
}
