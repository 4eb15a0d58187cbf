#include <criterion/criterion.h>
#include <stdio.h>

#include "bench.h"

// Publish `count` usage events of the tenant and make them durable.
static void
publish(struct bench *bench, int count)
{
    struct om_buf list = { 0 };
    om_pack_array(&list, (size_t)count);
    for (int i = 0; i < count; i++) {
        struct wire_event event = { 0 };
        REC_SET(&event, wire_event, topic, OM_LIT("usage"));
        REC_SET(&event, wire_event, id, OM_LIT("e"));
        REC_SET(&event, wire_event, at, 1);
        REC_SET(&event, wire_event, body, OM_LIT("b"));
        rec_encode(&wire_event_rec, &event, &list);
    }
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, id, OM_LIT("p1"));
    WIRE_SET(&msg, tenant, BENCH_TENANT);
    WIRE_SET(&msg, events, om_buf_str(&list));
    bench_send(bench, BENCH_CLIENT, &bench_local, WIRE_PUBLISH, &msg, NULL);
    om_buf_finish(&list);
    cr_assert(bench_commit(bench, OM_OK));
    bench_find(bench, BENCH_CLIENT, WIRE_PUBLISHED);
}

static void
open_bench(struct bench *bench, int64_t credit)
{
    bench_init(bench);
    bench_hello(bench, BENCH_CLIENT, "ingest", "i1");
    bench_hello(bench, BENCH_WORKER, "billing", "b1");
    bench_credit(bench, BENCH_WORKER, "omni.billing.events", credit);
}

// Answer the read of a run with `count` events up to `last`, each of this tenant.
static void
answer_run(struct bench *bench, size_t count, int64_t last)
{
    struct read *read = core_next_read(bench->core);
    cr_assert(read, "nothing is read");
    cr_assert_eq(read->kind, READ_EVENTS);
    cr_assert_eq(read->shard, 1);
    read->rc = OM_OK;
    read->count = read->limit < count ? read->limit : count;
    read->last_seq = last - (int64_t)(count - read->count);
    struct om_buf list = { 0 };
    om_pack_array(&list, read->count);
    for (size_t i = 0; i < read->count; i++) {
        struct wire_logged logged = { 0 };
        REC_SET(&logged, wire_logged, seq,
                read->last_seq - (int64_t)(read->count - 1 - i));
        REC_SET(&logged, wire_logged, topic, OM_LIT("usage"));
        REC_SET(&logged, wire_logged, id, OM_LIT("e"));
        REC_SET(&logged, wire_logged, tenant, BENCH_TENANT);
        REC_SET(&logged, wire_logged, at, 1);
        REC_SET(&logged, wire_logged, body, OM_LIT("the body"));
        rec_encode(&wire_logged_rec, &logged, &list);
    }
    read->payload = payload_copy(om_buf_str(&list));
    om_buf_finish(&list);
    core_read_done(bench->core, bench->now, &read);
}

Test(events, are_published_once_durable_and_sent_as_a_run)
{
    struct bench bench;
    char token[WIRE_TOKEN_BYTES];
    open_bench(&bench, 4);
    publish(&bench, 3);
    answer_run(&bench, 3, 3);
    bench_take_job(&bench, BENCH_WORKER, token);
    cr_expect_eq(bench.msg.shard, 1);
    cr_expect_eq(bench.msg.seq, 3);
    cr_expect_not(WIRE_HAS(&bench.msg, tenant));
    cr_expect_not(WIRE_HAS(&bench.msg, task));

    publish(&bench, 2); // one run a shard is under way: these wait
    cr_assert_null(core_next_read(bench.core));
    bench_say(&bench, BENCH_WORKER, WIRE_DONE, token);
    bench_expect_nothing(&bench);
    struct batch *batch = core_take_batch(bench.core);
    cr_assert(batch);
    cr_expect_eq(batch->changes[0].kind, CHANGE_CURSOR);
    cr_expect_eq(batch->changes[0].cursor.seq, 3);
    core_committed(bench.core, bench.now, &batch, OM_OK);
    bench_expect(&bench, BENCH_WORKER, WIRE_DONE_ACK);
    answer_run(&bench, 2, 5);
    cr_expect_eq(bench_expect(&bench, BENCH_WORKER, WIRE_JOB)->seq, 5);
    bench_finish(&bench);
}

Test(events, are_not_refused_when_the_disk_is_nearly_full)
{
    struct bench bench;
    open_bench(&bench, 0);
    core_set_disk_free(bench.core, 0.01);
    publish(&bench, 1);
    bench_finish(&bench);
}

Test(events, without_a_tenant_or_with_a_bad_one_among_them_are_refused)
{
    struct bench bench;
    open_bench(&bench, 0);
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, id, OM_LIT("p1"));
    WIRE_SET(&msg, tenant, BENCH_TENANT);
    WIRE_SET(&msg, events, OM_LIT("\x91\x81\xa2id\xa1x"));
    bench_send(&bench, BENCH_CLIENT, &bench_local, WIRE_PUBLISH, &msg, NULL);
    cr_expect(om_str_eq(bench_refusal(&bench, BENCH_CLIENT, WIRE_ERROR),
                        OM_LIT("invalid_request")));
    cr_assert_not(bench_commit(&bench, OM_OK));
    bench_finish(&bench);
}

// Fail the run at the worker and let the backoff pass.
static void
fail_run(struct bench *bench)
{
    char token[WIRE_TOKEN_BYTES];
    bench_take_job(bench, BENCH_WORKER, token);
    bench_say(bench, BENCH_WORKER, WIRE_FAIL, token);
    bench_expect(bench, BENCH_WORKER, WIRE_DONE_ACK);
    for (int i = 0; i < 60; i++) {
        bench_pass(bench, 5000);
        bench_send(bench, BENCH_WORKER, &bench_local, WIRE_PING, &(struct wire_msg){ 0 },
                   NULL);
    }
    bench_drop(bench);
}

Test(events, that_fail_are_halved_and_a_single_one_is_set_aside_after_three_times)
{
    struct bench bench;
    char token[WIRE_TOKEN_BYTES];
    open_bench(&bench, 99);
    publish(&bench, 4);
    answer_run(&bench, 4, 4);
    fail_run(&bench);
    answer_run(&bench, 4, 4);
    fail_run(&bench); // two of them
    for (int i = 0; i < 2; i++) {
        answer_run(&bench, 4, 4);
        fail_run(&bench); // the first alone
        cr_expect_eq(core_stats(bench.core).dead_events, 0);
    }
    answer_run(&bench, 4, 4);
    bench_take_job(&bench, BENCH_WORKER, token);
    cr_expect_eq(bench.msg.seq, 1);
    bench_say(&bench, BENCH_WORKER, WIRE_FAIL, token);
    bench_expect_nothing(&bench);

    struct batch *batch = core_take_batch(bench.core);
    cr_assert(batch);
    cr_expect_eq(batch->changes[0].cursor.seq, 1);
    cr_expect(om_str_eq(batch->changes[1].event.topic, OM_LIT("dead")));
    cr_expect(om_str_eq(batch->changes[1].event.id, OM_LIT("dead/usage/1/1")));
    cr_expect(om_str_eq(batch->changes[1].event.body, OM_LIT("the body")));
    core_committed(bench.core, bench.now, &batch, OM_OK);
    bench_expect(&bench, BENCH_WORKER, WIRE_DONE_ACK);
    cr_expect_eq(core_stats(bench.core).dead_events, 1);
    bench_finish(&bench);
}

Test(events, wait_a_little_for_others_so_that_a_run_has_many)
{
    struct bench bench;
    struct core_conf conf = core_conf_default();
    conf.max_tail_bytes = 0;
    bench_init_conf(&bench, &conf);
    bench_hello(&bench, BENCH_CLIENT, "ingest", "i1");
    bench_hello(&bench, BENCH_WORKER, "billing", "b1");
    bench_credit(&bench, BENCH_WORKER, "omni.billing.events", 4);
    publish(&bench, 2);
    cr_assert_null(core_next_read(bench.core));
    bench_pass(&bench, conf.gather_ms - 1);
    cr_assert_null(core_next_read(bench.core));
    publish(&bench, 1); // does not make the first wait longer
    bench_pass(&bench, 1);
    answer_run(&bench, 3, 3);
    bench_find(&bench, BENCH_WORKER, WIRE_JOB);
    bench_finish(&bench);
}

Test(events, do_not_wait_when_there_is_a_whole_run_of_them)
{
    struct bench bench;
    struct core_conf conf = core_conf_default();
    conf.max_tail_bytes = 0;
    bench_init_conf(&bench, &conf);
    bench_hello(&bench, BENCH_CLIENT, "ingest", "i1");
    bench_hello(&bench, BENCH_WORKER, "billing", "b1");
    bench_credit(&bench, BENCH_WORKER, "omni.billing.events", 4);
    for (int i = 0; i < WIRE_EVENT_RUN_MAX / 64; i++)
        publish(&bench, 64);
    struct read *read = core_next_read(bench.core);
    cr_assert(read);
    core_read_done(bench.core, bench.now, &read);
    bench_finish(&bench);
}

Test(events, of_other_topics_only_are_looked_for_once)
{
    struct bench bench;
    struct core_conf conf = bench_conf();
    bench = (struct bench){ .now = { 1000, 1000000 } };
    bench.core = core_create(&conf);
    core_load_shard(bench.core, 1, 20);
    core_load_cursor(bench.core, SUBSCRIPTION_BILLING_EVENTS, 1, 12);
    core_serve(bench.core, bench.now);
    bench_hello(&bench, BENCH_WORKER, "billing", "b1");
    bench_credit(&bench, BENCH_WORKER, "omni.billing.events", 4);
    struct read *read = core_next_read(bench.core);
    cr_assert(read);
    cr_expect_eq(read->seq, 12);
    core_read_done(bench.core, bench.now, &read); // nothing of that topic
    cr_assert_null(core_next_read(bench.core));
    bench_finish(&bench);
}

Test(events, of_a_submit_and_usage_of_its_result_are_in_the_same_commit)
{
    struct bench bench;
    char token[WIRE_TOKEN_BYTES];
    bench_init(&bench);
    bench_hello(&bench, BENCH_CLIENT, "ingest", "i1");
    bench_hello(&bench, BENCH_WORKER, "inference", "w1");
    bench_credit(&bench, BENCH_WORKER, "omni.inference", 1);
    struct om_uuid id = bench_submitted(&bench, "omni.inference");
    bench_take_job(&bench, BENCH_WORKER, token);
    cr_assert(bench_commit(&bench, OM_OK));

    struct om_buf list = { 0 };
    struct wire_usage usage = { 0 };
    REC_SET(&usage, wire_usage, meter, OM_LIT("compute_ms"));
    REC_SET(&usage, wire_usage, quantity, 7);
    om_pack_array(&list, 1);
    rec_encode(&wire_usage_rec, &usage, &list);
    struct wire_msg done = { 0 };
    WIRE_SET(&done, token, ((struct om_str){ token, sizeof(token) }));
    WIRE_SET(&done, usage, om_buf_str(&list));
    bench_send(&bench, BENCH_WORKER, &bench_local, WIRE_DONE, &done, "r");
    struct batch *batch = core_take_batch(bench.core);
    cr_assert(batch);
    cr_assert_eq(batch->count, 2);
    cr_expect_eq(batch->changes[0].kind, CHANGE_RESULT);
    char expected[128];
    snprintf(expected, sizeof(expected), "%s/1/compute_ms", bench_task_text(&id).data);
    cr_expect(om_str_eq(batch->changes[1].event.id, om_str(expected)));
    cr_expect_eq(batch->changes[1].event.seq, 1);
    struct om_str body = batch->changes[1].event.body;
    cr_expect(om_str_eq(body, (struct om_str){ list.data + 1, list.size - 1 }));
    core_committed(bench.core, bench.now, &batch, OM_OK);
    om_buf_finish(&list);
    bench_finish(&bench);
}

Test(events, of_one_meter_used_twice_in_an_attempt_have_ids_of_their_own)
{
    struct bench bench;
    char token[WIRE_TOKEN_BYTES];
    bench_init(&bench);
    bench_hello(&bench, BENCH_CLIENT, "ingest", "i1");
    bench_hello(&bench, BENCH_WORKER, "inference", "w1");
    bench_credit(&bench, BENCH_WORKER, "omni.inference", 1);
    struct om_uuid id = bench_submitted(&bench, "omni.inference");
    bench_take_job(&bench, BENCH_WORKER, token);
    cr_assert(bench_commit(&bench, OM_OK));

    static const char *const meters[] = { "tokens", "calls", "tokens", "tokens" };
    static const char *const ends[] = { "tokens", "calls", "tokens/2", "tokens/3" };
    struct om_buf list = { 0 };
    om_pack_array(&list, OM_COUNT(meters));
    for (size_t i = 0; i < OM_COUNT(meters); i++) {
        struct wire_usage usage = { 0 };
        REC_SET(&usage, wire_usage, meter, om_str(meters[i]));
        REC_SET(&usage, wire_usage, quantity, 1);
        rec_encode(&wire_usage_rec, &usage, &list);
    }
    struct wire_msg done = { 0 };
    WIRE_SET(&done, token, ((struct om_str){ token, sizeof(token) }));
    WIRE_SET(&done, usage, om_buf_str(&list));
    bench_send(&bench, BENCH_WORKER, &bench_local, WIRE_DONE, &done, "r");
    om_buf_finish(&list);
    struct batch *batch = core_take_batch(bench.core);
    cr_assert(batch);
    cr_assert_eq(batch->count, 1 + OM_COUNT(meters));
    for (size_t i = 0; i < OM_COUNT(meters); i++) {
        char expected[128];
        snprintf(expected, sizeof(expected), "%s/1/%s", bench_task_text(&id).data,
                 ends[i]);
        struct om_str found = batch->changes[1 + i].event.id;
        cr_expect(om_str_eq(found, om_str(expected)), "%.*s", (int)found.size,
                  found.data);
    }
    core_committed(bench.core, bench.now, &batch, OM_OK);
    bench_finish(&bench);
}

Test(events, that_are_not_applied_are_counted_as_lag)
{
    struct bench bench;
    open_bench(&bench, 0);
    cr_expect_eq(core_lag(bench.core, SUBSCRIPTION_BILLING_EVENTS).events, 0);
    publish(&bench, 3);
    for (int i = 0; i < 4; i++) {
        bench_pass(&bench, 1000);
        bench_drop(&bench);
    }
    struct core_lag lag = core_lag(bench.core, SUBSCRIPTION_BILLING_EVENTS);
    cr_expect_eq(lag.events, 3);
    cr_expect_eq(lag.stuck_ms, 4000);
    cr_expect_eq(core_lag(bench.core, SUBSCRIPTION_COMPLIANCE_EVENTS).events, 0);

    char token[WIRE_TOKEN_BYTES];
    bench_credit(&bench, BENCH_WORKER, "omni.billing.events", 1);
    answer_run(&bench, 3, 3);
    bench_take_job(&bench, BENCH_WORKER, token);
    bench_say(&bench, BENCH_WORKER, WIRE_DONE, token);
    cr_assert(bench_commit(&bench, OM_OK));
    lag = core_lag(bench.core, SUBSCRIPTION_BILLING_EVENTS);
    cr_expect_eq(lag.events, 0);
    cr_expect_eq(lag.stuck_ms, 0);
    bench_finish(&bench);
}

// ---- events in memory

static void
open_tailed(struct bench *bench, size_t max_tail_bytes)
{
    struct core_conf conf = bench_conf();
    conf.max_tail_bytes = max_tail_bytes;
    bench_init_conf(bench, &conf);
    bench_hello(bench, BENCH_CLIENT, "ingest", "i1");
    bench_hello(bench, BENCH_WORKER, "billing", "b1");
}

// The run the subscriber was sent has these events, and nothing was read for it.
static void
expect_run(struct bench *bench, int64_t first, int64_t last, char token[WIRE_TOKEN_BYTES])
{
    cr_expect_null(core_next_read(bench->core), "a run was read that is in memory");
    bench_take_job(bench, BENCH_WORKER, token);
    cr_expect_eq(bench->msg.seq, last);
    struct rec_iter iter = rec_iter(payload_bytes(bench->sent.payload));
    cr_assert_eq(iter.left, (size_t)(last - first + 1));
    struct wire_logged logged;
    struct om_str bytes;
    for (int64_t seq = first; rec_next_rec(&iter, &wire_logged_rec, &logged, &bytes);
         seq++) {
        cr_expect_eq(logged.seq, seq);
        cr_expect(om_str_eq(logged.topic, OM_LIT("usage")));
        cr_expect(om_str_eq(logged.id, OM_LIT("e")));
        cr_expect(om_str_eq(logged.tenant, BENCH_TENANT));
        cr_expect(om_str_eq(logged.body, OM_LIT("b")));
        cr_expect_eq(logged.at, 1);
    }
    cr_expect_eq(iter.left, 0);
}

static void
apply_run(struct bench *bench, const char token[WIRE_TOKEN_BYTES])
{
    bench_say(bench, BENCH_WORKER, WIRE_DONE, token);
    cr_assert(bench_commit(bench, OM_OK));
    bench_find(bench, BENCH_WORKER, WIRE_DONE_ACK);
}

Test(events, that_are_still_in_memory_are_not_read)
{
    struct bench bench;
    char token[WIRE_TOKEN_BYTES];
    open_tailed(&bench, 4096);
    publish(&bench, 2); // before anybody asks for them
    bench_credit(&bench, BENCH_WORKER, "omni.billing.events", 9);
    expect_run(&bench, 1, 2, token);
    publish(&bench, 3);
    publish(&bench, 1);
    apply_run(&bench, token);
    expect_run(&bench, 3, 6, token);
    apply_run(&bench, token);
    publish(&bench, 1);
    expect_run(&bench, 7, 7, token);
    bench_finish(&bench);
}

Test(events, in_memory_that_fail_are_sent_again_by_halves)
{
    struct bench bench;
    char token[WIRE_TOKEN_BYTES];
    open_tailed(&bench, 4096);
    bench_credit(&bench, BENCH_WORKER, "omni.billing.events", 9);
    publish(&bench, 1);
    expect_run(&bench, 1, 1, token);
    publish(&bench, 4);
    apply_run(&bench, token);
    expect_run(&bench, 2, 5, token);
    bench_say(&bench, BENCH_WORKER, WIRE_FAIL, token);
    bench_expect(&bench, BENCH_WORKER, WIRE_DONE_ACK);
    bench_pass(&bench, 2000);
    expect_run(&bench, 2, 3, token);
    apply_run(&bench, token);
    expect_run(&bench, 4, 5, token);
    bench_finish(&bench);
}

Test(events, that_find_no_room_in_memory_are_read_and_later_ones_are_not)
{
    struct bench bench;
    char token[WIRE_TOKEN_BYTES];
    open_tailed(&bench, 300);
    publish(&bench, 5); // three have room
    bench_credit(&bench, BENCH_WORKER, "omni.billing.events", 9);
    bench_take_job(&bench, BENCH_WORKER, token);
    int64_t kept = bench.msg.seq;
    cr_assert(kept >= 1 && kept < 5, "%lld events were kept", (long long)kept);
    publish(&bench, 1);
    apply_run(&bench, token);
    answer_run(&bench, (size_t)(6 - kept), 6); // also what came when there was room
    bench_take_job(&bench, BENCH_WORKER, token);
    cr_expect_eq(bench.msg.seq, 6);
    publish(&bench, 1);
    apply_run(&bench, token);
    expect_run(&bench, 7, 7, token);
    bench_finish(&bench);
}

Test(events, behind_a_late_subscriber_are_read_until_those_in_memory_come)
{
    struct bench bench;
    char token[WIRE_TOKEN_BYTES];
    struct core_conf conf = bench_conf();
    conf.max_tail_bytes = 4096;
    bench = (struct bench){ .now = { 1000, 1000000 } };
    bench.core = core_create(&conf);
    core_load_shard(bench.core, 1, 20);
    core_load_cursor(bench.core, SUBSCRIPTION_BILLING_EVENTS, 1, 12);
    core_serve(bench.core, bench.now);
    bench_hello(&bench, BENCH_CLIENT, "ingest", "i1");
    publish(&bench, 1);
    bench_hello(&bench, BENCH_WORKER, "billing", "b1");
    bench_credit(&bench, BENCH_WORKER, "omni.billing.events", 9);
    answer_run(&bench, 4, 16);
    bench_take_job(&bench, BENCH_WORKER, token);
    publish(&bench, 2);
    apply_run(&bench, token);
    answer_run(&bench, 5, 21);
    bench_take_job(&bench, BENCH_WORKER, token);
    apply_run(&bench, token);
    expect_run(&bench, 22, 23, token);
    bench_finish(&bench);
}
