// Peers that read less than is said to them, or nothing: what waits for them is bounded.
#include <criterion/criterion.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "zmtp.h"

enum { MESSAGE = 4096, OUT_MAX = 256 * 1024, MIB = 1 << 20 };

static struct zmtp *end;
static int peer;

static void
peer_send(const void *bytes, size_t size)
{
    cr_assert_eq(send(peer, bytes, size, MSG_NOSIGNAL), (ssize_t)size);
}

static void
open_pair(void)
{
    char greeting[64] = { [0] = (char)0xff, [8] = 1,    [9] = 0x7f, [10] = 3,
                          [12] = 'N',       [13] = 'U', [14] = 'L', [15] = 'L' };
    struct om_str header, payload;
    int fds[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    peer = fds[1];
    end = zmtp_accept(fds[0], MESSAGE, OUT_MAX);
    cr_assert(end);
    peer_send(greeting, sizeof(greeting));
    peer_send("\4\6\5READY", 8);
    while (!zmtp_is_open(end)) // all of it is there
        cr_assert_not(zmtp_recv(end, &header, &payload));
}

static void
close_pair(void)
{
    zmtp_destroy(&end);
    close(peer);
}

TestSuite(zmtp_slow, .init = open_pair, .fini = close_pair, .timeout = 60);

Test(zmtp_slow, a_peer_that_asks_and_reads_no_answers_is_left)
{
    char ping[2 + 255];
    struct om_str header, payload;
    memset(ping, 'x', sizeof(ping));
    memcpy(ping, "\4\xff\4PING\0\1", 9);
    for (size_t sent = 0; !zmtp_is_closed(end); sent += sizeof(ping)) {
        peer_send(ping, sizeof(ping));
        cr_assert_not(zmtp_recv(end, &header, &payload));
        cr_assert_lt(sent, 4 * MIB, "it is answered still");
    }
}

static long
resident_bytes(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    cr_assert(file && fscanf(file, "%*d %ld", &pages) == 1);
    fclose(file);
    return pages * sysconf(_SC_PAGESIZE);
}

Test(zmtp_slow, a_peer_that_is_always_behind_costs_no_more_memory_in_time)
{
    static char bytes[MESSAGE], read[MESSAGE];
    struct om_str message = { bytes, sizeof(bytes) };
    long before = resident_bytes();
    for (size_t taken = 0; taken < 128 * MIB;) {
        while (zmtp_send(end, message, (struct om_str){ 0 }) == OM_OK)
            continue;
        cr_assert(zmtp_is_open(end));
        ssize_t size = recv(peer, read, sizeof(read), 0);
        cr_assert_gt(size, 0);
        taken += (size_t)size;
        zmtp_tick(end, om_clock_mono_ms());
        cr_assert(zmtp_waits(end));
    }
    cr_expect_lt(resident_bytes() - before, 32 * MIB);
}
