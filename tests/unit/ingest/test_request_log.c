// What the edge keeps of requests that failed, against a broker that the test plays: it
// is bounded for each tenant, and nothing waits for it.
#include "clock.h"
#include "fake_broker.h"
#include "id.h"
#include "request_log.h"

enum { RATE = 60, NOW_MS = 1000000, DEADLINE_MS = 15000, MINUTE_MS = 60000 };

static struct fake_broker broker;
static struct om_client *client;
static struct request_counts counts;
static struct request_log requests;
static char a[OM_TYPEID_MAX], b[OM_TYPEID_MAX];

static void
begin(void)
{
    const char *why;
    broker_open(&broker);
    om_id_text(OM_ID_TENANT, 3, a);
    om_id_text(OM_ID_TENANT, 4, b);
    struct om_link_conf conf = { .endpoint = broker.endpoint,
                                 .node = "test",
                                 .role = ROLE_INGEST };
    cr_assert_eq(om_client_create(&conf, &client, &why), OM_OK, "%s", why);
    atomic_store(&counts.kept, 0);
    atomic_store(&counts.dropped, 0);
    request_log_init(&requests, client, &counts, RATE);
}

static void
end(void)
{
    request_log_finish(&requests);
    om_client_destroy(&client);
    broker_close(&broker);
}

TestSuite(request_log, .init = begin, .fini = end, .timeout = 60);

static int
admitted(const char *tenant, int status, int times, int64_t now_ms)
{
    int count = 0;
    for (int i = 0; i < times; i++)
        count += request_log_admit(&requests, tenant, status, now_ms);
    return count;
}

// A record of about that size, if there is room.
static void
put(const char *tenant, size_t size, int64_t now_ms)
{
    static const char fill[60000] = { 0 };
    struct om_buf record = { 0 };
    om_pack_map(&record, 1);
    om_pack_str(&record, OM_LIT("x"));
    om_pack_str(&record, (struct om_str){ fill, size });
    request_log_put(&requests, tenant, &record, now_ms);
    cr_expect_null(record.data);
}

Test(request_log, a_tenant_has_its_share_of_a_minute)
{
    cr_expect_eq(admitted(a, 404, 1000, NOW_MS), RATE);
    cr_expect_eq(atomic_load(&counts.dropped), 1000 - RATE);
    cr_expect_eq(admitted(b, 500, 1000, NOW_MS), RATE);
    cr_expect_eq(admitted(a, 404, 1000, NOW_MS + MINUTE_MS / 2), RATE / 2);
    cr_expect_eq(admitted(a, 404, 1000, NOW_MS + 10 * MINUTE_MS), RATE);
}

Test(request_log, what_comes_in_floods_has_a_tenth_and_takes_nothing_from_the_rest)
{
    cr_expect_eq(admitted(a, 429, 1000, NOW_MS), RATE / 10);
    cr_expect_eq(admitted(a, 401, 1000, NOW_MS), 0);
    cr_expect_eq(admitted(a, 400, 1000, NOW_MS), RATE);
}

Test(request_log, nothing_is_kept_if_that_is_set)
{
    request_log_init(&requests, client, &counts, 0);
    cr_expect_eq(admitted(a, 500, 10, NOW_MS), 0);
    cr_expect_eq(atomic_load(&counts.dropped), 0);
}

Test(request_log, a_tenant_has_its_share_of_the_memory)
{
    for (int i = 0; i < 100; i++)
        put(a, 60000, NOW_MS);
    size_t of_a = requests.bytes;
    cr_expect_leq(of_a, (size_t)REQUEST_LOG_SHARE);
    cr_expect_geq(of_a, (size_t)REQUEST_LOG_SHARE - 60010);
    put(b, 60000, NOW_MS);
    cr_expect_geq(requests.bytes, of_a + 60000);
    cr_expect_gt(atomic_load(&counts.dropped), 80);
}

Test(request_log, remembers_a_bounded_number_of_tenants)
{
    char tenant[32];
    for (int i = 0; i < REQUEST_LOG_TENANTS + 10; i++) {
        snprintf(tenant, sizeof(tenant), "ten_%d", i);
        cr_expect_eq(request_log_admit(&requests, tenant, 404, NOW_MS),
                     i < REQUEST_LOG_TENANTS);
    }
    // Those that are quiet make room.
    request_log_flush(&requests, NOW_MS + MINUTE_MS);
    cr_expect(request_log_admit(&requests, "ten_x", 404, NOW_MS + MINUTE_MS));
}

Test(request_log, what_nobody_takes_for_a_minute_is_dropped)
{
    put(a, 100, NOW_MS);
    put(a, 100, NOW_MS + MINUTE_MS);
    request_log_flush(&requests, NOW_MS + MINUTE_MS + 1);
    cr_expect(!request_log_idle(&requests));
    cr_expect_eq(atomic_load(&counts.dropped), 1);
}

// Flush until the broker has a CALL; how many records are in it.
static size_t
expect_call(void)
{
    struct request_keep_request request;
    int64_t deadline_ms = om_clock_mono_ms() + DEADLINE_MS;
    for (;;) {
        cr_assert_lt(om_clock_mono_ms(), deadline_ms, "no CALL");
        om_client_process(client);
        request_log_flush(&requests, NOW_MS);
        om_client_process(client);
        if (!broker_recv(&broker, 20))
            continue;
        if (broker.msg.type == WIRE_HELLO)
            broker_welcome(&broker);
        if (broker.msg.type == WIRE_CALL)
            break;
    }
    cr_assert_eq(rec_decode(ops[OP_request_keep].request, broker.body, &request, NULL),
                 OM_OK);
    cr_expect_eq(broker.msg.tenant.size, 0);
    return rec_iter(request.data).left;
}

static void
answer(enum wire_type type, const char *code)
{
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, id, broker.msg.id);
    if (code)
        WIRE_SET(&msg, code, om_str(code));
    broker_send(&broker, type, &msg, NULL);
}

static void
wait_until(bool (*done)(void))
{
    int64_t deadline_ms = om_clock_mono_ms() + DEADLINE_MS;
    while (!done()) {
        cr_assert_lt(om_clock_mono_ms(), deadline_ms);
        om_client_process(client);
        broker_recv(&broker, 5);
    }
}

static bool
is_answered(void)
{
    return requests.asked == 0;
}

Test(request_log, is_sent_again_until_compliance_has_it)
{
    put(a, 100, NOW_MS);
    put(b, 100, NOW_MS);
    cr_expect_eq(expect_call(), 2);
    put(a, 100, NOW_MS); // comes with the next one
    request_log_flush(&requests, NOW_MS);
    answer(WIRE_ERROR, om_rc_info(OM_EUNAVAILABLE)->code);
    wait_until(is_answered);
    cr_expect_eq(atomic_load(&counts.kept) + atomic_load(&counts.dropped), 0);
    cr_expect_eq(expect_call(), 3);
    answer(WIRE_REPLY, NULL);
    wait_until(is_answered);
    cr_expect(request_log_idle(&requests));
    cr_expect_eq(atomic_load(&counts.kept), 3);
    cr_expect_eq(requests.bytes, 0);
}

Test(request_log, what_compliance_refuses_is_dropped)
{
    put(a, 100, NOW_MS);
    cr_expect_eq(expect_call(), 1);
    answer(WIRE_ERROR, om_rc_info(OM_EPROTO)->code);
    wait_until(is_answered);
    cr_expect(request_log_idle(&requests));
    cr_expect_eq(atomic_load(&counts.dropped), 1);
}
