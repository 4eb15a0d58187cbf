#include "error_routes.h"

#include "clock.h"
#include "id.h"
#include "page.h"

enum { HOUR_MS = 3600000 };

#define GROUP_COLUMNS                                                                    \
    "g.id, g.tenant, g.status, g.regressed, g.source, g.queue, g.kind, g.route, "        \
    "g.code, "                                                                           \
    "g.title, g.count, g.retried, g.first_ms, g.last_ms, g.version, " SAMPLE_COLUMNS
#define SAMPLE_COLUMNS                                                                   \
    "s.at_ms, s.message, s.retried, s.trace_id, s.task_id, s.request_id, s.attempt, "    \
    "s.worker, s.model"
enum { SAMPLE_AT = 15 }; // the first of SAMPLE_COLUMNS in GROUP_COLUMNS

#define GROUP_FROM                                                                       \
    " FROM error_group g JOIN error_sample s ON s.grp = g.id AND s.slot = g.slot "
#define GROUP_FILTER                                                                     \
    "AND g.status >= $4 AND g.status <= $5 AND ($6 IS NULL OR g.source = $6) "           \
    "AND ($7 IS NULL OR g.queue = $7) AND g.last_ms >= $8"

OM_PAGE_SQL(error_list,
            "SELECT " GROUP_COLUMNS GROUP_FROM
            "WHERE g.tenant = $1 AND g.id > $2 AND g.id < $3 " GROUP_FILTER,
            "g.id", "$9");
OM_PAGE_SQL(error_list_all,
            "SELECT " GROUP_COLUMNS GROUP_FROM
            "WHERE g.platform = 1 AND ($1 IS NULL OR g.tenant = $1) "
            "AND g.id > $2 AND g.id < $3 " GROUP_FILTER,
            "g.id", "$9");
OM_SQL(error_get, "SELECT " GROUP_COLUMNS GROUP_FROM "WHERE g.tenant = $1 AND g.id = $2");
OM_SQL(error_get_any,
       "SELECT " GROUP_COLUMNS GROUP_FROM "WHERE g.platform = 1 AND g.id = $1");
OM_SQL(error_samples, "SELECT " SAMPLE_COLUMNS " FROM error_sample s WHERE s.grp = $1 "
                      "ORDER BY s.seq DESC");
OM_SQL(error_hours, "SELECT hour, count FROM error_hour WHERE grp = $1");
OM_SQL(error_set, "UPDATE error_group SET status = $2, regressed = 0, changed_ms = $3, "
                  "version = version + 1 WHERE id = $1");

// ---- values of replies

// How often it came in each of the last hours, as a NUMS field.
static struct om_str
read_hours(struct om_call *call, struct om_txn *txn, const struct om_uuid *id)
{
    int64_t counts[ERROR_HOURS] = { 0 }, last = om_clock_wall_ms() / HOUR_MS;
    OM_AUTO(om_rows_close)
    struct om_rows *rows = om_db_query(txn, &sql_error_hours, DB_UUID(id));
    while (om_rows_next(rows)) {
        int64_t age = last - om_row_i64(rows, 0);
        if (age >= 0 && age < ERROR_HOURS)
            counts[ERROR_HOURS - 1 - age] = om_row_i64(rows, 1);
    }
    OM_AUTO(om_buf_finish) struct om_buf list = { 0 };
    om_pack_array(&list, ERROR_HOURS);
    for (size_t i = 0; i < ERROR_HOURS; i++)
        om_pack_i64(&list, counts[i]);
    return om_call_copy(call, om_buf_str(&list));
}

// The fields of ERROR_PLACE, from SAMPLE_COLUMNS that begin at column `at`.
#define SET_PLACE(call, rows, at, out, NAME)                                             \
    do {                                                                                 \
        if (!om_row_is_null(rows, (at) + 3))                                             \
            REC_SET(out, NAME, trace_id,                                                 \
                    om_call_copy(call, om_row_str(rows, (at) + 3)));                     \
        if (!om_row_is_null(rows, (at) + 4))                                             \
            REC_SET(out, NAME, task_id, om_call_copy(call, om_row_str(rows, (at) + 4))); \
        if (!om_row_is_null(rows, (at) + 5))                                             \
            REC_SET(out, NAME, request_id,                                               \
                    om_call_copy(call, om_row_str(rows, (at) + 5)));                     \
        if (!om_row_is_null(rows, (at) + 6))                                             \
            REC_SET(out, NAME, attempt, om_row_i64(rows, (at) + 6));                     \
        if (!om_row_is_null(rows, (at) + 7))                                             \
            REC_SET(out, NAME, worker, om_call_copy(call, om_row_str(rows, (at) + 7)));  \
        if (!om_row_is_null(rows, (at) + 8))                                             \
            REC_SET(out, NAME, model, om_call_copy(call, om_row_str(rows, (at) + 8)));   \
    } while (0)

static void
read_what(struct om_call *call, struct om_rows *rows, struct error_group *out)
{
    REC_SET(out, error_group, source, om_call_copy(call, om_row_str(rows, 4)));
    if (!om_row_is_null(rows, 5))
        REC_SET(out, error_group, queue, om_call_copy(call, om_row_str(rows, 5)));
    if (!om_row_is_null(rows, 6))
        REC_SET(out, error_group, kind, om_call_copy(call, om_row_str(rows, 6)));
    if (!om_row_is_null(rows, 7))
        REC_SET(out, error_group, route, om_call_copy(call, om_row_str(rows, 7)));
    REC_SET(out, error_group, code, om_call_copy(call, om_row_str(rows, 8)));
    REC_SET(out, error_group, title, om_call_copy(call, om_row_str(rows, 9)));
}

// A row of GROUP_COLUMNS.
static void
read_group(struct om_call *call, struct om_txn *txn, struct om_rows *rows, bool any,
           struct error_group *out)
{
    struct om_uuid id = om_row_uuid(rows, 0);
    int64_t status = om_row_i64(rows, 2);
    REC_SET(out, error_group, id, om_call_id(call, OM_ID_ERROR, id));
    REC_SET(out, error_group, object, OM_LIT("error_group"));
    if (any)
        REC_SET(out, error_group, tenant,
                om_call_id(call, OM_ID_TENANT, om_row_uuid(rows, 1)));
    REC_SET(out, error_group, status, om_str(error_status_names[status]));
    REC_SET(out, error_group, regressed, om_row_i64(rows, 3) != 0);
    read_what(call, rows, out);
    REC_SET(out, error_group, count, om_row_i64(rows, 10));
    REC_SET(out, error_group, retried, om_row_i64(rows, 11));
    REC_SET(out, error_group, first_seen_ms, om_row_i64(rows, 12));
    REC_SET(out, error_group, last_seen_ms, om_row_i64(rows, 13));
    REC_SET(out, error_group, hours, read_hours(call, txn, &id));
    REC_SET(out, error_group, version, om_row_i64(rows, 14));
    REC_SET(out, error_group, message,
            om_call_copy(call, om_row_str(rows, SAMPLE_AT + 1)));
    SET_PLACE(call, rows, SAMPLE_AT, out, error_group);
}

static struct om_str
read_samples(struct om_call *call, struct om_txn *txn, const struct om_uuid *id)
{
    OM_AUTO(om_buf_finish) struct om_buf items = { 0 }, list = { 0 };
    size_t count = 0;
    OM_AUTO(om_rows_close)
    struct om_rows *rows = om_db_query(txn, &sql_error_samples, DB_UUID(id));
    for (; om_rows_next(rows); count++) {
        struct error_sample item = { 0 };
        REC_SET(&item, error_sample, at_ms, om_row_i64(rows, 0));
        REC_SET(&item, error_sample, message, om_row_str(rows, 1));
        if (om_row_i64(rows, 2))
            REC_SET(&item, error_sample, retried, true);
        SET_PLACE(call, rows, 0, &item, error_sample);
        rec_encode(&error_sample_rec, &item, &items);
    }
    om_pack_array(&list, count);
    om_buf_put(&list, items.data, items.size);
    return om_call_copy(call, om_buf_str(&list));
}

// ---- lists

struct filter {
    struct om_str status, source, queue;
    int64_t since;
    enum error_status low, high;
};

static enum om_rc
check_filter(struct om_call *call, struct filter *filter)
{
    filter->low = ERROR_OPEN;
    filter->high = ERROR_STATUSES - 1;
    for (int i = 0; filter->status.data && i < ERROR_STATUSES; i++)
        if (om_str_eq(filter->status, om_str(error_status_names[i])))
            filter->low = filter->high = (enum error_status)i;
    if (filter->status.data && filter->low != filter->high)
        return om_job_fail(call->job, OM_EINVAL, "status",
                           "status: must be open, resolved or ignored");
    if (filter->source.data && !om_str_eq(filter->source, OM_LIT(ERROR_SOURCE_JOB)) &&
        !om_str_eq(filter->source, OM_LIT(ERROR_SOURCE_HTTP)))
        return om_job_fail(call->job, OM_EINVAL, "source", "source: must be job or http");
    return OM_OK;
}

// `tenant` NULL: of the platform, of all. The reply is that of both operations.
static enum om_rc
list(struct scheduler *self, struct om_call *call, const struct om_uuid *tenant, bool any,
     struct om_page *page, struct om_page_ask ask, struct filter *filter,
     struct error_list_reply *reply)
{
    struct om_span span;
    enum om_rc rc = check_filter(call, filter);
    if (!rc)
        rc = om_page_span(page, call->job, OM_ID_ERROR, ask, &span);
    if (rc)
        return rc;
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin_read(self->db);
    if (!txn)
        return OM_EDB;
    struct om_value owner = DB_NULL;
    if (tenant)
        owner = (struct om_value)DB_UUID(tenant);
    const struct om_value values[] = {
        owner,
        DB_UUID(&span.low),
        DB_UUID(&span.high),
        DB_I64(filter->low),
        DB_I64(filter->high),
        DB_STR(filter->source),
        DB_STR(filter->queue),
        DB_I64(filter->since),
        DB_I64(page->limit + 1),
        { 0 },
    };
    OM_AUTO(om_rows_close)
    struct om_rows *rows = om_db_query_values(txn,
                                              any ? OM_PAGE_QUERY(error_list_all, span.up)
                                                  : OM_PAGE_QUERY(error_list, span.up),
                                              values);
    while (om_rows_next(rows) && !page->has_more) {
        struct error_group item = { 0 };
        read_group(call, txn, rows, any, &item);
        om_page_add(page, item.id, &item);
    }
    OM_PAGE_REPLY(page, call->job->arena, error_list_reply, reply);
    return om_db_commit(&txn);
}

#define FILTER_OF(request)                                                               \
    {                                                                                    \
        .status = (request)->status, .source = (request)->source,                        \
        .queue = (request)->queue, .since = (request)->since                             \
    }

enum om_rc
on_error_list(void *context, struct om_call *call, const void *message, void *answer)
{
    const struct error_list_request *request = message;
    struct filter filter = FILTER_OF(request);
    OM_AUTO(om_page_finish)
    struct om_page page = om_page(&error_group_rec, request->limit);
    return list(context, call, &call->tenant_id, false, &page, OM_PAGE_ASK(request),
                &filter, answer);
}

enum om_rc
on_error_list_all(void *context, struct om_call *call, const void *message, void *answer)
{
    const struct error_list_all_request *request = message;
    struct filter filter = FILTER_OF(request);
    struct om_uuid tenant;
    bool one = REC_HAS(request, error_list_all_request, tenant);
    if (one && om_typeid_decode(OM_ID_TENANT, request->tenant, &tenant))
        return om_job_fail(call->job, OM_EINVAL, "tenant", "tenant: not a tenant id");
    // The two operations answer alike.
    _Static_assert(sizeof(struct error_list_reply) == sizeof(struct error_list_all_reply),
                   "one is filled in as the other");
    OM_AUTO(om_page_finish)
    struct om_page page = om_page(&error_group_rec, request->limit);
    return list(context, call, one ? &tenant : NULL, true, &page, OM_PAGE_ASK(request),
                &filter, answer);
}

// ---- one group

static enum om_rc
refuse_absent(struct om_call *call, struct om_txn *txn)
{
    return om_db_rc(txn)
               ? om_db_rc(txn)
               : om_job_fail(call->job, OM_ENOTFOUND, "id",
                             "no group of errors has this id, or it is no longer kept");
}

// The rows of the group, of which one is current; NULL: there is none.
static struct om_rows *
find(struct om_call *call, struct om_txn *txn, struct om_str text, bool any)
{
    struct om_uuid id;
    if (om_typeid_decode(OM_ID_ERROR, text, &id))
        return NULL;
    struct om_rows *rows =
        any ? om_db_query(txn, &sql_error_get_any, DB_UUID(&id))
            : om_db_query(txn, &sql_error_get, DB_UUID(&call->tenant_id), DB_UUID(&id));
    if (!om_rows_next(rows))
        om_rows_close(&rows);
    return rows;
}

static enum om_rc
get(struct scheduler *self, struct om_call *call, struct om_str id, bool any,
    struct error_get_reply *reply)
{
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin_read(self->db);
    if (!txn)
        return OM_EDB;
    OM_AUTO(om_rows_close) struct om_rows *rows = find(call, txn, id, any);
    if (!rows)
        return refuse_absent(call, txn);
    struct error_group group = { 0 };
    struct om_uuid uuid = om_row_uuid(rows, 0);
    read_group(call, txn, rows, any, &group);
#define GROUP_COPY(M, type, name, ...)                                                   \
    if (REC_HAS(&group, error_group, name))                                              \
        REC_SET(reply, error_get_reply, name, group.name);
    ERROR_GROUP(GROUP_COPY, )
#undef GROUP_COPY
    REC_SET(reply, error_get_reply, samples, read_samples(call, txn, &uuid));
    return om_db_commit(&txn);
}

enum om_rc
on_error_get(void *context, struct om_call *call, const void *message, void *answer)
{
    const struct error_get_request *request = message;
    return get(context, call, request->id, false, answer);
}

enum om_rc
on_error_get_any(void *context, struct om_call *call, const void *message, void *answer)
{
    const struct error_get_any_request *request = message;
    _Static_assert(sizeof(struct error_get_reply) == sizeof(struct error_get_any_reply),
                   "one is filled in as the other");
    return get(context, call, request->id, true, answer);
}

// ---- its status

static enum om_rc
set(struct scheduler *self, struct om_call *call,
    const struct error_resolve_request *request, enum error_status status, void *answer)
{
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin(self->db);
    if (!txn)
        return OM_EDB;
    OM_AUTO(om_rows_close) struct om_rows *rows = find(call, txn, request->id, false);
    if (!rows)
        return refuse_absent(call, txn);
    struct om_uuid id = om_row_uuid(rows, 0);
    struct error_group *group = answer;
    read_group(call, txn, rows, false, group);
    if (REC_HAS(request, error_resolve_request, if_version) &&
        request->if_version != group->version)
        return om_job_fail(call->job, OM_EMATCH, NULL,
                           "it came again, or was changed, since you read it: it has "
                           "version %lld now; read it again",
                           (long long)group->version);
    om_db_exec(txn, &sql_error_set, DB_UUID(&id), DB_I64(status),
               DB_I64(om_clock_wall_ms()));
    group->status = om_str(error_status_names[status]);
    group->regressed = false;
    group->version++;
    return om_db_commit(&txn);
}

enum om_rc
on_error_resolve(void *context, struct om_call *call, const void *message, void *answer)
{
    return set(context, call, message, ERROR_RESOLVED, answer);
}

enum om_rc
on_error_ignore(void *context, struct om_call *call, const void *message, void *answer)
{
    return set(context, call, message, ERROR_IGNORED, answer);
}

enum om_rc
on_error_reopen(void *context, struct om_call *call, const void *message, void *answer)
{
    return set(context, call, message, ERROR_OPEN, answer);
}
