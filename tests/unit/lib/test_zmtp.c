// The link's own ZMTP, against ZeroMQ's ROUTER and against peers that speak it badly.
#include <criterion/criterion.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <zmq.h>

#include "clock.h"
#include "zmtp.h"

enum { DEADLINE_MS = 10000, MESSAGE_MAX = 1 << 20 };

static char folder[64], path[80];
static struct zmtp *end;

static void
open_folder(void)
{
    strcpy(folder, "/tmp/zmtp.XXXXXX");
    cr_assert(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/socket", folder);
}

static void
close_all(void)
{
    zmtp_destroy(&end);
    unlink(path);
    rmdir(folder);
}

TestSuite(zmtp, .init = open_folder, .fini = close_all, .timeout = 60);

static void *
open_router(void *context)
{
    char endpoint[96];
    void *router = zmq_socket(context, ZMQ_ROUTER);
    snprintf(endpoint, sizeof(endpoint), "ipc://%s", path);
    cr_assert_eq(zmq_bind(router, endpoint), 0);
    return router;
}

static void
wait_a_little(void)
{
    struct pollfd polled = { zmtp_fd(end), POLLIN, 0 };
    poll(&polled, 1, 10);
    zmtp_tick(end, om_clock_mono_ms());
}

// Receive until the connection is as wanted.
static void
await_open(bool open)
{
    int64_t end_ms = om_clock_mono_ms() + DEADLINE_MS;
    struct om_str header, payload;
    while (zmtp_is_open(end) != open) {
        cr_assert_not(zmtp_recv(end, &header, &payload));
        if (zmtp_is_open(end) != open)
            wait_a_little();
        cr_assert_lt(om_clock_mono_ms(), end_ms);
    }
}

static void
await_message(struct om_str *header, struct om_str *payload)
{
    int64_t end_ms = om_clock_mono_ms() + DEADLINE_MS;
    while (!zmtp_recv(end, header, payload)) {
        wait_a_little();
        cr_assert_lt(om_clock_mono_ms(), end_ms);
    }
}

Test(zmtp, exchanges_messages_of_all_sizes_with_a_router)
{
    static const size_t sizes[] = { 0, 1, 254, 255, 256, 65536, MESSAGE_MAX };
    void *context = zmq_ctx_new(), *router = open_router(context);
    char *bytes = malloc(MESSAGE_MAX), id[8];
    for (size_t i = 0; i < MESSAGE_MAX; i++)
        bytes[i] = (char)(i * 31);
    end = zmtp_create(path, MESSAGE_MAX);
    await_open(true);
    for (size_t i = 0; i < OM_COUNT(sizes); i++) {
        struct om_str sent = { bytes, sizes[i] }, header, payload;
        cr_assert_eq(zmtp_send(end, OM_LIT("header"), sent), OM_OK);
        zmq_msg_t part;
        zmq_msg_init(&part);
        int id_size = 0, parts = 0;
        while (parts < 3) { // what found no room is sent by the tick
            int flags = parts == 0 ? ZMQ_DONTWAIT : 0;
            if (zmq_msg_recv(&part, router, flags) < 0) {
                wait_a_little();
                continue;
            }
            if (parts == 0)
                memcpy(id, zmq_msg_data(&part),
                       (size_t)(id_size = (int)zmq_msg_size(&part)));
            parts++;
        }
        cr_expect_eq(zmq_msg_size(&part), sizes[i]);
        cr_expect_eq(memcmp(zmq_msg_data(&part), bytes, sizes[i]), 0);
        zmq_msg_close(&part);
        zmq_send(router, id, (size_t)id_size, ZMQ_SNDMORE);
        zmq_send(router, "answer", 6, ZMQ_SNDMORE);
        zmq_send(router, bytes, sizes[i], ZMQ_SNDMORE);
        zmq_send(router, "ignored", 7, 0);
        await_message(&header, &payload);
        cr_expect(om_str_eq(header, OM_LIT("answer")));
        cr_expect(om_str_eq(payload, sent), "%zu", sizes[i]);
    }
    free(bytes);
    zmq_close(router);
    zmq_ctx_term(context);
}

Test(zmtp, connects_again_when_its_peer_comes_back)
{
    end = zmtp_create(path, MESSAGE_MAX); // before there is any
    cr_expect_eq(zmtp_fd(end), -1);
    for (int round = 0; round < 3; round++) {
        void *context = zmq_ctx_new(), *router = open_router(context);
        await_open(true);
        cr_expect_eq(zmtp_send(end, OM_LIT("header"), (struct om_str){ 0 }), OM_OK);
        zmq_close(router);
        zmq_ctx_term(context);
        await_open(false);
        cr_expect_eq(zmtp_send(end, OM_LIT("header"), (struct om_str){ 0 }),
                     OM_EUNAVAILABLE);
    }
}

// ---- a peer that the test plays itself

static int peer = -1, listener = -1;

static void
open_peer(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    listener = socket(AF_UNIX, SOCK_STREAM, 0);
    cr_assert_eq(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
    cr_assert_eq(listen(listener, 4), 0);
    end = zmtp_create(path, MESSAGE_MAX);
    peer = accept(listener, NULL, NULL);
    char greeting[64];
    cr_assert_eq(recv(peer, greeting, sizeof(greeting), MSG_WAITALL), 64);
}

static void
close_peer(void)
{
    close(peer);
    close(listener);
    unlink(path);
    zmtp_destroy(&end);
}

static void
peer_send(const char *bytes, size_t size)
{
    cr_assert_eq(send(peer, bytes, size, MSG_NOSIGNAL), (ssize_t)size);
}

#define GREETING "\xff\0\0\0\0\0\0\0\1\x7f\3\1NULL\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1"
#define READY    "\4\6\5READY"

static void
greet(void)
{
    char greeting[64] = GREETING;
    peer_send(greeting, sizeof(greeting));
    peer_send(READY, sizeof(READY) - 1);
    await_open(true);
    char ready[64]; // 2 of the frame's head, 41 of what it says
    cr_assert_eq(recv(peer, ready, 43, MSG_WAITALL), 43);
}

Test(zmtp, takes_a_message_that_comes_byte_by_byte)
{
    static const char message[] = "\1\1h\2\0\0\0\0\0\0\0\3abc";
    struct om_str header, payload;
    open_peer();
    greet();
    for (size_t i = 0; i < sizeof(message) - 1; i++) {
        cr_expect_not(zmtp_recv(end, &header, &payload));
        peer_send(message + i, 1);
    }
    await_message(&header, &payload);
    cr_expect(om_str_eq(header, OM_LIT("h")));
    cr_expect(om_str_eq(payload, OM_LIT("abc")));
    close_peer();
}

Test(zmtp, answers_a_ping_with_its_context)
{
    char pong[16];
    struct om_str header, payload;
    open_peer();
    greet();
    peer_send("\4\x9\4PING\0\1xy", 11);
    peer_send("\0\1h", 3);
    await_message(&header, &payload);
    cr_expect_null(payload.data);
    cr_assert_eq(recv(peer, pong, 9, MSG_WAITALL), 9);
    cr_expect_eq(memcmp(pong, "\4\7\4PONGxy", 9), 0);
    close_peer();
}

Test(zmtp, breaks_the_connection_with_a_peer_that_speaks_otherwise)
{
    static const struct {
        const char *bytes;
        size_t size;
    } wrong[] = {
        { "\x08\1h", 3 },                            // a flag nobody knows
        { "\2\0\0\0\0\1\0\0\0", 9 },                 // too large a frame
        { "\2\xff\xff\xff\xff\xff\xff\xff\xff", 9 }, // and one of all bytes there are
        { "\6\0\0\0\0\0\0\xff\xff", 9 },             // too large a command
        { "\4\6\5ERROR", 8 },                        // it has refused this socket
        { "\1\1h\4\7\4PING\0\1", 12 },               // a command within a message
    };
    for (size_t i = 0; i < OM_COUNT(wrong); i++) {
        open_peer();
        greet();
        peer_send(wrong[i].bytes, wrong[i].size);
        await_open(false);
        close_peer();
    }
}

Test(zmtp, breaks_the_connection_when_it_is_not_greeted_as_by_zeromq)
{
    static const size_t places[] = { 0, 9, 10, 12, 31 };
    struct om_str header, payload;
    for (size_t i = 0; i < OM_COUNT(places); i++) {
        char greeting[64] = GREETING;
        greeting[places[i]] = 2;
        open_peer();
        int before = zmtp_fd(end);
        cr_assert_geq(before, 0);
        peer_send(greeting, sizeof(greeting));
        int64_t end_ms = om_clock_mono_ms() + DEADLINE_MS;
        while (zmtp_fd(end) >= 0) {
            cr_assert_not(zmtp_recv(end, &header, &payload));
            cr_assert_lt(om_clock_mono_ms(), end_ms, "byte %zu", places[i]);
        }
        close_peer();
    }
}

Test(zmtp, a_message_before_the_handshake_breaks_the_connection)
{
    char greeting[64] = GREETING;
    struct om_str header, payload;
    open_peer();
    peer_send(greeting, sizeof(greeting));
    peer_send("\0\1h", 3);
    int64_t end_ms = om_clock_mono_ms() + DEADLINE_MS;
    while (zmtp_fd(end) >= 0) {
        cr_assert_not(zmtp_recv(end, &header, &payload));
        cr_assert_lt(om_clock_mono_ms(), end_ms);
    }
    close_peer();
}

Test(zmtp, refuses_to_send_more_when_its_peer_does_not_read)
{
    static char large[MESSAGE_MAX];
    struct om_str payload = { large, sizeof(large) };
    open_peer();
    greet();
    int sent = 0;
    while (sent < 100 && zmtp_send(end, OM_LIT("h"), payload) == OM_OK)
        sent++;
    cr_expect(sent > 1 && sent < 100, "%d", sent);
    cr_expect_lt(zmtp_tick(end, om_clock_mono_ms()), om_clock_mono_ms() + 1000);
    // All that was taken arrives.
    int64_t end_ms = om_clock_mono_ms() + DEADLINE_MS;
    size_t left = (size_t)sent * (3 + 9 + sizeof(large));
    while (left > 0) {
        ssize_t size =
            recv(peer, large, left < sizeof(large) ? left : sizeof(large), MSG_DONTWAIT);
        left -= size > 0 ? (size_t)size : 0;
        zmtp_tick(end, om_clock_mono_ms());
        cr_assert_lt(om_clock_mono_ms(), end_ms, "%zu bytes are missing", left);
    }
    cr_expect_eq(zmtp_send(end, OM_LIT("h"), (struct om_str){ 0 }), OM_OK);
    close_peer();
}
