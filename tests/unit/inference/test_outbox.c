// What the registry meters reaches the broker: nothing is lost, and ids stay the same.
#include "../services/call.h"
#include "clock.h"
#include "fake_broker.h"
#include "id.h"
#include "registry.h"

enum { DEADLINE_MS = 15000 };

static struct call_folder folder;
static struct fake_broker broker;
static struct outbox outbox;
static struct om_uuid ours, theirs;

static void
begin(void)
{
    const char *why;
    folder = call_folder_make();
    broker_open(&broker);
    outbox = (struct outbox){ .db = call_open_db(&folder, "registry", registry_schema) };
    struct om_link_conf conf = { .endpoint = broker.endpoint,
                                 .node = "test",
                                 .role = ROLE_REGISTRY };
    cr_assert_eq(om_client_create(&conf, &outbox.client, &why), OM_OK, "%s", why);
    ours = om_id_new(7);
    theirs = om_id_new(7);
}

static void
end(void)
{
    om_client_destroy(&outbox.client);
    om_db_close(&outbox.db);
    broker_close(&broker);
    call_folder_remove(&folder);
}

TestSuite(outbox, .init = begin, .fini = end, .timeout = 60);

static void
note(const struct om_uuid *tenant, const char *id, int64_t bytes)
{
    struct om_txn *txn = om_db_begin(outbox.db);
    if (bytes > 0)
        outbox_store(&outbox, txn, tenant, om_str(id), bytes);
    else
        outbox_remove(&outbox, txn, tenant, om_str(id), -bytes);
    cr_assert(om_db_commit(&txn) == OM_OK);
}

// Flush until the broker has a PUBLISH.
static void
expect_publish(const struct om_uuid *tenant)
{
    char text[OM_TYPEID_MAX];
    int64_t deadline_ms = om_clock_mono_ms() + DEADLINE_MS;
    do {
        cr_assert_lt(om_clock_mono_ms(), deadline_ms, "no PUBLISH");
        om_client_process(outbox.client);
        outbox_flush(&outbox, 0);
        om_client_process(outbox.client);
        if (broker_recv(&broker, 20) && broker.msg.type == WIRE_HELLO)
            broker_welcome(&broker);
    } while (broker.msg.type != WIRE_PUBLISH);
    om_typeid_encode(OM_ID_TENANT, tenant, text);
    cr_expect(om_str_eq(broker.msg.tenant, om_str(text)));
}

static void
expect_event(size_t n, const char *id, const char *meter, int64_t quantity)
{
    struct rec_iter iter = rec_iter(broker.msg.events);
    struct wire_event event = { 0 };
    struct wire_usage usage;
    struct om_str bytes;
    for (size_t i = 0; i <= n; i++)
        cr_assert(rec_next_rec(&iter, &wire_event_rec, &event, &bytes), "%zu", i);
    cr_expect(om_str_eq(event.topic, OM_LIT("usage")));
    cr_expect(om_str_eq(event.id, om_str(id)), "%.*s", (int)event.id.size, event.id.data);
    cr_assert(rec_decode(&wire_usage_rec, event.body, &usage, NULL) == OM_OK);
    cr_expect(om_str_eq(usage.meter, om_str(meter)));
    cr_expect_eq(usage.quantity, quantity);
}

static void
answer(enum wire_type type)
{
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, id, broker.msg.id);
    if (type == WIRE_ERROR)
        WIRE_SET(&msg, code, OM_LIT("unavailable"));
    broker_send(&broker, type, &msg, NULL);
    broker.msg.type = 0;
    int64_t deadline_ms = om_clock_mono_ms() + DEADLINE_MS;
    while (outbox.sent) {
        cr_assert_lt(om_clock_mono_ms(), deadline_ms, "the answer is not seen");
        om_client_process(outbox.client);
    }
}

Test(outbox, publishes_what_is_stored_and_what_is_deleted)
{
    note(&ours, "file_1", 100);
    note(&ours, "file_1", -100);
    expect_publish(&ours);
    cr_expect_eq(rec_iter(broker.msg.events).left, 2);
    expect_event(0, "file_1/storage_bytes", "storage_bytes", 100);
    expect_event(1, "file_1/storage_bytes_removed", "storage_bytes_removed", 100);
}

Test(outbox, publishes_again_what_the_broker_did_not_take)
{
    note(&ours, "file_1", 100);
    expect_publish(&ours);
    answer(WIRE_ERROR);
    expect_publish(&ours);
    expect_event(0, "file_1/storage_bytes", "storage_bytes", 100);
    answer(WIRE_PUBLISHED);
    note(&ours, "file_2", 5);
    expect_publish(&ours);
    cr_expect_eq(rec_iter(broker.msg.events).left, 1, "the first is done with");
    expect_event(0, "file_2/storage_bytes", "storage_bytes", 5);
}

Test(outbox, keeps_the_events_of_tenants_apart)
{
    note(&ours, "file_1", 1);
    note(&theirs, "file_2", 2);
    note(&ours, "file_3", 3);
    expect_publish(&ours);
    cr_expect_eq(rec_iter(broker.msg.events).left, 2);
    answer(WIRE_PUBLISHED);
    expect_publish(&theirs);
    expect_event(0, "file_2/storage_bytes", "storage_bytes", 2);
}

Test(outbox, knows_what_was_not_published_when_it_starts_again)
{
    note(&ours, "file_1", 100);
    om_db_close(&outbox.db);
    outbox.db = call_open_db(&folder, "registry", registry_schema);
    outbox.pending = true; // as at the start of the service
    expect_publish(&ours);
    expect_event(0, "file_1/storage_bytes", "storage_bytes", 100);
}

OM_SQL(file_put, "INSERT INTO file (tenant, id, purpose, filename, bytes, sha256, blob, "
                 "created_ms) VALUES ($1, $2, 'dataset', 'a', 7, 'x', $2, 1000)");

Test(outbox, meters_what_was_stored_before_it_was_metered)
{
    const struct om_migration before[] = { registry_schema[0], { 0 } };
    struct om_uuid id = { { 0xab } };
    char event[64];
    call_folder_remove(&folder);
    folder = call_folder_make();
    om_db_close(&outbox.db);
    outbox.db = call_open_db(&folder, "registry", before);
    struct om_txn *txn = om_db_begin(outbox.db);
    om_db_exec(txn, &sql_file_put, DB_UUID(&ours), DB_UUID(&id));
    cr_assert(om_db_commit(&txn) == OM_OK);
    om_db_close(&outbox.db);

    outbox.db = call_open_db(&folder, "registry", registry_schema);
    outbox.pending = true;
    expect_publish(&ours);
    snprintf(event, sizeof(event), "ab%030d/storage_bytes", 0);
    expect_event(0, event, "storage_bytes", 7);
}
