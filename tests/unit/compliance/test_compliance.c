#include "../services/call.h"
#include "audit.h"
#include "id.h"

enum { EVENTS_MAX = 64 };

static struct call_folder folder;
static struct compliance compliance;
static struct call call;
static struct om_uuid tenant;
static char tenant_text[OM_TYPEID_MAX];

// A run of events being made.
static struct wire_logged run[EVENTS_MAX];
static struct om_buf bodies[EVENTS_MAX];
static char event_ids[EVENTS_MAX][32];
static size_t run_size;

static void
set_tenant(struct om_uuid id)
{
    tenant = id;
    om_typeid_encode(OM_ID_TENANT, &tenant, tenant_text);
}

static void
open_all(void)
{
    folder = call_folder_make();
    compliance.db = call_open_db(&folder, "compliance", compliance_schema);
    set_tenant(om_id_new(9));
}

static void
close_all(void)
{
    om_db_close(&compliance.db);
    call_finish(&call);
    for (size_t i = 0; i < EVENTS_MAX; i++)
        om_buf_finish(&bodies[i]);
    call_folder_remove(&folder);
}

TestSuite(compliance, .init = open_all, .fini = close_all);

static void
add(int64_t seq, const char *action)
{
    struct audit_event event = { 0 };
    REC_SET(&event, audit_event, actor, OM_LIT("key_1"));
    REC_SET(&event, audit_event, action, om_str(action));
    REC_SET(&event, audit_event, resource, OM_LIT(""));
    REC_SET(&event, audit_event, result, OM_LIT("success"));
    struct om_buf *body = &bodies[run_size];
    om_buf_reset(body);
    rec_encode(&audit_event_rec, &event, body);
    char *id = event_ids[run_size];
    snprintf(id, sizeof(event_ids[0]), "evt_%d", (int)seq);
    run[run_size++] = (struct wire_logged){
        .seq = seq,
        .topic = OM_LIT("audit"),
        .id = om_str(id),
        .tenant = om_str(tenant_text),
        .at = 1000 + seq,
        .body = om_buf_str(body),
    };
}

static enum om_rc
apply(void)
{
    size_t size = run_size;
    run_size = 0;
    return audit_apply(&compliance, 9, run, size);
}

static void
fill(int64_t count)
{
    for (int64_t seq = 1; seq <= count; seq++)
        add(seq, "files.read");
    cr_assert(apply() == OM_OK);
}

static struct audit_verify_reply
verify(void)
{
    struct audit_verify_request request = { 0 };
    struct audit_verify_reply reply;
    cr_assert(call_op(&call, compliance_routes, &compliance, OP_audit_verify, tenant, "",
                      &request, &reply) == OM_OK);
    return reply;
}

Test(compliance, has_a_route_for_every_operation_it_owns)
{
    call_expect_routes(compliance_routes, QUEUE_COMPLIANCE);
}

Test(compliance, verifies_an_empty_and_a_whole_chain)
{
    struct audit_verify_reply reply = verify();
    cr_expect(reply.valid && reply.entries == 0 && reply.head.size == 0);
    fill(20);
    reply = verify();
    cr_expect(reply.valid && reply.entries == 20 && reply.head.size == 64);
    cr_expect(!REC_HAS(&reply, audit_verify_reply, broken_at));
}

Test(compliance, appends_what_is_delivered_again_once)
{
    for (int times = 0; times < 3; times++) {
        add(1, "a");
        add(2, "b");
        cr_assert(apply() == OM_OK);
    }
    add(2, "b");
    add(3, "c");
    add(4, "c");
    run[2].id = OM_LIT("evt_3"); // published twice
    cr_assert(apply() == OM_OK);
    struct audit_verify_reply reply = verify();
    cr_expect(reply.valid && reply.entries == 3);
}

Test(compliance, goes_on_with_its_chain_when_it_starts_again)
{
    fill(3);
    om_db_close(&compliance.db);
    compliance.db = call_open_db(&folder, "compliance", compliance_schema);
    add(3, "again");
    add(4, "new");
    cr_assert(apply() == OM_OK);
    struct audit_verify_reply reply = verify();
    cr_expect(reply.valid && reply.entries == 4);
}

Test(compliance, appends_nothing_of_a_run_with_a_malformed_event)
{
    add(1, "a");
    add(2, "b");
    run[1].body = OM_LIT("no record");
    cr_expect(apply() == OM_EPROTO);
    cr_expect(verify().entries == 0);
}

OM_SQL(update_row, "UPDATE audit_log SET action = 'files.write' WHERE seq = 7");
OM_SQL(delete_row, "DELETE FROM audit_log WHERE seq = 7");
OM_SQL(delete_last, "DELETE FROM audit_log WHERE seq = 10");
OM_SQL(rewrite_head, "UPDATE audit_head SET entries = 9");
OM_SQL(empty_ip, "UPDATE audit_log SET ip = '' WHERE seq = 7");
OM_SQL(move_time, "UPDATE audit_log SET at_ms = at_ms - 1 WHERE seq = 7");
OM_SQL(swap_first, "UPDATE audit_log SET seq = seq + 100 WHERE seq IN (1, 2)");
OM_SQL(swap_second, "UPDATE audit_log SET seq = 103 - seq WHERE seq > 100");
OM_SQL(forge_hash, "UPDATE audit_log SET hash = zeroblob(32) WHERE seq = 7");
OM_SQL(long_hash, "UPDATE audit_log SET hash = hash || 'x' WHERE seq = 7");
OM_SQL(no_update_trigger, "DROP TRIGGER audit_log_no_update");
OM_SQL(no_delete_trigger, "DROP TRIGGER audit_log_no_delete");

static enum om_rc
tamper(const struct om_sql *const *statements)
{
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin(compliance.db);
    for (; *statements; statements++)
        om_db_exec(txn, *statements);
    return om_db_commit(&txn);
}

Test(compliance, lets_the_database_refuse_changes)
{
    fill(10);
    cr_expect(tamper((const struct om_sql *[]){ &sql_update_row, NULL }) == OM_EDB);
    cr_expect(strstr(om_db_error(compliance.db), "never changed"));
    cr_expect(tamper((const struct om_sql *[]){ &sql_delete_row, NULL }) == OM_EDB);
    cr_expect(strstr(om_db_error(compliance.db), "never deleted"));
    cr_expect(verify().valid);
}

static const struct {
    const struct om_sql *change[3];
    int64_t broken_at;
} tampered[] = {
    { { &sql_update_row }, 7 },
    { { &sql_delete_row }, 7 },
    { { &sql_empty_ip }, 7 },
    { { &sql_move_time }, 7 },
    { { &sql_forge_hash }, 7 },
    { { &sql_long_hash }, 7 },
    { { &sql_delete_last }, 10 },
    { { &sql_delete_last, &sql_rewrite_head }, 9 },
    { { &sql_swap_first, &sql_swap_second }, 1 },
};

Test(compliance, names_the_first_row_that_was_tampered_with)
{
    for (size_t i = 0; i < OM_COUNT(tampered); i++) {
        if (i > 0) {
            close_all();
            open_all();
        }
        fill(10);
        cr_assert(tamper((const struct om_sql *[]){
                      &sql_no_update_trigger, &sql_no_delete_trigger, NULL }) == OM_OK);
        cr_assert(tamper(tampered[i].change) == OM_OK, "%s", om_db_error(compliance.db));
        struct audit_verify_reply reply = verify();
        cr_expect(!reply.valid, "%s", tampered[i].change[0]->name);
        cr_expect(reply.broken_at == tampered[i].broken_at, "%s: at %d",
                  tampered[i].change[0]->name, (int)reply.broken_at);
    }
}

Test(compliance, lists_a_tenants_own_entries_in_pages_newest_first)
{
    fill(5);
    struct om_uuid first = tenant;
    set_tenant(om_id_new(9));
    add(6, "other");
    cr_assert(apply() == OM_OK);
    cr_expect(verify().entries == 1);
    set_tenant(first);

    int64_t expected = 5;
    char after[24] = "";
    for (bool more = true; more;) {
        struct audit_list_request request = { 0 };
        struct audit_list_reply reply;
        REC_SET(&request, audit_list_request, limit, 2);
        if (*after)
            REC_SET(&request, audit_list_request, after, om_str(after));
        cr_assert(call_op(&call, compliance_routes, &compliance, OP_audit_list, tenant,
                          "", &request, &reply) == OM_OK);
        struct rec_iter iter = rec_iter(reply.data);
        struct om_str raw;
        while (rec_next_raw(&iter, &raw)) {
            struct audit_item item;
            cr_assert(rec_decode(&audit_item_rec, raw, &item, NULL) == OM_OK);
            cr_expect(item.at == 1000 + expected--);
            cr_expect(om_str_eq(item.action, OM_LIT("files.read")));
            cr_expect(!REC_HAS(&item, audit_item, ip));
        }
        more = reply.has_more;
        snprintf(after, sizeof(after), "%.*s", (int)reply.last_id.size,
                 reply.last_id.data);
    }
    cr_expect(expected == 0);
}

Test(compliance, lists_the_audit_log_from_either_end)
{
    static const struct {
        const char *after, *before, *order, *ids;
    } cases[] = {
        { NULL, NULL, "asc", "12" }, { "2", NULL, "asc", "34" },
        { NULL, "4", "asc", "23" },  { NULL, NULL, "desc", "54" },
        { NULL, "2", NULL, "43" },   { "4", NULL, NULL, "32" },
    };
    fill(5);
    struct om_uuid first = tenant;
    set_tenant(om_id_new(9));
    add(6, "other");
    cr_assert(apply() == OM_OK);
    cr_expect(verify().entries == 1);
    set_tenant(first);

    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        char got[8] = "";
        struct audit_list_request request = { 0 };
        struct audit_list_reply reply;
        struct audit_item item;
        struct om_str raw;
        REC_SET(&request, audit_list_request, limit, 2);
        if (cases[i].after)
            REC_SET(&request, audit_list_request, after, om_str(cases[i].after));
        if (cases[i].before)
            REC_SET(&request, audit_list_request, before, om_str(cases[i].before));
        if (cases[i].order)
            REC_SET(&request, audit_list_request, order, om_str(cases[i].order));
        cr_assert(call_op(&call, compliance_routes, &compliance, OP_audit_list, tenant,
                          "", &request, &reply) == OM_OK);
        struct rec_iter iter = rec_iter(reply.data);
        while (rec_next_rec(&iter, &audit_item_rec, &item, &raw))
            strncat(got, item.id.data, item.id.size);
        cr_expect_str_eq(got, cases[i].ids, "case %zu", i);
        cr_expect(reply.has_more, "case %zu", i);
    }
}

Test(compliance, refuses_what_is_no_place_in_the_chain)
{
    const char *bad[] = { "x", "-1", "1 ", "evt_1", "99999999999999999999" };
    for (size_t i = 0; i < OM_COUNT(bad); i++) {
        struct audit_list_request request = { 0 };
        struct audit_list_reply reply;
        REC_SET(&request, audit_list_request, after, om_str(bad[i]));
        cr_expect(call_op(&call, compliance_routes, &compliance, OP_audit_list, tenant,
                          "", &request, &reply) == OM_EINVAL,
                  "%s", bad[i]);
    }
}

Test(chain, has_a_hash_that_anyone_can_compute_from_the_description)
{
    const uint8_t before[CHAIN_HASH] = { 0 };
    uint8_t hash[CHAIN_HASH];
    char text[2 * CHAIN_HASH + 1];
    struct chain_row row = {
        .tenant = { { 1, 2, 3 } },
        .seq = 1,
        .at_ms = 1700000000000,
        .event_id = OM_LIT("evt_1"),
        .event = { .actor = OM_LIT("key_1"),
                   .action = OM_LIT("files.read"),
                   .resource = OM_LIT(""),
                   .result = OM_LIT("success"),
                   .ip = OM_LIT("127.0.0.1") },
    };
    cr_assert(chain_hash(before, &row, hash) == OM_OK);
    om_hex(hash, sizeof(hash), text);
    cr_expect_str_eq(text,
                     "2039b8a03d2f621a57528bfe1a401bc748ba5d516e8ff5c6fd18b015c424c344");
}

Test(chain, distinguishes_texts_that_look_the_same_in_a_row)
{
    const uint8_t before[CHAIN_HASH] = { 0 };
    const struct audit_event events[] = {
        { .actor = OM_LIT("ab"), .action = OM_LIT("c") },
        { .actor = OM_LIT("a"), .action = OM_LIT("bc") },
        { .actor = OM_LIT("abc"), .action = OM_LIT("") },
        { .actor = OM_LIT("abc") },
    };
    uint8_t hashes[OM_COUNT(events)][CHAIN_HASH];
    for (size_t i = 0; i < OM_COUNT(events); i++) {
        struct chain_row row = { .seq = 1, .event = events[i] };
        cr_assert(chain_hash(before, &row, hashes[i]) == OM_OK);
        for (size_t k = 0; k < i; k++)
            cr_expect(memcmp(hashes[i], hashes[k], CHAIN_HASH) != 0);
    }
}
