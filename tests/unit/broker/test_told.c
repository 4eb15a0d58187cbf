// What a job goes through is told as it ends, to whoever traces it.
#include <criterion/criterion.h>
#include <stdio.h>

#include "bench.h"

#define SAMPLED   "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
#define UNSAMPLED "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0a"

enum { TOLD_MAX = 16 };

static struct told {
    int what;
    int64_t from_us, to_us;
    uint32_t attempt;
    char code[32], node[32], queue[32];
} told[TOLD_MAX];
static int count;

static void
note(void *context, const struct core_told *from)
{
    (void)context;
    cr_assert_lt(count, TOLD_MAX);
    struct told *one = &told[count++];
    *one = (struct told){
        (int)from->what, from->from_us, from->to_us, from->attempt, "", "", ""
    };
    snprintf(one->code, sizeof(one->code), "%.*s", (int)from->code.size,
             from->code.data ? from->code.data : "");
    snprintf(one->node, sizeof(one->node), "%.*s", (int)from->node.size,
             from->node.data ? from->node.data : "");
    snprintf(one->queue, sizeof(one->queue), "%.*s", (int)from->queue.size,
             from->queue.data);
}

static void
submit(struct bench *bench, const char *traceparent)
{
    struct om_uuid id = bench_task(bench, 1);
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, id, OM_LIT("s1"));
    WIRE_SET(&msg, task, bench_task_text(&id));
    WIRE_SET(&msg, tenant, BENCH_TENANT);
    WIRE_SET(&msg, queue, OM_LIT("omni.inference"));
    WIRE_SET(&msg, kind, OM_LIT("k"));
    if (traceparent)
        WIRE_SET(&msg, traceparent, om_str(traceparent));
    bench_send(bench, BENCH_CLIENT, &bench_local, WIRE_SUBMIT, &msg, NULL);
}

// A worker has been given the job, 7 ms after it came, of which 2 were its commit.
static void
begin(struct bench *bench, const char *traceparent)
{
    struct core_conf conf = bench_conf();
    conf.tell = note;
    bench_init_conf(bench, &conf);
    bench_hello(bench, BENCH_CLIENT, "ingest", "i1");
    bench_hello(bench, BENCH_WORKER, "inference", "w1");
    submit(bench, traceparent);
    bench_pass(bench, 2);
    cr_assert(bench_commit(bench, OM_OK));
    bench_drop(bench);
    bench_pass(bench, 5);
    bench_credit(bench, BENCH_WORKER, "omni.inference", 1);
    bench_settle(bench);
}

Test(told, commit_wait_and_lost_attempt_of_a_sampled_job)
{
    struct bench bench;
    begin(&bench, SAMPLED);
    cr_assert_eq(count, 2);
    cr_expect(told[0].what == TOLD_COMMIT && told[0].to_us - told[0].from_us == 2000);
    cr_expect(told[1].what == TOLD_WAIT && told[1].to_us - told[1].from_us == 5000);
    cr_expect_eq(told[1].attempt, 1);
    cr_expect_str_eq(told[1].queue, "omni.inference");
    bench_pass(&bench, 10000); // the worker is silent
    bench_settle(&bench);
    cr_assert_geq(count, 3, "who has died cannot tell of it");
    cr_expect_eq(told[2].what, TOLD_ATTEMPT);
    cr_expect_eq(told[2].attempt, 1);
    cr_expect_str_eq(told[2].code, "worker_lost");
    cr_expect_str_eq(told[2].node, "w1");
    cr_expect_eq(told[2].from_us, told[1].to_us);
    cr_expect_geq(told[2].to_us - told[2].from_us, 10000000);
    bench_finish(&bench);
}

Test(told, of_an_unsampled_job_only_a_failure_is_and_of_others_nothing)
{
    static const struct {
        const char *traceparent;
        int count;
    } rows[] = { { UNSAMPLED, 1 }, { NULL, 0 }, { "00-short", 1 } };
    for (size_t i = 0; i < OM_COUNT(rows); i++) {
        struct bench bench;
        count = 0;
        begin(&bench, rows[i].traceparent);
        cr_expect_eq(count, 0);
        bench_pass(&bench, 10000);
        bench_settle(&bench);
        cr_expect_eq(count, rows[i].count, "row %zu: %d", i, count);
        bench_finish(&bench);
    }
}

Test(told, an_attempt_whose_worker_and_broker_died_is_since_it_was_given_out)
{
    struct bench bench = { .now = { 1000, INT64_C(1800000000000) } };
    struct core_conf conf = bench_conf();
    struct om_uuid id = bench_task(&bench, 1);
    struct om_buf header = { 0 };
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, id, OM_LIT("m"));
    WIRE_SET(&msg, task, bench_task_text(&id));
    WIRE_SET(&msg, queue, OM_LIT("omni.inference"));
    WIRE_SET(&msg, kind, OM_LIT("k"));
    WIRE_SET(&msg, traceparent, om_str(UNSAMPLED));
    wire_encode(WIRE_SUBMIT, &msg, &header);
    struct stored_task stored = { .seq = 1,
                                  .id = id,
                                  .queue = OM_LIT("omni.inference"),
                                  .kind = OM_LIT("k"),
                                  .header = om_buf_str(&header),
                                  .attempts = 1,
                                  .leased = true,
                                  .token = { id, 1, 1, 1 },
                                  .node = OM_LIT("w1"),
                                  .started_ms = bench.now.wall_ms - 5000 };
    cr_assert_eq(om_typeid_decode(OM_ID_TENANT, BENCH_TENANT, &stored.tenant), OM_OK);
    conf.tell = note;
    count = 0;
    bench.core = core_create(&conf);
    cr_assert_eq(core_load_task(bench.core, &stored), OM_OK);
    core_serve(bench.core, bench.now);
    bench_pass(&bench, 60000); // nobody comes with its lease
    bench_settle(&bench);
    cr_assert_eq(count, 1);
    cr_expect(told[0].what == TOLD_ATTEMPT && told[0].attempt == 1);
    cr_expect_eq(told[0].from_us, stored.started_ms * 1000);
    cr_expect_str_eq(told[0].code, "worker_lost");
    cr_expect_str_eq(told[0].node, "w1");
    om_buf_finish(&header);
    bench_finish(&bench);
}

static void
take_calls(struct bench *bench, int64_t credit, int64_t ahead)
{
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, queue, OM_LIT("omni.inference"));
    WIRE_SET(&msg, limit, credit);
    WIRE_SET(&msg, ahead, ahead);
    bench_send(bench, BENCH_WORKER, &bench_local, WIRE_CREDIT, &msg, NULL);
    bench_expect(bench, BENCH_WORKER, WIRE_CREDIT_OK);
}

static int64_t
call(struct bench *bench, const char *traceparent)
{
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, id, OM_LIT("c1"));
    WIRE_SET(&msg, tenant, BENCH_TENANT);
    WIRE_SET(&msg, queue, OM_LIT("omni.inference"));
    WIRE_SET(&msg, kind, OM_LIT("k"));
    WIRE_SET(&msg, traceparent, om_str(traceparent));
    bench_send(bench, BENCH_CLIENT, &bench_local, WIRE_CALL, &msg, "q");
    return bench_expect(bench, BENCH_WORKER, WIRE_CALL)->call;
}

static void
say_of(struct bench *bench, enum wire_type type, int64_t number)
{
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, call, number);
    bench_send(bench, BENCH_WORKER, &bench_local, type, &msg, NULL);
}

static void
open_calls(struct bench *bench)
{
    struct core_conf conf = bench_conf();
    conf.tell = note;
    count = 0;
    bench_init_conf(bench, &conf);
    bench_hello(bench, BENCH_CLIENT, "ingest", "i1");
    bench_hello(bench, BENCH_WORKER, "inference", "w1");
}

Test(told, the_wait_of_a_call_ends_with_the_worker_that_answers_it)
{
    struct bench bench;
    open_calls(&bench);
    take_calls(&bench, 0, 1);
    int64_t number = call(&bench, SAMPLED);
    bench_pass(&bench, 3);
    say_of(&bench, WIRE_RELEASE, number); // it takes too long to be answered at once
    bench_pass(&bench, 4);
    cr_expect_eq(count, 0, "it waits on");
    take_calls(&bench, 1, 1);
    bench_expect(&bench, BENCH_WORKER, WIRE_CALL);
    say_of(&bench, WIRE_REPLY, number);
    cr_assert_eq(count, 1, "%d waits of one call", count);
    cr_expect(told[0].what == TOLD_WAIT && told[0].to_us - told[0].from_us == 7000);
    bench_finish(&bench);
}

Test(told, the_wait_of_a_call_that_is_answered_ahead_is_until_it_was_sent)
{
    static const struct {
        const char *traceparent;
        int count;
    } rows[] = { { SAMPLED, 1 }, { UNSAMPLED, 0 } };
    for (size_t i = 0; i < OM_COUNT(rows); i++) {
        struct bench bench;
        open_calls(&bench);
        take_calls(&bench, 0, 1);
        int64_t number = call(&bench, rows[i].traceparent);
        bench_pass(&bench, 3);
        say_of(&bench, WIRE_REPLY, number);
        cr_assert_eq(count, rows[i].count);
        cr_expect_eq(told[0].to_us - told[0].from_us, 0);
        bench_finish(&bench);
    }
}
