// Roles: those that are there in every tenant (permit.c), and a tenant's own.
#include "role.h"
#include "clock.h"
#include "id.h"
#include "inner.h"
#include "page.h"
#include "permit.h"

enum { NAME_MAX_BYTES = 32, ROLES_MAX = 100 };

OM_SQL(role_find, "SELECT description FROM role WHERE tenant = $1 AND name = $2");
OM_SQL(role_list, "SELECT name, description FROM role WHERE tenant = $1 ORDER BY name");
OM_SQL(role_count, "SELECT count(*) FROM role WHERE tenant = $1");
OM_SQL(role_add, "INSERT INTO role (tenant, name, description) VALUES ($1, $2, $3) "
                 "ON CONFLICT (tenant, name) DO NOTHING");
OM_SQL(role_describe, "UPDATE role SET description = $3 "
                      "WHERE tenant = $1 AND name = $2");
OM_SQL(role_drop, "DELETE FROM role WHERE tenant = $1 AND name = $2");
OM_SQL(permission_list, "SELECT permission, deny FROM role_permission "
                        "WHERE tenant = $1 AND role = $2 ORDER BY place");
OM_SQL(permission_add,
       "INSERT INTO role_permission (tenant, role, place, permission, deny) "
       "VALUES ($1, $2, $3, $4, $5)");
OM_SQL(permission_clear, "DELETE FROM role_permission WHERE tenant = $1 AND role = $2");
OM_SQL(role_holders, "SELECT count(*) FROM role_binding WHERE tenant = $1 AND role = $2");

// ---- what a role amounts to

void
role_add(struct om_txn *txn, const struct om_uuid *tenant, struct om_str name,
         int64_t expires_ms, int64_t now_ms, struct permit *permit)
{
    const struct permit_seed *seed = permit_seed_find(name);
    if (seed) {
        permit_add_seed(permit, seed, expires_ms, now_ms);
        return;
    }
    OM_AUTO(om_rows_close)
    struct om_rows *rows =
        om_db_query(txn, &sql_permission_list, DB_UUID(tenant), DB_STR(name));
    while (om_rows_next(rows))
        permit_add(permit, om_row_str(rows, 0), om_row_i64(rows, 1) != 0, expires_ms,
                   now_ms);
}

bool
role_exists(struct om_txn *txn, const struct om_uuid *tenant, struct om_str name)
{
    if (permit_seed_find(name))
        return true;
    OM_AUTO(om_rows_close)
    struct om_rows *rows =
        om_db_query(txn, &sql_role_find, DB_UUID(tenant), DB_STR(name));
    return om_rows_next(rows);
}

static struct permit
permit_of(struct om_txn *txn, const struct om_uuid *tenant, struct om_str name)
{
    struct permit permit = { 0 };
    role_add(txn, tenant, name, INT64_MAX, 0, &permit);
    return permit;
}

// ---- showing

static void
put_permission(struct om_buf *items, struct om_str permission, bool deny)
{
    struct permission_item item = { 0 };
    REC_SET(&item, permission_item, permission, permission);
    REC_SET(&item, permission_item, effect, deny ? OM_LIT("deny") : OM_LIT("allow"));
    rec_encode(&permission_item_rec, &item, items);
}

static void
show(struct om_call *call, struct om_txn *txn, struct om_str name,
     struct om_str description, struct role_item *out)
{
    OM_AUTO(om_buf_finish) struct om_buf items = { 0 };
    OM_AUTO(om_buf_finish) struct om_buf list = { 0 };
    const struct permit_seed *seed = permit_seed_find(name);
    struct permit permit = permit_of(txn, &call->tenant_id, name);
    size_t count = 0;
    for (; seed && seed->permissions[count].permission; count++)
        put_permission(&items, om_str(seed->permissions[count].permission),
                       seed->permissions[count].deny);
    if (!seed) {
        OM_AUTO(om_rows_close)
        struct om_rows *rows = om_db_query(txn, &sql_permission_list,
                                           DB_UUID(&call->tenant_id), DB_STR(name));
        for (; om_rows_next(rows); count++)
            put_permission(&items, om_row_str(rows, 0), om_row_i64(rows, 1) != 0);
    }
    om_pack_array(&list, count);
    om_buf_put(&list, items.data, items.size);
    REC_SET(out, role_item, id, om_call_copy(call, name));
    REC_SET(out, role_item, object, OM_LIT("role"));
    REC_SET(out, role_item, seeded, seed != NULL);
    REC_SET(out, role_item, description, om_call_copy(call, description));
    REC_SET(out, role_item, permissions, om_call_copy(call, om_buf_str(&list)));
    REC_SET(out, role_item, scopes, scope_names(call, permit_mask(&permit)));
}

static enum om_rc
load(struct om_call *call, struct om_txn *txn, struct om_str name, struct role_item *out)
{
    const struct permit_seed *seed = permit_seed_find(name);
    if (seed) {
        show(call, txn, name, om_str(seed->description), out);
        return OM_OK;
    }
    OM_AUTO(om_rows_close)
    struct om_rows *rows =
        om_db_query(txn, &sql_role_find, DB_UUID(&call->tenant_id), DB_STR(name));
    if (!om_rows_next(rows))
        return om_db_rc(txn) ? om_db_rc(txn)
                             : om_job_fail(call->job, OM_ENOTFOUND, "id", "no such role");
    show(call, txn, name, om_row_str(rows, 0), out);
    return OM_OK;
}

// ---- operations

// Store the permissions of a role that has none. What they amount to is in *permit.
static enum om_rc
store(struct om_call *call, struct om_txn *txn, struct om_str name,
      struct om_str permissions, struct permit *permit)
{
    struct rec_iter iter = rec_iter(permissions);
    struct permission_item item;
    struct om_str bytes;
    for (int64_t place = 0; rec_next_rec(&iter, &permission_item_rec, &item, &bytes);
         place++) {
        bool deny = om_str_eq(item.effect, OM_LIT("deny"));
        if (REC_HAS(&item, permission_item, effect) && !deny &&
            !om_str_eq(item.effect, OM_LIT("allow")))
            return om_job_fail(call->job, OM_EINVAL, "permissions",
                               "permissions: an effect is allow or deny");
        if (!permit_valid(item.permission))
            return om_job_fail(call->job, OM_EINVAL, "permissions",
                               "permissions: \"%.*s\" fits no scope; write a scope, or "
                               "files:*, *:read or * for several",
                               (int)item.permission.size, item.permission.data);
        permit_add(permit, item.permission, deny, INT64_MAX, 0);
        om_db_exec(txn, &sql_permission_add, DB_UUID(&call->tenant_id), DB_STR(name),
                   DB_I64(place), DB_STR(item.permission), DB_I64(deny));
    }
    if (iter.left > 0)
        return om_job_fail(call->job, OM_EINVAL, "permissions",
                           "permissions: not a list of permissions");
    return om_db_rc(txn);
}

static enum om_rc
check_name(struct om_call *call, struct om_txn *txn, struct om_str name)
{
    if (!slug_valid(name, NAME_MAX_BYTES))
        return om_job_fail(call->job, OM_EINVAL, "name",
                           "name: must be a letter, then letters, digits and dashes, all "
                           "lower case");
    if (role_exists(txn, &call->tenant_id, name))
        return om_job_fail(call->job, OM_ECONFLICT, "name",
                           "name: there is a role \"%.*s\" already", (int)name.size,
                           name.data);
    OM_AUTO(om_rows_close)
    struct om_rows *rows = om_db_query(txn, &sql_role_count, DB_UUID(&call->tenant_id));
    if (om_rows_next(rows) && om_row_i64(rows, 0) >= ROLES_MAX)
        return om_job_fail(call->job, OM_ECONFLICT, NULL,
                           "a tenant has at most %d roles of its own; delete one",
                           ROLES_MAX);
    return om_db_rc(txn);
}

enum om_rc
on_role_create(void *context, struct om_call *call, const void *message, void *answer)
{
    struct identity *self = context;
    const struct role_create_request *request = message;
    struct om_str text = request->description.data ? request->description : OM_LIT("");
    struct permit permit = { 0 };
    uint64_t granted;
    enum om_rc rc = read_granted(call, request->granted, &granted);
    if (rc)
        return rc;
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin(self->db);
    if (!txn)
        return OM_EDB;
    if ((rc = check_name(call, txn, request->name)))
        return rc;
    om_db_exec(txn, &sql_role_add, DB_UUID(&call->tenant_id), DB_STR(request->name),
               DB_STR(text));
    if ((rc = store(call, txn, request->name, request->permissions, &permit)) ||
        (rc = refuse_more(call, permit_mask(&permit), granted, "permissions",
                          "make a role with")) ||
        (rc = load(call, txn, request->name, answer)))
        return rc;
    return om_db_commit(&txn);
}

enum om_rc
on_role_list(void *context, struct om_call *call, const void *message, void *answer)
{
    struct identity *self = context;
    enum { ALL = 1000 };
    (void)message;
    OM_AUTO(om_page_finish) struct om_page page = om_page(&role_item_rec, ALL);
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin_read(self->db);
    if (!txn)
        return OM_EDB;
    for (size_t i = 0; i < permit_seed_count; i++) {
        struct role_item item = { 0 };
        show(call, txn, om_str(permit_seeds[i].name), om_str(permit_seeds[i].description),
             &item);
        om_page_add(&page, item.id, &item);
    }
    OM_AUTO(om_rows_close)
    struct om_rows *rows = om_db_query(txn, &sql_role_list, DB_UUID(&call->tenant_id));
    while (om_rows_next(rows)) {
        struct role_item item = { 0 };
        show(call, txn, om_row_str(rows, 0), om_row_str(rows, 1), &item);
        om_page_add(&page, item.id, &item);
    }
    struct role_list_reply *reply = answer;
    OM_PAGE_REPLY(&page, call->job->arena, role_list_reply, reply);
    return om_db_commit(&txn);
}

enum om_rc
on_role_get(void *context, struct om_call *call, const void *message, void *answer)
{
    struct identity *self = context;
    const struct role_get_request *request = message;
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin_read(self->db);
    if (!txn)
        return OM_EDB;
    enum om_rc rc = load(call, txn, request->id, answer);
    return rc ? rc : om_db_commit(&txn);
}

// Is it a role of the tenant's own?
static enum om_rc
check_own(struct om_call *call, struct om_txn *txn, struct om_str name)
{
    if (permit_seed_find(name))
        return om_job_fail(call->job, OM_ECONFLICT, "id",
                           "this role is the same in every tenant; make one of your own");
    if (!role_exists(txn, &call->tenant_id, name))
        return om_job_fail(call->job, OM_ENOTFOUND, "id", "no such role");
    return om_db_rc(txn);
}

enum om_rc
on_role_update(void *context, struct om_call *call, const void *message, void *answer)
{
    struct identity *self = context;
    const struct role_update_request *request = message;
    const struct om_uuid *tenant = &call->tenant_id;
    struct permit permit = { 0 };
    uint64_t granted;
    enum om_rc rc = read_granted(call, request->granted, &granted);
    if (rc)
        return rc;
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin(self->db);
    if (!txn)
        return OM_EDB;
    if ((rc = check_own(call, txn, request->id)))
        return rc;
    struct permit old = permit_of(txn, tenant, request->id);
    om_db_exec(txn, &sql_permission_clear, DB_UUID(tenant), DB_STR(request->id));
    if (request->description.data)
        om_db_exec(txn, &sql_role_describe, DB_UUID(tenant), DB_STR(request->id),
                   DB_STR(request->description));
    if ((rc = store(call, txn, request->id, request->permissions, &permit)))
        return rc;
    // What it denies no more, its users may have by other roles.
    uint64_t freed = old.denied & ~permit.denied;
    uint64_t touched = permit_mask(&old) | permit_mask(&permit) | freed;
    if ((rc = refuse_more(call, touched, granted, "permissions", "change a role with")))
        return rc;
    feed_tenant(txn, tenant);
    rc = load(call, txn, request->id, answer);
    return rc ? rc : om_db_commit(&txn);
}

enum om_rc
on_role_delete(void *context, struct om_call *call, const void *message, void *answer)
{
    struct identity *self = context;
    const struct role_delete_request *request = message;
    struct role_delete_reply *reply = answer;
    const struct om_uuid *tenant = &call->tenant_id;
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin(self->db);
    if (!txn)
        return OM_EDB;
    enum om_rc rc = check_own(call, txn, request->id);
    if (rc)
        return rc;
    OM_AUTO(om_rows_close)
    struct om_rows *rows =
        om_db_query(txn, &sql_role_holders, DB_UUID(tenant), DB_STR(request->id));
    if (om_rows_next(rows) && om_row_i64(rows, 0) > 0)
        return om_job_fail(call->job, OM_ECONFLICT, "id",
                           "%lld users have this role: take it from them first",
                           (long long)om_row_i64(rows, 0));
    om_db_exec(txn, &sql_permission_clear, DB_UUID(tenant), DB_STR(request->id));
    om_db_exec(txn, &sql_role_drop, DB_UUID(tenant), DB_STR(request->id));
    REC_SET(reply, role_delete_reply, id, request->id);
    REC_SET(reply, role_delete_reply, deleted, true);
    return om_db_commit(&txn);
}
