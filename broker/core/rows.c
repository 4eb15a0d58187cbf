#include "rows.h"
#include "out.h"
#include "queue.h"
#include "session.h"
#include "stats.h"
#include "task.h"

#define WIRE_QUEUE(field) (UINT64_C(1) << wire_queue_F_##field)

static const struct setting nothing_set;

static void
put_setting(const struct setting *setting, struct om_buf *out)
{
    struct wire_setting record = { 0 };
    if (setting->weight)
        REC_SET(&record, wire_setting, weight, setting->weight);
    REC_SET(&record, wire_setting, concurrency, setting->concurrency);
    REC_SET(&record, wire_setting, rate, setting->rate);
    if (setting->rate)
        REC_SET(&record, wire_setting, rate_ms, setting->rate_ms);
    if (setting->paused)
        REC_SET(&record, wire_setting, paused, true);
    rec_encode(&wire_setting_rec, &record, out);
}

// ---- a queue

static int64_t
age_of(const struct core *self, const struct task *task)
{
    int64_t since_ms = task->created_ms;
    if (task->due_ms > since_ms)
        since_ms = task->due_ms;
    if (task->started_ms > since_ms)
        since_ms = task->started_ms;
    return self->now.wall_ms > since_ms ? self->now.wall_ms - since_ms : 0;
}

// The age of the oldest job of the share that is ready: one of those at the heads.
static int64_t
oldest_of(const struct core *self, const struct share *share)
{
    int64_t oldest_ms = 0;
    for (size_t band = 0; band < BANDS; band++) {
        if (!share->jobs[band])
            continue;
        struct flow *flow, *next;
        HASH_ITER (hh, share->jobs[band]->flows, flow, next) {
            if (!flow->items)
                continue;
            int64_t age_ms = age_of(self, TIMER_OWNER(flow->items, struct task, item));
            oldest_ms = age_ms > oldest_ms ? age_ms : oldest_ms;
        }
    }
    return oldest_ms;
}

static void
put_takers(const struct core *self, const struct queue_state *queue,
           struct wire_queue *record)
{
    const struct credit *credit;
    DL_FOREACH2(queue->takers, credit, queue_next)
    {
        if (!session_live(self, credit->session))
            continue;
        int64_t left = credit->limit - credit->sent - credit->reserved;
        record->workers++;
        record->credit += left > 0 ? left : 0;
    }
}

static void
put_state(struct core *self, const struct om_uuid *tenant, struct om_str name,
          struct wire_queue *record)
{
    struct queue_state *queue = queue_get(self, tenant, name);
    if (!queue)
        return;
    put_takers(self, queue, record);
    if (om_uuid_is_zero(tenant)) {
        struct share *share, *next;
        HASH_ITER (hh, queue->shares, share, next) {
            int64_t oldest_ms = oldest_of(self, share);
            if (oldest_ms > record->oldest_ms)
                record->oldest_ms = oldest_ms;
        }
    } else {
        const struct share *share = share_find(queue, tenant);
        record->oldest_ms = share ? oldest_of(self, share) : 0;
    }
    queue_tidy(self, queue);
}

static void
put_stats(const struct core *self, struct queue_stats *stats, struct wire_queue *record)
{
    record->ready = stats->gauges[GAUGE_READY];
    record->scheduled = stats->gauges[GAUGE_SCHEDULED];
    record->retrying = stats->gauges[GAUGE_RETRYING];
    record->blocked = stats->gauges[GAUGE_BLOCKED];
    record->running = stats->gauges[GAUGE_RUNNING];
    record->submitted = (int64_t)stats->tallies[TALLY_SUBMITTED];
    record->completed = (int64_t)stats->tallies[TALLY_COMPLETED];
    record->failed = (int64_t)stats->tallies[TALLY_FAILED];
    record->lost = (int64_t)stats->tallies[TALLY_LOST];
    record->in_rate = meter_rate(&stats->in, self->now.mono_ms);
    record->out_rate = meter_rate(&stats->out, self->now.mono_ms);
}

// Of the queue on which a subscriber gets events.
static void
put_lag(const struct core *self, struct om_str queue, struct wire_queue *record)
{
    record->has &= ~(WIRE_QUEUE(events_behind) | WIRE_QUEUE(events_stuck_ms) |
                     WIRE_QUEUE(events_dead));
    for (unsigned i = 0; i < SUBSCRIPTION_COUNT; i++) {
        if (!om_str_eq(queue, om_str(queues[subscriptions[i].queue].name)))
            continue;
        struct core_lag lag = core_lag(self, i);
        REC_SET(record, wire_queue, events_behind, lag.events);
        REC_SET(record, wire_queue, events_stuck_ms, lag.stuck_ms);
        REC_SET(record, wire_queue, events_dead, (int64_t)lag.dead);
    }
}

void
rows_add_queue(struct core *self, struct rows *rows, const struct om_uuid *tenant,
               struct om_str queue, const struct setting *setting)
{
    char text[OM_TYPEID_MAX];
    struct wire_queue record = { 0 };
    struct om_buf settings = { 0 };
    struct queue_stats *stats = stats_find(self, tenant, queue);
    put_state(self, tenant, queue, &record);
    if (stats)
        put_stats(self, stats, &record);
    record.has = (UINT64_C(1) << wire_queue_F_COUNT) - 1;
    record.queue = queue;
    record.tenant = (struct om_str){ text, om_typeid_encode(OM_ID_TENANT, tenant, text) };
    put_setting(setting, &settings);
    record.settings = om_buf_str(&settings);
    if (om_uuid_is_zero(tenant))
        record.has &= ~(WIRE_QUEUE(tenant) | WIRE_QUEUE(settings));
    put_lag(self, queue, &record);
    rec_encode(&wire_queue_rec, &record, &rows->records);
    om_buf_finish(&settings);
    rows->count++;
}

// ---- queues

static const struct setting *
setting_of(const struct core *self, const struct om_uuid *tenant, struct om_str queue)
{
    const struct limit *limit = limit_find(self, tenant, SETTING_QUEUE, queue);
    return limit ? &limit->now : &nothing_set;
}

static int
by_name(const void *a, const void *b)
{
    const struct om_str *x = a, *y = b;
    size_t size = x->size < y->size ? x->size : y->size;
    int order = memcmp(x->data, y->data, size);
    return order ? order : (x->size > y->size) - (x->size < y->size);
}

// Those something is known of or set for.
void
rows_add_queues_of(struct core *self, struct rows *rows, const struct om_uuid *tenant)
{
    struct stats_tenant *known = stats_tenant_find(self, tenant);
    struct limit_tenant *limits = limit_tenant_find(self, tenant);
    size_t count = 0, most = (known ? HASH_COUNT(known->parts) : 0) +
                             (limits ? limits->counts[SETTING_QUEUE] : 0);
    struct om_str *names = core_alloc((most + 1) * sizeof(*names));
    struct queue_stats *stats, *next_stats;
    if (known)
        HASH_ITER (hh, known->parts, stats, next_stats)
            names[count++] = om_str(stats->name);
    struct limit *limit, *next;
    if (limits)
        HASH_ITER (hh, limits->limits, limit, next)
            if (limit_scope(limit) == SETTING_QUEUE &&
                !stats_find(self, tenant, limit_name(limit)))
                names[count++] = limit_name(limit);
    qsort(names, count, sizeof(*names), by_name);
    for (size_t i = 0; i < count && rows->count < ROWS_MAX; i++)
        rows_add_queue(self, rows, tenant, names[i], setting_of(self, tenant, names[i]));
    free(names);
}

static int64_t
jobs_in(const struct queue_stats *stats)
{
    int64_t jobs = 0;
    for (unsigned gauge = GAUGE_READY; gauge < GAUGE_COUNT; gauge++)
        jobs += stats->gauges[gauge];
    return jobs;
}

static int
by_jobs(const void *a, const void *b)
{
    const struct queue_stats *const *x = a, *const *y = b;
    int64_t left = jobs_in(*x), right = jobs_in(*y);
    return (left < right) - (left > right);
}

void
rows_add_all(struct core *self, struct rows *rows, struct om_str queue)
{
    static const struct om_uuid all;
    for (size_t i = 0; i < QUEUE_COUNT; i++)
        if (!queue.data || om_str_eq(queue, om_str(queues[i].name)))
            rows_add_queue(self, rows, &all, om_str(queues[i].name), &nothing_set);

    struct stats_tenant *tenant, *next_tenant;
    struct queue_stats *stats, *next;
    size_t count = 0, most = 0;
    HASH_ITER (hh, self->stats_tenants, tenant, next_tenant)
        most += HASH_COUNT(tenant->parts);
    struct queue_stats **parts = core_alloc((most + 1) * sizeof(struct queue_stats *));
    HASH_ITER (hh, self->stats_tenants, tenant, next_tenant)
        HASH_ITER (hh, tenant->parts, stats, next)
            if (!om_uuid_is_zero(&tenant->id) &&
                (!queue.data || om_str_eq(queue, om_str(stats->name))))
                parts[count++] = stats;
    qsort(parts, count, sizeof(struct queue_stats *), by_jobs);
    for (size_t i = 0; i < count && rows->count < ROWS_MAX; i++) {
        const struct om_uuid *id = &parts[i]->tenant->id;
        struct om_str name = om_str(parts[i]->name);
        rows_add_queue(self, rows, id, name, setting_of(self, id, name));
    }
    free(parts);
}

void
core_queues(struct core *self, struct core_now now, struct om_buf *out)
{
    struct rows rows = { 0 };
    self->now = now;
    rows_add_all(self, &rows, (struct om_str){ 0 });
    om_pack_array(out, rows.count);
    om_buf_put(out, rows.records.data, rows.records.size);
    om_buf_finish(&rows.records);
}

// ---- limits

void
rows_add_limit(const struct core *self, struct rows *rows, struct limit *limit,
               const struct setting *setting)
{
    struct wire_limit record = { 0 };
    struct om_buf settings = { 0 };
    if (limit_scope(limit) == SETTING_KEY)
        REC_SET(&record, wire_limit, limit_key, limit_name(limit));
    rate_allows(&limit->rate, self->now.mono_ms); // which forgets what is over
    REC_SET(&record, wire_limit, running, limit->running);
    REC_SET(&record, wire_limit, started, limit->rate.started);
    put_setting(setting, &settings);
    REC_SET(&record, wire_limit, settings, om_buf_str(&settings));
    rec_encode(&wire_limit_rec, &record, &rows->records);
    om_buf_finish(&settings);
    rows->count++;
}

static int
by_limit_name(const void *a, const void *b)
{
    const struct limit *const *x = a, *const *y = b;
    struct om_str left = limit_name(*x), right = limit_name(*y);
    return by_name(&left, &right);
}

void
rows_add_limits_of(const struct core *self, struct rows *rows,
                   const struct om_uuid *tenant)
{
    struct limit_tenant *known = limit_tenant_find(self, tenant);
    if (!known)
        return;
    struct limit **limits =
        core_alloc(HASH_COUNT(known->limits) * sizeof(struct limit *));
    struct limit *limit, *next;
    size_t count = 0;
    HASH_ITER (hh, known->limits, limit, next)
        if (limit_scope(limit) != SETTING_QUEUE && !setting_is_empty(&limit->now))
            limits[count++] = limit;
    qsort(limits, count, sizeof(struct limit *), by_limit_name);
    for (size_t i = 0; i < count && rows->count < ROWS_MAX; i++)
        rows_add_limit(self, rows, limits[i], &limits[i]->now);
    free(limits);
}

// ---- the answer

struct out *
rows_finish(struct core *self, struct rows *rows, const struct asker *asker)
{
    struct om_buf array = { 0 };
    om_pack_array(&array, rows->count);
    om_buf_put(&array, rows->records.data, rows->records.size);
    struct payload *payload = payload_copy(om_buf_str(&array));
    if (array.failed || rows->records.failed || !payload)
        abort();
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, id, label_str(&asker->id));
    struct out *out = out_encode(self, asker->conn, WIRE_QUEUES, &msg, payload);
    payload_unref(&payload);
    om_buf_finish(&array);
    om_buf_finish(&rows->records);
    return out;
}
