// Who has which role, and until when.
#include "clock.h"
#include "id.h"
#include "page.h"
#include "role.h"
#include "user.h"

#define BINDING_COLUMNS "id, person, role, expires_ms, created_ms FROM role_binding "

OM_SQL(binding_find, "SELECT " BINDING_COLUMNS "WHERE tenant = $1 AND id = $2");
OM_PAGE_SQL(binding_list,
            "SELECT " BINDING_COLUMNS "WHERE tenant = $1 AND id > $2 AND id < $3 "
            "AND ($5 IS NULL OR person = $5)",
            "id", "$4");
OM_SQL(binding_of, "SELECT " BINDING_COLUMNS "WHERE tenant = $1 AND person = $2");
OM_SQL(binding_add,
       "INSERT INTO role_binding (id, tenant, person, role, expires_ms, created_ms) "
       "VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (tenant, person, role) "
       "DO UPDATE SET expires_ms = excluded.expires_ms");
OM_SQL(binding_id, "SELECT id FROM role_binding "
                   "WHERE tenant = $1 AND person = $2 AND role = $3");
OM_SQL(binding_drop, "DELETE FROM role_binding WHERE tenant = $1 AND id = $2");
OM_SQL(binding_ended, "SELECT DISTINCT tenant FROM role_binding WHERE expires_ms <= $1");
OM_SQL(binding_end, "DELETE FROM role_binding WHERE tenant = $1 AND expires_ms <= $2");

// What the user may do without that role; it may be absent.
static uint64_t
scopes_without(struct om_txn *txn, const struct om_uuid *tenant,
               const struct om_uuid *user, struct om_str role, int64_t now_ms)
{
    struct permit permit = { 0 };
    OM_AUTO(om_rows_close)
    struct om_rows *rows =
        om_db_query(txn, &sql_binding_of, DB_UUID(tenant), DB_UUID(user));
    while (om_rows_next(rows))
        if (!role.data || !om_str_eq(om_row_str(rows, 2), role))
            role_add(txn, tenant, om_row_str(rows, 2), row_end(rows, 3), now_ms, &permit);
    return permit_mask(&permit);
}

uint64_t
user_scopes(struct om_txn *txn, const struct om_uuid *tenant, const struct om_uuid *user,
            int64_t now_ms)
{
    return scopes_without(txn, tenant, user, (struct om_str){ 0 }, now_ms);
}

static enum om_rc
check_count(struct om_call *call, struct om_txn *txn, const struct om_uuid *user)
{
    OM_AUTO(om_rows_close)
    struct om_rows *rows =
        om_db_query(txn, &sql_binding_of, DB_UUID(&call->tenant_id), DB_UUID(user));
    size_t count = 0;
    while (om_rows_next(rows))
        count++;
    if (count <= USER_ROLES_MAX)
        return om_db_rc(txn);
    return om_job_fail(call->job, OM_ECONFLICT, "role", "a user has at most %d roles",
                       USER_ROLES_MAX);
}

enum om_rc
role_give(struct om_call *call, struct om_txn *txn, const struct om_uuid *user,
          struct om_str role, int64_t expires_ms, uint64_t granted,
          struct om_uuid *binding)
{
    const struct om_uuid *tenant = &call->tenant_id;
    int64_t now_ms = om_clock_wall_ms();
    struct om_uuid id = om_id_new(om_uuid_shard(tenant));
    if (!role_exists(txn, tenant, role))
        return om_job_fail(call->job, OM_EINVAL, "role",
                           "role: there is no role \"%.*s\"; GET /api/v1/admin/roles "
                           "lists them",
                           (int)(role.size < 32 ? role.size : 32), role.data);
    // A role that denies makes more of a user when it ends.
    uint64_t before = user_scopes(txn, tenant, user, now_ms) |
                      scopes_without(txn, tenant, user, role, now_ms);
    om_db_exec(txn, &sql_binding_add, DB_UUID(&id), DB_UUID(tenant), DB_UUID(user),
               DB_STR(role), value_end(expires_ms), DB_I64(now_ms));
    uint64_t after = user_scopes(txn, tenant, user, now_ms);
    enum om_rc rc =
        refuse_more(call, before | after, granted, "role", "give or change roles with");
    if (!rc)
        rc = check_count(call, txn, user);
    if (rc)
        return rc;
    OM_AUTO(om_rows_close)
    struct om_rows *rows =
        om_db_query(txn, &sql_binding_id, DB_UUID(tenant), DB_UUID(user), DB_STR(role));
    if (om_rows_next(rows))
        *binding = om_row_uuid(rows, 0);
    return feed_tenant(txn, tenant);
}

enum om_rc
identity_end_roles(struct identity *self, int64_t wall_ms)
{
    struct om_uuid tenants[64];
    size_t count = 0;
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin_read(self->db);
    if (!txn)
        return OM_EDB;
    OM_AUTO(om_rows_close)
    struct om_rows *rows = om_db_query(txn, &sql_binding_ended, DB_I64(wall_ms));
    while (count < OM_COUNT(tenants) && om_rows_next(rows))
        tenants[count++] = om_row_uuid(rows, 0);
    enum om_rc rc = om_db_commit(&txn);
    if (rc || count == 0)
        return rc;
    txn = om_db_begin(self->db);
    if (!txn)
        return OM_EDB;
    for (size_t i = 0; i < count; i++) {
        om_db_exec(txn, &sql_binding_end, DB_UUID(&tenants[i]), DB_I64(wall_ms));
        feed_tenant(txn, &tenants[i]);
    }
    return om_db_commit(&txn);
}

// ---- operations

// A row of BINDING_COLUMNS.
static void
read_binding(struct om_call *call, struct om_rows *rows, struct binding_item *out)
{
    REC_SET(out, binding_item, id, om_call_id(call, OM_ID_BINDING, om_row_uuid(rows, 0)));
    REC_SET(out, binding_item, object, OM_LIT("role_binding"));
    REC_SET(out, binding_item, user, om_call_id(call, OM_ID_USER, om_row_uuid(rows, 1)));
    REC_SET(out, binding_item, role, om_call_copy(call, om_row_str(rows, 2)));
    if (!om_row_is_null(rows, 3))
        REC_SET(out, binding_item, expires_ms, om_row_i64(rows, 3));
    REC_SET(out, binding_item, created_ms, om_row_i64(rows, 4));
}

static enum om_rc
load(struct om_call *call, struct om_txn *txn, const struct om_uuid *id,
     struct om_uuid *user, struct binding_item *out)
{
    OM_AUTO(om_rows_close)
    struct om_rows *rows =
        om_db_query(txn, &sql_binding_find, DB_UUID(&call->tenant_id), DB_UUID(id));
    if (!om_rows_next(rows))
        return om_db_rc(txn)
                   ? om_db_rc(txn)
                   : om_job_fail(call->job, OM_ENOTFOUND, "id", "no such role binding");
    *user = om_row_uuid(rows, 1);
    read_binding(call, rows, out);
    return OM_OK;
}

enum om_rc
on_binding_create(void *context, struct om_call *call, const void *message, void *answer)
{
    struct identity *self = context;
    const struct binding_create_request *request = message;
    bool ends = REC_HAS(request, binding_create_request, expires_ms);
    struct om_uuid user, id;
    uint64_t granted;
    enum om_rc rc = read_granted(call, request->granted, &granted);
    if (rc)
        return rc;
    if (ends && request->expires_ms <= om_clock_wall_ms())
        return om_job_fail(call->job, OM_EINVAL, "expires_ms",
                           "expires_ms: must be in the future");
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin(self->db);
    if (!txn)
        return OM_EDB;
    if (om_typeid_decode(OM_ID_USER, request->user, &user) != OM_OK ||
        !member_exists(txn, &call->tenant_id, &user))
        return om_job_fail(call->job, OM_EINVAL, "user",
                           "user: no such user; GET /api/v1/admin/users lists them");
    rc = role_give(call, txn, &user, request->role,
                   ends ? request->expires_ms : INT64_MAX, granted, &id);
    if (!rc)
        rc = load(call, txn, &id, &user, answer);
    return rc ? rc : om_db_commit(&txn);
}

enum om_rc
on_binding_list(void *context, struct om_call *call, const void *message, void *answer)
{
    struct identity *self = context;
    const struct binding_list_request *request = message;
    struct om_span span;
    struct om_uuid user = { 0 };
    OM_AUTO(om_page_finish)
    struct om_page page = om_page(&binding_item_rec, request->limit);
    enum om_rc rc =
        om_page_span(&page, call->job, OM_ID_BINDING, OM_PAGE_ASK(request), &span);
    if (!rc && request->user.data)
        rc = read_id(call, OM_ID_USER, request->user, "user", &user);
    if (rc)
        return rc;
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin_read(self->db);
    if (!txn)
        return OM_EDB;
    OM_AUTO(om_rows_close)
    struct om_rows *rows = om_db_query(
        txn, OM_PAGE_QUERY(binding_list, span.up), DB_UUID(&call->tenant_id),
        DB_UUID(&span.low), DB_UUID(&span.high), DB_I64(page.limit + 1), value_id(&user));
    while (om_rows_next(rows)) {
        struct binding_item item = { 0 };
        read_binding(call, rows, &item);
        om_page_add(&page, item.id, &item);
    }
    struct binding_list_reply *reply = answer;
    OM_PAGE_REPLY(&page, call->job->arena, binding_list_reply, reply);
    return om_db_commit(&txn);
}

enum om_rc
on_binding_delete(void *context, struct om_call *call, const void *message, void *answer)
{
    struct identity *self = context;
    const struct binding_delete_request *request = message;
    struct binding_delete_reply *reply = answer;
    const struct om_uuid *tenant = &call->tenant_id;
    int64_t now_ms = om_clock_wall_ms();
    struct binding_item item = { 0 };
    struct om_uuid id, user;
    uint64_t granted;
    enum om_rc rc = read_granted(call, request->granted, &granted);
    if (!rc)
        rc = read_id(call, OM_ID_BINDING, request->id, "role binding", &id);
    if (rc)
        return rc;
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin(self->db);
    if (!txn)
        return OM_EDB;
    if ((rc = load(call, txn, &id, &user, &item)))
        return rc;
    uint64_t before = user_scopes(txn, tenant, &user, now_ms);
    om_db_exec(txn, &sql_binding_drop, DB_UUID(tenant), DB_UUID(&id));
    uint64_t after = user_scopes(txn, tenant, &user, now_ms);
    if ((rc = refuse_more(call, before | after, granted, "id",
                          "take a role from a user who has")))
        return rc;
    feed_tenant(txn, tenant);
    REC_SET(reply, binding_delete_reply, id, item.id);
    REC_SET(reply, binding_delete_reply, deleted, true);
    return om_db_commit(&txn);
}
