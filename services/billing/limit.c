#include "limit.h"
#include "page.h"
#include "plan.h"
#include "tally.h"

OM_SQL(own_get, "SELECT most FROM quota_own WHERE tenant = $1 AND policy = $2");
OM_SQL(own_set, "INSERT INTO quota_own (tenant, policy, most) VALUES ($1, $2, $3) "
                "ON CONFLICT (tenant, policy) DO UPDATE SET most = excluded.most");
OM_SQL(own_drop, "DELETE FROM quota_own WHERE tenant = $1 AND policy = $2");
OM_SQL(plan_exists, "SELECT 1 FROM plan WHERE code = $1");
OM_SQL(plan_most, "SELECT most FROM plan_quota WHERE plan = $1 AND policy = $2");
OM_SQL(plan_keep, "INSERT INTO quota_plan (tenant, plan) VALUES ($1, $2) "
                  "ON CONFLICT (tenant) DO UPDATE SET plan = excluded.plan "
                  "WHERE quota_plan.plan <> excluded.plan");
OM_SQL(plan_recall, "SELECT plan FROM quota_plan WHERE tenant = $1");

static bool
plan_exists(struct om_txn *txn, struct om_str plan)
{
    OM_AUTO(om_rows_close)
    struct om_rows *rows = om_db_query(txn, &sql_plan_exists, DB_STR(plan));
    return om_rows_next(rows);
}

static bool
read_most(struct om_rows *rows, int64_t *most)
{
    bool found = om_rows_next(rows);
    *most = found ? om_row_i64(rows, 0) : 0;
    om_rows_close(&rows);
    return found;
}

struct limit
limit_find(struct om_txn *txn, const struct om_uuid *tenant, struct om_str plan,
           enum quota quota)
{
    struct limit limit = { 0 };
    struct om_str policy = om_str(quota_infos[quota].name);
    limit.own = limit.limited = read_most(
        om_db_query(txn, &sql_own_get, DB_UUID(tenant), DB_STR(policy)), &limit.most);
    if (limit.own)
        return limit;
    if (!plan_exists(txn, plan))
        plan = OM_LIT(PLAN_DEFAULT);
    limit.limited = read_most(
        om_db_query(txn, &sql_plan_most, DB_STR(plan), DB_STR(policy)), &limit.most);
    return limit;
}

bool
limit_read_policy(struct om_call *call, struct om_str policy, enum quota *out)
{
    *out = quota_find(policy);
    if (*out < QUOTA_COUNT)
        return true;
    om_job_fail(call->job, OM_EINVAL, "policy", "policy: there is no quota of that name");
    return false;
}

void
limit_keep_plan(struct om_txn *txn, const struct om_uuid *tenant, struct om_str plan)
{
    om_db_exec(txn, &sql_plan_keep, DB_UUID(tenant), DB_STR(plan));
}

struct om_str
limit_recall_plan(struct om_txn *txn, struct om_call *call)
{
    OM_AUTO(om_rows_close)
    struct om_rows *rows = om_db_query(txn, &sql_plan_recall, DB_UUID(&call->tenant_id));
    return om_rows_next(rows) ? om_call_copy(call, om_row_str(rows, 0))
                              : OM_LIT(PLAN_DEFAULT);
}

// ---- showing and setting

static const char *
window_name(enum quota_window window)
{
    return window == QUOTA_WINDOW_DAY     ? "day"
           : window == QUOTA_WINDOW_MONTH ? "month"
                                          : "none";
}

static int64_t
bounded(int64_t count)
{
    int64_t most = TALLY_MOST;
    return count < 0 ? 0 : count > most ? most : count;
}

static void
read_quota(struct billing *self, struct om_txn *txn, const struct om_uuid *tenant,
           struct om_str plan, enum quota quota, struct quota_item *out)
{
    const struct quota_info *info = &quota_infos[quota];
    struct limit limit = limit_find(txn, tenant, plan, quota);
    struct tally tally = tally_window(quota, billing_now(self));
    tally_load(txn, tenant, quota, false, &tally);
    REC_SET(out, quota_item, policy, om_str(info->name));
    REC_SET(out, quota_item, object, OM_LIT("quota"));
    REC_SET(out, quota_item, meter, om_str(info->meter));
    REC_SET(out, quota_item, window, om_str(window_name(info->window)));
    if (limit.limited)
        REC_SET(out, quota_item, limit, limit.most);
    REC_SET(out, quota_item, used, bounded(tally.metered - tally.removed));
    REC_SET(out, quota_item, leased, bounded(tally.leased));
    if (info->window != QUOTA_WINDOW_NONE)
        REC_SET(out, quota_item, resets_ms, tally.end_ms);
    if (limit.own)
        REC_SET(out, quota_item, overridden, true);
}

enum om_rc
billing_quota_list(void *context, struct om_call *call, const void *message, void *answer)
{
    struct billing *self = context;
    const struct quota_list_request *request = message;
    struct quota_list_reply *reply = answer;
    OM_AUTO(om_page_finish)
    struct om_page page = om_page(&quota_item_rec, QUOTA_COUNT);
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin_read(self->db);
    if (!txn)
        return OM_EDB;
    struct om_str plan = REC_HAS(request, quota_list_request, plan)
                             ? request->plan
                             : limit_recall_plan(txn, call);
    for (unsigned i = 0; i < QUOTA_COUNT; i++) {
        struct quota_item item = { 0 };
        read_quota(self, txn, &call->tenant_id, plan, (enum quota)i, &item);
        om_page_add(&page, item.policy, &item);
    }
    OM_PAGE_REPLY(&page, call->job->arena, quota_list_reply, reply);
    return om_db_commit(&txn);
}

enum om_rc
billing_quota_set(void *context, struct om_call *call, const void *message, void *answer)
{
    struct billing *self = context;
    const struct quota_set_request *request = message;
    enum quota quota;
    if (!limit_read_policy(call, request->policy, &quota))
        return OM_EINVAL;
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin(self->db);
    if (!txn)
        return OM_EDB;
    if (REC_HAS(request, quota_set_request, limit))
        om_db_exec(txn, &sql_own_set, DB_UUID(&call->tenant_id), DB_STR(request->policy),
                   DB_I64(request->limit));
    else
        om_db_exec(txn, &sql_own_drop, DB_UUID(&call->tenant_id),
                   DB_STR(request->policy));
    plan_note_change(txn, &call->tenant_id);
    struct om_str plan = REC_HAS(request, quota_set_request, plan)
                             ? request->plan
                             : limit_recall_plan(txn, call);
    read_quota(self, txn, &call->tenant_id, plan, quota, answer);
    return om_db_commit(&txn);
}
