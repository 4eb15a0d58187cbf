#include <criterion/criterion.h>
#include <stdio.h>

#include "bench.h"
#include "ops.h"

enum { IDENTITY = BENCH_OTHER, WORKERS = 100 };

static void
fake_hash(struct om_str bytes, uint8_t out[32])
{
    memset(out, (int)bytes.size, 32);
}

static void
open_bench(struct bench *bench)
{
    struct core_conf conf = bench_conf();
    conf.sha256 = fake_hash;
    bench_init_conf(bench, &conf);
    bench_hello(bench, IDENTITY, "identity", "id1");
    bench_credit(bench, IDENTITY, "omni.identity", 1000);
}

static void
hello(struct bench *bench, core_conn conn, const char *credential)
{
    char node[32];
    struct wire_msg msg = { 0 };
    snprintf(node, sizeof(node), "w%d", (int)conn);
    WIRE_SET(&msg, role, OM_LIT("tenant"));
    WIRE_SET(&msg, node, om_str(node));
    WIRE_SET(&msg, incarnation, 1);
    WIRE_SET(&msg, credential, om_str(credential));
    bench_send(bench, conn, &bench_nobody, WIRE_HELLO, &msg, NULL);
}

// Take the next question to identity; returns the call's number.
static int64_t
expect_question(struct bench *bench, enum op op)
{
    const struct wire_msg *call = bench_expect(bench, IDENTITY, WIRE_CALL);
    cr_assert(om_str_eq(call->kind, om_str(ops[op].name)), "%.*s was asked",
              (int)call->kind.size, call->kind.data);
    return call->call;
}

static void
answer(struct bench *bench, int64_t call, const struct rec *type, const void *record)
{
    struct om_buf body = { 0 }, header = { 0 };
    struct wire_msg msg = { 0 };
    rec_encode(type, record, &body);
    WIRE_SET(&msg, call, call);
    wire_encode(WIRE_REPLY, &msg, &header);
    struct payload *payload = payload_copy(om_buf_str(&body));
    core_receive(bench->core, bench->now, IDENTITY, &bench_local, om_buf_str(&header),
                 payload);
    payload_unref(&payload);
    om_buf_finish(&body);
    om_buf_finish(&header);
}

static void
answer_error(struct bench *bench, int64_t call, const char *code)
{
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, call, call);
    WIRE_SET(&msg, code, om_str(code));
    bench_send(bench, IDENTITY, &bench_local, WIRE_ERROR, &msg, NULL);
}

static void
answer_key(struct bench *bench, int64_t call, int64_t expires_ms)
{
    struct om_buf scopes = { 0 };
    struct key_resolve_reply reply = { 0 };
    om_pack_array(&scopes, 1);
    om_pack_str(&scopes, OM_LIT("worker"));
    REC_SET(&reply, key_resolve_reply, id, OM_LIT("key_1"));
    REC_SET(&reply, key_resolve_reply, tenant, BENCH_TENANT);
    REC_SET(&reply, key_resolve_reply, name, OM_LIT(""));
    REC_SET(&reply, key_resolve_reply, scopes, om_buf_str(&scopes));
    if (expires_ms)
        REC_SET(&reply, key_resolve_reply, expires_ms, expires_ms);
    answer(bench, call, &key_resolve_reply_rec, &reply);
    om_buf_finish(&scopes);
}

// Answer with the change `seq` of the key of that credential; NULL: with none.
static void
answer_feed(struct bench *bench, int64_t call, int64_t seq, const char *credential)
{
    uint8_t hash[32];
    struct om_buf data = { 0 };
    struct key_changes_reply reply = { 0 };
    om_pack_array(&data, credential != NULL);
    if (credential) {
        struct key_change_item item = { 0 };
        fake_hash(om_str(credential), hash);
        REC_SET(&item, key_change_item, seq, seq);
        REC_SET(&item, key_change_item, hash, ((struct om_str){ (char *)hash, 32 }));
        rec_encode(&key_change_item_rec, &item, &data);
    }
    REC_SET(&reply, key_changes_reply, data, om_buf_str(&data));
    REC_SET(&reply, key_changes_reply, last, seq);
    answer(bench, call, &key_changes_reply_rec, &reply);
    om_buf_finish(&data);
}

// Answer with the change `seq` of a tenant.
static void
answer_feed_of_tenant(struct bench *bench, int64_t call, int64_t seq,
                      struct om_str tenant)
{
    static const uint8_t all_keys[32];
    struct om_buf data = { 0 };
    struct key_changes_reply reply = { 0 };
    struct key_change_item item = { 0 };
    REC_SET(&item, key_change_item, seq, seq);
    REC_SET(&item, key_change_item, hash, ((struct om_str){ (char *)all_keys, 32 }));
    REC_SET(&item, key_change_item, tenant, tenant);
    om_pack_array(&data, 1);
    rec_encode(&key_change_item_rec, &item, &data);
    REC_SET(&reply, key_changes_reply, data, om_buf_str(&data));
    REC_SET(&reply, key_changes_reply, last, seq);
    answer(bench, call, &key_changes_reply_rec, &reply);
    om_buf_finish(&data);
}

// A worker with an open session, and the feed asked for the first time.
static int64_t
open_worker(struct bench *bench, int64_t expires_ms)
{
    open_bench(bench);
    hello(bench, BENCH_WORKER, "key");
    answer_key(bench, expect_question(bench, OP_key_resolve), expires_ms);
    bench_expect(bench, BENCH_WORKER, WIRE_WELCOME);
    bench_pass(bench, 500);
    return expect_question(bench, OP_key_changes);
}

Test(key, that_was_revoked_loses_its_session_within_a_second)
{
    struct bench bench;
    int64_t feed = open_worker(&bench, 0);
    answer_feed(&bench, feed, 0, NULL);
    bench_pass(&bench, 500);
    answer_feed(&bench, expect_question(&bench, OP_key_changes), 7, "key");
    int64_t call = expect_question(&bench, OP_key_resolve);
    answer_error(&bench, call, "invalid_api_key");
    cr_expect(om_str_eq(bench_refusal(&bench, BENCH_WORKER, WIRE_ERROR),
                        OM_LIT("invalid_api_key")));
    cr_expect_eq(core_stats(bench.core).sessions, 1);
    bench_send(&bench, BENCH_WORKER, &bench_nobody, WIRE_PING, &(struct wire_msg){ 0 },
               NULL);
    bench_expect(&bench, BENCH_WORKER, WIRE_RESET);
    bench_finish(&bench);
}

Test(key, of_another_that_changed_is_not_asked_about)
{
    struct bench bench;
    int64_t feed = open_worker(&bench, 0);
    answer_feed(&bench, feed, 7, "a longer key");
    bench_expect_nothing(&bench);
    bench_pass(&bench, 500);
    struct om_str body;
    expect_question(&bench, OP_key_changes);
    struct key_changes_request request;
    body = payload_bytes(bench.sent.payload);
    cr_assert_eq(rec_decode(&key_changes_request_rec, body, &request, NULL), OM_OK);
    cr_expect_eq(request.since, 7);
    bench_finish(&bench);
}

Test(key, of_a_tenant_that_is_suspended_loses_its_session)
{
    struct bench bench;
    struct om_uuid other = { { 1 } };
    char text[OM_TYPEID_MAX];
    int64_t feed = open_worker(&bench, 0);
    om_typeid_encode(OM_ID_TENANT, &other, text);
    answer_feed_of_tenant(&bench, feed, 7, om_str(text));
    bench_expect_nothing(&bench);
    bench_pass(&bench, 500);
    answer_feed_of_tenant(&bench, expect_question(&bench, OP_key_changes), 8,
                          BENCH_TENANT);
    answer_error(&bench, expect_question(&bench, OP_key_resolve), "permission_denied");
    cr_expect(om_str_eq(bench_refusal(&bench, BENCH_WORKER, WIRE_ERROR),
                        OM_LIT("permission_denied")));
    bench_finish(&bench);
}

Test(key, keeps_its_sessions_while_identity_does_not_answer)
{
    struct bench bench;
    open_worker(&bench, 0);
    for (int i = 0; i < 20; i++) {
        bench_pass(&bench, 500);
        bench_send(&bench, BENCH_WORKER, &bench_nobody, WIRE_PING,
                   &(struct wire_msg){ 0 }, NULL);
        bench_send(&bench, IDENTITY, &bench_local, WIRE_PING, &(struct wire_msg){ 0 },
                   NULL);
        bench_drop(&bench);
    }
    cr_expect_eq(core_stats(bench.core).sessions, 2);
    bench_finish(&bench);
}

Test(key, that_changed_is_asked_about_again_when_the_answer_failed)
{
    struct bench bench;
    int64_t feed = open_worker(&bench, 0);
    answer_feed(&bench, feed, 7, "key");
    answer_error(&bench, expect_question(&bench, OP_key_resolve), "unavailable");
    bench_expect_nothing(&bench);
    bench_pass(&bench, 500);
    int64_t call = expect_question(&bench, OP_key_resolve);
    expect_question(&bench, OP_key_changes);
    answer_error(&bench, call, "invalid_api_key");
    bench_expect(&bench, BENCH_WORKER, WIRE_ERROR);
    bench_finish(&bench);
}

Test(key, that_changes_while_it_is_asked_about_is_asked_about_once_more)
{
    struct bench bench;
    int64_t feed = open_worker(&bench, 0);
    answer_feed(&bench, feed, 7, "key");
    int64_t call = expect_question(&bench, OP_key_resolve);
    bench_pass(&bench, 500);
    answer_feed(&bench, expect_question(&bench, OP_key_changes), 8, "key");
    answer_key(&bench, call, 0); // as it was before the second change
    answer_error(&bench, expect_question(&bench, OP_key_resolve), "invalid_api_key");
    bench_expect(&bench, BENCH_WORKER, WIRE_ERROR);
    bench_finish(&bench);
}

Test(key, that_expires_loses_its_session)
{
    struct bench bench;
    open_worker(&bench, INT64_C(1800000000000) + 900);
    bench_expect_nothing(&bench);
    bench_pass(&bench, 500);
    cr_expect(om_str_eq(bench_refusal(&bench, BENCH_WORKER, WIRE_ERROR),
                        OM_LIT("invalid_api_key")));
    bench_finish(&bench);
}

Test(key, of_many_workers_is_asked_about_once)
{
    struct bench bench;
    open_bench(&bench);
    for (core_conn conn = 10; conn < 10 + WORKERS; conn++)
        hello(&bench, conn, "key");
    int64_t call = expect_question(&bench, OP_key_resolve);
    bench_expect_nothing(&bench);
    answer_key(&bench, call, 0);
    for (core_conn conn = 10; conn < 10 + WORKERS; conn++)
        bench_expect(&bench, conn, WIRE_WELCOME);
    bench_pass(&bench, 500);
    answer_feed(&bench, expect_question(&bench, OP_key_changes), 0, NULL);
    hello(&bench, 9, "key"); // what is known is fresh
    bench_expect(&bench, 9, WIRE_WELCOME);
    bench_pass(&bench, 500);
    answer_feed(&bench, expect_question(&bench, OP_key_changes), 1, "key");
    answer_error(&bench, expect_question(&bench, OP_key_resolve), "invalid_api_key");
    cr_expect_eq(core_stats(bench.core).sessions, 1, "all of them are closed");
    bench_finish(&bench);
}

Test(key, nobody_waits_for_is_not_asked_about_any_more)
{
    struct bench bench;
    open_bench(&bench);
    hello(&bench, BENCH_WORKER, "key");
    expect_question(&bench, OP_key_resolve);
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, role, OM_LIT("tenant"));
    WIRE_SET(&msg, node, OM_LIT("another"));
    WIRE_SET(&msg, incarnation, 1);
    WIRE_SET(&msg, credential, OM_LIT("another key"));
    bench_send(&bench, BENCH_WORKER, &bench_nobody, WIRE_HELLO, &msg, NULL);
    bench_expect(&bench, IDENTITY, WIRE_CALL_CANCEL);
    expect_question(&bench, OP_key_resolve);
    bench_finish(&bench);
}
