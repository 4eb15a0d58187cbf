// How a link's messages travel: small ones together, to a broker that takes bundles.
#include <criterion/criterion.h>
#include <poll.h>

#include "clock.h"
#include "fake_broker.h"
#include "link.h"

enum { DEADLINE_MS = 10000 };

static struct fake_broker broker;
static struct om_link *session;
static char large[BUNDLE_SMALL + 1];

// Receive until there is nothing; returns how many messages were given out.
static int
receive_all(int64_t last[], int max)
{
    struct om_frame frame;
    int count = 0;
    om_link_tick(session, om_clock_mono_ms());
    for (; om_link_recv(session, &frame); count++)
        if (count < max)
            last[count] = frame.msg->limit;
    return count;
}

static void
open_session(int64_t caps)
{
    broker_open(&broker);
    broker.caps = caps;
    struct om_link_conf conf = { .endpoint = broker.endpoint,
                                 .node = "test",
                                 .role = ROLE_INFERENCE };
    const char *why;
    cr_assert_eq(om_link_create(&conf, &session, &why), OM_OK, "%s", why);
    int64_t end_ms = om_clock_mono_ms() + DEADLINE_MS;
    while (!om_link_is_open(session)) {
        receive_all(NULL, 0);
        if (broker_recv(&broker, 10) && broker.msg.type == WIRE_HELLO)
            broker_welcome(&broker);
        cr_assert_lt(om_clock_mono_ms(), end_ms);
    }
}

static void
close_session(void)
{
    om_link_destroy(&session);
    broker_close(&broker);
}

TestSuite(link, .fini = close_session, .timeout = 60);

static enum om_rc
say(int64_t number, struct om_str payload)
{
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, queue, OM_LIT("omni.inference"));
    WIRE_SET(&msg, limit, number);
    return om_link_send(session, WIRE_CREDIT, &msg, payload);
}

// The broker gets a bundle of CREDITs numbered from `first`; returns how many.
static int64_t
expect_bundle(int64_t first)
{
    cr_assert(broker_recv_whole(&broker, DEADLINE_MS));
    cr_assert_eq(broker.msg.type, WIRE_BUNDLE);
    struct om_str header, payload;
    struct bundle_iter iter = bundle_iter(broker.body);
    while (bundle_next(&iter, &header, &payload)) {
        cr_assert_eq(wire_decode(header, &broker.msg), OM_OK);
        cr_expect_eq(broker.msg.limit, first + (int64_t)iter.count - 1);
        cr_expect_eq(payload.size, 0);
    }
    cr_expect_eq(iter.rest.size, 0);
    return (int64_t)iter.count;
}

static void
expect_alone(int64_t number)
{
    cr_assert(broker_recv_whole(&broker, DEADLINE_MS));
    cr_expect_eq(broker.msg.type, WIRE_CREDIT);
    cr_expect_eq(broker.msg.limit, number);
}

Test(link, sends_each_message_alone_to_a_broker_that_does_not_know_bundles)
{
    open_session(0);
    for (int64_t i = 1; i <= 3; i++)
        cr_assert_eq(say(i, (struct om_str){ 0 }), OM_OK);
    for (int64_t i = 1; i <= 3; i++)
        expect_alone(i);
}

Test(link, sends_small_messages_together_when_all_that_came_is_given_out)
{
    open_session(CAPABILITY_BUNDLE);
    for (int64_t i = 1; i <= 3; i++)
        cr_assert_eq(say(i, (struct om_str){ 0 }), OM_OK);
    cr_expect_not(om_link_is_settled(session));
    receive_all(NULL, 0);
    cr_expect_eq(expect_bundle(1), 3);
    cr_expect(om_link_is_settled(session));
}

Test(link, sends_one_message_as_it_is)
{
    open_session(CAPABILITY_BUNDLE);
    cr_assert_eq(say(1, OM_LIT("payload")), OM_OK);
    om_link_flush(session);
    expect_alone(1);
    cr_expect(om_str_eq(broker.body, OM_LIT("payload")));
    cr_assert_eq(say(2, (struct om_str){ 0 }), OM_OK);
    om_link_flush(session);
    expect_alone(2);
    cr_expect_eq(broker.body.size, 0);
}

Test(link, sends_a_large_message_alone_and_in_its_place)
{
    open_session(CAPABILITY_BUNDLE);
    struct om_str payload = { large, sizeof(large) };
    cr_assert_eq(say(1, (struct om_str){ 0 }), OM_OK);
    cr_assert_eq(say(2, (struct om_str){ 0 }), OM_OK);
    cr_assert_eq(say(3, payload), OM_OK);
    cr_assert_eq(say(4, (struct om_str){ 0 }), OM_OK);
    om_link_flush(session);
    cr_expect_eq(expect_bundle(1), 2);
    expect_alone(3);
    cr_expect_eq(broker.body.size, sizeof(large));
    expect_alone(4);
}

Test(link, sends_what_fills_a_bundle_at_once)
{
    open_session(CAPABILITY_BUNDLE);
    int64_t sent = 0;
    for (; sent < 2 * BUNDLE_MESSAGES_MAX; sent++)
        cr_assert_eq(say(sent + 1, (struct om_str){ 0 }), OM_OK);
    int64_t came = expect_bundle(1);
    cr_expect(came > 1 && came < sent);
    om_link_flush(session);
    while (came < sent)
        came += expect_bundle(came + 1);
    cr_expect_eq(came, sent);
}

Test(link, says_that_there_is_no_room_when_the_broker_is_gone)
{
    open_session(CAPABILITY_BUNDLE);
    broker_close(&broker);
    int64_t end_ms = om_clock_mono_ms() + DEADLINE_MS;
    // As soon as ZeroMQ has noticed, nothing finds room with it.
    while (say(1, (struct om_str){ large, BUNDLE_SMALL / 2 }) == OM_OK)
        cr_assert_lt(om_clock_mono_ms(), end_ms);
    while (om_link_is_open(session)) {
        receive_all(NULL, 0);
        cr_assert_lt(om_clock_mono_ms(), end_ms);
    }
    cr_expect_eq(say(2, (struct om_str){ 0 }), OM_EUNAVAILABLE);
    broker_open(&broker); // to be closed by the fixture
}

// A CREDIT_OK as it stands in a bundle.
static void
put_credit_ok(struct om_buf *bytes, int64_t number)
{
    OM_AUTO(om_buf_finish) struct om_buf header = { 0 };
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, queue, OM_LIT("omni.inference"));
    WIRE_SET(&msg, limit, number);
    WIRE_SET(&msg, sent, 0);
    wire_encode(WIRE_CREDIT_OK, &msg, &header);
    om_pack_bin(bytes, om_buf_str(&header));
    om_pack_bin(bytes, (struct om_str){ "", 0 });
}

static void
send_bundle(struct om_str bytes)
{
    struct om_str header = bundle_header();
    zmq_send(broker.router, broker.peer, broker.peer_size, ZMQ_SNDMORE);
    zmq_send(broker.router, header.data, header.size, ZMQ_SNDMORE);
    zmq_send(broker.router, bytes.data, bytes.size, 0);
}

static int
await(int wanted, int64_t numbers[], int max)
{
    int64_t end_ms = om_clock_mono_ms() + DEADLINE_MS;
    int count = 0;
    for (; count < wanted; count += receive_all(numbers + count, max - count)) {
        int fds[2];
        om_link_fds(session, fds);
        struct pollfd polled[2] = { { fds[0], POLLIN, 0 }, { fds[1], POLLIN, 0 } };
        poll(polled, 2, 10);
        cr_assert_lt(om_clock_mono_ms(), end_ms, "%d of %d came", count, wanted);
    }
    return count;
}

Test(link, gives_out_a_bundle_one_by_one_up_to_where_it_is_none)
{
    open_session(CAPABILITY_BUNDLE);
    OM_AUTO(om_buf_finish) struct om_buf bytes = { 0 };
    for (int64_t i = 1; i <= 3; i++)
        put_credit_ok(&bytes, i);
    send_bundle(om_buf_str(&bytes));
    om_buf_reset(&bytes);
    put_credit_ok(&bytes, 4);
    om_buf_put(&bytes, "garbage", 7);
    put_credit_ok(&bytes, 5);
    send_bundle(om_buf_str(&bytes));
    send_bundle((struct om_str){ "", 0 });
    struct wire_msg last = { 0 };
    WIRE_SET(&last, queue, OM_LIT("omni.inference"));
    WIRE_SET(&last, limit, 6);
    WIRE_SET(&last, sent, 0);
    broker_send(&broker, WIRE_CREDIT_OK, &last, NULL);

    int64_t numbers[8];
    static const int64_t wanted[] = { 1, 2, 3, 4, 6 };
    cr_expect_eq(await(OM_COUNT(wanted), numbers, OM_COUNT(numbers)), OM_COUNT(wanted));
    for (size_t i = 0; i < OM_COUNT(wanted); i++)
        cr_expect_eq(numbers[i], wanted[i]);
}

Test(link, forgets_what_waits_with_its_session)
{
    open_session(CAPABILITY_BUNDLE);
    OM_AUTO(om_buf_finish) struct om_buf bytes = { 0 }, reset = { 0 };
    struct wire_msg nothing = { 0 };
    put_credit_ok(&bytes, 1);
    wire_encode(WIRE_RESET, &nothing, &reset);
    om_pack_bin(&bytes, om_buf_str(&reset));
    om_pack_bin(&bytes, (struct om_str){ "", 0 });
    send_bundle(om_buf_str(&bytes));
    struct om_frame frame;
    int64_t end_ms = om_clock_mono_ms() + DEADLINE_MS;
    while (!om_link_recv(session, &frame))
        cr_assert_lt(om_clock_mono_ms(), end_ms);
    cr_assert_eq(say(2, (struct om_str){ 0 }), OM_OK);
    cr_expect_not(om_link_recv(session, &frame));
    cr_expect_not(om_link_is_open(session));

    broker_expect(&broker, WIRE_HELLO);
    while (!om_link_is_open(session))
        receive_all(NULL, 0);
    cr_assert_eq(say(3, (struct om_str){ 0 }), OM_OK);
    om_link_flush(session);
    expect_alone(3);
}
