#include <criterion/criterion.h>
#include <stdlib.h>

#include "bench.h"

// QUEUE with this action; what of queue, key and settings is NULL is absent.
static void
steer(struct bench *bench, const char *action, const char *queue, const char *key,
      const struct wire_setting *setting)
{
    struct om_buf settings = { 0 };
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, id, OM_LIT("q"));
    WIRE_SET(&msg, action, om_str(action));
    WIRE_SET(&msg, tenant, BENCH_TENANT);
    if (queue)
        WIRE_SET(&msg, queue, om_str(queue));
    if (key)
        WIRE_SET(&msg, limit_key, om_str(key));
    if (setting) {
        rec_encode(&wire_setting_rec, setting, &settings);
        WIRE_SET(&msg, settings, om_buf_str(&settings));
    }
    bench_send(bench, BENCH_CLIENT, &bench_local, WIRE_QUEUE, &msg, NULL);
    om_buf_finish(&settings);
}

// The same, until it is done; what is sent meanwhile is dropped.
static void
set(struct bench *bench, const char *queue, const char *key,
    const struct wire_setting *setting)
{
    steer(bench, "set", queue, key, setting);
    while (bench_commit(bench, OM_OK))
        ;
    bench_find(bench, BENCH_CLIENT, WIRE_QUEUES);
}

static struct wire_setting
concurrency_of(int64_t count)
{
    struct wire_setting setting = { 0 };
    REC_SET(&setting, wire_setting, concurrency, count);
    return setting;
}

static struct wire_setting
rate_of(int64_t count, int64_t ms)
{
    struct wire_setting setting = { 0 };
    REC_SET(&setting, wire_setting, rate, count);
    REC_SET(&setting, wire_setting, rate_ms, ms);
    return setting;
}

static void
submit_key(struct bench *bench, const char *queue, const char *key)
{
    struct om_uuid id = bench_task(bench, 1);
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, id, OM_LIT("m"));
    WIRE_SET(&msg, task, bench_task_text(&id));
    WIRE_SET(&msg, tenant, BENCH_TENANT);
    WIRE_SET(&msg, queue, om_str(queue));
    WIRE_SET(&msg, kind, OM_LIT("test"));
    if (key)
        WIRE_SET(&msg, limit_key, om_str(key));
    bench_send(bench, BENCH_CLIENT, &bench_local, WIRE_SUBMIT, &msg, "x");
}

static void
submit_many(struct bench *bench, const char *queue, const char *key, int count)
{
    for (int i = 0; i < count; i++)
        submit_key(bench, queue, key);
    bench_settle(bench);
    bench_pass(bench, 1); // the next ids are of another time
}

// Let time pass; client and worker show that they are alive.
static void
pass(struct bench *bench, int64_t ms)
{
    struct wire_msg msg = { 0 };
    for (int64_t step_ms; ms > 0; ms -= step_ms) {
        step_ms = ms < 3000 ? ms : 3000;
        bench_send(bench, BENCH_WORKER, &bench_local, WIRE_PING, &msg, NULL);
        bench_send(bench, BENCH_CLIENT, &bench_local, WIRE_PING, &msg, NULL);
        bench_pass(bench, step_ms);
    }
}

// Commit what there is; how many jobs go out, of which up to `most` are kept.
static int
jobs_sent(struct bench *bench, char (*tokens)[WIRE_TOKEN_BYTES], int most)
{
    int count = 0;
    do
        while (core_next_send(bench->core, &bench->sent)) {
            cr_assert_eq(wire_decode(bench->sent.header, &bench->msg), OM_OK);
            if (bench->msg.type != WIRE_JOB)
                continue;
            if (tokens && count < most)
                memcpy(tokens[count], bench->msg.token.data, WIRE_TOKEN_BYTES);
            count++;
        }
    while (bench_commit(bench, OM_OK));
    return count;
}

static void
open_bench(struct bench *bench)
{
    bench_init(bench);
    bench_hello(bench, BENCH_CLIENT, "ingest", "i1");
    bench_hello(bench, BENCH_WORKER, "inference", "w1");
}

static struct wire_queue
queue_row(struct bench *bench, const char *queue)
{
    struct wire_queue row;
    steer(bench, "list", queue, NULL, NULL);
    bench_find(bench, BENCH_CLIENT, WIRE_QUEUES);
    struct rec_iter iter = rec_iter(payload_bytes(bench->sent.payload));
    struct om_str bytes;
    cr_assert(rec_next_raw(&iter, &bytes), "no row of %s", queue);
    cr_assert_eq(rec_decode(&wire_queue_rec, bytes, &row, NULL), OM_OK);
    return row;
}

// ---- concurrency

static const char *const scopes[][2] = { { NULL, NULL },             // the tenant
                                         { "omni.inference", NULL }, // its queue
                                         { NULL, "k" } };            // a key

Test(limit, lets_no_more_jobs_run_at_a_time)
{
    for (size_t i = 0; i < OM_COUNT(scopes); i++) {
        struct bench bench;
        char tokens[2][WIRE_TOKEN_BYTES];
        struct wire_setting two = concurrency_of(2);
        open_bench(&bench);
        set(&bench, scopes[i][0], scopes[i][1], &two);
        submit_many(&bench, "omni.inference", "k", 5);
        bench_credit(&bench, BENCH_WORKER, "omni.inference", 10);
        cr_expect_eq(jobs_sent(&bench, tokens, 2), 2, "scope %zu", i);
        bench_pass(&bench, 5000);
        cr_expect_eq(jobs_sent(&bench, NULL, 0), 0);
        bench_say(&bench, BENCH_WORKER, WIRE_DONE, tokens[1]);
        cr_expect_eq(jobs_sent(&bench, NULL, 0), 1);
        bench_finish(&bench);
    }
}

Test(limit, is_counted_from_jobs_that_ran_before_it_was_set)
{
    for (size_t i = 0; i < OM_COUNT(scopes); i++) {
        struct bench bench;
        char tokens[3][WIRE_TOKEN_BYTES];
        struct wire_setting two = concurrency_of(2);
        open_bench(&bench);
        submit_many(&bench, "omni.inference", "k", 5);
        bench_credit(&bench, BENCH_WORKER, "omni.inference", 3);
        cr_expect_eq(jobs_sent(&bench, tokens, 3), 3);
        set(&bench, scopes[i][0], scopes[i][1], &two);
        bench_credit(&bench, BENCH_WORKER, "omni.inference", 10);
        bench_say(&bench, BENCH_WORKER, WIRE_DONE, tokens[0]);
        cr_expect_eq(jobs_sent(&bench, NULL, 0), 0, "two still run, scope %zu", i);
        bench_say(&bench, BENCH_WORKER, WIRE_DONE, tokens[1]);
        cr_expect_eq(jobs_sent(&bench, NULL, 0), 1);
        bench_finish(&bench);
    }
}

Test(limit, removed_lets_what_waits_start)
{
    struct bench bench;
    struct wire_setting one = concurrency_of(1), none = concurrency_of(0);
    open_bench(&bench);
    set(&bench, "omni.inference", NULL, &one);
    submit_many(&bench, "omni.inference", NULL, 3);
    bench_credit(&bench, BENCH_WORKER, "omni.inference", 10);
    cr_expect_eq(jobs_sent(&bench, NULL, 0), 1);
    steer(&bench, "set", "omni.inference", NULL, &none);
    cr_expect_eq(jobs_sent(&bench, NULL, 0), 2);
    bench_finish(&bench);
}

Test(limit, of_one_key_does_not_hold_others_up)
{
    struct bench bench;
    struct wire_setting one = concurrency_of(1);
    open_bench(&bench);
    set(&bench, NULL, "slow", &one);
    submit_many(&bench, "omni.inference", "slow", 3);
    submit_many(&bench, "omni.inference", "fast", 3);
    submit_many(&bench, "omni.inference", NULL, 3);
    bench_credit(&bench, BENCH_WORKER, "omni.inference", 100);
    cr_expect_eq(jobs_sent(&bench, NULL, 0), 7);
    bench_finish(&bench);
}

Test(limit, counts_a_lease_whose_worker_is_gone_until_it_is_lost)
{
    struct bench bench;
    struct wire_setting one = concurrency_of(1);
    open_bench(&bench);
    bench_hello(&bench, BENCH_OTHER, "inference", "w2");
    set(&bench, NULL, NULL, &one);
    submit_many(&bench, "omni.inference", NULL, 2);
    bench_credit(&bench, BENCH_WORKER, "omni.inference", 1);
    cr_expect_eq(jobs_sent(&bench, NULL, 0), 1);
    core_suspect(bench.core, bench.now, BENCH_WORKER);
    bench_credit(&bench, BENCH_OTHER, "omni.inference", 5);
    bench_pass(&bench, 5000);
    cr_expect_eq(jobs_sent(&bench, NULL, 0), 0);
    bench_hello(&bench, BENCH_OTHER, "inference", "w2"); // it is heard of
    bench_credit(&bench, BENCH_OTHER, "omni.inference", 5);
    bench_pass(&bench, 5001); // the lease of the short class is over
    cr_expect_eq(jobs_sent(&bench, NULL, 0), 1);
    bench_finish(&bench);
}

Test(limit, makes_the_lease_of_a_short_job_durable_before_it_is_sent)
{
    struct bench bench;
    struct wire_setting many = concurrency_of(100);
    open_bench(&bench);
    set(&bench, NULL, NULL, &many);
    bench_submitted(&bench, "omni.inference");
    bench_credit(&bench, BENCH_WORKER, "omni.inference", 1);
    bench_expect_nothing(&bench);
    cr_assert(bench_commit(&bench, OM_OK));
    bench_expect(&bench, BENCH_WORKER, WIRE_JOB);
    bench_finish(&bench);
}

// ---- rates

Test(limit, lets_no_more_start_in_any_window)
{
    for (size_t i = 0; i < OM_COUNT(scopes); i++) {
        struct bench bench;
        struct wire_setting rate = rate_of(2, 1000);
        open_bench(&bench);
        set(&bench, scopes[i][0], scopes[i][1], &rate);
        submit_many(&bench, "omni.inference", "k", 9);
        bench_credit(&bench, BENCH_WORKER, "omni.inference", 100);
        cr_expect_eq(jobs_sent(&bench, NULL, 0), 2, "scope %zu", i);
        bench_pass(&bench, 1000);
        cr_expect_eq(jobs_sent(&bench, NULL, 0), 0);
        cr_expect_leq(core_next_timer(bench.core), bench.now.mono_ms + 1);
        bench_pass(&bench, 1);
        cr_expect_eq(jobs_sent(&bench, NULL, 0), 2);
        bench_finish(&bench);
    }
}

Test(limit, is_of_the_mono_clock_whatever_is_done_to_the_wall_clock)
{
    struct bench bench;
    struct wire_setting rate = rate_of(1, 60000);
    open_bench(&bench);
    set(&bench, "omni.inference", NULL, &rate);
    submit_many(&bench, "omni.inference", NULL, 3);
    bench_credit(&bench, BENCH_WORKER, "omni.inference", 100);
    cr_expect_eq(jobs_sent(&bench, NULL, 0), 1);
    bench.now.wall_ms += 3600 * 1000;
    pass(&bench, 1000);
    cr_expect_eq(jobs_sent(&bench, NULL, 0), 0);
    bench.now.wall_ms -= 7200 * 1000;
    pass(&bench, 59001);
    cr_expect_eq(jobs_sent(&bench, NULL, 0), 1);
    bench_finish(&bench);
}

Test(limit, stores_one_row_of_starts_a_limit_and_batch)
{
    struct bench bench;
    struct wire_setting rate = rate_of(5, 1000);
    open_bench(&bench);
    set(&bench, NULL, NULL, &rate);
    set(&bench, "omni.inference", NULL, &rate);
    submit_many(&bench, "omni.inference", NULL, 9);
    bench_credit(&bench, BENCH_WORKER, "omni.inference", 100);
    struct batch *batch = core_take_batch(bench.core);
    cr_assert(batch);
    int64_t rows = 0, marks = 0;
    for (size_t i = 0; i < batch->count; i++) {
        const struct change *change = &batch->changes[i];
        marks += change->kind == CHANGE_MARK;
        if (change->kind != CHANGE_START)
            continue;
        rows++;
        cr_expect_eq(change->start.count, 5);
        cr_expect_eq(change->start.at_ms, bench.now.wall_ms);
        cr_expect_gt(change->start.until_ms, bench.now.wall_ms + 1000);
    }
    cr_expect_eq(rows, 2);
    cr_expect_eq(marks, 5);
    core_committed(bench.core, bench.now, &batch, OM_OK);
    cr_expect_eq(jobs_sent(&bench, NULL, 0), 5);
    bench_finish(&bench);
}

// A core that found this in the store.
static void
load_bench(struct bench *bench, const struct change_setting *setting,
           const struct change_start *start, const struct stored_task *task)
{
    struct core_conf conf = bench_conf();
    *bench = (struct bench){ .now = { 500, INT64_C(1800000000000) } };
    bench->core = core_create(&conf);
    core_load_setting(bench->core, setting);
    if (start)
        core_load_start(bench->core, start);
    if (task)
        cr_assert_eq(core_load_task(bench->core, task), OM_OK);
    core_serve(bench->core, bench->now);
    bench_hello(bench, BENCH_CLIENT, "ingest", "i1");
    bench_hello(bench, BENCH_WORKER, "inference", "w1");
}

static struct om_uuid
tenant_id(void)
{
    struct om_uuid id;
    cr_assert_eq(om_typeid_decode(OM_ID_TENANT, BENCH_TENANT, &id), OM_OK);
    return id;
}

Test(limit, keeps_its_window_through_a_restart)
{
    struct bench bench;
    const int64_t wall_ms = INT64_C(1800000000000);
    struct change_setting setting = { .tenant = tenant_id(),
                                      .scope = SETTING_QUEUE,
                                      .name = OM_LIT("omni.inference"),
                                      .rate = 3,
                                      .rate_ms = 60000 };
    struct change_start start = { .tenant = setting.tenant,
                                  .scope = SETTING_QUEUE,
                                  .name = setting.name,
                                  .at_ms = wall_ms - 20000,
                                  .count = 2 };
    load_bench(&bench, &setting, &start, NULL);
    submit_many(&bench, "omni.inference", NULL, 9);
    bench_credit(&bench, BENCH_WORKER, "omni.inference", 100);
    cr_expect_eq(jobs_sent(&bench, NULL, 0), 1);
    pass(&bench, 40000);
    cr_expect_eq(jobs_sent(&bench, NULL, 0), 0);
    pass(&bench, 1501); // it may have gone out later than it was stored
    cr_expect_eq(jobs_sent(&bench, NULL, 0), 2);
    bench_finish(&bench);
}

Test(limit, stores_its_window_again_when_the_wall_clock_is_set_forward)
{
    struct bench bench;
    struct wire_setting rate = rate_of(3, 3600 * 1000);
    open_bench(&bench);
    set(&bench, "omni.inference", NULL, &rate);
    submit_many(&bench, "omni.inference", NULL, 2);
    bench_credit(&bench, BENCH_WORKER, "omni.inference", 100);
    cr_expect_eq(jobs_sent(&bench, NULL, 0), 2);
    int64_t began_ms = bench.now.wall_ms;
    pass(&bench, 1500);
    cr_expect_not(bench_commit(&bench, OM_OK), "nobody set it");
    const int64_t ahead_ms = 7200 * 1000;
    bench.now.wall_ms += ahead_ms;
    pass(&bench, 1000);
    struct batch *batch = core_take_batch(bench.core);
    cr_assert(batch);
    cr_expect_eq(batch->changes[0].kind, CHANGE_START);
    cr_expect_eq(batch->changes[0].start.count, 2);
    cr_expect_eq(batch->changes[0].start.at_ms, began_ms + ahead_ms);
    core_committed(bench.core, bench.now, &batch, OM_OK);
    bench.now.wall_ms -= ahead_ms; // set back, its starts look later than they were
    pass(&bench, 1500);
    cr_expect_not(bench_commit(&bench, OM_OK));
    bench_finish(&bench);
}

Test(limit, takes_a_start_of_the_future_for_one_of_now)
{
    struct bench bench;
    struct change_setting setting = {
        .tenant = tenant_id(), .scope = SETTING_TENANT, .rate = 1, .rate_ms = 60000
    };
    struct change_start start = { .tenant = setting.tenant,
                                  .scope = SETTING_TENANT,
                                  .at_ms = INT64_C(1900000000000),
                                  .count = 1 };
    load_bench(&bench, &setting, &start, NULL);
    submit_many(&bench, "omni.inference", NULL, 9);
    bench_credit(&bench, BENCH_WORKER, "omni.inference", 100);
    pass(&bench, 59999); // a millisecond was spent on the submits
    cr_expect_eq(jobs_sent(&bench, NULL, 0), 0);
    pass(&bench, 1);
    cr_expect_eq(jobs_sent(&bench, NULL, 0), 1);
    bench_finish(&bench);
}

Test(limit, counts_the_leases_it_finds_in_the_store)
{
    struct bench bench;
    struct om_buf header = { 0 };
    struct wire_msg msg = { 0 };
    struct change_setting setting = {
        .tenant = tenant_id(), .scope = SETTING_KEY, .name = OM_LIT("k"), .concurrency = 1
    };
    struct stored_task task = { .seq = 1,
                                .id = { { 9, [6] = 0x70, [8] = 0x80, [15] = 1 } },
                                .tenant = setting.tenant,
                                .queue = OM_LIT("omni.inference"),
                                .attempts = 1,
                                .leased = true,
                                .node = OM_LIT("w9#1") };
    char id[OM_TYPEID_MAX];
    om_typeid_encode(OM_ID_TASK, &task.id, id);
    WIRE_SET(&msg, id, OM_LIT("m"));
    WIRE_SET(&msg, task, om_str(id));
    WIRE_SET(&msg, queue, task.queue);
    WIRE_SET(&msg, kind, OM_LIT("test"));
    WIRE_SET(&msg, limit_key, setting.name);
    wire_encode(WIRE_SUBMIT, &msg, &header);
    task.header = om_buf_str(&header);
    task.token = (struct wire_token){ task.id, 1, 1, 1 };
    load_bench(&bench, &setting, NULL, &task);
    submit_many(&bench, "omni.inference", "k", 2);
    bench_credit(&bench, BENCH_WORKER, "omni.inference", 100);
    cr_expect_eq(jobs_sent(&bench, NULL, 0), 0);
    pass(&bench, 10001); // its worker did not come back
    cr_expect_eq(jobs_sent(&bench, NULL, 0), 1);
    om_buf_finish(&header);
    bench_finish(&bench);
}

// ---- settings

Test(setting, is_answered_when_it_is_on_disk_and_counts_then)
{
    struct bench bench;
    struct wire_setting none = concurrency_of(1);
    open_bench(&bench);
    steer(&bench, "set", "own", NULL, &none);
    bench_expect_nothing(&bench);
    struct batch *batch = core_take_batch(bench.core);
    cr_assert(batch);
    cr_expect_eq(batch->changes[0].kind, CHANGE_SETTING);
    cr_expect_eq(batch->changes[0].setting.concurrency, 1);
    cr_expect(om_str_eq(batch->changes[0].setting.name, OM_LIT("own")));
    core_committed(bench.core, bench.now, &batch, OM_OK);
    bench_expect(&bench, BENCH_CLIENT, WIRE_QUEUES);
    bench_finish(&bench);
}

Test(setting, keeps_the_fields_that_are_not_named)
{
    struct bench bench;
    struct wire_setting two = concurrency_of(2), rate = rate_of(7, 5000), row;
    open_bench(&bench);
    steer(&bench, "set", "own", NULL, &two);
    steer(&bench, "set", "own", NULL, &rate); // while the first is on its way
    bench_settle(&bench);
    struct wire_queue queue = queue_row(&bench, "own");
    cr_assert_eq(rec_decode(&wire_setting_rec, queue.settings, &row, NULL), OM_OK);
    cr_expect_eq(row.concurrency, 2);
    cr_expect_eq(row.rate, 7);
    cr_expect_eq(row.rate_ms, 5000);
    bench_finish(&bench);
}

Test(setting, refuses_what_cannot_be_set)
{
    struct bench bench;
    struct wire_setting weight = { 0 }, paused = { 0 }, one = concurrency_of(1);
    REC_SET(&weight, wire_setting, weight, 3);
    REC_SET(&paused, wire_setting, paused, true);
    struct wire_setting wild = { 0 };
    REC_SET(&wild, wire_setting, rate, 10001);
    const struct {
        const char *action, *queue, *key;
        const struct wire_setting *setting;
    } wrong[] = {
        { "set", "own", NULL, NULL },   { "set", "own", NULL, &weight },
        { "set", NULL, "k", &weight },  { "set", NULL, "k", &paused },
        { "set", NULL, NULL, &paused }, { "set", "own", NULL, &wild },
        { "set", "Own", NULL, &one },   { "set", "omni.none", NULL, &one },
        { "pause", NULL, NULL, NULL },  { "purge", NULL, "k", NULL },
        { "dance", "own", NULL, NULL },
    };
    open_bench(&bench);
    for (size_t i = 0; i < OM_COUNT(wrong); i++) {
        steer(&bench, wrong[i].action, wrong[i].queue, wrong[i].key, wrong[i].setting);
        struct om_str code = bench_refusal(&bench, BENCH_CLIENT, WIRE_ERROR);
        cr_expect(om_str_eq(code, OM_LIT("invalid_request")), "row %zu: %.*s", i,
                  (int)code.size, code.data);
    }
    cr_expect_not(bench_commit(&bench, OM_OK));
    bench_finish(&bench);
}

Test(setting, of_a_pause_stops_starts_but_neither_submits_nor_what_runs)
{
    struct bench bench;
    char tokens[1][WIRE_TOKEN_BYTES];
    open_bench(&bench);
    submit_many(&bench, "omni.inference", NULL, 1);
    bench_credit(&bench, BENCH_WORKER, "omni.inference", 10);
    cr_expect_eq(jobs_sent(&bench, tokens, 1), 1);
    steer(&bench, "pause", "omni.inference", NULL, NULL);
    bench_settle(&bench);
    submit_many(&bench, "omni.inference", NULL, 2);
    bench_say(&bench, BENCH_WORKER, WIRE_DONE, tokens[0]);
    cr_expect_eq(jobs_sent(&bench, NULL, 0), 0);
    struct wire_queue row = queue_row(&bench, "omni.inference");
    cr_expect_eq(row.ready, 2);
    cr_expect_eq(row.completed, 1);
    steer(&bench, "resume", "omni.inference", NULL, NULL);
    cr_expect_eq(jobs_sent(&bench, NULL, 0), 2);
    bench_finish(&bench);
}

Test(setting, of_a_purge_cancels_what_has_not_started_and_nothing_later)
{
    struct bench bench;
    char tokens[1][WIRE_TOKEN_BYTES];
    open_bench(&bench);
    submit_many(&bench, "omni.inference", NULL, 200);
    submit_many(&bench, "omni.inference", "k", 200);
    submit_many(&bench, "other", NULL, 3);
    bench_credit(&bench, BENCH_WORKER, "omni.inference", 1);
    cr_expect_eq(jobs_sent(&bench, tokens, 1), 1);
    steer(&bench, "purge", "omni.inference", NULL, NULL);
    bench_settle(&bench);
    submit_many(&bench, "omni.inference", NULL, 2);
    for (int i = 0; i < 5; i++) {
        bench_pass(&bench, 1);
        bench_settle(&bench);
    }
    struct wire_queue row = queue_row(&bench, "omni.inference");
    cr_expect_eq(row.ready, 2);
    cr_expect_eq(row.running, 1);
    cr_expect_eq(core_stats(bench.core).cancelled, 399);
    cr_expect_eq(queue_row(&bench, "other").ready, 3);
    bench_say(&bench, BENCH_WORKER, WIRE_DONE, tokens[0]);
    bench_settle(&bench);
    cr_expect_eq(core_stats(bench.core).completed, 1);
    bench_finish(&bench);
}

Test(setting, of_a_purge_leaves_what_waits_for_another_attempt)
{
    struct bench bench;
    char tokens[1][WIRE_TOKEN_BYTES];
    open_bench(&bench);
    submit_many(&bench, "omni.inference", NULL, 2);
    bench_credit(&bench, BENCH_WORKER, "omni.inference", 1);
    cr_expect_eq(jobs_sent(&bench, tokens, 1), 1);
    bench_say(&bench, BENCH_WORKER, WIRE_FAIL, tokens[0]);
    bench_settle(&bench);
    steer(&bench, "purge", "omni.inference", NULL, NULL);
    for (int i = 0; i < 5; i++) {
        bench_settle(&bench);
        bench_pass(&bench, 1);
    }
    struct wire_queue row = queue_row(&bench, "omni.inference");
    cr_expect_eq(row.retrying, 1);
    cr_expect_eq(row.ready, 0);
    bench_finish(&bench);
}

Test(setting, of_a_purge_is_forgotten_when_it_is_over)
{
    struct bench bench;
    struct change_setting last = { 0 };
    open_bench(&bench);
    submit_many(&bench, "own", NULL, 2);
    steer(&bench, "purge", "own", NULL, NULL);
    for (int i = 0; i < 5; i++) {
        for (struct batch *batch; (batch = core_take_batch(bench.core));) {
            for (size_t j = 0; j < batch->count; j++)
                if (batch->changes[j].kind == CHANGE_SETTING)
                    last.purge_seq = batch->changes[j].setting.purge_seq + 1;
            core_committed(bench.core, bench.now, &batch, OM_OK);
        }
        bench_pass(&bench, 1);
    }
    cr_expect_eq(last.purge_seq, 1, "the last setting has no purge");
    bench_finish(&bench);
}

// ---- statistics

Test(stats, count_jobs_where_they_are)
{
    struct bench bench;
    char tokens[2][WIRE_TOKEN_BYTES];
    open_bench(&bench);
    submit_many(&bench, "omni.inference", NULL, 5);
    bench_pass(&bench, 3000);
    bench_credit(&bench, BENCH_WORKER, "omni.inference", 2);
    jobs_sent(&bench, tokens, 2);
    bench_say(&bench, BENCH_WORKER, WIRE_DONE, tokens[0]);
    bench_say(&bench, BENCH_WORKER, WIRE_FAIL, tokens[1]); // to be tried again
    bench_settle(&bench);
    bench_credit(&bench, BENCH_WORKER, "omni.inference", 3);
    bench_settle(&bench);
    struct wire_queue row = queue_row(&bench, "omni.inference");
    cr_expect_eq(row.ready, 2);
    cr_expect_eq(row.running, 1);
    cr_expect_eq(row.retrying, 1);
    cr_expect_eq(row.submitted, 5);
    cr_expect_eq(row.completed, 1);
    cr_expect_eq(row.failed, 0);
    cr_expect_eq(row.oldest_ms, 3001);
    cr_expect_eq(row.workers, 1);
    cr_expect_eq(row.credit, 0);
    cr_expect_float_eq(row.in_rate, 5.0 / 60, 1e-9);
    cr_expect_float_eq(row.out_rate, 1.0 / 60, 1e-9);
    pass(&bench, 61000);
    row = queue_row(&bench, "omni.inference");
    cr_expect_float_eq(row.in_rate, 0, 1e-9);
    bench_finish(&bench);
}

Test(stats, have_rates_of_the_last_minute)
{
    struct bench bench;
    open_bench(&bench);
    submit_many(&bench, "own", NULL, 3);
    pass(&bench, 40000);
    submit_many(&bench, "own", NULL, 6);
    cr_expect_float_eq(queue_row(&bench, "own").in_rate, 9.0 / 60, 1e-9);
    pass(&bench, 30000);
    cr_expect_float_eq(queue_row(&bench, "own").in_rate, 6.0 / 60, 1e-9);
    bench_finish(&bench);
}

Test(stats, outlive_the_jobs)
{
    struct bench bench;
    char tokens[1][WIRE_TOKEN_BYTES];
    open_bench(&bench);
    submit_many(&bench, "omni.inference", NULL, 1);
    bench_credit(&bench, BENCH_WORKER, "omni.inference", 1);
    jobs_sent(&bench, tokens, 1);
    bench_say(&bench, BENCH_WORKER, WIRE_DONE, tokens[0]);
    bench_settle(&bench);
    cr_expect_eq(queue_row(&bench, "omni.inference").completed, 1);
    cr_expect_eq(core_stats(bench.core).open_tasks, 0);
    submit_many(&bench, "omni.inference", NULL, 1);
    cr_expect_eq(queue_row(&bench, "omni.inference").submitted, 2);
    bench_finish(&bench);
}

// ---- bands

Test(bands, that_wait_are_served_at_last_while_jobs_of_a_higher_one_keep_coming)
{
    struct bench bench;
    open_bench(&bench);
    struct om_uuid id = bench_task(&bench, 1);
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, id, OM_LIT("m"));
    WIRE_SET(&msg, task, bench_task_text(&id));
    WIRE_SET(&msg, tenant, BENCH_TENANT);
    WIRE_SET(&msg, queue, OM_LIT("omni.inference"));
    WIRE_SET(&msg, kind, OM_LIT("low"));
    WIRE_SET(&msg, priority, 9);
    bench_send(&bench, BENCH_CLIENT, &bench_local, WIRE_SUBMIT, &msg, "x");
    submit_many(&bench, "omni.inference", NULL, 100);
    int picks = 0;
    for (bool low = false; !low; picks++) {
        bench_credit(&bench, BENCH_WORKER, "omni.inference", picks + 1);
        low = om_str_eq(bench_find(&bench, BENCH_WORKER, WIRE_JOB)->kind, OM_LIT("low"));
        bench_settle(&bench);
        cr_assert_leq(picks, 100);
    }
    cr_expect_eq(picks, 33, "served at pick %d", picks);
    bench_finish(&bench);
}
