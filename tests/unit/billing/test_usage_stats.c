#include "../services/page.h"
#include "id.h"
#include "usage_stats.h"
#include "wire.h"

static struct om_uuid tenant;

static void
open_all(void)
{
    om_metrics_init("test", ~0u);
    tenant = om_id_new(9);
}

TestSuite(usage_stats, .init = open_all);

static double
value_of(const char *metric, const char *meter)
{
    char series[128];
    snprintf(series, sizeof(series), "%s{meter=\"%s\"}", metric, meter);
    return page_value(series);
}

static double
events_of(const char *meter)
{
    return value_of("omni_usage_events_total", meter);
}

static double
units_of(const char *meter)
{
    return value_of("omni_usage_units_total", meter);
}

Test(usage_stats, counts_a_run_when_it_is_durable)
{
    usage_stats_note(&tenant, OM_LIT("tokens"), 10);
    usage_stats_note(&tenant, OM_LIT("tokens"), 5);
    usage_stats_note(&tenant, OM_LIT("compute_ms"), 7);
    cr_expect_leq(events_of("tokens"), 0);
    usage_stats_end(true);
    cr_expect_eq(events_of("tokens"), 2);
    cr_expect_eq(units_of("tokens"), 15);
    cr_expect_eq(units_of("compute_ms"), 7);
}

Test(usage_stats, forgets_a_run_that_failed_and_comes_again)
{
    usage_stats_note(&tenant, OM_LIT("tokens"), 10);
    usage_stats_repeat();
    usage_stats_end(false);
    cr_expect_leq(events_of("tokens"), 0);
    usage_stats_note(&tenant, OM_LIT("tokens"), 10);
    usage_stats_end(true);
    cr_expect_eq(events_of("tokens"), 1);
    cr_expect_eq(units_of("tokens"), 10);
    cr_expect_leq(page_value("omni_usage_duplicates_total"), 0);
}

Test(usage_stats, counts_what_was_applied_before_as_repeats)
{
    usage_stats_repeat();
    usage_stats_repeat();
    usage_stats_end(true);
    cr_expect_eq(page_value("omni_usage_duplicates_total"), 2);
    usage_stats_end(true);
    cr_expect_eq(page_value("omni_usage_duplicates_total"), 2);
}

Test(usage_stats, counts_no_use_of_what_is_taken_back)
{
    usage_stats_note(&tenant, OM_LIT("storage"), 100);
    usage_stats_note(&tenant, OM_LIT("storage"), -100);
    usage_stats_end(true);
    cr_expect_eq(events_of("storage"), 2);
    cr_expect_eq(units_of("storage"), 100);
}

// Tenants' own workers name meters as they like.
Test(usage_stats, bounds_the_meters_and_calls_the_rest_other)
{
    char name[64];
    for (int i = 0; i < 40; i++) {
        snprintf(name, sizeof(name), "own.%d", i);
        usage_stats_note(&tenant, om_str(name), 1);
    }
    usage_stats_note(&tenant, OM_LIT("own.a_name_that_is_longer_than_a_label_may_be"), 3);
    usage_stats_end(true);
    double shown = 0;
    for (int i = 0; i < 40; i++) {
        snprintf(name, sizeof(name), "own.%d", i);
        shown += events_of(name) > 0;
    }
    cr_expect_eq(shown, 16);
    cr_expect_eq(events_of("other"), 40 - 16 + 1);
    cr_expect_eq(units_of("other"), 40 - 16 + 3);
}

Test(usage_stats, notes_no_more_than_a_run_has)
{
    for (int i = 0; i < 3 * WIRE_EVENT_RUN_MAX; i++)
        usage_stats_note(&tenant, OM_LIT("tokens"), 1);
    usage_stats_end(true);
    cr_expect_eq(events_of("tokens"), WIRE_EVENT_RUN_MAX);
}

Test(usage_stats, tells_tenants_apart)
{
    struct om_uuid other = om_id_new(9);
    char series[160], text[OM_TYPEID_MAX];
    usage_stats_note(&tenant, OM_LIT("tokens"), 3);
    usage_stats_note(&other, OM_LIT("tokens"), 4);
    usage_stats_end(true);
    om_typeid_encode(OM_ID_TENANT, &other, text);
    snprintf(series, sizeof(series),
             "omni_tenant_usage_units_total{tenant=\"%s\",meter=\"tokens\"}", text);
    cr_expect_eq(page_value(series), 4);
}
