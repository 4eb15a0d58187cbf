#include <criterion/criterion.h>
#include <ctype.h>
#include <pthread.h>
#include <stdio.h>

#include "clock.h"
#include "id.h"
#include "metric_tenant.h"

static struct om_buf page;

static const char *
scrape(enum om_metric_format format, om_metric_hook *hook, void *context)
{
    om_buf_finish(&page);
    om_metrics_write(&page, format, hook, context);
    om_buf_put(&page, "", 1);
    return page.data;
}

static bool
has(const char *line)
{
    const char *at = strstr(scrape(METRIC_TEXT, NULL, NULL), line);
    return at && (at == page.data || at[-1] == '\n') && at[strlen(line)] == '\n';
}

static void
open_all(void)
{
    om_metrics_init("test", ~0u);
}

TestSuite(metrics, .init = open_all);

// ---- the table

Test(metrics, are_named_by_the_rules)
{
    for (size_t i = 0; i < METRIC_COUNT_; i++) {
        const struct om_metric_info *info = &om_metric_table[i];
        size_t size = strlen(info->name), help = strlen(info->help);
        const char *total = "_total";
        bool counts = info->type == METRIC_COUNT || info->type == METRIC_MICROS;
        bool ends = size > 6 && strcmp(info->name + size - 6, total) == 0;
        cr_expect_eq(counts, ends, "%s", info->name);
        cr_expect(strncmp(info->name, "omni_", 5) == 0 ||
                      strncmp(info->name, "process_", 8) == 0,
                  "%s", info->name);
        cr_expect(help > 0 && info->help[help - 1] == '.', "%s", info->name);
        cr_expect(!*info->unit || strstr(info->name, info->unit), "%s", info->name);
        cr_expect(info->type != METRIC_TIMES || strcmp(info->unit, "seconds") == 0);
        for (size_t k = 0; k < i; k++)
            cr_expect_neq(strcmp(info->name, om_metric_table[k].name), 0, "%s twice",
                          info->name);
    }
}

static char *
read_all(FILE *file)
{
    static char text[2][1 << 18];
    static int which;
    char *out = text[which++ % 2];
    cr_assert(file);
    out[fread(out, 1, sizeof(text[0]) - 1, file)] = '\0';
    return out;
}

Test(metrics, are_documented_as_they_are)
{
    FILE *made = popen(OMNI_BIN_DIR "/omni-metricdoc", "re");
    FILE *kept = fopen(OMNI_SOURCE_DIR "/docs/metrics.md", "re");
    cr_expect_str_eq(read_all(made), read_all(kept),
                     "docs/metrics.md is out of date: ninja metric-reference");
    pclose(made);
    fclose(kept);
}

Test(metrics, have_few_labels)
{
    for (size_t i = 0; i < METRIC_COUNT_; i++) {
        size_t labels = 0;
        for (const char *at = om_metric_table[i].labels; *at; at++) {
            cr_expect(islower(*at) || *at == ',' || *at == '_');
            labels += at == om_metric_table[i].labels || *at == ',';
        }
        cr_expect_leq(labels, METRIC_LABELS_MAX, "%s", om_metric_table[i].name);
    }
}

Test(metrics, have_the_objectives_as_edges)
{
    bool half = false, two = false;
    for (size_t i = 0; i < METRIC_EDGES; i++) {
        half = half || om_metric_edges_us[i] == 500000;
        two = two || om_metric_edges_us[i] == 2000000;
        cr_expect(i == 0 || om_metric_edges_us[i] > om_metric_edges_us[i - 1]);
    }
    cr_expect(half && two);
}

// ---- counting

enum { THREADS = 8, EACH = 100000 };

static void *
count_up(void *context)
{
    uint32_t cell = *(uint32_t *)context;
    for (int i = 0; i < EACH; i++)
        om_metric_add(cell, 1);
    return NULL;
}

Test(metrics, add_up_over_threads_that_ended_and_began)
{
    uint32_t cell = om_metric_cell(M_omni_log_lines_total, OM_LIT("info"));
    cr_assert_neq(cell, 0);
    cr_expect_eq(cell, om_metric_cell(M_omni_log_lines_total, OM_LIT("info")));
    for (int round = 0; round < 2; round++) {
        pthread_t threads[THREADS];
        for (size_t i = 0; i < THREADS; i++)
            cr_assert_eq(pthread_create(&threads[i], NULL, count_up, &cell), 0);
        for (size_t i = 0; i < THREADS; i++)
            pthread_join(threads[i], NULL);
    }
    cr_expect(has("omni_log_lines_total{level=\"info\"} 1600000"), "%s", page.data);
}

Test(metrics, of_groups_a_program_does_not_show_are_nobodys)
{
    om_metrics_init("test", METRICS_BIT(SERVICE));
    uint32_t cell = om_metric_cell(M_omni_http_inflight_requests);
    cr_expect_eq(cell, 0);
    om_metric_add(cell, 7);
    om_metric_observe(cell, 7, NULL);
    cr_expect(!strstr(scrape(METRIC_TEXT, NULL, NULL), "omni_http"), "%s", page.data);
    cr_expect(strstr(page.data, "omni_build_info{service=\"test\",version="));
    cr_expect(strstr(page.data, "\nprocess_open_fds "));
}

Test(metrics, go_down_when_they_are_levels)
{
    uint32_t cell = om_metric_cell(M_omni_http_inflight_requests);
    om_metric_add(cell, 3);
    om_metric_add(cell, UINT64_MAX);
    cr_expect(has("omni_http_inflight_requests 2"), "%s", page.data);
    om_metric_add(cell, (uint64_t)-3);
    cr_expect(has("omni_http_inflight_requests -1"), "%s", page.data);
}

Test(metrics, of_gauges_are_shown_once_they_are_set)
{
    uint32_t cell = om_metric_cell(M_omni_event_age_seconds);
    cr_expect(!strstr(scrape(METRIC_TEXT, NULL, NULL), "omni_event_age"));
    om_metric_set(cell, 0);
    cr_expect(has("omni_event_age_seconds 0"), "%s", page.data);
    om_metric_set(cell, 1.5);
    cr_expect(has("omni_event_age_seconds 1.5"), "%s", page.data);
}

// ---- histograms

static void
write_bucket(char line[128], const char *operation, const char *edge, int count)
{
    snprintf(line, 128,
             "omni_operation_duration_seconds_bucket{operation=\"%s\",le=\"%s\"} %d",
             operation, edge, count);
}

Test(metrics, put_a_time_into_its_bucket)
{
    static const struct {
        int64_t us;
        const char *first; // bucket that has it
        const char *before;
    } rows[] = {
        { 0, "0.0001", NULL },        { -5, "0.0001", NULL },
        { 100, "0.0001", NULL },      { 101, "0.0005", "0.0001" },
        { 500000, "0.5", "0.25" },    { 500001, "0.75", "0.5" },
        { 2000000, "2.0", "1.0" },    { 2000001, "2.5", "2.0" },
        { 10000001, "+Inf", "10.0" }, { INT64_MAX / 2, "+Inf", "10.0" },
    };
    for (size_t i = 0; i < OM_COUNT(rows); i++) {
        char operation[16], line[128];
        snprintf(operation, sizeof(operation), "op%zu", i);
        uint32_t cell =
            om_metric_cell(M_omni_operation_duration_seconds, om_str(operation));
        om_metric_observe(cell, rows[i].us, NULL);
        write_bucket(line, operation, rows[i].first, 1);
        cr_expect(has(line), "%s", line);
        if (rows[i].before) {
            write_bucket(line, operation, rows[i].before, 0);
            cr_expect(has(line), "%s", line);
        }
    }
}

Test(metrics, sum_up_times_in_seconds)
{
    uint32_t cell = om_metric_cell(M_omni_operation_duration_seconds, OM_LIT("a"));
    om_metric_observe(cell, 1500000, NULL);
    om_metric_observe(cell, 250, NULL);
    cr_expect(has("omni_operation_duration_seconds_sum{operation=\"a\"} 1.500250"));
    cr_expect(has("omni_operation_duration_seconds_count{operation=\"a\"} 2"));
}

Test(metrics, give_a_trace_as_an_example_in_openmetrics_alone)
{
    const uint8_t trace_id[16] = { 0xab, [15] = 0x01 };
    uint32_t cell = om_metric_cell(M_omni_operation_duration_seconds, OM_LIT("a"));
    om_metric_observe(cell, 600000, trace_id);
    const char *text = scrape(METRIC_OPENMETRICS, NULL, NULL);
    const char *bucket =
        "le=\"0.75\"} 1 # {trace_id=\"ab000000000000000000000000000001\"} "
        "0.600000 ";
    cr_expect(strstr(text, bucket), "%s", text);
    cr_expect(!strstr(scrape(METRIC_TEXT, NULL, NULL), "trace_id"));
}

// ---- the page

Test(metrics, are_written_as_openmetrics_wants_it)
{
    om_metric_add(om_metric_cell(M_omni_log_lines_total, OM_LIT("warn")), 1);
    const char *text = scrape(METRIC_OPENMETRICS, NULL, NULL);
    cr_expect(strstr(text, "# TYPE omni_log_lines counter\n"), "%s", text);
    cr_expect(strstr(text, "\nomni_log_lines_total{level=\"warn\"} 1\n"));
    cr_expect(strstr(text, "# UNIT process_cpu_seconds seconds\n"));
    size_t size = strlen(text);
    cr_expect_str_eq(text + size - 6, "# EOF\n");
    text = scrape(METRIC_TEXT, NULL, NULL);
    cr_expect(strstr(text, "# TYPE omni_log_lines_total counter\n"));
    cr_expect(!strstr(text, "# EOF") && !strstr(text, "# UNIT"));
}

Test(metrics, are_in_the_format_that_is_asked_for)
{
    static const struct {
        const char *accept;
        enum om_metric_format format;
    } rows[] = {
        { NULL, METRIC_TEXT },
        { "*/*", METRIC_TEXT },
        { "text/plain;version=0.0.4;q=0.5,*/*;q=0.1", METRIC_TEXT },
        { "application/openmetrics-text;version=1.0.0,text/plain;q=0.5",
          METRIC_OPENMETRICS },
    };
    for (size_t i = 0; i < OM_COUNT(rows); i++)
        cr_expect_eq(om_metrics_accepted(om_str(rows[i].accept)), rows[i].format);
}

static void
put_two(void *context, struct om_scrape *told)
{
    om_scrape_put(told, M_omni_queue_ready_messages, 3, om_str(context),
                  (struct om_str){ 0 });
    om_scrape_put(told, M_omni_tasks_open, 0.25);
    om_scrape_put(told, M_omni_queue_ready_messages, 1e18, OM_LIT("b"), OM_LIT("ten_x"));
}

Test(metrics, that_a_hook_tells_stand_together)
{
    char name[] = "a\"\\\n";
    const char *text = scrape(METRIC_TEXT, put_two, name);
    cr_expect(strstr(text, "gauge\nomni_queue_ready_messages{queue=\"a\\\"\\\\\\n\"} 3\n"
                           "omni_queue_ready_messages{queue=\"b\",tenant=\"ten_x\"} "
                           "1e+18\n"),
              "%s", text);
    cr_expect(strstr(text, "\nomni_tasks_open 0.25\n"));
    cr_expect(!strstr(scrape(METRIC_TEXT, NULL, NULL), "omni_tasks_open"));
}

Test(metrics, of_hooks_that_are_forgotten_are_not_asked_for)
{
    char name[] = "kept";
    om_metrics_on_scrape(put_two, name);
    cr_expect(has("omni_queue_ready_messages{queue=\"kept\"} 3"));
    om_metrics_forget(name);
    cr_expect(!strstr(scrape(METRIC_TEXT, NULL, NULL), "kept"));
}

Test(metrics, beyond_the_most_are_nobodys)
{
    uint32_t cell = 1;
    char value[METRIC_VALUE_MAX * 4];
    memset(value, '"', sizeof(value));
    for (int i = 0; i <= METRIC_SERIES_MAX && cell; i++) {
        snprintf(value, 24, "%023d", i);
        value[23] = 'x';
        cell = om_metric_cell(M_omni_log_lines_total,
                              (struct om_str){ value, sizeof(value) });
    }
    cr_expect_eq(cell, 0);
    om_metric_add(cell, 1);
}

// ---- tenants

static struct om_uuid
tenant(uint32_t number)
{
    struct om_uuid id = { .bytes = { 1 } };
    memcpy(id.bytes + 8, &number, sizeof(number));
    return id;
}

static size_t
count_lines(const char *text, const char *start)
{
    size_t lines = 0;
    for (const char *at = text; (at = strstr(at, start)); at++)
        lines += at == text || at[-1] == '\n';
    return lines;
}

Test(metrics, of_tenants_are_bounded_and_lose_nothing)
{
    uint32_t cell = om_metric_tenants(M_omni_tenant_requests_total);
    for (uint32_t i = 0; i < 10000; i++) {
        struct om_uuid id = tenant(i);
        om_metric_add_of(cell, &id, 1);
    }
    const char *text = scrape(METRIC_TEXT, NULL, NULL);
    cr_expect_eq(count_lines(text, "omni_tenant_requests_total{"), METRIC_RANKS);
    cr_expect(strstr(text, "omni_tenant_requests_total{tenant=\"other\"} 9900\n"), "%s",
              text);
    cr_expect(strstr(text, "omni_tenant_requests_total{tenant=\"ten_"));
}

static uint32_t replaced_count;

static void
note(uint32_t rank)
{
    (void)rank;
    replaced_count++;
}

Test(metrics, of_a_tenant_who_is_heard_of_more_get_a_line)
{
    uint32_t cell = om_metric_tenants(M_omni_tenant_requests_total);
    struct om_uuid late = tenant(5000);
    for (uint32_t i = 0; i < METRIC_TENANTS_MAX; i++) {
        struct om_uuid id = tenant(i);
        om_metric_add_of(cell, &id, 4);
    }
    for (int i = 0; i < 100; i++)
        om_metric_add_of(cell, &late, 1);
    cr_expect_eq(om_metric_rank(&late), 0);
    metric_tenants_rank(1, note);
    metric_tenants_rank(1000, note);
    cr_expect_eq(replaced_count, 0, "a minute has not passed");
    metric_tenants_rank(61000, note);
    cr_expect_eq(replaced_count, 1);
    cr_expect_neq(om_metric_rank(&late), 0);
    metric_tenants_rank(122000, note);
    cr_expect_eq(replaced_count, 1, "nobody else deserves it");
}

Test(metrics, with_a_thousand_tenants_are_written_in_five_milliseconds)
{
    uint32_t cell = om_metric_tenants(M_omni_tenant_requests_total);
    for (uint32_t i = 0; i < 100000; i++) {
        struct om_uuid id = tenant(i % 1000);
        om_metric_add_of(cell, &id, 1);
    }
    int64_t best_us = INT64_MAX;
    for (int i = 0; i < 20; i++) {
        int64_t began_us = om_clock_mono_us();
        scrape(METRIC_TEXT, NULL, NULL);
        int64_t took_us = om_clock_mono_us() - began_us;
        best_us = took_us < best_us ? took_us : best_us;
    }
    cr_log_info("%lld us, %zu bytes\n", (long long)best_us, page.size);
    cr_expect_lt(best_us, 5000);
}
