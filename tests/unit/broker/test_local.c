// The broker's own ROUTER, and ends of ZMTP that are this library's too. test_sockets has
// ZeroMQ's as peers.
#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "clock.h"
#include "local.h"

enum { DEADLINE_MS = 10000, PEERS = 200, MESSAGE_MAX = 1 << 20 };

static char folder[64], path[80];
static struct local *router;
static struct zmtp *ends[PEERS];

static void
open_all(void)
{
    strcpy(folder, "/tmp/local.XXXXXX");
    cr_assert(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/socket", folder);
    router = local_open(path);
    cr_assert(router);
}

static void
close_all(void)
{
    for (int i = 0; i < PEERS; i++)
        zmtp_destroy(&ends[i]);
    local_close(&router, 0);
    cr_expect_neq(access(path, F_OK), 0);
    rmdir(folder);
}

TestSuite(local, .init = open_all, .fini = close_all, .timeout = 60);

static struct {
    uint32_t number;
    struct om_str header, payload;
    size_t frames;
} got;

static bool
recv_one(void)
{
    return local_recv(router, &got.number, &got.header, &got.payload, &got.frames);
}

static void
wait_a_little(void)
{
    struct pollfd polled = { local_fd(router), POLLIN, 0 };
    poll(&polled, 1, 10);
    local_turn(router);
    for (int i = 0; i < 2; i++)
        if (ends[i])
            zmtp_tick(ends[i], om_clock_mono_ms()); // what found no room
}

static void
await_one(void)
{
    int64_t end_ms = om_clock_mono_ms() + DEADLINE_MS;
    while (!recv_one()) {
        wait_a_little();
        cr_assert_lt(om_clock_mono_ms(), end_ms, "nothing came");
    }
}

static void
connect_to(struct zmtp **end)
{
    struct om_str header, payload;
    int64_t end_ms = om_clock_mono_ms() + DEADLINE_MS;
    *end = zmtp_create(path, MESSAGE_MAX);
    while (!zmtp_is_open(*end)) {
        cr_assert_not(recv_one());
        cr_assert_not(zmtp_recv(*end, &header, &payload));
        zmtp_tick(*end, om_clock_mono_ms());
        cr_assert_lt(om_clock_mono_ms(), end_ms);
    }
}

static void
expect_at(struct zmtp *end, struct om_str wanted)
{
    struct om_str header, payload;
    int64_t end_ms = om_clock_mono_ms() + DEADLINE_MS;
    while (!zmtp_recv(end, &header, &payload)) {
        struct pollfd polled = { zmtp_fd(end), POLLIN, 0 };
        poll(&polled, 1, 10);
        cr_assert_lt(om_clock_mono_ms(), end_ms);
    }
    cr_expect(om_str_eq(header, wanted));
}

Test(local, answers_each_of_many_peers_by_its_number)
{
    uint32_t numbers[PEERS];
    for (int i = 0; i < PEERS; i++) {
        char text[16];
        connect_to(&ends[i]);
        snprintf(text, sizeof(text), "I am %d", i);
        cr_assert_eq(zmtp_send(ends[i], om_str(text), OM_LIT("payload")), OM_OK);
        await_one();
        cr_expect(om_str_eq(got.header, om_str(text)));
        cr_expect(om_str_eq(got.payload, OM_LIT("payload")));
        cr_expect_eq(got.frames, 2);
        numbers[i] = got.number;
        for (int k = 0; k < i; k++)
            cr_assert_neq(numbers[k], numbers[i]);
    }
    for (int i = 0; i < PEERS; i++) {
        char text[16];
        snprintf(text, sizeof(text), "you are %d", i);
        cr_assert_eq(local_send(router, numbers[i], om_str(text), (struct om_str){ 0 }),
                     OM_OK);
        expect_at(ends[i], om_str(text));
    }
}

Test(local, gives_each_peer_its_turn)
{
    enum { MANY = 500 };
    connect_to(&ends[0]);
    connect_to(&ends[1]);
    for (int i = 0; i < MANY; i++)
        cr_assert_eq(zmtp_send(ends[0], OM_LIT("many"), (struct om_str){ 0 }), OM_OK);
    cr_assert_eq(zmtp_send(ends[1], OM_LIT("one"), (struct om_str){ 0 }), OM_OK);
    int before = 0, all = 0;
    for (bool come = false; all < MANY + 1; all++) {
        await_one();
        come = come || om_str_eq(got.header, OM_LIT("one"));
        before += !come;
    }
    cr_expect_lt(before, MANY / 2, "%d came before it", before);
}

Test(local, says_of_a_peer_that_left_that_it_is_not_there)
{
    connect_to(&ends[0]);
    cr_assert_eq(zmtp_send(ends[0], OM_LIT("bye"), (struct om_str){ 0 }), OM_OK);
    zmtp_destroy(&ends[0]);
    await_one();
    cr_expect(om_str_eq(got.header, OM_LIT("bye")));
    int64_t end_ms = om_clock_mono_ms() + DEADLINE_MS;
    while (local_send(router, got.number, OM_LIT("h"), (struct om_str){ 0 }) == OM_OK) {
        cr_assert_not(recv_one());
        cr_assert_lt(om_clock_mono_ms(), end_ms);
    }
    connect_to(&ends[1]);
    cr_assert_eq(zmtp_send(ends[1], OM_LIT("hello"), (struct om_str){ 0 }), OM_OK);
    uint32_t gone = got.number;
    await_one();
    cr_expect_neq(got.number, gone);
    cr_expect_eq(local_send(router, gone, OM_LIT("h"), (struct om_str){ 0 }),
                 OM_EUNAVAILABLE);
}

Test(local, sends_what_found_no_room_when_the_peer_reads_again)
{
    static char large[MESSAGE_MAX];
    struct om_str payload = { large, sizeof(large) }, header, body;
    connect_to(&ends[0]);
    cr_assert_eq(zmtp_send(ends[0], OM_LIT("h"), (struct om_str){ 0 }), OM_OK);
    await_one();
    int sent = 0, come = 0;
    while (sent < 1000 && local_send(router, got.number, OM_LIT("h"), payload) == OM_OK)
        sent++;
    cr_expect(sent > 8 && sent < 1000, "%d", sent);
    int64_t end_ms = om_clock_mono_ms() + DEADLINE_MS;
    while (come < sent) {
        cr_assert_not(recv_one());
        while (zmtp_recv(ends[0], &header, &body)) {
            cr_expect_eq(body.size, sizeof(large));
            come++;
        }
        cr_assert_lt(om_clock_mono_ms(), end_ms, "%d of %d", come, sent);
    }
    cr_expect_eq(local_send(router, got.number, OM_LIT("h"), payload), OM_OK);
}

Test(local, drops_a_peer_that_says_nonsense_and_serves_the_others)
{
    connect_to(&ends[0]);
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    int stranger = socket(AF_UNIX, SOCK_STREAM, 0);
    cr_assert_eq(connect(stranger, (struct sockaddr *)&address, sizeof(address)), 0);
    static const char nonsense[80] = "GET / HTTP/1.1\r\n\r\n";
    cr_assert_eq(send(stranger, nonsense, sizeof(nonsense), 0), sizeof(nonsense));
    cr_assert_eq(zmtp_send(ends[0], OM_LIT("h"), (struct om_str){ 0 }), OM_OK);
    await_one();
    cr_expect(om_str_eq(got.header, OM_LIT("h")));
    char rest[128];
    int64_t end_ms = om_clock_mono_ms() + DEADLINE_MS;
    ssize_t size;
    while ((size = recv(stranger, rest, sizeof(rest), MSG_DONTWAIT)) != 0 &&
           !(size < 0 && errno == ECONNRESET)) {
        cr_assert_not(recv_one());
        cr_assert_lt(om_clock_mono_ms(), end_ms);
    }
    close(stranger);
}

Test(local, takes_the_place_of_a_socket_that_was_left_behind)
{
    local_close(&router, 0);
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    int dead = socket(AF_UNIX, SOCK_STREAM, 0);
    cr_assert_eq(bind(dead, (struct sockaddr *)&address, sizeof(address)), 0);
    close(dead);
    cr_assert_eq(access(path, F_OK), 0);
    router = local_open(path);
    cr_assert(router);
    connect_to(&ends[0]);
}

Test(local, says_why_it_cannot_listen)
{
    cr_expect_null(local_open("/nowhere/at/all/socket"));
    cr_expect_eq(errno, ENOENT);
}
