#include "usage.h"
#include "period.h"

OM_SQL(cursor_get, "SELECT seq FROM shard_cursor WHERE shard = $1");
OM_SQL(cursor_set, "INSERT INTO shard_cursor (shard, seq) VALUES ($1, $2) "
                   "ON CONFLICT (shard) DO UPDATE SET seq = excluded.seq");
OM_SQL(event_insert,
       "INSERT INTO usage_event (tenant, id, meter, at_ms, quantity, subject) "
       "VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (tenant, id) DO NOTHING");
// The condition keeps the sum an integer: SQLite would go on with a float.
OM_SQL(
    hour_add,
    "INSERT INTO usage_hour (tenant, meter, hour_ms, quantity) VALUES ($1, $2, $3, $4) "
    "ON CONFLICT (tenant, meter, hour_ms) "
    "DO UPDATE SET quantity = usage_hour.quantity + excluded.quantity "
    "WHERE usage_hour.quantity <= 9223372036854775807 - excluded.quantity");

static enum om_rc
apply_one(struct om_txn *txn, const struct wire_logged *event)
{
    struct om_uuid tenant;
    struct wire_usage usage;
    if (om_typeid_decode(OM_ID_TENANT, event->tenant, &tenant) ||
        rec_decode(&wire_usage_rec, event->body, &usage, NULL))
        return OM_EPROTO;
    enum om_rc rc = om_db_exec(txn, &sql_event_insert, DB_UUID(&tenant),
                               DB_STR(event->id), DB_STR(usage.meter), DB_I64(event->at),
                               DB_I64(usage.quantity), DB_STR(usage.subject));
    if (rc || om_db_changes(txn) == 0)
        return rc; // delivered again: normal, not a failure
    rc = om_db_exec(txn, &sql_hour_add, DB_UUID(&tenant), DB_STR(usage.meter),
                    DB_I64(period_hour(event->at)), DB_I64(usage.quantity));
    if (!rc && om_db_changes(txn) == 0)
        return OM_EINVAL;
    return rc;
}

static int64_t
read_cursor(struct om_txn *txn, uint8_t shard)
{
    OM_AUTO(om_rows_close)
    struct om_rows *rows = om_db_query(txn, &sql_cursor_get, DB_I64(shard));
    return om_rows_next(rows) ? om_row_i64(rows, 0) : 0;
}

enum om_rc
usage_apply(void *context, uint8_t shard, const struct wire_logged *events, size_t count)
{
    struct billing *self = context;
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin(self->db);
    if (!txn)
        return OM_EDB;
    int64_t done = read_cursor(txn, shard);
    for (size_t i = 0; i < count; i++) {
        if (events[i].seq <= done)
            continue;
        enum om_rc rc = apply_one(txn, &events[i]);
        if (rc)
            return rc;
        done = events[i].seq;
    }
    om_db_exec(txn, &sql_cursor_set, DB_I64(shard), DB_I64(done));
    return om_db_commit(&txn);
}
