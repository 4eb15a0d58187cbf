#include "fire.h"
#include "id.h"
#include "misfire.h"

struct due {
    struct om_uuid id;
    uint8_t shard;
    bool good; // its expression could be read
    struct cron cron;
    enum misfire policy;
    int64_t next_ms;
};

OM_SQL(due_next, "SELECT min(next_ms) FROM schedule WHERE next_ms IS NOT NULL");
OM_SQL(due_list, "SELECT id, tenant, cron, misfire, next_ms FROM schedule "
                 "WHERE next_ms <= $1 ORDER BY next_ms LIMIT $2");
OM_SQL(fire_insert, "INSERT INTO fire (schedule, nominal_ms, task, state, retry_ms) "
                    "VALUES ($1, $2, $3, 0, 0)");
OM_SQL(schedule_fired, "UPDATE schedule SET last_ms = $1, last_task = $2 WHERE id = $3");
OM_SQL(schedule_advance, "UPDATE schedule SET next_ms = $1 WHERE id = $2");
OM_SQL(fire_settle,
       "UPDATE fire SET state = $1, code = $2, retry_ms = $3 WHERE task = $4");
OM_SQL(fire_delete, "DELETE FROM fire WHERE nominal_ms < $1 AND state <> 0");
OM_SQL(schedule_purge,
       "DELETE FROM schedule WHERE deleted_ms < $1 "
       "AND NOT EXISTS (SELECT 1 FROM fire WHERE fire.schedule = schedule.id)");

static size_t
list_due(struct om_txn *txn, int64_t now_ms, struct due due[FIRE_DUE_MAX])
{
    OM_AUTO(om_rows_close)
    struct om_rows *rows =
        om_db_query(txn, &sql_due_list, DB_I64(now_ms), DB_I64(FIRE_DUE_MAX));
    size_t count = 0;
    char why[128];
    for (; om_rows_next(rows); count++) {
        struct due *at = &due[count];
        struct om_uuid tenant = om_row_uuid(rows, 1);
        at->id = om_row_uuid(rows, 0);
        at->shard = om_uuid_shard(&tenant);
        at->good = !cron_parse(om_row_str(rows, 2), &at->cron, why, sizeof(why)) &&
                   !misfire_find(om_row_str(rows, 3), &at->policy);
        at->next_ms = om_row_i64(rows, 4);
    }
    return count;
}

static void
fire_one(struct om_txn *txn, const struct due *due, int64_t now_ms)
{
    if (!due->good) { // written by a later version, which will set it again
        om_db_exec(txn, &sql_schedule_advance, DB_NULL, DB_UUID(&due->id));
        return;
    }
    struct misfire_plan plan;
    misfire_decide(&due->cron, due->policy, due->next_ms, now_ms, &plan);
    for (size_t i = 0; i < plan.count; i++) {
        struct om_uuid task = om_id_new(due->shard);
        om_db_exec(txn, &sql_fire_insert, DB_UUID(&due->id), DB_I64(plan.fire_ms[i]),
                   DB_UUID(&task));
        om_db_exec(txn, &sql_schedule_fired, DB_I64(plan.fire_ms[i]), DB_UUID(&task),
                   DB_UUID(&due->id));
    }
    om_db_exec(txn, &sql_schedule_advance, DB_I64(plan.next_ms), DB_UUID(&due->id));
}

static enum om_rc
find_next(struct om_db *db, int64_t *next_ms)
{
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin_read(db);
    if (!txn)
        return OM_EDB;
    OM_AUTO(om_rows_close) struct om_rows *rows = om_db_query(txn, &sql_due_next);
    *next_ms =
        om_rows_next(rows) && !om_row_is_null(rows, 0) ? om_row_i64(rows, 0) : INT64_MAX;
    return om_db_commit(&txn);
}

enum om_rc
fire_due(struct om_db *db, int64_t now_ms, int64_t *next_ms)
{
    enum om_rc rc = find_next(db, next_ms);
    if (rc || *next_ms > now_ms)
        return rc;
    struct due due[FIRE_DUE_MAX];
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin(db);
    if (!txn)
        return OM_EDB;
    // The list is read whole before its rows are changed.
    size_t count = list_due(txn, now_ms, due);
    for (size_t i = 0; i < count; i++)
        fire_one(txn, &due[i], now_ms);
    rc = om_db_commit(&txn);
    return rc ? rc : find_next(db, next_ms);
}

enum om_rc
fire_store(struct om_db *db, const struct fire_outcome *outcomes, size_t count)
{
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin(db);
    if (!txn)
        return OM_EDB;
    for (size_t i = 0; i < count; i++) {
        const struct fire_outcome *one = &outcomes[i];
        struct om_str code = { one->state == FIRE_FAILED ? one->code : NULL,
                               strlen(one->code) };
        om_db_exec(txn, &sql_fire_settle, DB_I64(one->state), DB_STR(code),
                   DB_I64(one->retry_ms), DB_UUID(&one->task));
    }
    return om_db_commit(&txn);
}

enum om_rc
fire_clean(struct om_db *db, int64_t now_ms)
{
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin(db);
    if (!txn)
        return OM_EDB;
    om_db_exec(txn, &sql_fire_delete, DB_I64(now_ms - FIRE_KEEP_MS));
    om_db_exec(txn, &sql_schedule_purge, DB_I64(now_ms - FIRE_KEEP_MS));
    return om_db_commit(&txn);
}
