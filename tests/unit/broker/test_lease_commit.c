// When a lease is written: with what comes next, soon alone, or never.
#include <criterion/criterion.h>

#include "bench.h"

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
