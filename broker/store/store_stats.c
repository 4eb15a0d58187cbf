#include "store_stats.h"
#include "metrics.h"

struct store_stats store_stats;

void
store_stats_open(void)
{
    store_stats = (struct store_stats){
        .synced = om_metric_cell(M_omni_journal_fsync_duration_seconds),
        .written = om_metric_cell(M_omni_journal_written_bytes_total),
        .checkpoints = om_metric_cell(M_omni_checkpoint_duration_seconds),
    };
}
