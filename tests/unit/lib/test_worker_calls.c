// Calls of a worker, and answers in parts.
#include "worker_fixture.h"

Test(worker, answers_a_call_once)
{
    struct fixture f = { 0 };
    open_worker(&f, 1);
    struct wire_msg call = { 0 };
    WIRE_SET(&call, queue, om_str("echo"));
    WIRE_SET(&call, kind, om_str("echo"));
    WIRE_SET(&call, id, om_str("req_1"));
    WIRE_SET(&call, call, 42);
    WIRE_SET(&call, ttl_ms, 5000);
    broker_send(&f.broker, WIRE_CALL, &call, "question");
    broker_expect(&f.broker, WIRE_REPLY);
    cr_expect_eq(f.broker.msg.call, 42);
    cr_expect(om_str_eq(f.broker.msg.id, OM_LIT("req_1")));
    cr_expect(om_str_eq(f.broker.body, OM_LIT("question")));
    close_worker(&f);
}

static void
broker_send_call(struct fake_broker *self, const char *kind, int64_t number, bool ahead)
{
    struct wire_msg call = { 0 };
    WIRE_SET(&call, queue, OM_LIT("echo"));
    WIRE_SET(&call, kind, om_str(kind));
    WIRE_SET(&call, call, number);
    WIRE_SET(&call, ttl_ms, 60000);
    if (ahead)
        WIRE_SET(&call, ahead, 1);
    broker_send(self, WIRE_CALL, &call, "question");
}

Test(worker, answers_quick_calls_while_its_slots_are_busy)
{
    struct fixture f = { .quick = true };
    sem_init(&turns, 0, 0);
    open_worker(&f, 1);
    cr_expect_eq(f.broker.msg.limit, 1);
    cr_expect_eq(f.broker.msg.ahead, 5);
    broker_send_job(&f.broker, "turn", NULL);
    broker_expect(&f.broker, WIRE_START);
    for (int64_t number = 1; number < 8; number++) {
        broker_send_call(&f.broker, "echo", number, true);
        broker_expect(&f.broker, WIRE_REPLY);
        cr_expect_eq(f.broker.msg.call, number);
        cr_expect(om_str_eq(f.broker.body, OM_LIT("question")));
        cr_expect(WIRE_HAS(&f.broker.msg, usage));
    }
    sem_post(&turns);
    broker_expect(&f.broker, WIRE_DONE);
    broker_send_token(&f.broker, WIRE_DONE_ACK);
    close_worker(&f);
    sem_destroy(&turns);
}

Test(worker, gives_back_a_call_that_takes_its_time_and_takes_it_with_credit)
{
    struct fixture f = { .quick = true };
    sem_init(&turns, 0, 0);
    sem_post(&turns);
    open_worker(&f, 1);
    broker_send_call(&f.broker, "turn", 7, true);
    broker_expect(&f.broker, WIRE_RELEASE);
    cr_expect_eq(f.broker.msg.call, 7);
    broker_send_call(&f.broker, "turn", 7, false);
    broker_expect(&f.broker, WIRE_REPLY);
    cr_expect_eq(f.broker.msg.call, 7);
    broker_expect(&f.broker, WIRE_CREDIT); // only the second used any
    cr_expect_eq(f.broker.msg.limit, 2);
    close_worker(&f);
    sem_destroy(&turns);
}

Test(worker, takes_no_calls_ahead_when_it_drains)
{
    struct fixture f = { .quick = true };
    sem_init(&turns, 0, 0);
    open_worker(&f, 1);
    broker_send_job(&f.broker, "turn", NULL);
    broker_expect(&f.broker, WIRE_START);
    om_worker_stop(f.worker);
    broker_expect(&f.broker, WIRE_CREDIT);
    cr_expect_not(WIRE_HAS(&f.broker.msg, ahead));
    broker_send_call(&f.broker, "echo", 1, true); // was on its way
    broker_expect(&f.broker, WIRE_REPLY);
    sem_post(&turns);
    broker_expect(&f.broker, WIRE_DONE);
    broker_send_token(&f.broker, WIRE_DONE_ACK);
    pthread_join(f.thread, NULL);
    om_worker_destroy(&f.worker);
    broker_close(&f.broker);
    sem_destroy(&turns);
}

static void
ask_in_parts(struct fake_broker *self, int64_t limit, const char *payload)
{
    struct wire_msg call = { 0 };
    WIRE_SET(&call, call, 7);
    WIRE_SET(&call, queue, OM_LIT("echo"));
    WIRE_SET(&call, kind, OM_LIT("parts"));
    if (limit >= 0)
        WIRE_SET(&call, limit, limit);
    broker_send(self, WIRE_CALL, &call, payload);
}

static void
expect_part(struct fake_broker *self, int64_t seq)
{
    broker_expect(self, WIRE_CHUNK);
    cr_expect_eq(self->msg.call, 7);
    cr_expect_eq(self->msg.seq, seq);
    cr_expect(om_str_eq(self->body, OM_LIT("part")));
}

static int64_t
quantity_said(const struct fake_broker *self)
{
    struct rec_iter iter = rec_iter(self->msg.usage);
    struct om_str raw;
    struct wire_usage usage = { 0 };
    cr_assert(rec_next_raw(&iter, &raw));
    cr_assert_eq(rec_decode(&wire_usage_rec, raw, &usage, NULL), OM_OK);
    return usage.quantity;
}

Test(worker, sends_the_parts_of_an_answer_as_far_as_they_are_taken)
{
    struct fixture f = { 0 };
    const int64_t one = WIRE_CHUNK_COST + 4;
    open_worker(&f, 1);
    ask_in_parts(&f.broker, one, "part");
    expect_part(&f.broker, 1);
    struct wire_msg more = { 0 };
    WIRE_SET(&more, call, 7);
    WIRE_SET(&more, limit, 3 * one - 1);
    cr_expect_not(broker_recv(&f.broker, 50));
    broker_send(&f.broker, WIRE_CALL_CREDIT, &more, NULL);
    expect_part(&f.broker, 2);
    cr_expect_not(broker_recv(&f.broker, 50));
    WIRE_SET(&more, limit, 3 * one);
    broker_send(&f.broker, WIRE_CALL_CREDIT, &more, NULL);
    expect_part(&f.broker, 3);
    broker_expect(&f.broker, WIRE_REPLY);
    cr_expect_eq(f.broker.msg.seq, 3);
    cr_expect_eq(quantity_said(&f.broker), 3);
    close_worker(&f);
}

Test(worker, makes_no_more_parts_when_the_call_is_cancelled)
{
    struct fixture f = { 0 };
    open_worker(&f, 1);
    ask_in_parts(&f.broker, WIRE_CHUNK_COST + 4, "part");
    expect_part(&f.broker, 1);
    struct wire_msg end = { 0 };
    WIRE_SET(&end, call, 7);
    broker_send(&f.broker, WIRE_CALL_CANCEL, &end, NULL);
    broker_expect(&f.broker, WIRE_ERROR);
    cr_expect_eq(quantity_said(&f.broker), 1);
    close_worker(&f);
}

Test(worker, sends_no_parts_to_a_caller_that_wants_none_nor_any_too_large)
{
    static char large[WIRE_CHUNK_MAX + 2];
    memset(large, 'a', sizeof(large) - 1);
    for (int64_t limit = -1; limit <= 1 << 20; limit += (1 << 20) + 1) {
        struct fixture f = { 0 };
        open_worker(&f, 1);
        ask_in_parts(&f.broker, limit, limit < 0 ? "part" : large);
        broker_expect(&f.broker, WIRE_ERROR);
        cr_expect_eq(quantity_said(&f.broker), 0);
        close_worker(&f);
    }
}

// It would wait for a word that it takes itself.
Test(worker, without_slots_waits_for_nobody_to_take_parts)
{
    struct fixture f = { 0 };
    open_worker(&f, 0);
    ask_in_parts(&f.broker, WIRE_CHUNK_COST + 4, "part");
    expect_part(&f.broker, 1);
    broker_expect(&f.broker, WIRE_ERROR);
    cr_expect_eq(quantity_said(&f.broker), 1);
    close_worker(&f);
}
