// What edges have to tell each other of their caches: purges. An edge has it written down
// here which answers are to be forgotten, and every other asks twice a second what was
// written since.
//
// A row stands for the newest purge of what it names only. It is kept for longer than any
// answer is, so that an edge which was cut off misses none that concerns it.
#include "clock.h"
#include "inner.h"
#include "page.h"

enum { PURGES_MAX = 256 }; // of a reply

#define KEEP_MS INT64_C(3600000)

OM_SQL(purge_add, "INSERT INTO cache_purge (tenant, what, made_by, at_ms) "
                  "VALUES ($1, $2, $3, $4)");
OM_SQL(purge_once, "DELETE FROM cache_purge WHERE tenant = $1 AND what = $2 "
                   "AND seq < (SELECT max(seq) FROM cache_purge)");
// The newest stays, so that no number is given twice.
OM_SQL(purge_trim, "DELETE FROM cache_purge WHERE at_ms < $1 "
                   "AND seq < (SELECT max(seq) FROM cache_purge)");
OM_SQL(purge_list, "SELECT seq, tenant, what, made_by FROM cache_purge WHERE seq > $1 "
                   "ORDER BY seq LIMIT $2");
OM_SQL(purge_last, "SELECT max(seq) FROM cache_purge");

enum om_rc
on_purge_add(void *context, struct om_call *call, const void *message, void *answer)
{
    struct identity *self = context;
    const struct purge_add_request *request = message;
    int64_t now_ms = om_clock_wall_ms();
    (void)answer;
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin(self->db);
    if (!txn)
        return OM_EDB;
    om_db_exec(txn, &sql_purge_add, DB_UUID(&call->tenant_id), DB_BIN(request->what),
               DB_BIN(request->by), DB_I64(now_ms));
    om_db_exec(txn, &sql_purge_once, DB_UUID(&call->tenant_id), DB_BIN(request->what));
    om_db_exec(txn, &sql_purge_trim, DB_I64(now_ms - KEEP_MS));
    return om_db_commit(&txn);
}

enum om_rc
on_purge_changes(void *context, struct om_call *call, const void *message, void *answer)
{
    struct identity *self = context;
    const struct purge_changes_request *request = message;
    struct purge_changes_reply *reply = answer;
    OM_AUTO(om_page_finish) struct om_page page = om_page(&purge_item_rec, PURGES_MAX);
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin_read(self->db);
    if (!txn)
        return OM_EDB;
    OM_AUTO(om_rows_close)
    struct om_rows *rows =
        om_db_query(txn, &sql_purge_list, DB_I64(request->since), DB_I64(PURGES_MAX));
    while (om_rows_next(rows)) {
        struct purge_item item = { 0 };
        REC_SET(&item, purge_item, seq, om_row_i64(rows, 0));
        REC_SET(&item, purge_item, tenant,
                om_call_id(call, OM_ID_TENANT, om_row_uuid(rows, 1)));
        REC_SET(&item, purge_item, what, om_row_str(rows, 2));
        REC_SET(&item, purge_item, by, om_row_str(rows, 3));
        om_page_add(&page, (struct om_str){ 0 }, &item);
    }
    OM_AUTO(om_rows_close) struct om_rows *last = om_db_query(txn, &sql_purge_last);
    if (om_rows_next(last))
        REC_SET(reply, purge_changes_reply, last, om_row_i64(last, 0));
    REC_SET(reply, purge_changes_reply, data, om_page_take(&page, call->job->arena));
    return om_db_commit(&txn);
}
