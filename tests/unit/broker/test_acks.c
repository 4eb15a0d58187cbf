#include <criterion/criterion.h>
#include <stdio.h>

#include "bench.h"

// A session that understands lists.
static void
hello_with_lists(struct bench *bench, core_conn conn, const char *role, const char *node)
{
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, role, om_str(role));
    WIRE_SET(&msg, node, om_str(node));
    WIRE_SET(&msg, incarnation, 1);
    WIRE_SET(&msg, caps, CAPABILITY_ACK_LISTS);
    bench_send(bench, conn, &bench_local, WIRE_HELLO, &msg, NULL);
    bench_expect(bench, conn, WIRE_WELCOME);
}

static void
submit(struct bench *bench, const char *id)
{
    struct om_uuid task = bench_task(bench, 1);
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, id, om_str(id));
    WIRE_SET(&msg, task, bench_task_text(&task));
    WIRE_SET(&msg, tenant, BENCH_TENANT);
    WIRE_SET(&msg, queue, OM_LIT("omni.inference"));
    WIRE_SET(&msg, kind, OM_LIT("test"));
    bench_send(bench, BENCH_CLIENT, &bench_local, WIRE_SUBMIT, &msg, NULL);
}

static void
submit_many(struct bench *bench, int count)
{
    for (int i = 0; i < count; i++) {
        char id[64];
        snprintf(id, sizeof(id), "m%d", i);
        submit(bench, id);
    }
}

Test(acks, of_several_jobs_come_in_one_message)
{
    struct bench bench;
    bench_init(&bench);
    hello_with_lists(&bench, BENCH_CLIENT, "ingest", "i1");
    submit_many(&bench, 3);
    bench_expect_nothing(&bench);
    cr_assert(bench_commit(&bench, OM_OK));
    const struct wire_msg *msg = bench_expect(&bench, BENCH_CLIENT, WIRE_SUBMITTED);
    cr_expect_not(WIRE_HAS(msg, id) || WIRE_HAS(msg, task));
    struct rec_iter ids = rec_iter(msg->ids);
    static const char *const wanted[] = { "m0", "m1", "m2" };
    struct om_str id;
    for (size_t i = 0; i < OM_COUNT(wanted); i++)
        cr_expect(rec_next_str(&ids, &id) && om_str_eq(id, om_str(wanted[i])));
    cr_expect(ids.left == 0);
    bench_expect_nothing(&bench);
    bench_finish(&bench);
}

Test(acks, come_one_by_one_to_a_session_that_knows_no_lists)
{
    struct bench bench;
    bench_init(&bench);
    bench_hello(&bench, BENCH_CLIENT, "ingest", "i1");
    submit_many(&bench, 2);
    cr_assert(bench_commit(&bench, OM_OK));
    for (int i = 0; i < 2; i++) {
        const struct wire_msg *msg = bench_expect(&bench, BENCH_CLIENT, WIRE_SUBMITTED);
        cr_expect(WIRE_HAS(msg, id) && WIRE_HAS(msg, task) && !WIRE_HAS(msg, ids));
    }
    bench_expect_nothing(&bench);
    bench_finish(&bench);
}

Test(acks, of_results_name_the_leases_of_their_worker)
{
    enum { JOBS = 4 };
    struct bench bench;
    char tokens[JOBS][WIRE_TOKEN_BYTES];
    bench_init(&bench);
    bench_hello(&bench, BENCH_CLIENT, "ingest", "i1");
    hello_with_lists(&bench, BENCH_WORKER, "inference", "w1");
    bench_credit(&bench, BENCH_WORKER, "omni.inference", JOBS);
    submit_many(&bench, JOBS);
    cr_assert(bench_commit(&bench, OM_OK));
    for (int i = 0; i < JOBS; i++) {
        const struct wire_msg *job = bench_find(&bench, BENCH_WORKER, WIRE_JOB);
        memcpy(tokens[i], job->token.data, WIRE_TOKEN_BYTES);
        bench_say(&bench, BENCH_WORKER, WIRE_DONE, tokens[i]);
    }
    bench_drop(&bench);
    cr_assert(bench_commit(&bench, OM_OK));
    const struct wire_msg *ack = bench_expect(&bench, BENCH_WORKER, WIRE_DONE_ACK);
    cr_expect_not(WIRE_HAS(ack, token));
    struct rec_iter iter = rec_iter(ack->tokens);
    struct om_str token;
    for (int i = 0; i < JOBS; i++)
        cr_expect(rec_next_str(&iter, &token) &&
                  om_str_eq(token, (struct om_str){ tokens[i], WIRE_TOKEN_BYTES }));
    cr_expect(iter.left == 0);
    bench_finish(&bench);
}

Test(acks, that_do_not_fit_a_header_come_in_several_messages)
{
    enum { JOBS = 250 };
    struct bench bench;
    bench_init(&bench);
    hello_with_lists(&bench, BENCH_CLIENT, "ingest", "i1");
    for (int i = 0; i < JOBS; i++) {
        char id[65];
        snprintf(id, sizeof(id), "%064d", i);
        submit(&bench, id);
    }
    cr_assert(bench_commit(&bench, OM_OK));
    int answered = 0, messages = 0;
    for (; answered < JOBS; messages++) {
        const struct wire_msg *msg = bench_expect(&bench, BENCH_CLIENT, WIRE_SUBMITTED);
        cr_assert_leq(bench.sent.header.size, WIRE_HEADER_MAX);
        struct rec_iter ids = rec_iter(msg->ids);
        for (struct om_str id; rec_next_str(&ids, &id); answered++) {
            char wanted[65];
            snprintf(wanted, sizeof(wanted), "%064d", answered);
            cr_expect(om_str_eq(id, om_str(wanted)));
        }
    }
    cr_expect_eq(answered, JOBS);
    cr_expect_gt(messages, 1);
    bench_expect_nothing(&bench);
    bench_finish(&bench);
}

Test(acks, are_dropped_with_their_session)
{
    struct bench bench;
    bench_init(&bench);
    hello_with_lists(&bench, BENCH_CLIENT, "ingest", "i1");
    submit_many(&bench, 2);
    cr_assert(bench_commit(&bench, OM_OK)); // they wait to be sent
    struct wire_msg bye = { 0 };
    bench_send(&bench, BENCH_CLIENT, &bench_local, WIRE_BYE, &bye, NULL);
    bench_expect_nothing(&bench);
    bench_finish(&bench);
}
