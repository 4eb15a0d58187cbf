#include "request.h"

#include "clock.h"
#include "id.h"
#include "page.h"

enum { REMOVED_MAX = 100, TICK_MS = 10000 };

#define SUMMARY_COLUMNS                                                                  \
    "id, at_ms, duration_us, method, route, path, status, code, key_id, client_id"

OM_SQL(request_add,
       "INSERT INTO request_log (tenant, " SUMMARY_COLUMNS ", detail) VALUES "
       "($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT DO NOTHING");
OM_SQL(request_crowd,
       "DELETE FROM request_log WHERE tenant = $1 AND id <= (SELECT id FROM request_log "
       "WHERE tenant = $1 ORDER BY id DESC LIMIT 1 OFFSET $2)");
OM_SQL(request_expire,
       "DELETE FROM request_log WHERE rowid IN (SELECT rowid FROM request_log "
       "WHERE at_ms < $1 ORDER BY at_ms LIMIT $2)");
OM_SQL(request_list,
       "SELECT " SUMMARY_COLUMNS " FROM request_log "
       "WHERE tenant = $1 AND id < $2 AND at_ms >= $3 AND status >= $4 AND status <= $5 "
       "AND ($6 IS NULL OR route = $6) AND ($7 IS NULL OR code = $7) "
       "AND ($8 IS NULL OR client_id = $8) ORDER BY id DESC LIMIT $9");
OM_SQL(request_get, "SELECT detail FROM request_log "
                    "WHERE tenant = $1 AND id = $2 AND at_ms >= $3");

static int64_t
oldest_ms(const struct compliance *self)
{
    return om_clock_wall_ms() - self->request_ms;
}

// ---- keeping

// OM_OK: kept, or it was kept before: *added says which.
static enum om_rc
keep_one(struct om_txn *txn, const struct request_kept *item, struct om_str bytes,
         struct om_uuid *tenant, bool *added)
{
    struct om_uuid id;
    if (om_typeid_decode(OM_ID_TENANT, item->tenant, tenant) ||
        om_typeid_decode(OM_ID_REQUEST, item->id, &id))
        return OM_EPROTO;
    enum om_rc rc = om_db_exec(
        txn, &sql_request_add, DB_UUID(tenant), DB_UUID(&id), DB_I64(item->created_ms),
        DB_I64(item->duration_us), DB_STR(item->method), DB_STR(item->route),
        DB_STR(item->path), DB_I64(item->status), DB_STR(item->code),
        DB_STR(item->key_id), DB_STR(item->client_id), DB_BIN(bytes));
    *added = rc == OM_OK && om_db_changes(txn) > 0;
    return rc;
}

enum om_rc
on_request_keep(void *context, struct om_call *call, const void *message, void *answer)
{
    struct compliance *self = context;
    const struct request_keep_request *request = message;
    struct request_keep_reply *reply = answer;
    struct rec_iter iter = rec_iter(request->data);
    struct request_kept item;
    struct om_str bytes;
    int64_t kept = 0;
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin(self->db);
    if (!txn)
        return OM_EDB;
    while (rec_next_rec(&iter, &request_kept_rec, &item, &bytes)) {
        struct om_uuid tenant;
        bool added;
        enum om_rc rc = keep_one(txn, &item, bytes, &tenant, &added);
        if (rc == OM_OK && added)
            rc = om_db_exec(txn, &sql_request_crowd, DB_UUID(&tenant),
                            DB_I64(self->request_max));
        if (rc)
            return rc;
        kept += added;
    }
    if (iter.left)
        return om_job_fail(call->job, OM_EPROTO, "data", "data: not all are requests");
    REC_SET(reply, request_keep_reply, kept, kept);
    return om_db_commit(&txn);
}

// ---- reading

static void
add_row(struct om_page *page, struct om_rows *rows)
{
    struct request_summary item = { 0 };
    struct om_uuid uuid = om_row_uuid(rows, 0);
    char id[OM_TYPEID_MAX];
    om_typeid_encode(OM_ID_REQUEST, &uuid, id);
    REC_SET(&item, request_summary, id, om_str(id));
    REC_SET(&item, request_summary, object, OM_LIT("request"));
    REC_SET(&item, request_summary, created_ms, om_row_i64(rows, 1));
    REC_SET(&item, request_summary, duration_us, om_row_i64(rows, 2));
    REC_SET(&item, request_summary, method, om_row_str(rows, 3));
    REC_SET(&item, request_summary, route, om_row_str(rows, 4));
    REC_SET(&item, request_summary, path, om_row_str(rows, 5));
    REC_SET(&item, request_summary, status, om_row_i64(rows, 6));
    if (!om_row_is_null(rows, 7))
        REC_SET(&item, request_summary, code, om_row_str(rows, 7));
    REC_SET(&item, request_summary, key_id, om_row_str(rows, 8));
    if (!om_row_is_null(rows, 9))
        REC_SET(&item, request_summary, client_id, om_row_str(rows, 9));
    om_page_add(page, item.id, &item);
}

// "404" is that status, "4xx" all that begin so. False: it is neither.
static bool
read_status(struct om_str text, int64_t *low, int64_t *high)
{
    if (text.size != 3 || (text.data[0] != '4' && text.data[0] != '5'))
        return false;
    int64_t hundreds = 100 * (text.data[0] - '0');
    if (memcmp(text.data + 1, "xx", 2) == 0) {
        *low = hundreds;
        *high = hundreds + 99;
        return true;
    }
    for (int i = 1; i < 3; i++)
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
    *low = *high = hundreds + 10 * (text.data[1] - '0') + text.data[2] - '0';
    return true;
}

enum om_rc
on_request_list(void *context, struct om_call *call, const void *message, void *answer)
{
    struct compliance *self = context;
    const struct request_list_request *request = message;
    struct request_list_reply *reply = answer;
    struct om_uuid after;
    int64_t low = 0, high = 999, since = oldest_ms(self);
    memset(&after, 0xff, sizeof(after));
    if (REC_HAS(request, request_list_request, after) &&
        om_typeid_decode(OM_ID_REQUEST, request->after, &after))
        return om_job_fail(call->job, OM_EINVAL, "after", "after: not a request id");
    if (REC_HAS(request, request_list_request, status) &&
        !read_status(request->status, &low, &high))
        return om_job_fail(call->job, OM_EINVAL, "status",
                           "status: write 404, 4xx or 5xx, for example");
    since = request->since > since ? request->since : since;
    OM_AUTO(om_page_finish)
    struct om_page page = om_page(&request_summary_rec, request->limit);
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin_read(self->db);
    if (!txn)
        return OM_EDB;
    OM_AUTO(om_rows_close)
    struct om_rows *rows = om_db_query(
        txn, &sql_request_list, DB_UUID(&call->tenant_id), DB_UUID(&after), DB_I64(since),
        DB_I64(low), DB_I64(high), DB_STR(request->route), DB_STR(request->code),
        DB_STR(request->client_id), DB_I64(page.limit + 1));
    while (om_rows_next(rows))
        add_row(&page, rows);
    OM_PAGE_REPLY(&page, call->job->arena, request_list_reply, reply);
    return om_db_commit(&txn);
}

enum om_rc
on_request_get(void *context, struct om_call *call, const void *message, void *answer)
{
    struct compliance *self = context;
    const struct request_get_request *request = message;
    struct request_get_reply *reply = answer;
    struct om_uuid id;
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin_read(self->db);
    if (!txn)
        return OM_EDB;
    OM_AUTO(om_rows_close) struct om_rows *rows = NULL;
    if (om_typeid_decode(OM_ID_REQUEST, request->id, &id) == OM_OK)
        rows = om_db_query(txn, &sql_request_get, DB_UUID(&call->tenant_id), DB_UUID(&id),
                           DB_I64(oldest_ms(self)));
    if (!om_rows_next(rows))
        return om_db_rc(txn) ? om_db_rc(txn)
                             : om_job_fail(call->job, OM_ENOTFOUND, "id",
                                           "no request that failed has this id, or it "
                                           "is no longer kept");
    struct request_kept kept;
    struct om_str detail = om_call_copy(call, om_row_str(rows, 0));
    if (rec_decode(&request_kept_rec, detail, &kept, NULL))
        return OM_EINTERNAL;
#define REQUEST_COPY(M, type, name, ...)                                                 \
    if (REC_HAS(&kept, request_kept, name))                                              \
        REC_SET(reply, request_get_reply, name, kept.name);
    REQUEST_DETAIL(REQUEST_COPY, )
#undef REQUEST_COPY
    REC_SET(reply, request_get_reply, expires_ms, kept.created_ms + self->request_ms);
    return om_db_commit(&txn);
}

// ---- forgetting

int64_t
request_tick(void *context, int64_t now_ms)
{
    struct compliance *self = context;
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin(self->db);
    if (!txn)
        return now_ms + TICK_MS;
    om_db_exec(txn, &sql_request_expire, DB_I64(oldest_ms(self)), DB_I64(REMOVED_MAX));
    bool more = om_db_changes(txn) == REMOVED_MAX;
    return om_db_commit(&txn) == OM_OK && more ? now_ms : now_ms + TICK_MS;
}
