#include "../services/call.h"
#include "clock.h"
#include "id.h"
#include "meter.h"
#include "period.h"
#include "usage.h"

enum { EVENTS_MAX = 16, HOUR_S = 3600 };

static struct call_folder folder;
static struct billing billing;
static struct call call;
static struct om_uuid tenant;
static char tenant_text[OM_TYPEID_MAX];

// A run of events being made.
static struct wire_logged run[EVENTS_MAX];
static struct om_buf bodies[EVENTS_MAX];
static size_t run_size;

static void
open_all(void)
{
    folder = call_folder_make();
    billing.db = call_open_db(&folder, "billing", billing_schema);
    tenant = om_id_new(9);
    om_typeid_encode(OM_ID_TENANT, &tenant, tenant_text);
}

static void
close_all(void)
{
    om_db_close(&billing.db);
    call_finish(&call);
    for (size_t i = 0; i < EVENTS_MAX; i++)
        om_buf_finish(&bodies[i]);
    call_folder_remove(&folder);
}

TestSuite(billing, .init = open_all, .fini = close_all);

static void
add(int64_t seq, const char *id, const char *meter, int64_t at_ms, int64_t quantity)
{
    struct wire_usage usage = { 0 };
    REC_SET(&usage, wire_usage, meter, om_str(meter));
    REC_SET(&usage, wire_usage, quantity, quantity);
    struct om_buf *body = &bodies[run_size];
    om_buf_reset(body);
    rec_encode(&wire_usage_rec, &usage, body);
    run[run_size++] = (struct wire_logged){
        .seq = seq,
        .topic = OM_LIT("usage"),
        .id = om_str(id),
        .tenant = om_str(tenant_text),
        .at = at_ms,
        .body = om_buf_str(body),
    };
}

static enum om_rc
apply(void)
{
    size_t size = run_size;
    run_size = 0;
    return usage_apply(&billing, 9, run, size);
}

// Usage of [from_s, to_s) as "meter=quantity unit;…".
static const char *
usage(int64_t from_s, int64_t to_s)
{
    static char text[512];
    struct usage_query_request request = { 0 };
    struct usage_query_reply reply;
    REC_SET(&request, usage_query_request, from, from_s);
    REC_SET(&request, usage_query_request, to, to_s);
    REC_SET(&request, usage_query_request, group_by, OM_LIT("meter"));
    cr_assert(call_op(&call, billing_routes, &billing, OP_usage_query, tenant, "",
                      &request, &reply) == OM_OK);
    struct rec_iter iter = rec_iter(reply.data);
    struct om_str raw;
    size_t size = 0;
    text[0] = '\0';
    while (rec_next_raw(&iter, &raw)) {
        struct usage_item item;
        cr_assert(rec_decode(&usage_item_rec, raw, &item, NULL) == OM_OK);
        size += (size_t)snprintf(text + size, sizeof(text) - size, "%.*s=%.*s %.*s;",
                                 (int)item.meter.size, item.meter.data,
                                 (int)item.quantity.size, item.quantity.data,
                                 (int)item.unit.size, item.unit.data);
    }
    return text;
}

Test(billing, has_a_route_for_every_operation_it_owns)
{
    call_expect_routes(billing_routes, QUEUE_BILLING);
}

Test(billing, sums_usage_by_meter_with_its_unit)
{
    add(1, "a/1/compute_ms", "compute_ms", 5000, 120);
    add(2, "a/1/custom_model", "custom_model", 5000, 1);
    add(3, "b/1/compute_ms", "compute_ms", 6000, 30);
    add(4, "b/1/bananas", "bananas", 6000, 3);
    cr_assert(apply() == OM_OK);
    cr_expect_str_eq(usage(0, HOUR_S),
                     "bananas=3 unit;compute_ms=150 ms;custom_model=1 model;");
}

Test(billing, counts_a_run_that_is_delivered_again_once)
{
    for (int times = 0; times < 3; times++) {
        add(1, "a", "api_call", 1000, 5);
        add(2, "b", "api_call", 1000, 2);
        cr_assert(apply() == OM_OK);
    }
    cr_expect_str_eq(usage(0, HOUR_S), "api_call=7 call;");
}

Test(billing, counts_the_new_part_of_an_overlapping_run)
{
    add(1, "a", "api_call", 1000, 5);
    add(2, "b", "api_call", 1000, 2);
    cr_assert(apply() == OM_OK);
    add(2, "b", "api_call", 1000, 2);
    add(3, "c", "api_call", 1000, 1);
    cr_assert(apply() == OM_OK);
    cr_expect_str_eq(usage(0, HOUR_S), "api_call=8 call;");
}

Test(billing, counts_an_event_that_was_published_twice_once)
{
    add(1, "a", "api_call", 1000, 5);
    add(2, "a", "api_call", 1000, 5);
    cr_assert(apply() == OM_OK);
    add(3, "a", "api_call", 1000, 5);
    cr_assert(apply() == OM_OK);
    cr_expect_str_eq(usage(0, HOUR_S), "api_call=5 call;");
}

Test(billing, keeps_what_it_counted_when_it_starts_again)
{
    add(1, "a", "api_call", 1000, 5);
    cr_assert(apply() == OM_OK);
    om_db_close(&billing.db);
    billing.db = call_open_db(&folder, "billing", billing_schema);
    add(1, "other id, same place in the log", "api_call", 1000, 5);
    cr_assert(apply() == OM_OK);
    cr_expect_str_eq(usage(0, HOUR_S), "api_call=5 call;");
}

Test(billing, applies_nothing_of_a_run_with_a_malformed_event)
{
    add(1, "a", "api_call", 1000, 5);
    add(2, "b", "api_call", 1000, 5);
    run[1].body = OM_LIT("no record");
    cr_expect(apply() == OM_EPROTO);
    add(1, "a", "api_call", 1000, 5);
    run[0].tenant = OM_LIT("nobody");
    cr_expect(apply() == OM_EPROTO);
    cr_expect_str_eq(usage(0, HOUR_S), "");
}

Test(billing, refuses_a_sum_of_more_than_64_bits)
{
    add(1, "a", "api_call", 1000, 9000000000000000);
    cr_assert(apply() == OM_OK);
    enum om_rc rc = OM_OK;
    for (int64_t i = 2; i < 1100 && !rc; i++) {
        char id[32];
        snprintf(id, sizeof(id), "event-%d", (int)i);
        add(i, id, "api_call", 1000, 9000000000000000);
        rc = apply();
    }
    cr_expect(rc == OM_EINVAL);
    cr_expect_str_eq(usage(0, HOUR_S), "api_call=9216000000000000000 call;");
}

Test(billing, answers_ranges_exactly)
{
    enum { H = HOUR_S };
    const int64_t at_ms[] = { H * 1000 - 1,     H * 1000,         (H + 1) * 1000,
                              3 * H * 1000 - 1, 3 * H * 1000 + 5, 4 * H * 1000 };
    const char *ids[] = { "a", "b", "c", "d", "e", "f" };
    for (size_t i = 0; i < OM_COUNT(at_ms); i++)
        add((int64_t)i + 1, ids[i], "api_call", at_ms[i], INT64_C(1) << i);
    cr_assert(apply() == OM_OK);
    for (int64_t from = 0; from <= 5 * H; from += H / 4)
        for (int64_t to = from; to <= 5 * H; to += H / 4) {
            int64_t sum = 0;
            for (size_t i = 0; i < OM_COUNT(at_ms); i++)
                if (at_ms[i] >= from * 1000 && at_ms[i] < to * 1000)
                    sum += INT64_C(1) << i;
            char expected[64] = "";
            if (sum)
                snprintf(expected, sizeof(expected), "api_call=%d call;", (int)sum);
            cr_expect_str_eq(usage(from, to), expected);
        }
}

Test(billing, shows_a_tenant_only_its_own_usage)
{
    add(1, "a", "api_call", 1000, 5);
    cr_assert(apply() == OM_OK);
    tenant = om_id_new(9);
    om_typeid_encode(OM_ID_TENANT, &tenant, tenant_text);
    cr_expect_str_eq(usage(0, HOUR_S), "");
    add(2, "a", "api_call", 1000, 3); // the id of another tenant's event is free
    cr_assert(apply() == OM_OK);
    cr_expect_str_eq(usage(0, HOUR_S), "api_call=3 call;");
}

Test(billing, answers_for_this_month_when_no_range_is_given)
{
    struct usage_query_request request = { 0 };
    struct usage_query_reply reply;
    int64_t now_ms = om_clock_wall_ms();
    add(1, "a", "api_call", period_month(now_ms), 1);
    add(2, "b", "api_call", period_month(now_ms) - 1, 2);
    cr_assert(apply() == OM_OK);
    cr_assert(call_op(&call, billing_routes, &billing, OP_usage_query, tenant, "",
                      &request, &reply) == OM_OK);
    struct usage_item item;
    struct om_str raw;
    struct rec_iter iter = rec_iter(reply.data);
    cr_assert(rec_next_raw(&iter, &raw));
    cr_assert(rec_decode(&usage_item_rec, raw, &item, NULL) == OM_OK);
    cr_expect(om_str_eq(item.quantity, OM_LIT("1")));
    cr_expect(!reply.has_more);
}

Test(billing, names_the_field_of_a_bad_question)
{
    struct usage_query_request request = { 0 };
    struct usage_query_reply reply;
    REC_SET(&request, usage_query_request, from, 20);
    REC_SET(&request, usage_query_request, to, 10);
    cr_expect(call_op(&call, billing_routes, &billing, OP_usage_query, tenant, "",
                      &request, &reply) == OM_EINVAL);
    cr_expect_str_eq(call.job.param, "from");
    REC_SET(&request, usage_query_request, from, 0);
    REC_SET(&request, usage_query_request, group_by, OM_LIT("model"));
    cr_expect(call_op(&call, billing_routes, &billing, OP_usage_query, tenant, "",
                      &request, &reply) == OM_EINVAL);
    cr_expect_str_eq(call.job.param, "group_by");
}

Test(period, finds_the_start_of_a_month)
{
    const struct {
        int64_t at_s, start_s;
    } months[] = {
        { 0, 0 },                   // 1970-01-01
        { 2678399, 0 },             // 1970-01-31 23:59:59
        { 2678400, 2678400 },       // 1970-02-01
        { 1709251199, 1706745600 }, // 2024-02-29 23:59:59
        { 1709251200, 1709251200 }, // 2024-03-01
    };
    for (size_t i = 0; i < OM_COUNT(months); i++)
        cr_expect(period_month(months[i].at_s * 1000 + 999) == months[i].start_s * 1000,
                  "%d", (int)months[i].at_s);
}
