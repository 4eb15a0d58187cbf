// Tenants: a tenant's own view of itself, and what operators do with all of them.
#include "clock.h"
#include "id.h"
#include "key.h"
#include "page.h"
#include "role.h"
#include "user.h"

enum { SLUG_MAX = 48 };

#define SANDBOX_TAIL "-sandbox" // of the slug of a sandbox

#define TENANT_COLUMNS                                                                   \
    "t.id, coalesce(p.name, t.name), t.slug, coalesce(p.plan, t.plan), "                 \
    "coalesce(p.state, t.state), t.region, t.sensitivity, t.prepaid, "                   \
    "t.parent, t.clock_ms, t.version, t.created_ms, t.updated_ms, s.id "                 \
    "FROM tenant t LEFT JOIN tenant s ON s.parent = t.id "                               \
    "LEFT JOIN tenant p ON p.id = t.parent "

OM_SQL(tenant_add,
       "INSERT INTO tenant (id, name, slug, plan, region, sensitivity, prepaid, "
       "created_ms, updated_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8) "
       "ON CONFLICT (slug) DO NOTHING");
OM_SQL(tenant_find, "SELECT " TENANT_COLUMNS "WHERE t.id = $1");
OM_PAGE_SQL(tenant_list,
            "SELECT " TENANT_COLUMNS "WHERE t.parent IS NULL AND t.id > $1 AND t.id < $2",
            "t.id", "$3");
OM_SQL(tenant_head, "SELECT version, state, parent FROM tenant WHERE id = $1");
OM_SQL(tenant_raise,
       "UPDATE tenant SET version = version + 1, updated_ms = $2 WHERE id = $1");
OM_SQL(tenant_name, "UPDATE tenant SET name = $2 WHERE id = $1");
OM_SQL(tenant_plan, "UPDATE tenant SET plan = $2 WHERE id = $1");
OM_SQL(tenant_state, "UPDATE tenant SET state = $2 WHERE id = $1");
OM_SQL(tenant_region, "UPDATE tenant SET region = $2 WHERE id = $1");
OM_SQL(tenant_sensitivity, "UPDATE tenant SET sensitivity = $2 WHERE id = $1");
OM_SQL(tenant_prepaid, "UPDATE tenant SET prepaid = $2 WHERE id = $1");
OM_SQL(tenant_clock, "UPDATE tenant SET clock_ms = $2 WHERE id = $1");
OM_SQL(sandbox_add,
       "INSERT INTO tenant (id, name, slug, plan, parent, created_ms, updated_ms) "
       "SELECT $1, name, slug || '" SANDBOX_TAIL "', 'free', id, $3, $3 FROM tenant "
       "WHERE id = $2 ON CONFLICT (parent) DO NOTHING");

// ---- checks

static bool
is_one_of(struct om_str text, const char *const *names)
{
    for (; *names; names++)
        if (om_str_eq(text, om_str(*names)))
            return true;
    return false;
}

// The values that create and update have in common; absent ones are right.
static enum om_rc
check_values(struct om_call *call, struct om_str plan, struct om_str region,
             struct om_str sensitivity)
{
    static const char *const sensitivities[] = { "normal", "high", "ultra_high", NULL };
    if (plan.data && !slug_valid(plan, 32))
        return om_job_fail(call->job, OM_EINVAL, "plan",
                           "plan: must be a plan's code; GET /api/v1/plans lists them");
    if (region.data && !slug_valid(region, 32))
        return om_job_fail(call->job, OM_EINVAL, "region",
                           "region: must be a letter, then letters, digits and dashes, "
                           "all lower case");
    if (sensitivity.data && !is_one_of(sensitivity, sensitivities))
        return om_job_fail(call->job, OM_EINVAL, "sensitivity",
                           "sensitivity: must be normal, high or ultra_high");
    return OM_OK;
}

static enum om_rc
check_slug(struct om_call *call, struct om_str slug)
{
    size_t tail = sizeof(SANDBOX_TAIL) - 1;
    if (!slug_valid(slug, SLUG_MAX))
        return om_job_fail(call->job, OM_EINVAL, "slug",
                           "slug: must be a letter, then letters, digits and dashes, all "
                           "lower case");
    if (slug.size >= tail &&
        memcmp(slug.data + slug.size - tail, SANDBOX_TAIL, tail) == 0)
        return om_job_fail(call->job, OM_EINVAL, "slug",
                           "slug: what ends in " SANDBOX_TAIL " is a sandbox");
    return OM_OK;
}

// ---- showing

// A row of TENANT_COLUMNS.
static void
read_tenant(struct om_call *call, struct om_rows *rows, struct tenant_item *out)
{
    bool sandbox = !om_row_is_null(rows, 8);
    REC_SET(out, tenant_item, id, om_call_id(call, OM_ID_TENANT, om_row_uuid(rows, 0)));
    REC_SET(out, tenant_item, object, OM_LIT("tenant"));
    REC_SET(out, tenant_item, name, om_call_copy(call, om_row_str(rows, 1)));
    REC_SET(out, tenant_item, slug, om_call_copy(call, om_row_str(rows, 2)));
    REC_SET(out, tenant_item, plan, om_call_copy(call, om_row_str(rows, 3)));
    REC_SET(out, tenant_item, state, om_call_copy(call, om_row_str(rows, 4)));
    if (!om_row_is_null(rows, 5))
        REC_SET(out, tenant_item, region, om_call_copy(call, om_row_str(rows, 5)));
    REC_SET(out, tenant_item, sensitivity, om_call_copy(call, om_row_str(rows, 6)));
    REC_SET(out, tenant_item, prepaid, om_row_i64(rows, 7) != 0);
    if (sandbox) {
        REC_SET(out, tenant_item, parent,
                om_call_id(call, OM_ID_TENANT, om_row_uuid(rows, 8)));
        REC_SET(out, tenant_item, clock_ms, om_row_i64(rows, 9));
    }
    REC_SET(out, tenant_item, version, om_row_i64(rows, 10));
    REC_SET(out, tenant_item, created_ms, om_row_i64(rows, 11));
    REC_SET(out, tenant_item, updated_ms, om_row_i64(rows, 12));
    if (!om_row_is_null(rows, 13))
        REC_SET(out, tenant_item, sandbox,
                om_call_id(call, OM_ID_TENANT, om_row_uuid(rows, 13)));
}

static enum om_rc
refuse_absent(struct om_call *call, struct om_txn *txn)
{
    return om_db_rc(txn) ? om_db_rc(txn)
                         : om_job_fail(call->job, OM_ENOTFOUND, "id", "no such tenant");
}

static enum om_rc
tenant_reply(struct om_call *call, struct om_txn *txn, const struct om_uuid *id,
             struct tenant_item *out)
{
    OM_AUTO(om_rows_close)
    struct om_rows *rows = om_db_query(txn, &sql_tenant_find, DB_UUID(id));
    if (!om_rows_next(rows))
        return refuse_absent(call, txn);
    read_tenant(call, rows, out);
    return OM_OK;
}

// ---- what the other files ask

struct om_uuid
tenant_owner(struct om_txn *txn, const struct om_uuid *tenant)
{
    OM_AUTO(om_rows_close)
    struct om_rows *rows = om_db_query(txn, &sql_tenant_head, DB_UUID(tenant));
    if (om_rows_next(rows) && !om_row_is_null(rows, 2))
        return om_row_uuid(rows, 2);
    return *tenant;
}

enum om_rc
tenant_sandbox(struct om_txn *txn, const struct om_uuid *tenant, int64_t now_ms)
{
    struct om_uuid id = om_id_new(om_uuid_shard(tenant));
    return om_db_exec(txn, &sql_sandbox_add, DB_UUID(&id), DB_UUID(tenant),
                      DB_I64(now_ms));
}

enum om_rc
tenant_touch(struct om_call *call, struct om_txn *txn, const struct om_uuid *tenant,
             int64_t if_version, int64_t *version)
{
    OM_AUTO(om_rows_close)
    struct om_rows *rows = om_db_query(txn, &sql_tenant_head, DB_UUID(tenant));
    if (!om_rows_next(rows))
        return refuse_absent(call, txn);
    *version = om_row_i64(rows, 0);
    if (if_version >= 0 && *version != if_version)
        return om_job_fail(call->job, OM_EMATCH, NULL,
                           "the tenant was changed since you read it: it has version "
                           "%lld now; read it again",
                           (long long)*version);
    if (om_str_eq(om_row_str(rows, 1), OM_LIT("closed")))
        return om_job_fail(call->job, OM_ECONFLICT, "id",
                           "the tenant is closed, for ever");
    ++*version;
    om_db_exec(txn, &sql_tenant_raise, DB_UUID(tenant), DB_I64(om_clock_wall_ms()));
    return feed_tenant(txn, tenant);
}

// ---- a tenant's own view

enum om_rc
on_tenant_show(void *context, struct om_call *call, const void *message, void *answer)
{
    struct identity *self = context;
    struct tenant_show_reply *reply = answer;
    (void)message;
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin_read(self->db);
    if (!txn)
        return OM_EDB;
    enum om_rc rc = tenant_reply(call, txn, &call->tenant_id, answer);
    if (rc)
        return rc;
    struct om_uuid owner = tenant_owner(txn, &call->tenant_id);
    REC_SET(reply, tenant_item, config, config_load(call, txn, &owner));
    return om_db_commit(&txn);
}

// A sandbox has its tenant's name and settings, and a clock of its own.
static enum om_rc
check_patch(struct om_call *call, const struct tenant_patch_request *request,
            bool sandbox)
{
    bool clock = REC_HAS(request, tenant_patch_request, clock_ms);
    bool other = REC_HAS(request, tenant_patch_request, name) ||
                 REC_HAS(request, tenant_patch_request, config);
    if (!clock && !other)
        return om_job_fail(call->job, OM_EINVAL, NULL,
                           "nothing to change: give name, config or clock_ms");
    if (clock && !sandbox)
        return om_job_fail(call->job, OM_EINVAL, "clock_ms",
                           "clock_ms: only a sandbox has a clock to set; use a test key");
    if (other && sandbox)
        return om_job_fail(call->job, OM_EINVAL, "config",
                           "a sandbox has the name and settings of its tenant; use a "
                           "live key");
    return OM_OK;
}

enum om_rc
on_tenant_patch(void *context, struct om_call *call, const void *message, void *answer)
{
    struct identity *self = context;
    const struct tenant_patch_request *request = message;
    const struct om_uuid *id = &call->tenant_id;
    bool guarded = REC_HAS(request, tenant_patch_request, if_version);
    int64_t version;
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin(self->db);
    if (!txn)
        return OM_EDB;
    struct om_uuid owner = tenant_owner(txn, id);
    enum om_rc rc = check_patch(call, request, !om_uuid_eq(&owner, id));
    if (!rc)
        rc = tenant_touch(call, txn, id, guarded ? request->if_version : -1, &version);
    if (!rc && REC_HAS(request, tenant_patch_request, config))
        rc = config_change(call, txn, id, request->config, false, version);
    if (rc)
        return rc;
    if (REC_HAS(request, tenant_patch_request, name))
        om_db_exec(txn, &sql_tenant_name, DB_UUID(id), DB_STR(request->name));
    if (REC_HAS(request, tenant_patch_request, clock_ms))
        om_db_exec(txn, &sql_tenant_clock, DB_UUID(id), DB_I64(request->clock_ms));
    struct tenant_patch_reply *reply = answer;
    if ((rc = tenant_reply(call, txn, id, answer)))
        return rc;
    REC_SET(reply, tenant_item, config, config_load(call, txn, &owner));
    return om_db_commit(&txn);
}

// ---- what operators do

static enum om_rc
insert_tenant(struct om_call *call, struct om_txn *txn,
              const struct tenant_create_request *request, const struct om_uuid *id,
              int64_t now_ms)
{
    struct om_str plan = request->plan.data ? request->plan : OM_LIT("free");
    struct om_str sensitivity =
        request->sensitivity.data ? request->sensitivity : OM_LIT("normal");
    om_db_exec(txn, &sql_tenant_add, DB_UUID(id), DB_STR(request->name),
               DB_STR(request->slug), DB_STR(plan), DB_STR(request->region),
               DB_STR(sensitivity), DB_I64(request->prepaid), DB_I64(now_ms));
    if (om_db_rc(txn) || om_db_changes(txn) == 1)
        return om_db_rc(txn);
    return om_job_fail(call->job, OM_ECONFLICT, "slug",
                       "slug: there is a tenant \"%.*s\" already",
                       (int)request->slug.size, request->slug.data);
}

// Its first user, who has the role of an owner; a key of its own it makes later.
static enum om_rc
add_owner(struct om_call *call, struct om_txn *txn, const struct om_uuid *tenant,
          struct om_str email)
{
    struct om_uuid user, binding, kept = call->tenant_id;
    struct limits limits = { 0 };
    bool again;
    enum om_rc rc = person_find(call, txn, email, "owner_email", &user);
    if (rc)
        return rc;
    member_add(txn, tenant, &user, OM_LIT(""), &(struct om_uuid){ 0 }, &limits, &again);
    call->tenant_id = *tenant;
    rc = role_give(call, txn, &user, OM_LIT("owner"), INT64_MAX, UINT64_MAX, &binding);
    call->tenant_id = kept;
    return rc;
}

enum om_rc
on_tenant_create(void *context, struct om_call *call, const void *message, void *answer)
{
    struct identity *self = context;
    const struct tenant_create_request *request = message;
    struct tenant_create_reply *reply = answer;
    int64_t now_ms = om_clock_wall_ms();
    uint8_t shard;
    enum om_rc rc = check_slug(call, request->slug);
    if (!rc)
        rc = check_values(call, request->plan, request->region, request->sensitivity);
    if (rc)
        return rc;
    om_random(&shard, sizeof(shard));
    struct om_uuid id = om_id_new(shard);
    struct new_key key = { .tenant = id,
                           .name = OM_LIT("first key"),
                           .scopes = SCOPES_OWNER,
                           .expires_ms = INT64_MAX };
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin(self->db);
    if (!txn)
        return OM_EDB;
    rc = insert_tenant(call, txn, request, &id, now_ms);
    if (!rc && request->owner_email.data)
        rc = add_owner(call, txn, &id, request->owner_email);
    if (!rc)
        rc = key_insert(txn, &key, now_ms);
    if (!rc)
        rc = tenant_reply(call, txn, &id, answer);
    if (rc)
        return rc;
    REC_SET(reply, tenant_item, key, om_call_copy(call, om_str(key.text)));
    explicit_bzero(key.text, sizeof(key.text));
    return om_db_commit(&txn);
}

enum om_rc
on_tenant_list(void *context, struct om_call *call, const void *message, void *answer)
{
    struct identity *self = context;
    const struct tenant_list_request *request = message;
    struct om_span span;
    OM_AUTO(om_page_finish)
    struct om_page page = om_page(&tenant_item_rec, request->limit);
    enum om_rc rc =
        om_page_span(&page, call->job, OM_ID_TENANT, OM_PAGE_ASK(request), &span);
    if (rc)
        return rc;
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin_read(self->db);
    if (!txn)
        return OM_EDB;
    OM_AUTO(om_rows_close)
    struct om_rows *rows =
        om_db_query(txn, OM_PAGE_QUERY(tenant_list, span.up), DB_UUID(&span.low),
                    DB_UUID(&span.high), DB_I64(page.limit + 1));
    while (om_rows_next(rows)) {
        struct tenant_item item = { 0 };
        read_tenant(call, rows, &item);
        om_page_add(&page, item.id, &item);
    }
    struct tenant_list_reply *reply = answer;
    OM_PAGE_REPLY(&page, call->job->arena, tenant_list_reply, reply);
    return om_db_commit(&txn);
}

enum om_rc
on_tenant_get(void *context, struct om_call *call, const void *message, void *answer)
{
    struct identity *self = context;
    const struct tenant_get_request *request = message;
    struct om_uuid id;
    enum om_rc rc = read_id(call, OM_ID_TENANT, request->id, "tenant", &id);
    if (rc)
        return rc;
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin_read(self->db);
    if (!txn)
        return OM_EDB;
    rc = tenant_reply(call, txn, &id, answer);
    return rc ? rc : om_db_commit(&txn);
}

static enum om_rc
check_state(struct om_call *call, const struct om_uuid *id, struct om_str state)
{
    static const char *const states[] = { "active", "past_due", "suspended", "closed",
                                          NULL };
    if (!is_one_of(state, states))
        return om_job_fail(call->job, OM_EINVAL, "state",
                           "state: must be active, past_due, suspended or closed");
    if (!om_str_eq(state, OM_LIT("active")) && om_uuid_eq(id, &call->tenant_id))
        return om_job_fail(call->job, OM_ECONFLICT, "state",
                           "state: this is your own tenant; its keys, yours too, would "
                           "be refused");
    return OM_OK;
}

static void
update_values(struct om_txn *txn, const struct om_uuid *id,
              const struct tenant_update_request *request)
{
    const struct {
        const struct om_sql *sql;
        struct om_str value;
    } texts[] = {
        { &sql_tenant_name, request->name },
        { &sql_tenant_plan, request->plan },
        { &sql_tenant_state, request->state },
        { &sql_tenant_region, request->region },
        { &sql_tenant_sensitivity, request->sensitivity },
    };
    for (size_t i = 0; i < OM_COUNT(texts); i++)
        if (texts[i].value.data)
            om_db_exec(txn, texts[i].sql, DB_UUID(id), DB_STR(texts[i].value));
    if (REC_HAS(request, tenant_update_request, prepaid))
        om_db_exec(txn, &sql_tenant_prepaid, DB_UUID(id), DB_I64(request->prepaid));
}

static enum om_rc
update(struct identity *self, struct om_call *call,
       const struct tenant_update_request *request, void *answer)
{
    bool guarded = REC_HAS(request, tenant_update_request, if_version);
    struct om_uuid id, owner;
    int64_t version;
    enum om_rc rc = read_id(call, OM_ID_TENANT, request->id, "tenant", &id);
    if (!rc)
        rc = check_values(call, request->plan, request->region, request->sensitivity);
    if (!rc && request->state.data)
        rc = check_state(call, &id, request->state);
    if (rc)
        return rc;
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin(self->db);
    if (!txn)
        return OM_EDB;
    owner = tenant_owner(txn, &id);
    if (!om_uuid_eq(&owner, &id))
        return om_job_fail(call->job, OM_ECONFLICT, "id",
                           "this is the sandbox of %s: change that",
                           om_call_id(call, OM_ID_TENANT, owner).data);
    rc = tenant_touch(call, txn, &id, guarded ? request->if_version : -1, &version);
    if (rc)
        return rc;
    update_values(txn, &id, request);
    rc = tenant_reply(call, txn, &id, answer);
    return rc ? rc : om_db_commit(&txn);
}

enum om_rc
on_tenant_update(void *context, struct om_call *call, const void *message, void *answer)
{
    const struct tenant_update_request *request = message;
    uint64_t if_version = UINT64_C(1) << tenant_update_request_F_if_version;
    uint64_t id = UINT64_C(1) << tenant_update_request_F_id;
    if (!(request->has & ~(if_version | id)))
        return om_job_fail(call->job, OM_EINVAL, NULL,
                           "nothing to change: give name, plan, state, region, "
                           "sensitivity or prepaid");
    return update(context, call, request, answer);
}

enum om_rc
on_tenant_close(void *context, struct om_call *call, const void *message, void *answer)
{
    const struct tenant_close_request *request = message;
    struct tenant_update_request close = { 0 };
    REC_SET(&close, tenant_update_request, id, request->id);
    REC_SET(&close, tenant_update_request, state, OM_LIT("closed"));
    return update(context, call, &close, answer);
}
