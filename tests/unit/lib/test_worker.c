// Jobs of a worker: taken, held, answered, given back.
#include <signal.h>
#include <stdatomic.h>

#include "clock.h"
#include "worker_fixture.h"

Test(worker, grants_as_much_credit_as_it_has_slots)
{
    struct fixture f = { 0 };
    open_worker(&f, 3);
    cr_expect_eq(f.broker.msg.limit, 3);
    close_worker(&f);
}

Test(worker, sends_a_result_until_it_is_acknowledged)
{
    struct fixture f = { 0 };
    open_worker(&f, 1);
    broker_send_job(&f.broker, "echo", "hello");
    broker_expect(&f.broker, WIRE_START);
    broker_expect(&f.broker, WIRE_DONE);
    cr_expect(om_str_eq(f.broker.body, OM_LIT("hello")));
    struct rec_iter iter = rec_iter(f.broker.msg.usage);
    struct om_str raw;
    struct wire_usage usage;
    cr_assert(rec_next_raw(&iter, &raw));
    cr_assert_eq(rec_decode(&wire_usage_rec, raw, &usage, NULL), OM_OK);
    cr_expect_eq(usage.quantity, 7);

    broker_expect(&f.broker, WIRE_DONE); // nobody acknowledged it
    broker_send_token(&f.broker, WIRE_DONE_ACK);
    broker_send_job(&f.broker, "echo", "again");
    broker_expect(&f.broker, WIRE_DONE);
    cr_expect(om_str_eq(f.broker.body, OM_LIT("again")));
    broker_send_token(&f.broker, WIRE_DONE_ACK);
    close_worker(&f);
}

Test(worker, forgets_each_job_that_one_message_acknowledges)
{
    struct fixture f = { 0 };
    open_worker(&f, 2);
    OM_AUTO(om_buf_finish) struct om_buf tokens = { 0 };
    om_pack_array(&tokens, 3);
    for (char i = 0; i < 3; i++) {
        token_bytes[0] = i;
        om_pack_bin(&tokens, (struct om_str){ token_bytes, sizeof(token_bytes) });
        if (i == 0)
            continue; // nobody holds that one
        broker_send_job(&f.broker, "echo", "hello");
        broker_expect(&f.broker, WIRE_DONE);
    }
    struct wire_msg ack = { 0 };
    WIRE_SET(&ack, tokens, om_buf_str(&tokens));
    broker_send(&f.broker, WIRE_DONE_ACK, &ack, NULL);
    // Both leases are free: the same tokens are new jobs.
    for (char i = 1; i < 3; i++) {
        token_bytes[0] = i;
        broker_send_job(&f.broker, "echo", "again");
        broker_expect(&f.broker, WIRE_DONE);
        cr_expect(om_str_eq(f.broker.body, OM_LIT("again")));
        broker_send_token(&f.broker, WIRE_DONE_ACK);
    }
    close_worker(&f);
}

Test(worker, without_slots_handles_in_its_control_thread)
{
    struct fixture f = { 0 };
    open_worker(&f, 0);
    cr_expect_eq(f.broker.msg.limit, 64);
    broker_send_job(&f.broker, "echo", "inline");
    broker_expect(&f.broker, WIRE_DONE);
    cr_expect(om_str_eq(f.broker.body, OM_LIT("inline")));
    broker_send_token(&f.broker, WIRE_DONE_ACK);
    close_worker(&f);
}

// How many DONEs the next of ZeroMQ's messages holds.
static int
count_done(struct fake_broker *broker)
{
    struct om_str header;
    int count = 0;
    cr_assert(broker_recv_whole(broker, 10000));
    if (broker->msg.type == WIRE_DONE)
        return 1;
    struct bundle_iter iter = bundle_iter(broker->body);
    while (broker->msg.type == WIRE_BUNDLE &&
           bundle_next(&iter, &header, &broker->body)) {
        struct wire_msg msg;
        cr_assert_eq(wire_decode(header, &msg), OM_OK);
        count += msg.type == WIRE_DONE;
    }
    return count;
}

// On a busy machine a handler may seem slow, so they have several chances.
static atomic_bool storm_over;

static void
on_storm(int number)
{
    (void)number;
}

// Interrupt a thread all the time.
static void *
storm(void *thread)
{
    while (!atomic_load(&storm_over)) {
        pthread_kill(*(pthread_t *)thread, SIGUSR1);
        sched_yield();
    }
    return NULL;
}

Test(worker, loses_no_job_to_a_signal)
{
    struct fixture f = { 0 };
    struct sigaction action = { .sa_handler = on_storm };
    sigaction(SIGUSR1, &action, NULL);
    open_worker(&f, 1);
    pthread_t storming;
    pthread_create(&storming, NULL, storm, &f.thread);
    for (int i = 0; i < 4000; i++) {
        memcpy(token_bytes, &i, sizeof(i));
        broker_send_job(&f.broker, "echo", "hello");
        broker_expect(&f.broker, WIRE_DONE);
        broker_send_token(&f.broker, WIRE_DONE_ACK);
    }
    atomic_store(&storm_over, true);
    pthread_join(storming, NULL);
    close_worker(&f);
}

Test(worker, sends_the_outcomes_of_quick_handlers_together)
{
    enum { JOBS = 60, ROUNDS = 50 };
    struct fixture f = { 0 };
    open_worker(&f, 0);
    int most = 1;
    for (int round = 0; most == 1 && round < ROUNDS; round++) {
        broker_send_jobs(&f.broker, "echo", (char)round, JOBS);
        for (int done = 0, some; done < JOBS; done += some) {
            some = count_done(&f.broker);
            most = some > most ? some : most;
        }
    }
    cr_expect_gt(most, 1);
    close_worker(&f);
}

Test(worker, keeps_no_outcome_waiting_for_the_next_handler)
{
    enum { JOBS = 4 };
    struct fixture f = { 0 };
    sem_init(&turns, 0, 0);
    open_worker(&f, 0);
    broker_send_jobs(&f.broker, "turn", 0, JOBS);
    for (char i = 0; i < JOBS; i++) {
        sem_post(&turns);
        broker_expect(&f.broker, WIRE_DONE);
        cr_expect_eq(f.broker.msg.token.data[0], i);
    }
    close_worker(&f);
    sem_destroy(&turns);
}

Test(worker, tells_progress_and_stops_when_cancelled)
{
    struct fixture f = { 0 };
    open_worker(&f, 1);
    broker_send_job(&f.broker, "wait", NULL);
    struct wire_held held = { 0 };
    while (!REC_HAS(&held, wire_held, progress)) { // the first may come before it
        broker_expect(&f.broker, WIRE_BEAT);
        struct rec_iter iter = rec_iter(f.broker.msg.held);
        struct om_str raw;
        cr_assert(rec_next_raw(&iter, &raw));
        cr_assert_eq(rec_decode(&wire_held_rec, raw, &held, NULL), OM_OK);
    }
    cr_expect_eq(held.progress, 0.5);
    cr_expect(om_str_eq(held.detail, OM_LIT("{\"epoch\":1}")));

    broker_send_token(&f.broker, WIRE_CANCEL_JOB);
    broker_expect(&f.broker, WIRE_CANCELLED);
    broker_send_token(&f.broker, WIRE_DONE_ACK);
    close_worker(&f);
}

Test(worker, renews_its_leases_as_often_as_the_broker_asks)
{
    struct fixture f = { 0 };
    open_worker_of(&f, 1, 300);
    broker_send_job(&f.broker, "wait", NULL);
    broker_expect(&f.broker, WIRE_START);
    broker_expect(&f.broker, WIRE_BEAT);
    broker_expect(&f.broker, WIRE_BEAT); // of its progress
    int64_t began_ms = om_clock_mono_ms();
    for (int i = 0; i < 4; i++) {
        struct wire_msg ack = { 0 };
        broker_send(&f.broker, WIRE_BEAT_ACK, &ack, NULL);
        broker_expect(&f.broker, WIRE_BEAT);
    }
    cr_expect_lt(om_clock_mono_ms() - began_ms, 4 * 1000);
    broker_send_token(&f.broker, WIRE_STALE);
    close_worker(&f);
}

Test(worker, says_what_it_holds_when_the_broker_forgot_the_session)
{
    struct fixture f = { 0 };
    open_worker(&f, 1);
    broker_send_job(&f.broker, "wait", NULL);
    broker_expect(&f.broker, WIRE_START);
    struct wire_msg nothing = { 0 };
    broker_send(&f.broker, WIRE_RESET, &nothing, NULL);
    broker_expect(&f.broker, WIRE_HELLO);
    struct rec_iter iter = rec_iter(f.broker.msg.held);
    cr_expect_eq(iter.left, 1);
    broker_send_token(&f.broker, WIRE_STALE);
    broker_expect(&f.broker, WIRE_CREDIT); // the slot is free again
    close_worker(&f);
}

Test(worker, reports_why_a_job_failed)
{
    struct fixture f = { 0 };
    open_worker(&f, 1);
    broker_send_job(&f.broker, "fail", NULL);
    broker_expect(&f.broker, WIRE_FAIL);
    cr_expect(om_str_eq(f.broker.msg.code, OM_LIT("invalid_request")));
    cr_expect(om_str_eq(f.broker.msg.text, OM_LIT("there is no column x")));
    cr_expect_not(f.broker.msg.retryable);
    broker_send_token(&f.broker, WIRE_DONE_ACK);
    close_worker(&f);
}

Test(worker, releases_a_running_job_when_it_is_stopped)
{
    struct fixture f = { 0 };
    open_worker(&f, 1);
    broker_send_job(&f.broker, "wait", NULL);
    broker_expect(&f.broker, WIRE_START);
    stop_worker(&f);
    broker_expect(&f.broker, WIRE_RELEASE);
    broker_expect(&f.broker, WIRE_BYE);
    broker_close(&f.broker);
}

Test(worker, refuses_an_endpoint_it_cannot_use)
{
    static const char *const endpoints[] = {
        "http://localhost",
        "tcp://127.0.0.1:1",
        "",
        "ipc:///tmp/"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    };
    static const char *const queue_names[] = { "echo" };
    for (size_t i = 0; i < OM_COUNT(endpoints); i++) {
        struct om_worker_conf conf = {
            .link = { .endpoint = endpoints[i], .node = "test", .role = ROLE_INFERENCE },
            .queues = queue_names,
            .queue_count = 1,
            .handle = handle_echo,
        };
        struct om_worker *worker;
        const char *why = NULL;
        cr_expect_eq(om_worker_create(&conf, &worker, &why), OM_EINVAL);
        cr_expect(why && *why, "%s has no reason", endpoints[i]);
    }
}
