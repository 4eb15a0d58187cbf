#include <criterion/criterion.h>
#include <stdio.h>

#include "bench.h"

enum { STORM = 60000 };

static void
open_bench(struct bench *bench)
{
    bench_init(bench);
    bench_hello(bench, BENCH_CLIENT, "ingest", "i1");
}

// Ask for workers; `node` and `action` may be NULL. All strings live as long as `bench`'s
// message.
static void
ask(struct bench *bench, struct om_str tenant, const char *node, const char *action)
{
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, id, OM_LIT("w1"));
    if (tenant.size)
        WIRE_SET(&msg, tenant, tenant);
    if (node)
        WIRE_SET(&msg, node, om_str(node));
    if (action)
        WIRE_SET(&msg, action, om_str(action));
    bench_send(bench, BENCH_CLIENT, &bench_local, WIRE_WORKERS, &msg, NULL);
}

// The rows of the answer; returns how many.
static size_t
rows(struct bench *bench, struct wire_worker out[8])
{
    bench_expect(bench, BENCH_CLIENT, WIRE_WORKERS_ARE);
    struct rec_iter iter = rec_iter(payload_bytes(bench->sent.payload));
    size_t count = iter.left;
    struct om_str bytes;
    for (size_t i = 0; i < 8 && rec_next_raw(&iter, &bytes); i++)
        cr_assert_eq(rec_decode(&wire_worker_rec, bytes, &out[i], NULL), OM_OK);
    return count;
}

static void
hello(struct bench *bench, core_conn conn, const char *node, int64_t incarnation)
{
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, role, OM_LIT("inference"));
    WIRE_SET(&msg, node, om_str(node));
    WIRE_SET(&msg, incarnation, incarnation);
    bench_send(bench, conn, &bench_local, WIRE_HELLO, &msg, NULL);
    bench_find(bench, conn, WIRE_WELCOME);
}

Test(workers, show_who_holds_what)
{
    struct bench bench;
    struct wire_worker found[8];
    char token[WIRE_TOKEN_BYTES];
    open_bench(&bench);
    struct om_uuid id = bench_submitted(&bench, "omni.inference");
    bench_hello(&bench, BENCH_WORKER, "inference", "w1");
    bench_credit(&bench, BENCH_WORKER, "omni.inference", 1);
    bench_take_job(&bench, BENCH_WORKER, token);
    bench_pass(&bench, 700);
    ask(&bench, (struct om_str){ 0 }, NULL, NULL);
    cr_assert_eq(rows(&bench, found), 1, "i1 takes no work and is no worker");
    cr_expect(om_str_eq(found[0].node, OM_LIT("w1")));
    cr_expect(om_str_eq(found[0].role, OM_LIT("inference")));
    cr_expect(found[0].connected);
    cr_expect_eq(found[0].heard_ms, 700);
    cr_expect_eq(found[0].held, 1);
    struct rec_iter tasks = rec_iter(found[0].tasks),
                    queues_of = rec_iter(found[0].queues);
    struct om_str text;
    cr_assert(rec_next_str(&tasks, &text));
    cr_expect(om_str_eq(text, bench_task_text(&id)));
    cr_assert(rec_next_str(&queues_of, &text));
    cr_expect(om_str_eq(text, OM_LIT("omni.inference")));
    bench_finish(&bench);
}

Test(workers, that_are_gone_are_shown_while_their_leases_wait)
{
    struct bench bench;
    struct wire_worker found[8];
    char token[WIRE_TOKEN_BYTES];
    struct wire_msg bye = { 0 };
    open_bench(&bench);
    bench_submitted(&bench, "omni.inference");
    bench_hello(&bench, BENCH_WORKER, "inference", "w1");
    bench_credit(&bench, BENCH_WORKER, "omni.inference", 1);
    bench_take_job(&bench, BENCH_WORKER, token);
    bench_say(&bench, BENCH_WORKER, WIRE_START, token);
    bench_send(&bench, BENCH_WORKER, &bench_local, WIRE_BYE, &bye, NULL);
    ask(&bench, (struct om_str){ 0 }, "w1", NULL);
    cr_assert_eq(rows(&bench, found), 1);
    cr_expect_not(found[0].connected);
    cr_expect_eq(found[0].held, 1);
    cr_expect_eq(found[0].incarnation, 1);
    bench_pass(&bench, 40 * 1000);
    bench_hello(&bench, BENCH_CLIENT, "ingest", "i1");
    ask(&bench, (struct om_str){ 0 }, NULL, NULL);
    cr_expect_eq(rows(&bench, found), 0, "its lease is lost");
    bench_finish(&bench);
}

Test(workers, of_other_tenants_and_of_the_platform_are_not_shown_to_a_tenant)
{
    struct bench bench;
    struct wire_worker found[8];
    open_bench(&bench);
    bench_hello(&bench, BENCH_WORKER, "inference", "w1");
    bench_credit(&bench, BENCH_WORKER, "omni.inference", 1);
    ask(&bench, BENCH_TENANT, NULL, NULL);
    cr_expect_eq(rows(&bench, found), 0);
    ask(&bench, BENCH_TENANT, "w1", "drain");
    cr_expect(
        om_str_eq(bench_refusal(&bench, BENCH_CLIENT, WIRE_ERROR), OM_LIT("not_found")));
    bench_expect_nothing(&bench);
    bench_finish(&bench);
}

Test(workers, that_are_drained_get_no_more_work_and_are_told_until_they_leave)
{
    struct bench bench;
    struct wire_worker found[8];
    char token[WIRE_TOKEN_BYTES];
    open_bench(&bench);
    bench_submitted(&bench, "omni.inference");
    bench_hello(&bench, BENCH_WORKER, "inference", "w1");
    bench_credit(&bench, BENCH_WORKER, "omni.inference", 5);
    bench_take_job(&bench, BENCH_WORKER, token);
    ask(&bench, (struct om_str){ 0 }, "w1", "drain");
    bench_expect(&bench, BENCH_WORKER, WIRE_DRAIN);
    cr_assert_eq(rows(&bench, found), 1);
    cr_expect(found[0].draining);
    bench_submitted(&bench, "omni.inference");
    bench_credit(&bench, BENCH_WORKER, "omni.inference", 9);
    bench_expect_nothing(&bench);

    struct om_buf list = { 0 };
    bench_hold(&list, token);
    struct wire_msg beat = { 0 };
    WIRE_SET(&beat, held, om_buf_str(&list));
    bench_send(&bench, BENCH_WORKER, &bench_local, WIRE_BEAT, &beat, NULL);
    cr_expect(bench_expect(&bench, BENCH_WORKER, WIRE_BEAT_ACK)->drain);
    om_buf_finish(&list);

    bench_say(&bench, BENCH_WORKER, WIRE_RELEASE, token);
    hello(&bench, BENCH_OTHER, "w1", 2); // started anew: it works again
    bench_credit(&bench, BENCH_OTHER, "omni.inference", 1);
    bench_expect(&bench, BENCH_OTHER, WIRE_JOB);
    bench_finish(&bench);
}

Test(workers, are_asked_to_do_nothing_but_drain)
{
    struct bench bench;
    open_bench(&bench);
    ask(&bench, (struct om_str){ 0 }, "w1", "purge");
    cr_expect(om_str_eq(bench_refusal(&bench, BENCH_CLIENT, WIRE_ERROR),
                        OM_LIT("invalid_request")));
    ask(&bench, (struct om_str){ 0 }, NULL, "drain");
    cr_expect(om_str_eq(bench_refusal(&bench, BENCH_CLIENT, WIRE_ERROR),
                        OM_LIT("invalid_request")));
    bench_finish(&bench);
}

// Were each HELLO a walk over all sessions, this would take minutes.
Test(workers, come_back_in_a_storm_in_linear_time, .timeout = 30)
{
    struct bench bench;
    char name[32];
    bench_init(&bench);
    for (int round = 1; round <= 2; round++)
        for (int i = 0; i < STORM; i++) {
            snprintf(name, sizeof(name), "worker-%d", i);
            hello(&bench, (core_conn)(100 + round * STORM + i), name, round);
        }
    cr_expect_eq(core_stats(bench.core).sessions, STORM);
    bench_finish(&bench);
}

Test(release, over_and_over_makes_a_job_wait)
{
    struct bench bench;
    char token[WIRE_TOKEN_BYTES];
    open_bench(&bench);
    struct om_uuid id = bench_submitted(&bench, "omni.inference");
    bench_hello(&bench, BENCH_WORKER, "inference", "w1");
    bench_credit(&bench, BENCH_WORKER, "omni.inference", 1000);
    for (int i = 0; i < 6; i++) {
        bench_take_job(&bench, BENCH_WORKER, token);
        bench_say(&bench, BENCH_WORKER, WIRE_RELEASE, token);
    }
    bench_expect_nothing(&bench);
    cr_expect_eq(bench_get_state(&bench, &id), STATE_RETRY_WAIT);
    bench_pass(&bench, 5 * 1000);
    bench_take_job(&bench, BENCH_WORKER, token);
    bench_say(&bench, BENCH_WORKER, WIRE_START, token);
    bench_say(&bench, BENCH_WORKER, WIRE_RELEASE, token);
    bench_take_job(&bench, BENCH_WORKER, token); // it had started: counted anew
    bench_finish(&bench);
}

// The code of the answer to a message about the task while the disk is full.
static struct om_str
refused(struct bench *bench, enum wire_type type, const struct om_uuid *id)
{
    bench_ask(bench, type, id);
    return bench_refusal(bench, BENCH_CLIENT, WIRE_ERROR);
}

Test(full_disk, is_told_at_once_to_who_cancels_retries_or_publishes)
{
    struct bench bench;
    char token[WIRE_TOKEN_BYTES];
    open_bench(&bench);
    struct om_uuid id = bench_submitted(&bench, "omni.inference");
    bench_hello(&bench, BENCH_WORKER, "inference", "w1");
    bench_credit(&bench, BENCH_WORKER, "omni.inference", 1);
    bench_take_job(&bench, BENCH_WORKER, token);
    cr_assert(bench_commit(&bench, OM_OK));
    bench_ask(&bench, WIRE_CANCEL, &id);
    cr_assert(bench_commit(&bench, OM_ENOSPACE));
    struct om_str full = OM_LIT("storage_full");
    cr_expect(om_str_eq(bench_refusal(&bench, BENCH_CLIENT, WIRE_ERROR), full));
    cr_expect(om_str_eq(refused(&bench, WIRE_CANCEL, &id), full));
    cr_expect(om_str_eq(refused(&bench, WIRE_RETRY, &id), full));
    bench_expect_nothing(&bench);

    bench_pass(&bench, 2000);
    cr_assert(bench_commit(&bench, OM_OK)); // the cancel of before goes on
    bench_expect(&bench, BENCH_WORKER, WIRE_CANCEL_JOB);
    bench_ask(&bench, WIRE_CANCEL, &id);
    bench_expect(&bench, BENCH_CLIENT, WIRE_CANCEL_ACK);
    bench_finish(&bench);
}

Test(full_disk, is_tried_again_though_nothing_waits_for_it)
{
    struct bench bench;
    open_bench(&bench);
    struct om_uuid id = bench_submitted(&bench, "own");
    bench_submit(&bench, "own", "refused");
    cr_assert(bench_commit(&bench, OM_ENOSPACE)); // the batch is empty now
    bench_expect(&bench, BENCH_CLIENT, WIRE_REJECT);
    cr_expect(om_str_eq(refused(&bench, WIRE_CANCEL, &id), OM_LIT("storage_full")));
    bench_pass(&bench, 2000);
    bench_ask(&bench, WIRE_CANCEL, &id);
    cr_assert(bench_commit(&bench, OM_OK));
    bench_expect(&bench, BENCH_CLIENT, WIRE_CANCEL_ACK);
    bench_finish(&bench);
}
