// Identity, billing, compliance and scheduler as real programs with the real broker: what
// they promise holds over kill -9.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "client.h"
#include "clock.h"
#include "id.h"
#include "program.h"
#include "stage.h"

enum { DEADLINE_MS = 20000 };

static struct setup {
    struct stage stage;
    char endpoint[64];
    struct program broker, service;
    struct om_client *client;
    char tenant[OM_TYPEID_MAX];
} here;

static void
begin(void)
{
    const char *why;
    here = (struct setup){ 0 };
    stage_open(&here.stage);
    snprintf(here.endpoint, sizeof(here.endpoint), "ipc://%s/client", here.stage.folder);
    stage_set(&here.stage, "OMNI_BROKER", "%s", here.endpoint);
    stage_set(&here.stage, "OMNI_BROKER_WORK", "ipc://%s/work", here.stage.folder);
    stage_set(&here.stage, "OMNI_DATABASE", "sqlite:%s/data", here.stage.folder);
    stage_set(&here.stage, "OMNI_ADMIN_KEY_FILE", "%s/admin.key", here.stage.folder);
    stage_set(&here.stage, "OMNI_KEYS", "%s", "");
    program_start(&here.broker, "omni-broker", here.stage.list, NULL);
    program_expect_log(&here.broker, "serving");
    om_id_text(OM_ID_TENANT, 7, here.tenant);
    struct om_link_conf conf = { .endpoint = here.endpoint,
                                 .node = "test",
                                 .role = ROLE_INGEST };
    cr_assert_eq(om_client_create(&conf, &here.client, &why), OM_OK, "%s", why);
}

static void
end(void)
{
    om_client_destroy(&here.client);
    program_finish(&here.service);
    program_finish(&here.broker);
    stage_close(&here.stage);
}

TestSuite(services, .init = begin, .fini = end, .timeout = 120);

static void
start_service(const char *name)
{
    program_start(&here.service, name, here.stage.list, NULL);
    program_expect_log(&here.service, "serving");
}

static void
kill_service(void)
{
    program_signal(&here.service, SIGKILL);
    cr_assert_eq(program_wait(&here.service, 5000), 256 + SIGKILL);
}

// Call for the tenant, also while the service is being started.
static enum om_rc
call(enum op op, const void *request, void *reply)
{
    int64_t end_ms = om_clock_mono_ms() + DEADLINE_MS;
    for (;;) {
        struct om_str text;
        enum om_rc rc = om_client_call(here.client, op, om_str(here.tenant), request,
                                       reply, 2000, &text);
        bool gone = rc == OM_EUNAVAILABLE || rc == OM_ETIMEOUT;
        if (!gone)
            return rc;
        cr_assert(om_clock_mono_ms() < end_ms, "%s: %.*s", ops[op].name, (int)text.size,
                  text.data);
    }
}

// Publish one event of `topic`, until the broker has it on disk.
static void
publish(const char *topic, const char *id, const struct rec *type, const void *body)
{
    OM_AUTO(om_buf_finish) struct om_buf record = { 0 };
    OM_AUTO(om_buf_finish) struct om_buf list = { 0 };
    struct wire_event event = { 0 };
    rec_encode(type, body, &record);
    REC_SET(&event, wire_event, topic, om_str(topic));
    REC_SET(&event, wire_event, id, om_str(id));
    REC_SET(&event, wire_event, at, om_clock_wall_ms());
    REC_SET(&event, wire_event, body, om_buf_str(&record));
    om_pack_array(&list, 1);
    rec_encode(&wire_event_rec, &event, &list);
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, tenant, om_str(here.tenant));
    WIRE_SET(&msg, events, om_buf_str(&list));
    struct om_answer answer = om_client_request(here.client, WIRE_PUBLISH, &msg,
                                                (struct om_str){ 0 }, DEADLINE_MS);
    cr_assert_eq(answer.rc, OM_OK, "%s", om_rc_info(answer.rc)->text);
}

// ---- identity

static enum om_rc
resolve(const char *key, struct key_resolve_reply *reply)
{
    uint8_t hash[32];
    struct key_resolve_request request = { 0 };
    om_sha256(om_str(key), hash);
    REC_SET(&request, key_resolve_request, hash, ((struct om_str){ (char *)hash, 32 }));
    return call(OP_key_resolve, &request, reply);
}

Test(services, a_key_is_made_resolved_and_revoked_over_kill_9)
{
    char admin[256], key[128], id[OM_TYPEID_MAX];
    struct key_resolve_reply resolved;
    start_service("omni-identity");
    stage_read(&here.stage, "admin.key", admin, sizeof(admin));
    cr_assert_eq(resolve(admin, &resolved), OM_OK);
    snprintf(here.tenant, sizeof(here.tenant), "%.*s", (int)resolved.tenant.size,
             resolved.tenant.data);

    struct key_create_request create = { 0 };
    struct key_create_reply made;
    OM_AUTO(om_buf_finish) struct om_buf granted = { 0 };
    om_buf_put(&granted, resolved.scopes.data, resolved.scopes.size);
    REC_SET(&create, key_create_request, name, OM_LIT("test"));
    REC_SET(&create, key_create_request, granted, om_buf_str(&granted));
    cr_assert_eq(call(OP_key_create, &create, &made), OM_OK);
    snprintf(key, sizeof(key), "%.*s", (int)made.key.size, made.key.data);
    snprintf(id, sizeof(id), "%.*s", (int)made.id.size, made.id.data);
    kill_service();
    start_service("omni-identity");
    cr_assert_eq(resolve(key, &resolved), OM_OK);
    cr_assert_eq(resolve(admin, &resolved), OM_OK);

    struct key_revoke_request revoke = { 0 };
    struct key_revoke_reply revoked;
    REC_SET(&revoke, key_revoke_request, id, om_str(id));
    cr_assert_eq(call(OP_key_revoke, &revoke, &revoked), OM_OK);
    kill_service();
    start_service("omni-identity");
    cr_expect_eq(resolve(key, &resolved), OM_EAUTH);
    struct key_changes_request since = { 0 };
    struct key_changes_reply changes;
    REC_SET(&since, key_changes_request, since, 0);
    cr_assert_eq(call(OP_key_changes, &since, &changes), OM_OK);
    cr_expect(changes.last == 1 && rec_iter(changes.data).left == 1);
}

// ---- billing

static void
publish_usage(const char *id, int64_t quantity)
{
    struct wire_usage usage = { 0 };
    REC_SET(&usage, wire_usage, meter, OM_LIT("api_call"));
    REC_SET(&usage, wire_usage, quantity, quantity);
    publish("usage", id, &wire_usage_rec, &usage);
}

static int64_t
usage_now(void)
{
    struct usage_query_request request = { 0 };
    struct usage_query_reply reply;
    REC_SET(&request, usage_query_request, from, 0);
    REC_SET(&request, usage_query_request, to, om_clock_wall_ms() / 1000 + 60);
    cr_assert_eq(call(OP_usage_query, &request, &reply), OM_OK);
    struct rec_iter iter = rec_iter(reply.data);
    struct om_str raw;
    struct usage_item item;
    if (!rec_next_raw(&iter, &raw))
        return 0;
    cr_assert_eq(rec_decode(&usage_item_rec, raw, &item, NULL), OM_OK);
    char digits[32];
    snprintf(digits, sizeof(digits), "%.*s", (int)item.quantity.size, item.quantity.data);
    return strtoll(digits, NULL, 10);
}

static void
expect_usage(int64_t quantity)
{
    int64_t end_ms = om_clock_mono_ms() + DEADLINE_MS;
    int64_t used;
    while ((used = usage_now()) != quantity)
        cr_assert(used < quantity && om_clock_mono_ms() < end_ms, "%d instead of %d",
                  (int)used, (int)quantity);
}

Test(services, usage_is_counted_once_over_kill_9)
{
    enum { ROUNDS = 4, EVENTS = 40 };
    int64_t expected = 0;
    for (int round = 0; round < ROUNDS; round++) {
        start_service("omni-billing");
        for (int i = 0; i < EVENTS; i++) {
            char id[32];
            snprintf(id, sizeof(id), "%d/%d", round, i);
            publish_usage(id, 1 + i);
            expected += 1 + i;
            if (i % 3 == 0)
                publish_usage(id, 1 + i); // the same event again
        }
        kill_service(); // somewhere in the middle of applying them
    }
    start_service("omni-billing");
    expect_usage(expected);
    publish_usage("last", 1000000); // what comes after it was applied after all before
    expect_usage(expected + 1000000);
}

// ---- compliance

static struct audit_verify_reply
verify(void)
{
    struct audit_verify_request request = { 0 };
    struct audit_verify_reply reply;
    cr_assert_eq(call(OP_audit_verify, &request, &reply), OM_OK);
    return reply;
}

Test(services, the_audit_chain_holds_over_kill_9)
{
    enum { ROUNDS = 4, EVENTS = 40 };
    struct audit_event event = { 0 };
    REC_SET(&event, audit_event, actor, OM_LIT("key_1"));
    REC_SET(&event, audit_event, action, OM_LIT("files.read"));
    REC_SET(&event, audit_event, resource, OM_LIT("file_1"));
    REC_SET(&event, audit_event, result, OM_LIT("success"));
    for (int round = 0; round < ROUNDS; round++) {
        start_service("omni-compliance");
        for (int i = 0; i < EVENTS; i++) {
            char id[32];
            snprintf(id, sizeof(id), "%d/%d", round, i);
            publish("audit", id, &audit_event_rec, &event);
        }
        kill_service();
    }
    start_service("omni-compliance");
    int64_t end_ms = om_clock_mono_ms() + DEADLINE_MS;
    struct audit_verify_reply reply;
    do {
        reply = verify();
        cr_assert(reply.valid && om_clock_mono_ms() < end_ms);
        cr_assert(reply.entries <= ROUNDS * EVENTS);
    } while (reply.entries < ROUNDS * EVENTS);
}

// ---- scheduler

static size_t
count_tasks(void)
{
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, tenant, om_str(here.tenant));
    WIRE_SET(&msg, limit, 100);
    struct om_answer answer = om_client_request(here.client, WIRE_LIST, &msg,
                                                (struct om_str){ 0 }, DEADLINE_MS);
    cr_assert_eq(answer.rc, OM_OK);
    return rec_iter(answer.payload).left;
}

// When the tenant's only schedule fired last; 0 for never.
static int64_t
last_fired(void)
{
    struct schedule_list_request request = { 0 };
    struct schedule_list_reply reply;
    cr_assert_eq(call(OP_schedule_list, &request, &reply), OM_OK);
    struct rec_iter iter = rec_iter(reply.data);
    struct om_str raw;
    struct schedule_item item;
    cr_assert(rec_next_raw(&iter, &raw));
    cr_assert_eq(rec_decode(&schedule_item_rec, raw, &item, NULL), OM_OK);
    return item.last_ms;
}

Test(services, each_time_of_a_schedule_makes_one_task_over_kill_9)
{
    enum { MINUTE_MS = 60 * 1000, ROUNDS = 4 };
    char offset[32];
    struct schedule_create_request request = { 0 };
    struct schedule_create_reply made;
    REC_SET(&request, schedule_create_request, cron, OM_LIT("* * * * *"));
    REC_SET(&request, schedule_create_request, queue, OM_LIT("reports"));
    REC_SET(&request, schedule_create_request, kind, OM_LIT("report"));
    REC_SET(&request, schedule_create_request, misfire, OM_LIT("all"));
    start_service("omni-scheduler");
    cr_assert_eq(call(OP_schedule_create, &request, &made), OM_OK);
    int64_t first_ms = made.next_ms;
    kill_service();

    // Each start finds two or three more minutes gone by, and is killed in its work.
    size_t base = here.stage.count;
    for (int round = 1; round <= ROUNDS; round++) {
        here.stage.count = base;
        snprintf(offset, sizeof(offset), "%d", 2 * round * MINUTE_MS);
        stage_set(&here.stage, "OMNI_CLOCK_OFFSET_MS", "%s", offset);
        start_service("omni-scheduler");
        if (round % 2 == 0)
            while (last_fired() == 0)
                continue;
        kill_service();
    }
    start_service("omni-scheduler");
    int64_t now_ms = om_clock_wall_ms() + (int64_t)2 * ROUNDS * MINUTE_MS;
    int64_t end_ms = om_clock_mono_ms() + DEADLINE_MS;
    while (last_fired() < now_ms - now_ms % MINUTE_MS)
        cr_assert(om_clock_mono_ms() < end_ms);
    for (;;) {
        size_t expected = (size_t)((last_fired() - first_ms) / MINUTE_MS + 1);
        size_t tasks = count_tasks();
        cr_assert(tasks <= expected, "%zu tasks for %zu times", tasks, expected);
        if (tasks == expected)
            break;
        cr_assert(om_clock_mono_ms() < end_ms, "%zu tasks for %zu times", tasks,
                  expected);
    }
}
