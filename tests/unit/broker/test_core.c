#include <criterion/criterion.h>

#include "bench.h"

Test(core, says_submitted_only_after_the_commit)
{
    struct bench bench;
    bench_init(&bench);
    bench_hello(&bench, BENCH_CLIENT, "ingest", "i1");
    bench_submit(&bench, "omni.inference", "x");
    bench_expect_nothing(&bench);
    cr_assert(bench_commit(&bench, OM_OK));
    bench_expect(&bench, BENCH_CLIENT, WIRE_SUBMITTED);
    bench_finish(&bench);
}

Test(core, carries_a_job_from_submit_to_done)
{
    struct bench bench;
    char token[WIRE_TOKEN_BYTES];
    bench_init(&bench);
    bench_hello(&bench, BENCH_CLIENT, "ingest", "i1");
    bench_hello(&bench, BENCH_WORKER, "inference", "w1");
    bench_credit(&bench, BENCH_WORKER, "omni.inference", 1);
    struct om_uuid id = bench_submitted(&bench, "omni.inference");
    bench_take_job(&bench, BENCH_WORKER, token);
    cr_expect(om_str_eq(payload_bytes(bench.sent.payload), OM_LIT("payload")));
    cr_expect_eq(bench_get_state(&bench, &id), STATE_LEASED);

    bench_say(&bench, BENCH_WORKER, WIRE_START, token);
    cr_expect_eq(bench_get_state(&bench, &id), STATE_RUNNING);
    cr_assert(bench_commit(&bench, OM_OK)); // the lease
    bench_say(&bench, BENCH_WORKER, WIRE_DONE, token);
    bench_expect_nothing(&bench);
    cr_assert(bench_commit(&bench, OM_OK));
    bench_expect(&bench, BENCH_WORKER, WIRE_DONE_ACK);
    cr_expect_eq(core_stats(bench.core).completed, 1);
    cr_expect_eq(core_stats(bench.core).open_tasks, 0);
    bench_finish(&bench);
}

Test(core, sends_a_long_job_only_after_its_lease_is_durable)
{
    struct bench bench;
    bench_init(&bench);
    bench_hello(&bench, BENCH_CLIENT, "ingest", "i1");
    bench_hello(&bench, BENCH_WORKER, "inference", "w1");
    bench_credit(&bench, BENCH_WORKER, "omni.training", 1);
    bench_submitted(&bench, "omni.training");
    bench_expect_nothing(&bench);
    cr_assert(bench_commit(&bench, OM_OK));
    bench_expect(&bench, BENCH_WORKER, WIRE_JOB);
    bench_finish(&bench);
}

Test(core, passes_a_call_to_a_worker_and_its_reply_back)
{
    struct bench bench;
    bench_init(&bench);
    bench_hello(&bench, BENCH_CLIENT, "ingest", "i1");
    bench_hello(&bench, BENCH_WORKER, "inference", "w1");
    bench_credit(&bench, BENCH_WORKER, "omni.inference", 1);
    struct wire_msg call = { 0 };
    WIRE_SET(&call, id, OM_LIT("c1"));
    WIRE_SET(&call, queue, OM_LIT("omni.inference"));
    WIRE_SET(&call, kind, OM_LIT("predict"));
    WIRE_SET(&call, tenant, BENCH_TENANT);
    WIRE_SET(&call, from, OM_LIT("identity")); // a lie
    bench_send(&bench, BENCH_CLIENT, &bench_local, WIRE_CALL, &call, "question");

    const struct wire_msg *got = bench_expect(&bench, BENCH_WORKER, WIRE_CALL);
    cr_expect(om_str_eq(got->from, OM_LIT("ingest")));
    cr_expect(om_str_eq(got->tenant, BENCH_TENANT));
    struct wire_msg reply = { 0 };
    WIRE_SET(&reply, call, got->call);
    bench_send(&bench, BENCH_WORKER, &bench_local, WIRE_REPLY, &reply, "answer");

    got = bench_expect(&bench, BENCH_CLIENT, WIRE_REPLY);
    cr_expect(om_str_eq(got->id, OM_LIT("c1")));
    cr_expect(om_str_eq(payload_bytes(bench.sent.payload), OM_LIT("answer")));
    bench_finish(&bench);
}

Test(core, groups_what_it_sends_by_connection_and_keeps_the_order_in_each)
{
    struct bench bench;
    bench_init(&bench);
    bench_hello(&bench, BENCH_CLIENT, "ingest", "i1");
    bench_hello(&bench, BENCH_WORKER, "inference", "w1");
    static const core_conn conns[] = { BENCH_WORKER, BENCH_CLIENT, BENCH_WORKER,
                                       BENCH_CLIENT, BENCH_CLIENT };
    for (size_t i = 0; i < OM_COUNT(conns); i++) {
        char id[8] = { (char)('0' + i) };
        struct wire_msg ping = { 0 };
        WIRE_SET(&ping, id, om_str(id));
        bench_send(&bench, conns[i], &bench_local, WIRE_PING, &ping, NULL);
    }
    core_group_sends(bench.core);
    static const char wanted[] = "13402";
    for (size_t i = 0; i < OM_COUNT(conns); i++) {
        core_conn conn = i < 3 ? BENCH_CLIENT : BENCH_WORKER;
        cr_expect_eq(*bench_expect(&bench, conn, WIRE_PONG)->id.data, wanted[i]);
    }
    core_group_sends(bench.core); // nothing
    bench_expect_nothing(&bench);
    struct wire_msg ping = { 0 };
    bench_send(&bench, BENCH_CLIENT, &bench_local, WIRE_PING, &ping, NULL);
    bench_expect(&bench, BENCH_CLIENT, WIRE_PONG); // it goes on behind the last
    bench_finish(&bench);
}

Test(core, says_what_goes_on_to_a_peer_that_takes_bundles)
{
    struct bench bench;
    bench_init(&bench);
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, role, OM_LIT("inference"));
    WIRE_SET(&msg, node, OM_LIT("w1"));
    WIRE_SET(&msg, incarnation, 1);
    WIRE_SET(&msg, caps, CAPABILITY_BUNDLE);
    bench_send(&bench, BENCH_WORKER, &bench_local, WIRE_HELLO, &msg, NULL);
    cr_expect(bench_expect(&bench, BENCH_WORKER, WIRE_WELCOME)->caps & CAPABILITY_BUNDLE);
    bench_hello(&bench, BENCH_CLIENT, "ingest", "i1");
    for (int i = 0; i < 3; i++) {
        bench_send(&bench, BENCH_WORKER, &bench_local, WIRE_PING, &msg, NULL);
        bench_send(&bench, BENCH_CLIENT, &bench_local, WIRE_PING, &msg, NULL);
        bench_send(&bench, BENCH_OTHER, &bench_local, WIRE_PING, &msg, NULL);
    }
    core_group_sends(bench.core);
    static const struct {
        core_conn conn;
        enum wire_type type;
        bool more[3];
    } rows[] = {
        { BENCH_CLIENT, WIRE_PONG, { false, false, false } },
        { BENCH_WORKER, WIRE_PONG, { true, true, false } },
        { BENCH_OTHER, WIRE_RESET, { false, false, false } }, // it has no session
    };
    for (size_t i = 0; i < OM_COUNT(rows); i++)
        for (size_t j = 0; j < OM_COUNT(rows[i].more); j++) {
            bench_expect(&bench, rows[i].conn, rows[i].type);
            cr_expect_eq(bench.sent.more, rows[i].more[j], "row %zu, message %zu", i, j);
        }
    bench_finish(&bench);
}
