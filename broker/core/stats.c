#include "stats.h"
#include "queue.h"

// ---- rates

static void
advance(struct meter *self, int64_t now_ms)
{
    int64_t second = now_ms / 1000;
    if (second - self->second >= METER_SECONDS) {
        memset(self->buckets, 0, sizeof(self->buckets));
        self->sum = 0;
        self->second = second;
    }
    while (self->second < second) {
        uint32_t *bucket = &self->buckets[++self->second % METER_SECONDS];
        self->sum -= *bucket;
        *bucket = 0;
    }
}

static void
meter_add(struct meter *self, int64_t now_ms)
{
    advance(self, now_ms);
    self->buckets[self->second % METER_SECONDS]++;
    self->sum++;
}

double
meter_rate(struct meter *self, int64_t now_ms)
{
    advance(self, now_ms);
    return (double)self->sum / METER_SECONDS;
}

// ---- life

struct stats_tenant *
stats_tenant_find(const struct core *self, const struct om_uuid *tenant)
{
    struct stats_tenant *found = NULL;
    HASH_FIND(hh, self->stats_tenants, tenant, sizeof(*tenant), found);
    return found;
}

static struct queue_stats *
find(const struct stats_tenant *tenant, struct om_str queue)
{
    struct queue_stats *stats = NULL;
    if (tenant)
        HASH_FIND(hh, tenant->parts, queue.data, queue.size, stats);
    return stats;
}

struct queue_stats *
stats_find(const struct core *self, const struct om_uuid *tenant, struct om_str queue)
{
    return find(stats_tenant_find(self, tenant), queue);
}

static struct queue_stats *
get(struct core *self, const struct om_uuid *id, struct om_str queue)
{
    struct stats_tenant *tenant = stats_tenant_find(self, id);
    struct queue_stats *stats = find(tenant, queue);
    if (stats)
        return stats;
    if (!tenant) {
        tenant = core_alloc(sizeof(*tenant));
        tenant->id = *id;
        HASH_ADD(hh, self->stats_tenants, id, sizeof(tenant->id), tenant);
    }
    stats = core_alloc(sizeof(*stats));
    stats->tenant = tenant;
    memcpy(stats->name, queue.data, queue.size); // a queue's name is that short
    HASH_ADD_KEYPTR(hh, tenant->parts, stats->name, queue.size, stats);
    return stats;
}

static void
destroy(struct core *self, struct queue_stats *stats)
{
    struct stats_tenant *tenant = stats->tenant;
    HASH_DEL(tenant->parts, stats);
    free(stats);
    if (tenant->parts)
        return;
    HASH_DEL(self->stats_tenants, tenant);
    free(tenant);
}

static void
make_idle(struct core *self, struct queue_stats *stats)
{
    DL_APPEND2(self->idle_stats, stats, idle_prev, idle_next);
    if (++self->idle_stats_count <= STATS_IDLE_MAX)
        return;
    struct queue_stats *oldest = self->idle_stats;
    DL_DELETE2(self->idle_stats, oldest, idle_prev, idle_next);
    self->idle_stats_count--;
    destroy(self, oldest);
}

void
stats_join(struct core *self, struct share *share)
{
    static const struct om_uuid all;
    if (share->stats)
        return;
    struct om_str name = queue_name(share->queue);
    struct queue_stats *stats = get(self, &share->tenant, name);
    if (stats->idle_prev) {
        DL_DELETE2(self->idle_stats, stats, idle_prev, idle_next);
        stats->idle_prev = stats->idle_next = NULL;
        self->idle_stats_count--;
    }
    if (share->queue->info)
        stats->total = get(self, &all, name);
    stats->share = share;
    share->stats = stats;
}

void
stats_leave(struct core *self, struct share *share)
{
    if (!share->stats)
        return;
    share->stats->share = NULL;
    make_idle(self, share->stats);
    share->stats = NULL;
}

void
stats_destroy_all(struct core *self)
{
    struct stats_tenant *tenant, *next_tenant;
    struct queue_stats *stats, *next;
    HASH_ITER (hh, self->stats_tenants, tenant, next_tenant)
        HASH_ITER (hh, tenant->parts, stats, next)
            destroy(self, stats); // the tenant goes with its last part
    self->idle_stats = NULL;
}

// ---- counting

void
stats_move(struct share *share, enum gauge from, enum gauge to)
{
    for (struct queue_stats *stats = share->stats; stats; stats = stats->total) {
        stats->gauges[from]--;
        stats->gauges[to]++;
    }
}

void
stats_count(struct share *share, enum tally tally)
{
    for (struct queue_stats *stats = share->stats; stats; stats = stats->total)
        stats->tallies[tally]++;
}

void
stats_in(const struct core *self, struct share *share)
{
    stats_count(share, TALLY_SUBMITTED);
    for (struct queue_stats *stats = share->stats; stats; stats = stats->total)
        meter_add(&stats->in, self->now.mono_ms);
}

void
stats_out(const struct core *self, struct share *share)
{
    for (struct queue_stats *stats = share->stats; stats; stats = stats->total)
        meter_add(&stats->out, self->now.mono_ms);
}
