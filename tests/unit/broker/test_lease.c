#include <criterion/criterion.h>

#include "bench.h"

// A bench on which a worker has started a job of `queue`; everything is durable.
static struct om_uuid
running(struct bench *bench, const char *queue, char token[WIRE_TOKEN_BYTES])
{
    bench_init(bench);
    bench_hello(bench, BENCH_CLIENT, "ingest", "i1");
    bench_hello(bench, BENCH_WORKER, "inference", "w1");
    bench_credit(bench, BENCH_WORKER, queue, 1);
    struct om_uuid id = bench_submitted(bench, queue);
    cr_assert(bench_commit(bench, OM_OK));
    bench_take_job(bench, BENCH_WORKER, token);
    bench_say(bench, BENCH_WORKER, WIRE_START, token);
    bench_expect_nothing(bench);
    return id;
}

// The mark the core commits next.
static struct change_mark
next_mark(struct bench *bench)
{
    struct batch *batch = core_take_batch(bench->core);
    cr_assert(batch, "nothing is committed");
    cr_assert_eq(batch->changes[0].kind, CHANGE_MARK);
    struct change_mark mark = batch->changes[0].mark;
    core_committed(bench->core, bench->now, &batch, OM_OK);
    return mark;
}

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
        struct om_uuid id = running(&bench, cases[i].queue, token);
        bench_settle(&bench);
        bench_pass(&bench, cases[i].ms - 1);
        bench_hello(&bench, BENCH_CLIENT, "ingest", "i1"); // its session is silent too
        cr_expect_eq(bench_get_state(&bench, &id), STATE_RUNNING);
        bench_pass(&bench, 1);
        cr_expect_eq(bench_get_state(&bench, &id), STATE_RETRY_WAIT);
        cr_expect_eq(next_mark(&bench).kind, MARK_LOST);
        bench_finish(&bench);
    }
}

Test(lease, is_kept_as_long_as_its_worker_names_it_in_a_beat)
{
    struct bench bench;
    char token[WIRE_TOKEN_BYTES];
    running(&bench, "omni.inference", token);
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
    running(&bench, "omni.inference", token);
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
    running(&bench, "omni.inference", token);
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
    struct om_uuid id = running(&bench, "omni.inference", token);
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
    running(&bench, "omni.inference", token);
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
    running(&bench, "omni.inference", token);
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
    running(&bench, "omni.inference", token);
    bench_settle(&bench);
    bench_say(&bench, BENCH_WORKER, WIRE_RELEASE, token);
    cr_expect_eq(next_mark(&bench).kind, MARK_RELEASE);
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

// ---- failure

Test(lease, ends_with_a_retry_after_a_backoff_until_the_attempts_are_used_up)
{
    struct bench bench;
    char token[WIRE_TOKEN_BYTES];
    running(&bench, "omni.inference", token);
    bench_settle(&bench);
    for (int64_t attempt = 1; attempt < 3; attempt++) {
        bench_say(&bench, BENCH_WORKER, WIRE_FAIL, token);
        struct change_mark mark = next_mark(&bench);
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
    running(&bench, "omni.inference", token);
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
        running(&bench, "omni.inference", token);
        bench_settle(&bench);
        struct wire_msg fail = { 0 };
        WIRE_SET(&fail, token, ((struct om_str){ token, sizeof(token) }));
        WIRE_SET(&fail, code, OM_LIT("unavailable"));
        WIRE_SET(&fail, retry_ms, cases[i].said_ms);
        bench_send(&bench, BENCH_WORKER, &bench_local, WIRE_FAIL, &fail, NULL);
        cr_expect_eq(next_mark(&bench).due_ms, bench.now.wall_ms + cases[i].pause_ms,
                     "case %zu", i);
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
    running(&bench, "omni.inference", token);
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
    running(&bench, "omni.inference", token); // 60 s by the queue's table
    bench_settle(&bench);
    bench_pass_beating(&bench, BENCH_WORKER, token, 59 * 1000);
    cr_expect_eq(core_stats(bench.core).leased, 1);
    bench_pass(&bench, 1000);
    bench_expect(&bench, BENCH_WORKER, WIRE_CANCEL_JOB);
    struct change_mark mark = next_mark(&bench);
    cr_expect_eq(mark.kind, MARK_FAIL);
    bench_say(&bench, BENCH_WORKER, WIRE_CANCELLED, token);
    bench_expect(&bench, BENCH_WORKER, WIRE_STALE);
    bench_finish(&bench);
}

// ---- a restart of the broker, or of the worker

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
    cr_expect_eq(next_mark(&bench).kind, MARK_RELEASE);
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
    cr_expect_eq(next_mark(&bench).kind, MARK_RELEASE);
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

    running(&bench, "omni.training", token);
    bench_settle(&bench);
    hello_holding(&bench, 2, NULL);
    cr_expect_eq(next_mark(&bench).kind, MARK_LOST);
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

// How many changes of a kind the next batch has; it is committed.
static size_t
count_next(struct bench *bench, enum change_kind kind)
{
    struct batch *batch = core_take_batch(bench->core);
    cr_assert(batch, "nothing is committed");
    size_t count = 0;
    for (size_t i = 0; i < batch->count; i++)
        count += batch->changes[i].kind == kind;
    core_committed(bench->core, bench->now, &batch, OM_OK);
    return count;
}

static void
open_lazy(struct bench *bench, char token[WIRE_TOKEN_BYTES])
{
    struct core_conf conf = core_conf_default();
    bench_init_conf(bench, &conf);
    bench_hello(bench, BENCH_CLIENT, "ingest", "i1");
    bench_hello(bench, BENCH_WORKER, "inference", "w1");
    bench_credit(bench, BENCH_WORKER, "omni.inference", 1);
    bench_submitted(bench, "omni.inference");
    bench_take_job(bench, BENCH_WORKER, token);
}

Test(lease, of_a_short_job_is_committed_with_the_next_batch_or_a_little_later_alone)
{
    struct bench bench;
    char token[WIRE_TOKEN_BYTES];
    open_lazy(&bench, token);
    cr_assert_null(core_take_batch(bench.core));
    cr_expect_eq(core_next_timer(bench.core), bench.now.mono_ms + 20);
    bench_pass(&bench, 20);
    cr_expect_eq(count_next(&bench, CHANGE_MARK), 1);
    bench_finish(&bench);

    open_lazy(&bench, token);
    bench_submit(&bench, "own", "x");
    cr_expect_eq(count_next(&bench, CHANGE_MARK), 1);
    bench_finish(&bench);
}

Test(lease, of_a_short_job_waits_no_more_when_its_batch_is_full)
{
    struct bench bench;
    struct core_conf conf = core_conf_default();
    conf.window_flow = 2 * BATCH_MAX;
    bench_init_conf(&bench, &conf);
    bench_hello(&bench, BENCH_CLIENT, "ingest", "i1");
    bench_hello(&bench, BENCH_WORKER, "inference", "w1");
    for (int i = 0; i <= BATCH_MAX; i++) {
        bench.now.wall_ms++; // each id is another
        bench_submitted(&bench, "omni.inference");
    }
    bench_credit(&bench, BENCH_WORKER, "omni.inference", BATCH_MAX);
    cr_expect_null(core_take_batch(bench.core));
    struct wire_msg more = { 0 };
    WIRE_SET(&more, queue, OM_LIT("omni.inference"));
    WIRE_SET(&more, limit, BATCH_MAX + 1);
    bench_send(&bench, BENCH_WORKER, &bench_local, WIRE_CREDIT, &more, NULL);
    cr_expect_eq(count_next(&bench, CHANGE_MARK), BATCH_MAX);
    cr_expect_null(core_take_batch(bench.core));
    bench_finish(&bench);
}

Test(lease, is_not_written_when_the_result_comes_first)
{
    struct bench bench;
    char token[WIRE_TOKEN_BYTES];
    open_lazy(&bench, token);
    bench_say(&bench, BENCH_WORKER, WIRE_DONE, token);
    cr_expect_eq(count_next(&bench, CHANGE_MARK), 0);
    bench_expect(&bench, BENCH_WORKER, WIRE_DONE_ACK);
    bench_finish(&bench);
}

Test(lease, of_a_job_that_expires_before_its_payload_is_read_ends_it_once)
{
    struct bench bench;
    struct core_conf conf = bench_conf();
    conf.payload_cache_bytes = 0;
    bench_init_conf(&bench, &conf);
    bench_hello(&bench, BENCH_CLIENT, "ingest", "i1");
    bench_hello(&bench, BENCH_WORKER, "inference", "w1");
    struct om_uuid id = bench_task(&bench, 1);
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, id, OM_LIT("m1"));
    WIRE_SET(&msg, task, bench_task_text(&id));
    WIRE_SET(&msg, tenant, BENCH_TENANT);
    WIRE_SET(&msg, queue, OM_LIT("omni.inference"));
    WIRE_SET(&msg, kind, OM_LIT("test"));
    WIRE_SET(&msg, expires_ms, bench.now.wall_ms + 1000);
    bench_send(&bench, BENCH_CLIENT, &bench_local, WIRE_SUBMIT, &msg, "payload");
    cr_assert(bench_commit(&bench, OM_OK));
    bench_drop(&bench);
    bench_credit(&bench, BENCH_WORKER, "omni.inference", 1);
    struct read *read = core_next_read(bench.core);
    cr_assert(read && read->kind == READ_PAYLOAD);
    bench_pass(&bench, 2000);
    read->rc = OM_EDB;
    core_read_done(bench.core, bench.now, &read);
    bench_pass(&bench, 5000); // the disk is slow
    cr_expect_eq(count_next(&bench, CHANGE_RESULT), 1);
    bench_settle(&bench);
    cr_expect_eq(core_stats(bench.core).expired, 1);
    bench_finish(&bench);
}
