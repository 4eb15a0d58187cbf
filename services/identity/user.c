// Users: people, by their addresses, and what each tenant they are in says of them.
#include "user.h"
#include "clock.h"
#include "id.h"
#include "page.h"
#include "role.h"

#define USER_COLUMNS                                                                     \
    "p.id, p.email, m.name, m.state, m.team, m.requests, m.tokens, m.concurrent, "       \
    "m.created_ms FROM membership m JOIN person p ON p.id = m.person "

OM_SQL(person_find, "SELECT id FROM person WHERE email = $1");
OM_SQL(person_add, "INSERT INTO person (id, email, created_ms) VALUES ($1, $2, $3)");
OM_SQL(person_drop, "DELETE FROM person WHERE id = $1 AND NOT EXISTS "
                    "(SELECT 1 FROM membership WHERE person = $1)");
OM_SQL(member_find, "SELECT " USER_COLUMNS "WHERE m.tenant = $1 AND m.person = $2");
OM_PAGE_SQL(member_list,
            "SELECT " USER_COLUMNS
            "WHERE m.tenant = $1 AND m.person > $2 AND m.person < $3",
            "m.person", "$4");
OM_SQL(member_add,
       "INSERT INTO membership (tenant, person, name, state, team, requests, tokens, "
       "concurrent, created_ms) VALUES ($1, $2, $3, 'active', $4, $5, $6, $7, $8) "
       "ON CONFLICT (tenant, person) DO NOTHING");
OM_SQL(member_update,
       "UPDATE membership SET name = $3, state = $4, team = $5, requests = $6, "
       "tokens = $7, concurrent = $8 WHERE tenant = $1 AND person = $2");
OM_SQL(member_roles, "SELECT role FROM role_binding WHERE tenant = $1 AND person = $2 "
                     "AND coalesce(expires_ms, $3 + 1) > $3 ORDER BY role");
OM_SQL(member_unbind, "DELETE FROM role_binding WHERE tenant = $1 AND person = $2");
OM_SQL(member_end_keys, "UPDATE api_key SET revoked_ms = $3 "
                        "WHERE tenant = $1 AND person = $2 AND revoked_ms IS NULL");
OM_SQL(member_drop, "DELETE FROM membership WHERE tenant = $1 AND person = $2");

// ---- people

// The address in lower case: one @, a name before it, a domain with a dot behind it, and
// nothing that is no visible character. Whether anybody reads it only a mail can tell.
static bool
read_email(struct om_str text, char *out)
{
    const char *at = memchr(text.data, '@', text.size);
    size_t dots = 0;
    if (!at || at == text.data || at - text.data > 64)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        bool behind = text.data + i > at;
        if (c <= ' ' || c > '~' || (behind && c == '@') || strchr("\"(),:;<>[\\]", c))
            return false;
        bool edge =
            i + 1 == text.size || text.data[i + 1] == '.' || text.data + i == at + 1;
        if (behind && c == '.' && edge)
            return false;
        dots += behind && c == '.';
        out[i] = c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : c;
    }
    return dots > 0;
}

enum om_rc
person_find(struct om_call *call, struct om_txn *txn, struct om_str email,
            const char *param, struct om_uuid *out)
{
    char lower[254];
    if (email.size > sizeof(lower) || !read_email(email, lower))
        return om_job_fail(call->job, OM_EINVAL, param,
                           "%s: must be an address such as ada@example.com", param);
    struct om_str address = { lower, email.size };
    OM_AUTO(om_rows_close)
    struct om_rows *rows = om_db_query(txn, &sql_person_find, DB_STR(address));
    if (om_rows_next(rows)) {
        *out = om_row_uuid(rows, 0);
        return OM_OK;
    }
    *out = om_id_new(om_uuid_shard(&call->tenant_id));
    return om_db_exec(txn, &sql_person_add, DB_UUID(out), DB_STR(address),
                      DB_I64(om_clock_wall_ms()));
}

enum om_rc
member_add(struct om_txn *txn, const struct om_uuid *tenant, const struct om_uuid *user,
           struct om_str name, const struct om_uuid *team, const struct limits *limits,
           bool *again)
{
    enum om_rc rc =
        om_db_exec(txn, &sql_member_add, DB_UUID(tenant), DB_UUID(user), DB_STR(name),
                   value_id(team), DB_I64(limits->requests), DB_I64(limits->tokens),
                   DB_I64(limits->concurrent), DB_I64(om_clock_wall_ms()));
    *again = rc == OM_OK && om_db_changes(txn) == 0;
    return rc;
}

bool
member_exists(struct om_txn *txn, const struct om_uuid *tenant,
              const struct om_uuid *user)
{
    OM_AUTO(om_rows_close)
    struct om_rows *rows =
        om_db_query(txn, &sql_member_find, DB_UUID(tenant), DB_UUID(user));
    return om_rows_next(rows);
}

// ---- showing

static struct om_str
list_roles(struct om_call *call, struct om_txn *txn, const struct om_uuid *user)
{
    OM_AUTO(om_buf_finish) struct om_buf names = { 0 };
    OM_AUTO(om_buf_finish) struct om_buf list = { 0 };
    OM_AUTO(om_rows_close)
    struct om_rows *rows = om_db_query(txn, &sql_member_roles, DB_UUID(&call->tenant_id),
                                       DB_UUID(user), DB_I64(om_clock_wall_ms()));
    size_t count = 0;
    for (; count < USER_ROLES_MAX && om_rows_next(rows); count++)
        om_pack_str(&names, om_row_str(rows, 0));
    om_pack_array(&list, count);
    om_buf_put(&list, names.data, names.size);
    return om_call_copy(call, om_buf_str(&list));
}

// A row of USER_COLUMNS.
static void
read_user(struct om_call *call, struct om_txn *txn, struct om_rows *rows,
          struct user_item *out)
{
    struct om_uuid id = om_row_uuid(rows, 0);
    struct limits limits = limits_row(rows, 5);
    uint64_t scopes = user_scopes(txn, &call->tenant_id, &id, om_clock_wall_ms());
    REC_SET(out, user_item, id, om_call_id(call, OM_ID_USER, id));
    REC_SET(out, user_item, object, OM_LIT("user"));
    REC_SET(out, user_item, email, om_call_copy(call, om_row_str(rows, 1)));
    REC_SET(out, user_item, name, om_call_copy(call, om_row_str(rows, 2)));
    REC_SET(out, user_item, state, om_call_copy(call, om_row_str(rows, 3)));
    if (!om_row_is_null(rows, 4))
        REC_SET(out, user_item, team, om_call_id(call, OM_ID_TEAM, om_row_uuid(rows, 4)));
    REC_SET(out, user_item, roles, list_roles(call, txn, &id));
    REC_SET(out, user_item, scopes, scope_names(call, scopes));
    LIMITS_SHOW(out, user_item, limits);
    REC_SET(out, user_item, created_ms, om_row_i64(rows, 8));
}

static enum om_rc
load(struct om_call *call, struct om_txn *txn, const struct om_uuid *id,
     struct user_item *out)
{
    OM_AUTO(om_rows_close)
    struct om_rows *rows =
        om_db_query(txn, &sql_member_find, DB_UUID(&call->tenant_id), DB_UUID(id));
    if (!om_rows_next(rows))
        return om_db_rc(txn) ? om_db_rc(txn)
                             : om_job_fail(call->job, OM_ENOTFOUND, "id", "no such user");
    read_user(call, txn, rows, out);
    return OM_OK;
}

// ---- operations

static enum om_rc
read_team(struct om_call *call, struct om_txn *txn, struct om_str text,
          struct om_uuid *out)
{
    if (text.size == 0) {
        *out = (struct om_uuid){ 0 };
        return OM_OK;
    }
    if (om_typeid_decode(OM_ID_TEAM, text, out) == OM_OK &&
        team_exists(txn, &call->tenant_id, out))
        return OM_OK;
    return om_job_fail(call->job, OM_EINVAL, "team",
                       "team: no such team; GET /api/v1/admin/teams lists them");
}

static enum om_rc
give_roles(struct om_call *call, struct om_txn *txn, const struct om_uuid *user,
           struct om_str roles, uint64_t granted)
{
    struct om_uuid binding;
    struct rec_iter iter = rec_iter(roles);
    for (struct om_str role; rec_next_str(&iter, &role);) {
        enum om_rc rc = role_give(call, txn, user, role, INT64_MAX, granted, &binding);
        if (rc)
            return rc;
    }
    return OM_OK;
}

enum om_rc
on_user_create(void *context, struct om_call *call, const void *message, void *answer)
{
    struct identity *self = context;
    const struct user_create_request *request = message;
    struct om_uuid user, team = { 0 };
    struct limits limits = { 0 };
    struct om_str name = request->name.data ? request->name : OM_LIT("");
    uint64_t granted;
    bool again;
    enum om_rc rc = read_granted(call, request->granted, &granted);
    if (rc)
        return rc;
    LIMITS_READ(request, user_create_request, &limits);
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin(self->db);
    if (!txn)
        return OM_EDB;
    if ((rc = read_team(call, txn, request->team, &team)) ||
        (rc = person_find(call, txn, request->email, "email", &user)) ||
        (rc = member_add(txn, &call->tenant_id, &user, name, &team, &limits, &again)))
        return rc;
    if (again)
        return om_job_fail(call->job, OM_ECONFLICT, "email",
                           "email: %s has this address already",
                           om_call_id(call, OM_ID_USER, user).data);
    if ((rc = give_roles(call, txn, &user, request->roles, granted)) ||
        (rc = load(call, txn, &user, answer)))
        return rc;
    return om_db_commit(&txn);
}

enum om_rc
on_user_list(void *context, struct om_call *call, const void *message, void *answer)
{
    struct identity *self = context;
    const struct user_list_request *request = message;
    struct om_span span;
    OM_AUTO(om_page_finish) struct om_page page = om_page(&user_item_rec, request->limit);
    enum om_rc rc =
        om_page_span(&page, call->job, OM_ID_USER, OM_PAGE_ASK(request), &span);
    if (rc)
        return rc;
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin_read(self->db);
    if (!txn)
        return OM_EDB;
    OM_AUTO(om_rows_close)
    struct om_rows *rows =
        om_db_query(txn, OM_PAGE_QUERY(member_list, span.up), DB_UUID(&call->tenant_id),
                    DB_UUID(&span.low), DB_UUID(&span.high), DB_I64(page.limit + 1));
    while (om_rows_next(rows)) {
        struct user_item item = { 0 };
        read_user(call, txn, rows, &item);
        om_page_add(&page, item.id, &item);
    }
    struct user_list_reply *reply = answer;
    OM_PAGE_REPLY(&page, call->job->arena, user_list_reply, reply);
    return om_db_commit(&txn);
}

enum om_rc
on_user_get(void *context, struct om_call *call, const void *message, void *answer)
{
    struct identity *self = context;
    const struct user_get_request *request = message;
    struct om_uuid id;
    enum om_rc rc = read_id(call, OM_ID_USER, request->id, "user", &id);
    if (rc)
        return rc;
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin_read(self->db);
    if (!txn)
        return OM_EDB;
    rc = load(call, txn, &id, answer);
    return rc ? rc : om_db_commit(&txn);
}

// Find the user, whom the caller may change: one that may do no more than its key.
static enum om_rc
find_lesser(struct om_call *call, struct om_txn *txn, struct om_str id,
            struct om_str granted_names, struct om_uuid *user, struct user_item *item)
{
    uint64_t granted;
    enum om_rc rc = read_granted(call, granted_names, &granted);
    if (!rc)
        rc = read_id(call, OM_ID_USER, id, "user", user);
    if (!rc)
        rc = load(call, txn, user, item);
    if (rc)
        return rc;
    uint64_t scopes = user_scopes(txn, &call->tenant_id, user, om_clock_wall_ms());
    return refuse_more(call, scopes, granted, "id", "change a user who has");
}

enum om_rc
on_user_update(void *context, struct om_call *call, const void *message, void *answer)
{
    struct identity *self = context;
    const struct user_update_request *request = message;
    struct om_str state = request->state;
    struct user_item old = { 0 };
    struct om_uuid user, team;
    if (state.data && !om_str_eq(state, OM_LIT("active")) &&
        !om_str_eq(state, OM_LIT("suspended")))
        return om_job_fail(call->job, OM_EINVAL, "state",
                           "state: must be active or suspended");
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin(self->db);
    if (!txn)
        return OM_EDB;
    enum om_rc rc = find_lesser(call, txn, request->id, request->granted, &user, &old);
    if (!rc)
        rc = read_team(call, txn, request->team.data ? request->team : old.team, &team);
    if (rc)
        return rc;
    struct limits limits = { old.requests, old.tokens, old.concurrent };
    LIMITS_READ(request, user_update_request, &limits);
    struct om_str name = request->name.data ? request->name : old.name;
    om_db_exec(txn, &sql_member_update, DB_UUID(&call->tenant_id), DB_UUID(&user),
               DB_STR(name), DB_STR(state.data ? state : old.state), value_id(&team),
               DB_I64(limits.requests), DB_I64(limits.tokens), DB_I64(limits.concurrent));
    feed_tenant(txn, &call->tenant_id);
    rc = load(call, txn, &user, answer);
    return rc ? rc : om_db_commit(&txn);
}

// The keys that act for it end with it. Who is in no tenant any more is forgotten.
enum om_rc
on_user_delete(void *context, struct om_call *call, const void *message, void *answer)
{
    struct identity *self = context;
    const struct user_delete_request *request = message;
    struct user_delete_reply *reply = answer;
    struct user_item item = { 0 };
    struct om_uuid user, *tenant = &call->tenant_id;
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin(self->db);
    if (!txn)
        return OM_EDB;
    enum om_rc rc = find_lesser(call, txn, request->id, request->granted, &user, &item);
    if (rc)
        return rc;
    om_db_exec(txn, &sql_member_end_keys, DB_UUID(tenant), DB_UUID(&user),
               DB_I64(om_clock_wall_ms()));
    om_db_exec(txn, &sql_member_unbind, DB_UUID(tenant), DB_UUID(&user));
    om_db_exec(txn, &sql_member_drop, DB_UUID(tenant), DB_UUID(&user));
    om_db_exec(txn, &sql_person_drop, DB_UUID(&user));
    feed_tenant(txn, tenant);
    REC_SET(reply, user_delete_reply, id, item.id);
    REC_SET(reply, user_delete_reply, deleted, true);
    return om_db_commit(&txn);
}
