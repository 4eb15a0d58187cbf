// Blocks of quotas: granted, settled, and given back when they expire.
#include <stdio.h>

#include "clock.h"
#include "limit.h"
#include "period.h"
#include "tally.h"

enum {
    LEASE_MS = 60 * 1000,        // a block that is not settled by then comes back
    OBJECT_MS = 60 * 60 * 1000,  // one that waits for the usage of a task or a file
    SURE_MS = 2 * TALLY_SLOT_MS, // after a start events may still be late
    TICK_MS = 1000,
    SWEEP_MAX = 200, // leases given back in one transaction
    SHARE = 4,       // no block is more than this part of what is left
    NAME_MAX = 64,
    TIDY_EVERY_MS = PERIOD_HOUR_MS,
};

#define TIDY_AGE_MS (40 * (int64_t)PERIOD_DAY_MS) // more than any window is long

OM_SQL(lease_find, "SELECT granted, used, expires_ms, window_ms FROM quota_lease "
                   "WHERE tenant = $1 AND id = $2 AND policy = $3");
OM_SQL(lease_add, "INSERT INTO quota_lease (tenant, id, policy, window_ms, granted, "
                  "expires_ms) VALUES ($1, $2, $3, $4, $5, $6)");
OM_SQL(lease_settle, "UPDATE quota_lease SET used = $4 "
                     "WHERE tenant = $1 AND id = $2 AND policy = $3");
OM_SQL(lease_attach, "UPDATE quota_lease SET object = $4, expires_ms = $5 "
                     "WHERE tenant = $1 AND id = $2 AND policy = $3");
OM_SQL(lease_expired, "SELECT tenant, id, policy, window_ms, granted, used "
                      "FROM quota_lease WHERE expires_ms <= $1 LIMIT $2");
OM_SQL(lease_drop, "DELETE FROM quota_lease "
                   "WHERE tenant = $1 AND id = $2 AND policy = $3");
OM_SQL(lease_give_back, "UPDATE quota_tally SET leased = leased - $4 "
                        "WHERE tenant = $1 AND policy = $2 AND window_ms = $3");
OM_SQL(usage_of, "SELECT 1 FROM usage_event WHERE tenant = $1 AND id >= $2 AND id < $3 "
                 "AND meter = $4 LIMIT 1");

int64_t
billing_now(const struct billing *self)
{
    return self->clock ? self->clock() : om_clock_wall_ms();
}

// ---- expiry

// Give back some of what has expired, whoever had it. What was used of it is in what was
// metered. Returns how many there were.
static int
expire(struct om_txn *txn, int64_t now_ms)
{
    int count = 0;
    OM_AUTO(om_rows_close)
    struct om_rows *rows =
        om_db_query(txn, &sql_lease_expired, DB_I64(now_ms), DB_I64(SWEEP_MAX));
    for (; om_rows_next(rows); count++) {
        struct om_uuid tenant = om_row_uuid(rows, 0);
        struct om_str id = om_row_str(rows, 1), policy = om_row_str(rows, 2);
        if (om_row_is_null(rows, 5))
            om_db_exec(txn, &sql_lease_give_back, DB_UUID(&tenant), DB_STR(policy),
                       DB_I64(om_row_i64(rows, 3)), DB_I64(om_row_i64(rows, 4)));
        om_db_exec(txn, &sql_lease_drop, DB_UUID(&tenant), DB_STR(id), DB_STR(policy));
    }
    return count;
}

int64_t
billing_tick(void *context, int64_t now_ms)
{
    struct billing *self = context;
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin(self->db);
    if (!txn)
        return now_ms + TICK_MS;
    int64_t wall_ms = billing_now(self);
    int count = expire(txn, wall_ms);
    if (wall_ms >= self->tidy_ms) {
        tally_tidy(txn, wall_ms - TIDY_AGE_MS);
        self->tidy_ms = wall_ms + TIDY_EVERY_MS;
    }
    bool more = om_db_commit(&txn) == OM_OK && count == SWEEP_MAX;
    return more ? now_ms : now_ms + TICK_MS;
}

// ---- lease

// A lease's name is the policy behind the id of the call it was granted to.
static void
write_name(char out[NAME_MAX + 1], struct om_str id, const char *policy)
{
    snprintf(out, NAME_MAX + 1, "%.*s/%s", (int)id.size, id.data, policy);
}

struct grant {
    struct om_call *call;
    const struct quota_lease_request *request;
    struct quota_lease_reply *reply;
    enum quota quota;
    struct tally tally;
    int64_t now_ms;
};

static void
reply_grant(struct grant *grant, int64_t granted, int64_t expires_ms)
{
    char name[NAME_MAX + 1];
    write_name(name, grant->call->id, quota_infos[grant->quota].name);
    REC_SET(grant->reply, quota_lease_reply, lease,
            granted > 0 ? om_call_copy(grant->call, om_str(name)) : OM_LIT(""));
    REC_SET(grant->reply, quota_lease_reply, granted, granted);
    REC_SET(grant->reply, quota_lease_reply, expires_ms, expires_ms);
    REC_SET(grant->reply, quota_lease_reply, resets_ms,
            grant->tally.window_ms ? grant->tally.end_ms : 0);
    REC_SET(grant->reply, quota_lease_reply, remaining, 0);
}

// Was it granted before, and the answer lost?
static bool
find_grant(struct om_txn *txn, struct grant *grant)
{
    OM_AUTO(om_rows_close)
    struct om_rows *rows =
        om_db_query(txn, &sql_lease_find, DB_UUID(&grant->call->tenant_id),
                    DB_STR(grant->call->id), DB_STR(grant->request->policy));
    if (!om_rows_next(rows))
        return false;
    reply_grant(grant, om_row_i64(rows, 0), om_row_i64(rows, 2));
    return true;
}

static int64_t
choose(const struct quota_lease_request *request, int64_t left)
{
    int64_t amount = request->amount, share = left / SHARE;
    if (left < request->least)
        return 0;
    if (amount > share)
        amount = share;
    return amount > request->least ? amount : request->least;
}

// Take the block out of what is left. `tally` is loaded.
static void
give(struct om_txn *txn, struct grant *grant, int64_t most, bool sure)
{
    struct tally *tally = &grant->tally;
    const struct om_uuid *tenant = &grant->call->tenant_id;
    int64_t left = most - tally_used(tally, grant->quota, grant->now_ms, sure);
    int64_t granted = choose(grant->request, left > 0 ? left : 0);
    int64_t expires_ms = grant->now_ms + LEASE_MS;
    if (expires_ms > tally->end_ms)
        expires_ms = tally->end_ms;
    tally->leased += granted;
    tally_store(txn, tenant, grant->quota, tally);
    if (granted > 0)
        om_db_exec(txn, &sql_lease_add, DB_UUID(tenant), DB_STR(grant->call->id),
                   DB_STR(grant->request->policy), DB_I64(tally->window_ms),
                   DB_I64(granted), DB_I64(expires_ms));
    reply_grant(grant, granted, granted > 0 ? expires_ms : 0);
    REC_SET(grant->reply, quota_lease_reply, limit, most);
    REC_SET(grant->reply, quota_lease_reply, remaining,
            left > granted ? left - granted : 0);
    REC_SET(grant->reply, quota_lease_reply, leased,
            tally->leased > 0 ? tally->leased : 0);
}

// Without a limit nothing is taken, and nothing is to be settled.
static void
give_any(struct grant *grant)
{
    reply_grant(grant, grant->request->amount, grant->now_ms + LEASE_MS);
    REC_SET(grant->reply, quota_lease_reply, remaining, TALLY_MOST);
}

enum om_rc
billing_quota_lease(void *context, struct om_call *call, const void *message,
                    void *answer)
{
    struct billing *self = context;
    struct grant grant = {
        .call = call, .request = message, .reply = answer, .now_ms = billing_now(self)
    };
    if (!limit_read_policy(call, grant.request->policy, &grant.quota))
        return OM_EINVAL;
    if (call->id.size == 0 || call->id.size > 32)
        return om_job_fail(call->job, OM_EINVAL, "id", "id: a lease needs the call's id");
    if (grant.request->least > grant.request->amount)
        return om_job_fail(call->job, OM_EINVAL, "least",
                           "least: must not be more than amount");
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin(self->db);
    if (!txn)
        return OM_EDB;
    grant.tally = tally_window(grant.quota, grant.now_ms);
    while (expire(txn, grant.now_ms) == SWEEP_MAX)
        ;
    struct limit limit =
        limit_find(txn, &call->tenant_id, grant.request->plan, grant.quota);
    if (find_grant(txn, &grant)) {
        REC_SET(grant.reply, quota_lease_reply, limit, limit.most);
    } else {
        limit_keep_plan(txn, &call->tenant_id, grant.request->plan);
        tally_load(txn, &call->tenant_id, grant.quota, true, &grant.tally);
        if (limit.limited)
            give(txn, &grant, limit.most, grant.now_ms - self->began_ms >= SURE_MS);
        else
            give_any(&grant);
    }
    return om_db_commit(&txn);
}

// ---- settle

// Has the usage of the task or file come before the word that it was made?
static bool
is_metered(struct om_txn *txn, const struct om_uuid *tenant, struct om_str object,
           enum quota quota)
{
    char from[64], to[64];
    snprintf(from, sizeof(from), "%.*s/", (int)object.size, object.data);
    snprintf(to, sizeof(to), "%.*s0", (int)object.size, object.data); // '0' follows '/'
    OM_AUTO(om_rows_close)
    struct om_rows *rows =
        om_db_query(txn, &sql_usage_of, DB_UUID(tenant), DB_STR(om_str(from)),
                    DB_STR(om_str(to)), DB_STR(om_str(quota_infos[quota].meter)));
    return om_rows_next(rows);
}

struct block {
    struct om_str id, policy;
    enum quota quota;
    int64_t granted, window_ms;
};

// The block of a lease's name that is still out. False: it came back before, or expired,
// or there never was one.
static bool
find_block(struct om_txn *txn, const struct om_uuid *tenant, struct om_str name,
           struct block *out)
{
    const char *slash = memchr(name.data, '/', name.size);
    if (!slash)
        return false;
    out->id = (struct om_str){ name.data, (size_t)(slash - name.data) };
    out->policy = (struct om_str){ slash + 1, name.size - out->id.size - 1 };
    out->quota = quota_find(out->policy);
    OM_AUTO(om_rows_close)
    struct om_rows *rows = om_db_query(txn, &sql_lease_find, DB_UUID(tenant),
                                       DB_STR(out->id), DB_STR(out->policy));
    if (out->quota == QUOTA_COUNT || !om_rows_next(rows) || !om_row_is_null(rows, 1))
        return false;
    out->granted = om_row_i64(rows, 0);
    out->window_ms = om_row_i64(rows, 3);
    return true;
}

static void
take_back(struct billing *self, struct om_txn *txn, const struct om_uuid *tenant,
          const struct block *block, int64_t used)
{
    struct tally tally = tally_window(block->quota, block->window_ms);
    tally_load(txn, tenant, block->quota, true, &tally);
    tally_settle(&tally, block->granted, used, billing_now(self));
    tally_store(txn, tenant, block->quota, &tally);
    om_db_exec(txn, &sql_lease_settle, DB_UUID(tenant), DB_STR(block->id),
               DB_STR(block->policy), DB_I64(used));
}

enum om_rc
billing_quota_settle(void *context, struct om_call *call, const void *message,
                     void *answer)
{
    struct billing *self = context;
    const struct quota_settle_request *request = message;
    const struct om_uuid *tenant = &call->tenant_id;
    struct block block;
    (void)answer;
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin(self->db);
    if (!txn)
        return OM_EDB;
    int64_t now_ms = billing_now(self);
    while (expire(txn, now_ms) == SWEEP_MAX)
        ;
    if (!find_block(txn, tenant, request->lease, &block))
        return om_db_commit(&txn);
    if (request->used > block.granted)
        return om_job_fail(call->job, OM_EINVAL, "used",
                           "used: more than the block's %lld", (long long)block.granted);
    bool wait = REC_HAS(request, quota_settle_request, object) &&
                !is_metered(txn, tenant, request->object, block.quota);
    if (wait)
        om_db_exec(txn, &sql_lease_attach, DB_UUID(tenant), DB_STR(block.id),
                   DB_STR(block.policy), DB_STR(request->object),
                   DB_I64(now_ms + OBJECT_MS));
    else
        take_back(self, txn, tenant, &block, request->used);
    return om_db_commit(&txn);
}
