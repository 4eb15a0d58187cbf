// service_stats.h - what a service counts of its calls, jobs and runs of events.
#pragma once
#include "service.h"

// Once, before the first. Without slots one is handled at a time.
void service_stats_open(const struct om_route *routes, int slots, bool has_events);

// So many more are handled now: 1, and then -1.
void service_stats_busy(int change);

// A call or job was handled. `route` NULL: of an operation the service does not have.
void service_stats_op(const struct om_route *route, const struct om_job *job,
                      int64_t took_us);

// A run of events was applied, or not; its oldest event was that old.
void service_stats_run(enum om_rc rc, size_t events, int64_t age_ms);
