// Clients that mean harm, or are broken, against the real edge: what they take is
// bounded, and others are served meanwhile.
#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "omni.h"

enum {
    WAIT_MS = 20000,
    SPARE = 8,  // descriptors that are left
    CROWD = 32, // connections that want one
    DRIPS = 40, // connections that say a byte a second
    SECOND_MS = 1000,
    QUICK_MS = 2000,  // an answer to somebody else, on a busy machine
    GIVEN_MS = 16000, // 10 s for a head, and time to be noticed
};

static struct omni omni;

static void
begin(void)
{
    setenv("OMNI_INGEST_THREADS", "1", 1);
    omni_open(&omni);
}

static void
end(void)
{
    omni_stop(&omni);
    omni_close(&omni);
}

TestSuite(hostile, .init = begin, .fini = end, .timeout = 120);

static int
connect_to_edge(void)
{
    const char *port = strrchr(omni.url, ':');
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)atoi(port + 1)),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static void
say(int fd, const char *text)
{
    (void)!send(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);
}

// The status of the answer, 0 if none comes within `wait_ms`, -1 if the connection ends.
static int
status_of(int fd, int64_t wait_ms)
{
    char text[2048] = ""; // of a whole answer
    int status = -1;
    struct pollfd polled = { fd, POLLIN, 0 };
    if (poll(&polled, 1, (int)wait_ms) == 0)
        return 0;
    if (recv(fd, text, sizeof(text) - 1, 0) > 0)
        sscanf(text, "HTTP/1.1 %d", &status);
    return status;
}

static int
get(int fd, int64_t wait_ms)
{
    say(fd, "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
    return status_of(fd, wait_ms);
}

// A proxy may have looked at one of them, and the edge at the other.
Test(hostile, fields_of_which_one_is_meant_are_refused_when_there_are_two)
{
    static const char *const fields[] = { "Authorization: Bearer omni_live_x",
                                          "Idempotency-Key: b", "content-type: text/csv",
                                          "LAST-EVENT-ID: 1" };
    char text[1024];
    for (size_t i = 0; i < OM_COUNT(fields); i++) {
        int fd = connect_to_edge();
        snprintf(text, sizeof(text),
                 "GET /api/v1/tasks HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\n"
                 "Idempotency-Key: a\r\nContent-Type: text/plain\r\n"
                 "Last-Event-ID: 0\r\n\r\n",
                 omni.key);
        say(fd, text);
        cr_expect_eq(status_of(fd, WAIT_MS), 200, "once");
        snprintf(text + strlen(text) - 2, 64, "%s\r\n\r\n", fields[i]);
        say(fd, text);
        cr_expect_eq(status_of(fd, WAIT_MS), 400, "%s", fields[i]);
        close(fd);
    }
}

static int
descriptors_of(pid_t pid)
{
    char path[64];
    int count = -2; // . and ..
    snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
    DIR *folder = opendir(path);
    cr_assert(folder);
    while (readdir(folder))
        count++;
    closedir(folder);
    return count;
}

static int64_t
cpu_ms(pid_t pid)
{
    clockid_t clock;
    struct timespec used;
    cr_assert_eq(clock_getcpuclockid(pid, &clock), 0);
    cr_assert_eq(clock_gettime(clock, &used), 0);
    return used.tv_sec * 1000 + used.tv_nsec / 1000000;
}

Test(hostile, without_descriptors_those_who_are_in_are_served_and_others_wait)
{
    int fds[CROWD];
    size_t served = 0;
    pid_t edge = omni_child(&omni, "ingest");
    struct rlimit before, few;
    cr_assert_eq(prlimit(edge, RLIMIT_NOFILE, NULL, &before), 0);
    few = before;
    few.rlim_cur = (rlim_t)descriptors_of(edge) + SPARE;
    cr_assert_eq(prlimit(edge, RLIMIT_NOFILE, &few, NULL), 0);

    for (size_t i = 0; i < CROWD; i++) // the kernel takes them all
        fds[i] = connect_to_edge();
    while (served < CROWD && get(fds[served], served < 2 ? WAIT_MS : SECOND_MS) == 200)
        served++;
    cr_expect(served >= 2 && served < CROWD, "%zu are in", served);
    int64_t spent_ms = cpu_ms(edge);
    cr_expect_eq(status_of(fds[CROWD - 1], 2 * SECOND_MS), 0, "there is no room");
    spent_ms = cpu_ms(edge) - spent_ms;
    cr_expect_lt(spent_ms, SECOND_MS, "it turns without doing anything: %lld ms of 2 s",
                 (long long)spent_ms);
    cr_expect_eq(get(fds[0], WAIT_MS), 200);

    for (size_t i = 0; i < served; i++) // who leaves makes room for others
        close(fds[i]);
    cr_expect_eq(status_of(fds[served], WAIT_MS), 200);
    cr_assert_eq(prlimit(edge, RLIMIT_NOFILE, &before, NULL), 0);
    for (size_t i = served + 1; i < CROWD; i++) {
        cr_expect_eq(get(fds[i], WAIT_MS), 200, "connection %zu", i);
        close(fds[i]);
    }
    close(fds[served]);
    cr_expect_eq(omni_child(&omni, "ingest"), edge, "it is the same process");
}

// Say a byte a second on each, until all were answered; others are asked for meanwhile.
static void
drip(const int *fds, int *statuses)
{
    int left = DRIPS;
    int64_t until_ms = om_clock_mono_ms() + GIVEN_MS;
    while (left > 0) {
        int other = connect_to_edge();
        cr_expect_eq(get(other, QUICK_MS), 200, "others wait");
        close(other);
        for (int i = 0; i < DRIPS; i++) {
            if (!statuses[i] && (statuses[i] = status_of(fds[i], 0)))
                left--;
            if (!statuses[i])
                say(fds[i], "a");
        }
        cr_assert_lt(om_clock_mono_ms(), until_ms, "%d are not refused", left);
        poll(NULL, 0, SECOND_MS);
    }
}

Test(hostile, heads_and_bodies_that_drip_are_ended_and_nobody_waits_for_them)
{
    int fds[DRIPS], statuses[DRIPS] = { 0 };
    char head[512];
    pid_t edge = omni_child(&omni, "ingest");
    int before = descriptors_of(edge);
    snprintf(head, sizeof(head),
             "POST /api/v1/predict/seasonal-naive HTTP/1.1\r\nHost: a\r\n"
             "Authorization: Bearer %s\r\nContent-Length: 100000\r\n\r\n",
             omni.key);
    for (int i = 0; i < DRIPS; i++) {
        fds[i] = connect_to_edge();
        say(fds[i], i % 2 ? "GET /healthz HTTP/1.1\r\nHost: a\r\nX-Slow: " : head);
    }
    drip(fds, statuses);
    for (int i = 0; i < DRIPS; i++) {
        cr_expect_eq(statuses[i], 408, "%s: %d", i % 2 ? "head" : "body", statuses[i]);
        close(fds[i]);
    }
    int64_t until_ms = om_clock_mono_ms() + WAIT_MS;
    while (descriptors_of(edge) > before + 2) {
        cr_assert_lt(om_clock_mono_ms(), until_ms, "they are not closed");
        poll(NULL, 0, 10);
    }
}
