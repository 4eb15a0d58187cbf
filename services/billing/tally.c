#include <stdio.h>

#include "period.h"
#include "tally.h"

// Meters of what is taken away again from what a meter of a quota without a window
// counts.
#define REMOVED "_removed"

OM_SQL(tally_get, "SELECT metered, removed, settled, leased, slot_ms, recent, before "
                  "FROM quota_tally "
                  "WHERE tenant = $1 AND policy = $2 AND window_ms = $3");
OM_SQL(tally_set,
       "INSERT INTO quota_tally (tenant, policy, window_ms, metered, removed, settled, "
       "leased, slot_ms, recent, before) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, "
       "$10) ON CONFLICT (tenant, policy, window_ms) DO UPDATE SET "
       "metered = excluded.metered, removed = excluded.removed, "
       "settled = excluded.settled, leased = excluded.leased, "
       "slot_ms = excluded.slot_ms, recent = excluded.recent, before = excluded.before");
OM_SQL(tally_sum, "SELECT sum(quantity) FROM usage_hour "
                  "WHERE tenant = $1 AND meter = $2 AND hour_ms >= $3 AND hour_ms < $4");
// Sums beyond what any limit can be are of no interest, and must not overflow.
OM_SQL(tally_add, "UPDATE quota_tally SET metered = metered + $4 WHERE tenant = $1 "
                  "AND policy = $2 AND window_ms = $3 AND metered < 9000000000000000");
OM_SQL(tally_remove, "UPDATE quota_tally SET removed = removed + $4 WHERE tenant = $1 "
                     "AND policy = $2 AND window_ms = $3 AND removed < 9000000000000000");
OM_SQL(tally_tidy, "DELETE FROM quota_tally WHERE window_ms > 0 AND window_ms < $1");
OM_SQL(blocks_end,
       "DELETE FROM quota_lease WHERE tenant = $1 AND object = $2 AND policy = $3 "
       "RETURNING granted");
OM_SQL(tally_unlease, "UPDATE quota_tally SET leased = leased - $4 WHERE tenant = $1 "
                      "AND policy = $2 AND window_ms = $3");

struct tally
tally_window(enum quota quota, int64_t at_ms)
{
    struct tally self = { .end_ms = INT64_MAX };
    switch (quota_infos[quota].window) {
    case QUOTA_WINDOW_NONE:
        break;
    case QUOTA_WINDOW_DAY:
        self.window_ms = period_day(at_ms);
        self.end_ms = self.window_ms + PERIOD_DAY_MS;
        break;
    case QUOTA_WINDOW_MONTH:
        self.window_ms = period_month(at_ms);
        self.end_ms = period_next_month(at_ms);
        break;
    }
    return self;
}

static int64_t
sum(struct om_txn *txn, const struct om_uuid *tenant, const char *meter,
    const struct tally *window)
{
    OM_AUTO(om_rows_close)
    struct om_rows *rows =
        om_db_query(txn, &sql_tally_sum, DB_UUID(tenant), DB_STR(om_str(meter)),
                    DB_I64(window->window_ms), DB_I64(window->end_ms));
    return om_rows_next(rows) ? om_row_i64(rows, 0) : 0;
}

static bool
read_row(struct om_txn *txn, const struct om_uuid *tenant, enum quota quota,
         struct tally *self)
{
    OM_AUTO(om_rows_close)
    struct om_rows *rows =
        om_db_query(txn, &sql_tally_get, DB_UUID(tenant),
                    DB_STR(om_str(quota_infos[quota].name)), DB_I64(self->window_ms));
    if (!om_rows_next(rows))
        return false;
    self->metered = om_row_i64(rows, 0);
    self->removed = om_row_i64(rows, 1);
    self->settled = om_row_i64(rows, 2);
    self->leased = om_row_i64(rows, 3);
    self->slot_ms = om_row_i64(rows, 4);
    self->recent = om_row_i64(rows, 5);
    self->before = om_row_i64(rows, 6);
    return true;
}

void
tally_load(struct om_txn *txn, const struct om_uuid *tenant, enum quota quota, bool keep,
           struct tally *self)
{
    char removed[80];
    if (read_row(txn, tenant, quota, self) || om_db_rc(txn))
        return;
    const struct quota_info *info = &quota_infos[quota];
    self->metered = sum(txn, tenant, info->meter, self);
    if (info->window == QUOTA_WINDOW_NONE) {
        snprintf(removed, sizeof(removed), "%s" REMOVED, info->meter);
        self->removed = sum(txn, tenant, removed, self);
    }
    if (keep)
        tally_store(txn, tenant, quota, self);
}

void
tally_store(struct om_txn *txn, const struct om_uuid *tenant, enum quota quota,
            const struct tally *self)
{
    om_db_exec(txn, &sql_tally_set, DB_UUID(tenant),
               DB_STR(om_str(quota_infos[quota].name)), DB_I64(self->window_ms),
               DB_I64(self->metered), DB_I64(self->removed), DB_I64(self->settled),
               DB_I64(self->leased), DB_I64(self->slot_ms), DB_I64(self->recent),
               DB_I64(self->before));
}

void
tally_tidy(struct om_txn *txn, int64_t before_ms)
{
    om_db_exec(txn, &sql_tally_tidy, DB_I64(before_ms));
}

// Slots that are over are forgotten.
static void
turn(struct tally *self, int64_t now_ms)
{
    int64_t slot_ms = now_ms - now_ms % TALLY_SLOT_MS;
    if (slot_ms <= self->slot_ms)
        return;
    self->before = slot_ms - self->slot_ms == TALLY_SLOT_MS ? self->recent : 0;
    self->recent = 0;
    self->slot_ms = slot_ms;
}

int64_t
tally_used(struct tally *self, enum quota quota, int64_t now_ms, bool sure)
{
    int64_t there = self->metered - self->removed;
    if (quota_infos[quota].window == QUOTA_WINDOW_NONE)
        return (there > 0 ? there : 0) + self->leased;
    turn(self, now_ms);
    int64_t most = self->metered + self->recent + self->before;
    if (sure && self->settled > most)
        self->settled = most;
    if (self->settled < self->metered - self->leased)
        self->settled = self->metered - self->leased;
    return self->settled + self->leased;
}

void
tally_settle(struct tally *self, int64_t granted, int64_t used, int64_t now_ms)
{
    turn(self, now_ms);
    self->leased -= granted;
    self->settled += used;
    self->recent += used;
}

// End the blocks that wait for the object of the event, whose id begins with the
// object's.
static void
end_blocks(struct om_txn *txn, const struct om_uuid *tenant, struct om_str id,
           struct om_str policy)
{
    const char *slash = memchr(id.data, '/', id.size);
    if (!slash)
        return;
    struct om_str object = { id.data, (size_t)(slash - id.data) };
    int64_t granted = 0;
    OM_AUTO(om_rows_close)
    struct om_rows *rows = om_db_query(txn, &sql_blocks_end, DB_UUID(tenant),
                                       DB_STR(object), DB_STR(policy));
    while (om_rows_next(rows))
        granted += om_row_i64(rows, 0);
    if (granted > 0)
        om_db_exec(txn, &sql_tally_unlease, DB_UUID(tenant), DB_STR(policy), DB_I64(0),
                   DB_I64(granted));
}

static bool
is_removal(struct om_str meter, const struct quota_info *info)
{
    size_t size = strlen(info->meter);
    return meter.size == size + sizeof(REMOVED) - 1 &&
           memcmp(meter.data, info->meter, size) == 0 &&
           memcmp(meter.data + size, REMOVED, sizeof(REMOVED) - 1) == 0;
}

void
tally_meter(struct om_txn *txn, const struct om_uuid *tenant, struct om_str id,
            struct om_str meter, int64_t quantity, int64_t at_ms)
{
    for (unsigned i = 0; i < QUOTA_COUNT; i++) {
        const struct quota_info *info = &quota_infos[i];
        bool gauge = info->window == QUOTA_WINDOW_NONE;
        bool same = om_str_eq(meter, om_str(info->meter));
        if (!same && !(gauge && is_removal(meter, info)))
            continue;
        struct tally window = tally_window((enum quota)i, at_ms);
        om_db_exec(txn, same ? &sql_tally_add : &sql_tally_remove, DB_UUID(tenant),
                   DB_STR(om_str(info->name)), DB_I64(window.window_ms),
                   DB_I64(quantity));
        if (gauge && same)
            end_blocks(txn, tenant, id, om_str(info->name));
    }
}
