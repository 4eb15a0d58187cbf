#include <criterion/criterion.h>

#include "bench.h"
#include "ops.h"

static void
say_hello_from(struct bench *bench, core_conn conn, const struct core_peer *peer,
               const char *role, const char *credential)
{
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, role, om_str(role));
    WIRE_SET(&msg, node, OM_LIT("w1"));
    WIRE_SET(&msg, incarnation, 1);
    if (credential)
        WIRE_SET(&msg, credential, om_str(credential));
    bench_send(bench, conn, peer, WIRE_HELLO, &msg, NULL);
}

static void
say_hello(struct bench *bench, const struct core_peer *peer, const char *role,
          const char *credential)
{
    say_hello_from(bench, BENCH_WORKER, peer, role, credential);
}

Test(session, resets_a_peer_that_has_none)
{
    struct bench bench;
    bench_init(&bench);
    bench_send(&bench, BENCH_CLIENT, &bench_local, WIRE_PING, &(struct wire_msg){ 0 },
               NULL);
    bench_expect(&bench, BENCH_CLIENT, WIRE_RESET);
    // Nobody answers an answer.
    bench_send(&bench, BENCH_CLIENT, &bench_local, WIRE_RESET, &(struct wire_msg){ 0 },
               NULL);
    bench_send(&bench, BENCH_CLIENT, &bench_local, WIRE_BYE, &(struct wire_msg){ 0 },
               NULL);
    bench_expect_nothing(&bench);
    bench_finish(&bench);
}

Test(session, gives_a_role_only_to_whom_the_transport_vouches_for)
{
    static const struct {
        struct core_peer peer;
        const char *role;
        const char *code; // NULL: WELCOME
    } cases[] = {
        { { TRUST_LOCAL, ROLE_NONE }, "ingest", NULL },
        { { TRUST_LOCAL, ROLE_NONE }, "billing", NULL },
        { { TRUST_LOCAL, ROLE_NONE }, "broker", "permission_denied" },
        { { TRUST_LOCAL, ROLE_NONE }, "none", "permission_denied" },
        { { TRUST_LOCAL, ROLE_NONE }, "king", "permission_denied" },
        { { TRUST_ROLE, ROLE_INGEST }, "ingest", NULL },
        { { TRUST_ROLE, ROLE_INGEST }, "billing", "permission_denied" },
        { { TRUST_NOTHING, ROLE_NONE }, "ingest", "permission_denied" },
        { { TRUST_NOTHING, ROLE_NONE }, "tenant", "invalid_api_key" },
    };
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        struct bench bench;
        bench_init(&bench);
        say_hello(&bench, &cases[i].peer, cases[i].role, NULL);
        if (cases[i].code)
            cr_expect(om_str_eq(bench_refusal(&bench, BENCH_WORKER, WIRE_ERROR),
                                om_str(cases[i].code)),
                      "case %zu", i);
        else
            bench_expect(&bench, BENCH_WORKER, WIRE_WELCOME);
        bench_finish(&bench);
    }
}

// ---- tenants' workers

static void
fake_hash(struct om_str bytes, uint8_t out[32])
{
    memset(out, (int)bytes.size, 32);
}

// A tenant's worker has said HELLO, and identity has the question.
static int64_t
ask_identity(struct bench *bench)
{
    struct core_conf conf = bench_conf();
    conf.sha256 = fake_hash;
    bench_init_conf(bench, &conf);
    bench_hello(bench, BENCH_OTHER, "identity", "id1");
    bench_credit(bench, BENCH_OTHER, "omni.identity", 4);
    say_hello(bench, &bench_nobody, "tenant", "omni_live_x");
    const struct wire_msg *call = bench_expect(bench, BENCH_OTHER, WIRE_CALL);
    cr_expect(om_str_eq(call->kind, OM_LIT("key_resolve")));
    cr_expect(om_str_eq(call->from, OM_LIT("broker")));
    struct key_resolve_request request;
    cr_assert_eq(rec_decode(&key_resolve_request_rec, payload_bytes(bench->sent.payload),
                            &request, NULL),
                 OM_OK);
    cr_expect_eq(request.hash.data[31], (char)strlen("omni_live_x"));
    return call->call;
}

static void
answer_identity_with(struct bench *bench, int64_t call, const char *scope,
                     struct om_str tenant)
{
    struct om_buf scopes = { 0 }, body = { 0 }, header = { 0 };
    struct key_resolve_reply reply = { 0 };
    om_pack_array(&scopes, 1);
    om_pack_str(&scopes, om_str(scope));
    REC_SET(&reply, key_resolve_reply, id, OM_LIT("key_1"));
    REC_SET(&reply, key_resolve_reply, tenant, tenant);
    REC_SET(&reply, key_resolve_reply, name, OM_LIT(""));
    REC_SET(&reply, key_resolve_reply, scopes, om_buf_str(&scopes));
    rec_encode(&key_resolve_reply_rec, &reply, &body);
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, call, call);
    wire_encode(WIRE_REPLY, &msg, &header);
    struct payload *payload = payload_copy(om_buf_str(&body));
    core_receive(bench->core, bench->now, BENCH_OTHER, &bench_local, om_buf_str(&header),
                 payload);
    payload_unref(&payload);
    om_buf_finish(&scopes);
    om_buf_finish(&body);
    om_buf_finish(&header);
}

static void
answer_identity(struct bench *bench, int64_t call, const char *scope)
{
    answer_identity_with(bench, call, scope, BENCH_TENANT);
}

Test(session, opens_for_a_tenants_worker_whose_key_identity_knows)
{
    struct bench bench;
    int64_t call = ask_identity(&bench);
    say_hello(&bench, &bench_nobody, "tenant", "omni_live_x"); // impatient
    bench_expect_nothing(&bench);
    answer_identity(&bench, call, "worker");
    const struct wire_msg *welcome = bench_expect(&bench, BENCH_WORKER, WIRE_WELCOME);
    cr_expect(om_str_eq(welcome->tenant, BENCH_TENANT));
    bench_finish(&bench);
}

Test(session, stays_closed_for_a_key_without_the_scope_worker)
{
    struct bench bench;
    answer_identity(&bench, ask_identity(&bench), "predict");
    cr_expect(om_str_eq(bench_refusal(&bench, BENCH_WORKER, WIRE_ERROR),
                        OM_LIT("permission_denied")));
    bench_send(&bench, BENCH_WORKER, &bench_nobody, WIRE_PING, &(struct wire_msg){ 0 },
               NULL);
    bench_expect(&bench, BENCH_WORKER, WIRE_RESET);
    bench_finish(&bench);
}

Test(session, stays_closed_when_identity_does_not_answer)
{
    struct bench bench;
    ask_identity(&bench);
    bench_pass(&bench, 10 * 1000);
    bench_find(&bench, BENCH_WORKER, WIRE_ERROR);
    cr_expect(om_str_eq(bench.msg.code, OM_LIT("unavailable")) ||
              om_str_eq(bench.msg.code, OM_LIT("timeout")));
    bench_finish(&bench);
}

Test(session, lets_a_tenants_worker_do_nothing_but_work)
{
    static const enum wire_type refused[] = {
        WIRE_SUBMIT, WIRE_CALL,   WIRE_CALL_CANCEL, WIRE_PUBLISH, WIRE_GET,
        WIRE_LIST,   WIRE_CANCEL, WIRE_RETRY,       WIRE_WATCH,
    };
    struct bench bench;
    answer_identity(&bench, ask_identity(&bench), "worker");
    bench_drop(&bench);
    struct wire_msg msg = { 0 };
    struct om_uuid task = bench_task(&bench, 1);
    WIRE_SET(&msg, id, OM_LIT("m"));
    WIRE_SET(&msg, task, bench_task_text(&task));
    WIRE_SET(&msg, tenant, BENCH_STRANGER);
    WIRE_SET(&msg, queue, OM_LIT("own"));
    WIRE_SET(&msg, kind, OM_LIT("k"));
    WIRE_SET(&msg, limit, 1);
    WIRE_SET(&msg, ttl_ms, 1);
    WIRE_SET(&msg, events, OM_LIT("\x90"));
    for (size_t i = 0; i < OM_COUNT(refused); i++) {
        bench_send(&bench, BENCH_WORKER, &bench_nobody, refused[i], &msg, NULL);
        cr_expect(om_str_eq(bench_refusal(&bench, BENCH_WORKER, WIRE_ERROR),
                            OM_LIT("permission_denied")));
    }
    WIRE_SET(&msg, queue, OM_LIT("omni.training"));
    bench_send(&bench, BENCH_WORKER, &bench_nobody, WIRE_CREDIT, &msg, NULL);
    cr_expect(om_str_eq(bench_refusal(&bench, BENCH_WORKER, WIRE_ERROR),
                        OM_LIT("permission_denied")));
    bench_finish(&bench);
}

Test(session, gives_a_tenants_job_to_that_tenants_worker_only)
{
    struct bench bench;
    answer_identity(&bench, ask_identity(&bench), "worker");
    bench_drop(&bench);
    bench_credit(&bench, BENCH_WORKER, "own", 4);
    bench_hello(&bench, BENCH_CLIENT, "ingest", "i1");

    struct om_uuid foreign = bench_task(&bench, 2);
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, id, OM_LIT("m"));
    WIRE_SET(&msg, task, bench_task_text(&foreign));
    WIRE_SET(&msg, tenant, BENCH_STRANGER);
    WIRE_SET(&msg, queue, OM_LIT("own"));
    WIRE_SET(&msg, kind, OM_LIT("k"));
    bench_send(&bench, BENCH_CLIENT, &bench_local, WIRE_SUBMIT, &msg, NULL);
    cr_assert(bench_commit(&bench, OM_OK));
    bench_expect(&bench, BENCH_CLIENT, WIRE_SUBMITTED);
    cr_assert_not(bench_commit(&bench, OM_OK)); // no lease
    bench_expect_nothing(&bench);

    bench_submitted(&bench, "own");
    cr_assert(bench_commit(&bench, OM_OK));
    bench_expect(&bench, BENCH_WORKER, WIRE_JOB);
    bench_finish(&bench);
}

Test(session, of_a_tenants_worker_cannot_meter_what_the_platform_meters)
{
    struct bench bench;
    char token[WIRE_TOKEN_BYTES];
    answer_identity(&bench, ask_identity(&bench), "worker");
    bench_drop(&bench);
    bench_credit(&bench, BENCH_WORKER, "own", 1);
    bench_hello(&bench, BENCH_CLIENT, "ingest", "i1");
    bench_submitted(&bench, "own");
    cr_assert(bench_commit(&bench, OM_OK));
    bench_take_job(&bench, BENCH_WORKER, token);

    struct om_buf list = { 0 };
    struct wire_usage item = { 0 };
    om_pack_array(&list, 1);
    REC_SET(&item, wire_usage, meter, OM_LIT("ml_inference"));
    REC_SET(&item, wire_usage, quantity, 3);
    rec_encode(&wire_usage_rec, &item, &list);
    struct wire_msg done = { 0 };
    WIRE_SET(&done, token, ((struct om_str){ token, sizeof(token) }));
    WIRE_SET(&done, usage, om_buf_str(&list));
    bench_send(&bench, BENCH_WORKER, &bench_nobody, WIRE_DONE, &done, NULL);
    om_buf_finish(&list);

    struct batch *batch = core_take_batch(bench.core);
    cr_assert(batch);
    cr_assert_eq(batch->changes[1].kind, CHANGE_EVENT);
    cr_assert_eq(rec_decode(&wire_usage_rec, batch->changes[1].event.body, &item, NULL),
                 OM_OK);
    cr_expect(om_str_eq(item.meter, OM_LIT("own.ml_inference")));
    cr_expect_eq(item.quantity, 3);
    core_committed(bench.core, bench.now, &batch, OM_OK);
    bench_finish(&bench);
}

Test(session, of_a_tenants_worker_is_nothing_to_another_tenants_leases)
{
    enum { THIEF = BENCH_OTHER + 1 };
    struct bench bench;
    char token[WIRE_TOKEN_BYTES];
    answer_identity(&bench, ask_identity(&bench), "worker");
    bench_drop(&bench);
    bench_credit(&bench, BENCH_WORKER, "own", 1);
    bench_hello(&bench, BENCH_CLIENT, "ingest", "i1");
    struct om_uuid id = bench_submitted(&bench, "own");
    cr_assert(bench_commit(&bench, OM_OK));
    bench_take_job(&bench, BENCH_WORKER, token);

    say_hello_from(&bench, THIEF, &bench_nobody, "tenant", "omni_live_other");
    int64_t call = bench_expect(&bench, BENCH_OTHER, WIRE_CALL)->call;
    answer_identity_with(&bench, call, "worker", BENCH_STRANGER);
    bench_expect(&bench, THIEF, WIRE_WELCOME);
    bench_say(&bench, THIEF, WIRE_DONE, token);
    bench_expect(&bench, THIEF, WIRE_STALE);
    cr_expect_eq(bench_get_state(&bench, &id), STATE_LEASED);
    bench_finish(&bench);
}

// ---- being alive

Test(session, takes_a_hello_said_again_for_the_same)
{
    struct bench bench;
    bench_init(&bench);
    bench_hello(&bench, BENCH_CLIENT, "ingest", "i1");
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, role, OM_LIT("inference"));
    WIRE_SET(&msg, node, OM_LIT("w1"));
    WIRE_SET(&msg, incarnation, 1);
    WIRE_SET(&msg, id, OM_LIT("h1"));
    bench_send(&bench, BENCH_WORKER, &bench_local, WIRE_HELLO, &msg, NULL);
    bench_expect(&bench, BENCH_WORKER, WIRE_WELCOME);
    bench_credit(&bench, BENCH_WORKER, "omni.inference", 1);
    bench_submitted(&bench, "omni.inference");
    bench_expect(&bench, BENCH_WORKER, WIRE_JOB);

    bench_send(&bench, BENCH_WORKER, &bench_local, WIRE_HELLO, &msg, NULL);
    bench_expect(&bench, BENCH_WORKER, WIRE_WELCOME);
    bench_credit(&bench, BENCH_WORKER, "omni.inference", 1); // all of it is used
    cr_expect_eq(bench.msg.sent, 1);
    bench_submitted(&bench, "omni.inference");
    bench_expect_nothing(&bench);
    bench_finish(&bench);
}

Test(session, gives_no_job_to_a_worker_that_is_silent)
{
    struct bench bench;
    bench_init(&bench);
    bench_hello(&bench, BENCH_CLIENT, "ingest", "i1");
    bench_hello(&bench, BENCH_WORKER, "inference", "w1");
    bench_credit(&bench, BENCH_WORKER, "omni.inference", 1);
    bench_pass(&bench, 6001);
    bench_submitted(&bench, "omni.inference");
    bench_expect_nothing(&bench);
    bench_send(&bench, BENCH_WORKER, &bench_local, WIRE_PING, &(struct wire_msg){ 0 },
               NULL);
    bench_expect(&bench, BENCH_WORKER, WIRE_PONG);
    bench_expect(&bench, BENCH_WORKER, WIRE_JOB);
    bench_finish(&bench);
}

Test(session, gives_no_job_to_a_suspect_worker_until_it_speaks)
{
    struct bench bench;
    bench_init(&bench);
    bench_hello(&bench, BENCH_CLIENT, "ingest", "i1");
    bench_hello(&bench, BENCH_WORKER, "inference", "w1");
    bench_credit(&bench, BENCH_WORKER, "omni.inference", 1);
    core_suspect(bench.core, bench.now, BENCH_WORKER);
    bench_submitted(&bench, "omni.inference");
    bench_expect_nothing(&bench);
    bench_send(&bench, BENCH_WORKER, &bench_local, WIRE_PING, &(struct wire_msg){ 0 },
               NULL);
    bench_find(&bench, BENCH_WORKER, WIRE_JOB);
    bench_finish(&bench);
}

Test(session, answers_what_it_cannot_read_or_does_not_know)
{
    struct bench bench;
    bench_init(&bench);
    bench_hello(&bench, BENCH_CLIENT, "ingest", "i1");
    core_receive(bench.core, bench.now, BENCH_CLIENT, &bench_local, OM_LIT("\xdf"), NULL);
    cr_expect(
        om_str_eq(bench_refusal(&bench, BENCH_CLIENT, WIRE_ERROR), OM_LIT("malformed")));
    core_receive(bench.core, bench.now, BENCH_CLIENT, &bench_local,
                 OM_LIT("\x83\xa1v\x01\xa1t\xcc\xfa\xa2id\xa1x"), NULL);
    cr_expect(om_str_eq(bench_refusal(&bench, BENCH_CLIENT, WIRE_ERROR),
                        OM_LIT("unsupported")));
    cr_expect(om_str_eq(bench.msg.id, OM_LIT("x")));
    struct wire_msg welcome = { 0 };
    WIRE_SET(&welcome, node, OM_LIT("x"));
    WIRE_SET(&welcome, epoch, 1);
    WIRE_SET(&welcome, heartbeat_ms, 1);
    bench_send(&bench, BENCH_CLIENT, &bench_local, WIRE_WELCOME, &welcome, NULL);
    cr_expect(om_str_eq(bench_refusal(&bench, BENCH_CLIENT, WIRE_ERROR),
                        OM_LIT("unsupported")));
    bench_finish(&bench);
}
