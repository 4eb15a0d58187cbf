#include <criterion/criterion.h>
#include <stdio.h>

#include "limit_bench.h"

// ---- concurrency

static const char *const scopes[][2] = { { NULL, NULL },             // the tenant
                                         { "omni.inference", NULL }, // its queue
                                         { NULL, "k" } };            // a key

Test(limit, lets_no_more_jobs_run_at_a_time)
{
    for (size_t i = 0; i < OM_COUNT(scopes); i++) {
        struct bench bench;
        char tokens[2][WIRE_TOKEN_BYTES];
        struct wire_setting two = setting_concurrency(2);
        limit_bench(&bench);
        limit_set(&bench, scopes[i][0], scopes[i][1], &two);
        limit_submit(&bench, "omni.inference", "k", 5);
        bench_credit(&bench, BENCH_WORKER, "omni.inference", 10);
        cr_expect_eq(limit_jobs_sent(&bench, tokens, 2), 2, "scope %zu", i);
        bench_pass(&bench, 5000);
        cr_expect_eq(limit_jobs_sent(&bench, NULL, 0), 0);
        bench_say(&bench, BENCH_WORKER, WIRE_DONE, tokens[1]);
        cr_expect_eq(limit_jobs_sent(&bench, NULL, 0), 1);
        bench_finish(&bench);
    }
}

Test(limit, is_counted_from_jobs_that_ran_before_it_was_set)
{
    for (size_t i = 0; i < OM_COUNT(scopes); i++) {
        struct bench bench;
        char tokens[3][WIRE_TOKEN_BYTES];
        struct wire_setting two = setting_concurrency(2);
        limit_bench(&bench);
        limit_submit(&bench, "omni.inference", "k", 5);
        bench_credit(&bench, BENCH_WORKER, "omni.inference", 3);
        cr_expect_eq(limit_jobs_sent(&bench, tokens, 3), 3);
        limit_set(&bench, scopes[i][0], scopes[i][1], &two);
        bench_credit(&bench, BENCH_WORKER, "omni.inference", 10);
        bench_say(&bench, BENCH_WORKER, WIRE_DONE, tokens[0]);
        cr_expect_eq(limit_jobs_sent(&bench, NULL, 0), 0, "two still run, scope %zu", i);
        bench_say(&bench, BENCH_WORKER, WIRE_DONE, tokens[1]);
        cr_expect_eq(limit_jobs_sent(&bench, NULL, 0), 1);
        bench_finish(&bench);
    }
}

Test(limit, removed_lets_what_waits_start)
{
    struct bench bench;
    struct wire_setting one = setting_concurrency(1), none = setting_concurrency(0);
    limit_bench(&bench);
    limit_set(&bench, "omni.inference", NULL, &one);
    limit_submit(&bench, "omni.inference", NULL, 3);
    bench_credit(&bench, BENCH_WORKER, "omni.inference", 10);
    cr_expect_eq(limit_jobs_sent(&bench, NULL, 0), 1);
    limit_steer(&bench, "set", "omni.inference", NULL, &none);
    cr_expect_eq(limit_jobs_sent(&bench, NULL, 0), 2);
    bench_finish(&bench);
}

Test(limit, of_one_key_does_not_hold_others_up)
{
    struct bench bench;
    struct wire_setting one = setting_concurrency(1);
    limit_bench(&bench);
    limit_set(&bench, NULL, "slow", &one);
    limit_submit(&bench, "omni.inference", "slow", 3);
    limit_submit(&bench, "omni.inference", "fast", 3);
    limit_submit(&bench, "omni.inference", NULL, 3);
    bench_credit(&bench, BENCH_WORKER, "omni.inference", 100);
    cr_expect_eq(limit_jobs_sent(&bench, NULL, 0), 7);
    bench_finish(&bench);
}

Test(limit, counts_a_lease_whose_worker_is_gone_until_it_is_lost)
{
    struct bench bench;
    struct wire_setting one = setting_concurrency(1);
    limit_bench(&bench);
    bench_hello(&bench, BENCH_OTHER, "inference", "w2");
    limit_set(&bench, NULL, NULL, &one);
    limit_submit(&bench, "omni.inference", NULL, 2);
    bench_credit(&bench, BENCH_WORKER, "omni.inference", 1);
    cr_expect_eq(limit_jobs_sent(&bench, NULL, 0), 1);
    core_suspect(bench.core, bench.now, BENCH_WORKER);
    bench_credit(&bench, BENCH_OTHER, "omni.inference", 5);
    bench_pass(&bench, 5000);
    cr_expect_eq(limit_jobs_sent(&bench, NULL, 0), 0);
    bench_hello(&bench, BENCH_OTHER, "inference", "w2"); // it is heard of
    bench_credit(&bench, BENCH_OTHER, "omni.inference", 5);
    bench_pass(&bench, 5001); // the lease of the short class is over
    cr_expect_eq(limit_jobs_sent(&bench, NULL, 0), 1);
    bench_finish(&bench);
}

Test(limit, makes_the_lease_of_a_short_job_durable_before_it_is_sent)
{
    struct bench bench;
    struct wire_setting many = setting_concurrency(100);
    limit_bench(&bench);
    limit_set(&bench, NULL, NULL, &many);
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
        struct wire_setting rate = setting_rate(2, 1000);
        limit_bench(&bench);
        limit_set(&bench, scopes[i][0], scopes[i][1], &rate);
        limit_submit(&bench, "omni.inference", "k", 9);
        bench_credit(&bench, BENCH_WORKER, "omni.inference", 100);
        cr_expect_eq(limit_jobs_sent(&bench, NULL, 0), 2, "scope %zu", i);
        bench_pass(&bench, 1000);
        cr_expect_eq(limit_jobs_sent(&bench, NULL, 0), 0);
        cr_expect_leq(core_next_timer(bench.core), bench.now.mono_ms + 1);
        bench_pass(&bench, 1);
        cr_expect_eq(limit_jobs_sent(&bench, NULL, 0), 2);
        bench_finish(&bench);
    }
}

Test(limit, is_of_the_mono_clock_whatever_is_done_to_the_wall_clock)
{
    struct bench bench;
    struct wire_setting rate = setting_rate(1, 60000);
    limit_bench(&bench);
    limit_set(&bench, "omni.inference", NULL, &rate);
    limit_submit(&bench, "omni.inference", NULL, 3);
    bench_credit(&bench, BENCH_WORKER, "omni.inference", 100);
    cr_expect_eq(limit_jobs_sent(&bench, NULL, 0), 1);
    bench.now.wall_ms += 3600 * 1000;
    limit_pass(&bench, 1000);
    cr_expect_eq(limit_jobs_sent(&bench, NULL, 0), 0);
    bench.now.wall_ms -= 7200 * 1000;
    limit_pass(&bench, 59001);
    cr_expect_eq(limit_jobs_sent(&bench, NULL, 0), 1);
    bench_finish(&bench);
}

Test(limit, stores_one_row_of_starts_a_limit_and_batch)
{
    struct bench bench;
    struct wire_setting rate = setting_rate(5, 1000);
    limit_bench(&bench);
    limit_set(&bench, NULL, NULL, &rate);
    limit_set(&bench, "omni.inference", NULL, &rate);
    limit_submit(&bench, "omni.inference", NULL, 9);
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
    cr_expect_eq(limit_jobs_sent(&bench, NULL, 0), 5);
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
    limit_submit(&bench, "omni.inference", NULL, 9);
    bench_credit(&bench, BENCH_WORKER, "omni.inference", 100);
    cr_expect_eq(limit_jobs_sent(&bench, NULL, 0), 1);
    limit_pass(&bench, 40000);
    cr_expect_eq(limit_jobs_sent(&bench, NULL, 0), 0);
    limit_pass(&bench, 1501); // it may have gone out later than it was stored
    cr_expect_eq(limit_jobs_sent(&bench, NULL, 0), 2);
    bench_finish(&bench);
}

Test(limit, stores_its_window_again_when_the_wall_clock_is_set_forward)
{
    struct bench bench;
    struct wire_setting rate = setting_rate(3, 3600 * 1000);
    limit_bench(&bench);
    limit_set(&bench, "omni.inference", NULL, &rate);
    limit_submit(&bench, "omni.inference", NULL, 2);
    bench_credit(&bench, BENCH_WORKER, "omni.inference", 100);
    cr_expect_eq(limit_jobs_sent(&bench, NULL, 0), 2);
    int64_t began_ms = bench.now.wall_ms;
    limit_pass(&bench, 1500);
    cr_expect_not(bench_commit(&bench, OM_OK), "nobody set it");
    const int64_t ahead_ms = 7200 * 1000;
    bench.now.wall_ms += ahead_ms;
    limit_pass(&bench, 1000);
    struct batch *batch = core_take_batch(bench.core);
    cr_assert(batch);
    cr_expect_eq(batch->changes[0].kind, CHANGE_START);
    cr_expect_eq(batch->changes[0].start.count, 2);
    cr_expect_eq(batch->changes[0].start.at_ms, began_ms + ahead_ms);
    core_committed(bench.core, bench.now, &batch, OM_OK);
    bench.now.wall_ms -= ahead_ms; // set back, its starts look later than they were
    limit_pass(&bench, 1500);
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
    limit_submit(&bench, "omni.inference", NULL, 9);
    bench_credit(&bench, BENCH_WORKER, "omni.inference", 100);
    limit_pass(&bench, 59999); // a millisecond was spent on the submits
    cr_expect_eq(limit_jobs_sent(&bench, NULL, 0), 0);
    limit_pass(&bench, 1);
    cr_expect_eq(limit_jobs_sent(&bench, NULL, 0), 1);
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
    limit_submit(&bench, "omni.inference", "k", 2);
    bench_credit(&bench, BENCH_WORKER, "omni.inference", 100);
    cr_expect_eq(limit_jobs_sent(&bench, NULL, 0), 0);
    limit_pass(&bench, 10001); // its worker did not come back
    cr_expect_eq(limit_jobs_sent(&bench, NULL, 0), 1);
    om_buf_finish(&header);
    bench_finish(&bench);
}

// ---- keys

static void
submit_under(struct bench *bench, const char *key)
{
    struct om_uuid id = bench_task(bench, 1);
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, id, OM_LIT("m"));
    WIRE_SET(&msg, task, bench_task_text(&id));
    WIRE_SET(&msg, tenant, BENCH_TENANT);
    WIRE_SET(&msg, queue, OM_LIT("own"));
    WIRE_SET(&msg, kind, OM_LIT("test"));
    WIRE_SET(&msg, limit_key, om_str(key));
    bench_send(bench, BENCH_CLIENT, &bench_local, WIRE_SUBMIT, &msg, NULL);
}

Test(limit, refuses_a_key_too_many_and_takes_it_when_another_is_gone)
{
    enum { KEYS_MAX = 10000 };
    struct bench bench;
    struct wire_setting one = setting_concurrency(1), none = setting_concurrency(0);
    limit_bench(&bench);
    for (int i = 0; i < KEYS_MAX; i++) {
        char key[16];
        snprintf(key, sizeof(key), "k%d", i);
        limit_set(&bench, NULL, key, &one);
    }
    submit_under(&bench, "one more");
    const struct wire_msg *reject = bench_expect(&bench, BENCH_CLIENT, WIRE_REJECT);
    cr_expect(om_str_eq(reject->code, OM_LIT("queue_full")));
    cr_expect(memmem(reject->text.data, reject->text.size, "limit keys", 10));
    limit_steer(&bench, "set", NULL, "one more", &one);
    cr_expect(
        om_str_eq(bench_refusal(&bench, BENCH_CLIENT, WIRE_ERROR), OM_LIT("queue_full")));
    submit_under(&bench, "k7"); // this one it has
    cr_assert(bench_commit(&bench, OM_OK));
    bench_expect(&bench, BENCH_CLIENT, WIRE_SUBMITTED);
    limit_set(&bench, NULL, "k8", &none);
    submit_under(&bench, "one more");
    cr_assert(bench_commit(&bench, OM_OK));
    bench_expect(&bench, BENCH_CLIENT, WIRE_SUBMITTED);
    bench_finish(&bench);
}
