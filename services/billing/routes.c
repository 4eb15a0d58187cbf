#include <inttypes.h>
#include <stdio.h>

#include "billing.h"
#include "clock.h"
#include "meter.h"
#include "page.h"
#include "period.h"

enum { METERS_MAX = 1000 }; // of a reply

// Exact to the millisecond: hours at the edges of the range are counted from events. A
// sum beyond 64 bits is an error of the engine, never a wrong number.
OM_SQL(usage_sum, "SELECT meter, sum(quantity) FROM ("
                  " SELECT meter, quantity FROM usage_hour"
                  "  WHERE tenant = $1 AND hour_ms >= $3 AND hour_ms < $4"
                  " UNION ALL SELECT meter, quantity FROM usage_event"
                  "  WHERE tenant = $1 AND at_ms >= $2 AND at_ms < $3"
                  " UNION ALL SELECT meter, quantity FROM usage_event"
                  "  WHERE tenant = $1 AND at_ms >= $4 AND at_ms < $5"
                  ") AS used GROUP BY meter ORDER BY meter LIMIT $6");

static enum om_rc
read_period(struct om_call *call, const struct usage_query_request *request,
            struct period *out)
{
    int64_t now_ms = om_clock_wall_ms();
    int64_t to_ms =
        REC_HAS(request, usage_query_request, to) ? request->to * 1000 : now_ms;
    int64_t from_ms = REC_HAS(request, usage_query_request, from) ? request->from * 1000
                                                                  : period_month(now_ms);
    if (from_ms > to_ms)
        return om_job_fail(call->job, OM_EINVAL, "from",
                           "from: must not be later than to (seconds since 1970)");
    *out = period_split(from_ms, to_ms);
    return OM_OK;
}

static void
add_meter(struct om_page *page, struct om_rows *rows)
{
    char quantity[24];
    struct usage_item item = { 0 };
    snprintf(quantity, sizeof(quantity), "%" PRId64, om_row_i64(rows, 1));
    REC_SET(&item, usage_item, meter, om_row_str(rows, 0));
    REC_SET(&item, usage_item, unit, om_str(meter_unit(item.meter)));
    REC_SET(&item, usage_item, quantity, om_str(quantity));
    om_page_add(page, item.meter, &item);
}

enum om_rc
billing_usage_query(void *context, struct om_call *call, const void *message,
                    void *answer)
{
    struct billing *self = context;
    const struct usage_query_request *request = message;
    struct usage_query_reply *reply = answer;
    struct period period;
    enum om_rc rc = read_period(call, request, &period);
    if (rc)
        return rc;
    if (REC_HAS(request, usage_query_request, group_by) &&
        !om_str_eq(request->group_by, OM_LIT("meter")))
        return om_job_fail(call->job, OM_EINVAL, "group_by", "group_by: must be meter");

    OM_AUTO(om_page_finish) struct om_page page = om_page(&usage_item_rec, METERS_MAX);
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin_read(self->db);
    if (!txn)
        return OM_EDB;
    OM_AUTO(om_rows_close)
    struct om_rows *rows =
        om_db_query(txn, &sql_usage_sum, DB_UUID(&call->tenant_id),
                    DB_I64(period.from_ms), DB_I64(period.first_ms),
                    DB_I64(period.last_ms), DB_I64(period.to_ms), DB_I64(page.limit + 1));
    while (om_rows_next(rows))
        add_meter(&page, rows);
    OM_PAGE_REPLY(&page, call->job->arena, usage_query_reply, reply);
    return om_db_commit(&txn);
}

const struct om_route billing_routes[] = {
    { OP_usage_query, billing_usage_query },
    { OP_plan_changes, billing_plan_changes },
    { OP_plan_list, billing_plan_list },
    { OP_plan_set, billing_plan_set },
    { OP_quota_lease, billing_quota_lease },
    { OP_quota_settle, billing_quota_settle },
    { OP_quota_list, billing_quota_list },
    { OP_quota_set, billing_quota_set },
    { 0 },
};
