// A worker against a broker that the test plays itself, message by message.
#include <criterion/criterion.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>

#include "clock.h"
#include "fake_broker.h"
#include "worker.h"

static char token_bytes[WIRE_TOKEN_BYTES];

static struct wire_msg
make_job(const char *token, const char *kind)
{
    struct wire_msg job = { 0 };
    WIRE_SET(&job, token, ((struct om_str){ token, WIRE_TOKEN_BYTES }));
    WIRE_SET(&job, queue, om_str("echo"));
    WIRE_SET(&job, kind, om_str(kind));
    WIRE_SET(&job, attempt, 1);
    WIRE_SET(&job, lease_ms, 30000);
    return job;
}

static void
broker_send_job(struct fake_broker *self, const char *kind, const char *payload)
{
    struct wire_msg job = make_job(token_bytes, kind);
    broker_send(self, WIRE_JOB, &job, payload);
}

// Jobs of one kind in one bundle, with the numbers 0, 1, ... as their tokens' first byte.
static void
broker_send_jobs(struct fake_broker *self, const char *kind, char round, char count)
{
    OM_AUTO(bundle_finish) struct bundle bundle;
    OM_AUTO(om_buf_finish) struct om_buf header = { 0 };
    cr_assert(bundle_init(&bundle));
    for (char i = 0; i < count; i++) {
        char token[WIRE_TOKEN_BYTES] = { i, round };
        struct wire_msg job = make_job(token, kind);
        om_buf_reset(&header);
        wire_encode(WIRE_JOB, &job, &header);
        bundle_add(&bundle, om_buf_str(&header), (struct om_str){ 0 });
    }
    struct om_str start = bundle_header();
    zmq_send(self->router, self->peer, self->peer_size, ZMQ_SNDMORE);
    zmq_send(self->router, start.data, start.size, ZMQ_SNDMORE);
    zmq_send(self->router, bundle.bytes.data, bundle.bytes.size, 0);
}

static void
broker_send_token(struct fake_broker *self, enum wire_type type)
{
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, token, ((struct om_str){ token_bytes, sizeof(token_bytes) }));
    broker_send(self, type, &msg, NULL);
}

// ---- the worker's end

static sem_t turns; // for "turn"

// "echo" answers its payload; "wait" runs until it is cancelled; "turn" until the test
// lets it end; "fail" fails; "parts" answers with its payload as many times as are taken,
// three at most, and meters them.
static void
handle_echo(void *context, struct om_job *job)
{
    (void)context;
    if (om_str_eq(job->msg->kind, OM_LIT("wait"))) {
        om_job_progress(job, 0.5, "{\"epoch\":1}");
        while (!om_job_cancelled(job))
            sched_yield();
        job->rc = OM_ECANCELLED;
    } else if (om_str_eq(job->msg->kind, OM_LIT("turn"))) {
        sem_wait(&turns);
    } else if (om_str_eq(job->msg->kind, OM_LIT("parts"))) {
        int made = 0;
        while (made < 3 && om_job_chunk(job, "text/plain", job->payload))
            made++;
        om_job_usage(job, "parts", made, NULL);
        job->rc = made == 3 ? OM_OK : OM_ECANCELLED;
    } else if (om_str_eq(job->msg->kind, OM_LIT("fail"))) {
        om_job_fail(job, OM_EINVAL, "target", "there is no column %s", "x");
    } else {
        om_buf_put(&job->result, job->payload.data, job->payload.size);
        om_job_usage(job, "compute_ms", 7, "echo");
    }
}

// Whatever is not of the kind "echo" takes its time.
static bool
handle_quick(void *context, struct om_job *job)
{
    if (!om_str_eq(job->msg->kind, OM_LIT("echo")))
        return false;
    handle_echo(context, job);
    return true;
}

struct fixture {
    struct fake_broker broker;
    struct om_worker *worker;
    pthread_t thread;
    bool quick; // it answers calls in its control thread
};

static void *
run(void *worker)
{
    om_worker_run(worker);
    return NULL;
}

static void
open_worker_of(struct fixture *self, int slots, int64_t heartbeat_ms)
{
    broker_open(&self->broker);
    self->broker.heartbeat_ms = heartbeat_ms;
    static const char *const queue_names[] = { "echo" };
    struct om_worker_conf conf = {
        .link = { .endpoint = self->broker.endpoint,
                  .node = "test",
                  .role = ROLE_INFERENCE },
        .queues = queue_names,
        .queue_count = 1,
        .slots = slots,
        .drain_ms = 1500,
        .handle = handle_echo,
        .handle_now = self->quick ? handle_quick : NULL,
        .ahead = 5,
    };
    const char *why;
    cr_assert_eq(om_worker_create(&conf, &self->worker, &why), OM_OK, "%s", why);
    pthread_create(&self->thread, NULL, run, self->worker);
    broker_expect(&self->broker, WIRE_CREDIT);
}

static void
open_worker(struct fixture *self, int slots)
{
    open_worker_of(self, slots, 2000);
}

static void
stop_worker(struct fixture *self)
{
    om_worker_stop(self->worker);
    pthread_join(self->thread, NULL);
    om_worker_destroy(&self->worker);
}

static void
close_worker(struct fixture *self)
{
    stop_worker(self);
    broker_close(&self->broker);
}

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

// ---- answers in parts

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
