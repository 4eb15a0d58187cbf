// The broker's sockets and a plain ZeroMQ peer: what comes of bundles, and what goes in
// them.
#include <criterion/criterion.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bundle.h"
#include "clock.h"
#include "raw_peer.h"
#include "sockets.h"

enum { DEADLINE_MS = 10000 };

static struct {
    char folder[32], client[64], work[64];
    struct pool pool;
    struct sockets *sockets;
    struct raw_peer peer;
    core_conn conn;              // of the peer
    struct sockets_message came; // last
} here;

static void
receive(void)
{
    int64_t end_ms = om_clock_mono_ms() + DEADLINE_MS;
    payload_unref(&here.came.payload);
    while (!sockets_receive(here.sockets, 0, &here.came)) {
        struct pollfd items[SOCKETS_MAX];
        sockets_poll_items(here.sockets, items);
        poll(items, sockets_count(here.sockets), 100);
        sockets_polled(here.sockets, items);
        cr_assert_lt(om_clock_mono_ms(), end_ms, "nothing came");
    }
}

static void
expect(const char *header, const char *payload)
{
    receive();
    cr_expect(om_str_eq(here.came.header, om_str(header)), "%s", header);
    cr_expect(om_str_eq(payload_bytes(here.came.payload), om_str(payload)), "%s",
              payload);
    cr_expect_eq(here.came.conn, here.conn);
    cr_expect_eq(here.came.peer.trust, TRUST_LOCAL);
}

static void
begin(void)
{
    strcpy(here.folder, "/tmp/omni-sockets-XXXXXX");
    cr_assert(mkdtemp(here.folder));
    snprintf(here.client, sizeof(here.client), "ipc://%s/client", here.folder);
    snprintf(here.work, sizeof(here.work), "ipc://%s/work", here.folder);
    struct sockets_conf conf = { here.client, here.work, "", &here.pool };
    char why[256];
    cr_assert_eq(sockets_open(&conf, &here.sockets, why, sizeof(why)), OM_OK, "%s", why);
    raw_open(&here.peer, here.client, NULL, NULL);
    raw_send_frames(&here.peer, (struct om_str[]){ OM_LIT("hello") }, 1);
    receive();
    here.conn = here.came.conn;
}

static void
end(void)
{
    payload_unref(&here.came.payload);
    raw_close(&here.peer);
    sockets_close(&here.sockets);
    pool_finish(&here.pool);
    unlink(here.client + strlen("ipc://"));
    unlink(here.work + strlen("ipc://"));
    rmdir(here.folder);
}

TestSuite(sockets, .init = begin, .fini = end, .timeout = 60);

static void
send_bundle(struct om_str bytes)
{
    struct om_str frames[] = { bundle_header(), bytes };
    raw_send_frames(&here.peer, frames, 2);
}

#define MESSAGE(header, payload) "\xc4\x01" header "\xc4\x01" payload

Test(sockets, give_out_the_messages_of_a_bundle_one_by_one)
{
    send_bundle(OM_LIT(MESSAGE("a", "1") "\xc4\x01"
                                         "b\xc4\x00" MESSAGE("c", "3")));
    raw_send_frames(&here.peer, (struct om_str[]){ OM_LIT("d"), OM_LIT("4") }, 2);
    expect("a", "1");
    expect("b", "");
    expect("c", "3");
    cr_expect(sockets_may_have(here.sockets));
    expect("d", "4");
    cr_expect_eq(sockets_dropped(here.sockets), 0);
}

Test(sockets, drop_what_is_no_bundle_and_count_it)
{
    static const struct {
        struct om_str bytes;
        bool good; // there is one good message before the damage
    } rows[] = {
        { { NULL, 0 }, false },
        { { "garbage", 7 }, false },
        { { MESSAGE("a", "1") "\xc4", 7 }, true },
        { { MESSAGE("a", "1") "garbage", 13 }, true },
    };
    for (size_t i = 0; i < OM_COUNT(rows); i++) {
        send_bundle(rows[i].bytes);
        raw_send_frames(&here.peer, (struct om_str[]){ OM_LIT("next") }, 1);
        if (rows[i].good)
            expect("a", "1");
        expect("next", "");
        cr_expect_eq(sockets_dropped(here.sockets), i + 1, "row %zu", i);
    }
}

// ---- sending

static enum om_rc
send_one(core_conn conn, const char *header, struct om_str bytes, bool more)
{
    struct payload *payload = bytes.size ? payload_copy(bytes) : NULL;
    struct core_send message = { conn, om_str(header), payload, more };
    enum om_rc rc = sockets_send(here.sockets, &message);
    payload_unref(&payload);
    return rc;
}

// The next message the peer gets.
static void
peer_expect(struct om_str header, size_t payload_size)
{
    zmq_pollitem_t item = { here.peer.socket, 0, ZMQ_POLLIN, 0 };
    cr_assert_eq(zmq_poll(&item, 1, DEADLINE_MS), 1);
    zmq_msg_recv(&here.peer.header, here.peer.socket, 0);
    struct om_str came = { zmq_msg_data(&here.peer.header),
                           zmq_msg_size(&here.peer.header) };
    cr_expect(om_str_eq(came, header), "%.*s", (int)header.size, header.data);
    here.peer.body = (struct om_str){ 0 };
    if (zmq_msg_more(&here.peer.header)) {
        zmq_msg_recv(&here.peer.payload, here.peer.socket, 0);
        here.peer.body = (struct om_str){ zmq_msg_data(&here.peer.payload),
                                          zmq_msg_size(&here.peer.payload) };
    }
    cr_expect_eq(here.peer.body.size, payload_size);
}

Test(sockets, send_small_messages_that_go_on_in_a_bundle)
{
    struct om_str none = { 0 };
    cr_expect_eq(send_one(here.conn, "a", OM_LIT("1"), true), OM_OK);
    cr_expect_eq(send_one(here.conn, "b", none, true), OM_OK);
    cr_expect_eq(send_one(here.conn, "c", OM_LIT("3"), false), OM_OK);
    struct om_str wanted = OM_LIT(MESSAGE("a", "1") "\xc4\x01"
                                                    "b\xc4\x00" MESSAGE("c", "3"));
    peer_expect(bundle_header(), wanted.size);
    cr_expect(om_str_eq(here.peer.body, wanted));
}

Test(sockets, send_one_message_or_a_large_one_as_it_is)
{
    static char large[BUNDLE_SMALL + 1];
    struct om_str none = { 0 }, bytes = { large, sizeof(large) };
    cr_expect_eq(send_one(here.conn, "alone", OM_LIT("1"), false), OM_OK);
    peer_expect(OM_LIT("alone"), 1);

    cr_expect_eq(send_one(here.conn, "a", OM_LIT("12"), true), OM_OK);
    cr_expect_eq(send_one(here.conn, "large", bytes, true), OM_OK);
    cr_expect_eq(send_one(here.conn, "b", none, false), OM_OK);
    peer_expect(OM_LIT("a"), 2);
    peer_expect(OM_LIT("large"), sizeof(large));
    peer_expect(OM_LIT("b"), 0);

    cr_expect_eq(send_one(here.conn, "large", bytes, true), OM_OK);
    cr_expect_eq(send_one(here.conn, "large too", bytes, false), OM_OK);
    peer_expect(OM_LIT("large"), sizeof(large));
    peer_expect(OM_LIT("large too"), sizeof(large));
}

Test(sockets, send_more_than_a_bundle_takes_in_several)
{
    static char half[BUNDLE_SMALL / 2];
    struct om_str bytes = { half, sizeof(half) };
    enum { COUNT = 2 * BUNDLE_BYTES / (BUNDLE_SMALL / 2) };
    for (int i = 0; i < COUNT; i++)
        cr_expect_eq(send_one(here.conn, "x", bytes, i < COUNT - 1), OM_OK);
    size_t came = 0;
    while (came < COUNT) {
        struct om_str header, payload;
        zmq_msg_recv(&here.peer.header, here.peer.socket, 0);
        zmq_msg_recv(&here.peer.payload, here.peer.socket, 0);
        struct bundle_iter iter = bundle_iter((struct om_str){
            zmq_msg_data(&here.peer.payload), zmq_msg_size(&here.peer.payload) });
        while (bundle_next(&iter, &header, &payload))
            cr_expect_eq(payload.size, sizeof(half));
        cr_assert(iter.count > 1 && iter.rest.size == 0);
        came += iter.count;
    }
    cr_expect_eq(came, COUNT);
}

Test(sockets, keep_nothing_of_what_a_lost_peer_was_sent)
{
    core_conn nobody = here.conn + 1000;
    struct om_str none = { 0 };
    cr_expect_eq(send_one(nobody, "a", none, true), OM_OK, "it is kept");
    cr_expect_eq(send_one(nobody, "b", none, false), OM_EUNAVAILABLE);
    cr_expect_eq(send_one(nobody, "c", none, false), OM_EUNAVAILABLE);
    cr_expect_eq(send_one(here.conn, "d", none, false), OM_OK);
    peer_expect(OM_LIT("d"), 0);
}
