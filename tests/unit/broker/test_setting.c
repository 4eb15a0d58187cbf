#include <criterion/criterion.h>

#include "limit_bench.h"

// ---- settings

Test(setting, is_answered_when_it_is_on_disk_and_counts_then)
{
    struct bench bench;
    struct wire_setting none = setting_concurrency(1);
    limit_bench(&bench);
    limit_steer(&bench, "set", "own", NULL, &none);
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
    struct wire_setting two = setting_concurrency(2), rate = setting_rate(7, 5000), row;
    limit_bench(&bench);
    limit_steer(&bench, "set", "own", NULL, &two);
    limit_steer(&bench, "set", "own", NULL, &rate); // while the first is on its way
    bench_settle(&bench);
    struct wire_queue queue = limit_queue_row(&bench, "own");
    cr_assert_eq(rec_decode(&wire_setting_rec, queue.settings, &row, NULL), OM_OK);
    cr_expect_eq(row.concurrency, 2);
    cr_expect_eq(row.rate, 7);
    cr_expect_eq(row.rate_ms, 5000);
    bench_finish(&bench);
}

Test(setting, refuses_what_cannot_be_set)
{
    struct bench bench;
    struct wire_setting weight = { 0 }, paused = { 0 }, one = setting_concurrency(1);
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
    limit_bench(&bench);
    for (size_t i = 0; i < OM_COUNT(wrong); i++) {
        limit_steer(&bench, wrong[i].action, wrong[i].queue, wrong[i].key,
                    wrong[i].setting);
        struct om_str code = bench_refusal(&bench, BENCH_CLIENT, WIRE_ERROR);
        cr_expect(om_str_eq(code, OM_LIT("invalid_request")), "row %zu: %.*s", i,
                  (int)code.size, code.data);
    }
    cr_expect_not(bench_commit(&bench, OM_OK));
    bench_finish(&bench);
}

// Jobs of BENCH_TENANT among the next `count`, which end one after the other.
static int
jobs_of_tenant(struct bench *bench, int count)
{
    int own = 0;
    for (int i = 1; i <= count; i++) {
        char token[WIRE_TOKEN_BYTES];
        bench_credit(bench, BENCH_WORKER, "omni.inference", i);
        const struct wire_msg *job = bench_find(bench, BENCH_WORKER, WIRE_JOB);
        own += om_str_eq(job->tenant, BENCH_TENANT);
        memcpy(token, job->token.data, sizeof(token));
        bench_say(bench, BENCH_WORKER, WIRE_DONE, token);
        bench_settle(bench);
    }
    return own;
}

static void
submit_of(struct bench *bench, struct om_str tenant, uint8_t shard, int count)
{
    for (int i = 0; i < count; i++) {
        struct om_uuid id = bench_task(bench, shard);
        struct wire_msg msg = { 0 };
        WIRE_SET(&msg, id, OM_LIT("m"));
        WIRE_SET(&msg, task, bench_task_text(&id));
        WIRE_SET(&msg, tenant, tenant);
        WIRE_SET(&msg, queue, OM_LIT("omni.inference"));
        WIRE_SET(&msg, kind, OM_LIT("test"));
        bench_send(bench, BENCH_CLIENT, &bench_local, WIRE_SUBMIT, &msg, "x");
    }
    bench_settle(bench);
}

Test(setting, of_a_weight_gives_a_tenant_as_many_turns)
{
    struct bench bench;
    struct wire_setting three = { 0 };
    REC_SET(&three, wire_setting, weight, 3);
    limit_bench(&bench);
    submit_of(&bench, BENCH_STRANGER, 2, 60);
    submit_of(&bench, BENCH_TENANT, 1, 60);
    cr_expect_eq(jobs_of_tenant(&bench, 20), 10);
    limit_set(&bench, NULL, NULL, &three);
    bench_hello(&bench, BENCH_WORKER, "inference", "w1"); // its credit begins anew
    cr_expect_eq(jobs_of_tenant(&bench, 40), 30);
    bench_finish(&bench);
}

Test(setting, of_a_pause_stops_starts_but_neither_submits_nor_what_runs)
{
    struct bench bench;
    char tokens[1][WIRE_TOKEN_BYTES];
    limit_bench(&bench);
    limit_submit(&bench, "omni.inference", NULL, 1);
    bench_credit(&bench, BENCH_WORKER, "omni.inference", 10);
    cr_expect_eq(limit_jobs_sent(&bench, tokens, 1), 1);
    limit_steer(&bench, "pause", "omni.inference", NULL, NULL);
    bench_settle(&bench);
    limit_submit(&bench, "omni.inference", NULL, 2);
    bench_say(&bench, BENCH_WORKER, WIRE_DONE, tokens[0]);
    cr_expect_eq(limit_jobs_sent(&bench, NULL, 0), 0);
    struct wire_queue row = limit_queue_row(&bench, "omni.inference");
    cr_expect_eq(row.ready, 2);
    cr_expect_eq(row.completed, 1);
    limit_steer(&bench, "resume", "omni.inference", NULL, NULL);
    cr_expect_eq(limit_jobs_sent(&bench, NULL, 0), 2);
    bench_finish(&bench);
}

Test(setting, of_a_purge_cancels_what_has_not_started_and_nothing_later)
{
    struct bench bench;
    char tokens[1][WIRE_TOKEN_BYTES];
    limit_bench(&bench);
    limit_submit(&bench, "omni.inference", NULL, 200);
    limit_submit(&bench, "omni.inference", "k", 200);
    limit_submit(&bench, "other", NULL, 3);
    bench_credit(&bench, BENCH_WORKER, "omni.inference", 1);
    cr_expect_eq(limit_jobs_sent(&bench, tokens, 1), 1);
    limit_steer(&bench, "purge", "omni.inference", NULL, NULL);
    bench_settle(&bench);
    limit_submit(&bench, "omni.inference", NULL, 2);
    for (int i = 0; i < 5; i++) {
        bench_pass(&bench, 1);
        bench_settle(&bench);
    }
    struct wire_queue row = limit_queue_row(&bench, "omni.inference");
    cr_expect_eq(row.ready, 2);
    cr_expect_eq(row.running, 1);
    cr_expect_eq(core_stats(bench.core).cancelled, 399);
    cr_expect_eq(limit_queue_row(&bench, "other").ready, 3);
    bench_say(&bench, BENCH_WORKER, WIRE_DONE, tokens[0]);
    bench_settle(&bench);
    cr_expect_eq(core_stats(bench.core).completed, 1);
    bench_finish(&bench);
}

Test(setting, of_a_purge_leaves_what_waits_for_another_attempt)
{
    struct bench bench;
    char tokens[1][WIRE_TOKEN_BYTES];
    limit_bench(&bench);
    limit_submit(&bench, "omni.inference", NULL, 2);
    bench_credit(&bench, BENCH_WORKER, "omni.inference", 1);
    cr_expect_eq(limit_jobs_sent(&bench, tokens, 1), 1);
    bench_say(&bench, BENCH_WORKER, WIRE_FAIL, tokens[0]);
    bench_settle(&bench);
    limit_steer(&bench, "purge", "omni.inference", NULL, NULL);
    for (int i = 0; i < 5; i++) {
        bench_settle(&bench);
        bench_pass(&bench, 1);
    }
    struct wire_queue row = limit_queue_row(&bench, "omni.inference");
    cr_expect_eq(row.retrying, 1);
    cr_expect_eq(row.ready, 0);
    bench_finish(&bench);
}

Test(setting, of_a_purge_is_forgotten_when_it_is_over)
{
    struct bench bench;
    struct change_setting last = { 0 };
    limit_bench(&bench);
    limit_submit(&bench, "own", NULL, 2);
    limit_steer(&bench, "purge", "own", NULL, NULL);
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
    limit_bench(&bench);
    limit_submit(&bench, "omni.inference", NULL, 5);
    bench_pass(&bench, 3000);
    bench_credit(&bench, BENCH_WORKER, "omni.inference", 2);
    limit_jobs_sent(&bench, tokens, 2);
    bench_say(&bench, BENCH_WORKER, WIRE_DONE, tokens[0]);
    bench_say(&bench, BENCH_WORKER, WIRE_FAIL, tokens[1]); // to be tried again
    bench_settle(&bench);
    bench_credit(&bench, BENCH_WORKER, "omni.inference", 3);
    bench_settle(&bench);
    struct wire_queue row = limit_queue_row(&bench, "omni.inference");
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
    limit_pass(&bench, 61000);
    row = limit_queue_row(&bench, "omni.inference");
    cr_expect_float_eq(row.in_rate, 0, 1e-9);
    bench_finish(&bench);
}

Test(stats, have_rates_of_the_last_minute)
{
    struct bench bench;
    limit_bench(&bench);
    limit_submit(&bench, "own", NULL, 3);
    limit_pass(&bench, 40000);
    limit_submit(&bench, "own", NULL, 6);
    cr_expect_float_eq(limit_queue_row(&bench, "own").in_rate, 9.0 / 60, 1e-9);
    limit_pass(&bench, 30000);
    cr_expect_float_eq(limit_queue_row(&bench, "own").in_rate, 6.0 / 60, 1e-9);
    bench_finish(&bench);
}

Test(stats, outlive_the_jobs)
{
    struct bench bench;
    char tokens[1][WIRE_TOKEN_BYTES];
    limit_bench(&bench);
    limit_submit(&bench, "omni.inference", NULL, 1);
    bench_credit(&bench, BENCH_WORKER, "omni.inference", 1);
    limit_jobs_sent(&bench, tokens, 1);
    bench_say(&bench, BENCH_WORKER, WIRE_DONE, tokens[0]);
    bench_settle(&bench);
    cr_expect_eq(limit_queue_row(&bench, "omni.inference").completed, 1);
    cr_expect_eq(core_stats(bench.core).open_tasks, 0);
    limit_submit(&bench, "omni.inference", NULL, 1);
    cr_expect_eq(limit_queue_row(&bench, "omni.inference").submitted, 2);
    bench_finish(&bench);
}

// ---- bands

Test(bands, that_wait_are_served_at_last_while_jobs_of_a_higher_one_keep_coming)
{
    struct bench bench;
    limit_bench(&bench);
    struct om_uuid id = bench_task(&bench, 1);
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, id, OM_LIT("m"));
    WIRE_SET(&msg, task, bench_task_text(&id));
    WIRE_SET(&msg, tenant, BENCH_TENANT);
    WIRE_SET(&msg, queue, OM_LIT("omni.inference"));
    WIRE_SET(&msg, kind, OM_LIT("low"));
    WIRE_SET(&msg, priority, 9);
    bench_send(&bench, BENCH_CLIENT, &bench_local, WIRE_SUBMIT, &msg, "x");
    limit_submit(&bench, "omni.inference", NULL, 100);
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
