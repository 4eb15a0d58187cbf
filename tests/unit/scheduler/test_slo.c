// Pages of metrics, and what is promised by them.
#include <criterion/criterion.h>

#include "exposition.h"
#include "slo.h"
#include "watcher.h"

Test(exposition, reads_samples_and_passes_over_the_rest)
{
    struct om_str page = OM_LIT("# HELP a b\n"
                                "a 1\n"
                                "\n"
                                "b{x=\"1\",y=\"a\\\"}{,\"} 2.5 1700000000\n"
                                "c{x=\"1\" 3\n" // no end of its labels
                                "d nothing\n"
                                "e\n"
                                "{} 1\n"
                                "f{} +Inf");
    struct exposition_sample sample;
    cr_assert(exposition_next(&page, &sample));
    cr_expect(om_str_eq(sample.name, OM_LIT("a")));
    cr_expect_eq(sample.value, 1);
    cr_expect_eq(exposition_label(&sample, "x").size, 0);
    cr_assert(exposition_next(&page, &sample));
    cr_expect(om_str_eq(sample.name, OM_LIT("b")));
    cr_expect_eq(sample.value, 2.5);
    cr_expect(om_str_eq(exposition_label(&sample, "x"), OM_LIT("1")));
    cr_expect(om_str_eq(exposition_label(&sample, "y"), OM_LIT("a\\\"}{,")));
    cr_expect_eq(exposition_label(&sample, "z").size, 0);
    cr_assert(exposition_next(&page, &sample));
    cr_expect(om_str_eq(sample.name, OM_LIT("f")));
    cr_expect(!exposition_next(&page, &sample));
}

Test(exposition, survives_pages_cut_anywhere)
{
    static const char page[] = "a{x=\"1\\\\\",y=\"\\\"\"} 1\nb{z=\"\"} 2 3\n";
    for (size_t size = 0; size < sizeof(page); size++) {
        // Of its own size, so that a step beyond it is seen.
        char *copy = strndup(page, size);
        struct om_str rest = { copy, size };
        for (struct exposition_sample sample; exposition_next(&rest, &sample);) {
            exposition_label(&sample, "y");
            exposition_label(&sample, "");
        }
        free(copy);
    }
}

static const char edge[] =
    "omni_http_requests_total{method=\"GET\",route=\"/a\",code=\"2xx\"} 90\n"
    "omni_http_requests_total{method=\"GET\",route=\"/a\",code=\"4xx\"} 5\n"
    "omni_http_requests_total{method=\"GET\",route=\"/a\",code=\"5xx\"} 5\n"
    "omni_http_request_duration_seconds_bucket{route=\"/a\",le=\"0.25\"} 80\n"
    "omni_http_request_duration_seconds_bucket{route=\"/a\",le=\"0.5\"} 95\n"
    "omni_http_request_duration_seconds_bucket{route=\"/a\",le=\"2\"} 99\n"
    "omni_http_request_duration_seconds_bucket{route=\"/a\",le=\"+Inf\"} 100\n"
    "omni_http_request_duration_seconds_bucket{route=\"/api/v1/models/{name}/predict\","
    "le=\"0.5\"} 1\n"
    "omni_http_request_duration_seconds_bucket{route=\"/api/v1/models/{name}/predict\","
    "le=\"2\"} 7\n"
    "omni_http_request_duration_seconds_bucket{route=\"/api/v1/models/{name}/predict\","
    "le=\"+Inf\"} 8\n";

Test(slo, counts_what_an_edge_has_answered)
{
    struct slo_counts counts = slo_read(om_str(edge));
    cr_expect_eq(counts.of[SLO_ERRORS].total, 100);
    cr_expect_eq(counts.of[SLO_ERRORS].good, 95);
    cr_expect_eq(counts.of[SLO_CACHED].total, 100);
    cr_expect_eq(counts.of[SLO_CACHED].good, 95);
    cr_expect_eq(counts.of[SLO_COMPUTE].total, 8);
    cr_expect_eq(counts.of[SLO_COMPUTE].good, 7);
    cr_expect_eq(counts.of[SLO_AVAILABILITY].total, 0);
}

Test(slo, counts_on_when_a_program_was_restarted)
{
    struct slo_counts before = { 0 }, now = { 0 };
    before.of[SLO_ERRORS] = (struct slo_count){ 95, 100 };
    now.of[SLO_ERRORS] = (struct slo_count){ 104, 110 };
    struct slo_counts since = slo_since(&before, &now);
    cr_expect_eq(since.of[SLO_ERRORS].total, 10);
    cr_expect_eq(since.of[SLO_ERRORS].good, 9);
    now.of[SLO_ERRORS] = (struct slo_count){ 3, 3 };
    since = slo_since(&before, &now);
    cr_expect_eq(since.of[SLO_ERRORS].total, 3, "it began at 0");
}

Test(slo, burns_its_budget_by_what_is_bad)
{
    cr_expect_float_eq(slo_burn(SLO_ERRORS, (struct slo_count){ 0, 0 }), 0, 1e-9);
    cr_expect_float_eq(slo_burn(SLO_ERRORS, (struct slo_count){ 999, 1000 }), 1, 1e-9);
    cr_expect_float_eq(slo_burn(SLO_CACHED, (struct slo_count){ 90, 100 }), 2, 1e-9);
}

Test(watcher, reads_the_file_of_targets)
{
    static struct look look;
    watcher_read_targets(
        OM_LIT("[{\"targets\":[\"127.0.0.1:1\"],\"labels\":{\"process\":\"broker\"}},"
               "{\"targets\":[\"h:2\",\"h:3\",7],\"labels\":{\"process\":\"ingest\"}},"
               "{\"targets\":[\"h:4\"]}]"),
        &look);
    cr_assert_eq(look.count, 3);
    cr_expect_str_eq(look.programs[0].name, "broker");
    cr_expect_str_eq(look.programs[2].address, "h:3");
    cr_expect_str_eq(look.programs[2].name, "ingest");
    static const char *const malformed[] = { "", "{}", "[", "[1,null,\"\"]", "7" };
    for (size_t i = 0; i < OM_COUNT(malformed); i++) {
        watcher_read_targets(om_str(malformed[i]), &look);
        cr_expect_eq(look.count, 0, "%s", malformed[i]);
    }
}
