// Writes the page of metrics.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "clock.h"
#include "id.h"
#include "json.h"
#include "metric_inner.h"
#include "metric_tenant.h"
#include "process_stats.h"
#include "span.h"

enum { HOOKS_MAX = 16, LINE_MAX_BYTES = METRIC_LABELS_TEXT_MAX + 320 };

// A value that a hook told; its labels are in `texts`.
struct sample {
    enum om_metric metric;
    uint32_t next; // of the same metric, from 1
    size_t labels, size;
    double value;
};

struct om_scrape {
    struct om_buf *out;
    enum om_metric_format format;
    struct om_buf samples, texts;
    uint32_t count, first[METRIC_COUNT_], last[METRIC_COUNT_];
};

// One page is written at a time: it calls the hooks.
static pthread_mutex_t page_lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    om_metric_hook *hook;
    void *context;
} hooks[HOOKS_MAX];
static size_t hook_count;
static const char *service_name = "";

void
om_metrics_init(const char *service, unsigned groups)
{
    service_name = service;
    metric_registry.groups = groups | METRICS_BIT(PROCESS);
}

void
om_metrics_on_scrape(om_metric_hook *hook, void *context)
{
    pthread_mutex_lock(&page_lock);
    if (hook_count < HOOKS_MAX) {
        hooks[hook_count].hook = hook;
        hooks[hook_count++].context = context;
    }
    pthread_mutex_unlock(&page_lock);
}

void
om_metrics_forget(const void *context)
{
    size_t kept = 0;
    pthread_mutex_lock(&page_lock);
    for (size_t i = 0; i < hook_count; i++)
        if (hooks[i].context != context)
            hooks[kept++] = hooks[i];
    hook_count = kept;
    pthread_mutex_unlock(&page_lock);
}

// ---- what hooks tell

void
om_scrape_add(struct om_scrape *scrape, enum om_metric metric, double value,
              const struct om_str *values)
{
    char labels[METRIC_LABELS_TEXT_MAX];
    struct sample sample = { .metric = metric,
                             .labels = scrape->texts.size,
                             .size = metric_labels(metric, values, labels),
                             .value = value };
    om_buf_put(&scrape->texts, labels, sample.size);
    om_buf_put(&scrape->samples, &sample, sizeof(sample));
    if (scrape->samples.failed)
        return;
    uint32_t at = ++scrape->count;
    if (scrape->last[metric])
        ((struct sample *)(void *)scrape->samples.data)[scrape->last[metric] - 1].next =
            at;
    else
        scrape->first[metric] = at;
    scrape->last[metric] = at;
}

// ---- lines

static size_t
put_number(char *out, size_t room, double value)
{
    if (isinf(value))
        return (size_t)snprintf(out, room, "%cInf", value < 0 ? '-' : '+');
    if (fabs(value) < 1e15 && value == (double)(int64_t)value)
        return (size_t)snprintf(out, room, "%lld", (long long)value);
    return (size_t)snprintf(out, room, "%.15g", value);
}

static size_t
put_micros(char *out, size_t room, uint64_t micros)
{
    int64_t value = (int64_t)micros;
    const char *sign = value < 0 ? "-" : "";
    uint64_t size = value < 0 ? -micros : micros;
    return (size_t)snprintf(out, room, "%s%llu.%06llu", sign,
                            (unsigned long long)(size / 1000000),
                            (unsigned long long)(size % 1000000));
}

// NAME SUFFIX {LABELS,MORE} NUMBER; the number is text.
static void
put_line(struct om_scrape *scrape, const char *name, const char *suffix,
         const char *labels, size_t labels_size, const char *more, const char *number)
{
    char *at = om_buf_room(scrape->out, LINE_MAX_BYTES);
    if (!at)
        return;
    char *begin = at;
    at = stpcpy(stpcpy(at, name), suffix);
    if (labels_size || *more) {
        *at++ = '{';
        memcpy(at, labels, labels_size);
        at += labels_size;
        if (labels_size && *more)
            *at++ = ',';
        at = stpcpy(at, more);
        *at++ = '}';
    }
    *at++ = ' ';
    at = stpcpy(at, number);
    *at++ = '\n';
    scrape->out->size += (size_t)(at - begin);
}

// "# {trace_id="…"} 0.067 1700000000.123" behind the line of a bucket.
static void
put_exemplar(struct om_scrape *scrape, uint32_t cell)
{
    struct metric_exemplar *kept = &metric_registry.exemplars[cell];
    char line[128], hex[33], took[32];
    if (atomic_flag_test_and_set_explicit(&kept->busy, memory_order_acquire))
        return;
    int64_t wall_ms = kept->wall_ms;
    om_hex(kept->trace_id, sizeof(kept->trace_id), hex);
    put_micros(took, sizeof(took), (uint64_t)kept->took_us);
    atomic_flag_clear_explicit(&kept->busy, memory_order_release);
    if (!wall_ms)
        return;
    int size = snprintf(line, sizeof(line), " # {trace_id=\"%s\"} %s %lld.%03lld\n", hex,
                        took, (long long)(wall_ms / 1000), (long long)(wall_ms % 1000));
    scrape->out->size--; // the end of the line
    om_buf_put(scrape->out, line, (size_t)size);
}

static bool
has_times(const struct metric_series *series)
{
    for (uint32_t i = 0; i <= METRIC_EDGES; i++)
        if (metric_sum(series->cell + i))
            return true;
    return false;
}

static void
put_times(struct om_scrape *scrape, const char *name, const struct metric_series *series)
{
    if (*series->labels && !has_times(series))
        return; // twenty lines of nothing
    uint64_t count = 0;
    char number[32], le[32];
    size_t size = strlen(series->labels);
    for (uint32_t i = 0; i <= METRIC_EDGES; i++) {
        count += metric_sum(series->cell + i);
        snprintf(number, sizeof(number), "%llu", (unsigned long long)count);
        snprintf(le, sizeof(le), "le=\"%s\"", om_metric_edge_names[i]);
        put_line(scrape, name, "_bucket", series->labels, size, le, number);
        if (scrape->format == METRIC_OPENMETRICS && !scrape->out->failed)
            put_exemplar(scrape, series->cell + i);
    }
    put_micros(le, sizeof(le), metric_sum(series->cell + METRIC_EDGES + 1));
    put_line(scrape, name, "_sum", series->labels, size, "", le);
    put_line(scrape, name, "_count", series->labels, size, "", number);
}

static void
put_count(struct om_scrape *scrape, const struct om_metric_info *info, const char *labels,
          uint64_t value)
{
    char number[48];
    if (info->type == METRIC_MICROS)
        put_micros(number, sizeof(number), value);
    else
        snprintf(number, sizeof(number), info->type == METRIC_LEVEL ? "%lld" : "%llu",
                 (long long)value);
    put_line(scrape, info->name, "", labels, strlen(labels), "", number);
}

// The ranks that somebody has; and what is all others'.
static void
put_tenants(struct om_scrape *scrape, const struct om_metric_info *info,
            const struct metric_series *series)
{
    char labels[METRIC_LABELS_TEXT_MAX], id[OM_TYPEID_MAX];
    for (uint32_t rank = 0; rank < METRIC_RANKS; rank++) {
        struct om_uuid tenant;
        if (rank > 0 && !metric_tenant_of(rank, &tenant))
            break;
        if (rank > 0)
            om_typeid_encode(OM_ID_TENANT, &tenant, id);
        snprintf(labels, sizeof(labels), "tenant=\"%s\"%s%s", rank ? id : "other",
                 *series->labels ? "," : "", series->labels);
        uint64_t value = metric_sum(series->cell + rank) - series->bases[rank];
        if (rank == 0 || value)
            put_count(scrape, info, labels, value);
    }
}

static void
put_gauge(struct om_scrape *scrape, const struct om_metric_info *info,
          const struct metric_series *series)
{
    char number[48];
    double value;
    uint64_t bits =
        atomic_load_explicit(&metric_registry.set[series->cell], memory_order_relaxed);
    if (!bits)
        return; // it was not set yet
    memcpy(&value, &bits, sizeof(value));
    put_number(number, sizeof(number), value);
    put_line(scrape, info->name, "", series->labels, strlen(series->labels), "", number);
}

static void
put_series(struct om_scrape *scrape, const struct om_metric_info *info,
           const struct metric_series *series)
{
    if (series->tenants)
        put_tenants(scrape, info, series);
    else if (info->type == METRIC_TIMES)
        put_times(scrape, info->name, series);
    else if (info->type == METRIC_GAUGE)
        put_gauge(scrape, info, series);
    else
        put_count(scrape, info, series->labels, metric_sum(series->cell));
}

static void
put_sample(struct om_scrape *scrape, const struct om_metric_info *info,
           const struct sample *sample)
{
    char number[48];
    put_number(number, sizeof(number), sample->value);
    put_line(scrape, info->name, "", scrape->texts.data + sample->labels, sample->size,
             "", number);
}

// ---- metrics

// In OpenMetrics the name of a counter is without its ending.
static void
put_head(struct om_scrape *scrape, const struct om_metric_info *info)
{
    char head[512];
    size_t name = strlen(info->name), unit = strlen(info->unit);
    bool open = scrape->format == METRIC_OPENMETRICS;
    if (open && (info->type == METRIC_COUNT || info->type == METRIC_MICROS))
        name -= strlen("_total");
    int size = snprintf(head, sizeof(head), "# HELP %.*s %s\n# TYPE %.*s %s\n", (int)name,
                        info->name, info->help, (int)name, info->name,
                        om_metric_type_names[info->type]);
    om_buf_put(scrape->out, head, (size_t)size);
    if (!open || !unit || name < unit ||
        memcmp(info->name + name - unit, info->unit, unit) != 0)
        return;
    size = snprintf(head, sizeof(head), "# UNIT %.*s %s\n", (int)name, info->name,
                    info->unit);
    om_buf_put(scrape->out, head, (size_t)size);
}

static void
put_metric(struct om_scrape *scrape, enum om_metric metric)
{
    const struct om_metric_info *info = &om_metric_table[metric];
    const struct metric_registry *registry = &metric_registry;
    const struct sample *samples = (const void *)scrape->samples.data;
    if (!registry->first[metric] && !scrape->first[metric])
        return;
    size_t before = scrape->out->size;
    put_head(scrape, info);
    size_t head = scrape->out->size;
    for (uint32_t at = registry->first[metric]; at; at = registry->series[at].next)
        put_series(scrape, info, &registry->series[at]);
    for (uint32_t at = scrape->first[metric]; at; at = samples[at - 1].next)
        put_sample(scrape, info, &samples[at - 1]);
    if (scrape->out->size == head && !scrape->out->failed)
        scrape->out->size = before; // nothing to say
}

// ---- the page

enum om_metric_format
om_metrics_accepted(struct om_str accept)
{
    struct om_str open = OM_LIT("application/openmetrics-text");
    bool wants = accept.size && memmem(accept.data, accept.size, open.data, open.size);
    return wants ? METRIC_OPENMETRICS : METRIC_TEXT;
}

struct om_str
om_metrics_media_type(enum om_metric_format format)
{
    return format == METRIC_OPENMETRICS
               ? OM_LIT("application/openmetrics-text; version=1.0.0; charset=utf-8")
               : OM_LIT("text/plain; version=0.0.4; charset=utf-8");
}

// What the former tenant of a rank has counted is not the next one's.
static void
begin_anew(uint32_t rank)
{
    struct metric_registry *registry = &metric_registry;
    for (uint32_t at = 1; at < registry->series_count; at++) {
        struct metric_series *series = &registry->series[at];
        if (series->tenants)
            series->bases[rank] = metric_sum(series->cell + rank);
    }
}

static void
put_spans(struct om_scrape *scrape)
{
    struct om_span_counts counts = om_span_counts();
    om_scrape_put(scrape, M_omni_otel_spans_written_total, (double)counts.written);
    om_scrape_put(scrape, M_omni_otel_spans_dropped_total, (double)counts.dropped);
    om_scrape_put(scrape, M_omni_otel_spans_exported_total, (double)counts.exported);
    om_scrape_put(scrape, M_omni_otel_spans_lost_total, (double)counts.lost);
}

static void
ask_hooks(struct om_scrape *scrape)
{
    om_scrape_put(scrape, M_omni_build_info, 1, om_str(service_name),
                  OM_LIT(OMNI_VERSION));
    process_stats(scrape);
    put_spans(scrape);
    for (size_t i = 0; i < hook_count; i++)
        hooks[i].hook(hooks[i].context, scrape);
}

void
om_metrics_write(struct om_buf *out, enum om_metric_format format, om_metric_hook *hook,
                 void *context)
{
    pthread_mutex_lock(&page_lock);
    int64_t began_us = om_clock_mono_us();
    struct om_scrape *scrape = calloc(1, sizeof(*scrape));
    if (scrape) {
        static uint32_t took;
        if (!took)
            took = om_metric_cell(M_omni_scrape_duration_seconds);
        scrape->out = out;
        scrape->format = format;
        ask_hooks(scrape);
        if (hook)
            hook(context, scrape);
        pthread_mutex_lock(&metric_registry.lock);
        metric_tenants_rank(om_clock_mono_ms(), begin_anew);
        for (unsigned i = 0; i < METRIC_COUNT_; i++)
            put_metric(scrape, (enum om_metric)i);
        pthread_mutex_unlock(&metric_registry.lock);
        if (format == METRIC_OPENMETRICS)
            om_json_put(out, "# EOF\n");
        om_metric_set(took, (double)(om_clock_mono_us() - began_us) / 1e6);
        om_buf_finish(&scrape->samples);
        om_buf_finish(&scrape->texts);
        free(scrape);
    }
    pthread_mutex_unlock(&page_lock);
}
