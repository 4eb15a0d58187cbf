// Reports against a broker that the test plays: nothing is lost and ids stay the same.
#include "clock.h"
#include "fake_broker.h"
#include "id.h"
#include "report.h"

enum { DEADLINE_MS = 15000 };

static struct fake_broker broker;
static struct report report;
static char tenant[OM_TYPEID_MAX];

static void
begin(void)
{
    const char *why;
    broker_open(&broker);
    report = (struct report){ 0 };
    om_id_text(OM_ID_TENANT, 3, tenant);
    struct om_link_conf conf = { .endpoint = broker.endpoint,
                                 .node = "test",
                                 .role = ROLE_INGEST };
    cr_assert_eq(om_client_create(&conf, &report.client, &why), OM_OK, "%s", why);
}

static void
end(void)
{
    report_finish(&report);
    om_client_destroy(&report.client);
    broker_close(&broker);
}

TestSuite(report, .init = begin, .fini = end, .timeout = 60);

// Flush until the broker has a PUBLISH.
static void
expect_publish(void)
{
    int64_t deadline_ms = om_clock_mono_ms() + DEADLINE_MS;
    for (;;) {
        cr_assert_lt(om_clock_mono_ms(), deadline_ms, "no PUBLISH");
        om_client_process(report.client);
        report_flush(&report);
        om_client_process(report.client);
        if (!broker_recv(&broker, 20))
            continue;
        if (broker.msg.type == WIRE_HELLO)
            broker_welcome(&broker);
        if (broker.msg.type == WIRE_PUBLISH)
            return;
    }
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
add_audit(const char *action)
{
    struct audit_event event = { 0 };
    REC_SET(&event, audit_event, actor, OM_LIT("key_1"));
    REC_SET(&event, audit_event, action, om_str(action));
    REC_SET(&event, audit_event, resource, OM_LIT("file_1"));
    REC_SET(&event, audit_event, result, OM_LIT("success"));
    report_audit(&report, tenant, 3, &event);
}

// The n-th event of the PUBLISH received last.
static struct wire_event
event_at(size_t n)
{
    struct rec_iter iter = rec_iter(broker.msg.events);
    struct om_str raw = { 0 };
    struct wire_event event;
    for (size_t i = 0; i <= n; i++)
        cr_assert(rec_next_raw(&iter, &raw));
    cr_assert_eq(rec_decode(&wire_event_rec, raw, &event, NULL), OM_OK);
    return event;
}

Test(report, counts_calls_a_tenant_and_sends_them_with_its_audit)
{
    for (int i = 0; i < 5; i++)
        report_api_call(&report, tenant, 3);
    add_audit("files.create");
    expect_publish();
    cr_expect(om_str_eq(broker.msg.tenant, om_str(tenant)));
    cr_assert_eq(rec_iter(broker.msg.events).left, 2);

    struct audit_event audit;
    struct wire_event first = event_at(0);
    cr_expect(om_str_eq(first.topic, OM_LIT("audit")));
    cr_assert_eq(rec_decode(&audit_event_rec, first.body, &audit, NULL), OM_OK);
    cr_expect(om_str_eq(audit.action, OM_LIT("files.create")));

    struct wire_usage usage;
    struct wire_event second = event_at(1);
    cr_expect(om_str_eq(second.topic, OM_LIT("usage")));
    cr_assert_eq(rec_decode(&wire_usage_rec, second.body, &usage, NULL), OM_OK);
    cr_expect(om_str_eq(usage.meter, OM_LIT("api_call")));
    cr_expect_eq(usage.quantity, 5);
}

Test(report, sends_again_under_the_same_id_what_was_refused)
{
    char id[64] = "";
    report_api_call(&report, tenant, 3);
    expect_publish();
    struct wire_event event = event_at(0);
    memcpy(id, event.id.data, event.id.size);
    cr_expect_not(report_idle(&report));

    answer(WIRE_ERROR, "storage_error");
    expect_publish();
    event = event_at(0);
    cr_expect(om_str_eq(event.id, om_str(id)));

    answer(WIRE_PUBLISHED, NULL);
    int64_t deadline_ms = om_clock_mono_ms() + DEADLINE_MS;
    while (!report_idle(&report)) {
        cr_assert_lt(om_clock_mono_ms(), deadline_ms);
        om_client_process(report.client);
        report_flush(&report);
        broker_recv(&broker, 10);
    }
}

Test(report, closes_a_message_before_it_is_too_large_for_a_header)
{
    for (int i = 0; i < 200; i++)
        add_audit("files.create");
    cr_expect_geq(report.batch_count, 200 / REPORT_EVENTS_MAX);
    expect_publish();
    cr_expect_leq(rec_iter(broker.msg.events).left, REPORT_EVENTS_MAX);
    cr_expect_lt(broker.msg.events.size, WIRE_HEADER_MAX - 1024);
}
