// Prometheus text: what this edge answered, and what goes on in the queues.
#include <stddef.h>
#include <stdio.h>

#include "exchange.h"
#include "json.h"

enum {
    QUEUES_MS = 2000,  // for the broker to tell of its queues
    TENANTS_MAX = 100, // tenants' queues with a line of their own
    LINE_MAX = 320,
};

// ---- HTTP

static void
put_requests(const struct ingest *ingest, struct om_buf *out)
{
    om_json_put(out, "# HELP omni_http_requests_total Requests answered.\n"
                     "# TYPE omni_http_requests_total counter\n");
    for (size_t row = 0; row < INGEST_ROUTES_MAX; row++)
        for (size_t class = 1; class < STATUS_CLASSES; class ++) {
            char line[LINE_MAX];
            uint64_t count = atomic_load(&ingest->answered[row][class]);
            bool known = row < route_count;
            if (count == 0)
                continue;
            int size = snprintf(line, sizeof(line),
                                "omni_http_requests_total{method=\"%s\",route=\"%s\","
                                "code=\"%zuxx\"} %llu\n",
                                known ? om_http_method_name(routes[row].method) : "",
                                known ? routes[row].pattern : "none", class,
                                (unsigned long long)count);
            om_buf_put(out, line, (size_t)size);
        }
}

// ---- limits

static void
put_limits(struct ingest *ingest, struct om_buf *out)
{
    char lines[4 * LINE_MAX];
    enum share_state state = share_state(ingest);
    int size = snprintf(
        lines, sizeof(lines),
        "# HELP omni_limits_counted Limits that are counted at this edge.\n"
        "# TYPE omni_limits_counted gauge\n"
        "omni_limits_counted %zu\n"
        "# HELP omni_limits_refused_total Requests refused for a limit or a quota.\n"
        "# TYPE omni_limits_refused_total counter\n"
        "omni_limits_refused_total %llu\n",
        counters_count(ingest->counters),
        (unsigned long long)atomic_load(&ingest->limited));
    om_buf_put(out, lines, (size_t)size);
    if (state == SHARE_NONE)
        return;
    size = snprintf(
        lines, sizeof(lines),
        "# HELP omni_cache_up Whether all threads are connected to the shared cache.\n"
        "# TYPE omni_cache_up gauge\n"
        "omni_cache_up %d\n"
        "# HELP omni_cache_unanswered_total Decisions made without it.\n"
        "# TYPE omni_cache_unanswered_total counter\n"
        "omni_cache_unanswered_total %llu\n",
        state == SHARE_UP, (unsigned long long)atomic_load(&ingest->unshared));
    om_buf_put(out, lines, (size_t)size);
}

// ---- requests that failed

static void
put_request_log(struct ingest *ingest, struct om_buf *out)
{
    char lines[2 * LINE_MAX];
    int size = snprintf(
        lines, sizeof(lines),
        "# HELP omni_request_log_total Requests that failed, by whether they were kept.\n"
        "# TYPE omni_request_log_total counter\n"
        "omni_request_log_total{result=\"kept\"} %llu\n"
        "omni_request_log_total{result=\"dropped\"} %llu\n",
        (unsigned long long)atomic_load(&ingest->requests.kept),
        (unsigned long long)atomic_load(&ingest->requests.dropped));
    om_buf_put(out, lines, (size_t)size);
}

// ---- the cache of answers

static void
put_cache(struct ingest *ingest, struct om_buf *out)
{
    static const char *const results[] = {
        [CACHED_HIT] = "hit", [CACHED_MISS] = "miss", [CACHED_BYPASS] = "bypass"
    };
    char lines[4 * LINE_MAX];
    struct cache_counts counts = cache_count(ingest->cache);
    om_json_put(out,
                "# HELP omni_cache_requests_total Requests answered of routes with a "
                "cache policy.\n# TYPE omni_cache_requests_total counter\n");
    for (size_t row = 0; row < route_count; row++)
        for (size_t i = CACHED_HIT; i < CACHED_RESULTS && routes[row].cache.ttl_s; i++) {
            int size = snprintf(lines, sizeof(lines),
                                "omni_cache_requests_total{method=\"%s\",route=\"%s\","
                                "result=\"%s\"} %llu\n",
                                om_http_method_name(routes[row].method),
                                routes[row].pattern, results[i],
                                (unsigned long long)atomic_load(&ingest->cached[row][i]));
            om_buf_put(out, lines, (size_t)size);
        }
    int size = snprintf(
        lines, sizeof(lines),
        "# HELP omni_cache_answers Answers that are kept in memory.\n"
        "# TYPE omni_cache_answers gauge\n"
        "omni_cache_answers %zu\n"
        "# HELP omni_cache_bytes What they take of it.\n"
        "# TYPE omni_cache_bytes gauge\n"
        "omni_cache_bytes %zu\n"
        "# HELP omni_cache_evictions_total Answers forgotten because memory was full.\n"
        "# TYPE omni_cache_evictions_total counter\n"
        "omni_cache_evictions_total %llu\n",
        counts.answers, counts.bytes, (unsigned long long)counts.pushed_out);
    om_buf_put(out, lines, (size_t)size);
}

// ---- queues

// A number of wire_queue; `per` divides it.
struct metric {
    const char *name, *type, *help;
    size_t offset;
    double per;
};

#define AT(member) offsetof(struct wire_queue, member)

// clang-format off
static const struct metric metrics[] = {
    { "omni_queue_ready",           "gauge",   "Jobs that could start now.", AT(ready), 1 },
    { "omni_queue_scheduled",       "gauge",   "Jobs that wait for their time.", AT(scheduled), 1 },
    { "omni_queue_retrying",        "gauge",   "Jobs that wait for their next attempt.", AT(retrying), 1 },
    { "omni_queue_blocked",         "gauge",   "Jobs that wait for other jobs.", AT(blocked), 1 },
    { "omni_queue_running",         "gauge",   "Jobs at workers.", AT(running), 1 },
    { "omni_queue_oldest_seconds",  "gauge",   "Age of the oldest job that could start.", AT(oldest_ms), 1000 },
    { "omni_queue_workers",         "gauge",   "Sessions of workers.", AT(workers), 1 },
    { "omni_queue_credit",          "gauge",   "Jobs the workers would take now.", AT(credit), 1 },
    { "omni_queue_submitted_total", "counter", "Jobs submitted since the broker's start.", AT(submitted), 1 },
    { "omni_queue_completed_total", "counter", "Jobs that succeeded since then.", AT(completed), 1 },
    { "omni_queue_failed_total",    "counter", "Dead letters since then.", AT(failed), 1 },
    { "omni_queue_lost_total",      "counter", "Attempts whose worker was lost since then.", AT(lost), 1 },
    { "omni_events_behind",         "gauge",   "Events a subscriber has not applied, at most.", AT(events_behind), 1 },
    { "omni_events_stuck_seconds",  "gauge",   "Since the slowest cursor with events moved.", AT(events_stuck_ms), 1000 },
    { "omni_events_dead_total",     "counter", "Events set aside since the broker's start.", AT(events_dead), 1 },
};
// clang-format on

static int64_t
value_of(const struct wire_queue *row, const struct metric *metric)
{
    int64_t value;
    memcpy(&value, (const char *)row + metric->offset, sizeof(value));
    return value;
}

static void
put_value(struct om_buf *out, const struct metric *metric, struct om_str queue,
          struct om_str tenant, int64_t value)
{
    char line[LINE_MAX], label[64] = "";
    if (tenant.size)
        snprintf(label, sizeof(label), ",tenant=\"%.*s\"", (int)tenant.size, tenant.data);
    int size = snprintf(line, sizeof(line), "%s{queue=\"%.*s\"%s} %.15g\n", metric->name,
                        (int)queue.size, queue.data, label, (double)value / metric->per);
    om_buf_put(out, line, (size_t)size);
}

// The platform's queues, all tenants together; then tenants' own, those with most jobs
// first, the last of which are one line. Names of queues and tenants need no escapes.
static void
put_metric(struct om_buf *out, const struct metric *metric, const struct wire_queue *rows,
           size_t count)
{
    char head[LINE_MAX];
    int size = snprintf(head, sizeof(head), "# HELP %s %s\n# TYPE %s %s\n", metric->name,
                        metric->help, metric->name, metric->type);
    om_buf_put(out, head, (size_t)size);
    size_t lines = 0;
    int64_t others = 0;
    for (size_t i = 0; i < count; i++) {
        bool own = rows[i].tenant.size > 0;
        if (metric->offset >= AT(events_behind) &&
            !REC_HAS(&rows[i], wire_queue, events_behind))
            continue; // no subscriber's
        if (own && queue_find(rows[i].queue))
            continue; // counted in the queue's line
        if (own && ++lines > TENANTS_MAX)
            others += value_of(&rows[i], metric);
        else
            put_value(out, metric, rows[i].queue, rows[i].tenant,
                      value_of(&rows[i], metric));
    }
    if (lines > TENANTS_MAX)
        put_value(out, metric, OM_LIT("other"), OM_LIT("other"), others);
}

static void
put_queues(struct exchange *x, struct om_str payload)
{
    struct rec_iter iter = rec_iter(payload);
    size_t count = 0;
    struct wire_queue *rows = om_arena_alloc(&x->arena, (iter.left + 1) * sizeof(*rows));
    for (struct om_str bytes; rec_next_raw(&iter, &bytes);)
        count += rec_decode(&wire_queue_rec, bytes, &rows[count], NULL) == OM_OK;
    for (size_t i = 0; i < OM_COUNT(metrics); i++)
        put_metric(&x->edge->out, &metrics[i], rows, count);
}

// ---- the page

static void
reply(struct exchange *x)
{
    struct om_http_response response = { .status = 200,
                                         .content_type =
                                             OM_LIT("text/plain; version=0.0.4"),
                                         .body = om_buf_str(&x->edge->out) };
    exchange_reply(x, &response);
}

// Without the broker there is the edge's own part still.
static void
on_queues(void *context, const struct om_answer *answer)
{
    struct exchange *x = context;
    bool up = answer->rc == OM_OK;
    x->pending = 0;
    put_requests(x->edge->ingest, &x->edge->out);
    put_limits(x->edge->ingest, &x->edge->out);
    put_request_log(x->edge->ingest, &x->edge->out);
    put_cache(x->edge->ingest, &x->edge->out);
    om_json_put(&x->edge->out,
                "# HELP omni_broker_up Whether the broker told of its queues.\n"
                "# TYPE omni_broker_up gauge\n");
    om_json_put(&x->edge->out, up ? "omni_broker_up 1\n" : "omni_broker_up 0\n");
    if (up)
        put_queues(x, answer->payload);
    reply(x);
}

void
show_metrics(struct exchange *x)
{
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, action, OM_LIT("list"));
    exchange_send(x, WIRE_QUEUE, &msg, (struct om_str){ 0 }, QUEUES_MS, on_queues);
}
