#include "stats.h"
#include "admin.h"
#include "clock.h"
#include "metric_tenant.h"

enum { CLASS_FIRST = 2, CLASSES = STATUS_CLASSES - CLASS_FIRST }; // 2xx to 5xx

static const char *const class_names[CLASSES] = { "2xx", "3xx", "4xx", "5xx" };

// The last row is of requests without a route.
static struct {
    uint32_t answered[CLASSES], times;
} rows[INGEST_ROUTES_MAX + 1];

static uint32_t inflight, tenants, unauthorized;

// Of each code there is; the last is of others, such as those of a later version's
// answer.
enum { CODES_MAX = 64 };

static struct {
    const char *code;
    uint32_t cell;
} errors[CODES_MAX + 1];
static size_t error_count;

static void
open_row(size_t row, const char *method, const char *pattern)
{
    struct om_str by = om_str(method), at = om_str(pattern);
    for (size_t i = 0; i < CLASSES; i++)
        rows[row].answered[i] =
            om_metric_cell(M_omni_http_requests_total, by, at, om_str(class_names[i]));
    rows[row].times = om_metric_cell(M_omni_http_request_duration_seconds, by, at);
}

static void
open_errors(void)
{
    const char *code;
    for (int rc = OM_OK + 1; rc < OM_RC_COUNT && error_count < CODES_MAX; rc++)
        errors[error_count++].code = om_rc_info((enum om_rc)rc)->code;
    for (size_t i = 0; (code = error_code(i)) && error_count < CODES_MAX; i++)
        errors[error_count++].code = code;
    errors[error_count].code = "other";
    for (size_t i = 0; i <= error_count; i++)
        errors[i].cell = om_metric_cell(M_omni_http_errors_total, om_str(errors[i].code));
}

// ---- the page

static void
put_cache(struct ingest *self, struct om_scrape *scrape)
{
    static const char *const results[] = {
        [CACHED_HIT] = "hit", [CACHED_MISS] = "miss", [CACHED_BYPASS] = "bypass"
    };
    struct cache_counts counts = cache_count(self->cache);
    for (size_t row = 0; row < route_count; row++)
        for (size_t i = CACHED_HIT; i < CACHED_RESULTS && routes[row].cache.ttl_s; i++)
            om_scrape_put(scrape, M_omni_cache_requests_total,
                          (double)atomic_load(&self->cached[row][i]),
                          om_str(om_http_method_name(routes[row].method)),
                          om_str(routes[row].pattern), om_str(results[i]));
    om_scrape_put(scrape, M_omni_cache_answers, (double)counts.answers);
    om_scrape_put(scrape, M_omni_cache_bytes, (double)counts.bytes);
    om_scrape_put(scrape, M_omni_cache_evictions_total, (double)counts.pushed_out);
}

static void
put_limits(struct ingest *self, struct om_scrape *scrape)
{
    enum share_state state = share_state(self);
    om_scrape_put(scrape, M_omni_limits_counted, (double)counters_count(self->counters));
    om_scrape_put(scrape, M_omni_limits_refused_total,
                  (double)atomic_load(&self->limited));
    om_scrape_put(scrape, M_omni_cache_unanswered_total,
                  (double)atomic_load(&self->unshared));
    if (state != SHARE_NONE)
        om_scrape_put(scrape, M_omni_cache_up, state == SHARE_UP);
}

static void
put_others(struct ingest *self, struct om_scrape *scrape)
{
    size_t connections = 0;
    bool up = true;
    int64_t oldest_ms = INT64_MAX, expires_ms;
    for (int64_t i = 0; i < self->conf.threads; i++) {
        int64_t answered_ms = atomic_load(&self->answered_ms[i]);
        connections += atomic_load(&self->connections[i]);
        up = up && atomic_load(&self->linked[i]);
        oldest_ms = answered_ms < oldest_ms ? answered_ms : oldest_ms;
    }
    om_scrape_put(scrape, M_omni_http_connections, (double)connections);
    om_scrape_put(scrape, M_omni_broker_up, up);
    om_scrape_put(scrape, M_omni_request_log_total,
                  (double)atomic_load(&self->requests.kept), OM_LIT("kept"));
    om_scrape_put(scrape, M_omni_request_log_total,
                  (double)atomic_load(&self->requests.dropped), OM_LIT("dropped"));
    om_scrape_put(scrape, M_omni_failures_total,
                  (double)atomic_load(&self->failures.told), OM_LIT("told"));
    om_scrape_put(scrape, M_omni_failures_total,
                  (double)atomic_load(&self->failures.dropped), OM_LIT("dropped"));
    om_scrape_put(scrape, M_omni_identity_answer_age_seconds,
                  (double)(om_clock_mono_ms() - oldest_ms) / 1000);
    if (self->tls && om_tls_expiry(self->tls, &expires_ms))
        om_scrape_put(scrape, M_omni_tls_certificate_expiry_timestamp_seconds,
                      (double)expires_ms / 1000);
}

static void
on_scrape(void *context, struct om_scrape *scrape)
{
    put_limits(context, scrape);
    put_cache(context, scrape);
    put_others(context, scrape);
}

void
stats_open(struct ingest *ingest)
{
    for (size_t row = 0; row < route_count; row++)
        open_row(row, om_http_method_name(routes[row].method), routes[row].pattern);
    open_row(INGEST_ROUTES_MAX, "", "none");
    open_errors();
    unauthorized = om_metric_cell(M_omni_http_unauthorized_total);
    inflight = om_metric_cell(M_omni_http_inflight_requests);
    tenants = om_metric_tenants(M_omni_tenant_requests_total);
    om_metrics_on_scrape(on_scrape, ingest);
}

void
stats_close(struct ingest *ingest)
{
    om_metrics_forget(ingest);
}

// ---- counting

static void
count(size_t row, int status)
{
    int class = status / 100 - CLASS_FIRST;
    if (class >= 0 && class < CLASSES)
        om_metric_add(rows[row].answered[class], 1);
}

void
stats_begin(void)
{
    om_metric_add(inflight, 1);
}

void
stats_end(void)
{
    om_metric_add(inflight, UINT64_MAX);
}

void
stats_reply(const struct exchange *x, int status)
{
    size_t row = x->route ? (size_t)(x->route - routes) : INGEST_ROUTES_MAX;
    bool sampled = x->trace.flags & 1;
    count(row, status);
    om_metric_observe(rows[row].times, om_clock_mono_us() - x->started_us,
                      sampled ? x->trace.trace_id : NULL);
    if (status == 401)
        om_metric_add(unauthorized, 1);
    if (x->authenticated)
        om_metric_add_of(tenants, &x->caller.tenant, 1);
}

void
stats_error(const char *code)
{
    size_t i = 0;
    while (i < error_count && strcmp(errors[i].code, code) != 0)
        i++;
    om_metric_add(errors[i].cell, 1);
}

void
stats_refuse(int status)
{
    count(INGEST_ROUTES_MAX, status);
}

void
stats_turn(struct edge *edge)
{
    struct ingest *ingest = edge->ingest;
    bool open = om_link_is_open(om_client_link(edge->client));
    atomic_store_explicit(&ingest->linked[edge->number], open, memory_order_relaxed);
    atomic_store_explicit(&ingest->connections[edge->number],
                          om_http_connections(edge->loop), memory_order_relaxed);
    for (int64_t i = 0; i < ingest->conf.threads; i++)
        open = open && atomic_load_explicit(&ingest->linked[i], memory_order_relaxed);
    om_admin_set_ready(open && edge_ready(edge));
}
