// Leases over a restart of the broker, or of the worker.
#include <criterion/criterion.h>

#include "bench.h"

// What the store has of a job that was running when the broker died.
static struct stored_task
stored_running(struct bench *bench, struct om_buf *header, struct wire_token *token)
{
    struct om_uuid id = bench_task(bench, 1);
    struct wire_msg msg = { 0 };
    struct om_uuid tenant;
    cr_assert_eq(om_typeid_decode(OM_ID_TENANT, BENCH_TENANT, &tenant), OM_OK);
    WIRE_SET(&msg, id, OM_LIT("m"));
    WIRE_SET(&msg, task, bench_task_text(&id));
    WIRE_SET(&msg, queue, OM_LIT("omni.training"));
    WIRE_SET(&msg, kind, OM_LIT("train"));
    wire_encode(WIRE_SUBMIT, &msg, header);
    *token = (struct wire_token){ id, 1, 7, 3 };
    return (struct stored_task){ .seq = 5,
                                 .id = id,
                                 .tenant = tenant,
                                 .queue = OM_LIT("omni.training"),
                                 .kind = OM_LIT("train"),
                                 .header = om_buf_str(header),
                                 .created_ms = 1,
                                 .attempts = 1,
                                 .started_ms = 2,
                                 .leased = true,
                                 .token = *token,
                                 .node = OM_LIT("w1#1") };
}

// A broker that has just started and loaded it.
static struct om_uuid
restarted(struct bench *bench, char token[WIRE_TOKEN_BYTES])
{
    struct core_conf conf = bench_conf();
    struct om_buf header = { 0 };
    struct wire_token lease;
    conf.epoch = 8;
    *bench = (struct bench){ .now = { 1000, INT64_C(1800000000000) } };
    bench->core = core_create(&conf);
    struct stored_task stored = stored_running(bench, &header, &lease);
    cr_assert_eq(core_load_task(bench->core, &stored), OM_OK);
    core_serve(bench->core, bench->now);
    om_buf_finish(&header);
    wire_token_encode(&lease, token);
    bench_hello(bench, BENCH_CLIENT, "ingest", "i1");
    return stored.id;
}

static void
hello_holding(struct bench *bench, int64_t incarnation, const char *token)
{
    struct om_buf list = { 0 };
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, role, OM_LIT("inference"));
    WIRE_SET(&msg, node, OM_LIT("w1"));
    WIRE_SET(&msg, incarnation, incarnation);
    if (token) {
        bench_hold(&list, token);
        WIRE_SET(&msg, held, om_buf_str(&list));
    }
    bench_send(bench, BENCH_WORKER, &bench_local, WIRE_HELLO, &msg, NULL);
    bench_expect(bench, BENCH_WORKER, WIRE_WELCOME);
    om_buf_finish(&list);
}

Test(lease, goes_on_over_a_restart_of_the_broker_if_its_worker_comes_back)
{
    struct bench bench;
    char token[WIRE_TOKEN_BYTES];
    struct om_uuid id = restarted(&bench, token);
    bench_pass(&bench, 29 * 1000);
    hello_holding(&bench, 1, token);
    bench_pass_beating(&bench, BENCH_WORKER, token, 60 * 1000);
    bench_hello(&bench, BENCH_CLIENT, "ingest", "i1");
    cr_expect_eq(bench_get_state(&bench, &id), STATE_RUNNING);
    bench_say(&bench, BENCH_WORKER, WIRE_DONE, token);
    bench_settle(&bench);
    cr_expect_eq(core_stats(bench.core).completed, 1);
    bench_finish(&bench);
}

static void
beat_empty(struct bench *bench)
{
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, held, OM_LIT("\x90")); // an array of none
    bench_send(bench, BENCH_WORKER, &bench_local, WIRE_BEAT, &msg, NULL);
    bench_drop(bench);
}

Test(lease, that_the_beats_of_a_worker_that_is_back_do_not_name_is_given_to_another)
{
    struct bench bench;
    char token[WIRE_TOKEN_BYTES];
    restarted(&bench, token);
    hello_holding(&bench, 1, NULL);
    for (int ms = 0; ms < 16 * 1000; ms += 2000) { // every third counts: 6, 12, 18 s
        bench_pass(&bench, 2000);
        beat_empty(&bench);
    }
    cr_expect_eq(core_stats(bench.core).leased, 1);
    bench_pass(&bench, 2000);
    beat_empty(&bench);
    cr_expect_eq(bench_next_mark(&bench).kind, MARK_RELEASE);
    bench_finish(&bench);
}

Test(lease, waits_for_its_worker_that_stands_still_with_the_job_unread)
{
    struct bench bench;
    char token[WIRE_TOKEN_BYTES];
    restarted(&bench, token);
    hello_holding(&bench, 1, NULL);
    beat_empty(&bench);
    bench_pass(&bench, 29 * 1000);
    beat_empty(&bench); // sent before it read on
    bench_say(&bench, BENCH_WORKER, WIRE_START, token);
    bench_expect_nothing(&bench);
    cr_expect_eq(core_stats(bench.core).leased, 1);
    bench_finish(&bench);
}

Test(lease, that_its_worker_names_in_a_beat_soon_after_it_is_back_stays)
{
    struct bench bench;
    char token[WIRE_TOKEN_BYTES];
    restarted(&bench, token);
    hello_holding(&bench, 1, NULL);
    bench_pass_beating(&bench, BENCH_WORKER, token, 20 * 1000);
    cr_expect_eq(core_stats(bench.core).leased, 1);
    bench_finish(&bench);
}

Test(lease, lost_over_a_restart_of_the_broker_does_not_count)
{
    struct bench bench;
    char token[WIRE_TOKEN_BYTES];
    restarted(&bench, token);
    bench_pass(&bench, 30 * 1000);
    cr_expect_eq(bench_next_mark(&bench).kind, MARK_RELEASE);
    cr_expect_eq(core_stats(bench.core).ready, 1);
    bench_finish(&bench);
}

Test(lease, of_a_worker_that_started_anew_is_lost_at_once)
{
    struct bench bench;
    char token[WIRE_TOKEN_BYTES];
    restarted(&bench, token);
    hello_holding(&bench, 2, NULL);
    cr_expect_eq(core_stats(bench.core).leased, 0);
    bench_finish(&bench);

    bench_running(&bench, "omni.training", token);
    bench_settle(&bench);
    hello_holding(&bench, 2, NULL);
    cr_expect_eq(bench_next_mark(&bench).kind, MARK_LOST);
    bench_finish(&bench);
}

Test(lease, stays_when_a_hello_of_an_earlier_start_of_its_worker_comes_late)
{
    struct bench bench;
    char token[WIRE_TOKEN_BYTES];
    restarted(&bench, token);
    hello_holding(&bench, 0, NULL);
    cr_expect_eq(core_stats(bench.core).leased, 1);
    bench_finish(&bench);
}

Test(lease, held_by_a_returning_worker_but_not_current_is_stale)
{
    struct bench bench;
    char token[WIRE_TOKEN_BYTES];
    restarted(&bench, token);
    token[20]++; // another epoch
    hello_holding(&bench, 1, token);
    bench_expect(&bench, BENCH_WORKER, WIRE_STALE);
    bench_finish(&bench);
}
