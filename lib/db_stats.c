#include "db_stats.h"
#include "clock.h"
#include "hash.h"
#include "metrics.h"

static uint32_t connections, in_use, idle, busy, refused, outcomes[DB_OUTCOMES];

void
db_stats_open(void)
{
    static const char *const names[DB_OUTCOMES] = { "committed", "rolled_back",
                                                    "failed" };
    connections = om_metric_cell(M_omni_db_pool_max_connections);
    in_use = om_metric_cell(M_omni_db_pool_connections, OM_LIT("in_use"));
    idle = om_metric_cell(M_omni_db_pool_connections, OM_LIT("idle"));
    busy = om_metric_cell(M_omni_db_pool_busy_seconds_total);
    refused = om_metric_cell(M_omni_db_pool_timeouts_total);
    for (size_t i = 0; i < DB_OUTCOMES; i++)
        outcomes[i] = om_metric_cell(M_omni_db_transactions_total, om_str(names[i]));
    om_metric_add(connections, 1);
    om_metric_add(idle, 1);
}

void
db_stats_close(void)
{
    om_metric_add(connections, UINT64_MAX);
    om_metric_add(idle, UINT64_MAX);
}

void
db_stats_begin(struct db_stats *self)
{
    self->began_us = om_clock_mono_us();
    om_metric_add(in_use, 1);
    om_metric_add(idle, UINT64_MAX);
}

void
db_stats_refuse(void)
{
    om_metric_add(refused, 1);
}

void
db_stats_end(struct db_stats *self, enum db_outcome outcome)
{
    om_metric_add(busy, (uint64_t)(om_clock_mono_us() - self->began_us));
    om_metric_add(in_use, UINT64_MAX);
    om_metric_add(idle, 1);
    om_metric_add(outcomes[outcome], 1);
}

static uint32_t
cell_of(struct db_stats *self, const struct om_sql *sql)
{
    uint32_t at = om_hash(&sql, sizeof(sql));
    for (uint32_t i = 0; i < DB_STATS_STATEMENTS; i++) {
        uint32_t slot = (at + i) & (DB_STATS_STATEMENTS - 1);
        if (self->statements[slot].sql == sql)
            return self->statements[slot].cell;
        if (self->statements[slot].sql)
            continue;
        self->statements[slot].sql = sql;
        return self->statements[slot].cell = om_metric_cell(
                   M_omni_db_statement_duration_seconds, om_str(sql->name));
    }
    return om_metric_cell(M_omni_db_statement_duration_seconds, OM_LIT("other"));
}

void
db_stats_statement(struct db_stats *self, const struct om_sql *sql, int64_t began_us)
{
    om_metric_observe(cell_of(self, sql), om_clock_mono_us() - began_us, NULL);
}
