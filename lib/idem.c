#include "idem.h"

enum { PURGE_MAX = 500 };

OM_SQL(idem_find, "SELECT hash, answer FROM idem_answer "
                  "WHERE tenant = $1 AND name = $2 AND until_ms > $3");
OM_SQL(idem_keep,
       "INSERT INTO idem_answer (tenant, name, hash, answer, until_ms) "
       "VALUES ($1, $2, $3, $4, $5) ON CONFLICT (tenant, name) DO UPDATE SET "
       "hash = excluded.hash, answer = excluded.answer, until_ms = excluded.until_ms");
OM_SQL(idem_drop, "DELETE FROM idem_answer "
                  "WHERE tenant = $1 AND name = $2 AND hash = $3 AND answer IS NULL");
OM_SQL(idem_purge, "DELETE FROM idem_answer WHERE (tenant, name) IN (SELECT tenant, name "
                   "FROM idem_answer WHERE until_ms <= $1 ORDER BY until_ms LIMIT $2)");

enum om_rc
om_idem_find(struct om_txn *txn, const struct om_idem *request, int64_t now_ms,
             struct om_buf *answer)
{
    OM_AUTO(om_rows_close)
    struct om_rows *rows = om_db_query(txn, &sql_idem_find, DB_UUID(&request->tenant),
                                       DB_STR(request->name), DB_I64(now_ms));
    if (!om_rows_next(rows))
        return om_db_rc(txn) ? om_db_rc(txn) : OM_ENOTFOUND;
    if (!om_str_eq(om_row_str(rows, 0), request->hash))
        return OM_EREUSED;
    if (om_row_is_null(rows, 1))
        return OM_EBUSY;
    struct om_str kept = om_row_str(rows, 1);
    om_buf_put(answer, kept.data, kept.size);
    return answer->failed ? OM_EUNAVAILABLE : OM_OK;
}

void
om_idem_keep(struct om_txn *txn, const struct om_idem *request, struct om_str answer,
             int64_t until_ms)
{
    om_db_exec(txn, &sql_idem_keep, DB_UUID(&request->tenant), DB_STR(request->name),
               DB_BIN(request->hash), DB_BIN(answer), DB_I64(until_ms));
}

void
om_idem_drop(struct om_txn *txn, const struct om_idem *request)
{
    om_db_exec(txn, &sql_idem_drop, DB_UUID(&request->tenant), DB_STR(request->name),
               DB_BIN(request->hash));
}

enum om_rc
om_idem_purge(struct om_db *db, int64_t now_ms, bool *more)
{
    *more = false;
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin(db);
    if (!txn)
        return OM_EDB;
    om_db_exec(txn, &sql_idem_purge, DB_I64(now_ms), DB_I64(PURGE_MAX));
    bool full = om_db_changes(txn) == PURGE_MAX;
    enum om_rc rc = om_db_commit(&txn);
    *more = !rc && full;
    return rc;
}
