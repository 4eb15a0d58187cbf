#include "error_stats.h"

#include "error_record.h"
#include "metrics.h"

// A counter, and what is noted for it.
struct counter {
    uint32_t cell;
    uint64_t noted;
};

static struct counter counted[2], ungrouped, dropped[ERROR_DROPS], opened[2][2],
    removed[ERROR_REMOVALS];

// A series is made when it is first asked for, and then there with 0.
static void
open_series(void)
{
    static const char *const sources[] = { ERROR_SOURCE_JOB, ERROR_SOURCE_HTTP };
    static const char *const drops[] = { "malformed", "repeated" };
    static const char *const removals[] = { "expired", "evicted" };
    static const char *const owners[] = { "tenant", "platform" };
    static const char *const reasons[] = { "new", "regressed" };
    for (size_t i = 0; i < 2; i++) {
        counted[i].cell = om_metric_cell(M_omni_errors_total, om_str(sources[i]));
        dropped[i].cell = om_metric_cell(M_omni_errors_dropped_total, om_str(drops[i]));
        removed[i].cell =
            om_metric_cell(M_omni_error_groups_removed_total, om_str(removals[i]));
        for (size_t k = 0; k < 2; k++)
            opened[i][k].cell = om_metric_cell(M_omni_error_groups_opened_total,
                                               om_str(owners[i]), om_str(reasons[k]));
    }
    ungrouped.cell = om_metric_cell(M_omni_errors_ungrouped_total);
}

static void
each(void (*fn)(struct counter *counter))
{
    for (size_t i = 0; i < 2; i++) {
        fn(&counted[i]);
        fn(&dropped[i]);
        fn(&removed[i]);
        fn(&opened[i][0]);
        fn(&opened[i][1]);
    }
    fn(&ungrouped);
}

static void
forget(struct counter *counter)
{
    counter->noted = 0;
}

static void
add(struct counter *counter)
{
    om_metric_add(counter->cell, counter->noted);
    counter->noted = 0;
}

void
error_stats_begin(void)
{
    if (!ungrouped.cell)
        open_series();
    each(forget);
}

void
error_stats_counted(struct om_str source, int64_t count)
{
    bool http = om_str_eq(source, OM_LIT(ERROR_SOURCE_HTTP));
    counted[http].noted += (uint64_t)count;
}

void
error_stats_ungrouped(int64_t count)
{
    ungrouped.noted += (uint64_t)count;
}

void
error_stats_dropped(enum error_dropped reason)
{
    dropped[reason].noted++;
}

void
error_stats_opened(bool platform, bool regressed)
{
    opened[platform][regressed].noted++;
}

void
error_stats_removed(enum error_removed reason, int64_t count)
{
    removed[reason].noted += (uint64_t)count;
}

void
error_stats_commit(void)
{
    each(add);
}

void
error_stats_groups(const int64_t counts[ERROR_STATUSES])
{
    for (size_t i = 0; i < ERROR_STATUSES; i++)
        om_metric_set(om_metric_cell(M_omni_error_groups, om_str(error_status_names[i])),
                      (double)counts[i]);
}
