// A client against a broker that the test plays itself.
#include <criterion/criterion.h>
#include <poll.h>

#include "client.h"
#include "clock.h"
#include "fake_broker.h"

struct fixture {
    struct fake_broker broker;
    struct om_client *client;
    int answers;
    enum om_rc rc;
    bool last;
};

static void
count_answer(void *context, const struct om_answer *answer)
{
    struct fixture *f = context;
    f->answers++;
    f->rc = answer->rc;
    f->last = answer->msg && answer->msg->drain;
}

// Let the client work until a message of `type` reaches the broker.
static void
expect(struct fixture *f, enum wire_type type)
{
    int64_t end = om_clock_mono_ms() + 10000;
    for (;;) {
        om_client_process(f->client);
        if (broker_recv(&f->broker, 10)) {
            if (f->broker.msg.type == WIRE_HELLO)
                broker_welcome(&f->broker);
            if (f->broker.msg.type == type)
                return;
        }
        cr_assert_lt(om_clock_mono_ms(), end, "no %s came", wire_find(type)->name);
    }
}

// Let the client work until it has had `count` answers.
static void
expect_answers(struct fixture *f, int count)
{
    int64_t end = om_clock_mono_ms() + 10000;
    while (f->answers < count) {
        om_client_process(f->client);
        int fds[2];
        om_link_fds(om_client_link(f->client), fds);
        struct pollfd polled[2] = { { fds[0], POLLIN, 0 }, { fds[1], POLLIN, 0 } };
        poll(polled, 2, 10);
        cr_assert_lt(om_clock_mono_ms(), end, "only %d answers came", f->answers);
    }
}

static void
open_client(struct fixture *f)
{
    *f = (struct fixture){ 0 };
    broker_open(&f->broker);
    struct om_link_conf conf = { .endpoint = f->broker.endpoint,
                                 .node = "test",
                                 .role = ROLE_INGEST };
    const char *why;
    cr_assert_eq(om_client_create(&conf, &f->client, &why), OM_OK, "%s", why);
}

static void
close_client(struct fixture *f)
{
    om_client_destroy(&f->client);
    broker_close(&f->broker);
}

static uint64_t
submit(struct fixture *f, int64_t timeout_ms)
{
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, task, om_str("task_01h455vb4pex5vsknk084sn02q"));
    WIRE_SET(&msg, queue, om_str("echo"));
    WIRE_SET(&msg, kind, om_str("echo"));
    return om_client_send(f->client, WIRE_SUBMIT, &msg, OM_LIT("{}"), timeout_ms,
                          count_answer, f);
}

// Answer the message heard last.
static void
answer(struct fixture *f, enum wire_type type, struct wire_msg *msg)
{
    char id[64];
    struct om_str heard = f->broker.msg.id;
    memcpy(id, heard.data, heard.size);
    WIRE_SET(msg, id, ((struct om_str){ id, heard.size }));
    if (!WIRE_HAS(msg, task) && WIRE_HAS(&f->broker.msg, task))
        WIRE_SET(msg, task, f->broker.msg.task);
    broker_send(&f->broker, type, msg, NULL);
}

Test(client, gets_the_answer_of_its_request)
{
    struct fixture f;
    open_client(&f);
    cr_assert(submit(&f, 5000));
    expect(&f, WIRE_SUBMIT);
    cr_expect(om_str_eq(f.broker.body, OM_LIT("{}")));
    struct wire_msg submitted = { 0 };
    answer(&f, WIRE_SUBMITTED, &submitted);
    expect_answers(&f, 1);
    cr_expect_eq(f.rc, OM_OK);
    cr_expect_eq(om_client_pending(f.client), 0);
    close_client(&f);
}

Test(client, gives_each_request_its_answer_when_one_message_answers_several)
{
    enum { REQUESTS = 3 };
    struct fixture f;
    OM_AUTO(om_buf_finish) struct om_buf ids = { 0 };
    open_client(&f);
    om_pack_array(&ids, REQUESTS + 1);
    om_pack_str(&ids, OM_LIT("nobody's"));
    for (int i = 0; i < REQUESTS; i++) {
        cr_assert(submit(&f, 5000));
        expect(&f, WIRE_SUBMIT);
        om_pack_str(&ids, f.broker.msg.id);
    }
    struct wire_msg submitted = { 0 };
    WIRE_SET(&submitted, ids, om_buf_str(&ids));
    broker_send(&f.broker, WIRE_SUBMITTED, &submitted, NULL);
    expect_answers(&f, REQUESTS);
    cr_expect_eq(f.rc, OM_OK);
    cr_expect_eq(om_client_pending(f.client), 0);
    close_client(&f);
}

Test(client, gives_each_request_its_own_id_though_its_header_is_used_again)
{
    struct fixture f;
    open_client(&f);
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, queue, om_str("echo"));
    WIRE_SET(&msg, kind, om_str("echo"));
    for (int i = 0; i < 2; i++)
        cr_expect(om_client_send(f.client, WIRE_CALL, &msg, OM_LIT("{}"), 5000,
                                 count_answer, &f));
    cr_expect_eq(om_client_pending(f.client), 2);
    close_client(&f);
}

Test(client, learns_why_a_request_was_refused)
{
    struct fixture f;
    open_client(&f);
    cr_assert(submit(&f, 5000));
    expect(&f, WIRE_SUBMIT);
    struct wire_msg reject = { 0 };
    WIRE_SET(&reject, code, om_str("queue_full"));
    answer(&f, WIRE_REJECT, &reject);
    expect_answers(&f, 1);
    cr_expect_eq(f.rc, OM_EFULL);
    close_client(&f);
}

Test(client, sends_again_when_the_broker_forgot_the_session)
{
    struct fixture f;
    open_client(&f);
    cr_assert(submit(&f, 10000));
    expect(&f, WIRE_SUBMIT);
    struct wire_msg nothing = { 0 };
    broker_send(&f.broker, WIRE_RESET, &nothing, NULL);
    expect(&f, WIRE_SUBMIT);
    cr_expect_eq(f.answers, 0);
    close_client(&f);
}

Test(client, sends_again_what_waited_to_travel_when_the_session_closed)
{
    enum { REQUESTS = 3 };
    struct fixture f;
    open_client(&f);
    cr_assert(submit(&f, 10000));
    expect(&f, WIRE_SUBMIT);
    struct wire_msg nothing = { 0 };
    broker_send(&f.broker, WIRE_RESET, &nothing, NULL);
    for (int i = 1; i < REQUESTS; i++)
        cr_assert(submit(&f, 10000));
    expect(&f, WIRE_HELLO);
    for (int i = 0; i < REQUESTS; i++) {
        struct wire_msg submitted = { 0 };
        expect(&f, WIRE_SUBMIT);
        answer(&f, WIRE_SUBMITTED, &submitted);
    }
    expect_answers(&f, REQUESTS);
    cr_expect_eq(om_client_pending(f.client), 0);
    close_client(&f);
}

Test(client, is_told_when_the_time_is_over)
{
    struct fixture f;
    open_client(&f);
    cr_assert(submit(&f, 300));
    expect(&f, WIRE_SUBMIT);
    expect_answers(&f, 1);
    cr_expect_eq(f.rc, OM_ETIMEOUT);
    close_client(&f);
}

Test(client, is_told_that_there_is_no_broker)
{
    struct fixture f;
    open_client(&f);
    broker_close(&f.broker);
    cr_assert(submit(&f, 200));
    expect_answers(&f, 1);
    cr_expect_eq(f.rc, OM_EUNAVAILABLE);
    om_client_destroy(&f.client);
}

Test(client, tells_many_requests_that_their_time_is_over)
{
    struct fixture f;
    open_client(&f);
    broker_close(&f.broker);
    for (int i = 0; i < 1000; i++)
        cr_assert(submit(&f, 50 + i % 100));
    expect_answers(&f, 1000);
    cr_expect_eq(om_client_pending(f.client), 0);
    om_client_destroy(&f.client);
}

Test(client, hears_of_a_watched_task_until_the_last_event)
{
    struct fixture f;
    open_client(&f);
    struct wire_msg watch = { 0 };
    WIRE_SET(&watch, task, om_str("task_01h455vb4pex5vsknk084sn02q"));
    cr_assert(om_client_send(f.client, WIRE_WATCH, &watch, (struct om_str){ 0 }, 10000,
                             count_answer, &f));
    expect(&f, WIRE_WATCH);
    cr_expect_eq(f.broker.msg.ttl_ms, 10000);
    for (int64_t seq = 1; seq <= 3; seq++) {
        struct wire_msg event = { 0 };
        WIRE_SET(&event, seq, seq);
        WIRE_SET(&event, info, OM_LIT("\x80"));
        if (seq == 3)
            WIRE_SET(&event, drain, true);
        answer(&f, WIRE_EVENT, &event);
    }
    expect_answers(&f, 3);
    cr_expect(f.last);
    cr_expect_eq(om_client_pending(f.client), 0);
    close_client(&f);
}

Test(client, cancels_a_call_it_forgets)
{
    struct fixture f;
    open_client(&f);
    struct wire_msg call = { 0 };
    WIRE_SET(&call, queue, om_str("omni.inference"));
    WIRE_SET(&call, kind, om_str("predict"));
    uint64_t number = om_client_send(f.client, WIRE_CALL, &call, OM_LIT("\x80"), 10000,
                                     count_answer, &f);
    expect(&f, WIRE_CALL);
    om_client_forget(f.client, number);
    expect(&f, WIRE_CALL_CANCEL);
    cr_expect_eq(f.answers, 0);
    close_client(&f);
}

// A node has one session: without it they would end each other's.
Test(client, clients_of_a_process_are_nodes_of_their_own)
{
    struct fixture first, second;
    open_client(&first);
    expect(&first, WIRE_HELLO);
    open_client(&second);
    expect(&second, WIRE_HELLO);
    cr_expect_eq(strncmp(first.broker.msg.node.data, "test/", 5), 0);
    cr_expect_not(om_str_eq(first.broker.msg.node, second.broker.msg.node));
    close_client(&first);
    close_client(&second);
}

Test(client, hears_the_chunks_of_a_watch_and_ends_it_when_it_forgets)
{
    struct fixture f;
    open_client(&f);
    struct wire_msg watch = { 0 }, chunk = { 0 };
    WIRE_SET(&watch, task, om_str("task_01h455vb4pex5vsknk084sn02q"));
    WIRE_SET(&watch, seq, 0);
    uint64_t number = om_client_send(f.client, WIRE_WATCH, &watch, (struct om_str){ 0 },
                                     10000, count_answer, &f);
    cr_assert(number);
    expect(&f, WIRE_WATCH);
    WIRE_SET(&chunk, seq, 1);
    answer(&f, WIRE_CHUNK, &chunk);
    answer(&f, WIRE_CHUNK, &chunk);
    expect_answers(&f, 2);
    cr_expect_eq(om_client_pending(f.client), 1);
    om_client_forget(f.client, number);
    expect(&f, WIRE_UNWATCH);
    close_client(&f);
}

// ---- answers in parts

static uint64_t
call_in_parts(struct fixture *f)
{
    struct wire_msg call = { 0 };
    WIRE_SET(&call, queue, om_str("omni.inference"));
    WIRE_SET(&call, kind, om_str("predict"));
    WIRE_SET(&call, limit, 1000);
    uint64_t number = om_client_send(f->client, WIRE_CALL, &call, OM_LIT("\x80"), 10000,
                                     count_answer, f);
    expect(f, WIRE_CALL);
    return number;
}

static void
answer_seq(struct fixture *f, enum wire_type type, int64_t seq)
{
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, seq, seq % 100);
    WIRE_SET(&msg, call, 1 + seq / 100);
    answer(f, type, &msg);
}

Test(client, hears_the_parts_of_an_answer_and_takes_more_of_them)
{
    struct fixture f;
    open_client(&f);
    uint64_t number = call_in_parts(&f);
    answer_seq(&f, WIRE_CHUNK, 1);
    answer_seq(&f, WIRE_CHUNK, 1); // said twice
    answer_seq(&f, WIRE_CHUNK, 2);
    expect_answers(&f, 2);
    om_client_allow(f.client, number, 5000);
    struct om_str id = f.broker.msg.id;
    expect(&f, WIRE_CALL_CREDIT);
    cr_expect_eq(f.broker.msg.limit, 5000);
    cr_expect(om_str_eq(f.broker.msg.id, id));
    answer_seq(&f, WIRE_REPLY, 2);
    expect_answers(&f, 3);
    cr_expect_eq(f.rc, OM_OK);
    cr_expect_eq(om_client_pending(f.client), 0);
    close_client(&f);
}

Test(client, says_again_that_it_takes_more_while_nothing_comes)
{
    struct fixture f;
    open_client(&f);
    uint64_t number = call_in_parts(&f);
    answer_seq(&f, WIRE_CHUNK, 1);
    expect_answers(&f, 1);
    om_client_allow(f.client, number, 5000);
    for (int said = 0; said < 3; said++) { // none of which is heard
        expect(&f, WIRE_CALL_CREDIT);
        cr_expect_eq(f.broker.msg.limit, 5000);
    }
    answer_seq(&f, WIRE_CHUNK, 2);
    answer_seq(&f, WIRE_REPLY, 2);
    expect_answers(&f, 3);
    cr_expect_eq(f.rc, OM_OK);
    close_client(&f);
}

Test(client, is_told_once_that_a_part_was_lost)
{
    static const struct {
        enum wire_type type;
        int64_t seq;
    } gaps[] = { { WIRE_CHUNK, 3 },
                 { WIRE_REPLY, 2 },
                 { WIRE_REPLY, 0 },
                 // of what was made anew:
                 { WIRE_CHUNK, 101 },
                 { WIRE_CHUNK, 102 },
                 { WIRE_REPLY, 101 } };
    for (size_t i = 0; i < OM_COUNT(gaps); i++) {
        struct fixture f;
        open_client(&f);
        call_in_parts(&f);
        answer_seq(&f, WIRE_CHUNK, 1);
        answer_seq(&f, gaps[i].type, gaps[i].seq);
        answer_seq(&f, WIRE_CHUNK, 4);
        expect_answers(&f, 2);
        cr_expect_eq(f.rc, OM_EUNAVAILABLE);
        cr_expect_eq(om_client_pending(f.client), 0);
        expect(&f, WIRE_CALL_CANCEL);
        close_client(&f);
    }
}

Test(client, asks_again_for_no_answer_that_has_begun)
{
    struct fixture f;
    open_client(&f);
    call_in_parts(&f);
    answer_seq(&f, WIRE_CHUNK, 1);
    expect_answers(&f, 1);
    struct wire_msg reset = { 0 };
    broker_send(&f.broker, WIRE_RESET, &reset, NULL);
    expect(&f, WIRE_HELLO);
    expect_answers(&f, 2);
    cr_expect_eq(f.rc, OM_EUNAVAILABLE);
    close_client(&f);
}
