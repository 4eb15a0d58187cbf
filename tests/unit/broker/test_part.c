// Answers that come in parts.
#include <criterion/criterion.h>

#include "bench.h"

enum { LIMIT = 4096 };

static void
say_call(struct bench *bench, int64_t limit)
{
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, id, OM_LIT("c1"));
    WIRE_SET(&msg, queue, OM_LIT("omni.inference"));
    WIRE_SET(&msg, kind, OM_LIT("predict"));
    WIRE_SET(&msg, tenant, BENCH_TENANT);
    WIRE_SET(&msg, limit, limit);
    bench_send(bench, BENCH_CLIENT, &bench_local, WIRE_CALL, &msg, "q");
}

// A call whose answer may come in parts, at the worker; returns its number.
static int64_t
open_stream(struct bench *bench, int64_t limit)
{
    bench_init(bench);
    bench_hello(bench, BENCH_CLIENT, "ingest", "i1");
    bench_hello(bench, BENCH_WORKER, "inference", "w1");
    bench_credit(bench, BENCH_WORKER, "omni.inference", 9);
    say_call(bench, limit);
    cr_expect_eq(bench_expect(bench, BENCH_WORKER, WIRE_CALL)->limit, limit);
    return bench->msg.call;
}

static void
say_part(struct bench *bench, int64_t call, int64_t seq, const char *payload)
{
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, call, call);
    WIRE_SET(&msg, seq, seq);
    bench_send(bench, BENCH_WORKER, &bench_local, WIRE_CHUNK, &msg, payload);
}

static void
say_reply(struct bench *bench, enum wire_type type, int64_t call, int64_t seq, int used)
{
    struct wire_msg msg = { 0 };
    struct om_buf list = { 0 };
    WIRE_SET(&msg, call, call);
    WIRE_SET(&msg, seq, seq);
    WIRE_SET(&msg, code, OM_LIT("cancelled"));
    struct wire_usage usage = { 0 };
    REC_SET(&usage, wire_usage, meter, OM_LIT("ml_inference"));
    REC_SET(&usage, wire_usage, quantity, used);
    om_pack_array(&list, 1);
    rec_encode(&wire_usage_rec, &usage, &list);
    if (used)
        WIRE_SET(&msg, usage, om_buf_str(&list));
    bench_send(bench, BENCH_WORKER, &bench_local, type, &msg, "end");
    om_buf_finish(&list);
}

static void
say_of_call(struct bench *bench, enum wire_type type, int64_t limit)
{
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, id, OM_LIT("c1"));
    WIRE_SET(&msg, limit, limit);
    bench_send(bench, BENCH_CLIENT, &bench_local, type, &msg, NULL);
}

static void
expect_part(struct bench *bench, int64_t seq, const char *payload)
{
    const struct wire_msg *msg = bench_expect(bench, BENCH_CLIENT, WIRE_CHUNK);
    cr_expect_eq(msg->seq, seq);
    cr_expect(om_str_eq(msg->id, OM_LIT("c1")));
    cr_expect(WIRE_HAS(msg, call));
    cr_expect(om_str_eq(payload_bytes(bench->sent.payload), om_str(payload)));
}

// The caller is told this error and the worker is stopped, once.
static void
expect_broken(struct bench *bench, const char *code)
{
    bench_expect(bench, BENCH_WORKER, WIRE_CALL_CANCEL);
    struct om_str got = bench_expect(bench, BENCH_CLIENT, WIRE_ERROR)->code;
    cr_expect(om_str_eq(got, om_str(code)), "%.*s instead of %s", (int)got.size, got.data,
              code);
    bench_expect_nothing(bench);
}

Test(part, comes_in_order_before_the_reply_which_counts_them)
{
    struct bench bench;
    int64_t call = open_stream(&bench, LIMIT);
    say_part(&bench, call, 1, "one");
    expect_part(&bench, 1, "one");
    say_part(&bench, call, 2, "two");
    expect_part(&bench, 2, "two");
    say_reply(&bench, WIRE_REPLY, call, 2, 0);
    cr_expect_eq(bench_expect(&bench, BENCH_CLIENT, WIRE_REPLY)->seq, 2);
    say_part(&bench, call, 3, "late");
    bench_expect_nothing(&bench);
    bench_finish(&bench);
}

Test(part, that_is_said_twice_is_passed_on_once)
{
    struct bench bench;
    int64_t call = open_stream(&bench, LIMIT);
    say_part(&bench, call, 1, "one");
    say_part(&bench, call, 1, "one");
    say_part(&bench, call + 1, 1, "of another call");
    expect_part(&bench, 1, "one");
    bench_expect_nothing(&bench);
    bench_finish(&bench);
}

Test(part, that_was_lost_breaks_the_answer)
{
    struct bench bench;
    int64_t call = open_stream(&bench, LIMIT);
    say_part(&bench, call, 1, "one");
    expect_part(&bench, 1, "one");
    say_part(&bench, call, 3, "three");
    expect_broken(&bench, "unavailable");
    say_part(&bench, call, 2, "two");
    say_reply(&bench, WIRE_REPLY, call, 3, 0);
    bench_expect_nothing(&bench);
    bench_finish(&bench);
}

Test(part, that_was_the_last_and_was_lost_is_missed_by_the_reply)
{
    struct bench bench;
    int64_t call = open_stream(&bench, LIMIT);
    say_part(&bench, call, 1, "one");
    expect_part(&bench, 1, "one");
    say_reply(&bench, WIRE_REPLY, call, 2, 1);
    cr_expect(om_str_eq(bench_expect(&bench, BENCH_CLIENT, WIRE_ERROR)->code,
                        OM_LIT("unavailable")));
    cr_expect(bench_commit(&bench, OM_OK), "what was used counts");
    bench_finish(&bench);
}

Test(part, beyond_the_limit_breaks_the_answer)
{
    struct bench bench;
    int64_t call = open_stream(&bench, 2 * (WIRE_CHUNK_COST + 3));
    say_part(&bench, call, 1, "one");
    expect_part(&bench, 1, "one");
    say_part(&bench, call, 2, "two");
    expect_part(&bench, 2, "two");
    say_part(&bench, call, 3, "");
    expect_broken(&bench, "too_large");
    bench_finish(&bench);
}

Test(part, is_taken_up_to_what_the_caller_adds)
{
    struct bench bench;
    int64_t call = open_stream(&bench, 0);
    say_of_call(&bench, WIRE_CALL_CREDIT, WIRE_CHUNK_COST + 3);
    const struct wire_msg *credit = bench_expect(&bench, BENCH_WORKER, WIRE_CALL_CREDIT);
    cr_expect_eq(credit->call, call);
    cr_expect_eq(credit->limit, WIRE_CHUNK_COST + 3);
    say_of_call(&bench, WIRE_CALL_CREDIT, 1); // an earlier one, late
    bench_expect_nothing(&bench);
    say_of_call(&bench, WIRE_CALL_CREDIT, WIRE_CHUNK_COST + 3); // again: it may be lost
    credit = bench_expect(&bench, BENCH_WORKER, WIRE_CALL_CREDIT);
    cr_expect_eq(credit->limit, WIRE_CHUNK_COST + 3);
    say_part(&bench, call, 1, "one");
    expect_part(&bench, 1, "one");
    bench_finish(&bench);
}

Test(part, larger_than_may_be_breaks_the_answer)
{
    struct bench bench;
    static char large[WIRE_CHUNK_MAX + 2];
    memset(large, 'a', sizeof(large) - 1);
    int64_t call = open_stream(&bench, 1 << 20);
    say_part(&bench, call, 1, large + 1);
    bench_expect(&bench, BENCH_CLIENT, WIRE_CHUNK);
    say_part(&bench, call, 2, large);
    expect_broken(&bench, "too_large");
    bench_finish(&bench);
}

Test(part, of_a_call_without_a_limit_is_passed_on_to_nobody)
{
    struct bench bench;
    open_stream(&bench, LIMIT);
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, id, OM_LIT("c2"));
    WIRE_SET(&msg, queue, OM_LIT("omni.inference"));
    WIRE_SET(&msg, kind, OM_LIT("predict"));
    bench_send(&bench, BENCH_CLIENT, &bench_local, WIRE_CALL, &msg, "q");
    int64_t call = bench_expect(&bench, BENCH_WORKER, WIRE_CALL)->call;
    say_part(&bench, call, 1, "one");
    bench_expect_nothing(&bench);
    say_reply(&bench, WIRE_REPLY, call, 1, 0);
    bench_expect(&bench, BENCH_CLIENT, WIRE_REPLY);
    bench_finish(&bench);
}

Test(part, of_a_call_that_is_said_again_comes_once)
{
    struct bench bench;
    open_stream(&bench, LIMIT);
    say_call(&bench, LIMIT);
    bench_expect_nothing(&bench);
    bench_finish(&bench);
}

// What was made is metered, whoever ended it.
Test(part, of_an_answer_that_nobody_waits_for_is_metered)
{
    static const enum { CANCEL, BYE, DEADLINE } ways[] = { CANCEL, BYE, DEADLINE };
    for (size_t i = 0; i < OM_COUNT(ways); i++) {
        struct bench bench;
        int64_t call = open_stream(&bench, LIMIT);
        if (ways[i] == CANCEL)
            say_of_call(&bench, WIRE_CALL_CANCEL, 0);
        else if (ways[i] == BYE)
            say_of_call(&bench, WIRE_BYE, 0);
        for (int s = 0; ways[i] == DEADLINE && s < 10; s++) {
            bench_send(&bench, BENCH_WORKER, &bench_local, WIRE_PING,
                       &(struct wire_msg){ 0 }, NULL);
            bench_pass(&bench, 1000);
        }
        bench_find(&bench, BENCH_WORKER, WIRE_CALL_CANCEL);
        bench_drop(&bench);
        say_part(&bench, call, 1, "one");
        bench_expect_nothing(&bench);
        say_reply(&bench, WIRE_ERROR, call, 1, 7);
        cr_expect(bench_commit(&bench, OM_OK));
        bench_expect_nothing(&bench);
        bench_finish(&bench);
    }
}

Test(part, is_not_waited_for_long_when_nobody_wants_it)
{
    struct bench bench;
    int64_t call = open_stream(&bench, LIMIT);
    say_of_call(&bench, WIRE_CALL_CANCEL, 0);
    bench_expect(&bench, BENCH_WORKER, WIRE_CALL_CANCEL);
    for (int i = 0; i < 10; i++) {
        bench_send(&bench, BENCH_WORKER, &bench_local, WIRE_PING, &(struct wire_msg){ 0 },
                   NULL);
        bench_pass(&bench, 1000);
    }
    bench_drop(&bench);
    say_reply(&bench, WIRE_ERROR, call, 0, 7);
    cr_expect_not(bench_commit(&bench, OM_OK));
    bench_finish(&bench);
}

Test(part, of_a_worker_that_is_gone_ends_in_an_error)
{
    struct bench bench;
    int64_t call = open_stream(&bench, LIMIT);
    say_part(&bench, call, 1, "one");
    expect_part(&bench, 1, "one");
    bench_send(&bench, BENCH_WORKER, &bench_local, WIRE_BYE, &(struct wire_msg){ 0 },
               NULL);
    cr_expect(om_str_eq(bench_find(&bench, BENCH_CLIENT, WIRE_ERROR)->code,
                        OM_LIT("unavailable")));
    bench_finish(&bench);
}

// A worker that outlives a broker may answer what the one before asked it.
Test(part, is_of_a_call_whose_number_no_earlier_broker_gave)
{
    struct bench first, second;
    struct core_conf conf = bench_conf();
    int64_t call = open_stream(&first, LIMIT);
    conf.epoch = 2;
    bench_init_conf(&second, &conf);
    bench_hello(&second, BENCH_CLIENT, "ingest", "i1");
    bench_hello(&second, BENCH_WORKER, "inference", "w1");
    bench_credit(&second, BENCH_WORKER, "omni.inference", 9);
    say_call(&second, LIMIT);
    cr_expect_gt(bench_expect(&second, BENCH_WORKER, WIRE_CALL)->call, call);
    say_part(&second, call, 1, "of the answer to another question");
    say_reply(&second, WIRE_REPLY, call, 1, 0);
    bench_expect_nothing(&second);
    bench_finish(&first);
    bench_finish(&second);
}
