#include "clock.h"
#include "cron.h"
#include "error_routes.h"
#include "id.h"
#include "json.h"
#include "misfire.h"
#include "page.h"
#include "scheduler.h"

enum { SCHEDULES_MAX = 1000 }; // of a tenant

#define SCHEDULE_COLUMNS                                                                 \
    "id, cron, queue, kind, misfire, next_ms, last_ms, last_task, created_ms"

OM_SQL(schedule_count,
       "SELECT count(*) FROM schedule WHERE tenant = $1 AND deleted_ms IS NULL");
OM_SQL(schedule_insert,
       "INSERT INTO schedule (id, tenant, call_id, cron, queue, kind, payload, misfire, "
       "next_ms, created_ms, traceparent) "
       "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) "
       "ON CONFLICT (tenant, call_id) DO NOTHING");
OM_SQL(schedule_by_id,
       "SELECT " SCHEDULE_COLUMNS " FROM schedule WHERE tenant = $1 AND id = $2");
OM_SQL(schedule_by_call,
       "SELECT " SCHEDULE_COLUMNS " FROM schedule WHERE tenant = $1 AND call_id = $2");
OM_PAGE_SQL(schedule_list,
            "SELECT " SCHEDULE_COLUMNS " FROM schedule WHERE tenant = $1 "
            "AND id > $2 AND id < $3 AND deleted_ms IS NULL",
            "id", "$4");
OM_SQL(schedule_remove, "UPDATE schedule SET deleted_ms = $1, next_ms = NULL "
                        "WHERE tenant = $2 AND id = $3 AND deleted_ms IS NULL");

// ---- values of replies

// A row of SCHEDULE_COLUMNS. schedule_create replies with a schedule_item too.
static void
read_schedule(struct om_call *call, struct om_rows *rows, struct schedule_item *out)
{
    REC_SET(out, schedule_item, id,
            om_call_id(call, OM_ID_SCHEDULE, om_row_uuid(rows, 0)));
    REC_SET(out, schedule_item, object, OM_LIT("schedule"));
    REC_SET(out, schedule_item, cron, om_call_copy(call, om_row_str(rows, 1)));
    REC_SET(out, schedule_item, queue, om_call_copy(call, om_row_str(rows, 2)));
    REC_SET(out, schedule_item, kind, om_call_copy(call, om_row_str(rows, 3)));
    REC_SET(out, schedule_item, misfire, om_call_copy(call, om_row_str(rows, 4)));
    if (!om_row_is_null(rows, 5))
        REC_SET(out, schedule_item, next_ms, om_row_i64(rows, 5));
    if (!om_row_is_null(rows, 6)) {
        REC_SET(out, schedule_item, last_ms, om_row_i64(rows, 6));
        REC_SET(out, schedule_item, last_task,
                om_call_id(call, OM_ID_TASK, om_row_uuid(rows, 7)));
    }
    REC_SET(out, schedule_item, created_at, om_row_i64(rows, 8) / 1000);
}

// ---- schedule_create

static enum om_rc
check_queue(struct om_call *call, struct om_str queue)
{
    size_t prefix = strlen(QUEUE_PLATFORM_PREFIX);
    if (queue.size >= prefix && memcmp(queue.data, QUEUE_PLATFORM_PREFIX, prefix) == 0)
        return om_job_fail(call->job, OM_EFORBIDDEN, "queue",
                           "queue: names with " QUEUE_PLATFORM_PREFIX
                           " belong to the platform; use a queue of your own");
    if (!queue_name_valid(queue))
        return om_job_fail(
            call->job, OM_EINVAL, "queue",
            "queue: must begin with a-z and have at most 64 of a-z, 0-9, _ "
            "and -");
    return OM_OK;
}

// The payload as JSON text; an empty object if there is none.
static enum om_rc
write_payload(struct om_call *call, struct om_str payload, struct om_buf *json)
{
    if (!payload.data)
        om_buf_put(json, "{}", 2);
    else if (!om_json_put_msgpack(json, payload))
        return om_job_fail(call->job, OM_EINVAL, "payload", "payload: not a JSON object");
    if (json->failed)
        return OM_EINTERNAL;
    if (json->size > WIRE_PAYLOAD_MAX)
        return om_job_fail(call->job, OM_ETOOBIG, "payload",
                           "payload: larger than %d bytes", WIRE_PAYLOAD_MAX);
    return OM_OK;
}

// With the one that was just made.
static enum om_rc
check_count(struct om_call *call, struct om_txn *txn)
{
    OM_AUTO(om_rows_close)
    struct om_rows *rows =
        om_db_query(txn, &sql_schedule_count, DB_UUID(&call->tenant_id));
    if (om_rows_next(rows) && om_row_i64(rows, 0) > SCHEDULES_MAX)
        return om_job_fail(call->job, OM_ECONFLICT, NULL,
                           "there are %d schedules, which is the most: delete one",
                           SCHEDULES_MAX);
    return om_db_rc(txn);
}

static enum om_rc
insert(struct om_call *call, struct om_txn *txn,
       const struct schedule_create_request *request, const struct cron *cron,
       enum misfire policy, struct om_str payload, struct om_uuid *id)
{
    int64_t now_ms = om_clock_wall_ms();
    *id = om_id_new(om_uuid_shard(&call->tenant_id));
    return om_db_exec(
        txn, &sql_schedule_insert, DB_UUID(id), DB_UUID(&call->tenant_id),
        DB_STR(call->id), DB_STR(request->cron), DB_STR(request->queue),
        DB_STR(request->kind), DB_STR(payload), DB_STR(om_str(misfire_name(policy))),
        DB_I64(cron_next(cron, now_ms)), DB_I64(now_ms), DB_STR(call->traceparent));
}

// A call that comes again gets the schedule it made.
static enum om_rc
store(struct scheduler *self, struct om_call *call,
      const struct schedule_create_request *request, const struct cron *cron,
      enum misfire policy, struct om_str payload, void *answer)
{
    struct om_uuid id;
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin(self->db);
    if (!txn)
        return OM_EDB;
    enum om_rc rc = insert(call, txn, request, cron, policy, payload, &id);
    bool made = !rc && om_db_changes(txn) == 1;
    if (made)
        rc = check_count(call, txn);
    if (rc)
        return rc;
    OM_AUTO(om_rows_close)
    struct om_rows *rows = made
                               ? om_db_query(txn, &sql_schedule_by_id,
                                             DB_UUID(&call->tenant_id), DB_UUID(&id))
                               : om_db_query(txn, &sql_schedule_by_call,
                                             DB_UUID(&call->tenant_id), DB_STR(call->id));
    if (om_rows_next(rows))
        read_schedule(call, rows, answer);
    return om_db_commit(&txn);
}

static enum om_rc
on_schedule_create(void *context, struct om_call *call, const void *message, void *answer)
{
    const struct schedule_create_request *request = message;
    struct cron cron;
    char why[256];
    if (cron_parse(request->cron, &cron, why, sizeof(why)))
        return om_job_fail(call->job, OM_EINVAL, "cron", "cron: %s", why);
    enum misfire policy = MISFIRE_LATEST;
    if (REC_HAS(request, schedule_create_request, misfire) &&
        misfire_find(request->misfire, &policy))
        return om_job_fail(call->job, OM_EINVAL, "misfire",
                           "misfire: must be skip, latest or all");
    enum om_rc rc = check_queue(call, request->queue);
    if (rc)
        return rc;
    OM_AUTO(om_buf_finish) struct om_buf payload = { 0 };
    rc = write_payload(call, request->payload, &payload);
    if (rc)
        return rc;
    return store(context, call, request, &cron, policy, om_buf_str(&payload), answer);
}

// ---- schedule_list, schedule_delete

static enum om_rc
on_schedule_list(void *context, struct om_call *call, const void *message, void *answer)
{
    struct scheduler *self = context;
    const struct schedule_list_request *request = message;
    struct schedule_list_reply *reply = answer;
    struct om_span span;
    OM_AUTO(om_page_finish)
    struct om_page page = om_page(&schedule_item_rec, request->limit);
    enum om_rc rc =
        om_page_span(&page, call->job, OM_ID_SCHEDULE, OM_PAGE_ASK(request), &span);
    if (rc)
        return rc;
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin_read(self->db);
    if (!txn)
        return OM_EDB;
    OM_AUTO(om_rows_close)
    struct om_rows *rows =
        om_db_query(txn, OM_PAGE_QUERY(schedule_list, span.up), DB_UUID(&call->tenant_id),
                    DB_UUID(&span.low), DB_UUID(&span.high), DB_I64(page.limit + 1));
    while (om_rows_next(rows)) {
        struct schedule_item item = { 0 };
        read_schedule(call, rows, &item);
        om_page_add(&page, item.id, &item);
    }
    OM_PAGE_REPLY(&page, call->job->arena, schedule_list_reply, reply);
    return om_db_commit(&txn);
}

static enum om_rc
on_schedule_delete(void *context, struct om_call *call, const void *message, void *answer)
{
    struct scheduler *self = context;
    const struct schedule_delete_request *request = message;
    struct schedule_delete_reply *reply = answer;
    struct om_uuid id;
    if (om_typeid_decode(OM_ID_SCHEDULE, request->id, &id))
        return om_job_fail(call->job, OM_ENOTFOUND, "id", "no such schedule");
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin(self->db);
    if (!txn)
        return OM_EDB;
    om_db_exec(txn, &sql_schedule_remove, DB_I64(om_clock_wall_ms()),
               DB_UUID(&call->tenant_id), DB_UUID(&id));
    if (!om_db_rc(txn) && om_db_changes(txn) == 0)
        return om_job_fail(call->job, OM_ENOTFOUND, "id", "no such schedule");
    REC_SET(reply, schedule_delete_reply, id, request->id);
    REC_SET(reply, schedule_delete_reply, deleted, true);
    return om_db_commit(&txn);
}

static enum om_rc
on_status_get(void *context, struct om_call *call, const void *message, void *answer)
{
    const struct scheduler *self = context;
    (void)call, (void)message;
    *(struct status_get_reply *)answer = status_show(&self->status, om_clock_wall_ms());
    return OM_OK;
}

// clang-format off
const struct om_route scheduler_routes[] = {
    { OP_schedule_create, on_schedule_create },
    { OP_schedule_list, on_schedule_list },
    { OP_schedule_delete, on_schedule_delete },
    { OP_status_get, on_status_get },
    { OP_error_list, on_error_list },
    { OP_error_get, on_error_get },
    { OP_error_resolve, on_error_resolve },
    { OP_error_ignore, on_error_ignore },
    { OP_error_reopen, on_error_reopen },
    { OP_error_list_all, on_error_list_all },
    { OP_error_get_any, on_error_get_any },
    { 0 },
};
// clang-format on
