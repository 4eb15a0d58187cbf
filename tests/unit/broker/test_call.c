#include <criterion/criterion.h>

#include "bench.h"

static void
open_bench(struct bench *bench, int64_t credit)
{
    bench_init(bench);
    bench_hello(bench, BENCH_CLIENT, "ingest", "i1");
    bench_hello(bench, BENCH_WORKER, "inference", "w1");
    bench_credit(bench, BENCH_WORKER, "omni.inference", credit);
}

static void
call(struct bench *bench, const char *id, int64_t ttl_ms)
{
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, id, om_str(id));
    WIRE_SET(&msg, queue, OM_LIT("omni.inference"));
    WIRE_SET(&msg, kind, OM_LIT("predict"));
    WIRE_SET(&msg, tenant, BENCH_TENANT);
    if (ttl_ms)
        WIRE_SET(&msg, ttl_ms, ttl_ms);
    bench_send(bench, BENCH_CLIENT, &bench_local, WIRE_CALL, &msg, "q");
}

static void
expect_error(struct bench *bench, const char *code)
{
    struct om_str got = bench_find(bench, BENCH_CLIENT, WIRE_ERROR)->code;
    cr_expect(om_str_eq(got, om_str(code)), "%.*s instead of %s", (int)got.size, got.data,
              code);
}

// The worker's words, so that it stays alive.
static void
ping(struct bench *bench)
{
    bench_send(bench, BENCH_WORKER, &bench_local, WIRE_PING, &(struct wire_msg){ 0 },
               NULL);
}

Test(call, times_out_and_tells_the_worker)
{
    struct bench bench;
    open_bench(&bench, 1);
    call(&bench, "c1", 5000);
    cr_expect_eq(bench_expect(&bench, BENCH_WORKER, WIRE_CALL)->ttl_ms, 5000);
    int64_t number = bench.msg.call;
    bench_pass(&bench, 3000);
    ping(&bench);
    bench_drop(&bench);
    bench_pass(&bench, 2000);
    cr_expect_eq(bench_expect(&bench, BENCH_WORKER, WIRE_CALL_CANCEL)->call, number);
    expect_error(&bench, "timeout");
    // The answer comes too late for anyone.
    struct wire_msg reply = { 0 };
    WIRE_SET(&reply, call, number);
    bench_send(&bench, BENCH_WORKER, &bench_local, WIRE_REPLY, &reply, "a");
    bench_expect_nothing(&bench);
    bench_finish(&bench);
}

Test(call, waits_for_credit_and_has_less_time_then)
{
    struct bench bench;
    open_bench(&bench, 0);
    call(&bench, "c1", 5000);
    bench_expect_nothing(&bench);
    bench_pass(&bench, 2500);
    bench_expect_nothing(&bench); // a worker is there, only busy
    bench_credit(&bench, BENCH_WORKER, "omni.inference", 1);
    cr_expect_eq(bench_expect(&bench, BENCH_WORKER, WIRE_CALL)->ttl_ms, 2500);
    bench_finish(&bench);
}

Test(call, is_unavailable_after_2_s_without_any_worker)
{
    struct bench bench;
    bench_init(&bench);
    bench_hello(&bench, BENCH_CLIENT, "ingest", "i1");
    call(&bench, "c1", 0);
    bench_pass(&bench, 1999);
    bench_expect_nothing(&bench);
    bench_pass(&bench, 1);
    expect_error(&bench, "unavailable");
    bench_finish(&bench);
}

Test(call, is_unavailable_when_its_worker_is_gone)
{
    static const enum { BYE, SILENCE, SUSPICION } ways[] = { BYE, SILENCE, SUSPICION };
    for (size_t i = 0; i < OM_COUNT(ways); i++) {
        struct bench bench;
        open_bench(&bench, 1);
        call(&bench, "c1", 50000);
        bench_expect(&bench, BENCH_WORKER, WIRE_CALL);
        if (ways[i] == BYE)
            bench_send(&bench, BENCH_WORKER, &bench_local, WIRE_BYE,
                       &(struct wire_msg){ 0 }, NULL);
        else if (ways[i] == SUSPICION)
            core_suspect(bench.core, bench.now, BENCH_WORKER);
        bench_pass(&bench, ways[i] == SILENCE ? 6000 : 2000);
        expect_error(&bench, "unavailable");
        bench_finish(&bench);
    }
}

Test(call, to_a_queue_nobody_has_is_refused)
{
    struct bench bench;
    bench_init(&bench);
    bench_hello(&bench, BENCH_CLIENT, "ingest", "i1");
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, id, OM_LIT("c1"));
    WIRE_SET(&msg, queue, OM_LIT("omni.nothing"));
    WIRE_SET(&msg, kind, OM_LIT("k"));
    bench_send(&bench, BENCH_CLIENT, &bench_local, WIRE_CALL, &msg, NULL);
    expect_error(&bench, "invalid_request");
    bench_finish(&bench);
}

Test(call, cancelled_by_its_caller_stops_at_the_worker)
{
    struct bench bench;
    open_bench(&bench, 1);
    call(&bench, "c1", 0);
    bench_expect(&bench, BENCH_WORKER, WIRE_CALL);
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, id, OM_LIT("c1"));
    bench_send(&bench, BENCH_CLIENT, &bench_local, WIRE_CALL_CANCEL, &msg, NULL);
    bench_expect(&bench, BENCH_WORKER, WIRE_CALL_CANCEL);
    bench_finish(&bench);
}

Test(call, passes_the_workers_error_on)
{
    struct bench bench;
    open_bench(&bench, 1);
    call(&bench, "c1", 0);
    struct wire_msg error = { 0 };
    WIRE_SET(&error, call, bench_expect(&bench, BENCH_WORKER, WIRE_CALL)->call);
    WIRE_SET(&error, code, OM_LIT("not_found"));
    WIRE_SET(&error, param, OM_LIT("model_id"));
    bench_send(&bench, BENCH_WORKER, &bench_local, WIRE_ERROR, &error, NULL);
    expect_error(&bench, "not_found");
    cr_expect(om_str_eq(bench.msg.param, OM_LIT("model_id")));
    cr_expect(om_str_eq(bench.msg.id, OM_LIT("c1")));
    bench_finish(&bench);
}

Test(call, is_answered_by_nobody_but_its_worker)
{
    struct bench bench;
    open_bench(&bench, 1);
    bench_hello(&bench, BENCH_OTHER, "inference", "w2");
    call(&bench, "c1", 0);
    struct wire_msg reply = { 0 };
    WIRE_SET(&reply, call, bench_expect(&bench, BENCH_WORKER, WIRE_CALL)->call);
    bench_send(&bench, BENCH_OTHER, &bench_local, WIRE_REPLY, &reply, "forged");
    bench_expect_nothing(&bench);
    bench_finish(&bench);
}

// Answer the call with usage; the id of the usage event is returned.
static struct om_str
usage_id(struct bench *bench, const char *id)
{
    static char text[160];
    struct om_buf list = { 0 };
    struct wire_usage usage = { 0 };
    call(bench, id, 0);
    int64_t number = bench_expect(bench, BENCH_WORKER, WIRE_CALL)->call;
    REC_SET(&usage, wire_usage, meter, OM_LIT("ml_inference"));
    REC_SET(&usage, wire_usage, quantity, 1);
    om_pack_array(&list, 1);
    rec_encode(&wire_usage_rec, &usage, &list);
    struct wire_msg reply = { 0 };
    WIRE_SET(&reply, call, number);
    WIRE_SET(&reply, usage, om_buf_str(&list));
    bench_send(bench, BENCH_WORKER, &bench_local, WIRE_REPLY, &reply, "a");
    bench_expect(bench, BENCH_CLIENT, WIRE_REPLY); // at once; the usage follows
    cr_expect_not(WIRE_HAS(&bench->msg, usage));
    om_buf_finish(&list);

    struct batch *batch = core_take_batch(bench->core);
    cr_assert(batch);
    cr_assert_eq(batch->changes[0].kind, CHANGE_EVENT);
    cr_assert(om_str_eq(batch->changes[0].event.topic, OM_LIT("usage")));
    struct om_str found = batch->changes[0].event.id;
    memcpy(text, found.data, found.size);
    core_committed(bench->core, bench->now, &batch, OM_OK);
    return (struct om_str){ text, found.size };
}

Test(call, meters_usage_under_an_id_that_never_comes_again)
{
    struct bench bench;
    open_bench(&bench, 9);
    cr_expect(om_str_eq(usage_id(&bench, "req_01h455vb4pex5vsknk084sn02q"),
                        OM_LIT("req_01h455vb4pex5vsknk084sn02q/ml_inference")));
    cr_expect(om_str_eq(usage_id(&bench, "7"), OM_LIT("call/1/2/ml_inference")));
    cr_expect(om_str_eq(usage_id(&bench, "7"), OM_LIT("call/1/3/ml_inference")));
    bench_finish(&bench);
}

Test(call, of_one_tenant_does_not_take_all_the_room)
{
    struct bench bench;
    struct core_conf conf = bench_conf();
    conf.max_calls = 8;
    bench_init_conf(&bench, &conf);
    bench_hello(&bench, BENCH_CLIENT, "ingest", "i1");
    call(&bench, "c1", 0);
    call(&bench, "c2", 0);
    bench_expect_nothing(&bench);
    call(&bench, "c3", 0);
    expect_error(&bench, "unavailable");
    bench_finish(&bench);
}

// ---- calls ahead of credit

static void
open_ahead(struct bench *bench, core_conn conn, const char *node, int64_t limit,
           int64_t ahead)
{
    struct wire_msg msg = { 0 };
    if (node)
        bench_hello(bench, conn, "inference", node);
    WIRE_SET(&msg, queue, OM_LIT("omni.inference"));
    WIRE_SET(&msg, limit, limit);
    WIRE_SET(&msg, ahead, ahead);
    bench_send(bench, conn, &bench_local, WIRE_CREDIT, &msg, NULL);
    bench_expect(bench, conn, WIRE_CREDIT_OK);
}

static void
say_of(struct bench *bench, core_conn conn, enum wire_type type, int64_t number)
{
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, call, number);
    bench_send(bench, conn, &bench_local, type, &msg, NULL);
}

static int64_t
expect_ahead(struct bench *bench, core_conn conn, bool ahead)
{
    const struct wire_msg *msg = bench_expect(bench, conn, WIRE_CALL);
    cr_expect_eq(WIRE_HAS(msg, ahead), ahead);
    cr_expect(om_str_eq(payload_bytes(bench->sent.payload), OM_LIT("q")));
    return msg->call;
}

Test(call, goes_ahead_of_credit_to_a_worker_that_takes_it)
{
    struct bench bench;
    bench_init(&bench);
    bench_hello(&bench, BENCH_CLIENT, "ingest", "i1");
    open_ahead(&bench, BENCH_WORKER, "w1", 0, 2);
    call(&bench, "c1", 0);
    call(&bench, "c2", 0);
    call(&bench, "c3", 0);
    int64_t first = expect_ahead(&bench, BENCH_WORKER, true);
    expect_ahead(&bench, BENCH_WORKER, true);
    bench_expect_nothing(&bench);
    say_of(&bench, BENCH_WORKER, WIRE_REPLY, first);
    bench_expect(&bench, BENCH_CLIENT, WIRE_REPLY);
    expect_ahead(&bench, BENCH_WORKER, true);
    bench_finish(&bench);
}

Test(call, that_is_given_back_waits_for_credit_of_any_worker)
{
    struct bench bench;
    bench_init(&bench);
    bench_hello(&bench, BENCH_CLIENT, "ingest", "i1");
    open_ahead(&bench, BENCH_WORKER, "w1", 0, 2);
    call(&bench, "c1", 0);
    int64_t number = expect_ahead(&bench, BENCH_WORKER, true);
    say_of(&bench, BENCH_WORKER, WIRE_RELEASE, number);
    bench_expect_nothing(&bench);
    call(&bench, "c2", 0); // is not kept waiting by the long one
    expect_ahead(&bench, BENCH_WORKER, true);
    open_ahead(&bench, BENCH_OTHER, "w2", 1, 0);
    cr_expect_eq(expect_ahead(&bench, BENCH_OTHER, false), number);
    // It is the other's now.
    say_of(&bench, BENCH_WORKER, WIRE_RELEASE, number);
    say_of(&bench, BENCH_OTHER, WIRE_RELEASE, number);
    bench_expect_nothing(&bench);
    say_of(&bench, BENCH_OTHER, WIRE_REPLY, number);
    bench_expect(&bench, BENCH_CLIENT, WIRE_REPLY);
    bench_finish(&bench);
}

Test(call, ahead_goes_to_the_worker_that_has_the_fewest)
{
    struct bench bench;
    bench_init(&bench);
    bench_hello(&bench, BENCH_CLIENT, "ingest", "i1");
    open_ahead(&bench, BENCH_WORKER, "w1", 0, 8);
    open_ahead(&bench, BENCH_OTHER, "w2", 0, 8);
    call(&bench, "c1", 0);
    call(&bench, "c2", 0);
    int64_t first = expect_ahead(&bench, BENCH_WORKER, true);
    expect_ahead(&bench, BENCH_OTHER, true);
    say_of(&bench, BENCH_WORKER, WIRE_REPLY, first);
    bench_expect(&bench, BENCH_CLIENT, WIRE_REPLY);
    call(&bench, "c3", 0);
    expect_ahead(&bench, BENCH_WORKER, true);
    bench_finish(&bench);
}

Test(call, ahead_is_not_sent_to_a_worker_that_takes_none_any_more)
{
    struct bench bench;
    bench_init(&bench);
    bench_hello(&bench, BENCH_CLIENT, "ingest", "i1");
    open_ahead(&bench, BENCH_WORKER, "w1", 0, 8);
    open_ahead(&bench, BENCH_WORKER, NULL, 0, 0);
    call(&bench, "c1", 0);
    bench_expect_nothing(&bench);
    open_ahead(&bench, BENCH_WORKER, NULL, 0, 8);
    expect_ahead(&bench, BENCH_WORKER, true);
    bench_finish(&bench);
}

Test(call, ahead_ends_with_its_worker_and_makes_room_when_cancelled)
{
    struct bench bench;
    bench_init(&bench);
    bench_hello(&bench, BENCH_CLIENT, "ingest", "i1");
    open_ahead(&bench, BENCH_WORKER, "w1", 0, 1);
    call(&bench, "c1", 0);
    call(&bench, "c2", 0);
    int64_t number = expect_ahead(&bench, BENCH_WORKER, true);
    struct wire_msg cancel = { 0 };
    WIRE_SET(&cancel, id, OM_LIT("c1"));
    bench_send(&bench, BENCH_CLIENT, &bench_local, WIRE_CALL_CANCEL, &cancel, NULL);
    cr_expect_eq(bench_expect(&bench, BENCH_WORKER, WIRE_CALL_CANCEL)->call, number);
    expect_ahead(&bench, BENCH_WORKER, true);
    bench_send(&bench, BENCH_WORKER, &bench_local, WIRE_BYE, &(struct wire_msg){ 0 },
               NULL);
    expect_error(&bench, "unavailable");
    bench_finish(&bench);
}
