#include "patrol.h"
#include "clock.h"
#include "log.h"
#include "metrics.h"

enum {
    SLICE_ROWS = 500,
    SLICE_MS = 250,       // between two slices
    ROUND_MS = 60 * 1000, // between two rounds
};

OM_SQL(patrol_tenant,
       "SELECT tenant FROM audit_head WHERE tenant > $1 ORDER BY tenant LIMIT 1");
OM_SQL(patrol_rows, "SELECT " AUDIT_COLUMNS " FROM audit_log "
                    "WHERE tenant = $1 AND seq > $2 ORDER BY seq LIMIT $3");

void
patrol_init(struct patrol *self)
{
    self->intact = om_metric_cell(M_omni_audit_chain_intact);
    self->verified_at = om_metric_cell(M_omni_audit_verified_timestamp_seconds);
    self->records = om_metric_cell(M_omni_audit_verified_records_total);
}

static void
find_broken(struct patrol *self, int64_t seq)
{
    char tenant[OM_TYPEID_MAX];
    om_typeid_encode(OM_ID_TENANT, &self->tenant, tenant);
    self->broken = true;
    om_metric_set(self->intact, 0);
    om_log(OM_ERROR, "an audit log is not as it was written", LOG_S("tenant", tenant),
           LOG_I("record", seq));
}

// Check a slice of the tenant's rows. Returns how many there were; -1: the chain is
// broken, or storage failed.
static int64_t
check_rows(struct patrol *self, struct om_txn *txn)
{
    int64_t count = 0;
    uint8_t stored[CHAIN_HASH], computed[CHAIN_HASH];
    struct chain_row row = { .tenant = self->tenant };
    OM_AUTO(om_rows_close)
    struct om_rows *rows = om_db_query(txn, &sql_patrol_rows, DB_UUID(&self->tenant),
                                       DB_I64(self->good.entries), DB_I64(SLICE_ROWS));
    for (; om_rows_next(rows); count++) {
        audit_read(rows, &row, stored);
        if (chain_hash(self->good.hash, &row, computed) != OM_OK)
            return -1;
        if (row.seq != self->good.entries + 1 ||
            memcmp(stored, computed, CHAIN_HASH) != 0) {
            find_broken(self, self->good.entries + 1);
            return -1;
        }
        self->good.entries = row.seq;
        memcpy(self->good.hash, stored, CHAIN_HASH);
    }
    om_metric_add(self->records, (uint64_t)count);
    return count;
}

// Does the chain end where it is said to end?
static void
check_end(struct patrol *self, struct om_txn *txn)
{
    struct audit_head end = audit_head(txn, &self->tenant);
    if (om_db_rc(txn) == OM_OK && (end.entries != self->good.entries ||
                                   memcmp(end.hash, self->good.hash, CHAIN_HASH) != 0))
        find_broken(self, self->good.entries + 1);
}

// Go on to the next tenant. False: the round is over.
static bool
go_on(struct patrol *self, struct om_txn *txn)
{
    OM_AUTO(om_rows_close)
    struct om_rows *rows = om_db_query(txn, &sql_patrol_tenant, DB_UUID(&self->tenant));
    bool more = om_rows_next(rows);
    self->good = (struct audit_head){ 0 };
    self->tenant = more ? om_row_uuid(rows, 0) : (struct om_uuid){ 0 };
    return more;
}

static void
end_round(struct patrol *self)
{
    om_metric_set(self->intact, !self->broken);
    om_metric_set(self->verified_at, (double)om_clock_wall_ms() / 1000);
    self->broken = false;
}

int64_t
patrol_tick(struct patrol *self, struct om_db *db, int64_t now_ms)
{
    if (now_ms < self->due_ms)
        return self->due_ms;
    self->due_ms = now_ms + SLICE_MS;
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin_read(db);
    if (!txn)
        return self->due_ms;
    int64_t left = SLICE_ROWS, count;
    do {
        count = om_uuid_is_zero(&self->tenant) ? 0 : check_rows(self, txn);
        left -= count;
        if (count == SLICE_ROWS)
            return self->due_ms; // more of this tenant's
        if (count >= 0 && !om_uuid_is_zero(&self->tenant))
            check_end(self, txn);
        if (om_db_rc(txn) != OM_OK)
            return self->due_ms; // the slice is looked at again
        if (!go_on(self, txn)) {
            end_round(self);
            return self->due_ms = now_ms + ROUND_MS;
        }
    } while (left > 0);
    return self->due_ms;
}
