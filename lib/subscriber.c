#include "subscriber.h"

OM_SQL(cursor_get, "SELECT seq FROM shard_cursor WHERE shard = $1");
OM_SQL(cursor_set, "INSERT INTO shard_cursor (shard, seq) VALUES ($1, $2) "
                   "ON CONFLICT (shard) DO UPDATE SET seq = excluded.seq");

static int64_t
read_cursor(struct om_txn *txn, uint8_t shard)
{
    OM_AUTO(om_rows_close)
    struct om_rows *rows = om_db_query(txn, &sql_cursor_get, DB_I64(shard));
    return om_rows_next(rows) ? om_row_i64(rows, 0) : 0;
}

enum om_rc
om_subscriber_apply(struct om_db *db, uint8_t shard, const struct wire_logged *events,
                    size_t count, om_apply_fn *apply, void *context)
{
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin(db);
    if (!txn)
        return OM_EDB;
    int64_t done = read_cursor(txn, shard);
    for (size_t i = 0; i < count; i++) {
        if (events[i].seq <= done)
            continue;
        enum om_rc rc = apply(context, txn, &events[i]);
        if (rc)
            return rc;
        done = events[i].seq;
    }
    om_db_exec(txn, &sql_cursor_set, DB_I64(shard), DB_I64(done));
    return om_db_commit(&txn);
}
