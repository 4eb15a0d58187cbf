// race.c - threads that write spans and count, while others export and scrape: for
// ThreadSanitizer (preset tsan), and to see that nothing is lost or counted twice.
//
// race: spans go to the file of OMNI_TRACE_DIR, or where OTEL_* says. Status 0: all is
// accounted for.
#include <pthread.h>
#include <stdio.h>

#include "id.h"
#include "log.h"
#include "metric_tenant.h"
#include "tracing.h"

enum { THREADS = 6, EACH = 3000, TENANTS = 130 };

static atomic_bool over;
static struct om_uuid tenants[TENANTS];

static void *
work(void *context)
{
    uint32_t counter = om_metric_cell(M_omni_log_lines_total, OM_LIT("error"));
    uint32_t times = om_metric_cell(M_omni_commit_duration_seconds);
    uint32_t of = om_metric_tenants(M_omni_tenant_requests_total, (struct om_str){ 0 });
    for (int i = 0; i < EACH; i++) {
        struct om_trace trace = om_span_root();
        om_span_enter(&trace, OM_LIT("vendor=1"));
        struct om_span_part part = om_span_part_begin();
        om_metric_add(counter, 1);
        om_metric_observe(times, i, trace.trace_id);
        om_metric_add_of(of, &tenants[i % TENANTS], 1);
        struct om_span *span = om_span_part_end(&part, i % 10 ? NULL : "internal");
        om_span_name(span, "part");
        om_span_end(span);
        span = om_span_begin(&trace, NULL, OM_SPAN_SERVER, 1, false);
        om_span_name(span, "whole %d", i);
        om_span_str(span, OM_ATTR_PATH, OM_LIT("/\xff"));
        om_span_end(span);
        om_span_leave();
    }
    return context;
}

static void *
scrape(void *context)
{
    struct om_buf page = { 0 };
    while (!atomic_load(&over)) {
        om_buf_reset(&page);
        om_metrics_write(&page, METRIC_OPENMETRICS, NULL, NULL);
        (void)om_span_counts();
    }
    om_buf_finish(&page);
    return context;
}

static bool
has_line(const char *line)
{
    struct om_buf page = { 0 };
    om_metrics_write(&page, METRIC_TEXT, NULL, NULL);
    om_buf_put(&page, "", 1);
    bool found = page.data && strstr(page.data, line);
    om_buf_finish(&page);
    return found;
}

int
main(void)
{
    pthread_t threads[THREADS], scraper;
    char line[128];
    om_log_init("race");
    om_metrics_init("race", ~0u);
    om_tracing_start("race", "race");
    for (int i = 0; i < TENANTS; i++)
        tenants[i] = om_id_new(9);
    pthread_create(&scraper, NULL, scrape, NULL);
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, work, NULL);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    atomic_store(&over, true);
    pthread_join(scraper, NULL);
    struct om_span_counts spans = om_tracing_stop();
    snprintf(line, sizeof(line), "\nomni_log_lines_total{level=\"error\"} %d\n",
             THREADS * EACH);
    bool counted = has_line(line);
    bool whole = spans.written + spans.dropped == 2 * THREADS * EACH;
    printf("%llu spans written, %llu dropped; %s, %s\n",
           (unsigned long long)spans.written, (unsigned long long)spans.dropped,
           whole ? "all accounted for" : "SOME ARE MISSING",
           counted ? "each count there" : "COUNTS ARE MISSING");
    return whole && counted ? 0 : 1;
}
