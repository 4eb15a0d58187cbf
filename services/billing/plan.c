#include "plan.h"
#include "page.h"
#include "quota.h"

enum { PLANS_MAX = 256, TENANTS_MAX = 256 };

OM_SQL(plan_list, "SELECT code, name, requests, tokens, concurrent FROM plan "
                  "ORDER BY place, code");
OM_SQL(plan_quotas, "SELECT policy, most FROM plan_quota WHERE plan = $1");
OM_SQL(plan_count, "SELECT count(*) FROM plan WHERE code <> $1");
OM_SQL(plan_set, "INSERT INTO plan (code, name, requests, tokens, concurrent, place) "
                 "VALUES ($1, $2, $3, $4, $5, (SELECT max(place) + 1 FROM plan)) "
                 "ON CONFLICT (code) DO UPDATE SET name = excluded.name, "
                 "requests = excluded.requests, tokens = excluded.tokens, "
                 "concurrent = excluded.concurrent");
OM_SQL(plan_quota_drop, "DELETE FROM plan_quota WHERE plan = $1");
OM_SQL(plan_quota_set, "INSERT INTO plan_quota (plan, policy, most) VALUES ($1, $2, $3) "
                       "ON CONFLICT (plan, policy) DO NOTHING");
OM_SQL(change_add, "INSERT INTO quota_change (version, tenant) "
                   "SELECT coalesce(max(version), 0) + 1, $1 FROM quota_change");
// The newest rows tell who changed; those who ask seldom are told that anyone may have.
OM_SQL(change_trim, "DELETE FROM quota_change "
                    "WHERE version <= (SELECT max(version) FROM quota_change) - 1000");
OM_SQL(change_last, "SELECT max(version), min(version) FROM quota_change");
OM_SQL(change_list, "SELECT DISTINCT tenant FROM quota_change WHERE version > $1 "
                    "LIMIT $2");

void
plan_note_change(struct om_txn *txn, const struct om_uuid *tenant)
{
    if (tenant)
        om_db_exec(txn, &sql_change_add, DB_UUID(tenant));
    else
        om_db_exec(txn, &sql_change_add, DB_NULL);
    om_db_exec(txn, &sql_change_trim);
}

// ---- reading

static struct om_str
read_quotas(struct om_txn *txn, struct om_call *call, struct om_str code)
{
    size_t count = 0;
    OM_AUTO(om_buf_finish) struct om_buf items = { 0 }, list = { 0 };
    OM_AUTO(om_rows_close)
    struct om_rows *rows = om_db_query(txn, &sql_plan_quotas, DB_STR(code));
    while (om_rows_next(rows)) {
        struct plan_quota item = { 0 };
        if (quota_find(om_row_str(rows, 0)) == QUOTA_COUNT)
            continue; // of another version
        REC_SET(&item, plan_quota, policy, om_row_str(rows, 0));
        REC_SET(&item, plan_quota, limit, om_row_i64(rows, 1));
        rec_encode(&plan_quota_rec, &item, &items);
        count++;
    }
    om_pack_array(&list, count);
    om_buf_put(&list, items.data, items.size);
    return om_call_copy(call, om_buf_str(&list));
}

static void
read_plan(struct om_txn *txn, struct om_call *call, struct om_rows *rows,
          struct plan_item *out)
{
    REC_SET(out, plan_item, code, om_call_copy(call, om_row_str(rows, 0)));
    REC_SET(out, plan_item, object, OM_LIT("plan"));
    REC_SET(out, plan_item, name, om_call_copy(call, om_row_str(rows, 1)));
    if (!om_row_is_null(rows, 2))
        REC_SET(out, plan_item, requests, om_row_i64(rows, 2));
    if (!om_row_is_null(rows, 3))
        REC_SET(out, plan_item, tokens, om_row_i64(rows, 3));
    if (!om_row_is_null(rows, 4))
        REC_SET(out, plan_item, concurrent, om_row_i64(rows, 4));
    REC_SET(out, plan_item, quotas, read_quotas(txn, call, out->code));
}

static void
add_plans(struct om_txn *txn, struct om_call *call, struct om_page *page)
{
    OM_AUTO(om_rows_close) struct om_rows *rows = om_db_query(txn, &sql_plan_list);
    while (om_rows_next(rows)) {
        struct plan_item item = { 0 };
        read_plan(txn, call, rows, &item);
        om_page_add(page, item.code, &item);
    }
}

enum om_rc
billing_plan_list(void *context, struct om_call *call, const void *message, void *answer)
{
    struct billing *self = context;
    struct plan_list_reply *reply = answer;
    (void)message; // there are few: the list is one page
    OM_AUTO(om_page_finish) struct om_page page = om_page(&plan_item_rec, PLANS_MAX);
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin_read(self->db);
    if (!txn)
        return OM_EDB;
    add_plans(txn, call, &page);
    OM_PAGE_REPLY(&page, call->job->arena, plan_list_reply, reply);
    return om_db_commit(&txn);
}

// ---- the feed

// Whose own limits changed after `since`. False: perhaps anyone's.
static bool
list_tenants(struct om_txn *txn, int64_t since, struct om_buf *out)
{
    char text[OM_TYPEID_MAX];
    size_t count = 0;
    bool known = true;
    OM_AUTO(om_buf_finish) struct om_buf items = { 0 };
    OM_AUTO(om_rows_close)
    struct om_rows *rows =
        om_db_query(txn, &sql_change_list, DB_I64(since), DB_I64(TENANTS_MAX + 1));
    while (om_rows_next(rows)) {
        struct om_uuid tenant = om_row_uuid(rows, 0);
        known = known && !om_row_is_null(rows, 0) && ++count <= TENANTS_MAX;
        om_typeid_encode(OM_ID_TENANT, &tenant, text);
        om_pack_str(&items, om_str(text));
    }
    om_pack_array(out, count);
    om_buf_put(out, items.data, items.size);
    return known;
}

enum om_rc
billing_plan_changes(void *context, struct om_call *call, const void *message,
                     void *answer)
{
    struct billing *self = context;
    const struct plan_changes_request *request = message;
    struct plan_changes_reply *reply = answer;
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin_read(self->db);
    if (!txn)
        return OM_EDB;
    OM_AUTO(om_rows_close) struct om_rows *rows = om_db_query(txn, &sql_change_last);
    if (!om_rows_next(rows))
        return om_db_rc(txn) ? om_db_rc(txn) : OM_EINTERNAL;
    int64_t version = om_row_i64(rows, 0), first = om_row_i64(rows, 1);
    REC_SET(reply, plan_changes_reply, version, version);
    if (request->since == version)
        return om_db_commit(&txn);

    OM_AUTO(om_page_finish) struct om_page page = om_page(&plan_item_rec, PLANS_MAX);
    OM_AUTO(om_buf_finish) struct om_buf tenants = { 0 };
    add_plans(txn, call, &page);
    REC_SET(reply, plan_changes_reply, data, om_page_take(&page, call->job->arena));
    bool complete = request->since >= first - 1 && request->since < version;
    if (complete && list_tenants(txn, request->since, &tenants))
        REC_SET(reply, plan_changes_reply, tenants,
                om_call_copy(call, om_buf_str(&tenants)));
    return om_db_commit(&txn);
}

// ---- changing

static bool
is_code(struct om_str code)
{
    if (code.size == 0 || code.size > PLAN_CODE_MAX || code.data[0] < 'a' ||
        code.data[0] > 'z')
        return false;
    for (size_t i = 1; i < code.size; i++) {
        char c = code.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-'))
            return false;
    }
    return true;
}

static enum om_rc
check_quotas(struct om_call *call, struct om_str quotas)
{
    struct rec_iter iter = rec_iter(quotas);
    struct plan_quota item;
    struct om_str bytes;
    unsigned seen = 0;
    while (rec_next_rec(&iter, &plan_quota_rec, &item, &bytes)) {
        enum quota quota = quota_find(item.policy);
        if (quota == QUOTA_COUNT)
            return om_job_fail(call->job, OM_EINVAL, "quotas",
                               "quotas: there is no quota %.*s", (int)item.policy.size,
                               item.policy.data);
        if (seen >> quota & 1)
            return om_job_fail(call->job, OM_EINVAL, "quotas", "quotas: %s stands twice",
                               quota_infos[quota].name);
        seen |= 1u << quota;
    }
    return OM_OK;
}

static void
store_plan(struct om_txn *txn, const struct plan_set_request *request)
{
    const struct om_value none = DB_NULL;
    const struct om_value requests = DB_I64(request->requests),
                          tokens = DB_I64(request->tokens),
                          concurrent = DB_I64(request->concurrent);
    om_db_exec(txn, &sql_plan_set, DB_STR(request->code), DB_STR(request->name),
               REC_HAS(request, plan_set_request, requests) ? requests : none,
               REC_HAS(request, plan_set_request, tokens) ? tokens : none,
               REC_HAS(request, plan_set_request, concurrent) ? concurrent : none);
    om_db_exec(txn, &sql_plan_quota_drop, DB_STR(request->code));
    struct rec_iter iter = rec_iter(request->quotas);
    struct plan_quota item;
    struct om_str bytes;
    while (rec_next_rec(&iter, &plan_quota_rec, &item, &bytes))
        om_db_exec(txn, &sql_plan_quota_set, DB_STR(request->code), DB_STR(item.policy),
                   DB_I64(item.limit));
    plan_note_change(txn, NULL);
}

static bool
is_full(struct om_txn *txn, struct om_str code)
{
    OM_AUTO(om_rows_close)
    struct om_rows *rows = om_db_query(txn, &sql_plan_count, DB_STR(code));
    return om_rows_next(rows) && om_row_i64(rows, 0) >= PLANS_MAX;
}

enum om_rc
billing_plan_set(void *context, struct om_call *call, const void *message, void *answer)
{
    struct billing *self = context;
    const struct plan_set_request *request = message;
    struct plan_item *reply = answer; // PLAN_SET's reply is a plan_item
    if (!is_code(request->code))
        return om_job_fail(call->job, OM_EINVAL, "code",
                           "code: must be [a-z][a-z0-9_-]*, at most %d characters",
                           PLAN_CODE_MAX);
    enum om_rc rc = check_quotas(call, request->quotas);
    if (rc)
        return rc;
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin(self->db);
    if (!txn)
        return OM_EDB;
    if (is_full(txn, request->code))
        return om_job_fail(call->job, OM_ECONFLICT, "code", "there are %d plans already",
                           PLANS_MAX);
    store_plan(txn, request);
    REC_SET(reply, plan_item, code, request->code);
    REC_SET(reply, plan_item, object, OM_LIT("plan"));
    REC_SET(reply, plan_item, name, request->name);
    if (REC_HAS(request, plan_set_request, requests))
        REC_SET(reply, plan_item, requests, request->requests);
    if (REC_HAS(request, plan_set_request, tokens))
        REC_SET(reply, plan_item, tokens, request->tokens);
    if (REC_HAS(request, plan_set_request, concurrent))
        REC_SET(reply, plan_item, concurrent, request->concurrent);
    REC_SET(reply, plan_item, quotas, read_quotas(txn, call, request->code));
    return om_db_commit(&txn);
}
