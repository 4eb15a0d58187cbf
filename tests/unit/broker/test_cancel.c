#include <criterion/criterion.h>

#include "bench.h"

static struct om_uuid
running(struct bench *bench, char token[WIRE_TOKEN_BYTES])
{
    bench_init(bench);
    bench_hello(bench, BENCH_CLIENT, "ingest", "i1");
    bench_hello(bench, BENCH_WORKER, "inference", "w1");
    bench_credit(bench, BENCH_WORKER, "omni.inference", 1);
    struct om_uuid id = bench_submitted(bench, "omni.inference");
    bench_take_job(bench, BENCH_WORKER, token);
    bench_say(bench, BENCH_WORKER, WIRE_START, token);
    bench_settle(bench);
    return id;
}

Test(cancel, of_a_waiting_job_ends_it_durably)
{
    struct bench bench;
    bench_init(&bench);
    bench_hello(&bench, BENCH_CLIENT, "ingest", "i1");
    struct om_uuid id = bench_submitted(&bench, "own");
    bench_ask(&bench, WIRE_CANCEL, &id);
    bench_expect_nothing(&bench);
    cr_assert(bench_commit(&bench, OM_OK));
    bench_expect(&bench, BENCH_CLIENT, WIRE_CANCEL_ACK);
    cr_expect_eq(core_stats(bench.core).cancelled, 1);
    bench_finish(&bench);
}

Test(cancel, of_a_running_job_tells_its_worker_once_the_intent_is_durable)
{
    struct bench bench;
    char token[WIRE_TOKEN_BYTES];
    struct om_uuid id = running(&bench, token);
    bench_ask(&bench, WIRE_CANCEL, &id);
    bench_expect_nothing(&bench);
    cr_assert(bench_commit(&bench, OM_OK));
    bench_expect(&bench, BENCH_WORKER, WIRE_CANCEL_JOB);
    bench_expect(&bench, BENCH_CLIENT, WIRE_CANCEL_ACK);
    cr_expect_eq(bench_get_state(&bench, &id), STATE_CANCELLING);
    bench_say(&bench, BENCH_WORKER, WIRE_CANCELLED, token);
    cr_assert(bench_commit(&bench, OM_OK));
    bench_expect(&bench, BENCH_WORKER, WIRE_DONE_ACK);
    cr_expect_eq(core_stats(bench.core).cancelled, 1);
    bench_finish(&bench);
}

Test(cancel, is_said_again_in_each_answer_to_a_beat)
{
    struct bench bench;
    char token[WIRE_TOKEN_BYTES];
    struct om_uuid id = running(&bench, token);
    bench_ask(&bench, WIRE_CANCEL, &id);
    bench_settle(&bench);
    struct om_buf list = { 0 };
    bench_hold(&list, token);
    struct wire_msg beat = { 0 };
    WIRE_SET(&beat, held, om_buf_str(&list));
    bench_send(&bench, BENCH_WORKER, &bench_local, WIRE_BEAT, &beat, NULL);
    struct rec_iter cancel =
        rec_iter(bench_expect(&bench, BENCH_WORKER, WIRE_BEAT_ACK)->tokens);
    cr_expect_eq(cancel.left, 1);
    om_buf_finish(&list);
    bench_finish(&bench);
}

Test(cancel, loses_against_a_done_under_a_valid_token)
{
    struct bench bench;
    char token[WIRE_TOKEN_BYTES];
    struct om_uuid id = running(&bench, token);
    bench_ask(&bench, WIRE_CANCEL, &id);
    bench_settle(&bench);
    bench_say(&bench, BENCH_WORKER, WIRE_DONE, token);
    bench_settle(&bench);
    cr_expect_eq(core_stats(bench.core).completed, 1);
    cr_expect_eq(core_stats(bench.core).cancelled, 0);
    bench_finish(&bench);
}

Test(cancel, is_the_end_when_the_worker_fails_is_lost_or_gives_it_back)
{
    static const enum wire_type words[] = { WIRE_FAIL, WIRE_RELEASE, WIRE_BYE };
    for (size_t i = 0; i < OM_COUNT(words); i++) {
        struct bench bench;
        char token[WIRE_TOKEN_BYTES];
        struct om_uuid id = running(&bench, token);
        bench_ask(&bench, WIRE_CANCEL, &id);
        bench_settle(&bench);
        bench_say(&bench, BENCH_WORKER, words[i], token);
        bench_settle(&bench);
        bench_pass(&bench, 10 * 1000); // after BYE the lease times out
        bench_settle(&bench);
        cr_expect_eq(core_stats(bench.core).cancelled, 1, "case %zu", i);
        bench_finish(&bench);
    }
}

Test(cancel, of_an_ended_job_conflicts_and_of_anothers_finds_nothing)
{
    struct bench bench;
    bench_init(&bench);
    bench_hello(&bench, BENCH_CLIENT, "ingest", "i1");
    struct om_uuid id = bench_task(&bench, 1);
    struct stored_task stored = { .id = id, .state = STATE_SUCCEEDED };
    bench_ask(&bench, WIRE_CANCEL, &id);
    bench_answer_task(&bench, OM_OK, &stored);
    cr_expect(
        om_str_eq(bench_refusal(&bench, BENCH_CLIENT, WIRE_ERROR), OM_LIT("conflict")));
    bench_ask(&bench, WIRE_CANCEL, &id);
    bench_answer_task(&bench, OM_ENOTFOUND, NULL);
    cr_expect(
        om_str_eq(bench_refusal(&bench, BENCH_CLIENT, WIRE_ERROR), OM_LIT("not_found")));

    id = bench_submitted(&bench, "own");
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, id, OM_LIT("m"));
    WIRE_SET(&msg, task, bench_task_text(&id));
    WIRE_SET(&msg, tenant, BENCH_STRANGER);
    static const enum wire_type types[] = { WIRE_CANCEL, WIRE_GET, WIRE_RETRY,
                                            WIRE_WATCH };
    WIRE_SET(&msg, ttl_ms, 1000);
    for (size_t i = 0; i < OM_COUNT(types); i++) {
        bench_send(&bench, BENCH_CLIENT, &bench_local, types[i], &msg, NULL);
        bench_answer_task(&bench, OM_ENOTFOUND,
                          NULL); // the store asks for the tenant too
        cr_expect(om_str_eq(bench_refusal(&bench, BENCH_CLIENT, WIRE_ERROR),
                            OM_LIT("not_found")));
    }
    cr_expect_eq(core_stats(bench.core).ready, 1);
    bench_finish(&bench);
}

// ---- RETRY

// What the store has of a failed job; its strings live as long as `header`.
static struct stored_task
failed_task(struct bench *bench, struct om_buf *header)
{
    struct om_uuid id = bench_task(bench, 1), tenant;
    struct wire_msg msg = { 0 };
    cr_assert_eq(om_typeid_decode(OM_ID_TENANT, BENCH_TENANT, &tenant), OM_OK);
    WIRE_SET(&msg, id, OM_LIT("m"));
    WIRE_SET(&msg, task, bench_task_text(&id));
    WIRE_SET(&msg, queue, OM_LIT("omni.inference"));
    WIRE_SET(&msg, kind, OM_LIT("k"));
    wire_encode(WIRE_SUBMIT, &msg, header);
    return (struct stored_task){ .seq = 5,
                                 .id = id,
                                 .tenant = tenant,
                                 .queue = OM_LIT("omni.inference"),
                                 .kind = OM_LIT("k"),
                                 .header = om_buf_str(header),
                                 .attempts = 3,
                                 .token = { id, 3, 1, 3 },
                                 .state = STATE_FAILED };
}

Test(retry, makes_a_failed_job_ready_again)
{
    struct bench bench;
    struct om_buf header = { 0 };
    bench_init(&bench);
    bench_hello(&bench, BENCH_CLIENT, "ingest", "i1");
    bench_hello(&bench, BENCH_WORKER, "inference", "w1");
    bench_credit(&bench, BENCH_WORKER, "omni.inference", 1);
    struct stored_task stored = failed_task(&bench, &header);
    bench_ask(&bench, WIRE_RETRY, &stored.id);
    bench_answer_task(&bench, OM_OK, &stored);
    bench_ask(&bench, WIRE_RETRY, &stored.id); // impatient
    bench_expect_nothing(&bench);
    struct batch *batch = core_take_batch(bench.core);
    cr_assert(batch);
    cr_assert_eq(batch->changes[0].kind, CHANGE_REOPEN);
    cr_assert_eq(batch->changes[1].mark.kind, MARK_REOPEN);
    core_committed(bench.core, bench.now, &batch, OM_OK);
    bench_expect(&bench, BENCH_CLIENT, WIRE_SUBMITTED);
    bench_expect(&bench, BENCH_CLIENT, WIRE_SUBMITTED);

    struct read *read = core_next_read(bench.core); // its payload is in the store
    cr_assert_eq(read->kind, READ_PAYLOAD);
    read->payload = payload_copy(OM_LIT("payload"));
    core_read_done(bench.core, bench.now, &read);
    const struct wire_msg *job = bench_expect(&bench, BENCH_WORKER, WIRE_JOB);
    cr_expect_eq(job->attempt, 1);
    struct wire_token token;
    cr_assert_eq(wire_token_decode(job->token, &token), OM_OK);
    cr_expect_eq(token.attempt, 4,
                 "usage of this attempt would have the id of another's");
    om_buf_finish(&header);
    bench_finish(&bench);
}

Test(retry, of_a_job_that_has_not_failed_conflicts)
{
    struct bench bench;
    bench_init(&bench);
    bench_hello(&bench, BENCH_CLIENT, "ingest", "i1");
    struct om_uuid id = bench_submitted(&bench, "own");
    bench_ask(&bench, WIRE_RETRY, &id);
    cr_expect(
        om_str_eq(bench_refusal(&bench, BENCH_CLIENT, WIRE_ERROR), OM_LIT("conflict")));
    struct stored_task stored = { .id = id, .state = STATE_CANCELLED };
    id = bench_task(&bench, 1);
    bench_ask(&bench, WIRE_RETRY, &id);
    bench_answer_task(&bench, OM_OK, &stored);
    cr_expect(
        om_str_eq(bench_refusal(&bench, BENCH_CLIENT, WIRE_ERROR), OM_LIT("conflict")));
    bench_finish(&bench);
}
