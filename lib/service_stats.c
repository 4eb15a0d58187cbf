#include "service_stats.h"
#include "trace.h"

enum outcome { OUTCOME_OK, OUTCOME_REFUSED, OUTCOME_FAILED, OUTCOMES };

static const char *const outcome_names[OUTCOMES] = { "ok", "refused", "failed" };

static struct {
    uint32_t count[OUTCOMES], times;
} stats[OP_COUNT + 1]; // the last is of operations that are unknown

static uint32_t runs[2], applied, age, busy;

static void
open_op(size_t op, const char *name)
{
    for (size_t i = 0; i < OUTCOMES; i++)
        stats[op].count[i] = om_metric_cell(M_omni_operations_total, om_str(name),
                                            om_str(outcome_names[i]));
    stats[op].times = om_metric_cell(M_omni_operation_duration_seconds, om_str(name));
}

void
service_stats_open(const struct om_route *routes, int slots, bool has_events)
{
    for (const struct om_route *route = routes; route && route->handle; route++)
        open_op(route->op, ops[route->op].name);
    open_op(OP_COUNT, "unknown");
    busy = om_metric_cell(M_omni_worker_busy);
    om_metric_set(om_metric_cell(M_omni_worker_slots), slots > 0 ? slots : 1);
    if (!has_events)
        return;
    runs[0] = om_metric_cell(M_omni_event_runs_total, OM_LIT("applied"));
    runs[1] = om_metric_cell(M_omni_event_runs_total, OM_LIT("failed"));
    applied = om_metric_cell(M_omni_events_applied_total);
    age = om_metric_cell(M_omni_event_age_seconds);
    om_metric_set(age, 0);
}

void
service_stats_busy(int change)
{
    om_metric_add(busy, (uint64_t)change);
}

void
service_stats_op(const struct om_route *route, const struct om_job *job, int64_t took_us)
{
    struct om_trace trace;
    size_t op = route ? (size_t)route->op : OP_COUNT;
    enum outcome outcome = job->rc == OM_OK                         ? OUTCOME_OK
                           : om_rc_info(job->rc)->http_status < 500 ? OUTCOME_REFUSED
                                                                    : OUTCOME_FAILED;
    bool traced = job->msg->traceparent.size &&
                  om_trace_parse(job->msg->traceparent, &trace) == OM_OK &&
                  trace.flags & 1;
    om_metric_add(stats[op].count[outcome], 1);
    om_metric_observe(stats[op].times, took_us, traced ? trace.trace_id : NULL);
}

void
service_stats_run(enum om_rc rc, size_t events, int64_t age_ms)
{
    om_metric_add(runs[rc != OM_OK], 1);
    if (rc != OM_OK)
        return;
    om_metric_add(applied, events);
    om_metric_set(age, age_ms > 0 ? (double)age_ms / 1000 : 0);
}
