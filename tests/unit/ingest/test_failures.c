// Answers of 5xx on their way to the groups of errors, against a broker that the test
// plays: counted exactly, bounded, and published until the broker has them.
#include "clock.h"
#include "failures.h"
#include "fake_broker.h"
#include "id.h"

enum { SHARD_A = 3, SHARD_B = 4, NOW_MS = 1000000, DEADLINE_MS = 15000 };

static struct fake_broker broker;
static struct om_client *client;
static struct failure_counts counts;
static struct failures failures;
static char a[OM_TYPEID_MAX], b[OM_TYPEID_MAX];

static void
begin(void)
{
    const char *why;
    broker_open(&broker);
    om_id_text(OM_ID_TENANT, SHARD_A, a);
    om_id_text(OM_ID_TENANT, SHARD_B, b);
    struct om_link_conf conf = { .endpoint = broker.endpoint,
                                 .node = "test",
                                 .role = ROLE_INGEST };
    cr_assert_eq(om_client_create(&conf, &client, &why), OM_OK, "%s", why);
    atomic_store(&counts.told, 0);
    atomic_store(&counts.dropped, 0);
    failures_init(&failures, client, &counts);
}

static void
end(void)
{
    failures_finish(&failures);
    om_client_destroy(&client);
    broker_close(&broker);
}

TestSuite(failures, .init = begin, .fini = end, .timeout = 60);

static void
fail(const char *tenant, const char *text)
{
    struct error_event error = { 0 };
    REC_SET(&error, error_event, source, OM_LIT(ERROR_SOURCE_HTTP));
    REC_SET(&error, error_event, route, OM_LIT("GET /v1/files"));
    REC_SET(&error, error_event, code, OM_LIT("unavailable"));
    REC_SET(&error, error_event, text, om_str(text));
    failures_add(&failures, tenant, SHARD_A, &error, NOW_MS);
}

// What the last PUBLISH said: of whom, how many events, how many errors in them, and the
// first one.
static struct {
    char tenant[OM_TYPEID_MAX], id[64], text[64];
    size_t events;
    int64_t errors;
} said;

static void
read_publish(void)
{
    struct rec_iter iter = rec_iter(broker.msg.events);
    struct wire_event event;
    struct error_event error;
    struct om_str bytes;
    memset(&said, 0, sizeof(said));
    snprintf(said.tenant, sizeof(said.tenant), "%.*s", (int)broker.msg.tenant.size,
             broker.msg.tenant.data);
    while (rec_next_rec(&iter, &wire_event_rec, &event, &bytes)) {
        cr_expect(om_str_eq(event.topic, OM_LIT(ERROR_TOPIC)));
        cr_assert_eq(rec_decode(&error_event_rec, event.body, &error, NULL), OM_OK);
        if (said.events++ == 0) {
            snprintf(said.id, sizeof(said.id), "%.*s", (int)event.id.size, event.id.data);
            snprintf(said.text, sizeof(said.text), "%.*s", (int)error.text.size,
                     error.text.data);
        }
        said.errors += error.count;
    }
    cr_assert_eq(iter.left, 0);
}

// Flush until the broker has a PUBLISH.
static void
expect_publish(void)
{
    int64_t deadline_ms = om_clock_mono_ms() + DEADLINE_MS;
    for (;;) {
        cr_assert_lt(om_clock_mono_ms(), deadline_ms, "no PUBLISH");
        om_client_process(client);
        failures_flush(&failures);
        om_client_process(client);
        if (!broker_recv(&broker, 20))
            continue;
        if (broker.msg.type == WIRE_HELLO)
            broker_welcome(&broker);
        if (broker.msg.type == WIRE_PUBLISH)
            break;
    }
    read_publish();
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
await_answer(void)
{
    int64_t deadline_ms = om_clock_mono_ms() + DEADLINE_MS;
    uint64_t told = atomic_load(&counts.told), dropped = atomic_load(&counts.dropped);
    while (failures.asked && atomic_load(&counts.told) == told &&
           atomic_load(&counts.dropped) == dropped) {
        cr_assert_lt(om_clock_mono_ms(), deadline_ms);
        om_client_process(client);
        broker_recv(&broker, 5);
    }
}

Test(failures, that_are_alike_are_one_event_with_their_number_and_the_newest)
{
    char text[32];
    for (int i = 0; i < 5000; i++) {
        snprintf(text, sizeof(text), "no worker after %d ms", i);
        fail(a, text);
    }
    fail(a, "another thing");
    expect_publish();
    cr_expect_str_eq(said.tenant, a);
    cr_expect_eq(said.events, 2);
    cr_expect_eq(said.errors, 5001);
    cr_expect_str_eq(said.text, "no worker after 4999 ms");
    answer(WIRE_PUBLISHED, NULL);
    await_answer();
    cr_expect(failures_idle(&failures));
    cr_expect_eq(atomic_load(&counts.told), 5001);
    cr_expect_eq(atomic_load(&counts.dropped), 0);
}

Test(failures, are_published_again_under_the_same_id_until_the_broker_has_them)
{
    char id[64];
    fail(a, "x");
    expect_publish();
    snprintf(id, sizeof(id), "%s", said.id);
    fail(a, "x"); // comes with the next one
    answer(WIRE_ERROR, om_rc_info(OM_EUNAVAILABLE)->code);
    await_answer();
    expect_publish();
    cr_expect_str_eq(said.id, id);
    cr_expect_eq(said.errors, 1);
    answer(WIRE_PUBLISHED, NULL);
    expect_publish();
    cr_expect_str_neq(said.id, id);
    cr_expect_eq(said.errors, 1);
    answer(WIRE_PUBLISHED, NULL);
    await_answer();
    cr_expect(failures_idle(&failures));
    cr_expect_eq(atomic_load(&counts.told), 2);
}

Test(failures, of_each_tenant_have_messages_of_their_own)
{
    fail(a, "x");
    fail(b, "x");
    expect_publish();
    cr_expect_str_eq(said.tenant, a);
    cr_expect_eq(said.errors, 1);
    answer(WIRE_PUBLISHED, NULL);
    expect_publish();
    cr_expect_str_eq(said.tenant, b);
    cr_expect_eq(said.errors, 1);
}

Test(failures, are_bounded_a_tenant_and_in_all_and_what_has_no_room_is_counted)
{
    char text[32], tenant[32];
    for (int i = 0; i < FAILURES_OF_TENANT + 10; i++) {
        snprintf(text, sizeof(text), "thing %c%c", 'a' + i % 26, 'a' + i / 26);
        fail(a, text);
    }
    cr_expect_eq(atomic_load(&counts.dropped), 10);
    fail(a, "thing aa"); // known
    fail(b, "x");        // of another
    cr_expect_eq(atomic_load(&counts.dropped), 10);
    for (int i = 0; i < FAILURES_MAX; i++) {
        snprintf(tenant, sizeof(tenant), "ten_%d", i);
        fail(tenant, "x");
    }
    cr_expect_eq(atomic_load(&counts.dropped), 10 + FAILURES_OF_TENANT + 1);
}

Test(failures, as_long_as_they_may_be_go_in_several_messages_and_none_is_lost)
{
    char text[ERROR_TEXT_MAX + 1];
    int64_t errors = 0;
    for (int i = 0; i < 30; i++) {
        memset(text, 'a' + i % 26, sizeof(text) - 1);
        text[0] = (char)('a' + i / 26);
        text[ERROR_TEXT_MAX] = '\0';
        fail(a, text);
    }
    while (errors < 30) {
        expect_publish();
        cr_assert_gt(said.errors, 0);
        cr_expect_lt(broker.msg.events.size, 12 * 1024);
        errors += said.errors;
        answer(WIRE_PUBLISHED, NULL);
        await_answer();
    }
    cr_expect_eq(errors, 30);
    cr_expect_eq(atomic_load(&counts.dropped), 0);
}
