// stats.h - what goes on in a tenant's part of a queue: numbers kept as it happens.
//
// They outlive the share, so that counters and rates do not begin anew each time a queue
// runs empty; of those no share stands in the ones idle longest are forgotten. A platform
// queue has one more of its own, of all tenants together. What is not in memory counts
// like what is.
#pragma once
#include "fair.h"

enum {
    METER_SECONDS = 60,
    STATS_IDLE_MAX = 10000, // kept without a share
};

enum gauge {
    GAUGE_NONE,
    GAUGE_READY,
    GAUGE_SCHEDULED,
    GAUGE_RETRYING,
    GAUGE_BLOCKED,
    GAUGE_RUNNING,
    GAUGE_COUNT,
};

enum tally { TALLY_SUBMITTED, TALLY_COMPLETED, TALLY_FAILED, TALLY_LOST, TALLY_COUNT };

// Events in the last minute.
struct meter {
    int64_t second; // of the newest bucket
    uint32_t buckets[METER_SECONDS];
    int64_t sum;
};

// Of one tenant.
struct stats_tenant {
    struct om_uuid id; // zero: all tenants together
    struct queue_stats *parts;
    UT_hash_handle hh;
};

struct queue_stats {
    struct stats_tenant *tenant;
    struct queue_stats *total; // of all tenants of a platform queue; else NULL
    struct share *share;       // NULL: idle
    int64_t gauges[GAUGE_COUNT];
    uint64_t tallies[TALLY_COUNT];
    struct meter in, out;
    struct queue_stats *idle_prev, *idle_next;
    UT_hash_handle hh; // of its tenant's
    char name[64];
};

// A share that has jobs counts from now on; a share that goes is no longer there.
void stats_join(struct core *self, struct share *share);
void stats_leave(struct core *self, struct share *share);

// A job of the share moves from one gauge to another.
void stats_move(struct share *share, enum gauge from, enum gauge to);

void stats_count(struct share *share, enum tally tally);

// A job came in; a job ended.
void stats_in(const struct core *self, struct share *share);
void stats_out(const struct core *self, struct share *share);

// Events a second, over the last minute.
double meter_rate(struct meter *self, int64_t now_ms);

// NULL if nothing is known of it. A zero tenant: all together.
struct stats_tenant *stats_tenant_find(const struct core *self,
                                       const struct om_uuid *tenant);
struct queue_stats *stats_find(const struct core *self, const struct om_uuid *tenant,
                               struct om_str queue);

void stats_destroy_all(struct core *self);
