// Leases: given, kept, lost, given back, and what a failure makes of the job.
#include <criterion/criterion.h>

#include "bench.h"

// Let a backoff pass; the worker stays alive and has credit for one more job.
static void
next_attempt(struct bench *bench, int64_t limit, char token[WIRE_TOKEN_BYTES])
{
    struct wire_msg credit = { 0 };
    WIRE_SET(&credit, queue, OM_LIT("omni.inference"));
    WIRE_SET(&credit, limit, limit);
    for (int i = 0; i < 100; i++) {
        bench_pass(bench, 3000);
        bench_send(bench, BENCH_WORKER, &bench_local, WIRE_CREDIT, &credit, NULL);
        while (core_next_send(bench->core, &bench->sent)) {
            cr_assert_eq(wire_decode(bench->sent.header, &bench->msg), OM_OK);
            if (bench->msg.type != WIRE_JOB)
                continue;
            memcpy(token, bench->msg.token.data, WIRE_TOKEN_BYTES);
            bench_settle(bench);
            return;
        }
    }
    cr_assert_fail("there was no next attempt");
}

Test(lease, is_lost_after_10_s_of_silence_for_a_short_job_and_30_s_for_a_long_one)
{
    static const struct {
        const char *queue;
        int64_t ms;
    } cases[] = { { "omni.inference", 10000 }, { "omni.training", 30000 } };
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        struct bench bench;
        char token[WIRE_TOKEN_BYTES];
        struct om_uuid id = bench_running(&bench, cases[i].queue, token);
        bench_settle(&bench);
        bench_pass(&bench, cases[i].ms - 1);
        bench_hello(&bench, BENCH_CLIENT, "ingest", "i1"); // its session is silent too
        cr_expect_eq(bench_get_state(&bench, &id), STATE_RUNNING);
        bench_pass(&bench, 1);
        cr_expect_eq(bench_get_state(&bench, &id), STATE_RETRY_WAIT);
        cr_expect_eq(bench_next_mark(&bench).kind, MARK_LOST);
        bench_finish(&bench);
    }
}

Test(lease, is_kept_as_long_as_its_worker_names_it_in_a_beat)
{
    struct bench bench;
    char token[WIRE_TOKEN_BYTES];
    bench_running(&bench, "omni.inference", token);
    bench_settle(&bench);
    bench_pass_beating(&bench, BENCH_WORKER, token, 55 * 1000);
    cr_expect_eq(core_stats(bench.core).lost, 0);
    bench_say(&bench, BENCH_WORKER, WIRE_DONE, token);
    cr_assert(bench_commit(&bench, OM_OK));
    bench_find(&bench, BENCH_WORKER, WIRE_DONE_ACK);
    bench_finish(&bench);
}

Test(lease, is_not_lost_because_the_broker_stood_still)
{
    struct bench bench;
    char token[WIRE_TOKEN_BYTES];
    bench_running(&bench, "omni.inference", token);
    bench_settle(&bench);
    bench_pass(&bench, 4000);
    bench_stall(&bench, 60 * 1000);
    bench_pass(&bench, 2000);
    cr_expect_eq(core_stats(bench.core).lost, 0);
    bench_pass(&bench, 4000); // its worker was silent for a lease all the same
    cr_expect_eq(core_stats(bench.core).lost, 1);
    bench_finish(&bench);
}

Test(lease, is_given_for_what_came_before_the_broker_noticed_that_it_stood_still)
{
    struct bench bench;
    bench_init(&bench);
    bench_hello(&bench, BENCH_CLIENT, "ingest", "i1");
    bench_hello(&bench, BENCH_WORKER, "inference", "w1");
    bench_credit(&bench, BENCH_WORKER, "omni.inference", 1);
    bench.now.mono_ms += 60 * 1000;
    bench.now.wall_ms += 60 * 1000;
    bench_submitted(&bench, "omni.inference");
    bench_expect_nothing(&bench); // its worker seems to be silent
    core_tick(bench.core, bench.now);
    bench_expect(&bench, BENCH_WORKER, WIRE_JOB);
    bench_finish(&bench);
}

Test(lease, lives_no_longer_for_a_pause_in_which_its_worker_spoke)
{
    struct bench bench;
    char token[WIRE_TOKEN_BYTES];
    bench_running(&bench, "omni.inference", token);
    bench_settle(&bench);
    bench.now.mono_ms += 30 * 1000; // what the worker said meanwhile is received first
    bench_pass_beating(&bench, BENCH_WORKER, token, 1000);
    bench_pass(&bench, 9900);
    cr_expect_eq(core_stats(bench.core).lost, 0);
    bench_pass(&bench, 1100);
    cr_expect_eq(core_stats(bench.core).lost, 1);
    bench_finish(&bench);
}

Test(lease, that_is_not_current_is_answered_stale)
{
    static const enum wire_type types[] = { WIRE_START, WIRE_DONE, WIRE_FAIL,
                                            WIRE_CANCELLED, WIRE_RELEASE };
    struct bench bench;
    char token[WIRE_TOKEN_BYTES];
    struct om_uuid id = bench_running(&bench, "omni.inference", token);
    bench_settle(&bench);
    char other[WIRE_TOKEN_BYTES];
    memcpy(other, token, sizeof(other));
    other[WIRE_TOKEN_BYTES - 1]++;
    for (size_t i = 0; i < OM_COUNT(types); i++) {
        bench_say(&bench, BENCH_WORKER, types[i], other);
        bench_expect(&bench, BENCH_WORKER, WIRE_STALE);
    }
    cr_assert_not(bench_commit(&bench, OM_OK));
    cr_expect_eq(bench_get_state(&bench, &id), STATE_RUNNING);

    struct om_buf list = { 0 };
    bench_hold(&list, other);
    struct wire_msg beat = { 0 };
    WIRE_SET(&beat, held, om_buf_str(&list));
    bench_send(&bench, BENCH_WORKER, &bench_local, WIRE_BEAT, &beat, NULL);
    struct rec_iter stale =
        rec_iter(bench_expect(&bench, BENCH_WORKER, WIRE_BEAT_ACK)->stale);
    struct om_str bytes;
    cr_assert(rec_next_str(&stale, &bytes));
    cr_expect_eq(memcmp(bytes.data, other, sizeof(other)), 0);
    om_buf_finish(&list);
    bench_finish(&bench);
}

Test(lease, of_one_role_is_of_no_use_to_another)
{
    struct bench bench;
    char token[WIRE_TOKEN_BYTES];
    bench_running(&bench, "omni.inference", token);
    bench_settle(&bench);
    bench_hello(&bench, BENCH_OTHER, "billing", "b1");
    bench_say(&bench, BENCH_OTHER, WIRE_DONE, token);
    bench_expect(&bench, BENCH_OTHER, WIRE_STALE);
    bench_finish(&bench);
}

Test(lease, that_ended_is_acknowledged_each_time_its_worker_says_so)
{
    struct bench bench;
    char token[WIRE_TOKEN_BYTES];
    bench_running(&bench, "omni.inference", token);
    bench_settle(&bench);
    bench_say(&bench, BENCH_WORKER, WIRE_DONE, token);
    bench_say(&bench, BENCH_WORKER, WIRE_DONE, token);
    bench_expect_nothing(&bench); // not yet durable
    cr_assert(bench_commit(&bench, OM_OK));
    bench_expect(&bench, BENCH_WORKER, WIRE_DONE_ACK);
    bench_say(&bench, BENCH_WORKER, WIRE_DONE, token);
    bench_expect(&bench, BENCH_WORKER, WIRE_DONE_ACK);
    cr_assert_not(bench_commit(&bench, OM_OK), "it was committed twice");
    bench_finish(&bench);
}

Test(lease, given_back_unstarted_costs_no_attempt)
{
    struct bench bench;
    char token[WIRE_TOKEN_BYTES];
    bench_running(&bench, "omni.inference", token);
    bench_settle(&bench);
    bench_say(&bench, BENCH_WORKER, WIRE_RELEASE, token);
    cr_expect_eq(bench_next_mark(&bench).kind, MARK_RELEASE);
    bench_credit(&bench, BENCH_WORKER, "omni.inference", 2);
    cr_expect_eq(bench_expect(&bench, BENCH_WORKER, WIRE_JOB)->attempt, 1);
    bench_finish(&bench);
}

Test(lease, not_started_goes_back_when_its_worker_says_bye)
{
    struct bench bench;
    char token[WIRE_TOKEN_BYTES];
    bench_init(&bench);
    bench_hello(&bench, BENCH_CLIENT, "ingest", "i1");
    bench_hello(&bench, BENCH_WORKER, "inference", "w1");
    bench_credit(&bench, BENCH_WORKER, "omni.inference", 1);
    bench_submitted(&bench, "omni.inference");
    bench_take_job(&bench, BENCH_WORKER, token);
    bench_send(&bench, BENCH_WORKER, &bench_local, WIRE_BYE, &(struct wire_msg){ 0 },
               NULL);
    cr_expect_eq(core_stats(bench.core).ready, 1);
    cr_expect_eq(core_stats(bench.core).leased, 0);
    bench_finish(&bench);
}

Test(lease, ends_with_a_retry_after_a_backoff_until_the_attempts_are_used_up)
{
    struct bench bench;
    char token[WIRE_TOKEN_BYTES];
    bench_running(&bench, "omni.inference", token);
    bench_settle(&bench);
    for (int64_t attempt = 1; attempt < 3; attempt++) {
        bench_say(&bench, BENCH_WORKER, WIRE_FAIL, token);
        struct change_mark mark = bench_next_mark(&bench);
        cr_expect_eq(mark.kind, MARK_FAIL);
        cr_expect_leq(mark.due_ms - bench.now.wall_ms, 1000 << (attempt - 1));
        cr_expect_gt(mark.due_ms, bench.now.wall_ms);
        bench_find(&bench, BENCH_WORKER, WIRE_DONE_ACK);
        next_attempt(&bench, attempt + 1, token);
    }
    bench_say(&bench, BENCH_WORKER, WIRE_FAIL, token);
    bench_settle(&bench);
    cr_expect_eq(core_stats(bench.core).failed, 1);
    bench_finish(&bench);
}

Test(lease, ends_at_once_with_a_failure_that_may_not_be_retried)
{
    struct bench bench;
    char token[WIRE_TOKEN_BYTES];
    bench_running(&bench, "omni.inference", token);
    bench_settle(&bench);
    struct wire_msg fail = { 0 };
    WIRE_SET(&fail, token, ((struct om_str){ token, sizeof(token) }));
    WIRE_SET(&fail, code, OM_LIT("column_missing"));
    WIRE_SET(&fail, retryable, false);
    bench_send(&bench, BENCH_WORKER, &bench_local, WIRE_FAIL, &fail, NULL);
    bench_settle(&bench);
    cr_expect_eq(core_stats(bench.core).failed, 1);
    bench_finish(&bench);
}

Test(lease, is_retried_when_its_worker_says_but_after_a_day_at_most)
{
    static const struct {
        int64_t said_ms, pause_ms;
    } cases[] = {
        { 0, 0 },
        { 77777, 77777 },
        { WIRE_RETRY_MAX_MS, WIRE_RETRY_MAX_MS },
        { WIRE_RETRY_MAX_MS + 1, WIRE_RETRY_MAX_MS },
        { INT64_C(9000000000000000), WIRE_RETRY_MAX_MS },
    };
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        struct bench bench;
        char token[WIRE_TOKEN_BYTES];
        bench_running(&bench, "omni.inference", token);
        bench_settle(&bench);
        struct wire_msg fail = { 0 };
        WIRE_SET(&fail, token, ((struct om_str){ token, sizeof(token) }));
        WIRE_SET(&fail, code, OM_LIT("unavailable"));
        WIRE_SET(&fail, retry_ms, cases[i].said_ms);
        bench_send(&bench, BENCH_WORKER, &bench_local, WIRE_FAIL, &fail, NULL);
        cr_expect_eq(bench_next_mark(&bench).due_ms,
                     bench.now.wall_ms + cases[i].pause_ms, "case %zu", i);
        bench_finish(&bench);
    }
}

// The time of the next attempt is stored on the wall clock, which may be set back.
Test(lease, is_retried_after_a_day_at_most_whatever_the_clock_says_after_a_restart)
{
    struct bench bench = { .now = { 1000, INT64_C(1800000000000) } };
    struct core_conf conf = bench_conf();
    struct om_uuid id = bench_task(&bench, 1);
    struct om_buf header = { 0 };
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, id, OM_LIT("m"));
    WIRE_SET(&msg, task, bench_task_text(&id));
    WIRE_SET(&msg, queue, OM_LIT("omni.inference"));
    WIRE_SET(&msg, kind, OM_LIT("test"));
    wire_encode(WIRE_SUBMIT, &msg, &header);
    struct stored_task stored = { .seq = 1,
                                  .id = id,
                                  .queue = OM_LIT("omni.inference"),
                                  .kind = OM_LIT("test"),
                                  .header = om_buf_str(&header),
                                  .attempts = 1,
                                  .due_ms = bench.now.wall_ms * 2 };
    cr_assert_eq(om_typeid_decode(OM_ID_TENANT, BENCH_TENANT, &stored.tenant), OM_OK);
    bench.core = core_create(&conf);
    cr_assert_eq(core_load_task(bench.core, &stored), OM_OK);
    core_serve(bench.core, bench.now);
    bench_hello(&bench, BENCH_CLIENT, "ingest", "i1");
    cr_expect_eq(bench_get_state(&bench, &id), STATE_RETRY_WAIT);
    bench_stall(&bench, WIRE_RETRY_MAX_MS - 1);
    bench_pass(&bench, 1);
    cr_expect_eq(core_stats(bench.core).ready, 1);
    om_buf_finish(&header);
    bench_finish(&bench);
}

Test(lease, lost_three_times_fails_the_job)
{
    struct bench bench;
    char token[WIRE_TOKEN_BYTES];
    bench_running(&bench, "omni.inference", token);
    bench_settle(&bench);
    for (int64_t lost = 1; lost <= 3; lost++) {
        bench_pass(&bench, 10000); // the worker is silent
        bench_settle(&bench);
        if (lost < 3)
            next_attempt(&bench, lost + 1, token);
    }
    cr_expect_eq(core_stats(bench.core).lost, 3);
    cr_expect_eq(core_stats(bench.core).failed, 1);
    bench_finish(&bench);
}

Test(lease, ends_at_its_hard_limit_which_counts_from_the_start)
{
    struct bench bench;
    char token[WIRE_TOKEN_BYTES];
    bench_running(&bench, "omni.inference", token); // 60 s by the queue's table
    bench_settle(&bench);
    bench_pass_beating(&bench, BENCH_WORKER, token, 59 * 1000);
    cr_expect_eq(core_stats(bench.core).leased, 1);
    bench_pass(&bench, 1000);
    bench_expect(&bench, BENCH_WORKER, WIRE_CANCEL_JOB);
    struct change_mark mark = bench_next_mark(&bench);
    cr_expect_eq(mark.kind, MARK_FAIL);
    bench_say(&bench, BENCH_WORKER, WIRE_CANCELLED, token);
    bench_expect(&bench, BENCH_WORKER, WIRE_STALE);
    bench_finish(&bench);
}
