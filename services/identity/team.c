// Teams: users and keys that share limits.
#include "clock.h"
#include "id.h"
#include "page.h"
#include "user.h"

#define TEAM_COLUMNS "id, name, requests, tokens, concurrent, created_ms FROM team "

OM_SQL(team_find, "SELECT " TEAM_COLUMNS "WHERE tenant = $1 AND id = $2");
OM_PAGE_SQL(team_list, "SELECT " TEAM_COLUMNS "WHERE tenant = $1 AND id > $2 AND id < $3",
            "id", "$4");
OM_SQL(team_named, "SELECT 1 FROM team WHERE tenant = $1 AND name = $2 AND id <> $3");
OM_SQL(team_add, "INSERT INTO team (id, tenant, name, requests, tokens, concurrent, "
                 "created_ms) VALUES ($1, $2, $3, $4, $5, $6, $7)");
OM_SQL(team_update, "UPDATE team SET name = $3, requests = $4, tokens = $5, "
                    "concurrent = $6 WHERE tenant = $1 AND id = $2");
OM_SQL(team_drop, "DELETE FROM team WHERE tenant = $1 AND id = $2");
OM_SQL(team_used,
       "SELECT (SELECT count(*) FROM membership WHERE tenant = $1 AND team = $2) + "
       "(SELECT count(*) FROM api_key WHERE tenant = $1 AND team = $2 "
       "AND revoked_ms IS NULL AND coalesce(expires_ms, $3 + 1) > $3)");

// A row of TEAM_COLUMNS.
static void
read_team(struct om_call *call, struct om_rows *rows, struct team_item *out)
{
    struct limits limits = limits_row(rows, 2);
    REC_SET(out, team_item, id, om_call_id(call, OM_ID_TEAM, om_row_uuid(rows, 0)));
    REC_SET(out, team_item, object, OM_LIT("team"));
    REC_SET(out, team_item, name, om_call_copy(call, om_row_str(rows, 1)));
    LIMITS_SHOW(out, team_item, limits);
    REC_SET(out, team_item, created_ms, om_row_i64(rows, 5));
}

static enum om_rc
load(struct om_call *call, struct om_txn *txn, const struct om_uuid *id,
     struct team_item *out)
{
    OM_AUTO(om_rows_close)
    struct om_rows *rows =
        om_db_query(txn, &sql_team_find, DB_UUID(&call->tenant_id), DB_UUID(id));
    if (!om_rows_next(rows))
        return om_db_rc(txn) ? om_db_rc(txn)
                             : om_job_fail(call->job, OM_ENOTFOUND, "id", "no such team");
    read_team(call, rows, out);
    return OM_OK;
}

bool
team_exists(struct om_txn *txn, const struct om_uuid *tenant, const struct om_uuid *team)
{
    OM_AUTO(om_rows_close)
    struct om_rows *rows =
        om_db_query(txn, &sql_team_find, DB_UUID(tenant), DB_UUID(team));
    return om_rows_next(rows);
}

static enum om_rc
check_name(struct om_call *call, struct om_txn *txn, struct om_str name,
           const struct om_uuid *own)
{
    OM_AUTO(om_rows_close)
    struct om_rows *rows = om_db_query(txn, &sql_team_named, DB_UUID(&call->tenant_id),
                                       DB_STR(name), DB_UUID(own));
    if (!om_rows_next(rows))
        return om_db_rc(txn);
    return om_job_fail(call->job, OM_ECONFLICT, "name",
                       "name: there is a team \"%.*s\" already", (int)name.size,
                       name.data);
}

enum om_rc
on_team_create(void *context, struct om_call *call, const void *message, void *answer)
{
    struct identity *self = context;
    const struct team_create_request *request = message;
    struct om_uuid id = om_id_new(om_uuid_shard(&call->tenant_id));
    struct limits limits = { 0 };
    LIMITS_READ(request, team_create_request, &limits);
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin(self->db);
    if (!txn)
        return OM_EDB;
    enum om_rc rc = check_name(call, txn, request->name, &id);
    if (rc)
        return rc;
    om_db_exec(txn, &sql_team_add, DB_UUID(&id), DB_UUID(&call->tenant_id),
               DB_STR(request->name), DB_I64(limits.requests), DB_I64(limits.tokens),
               DB_I64(limits.concurrent), DB_I64(om_clock_wall_ms()));
    rc = load(call, txn, &id, answer);
    return rc ? rc : om_db_commit(&txn);
}

enum om_rc
on_team_list(void *context, struct om_call *call, const void *message, void *answer)
{
    struct identity *self = context;
    const struct team_list_request *request = message;
    struct om_span span;
    OM_AUTO(om_page_finish) struct om_page page = om_page(&team_item_rec, request->limit);
    enum om_rc rc =
        om_page_span(&page, call->job, OM_ID_TEAM, OM_PAGE_ASK(request), &span);
    if (rc)
        return rc;
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin_read(self->db);
    if (!txn)
        return OM_EDB;
    OM_AUTO(om_rows_close)
    struct om_rows *rows =
        om_db_query(txn, OM_PAGE_QUERY(team_list, span.up), DB_UUID(&call->tenant_id),
                    DB_UUID(&span.low), DB_UUID(&span.high), DB_I64(page.limit + 1));
    while (om_rows_next(rows)) {
        struct team_item item = { 0 };
        read_team(call, rows, &item);
        om_page_add(&page, item.id, &item);
    }
    struct team_list_reply *reply = answer;
    OM_PAGE_REPLY(&page, call->job->arena, team_list_reply, reply);
    return om_db_commit(&txn);
}

enum om_rc
on_team_get(void *context, struct om_call *call, const void *message, void *answer)
{
    struct identity *self = context;
    const struct team_get_request *request = message;
    struct om_uuid id;
    enum om_rc rc = read_id(call, OM_ID_TEAM, request->id, "team", &id);
    if (rc)
        return rc;
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin_read(self->db);
    if (!txn)
        return OM_EDB;
    rc = load(call, txn, &id, answer);
    return rc ? rc : om_db_commit(&txn);
}

enum om_rc
on_team_update(void *context, struct om_call *call, const void *message, void *answer)
{
    struct identity *self = context;
    const struct team_update_request *request = message;
    struct team_item old = { 0 };
    struct om_uuid id;
    enum om_rc rc = read_id(call, OM_ID_TEAM, request->id, "team", &id);
    if (rc)
        return rc;
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin(self->db);
    if (!txn)
        return OM_EDB;
    rc = load(call, txn, &id, &old);
    struct om_str name = request->name.data ? request->name : old.name;
    if (!rc)
        rc = check_name(call, txn, name, &id);
    if (rc)
        return rc;
    struct limits limits = { old.requests, old.tokens, old.concurrent };
    LIMITS_READ(request, team_update_request, &limits);
    om_db_exec(txn, &sql_team_update, DB_UUID(&call->tenant_id), DB_UUID(&id),
               DB_STR(name), DB_I64(limits.requests), DB_I64(limits.tokens),
               DB_I64(limits.concurrent));
    feed_tenant(txn, &call->tenant_id);
    rc = load(call, txn, &id, answer);
    return rc ? rc : om_db_commit(&txn);
}

enum om_rc
on_team_delete(void *context, struct om_call *call, const void *message, void *answer)
{
    struct identity *self = context;
    const struct team_delete_request *request = message;
    struct team_delete_reply *reply = answer;
    struct team_item item = { 0 };
    struct om_uuid id;
    enum om_rc rc = read_id(call, OM_ID_TEAM, request->id, "team", &id);
    if (rc)
        return rc;
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin(self->db);
    if (!txn)
        return OM_EDB;
    if ((rc = load(call, txn, &id, &item)))
        return rc;
    OM_AUTO(om_rows_close)
    struct om_rows *rows = om_db_query(txn, &sql_team_used, DB_UUID(&call->tenant_id),
                                       DB_UUID(&id), DB_I64(om_clock_wall_ms()));
    if (om_rows_next(rows) && om_row_i64(rows, 0) > 0)
        return om_job_fail(call->job, OM_ECONFLICT, "id",
                           "%lld users and keys are in this team: take them out first",
                           (long long)om_row_i64(rows, 0));
    om_db_exec(txn, &sql_team_drop, DB_UUID(&call->tenant_id), DB_UUID(&id));
    REC_SET(reply, team_delete_reply, id, item.id);
    REC_SET(reply, team_delete_reply, deleted, true);
    return om_db_commit(&txn);
}
