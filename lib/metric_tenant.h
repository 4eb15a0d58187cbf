// metric_tenant.h - which tenants have a line of their own among the metrics.
//
// A series of tenants has a cell for each rank: 0 is all others, the rest belong to the
// tenants that are heard of most. A tenant keeps its rank until another, without one, is
// heard of twice as often in a minute; then its line ends and the newcomer's begins at 0.
// So each event is counted in one line, and there are METRIC_TENANTS_MAX at most.
// Any thread.
#pragma once
#include "metrics.h"
#include "uuid.h"

enum {
    METRIC_TENANTS_MAX = 100,
    METRIC_RANKS = METRIC_TENANTS_MAX + 1,
};

// The first cell of a series of tenants; the first label of the metric is the tenant,
// whose value is left out here.
#define om_metric_tenants(metric, ...)                                                   \
    om_metric_make_tenants(                                                              \
        metric, (const struct om_str[]){ { 0 } __VA_OPT__(, ) __VA_ARGS__, { 0 } })
uint32_t om_metric_make_tenants(enum om_metric metric, const struct om_str *values);

// The rank of a tenant of whom something is counted.
uint32_t om_metric_rank(const struct om_uuid *tenant);

// om_metric_add(cell + om_metric_rank(tenant), n)
static inline void
om_metric_add_of(uint32_t cell, const struct om_uuid *tenant, uint64_t count)
{
    if (cell)
        om_metric_add(cell + om_metric_rank(tenant), count);
}

// ---- the page's

// Who has the rank; false: nobody has.
bool metric_tenant_of(uint32_t rank, struct om_uuid *tenant);

// Give ranks to who deserves them by now. `replaced` is told of each rank that changes.
void metric_tenants_rank(int64_t now_ms, void (*replaced)(uint32_t rank));
