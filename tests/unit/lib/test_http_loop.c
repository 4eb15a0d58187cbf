#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "http_loop.h"

enum { WAIT_S = 20, BIG = 8 << 20, PIECE = 32 << 10 };

// A server in a thread of its own. "/park" waits for server_wake() with its answer,
// "/hold" with its body, "/big" is 8 MiB, "/stream" is as much in pieces, "/count" says
// how many connections there are, anything else is answered with its path.
struct server {
    struct om_http_loop *loop;
    pthread_t thread;
    int port, wake_fd;
    uint64_t parked, stale; // handles: to be answered, and of who left
    uint64_t held;          // of the request whose body waits; 0: none
    char *big;
    size_t poured, unsent_max; // of the stream
    sem_t parked_sem, gone_sem;
    atomic_int late_answers;
};

static void
answer_text(struct server *server, uint64_t handle, const char *text)
{
    struct om_http_response response = { .status = 200, .body = om_str(text) };
    if (om_http_respond(server->loop, handle, &response))
        atomic_fetch_add(&server->late_answers, 1);
}

static void
on_head(void *context, struct om_http_request *request)
{
    struct server *server = context;
    if (!om_str_eq(request->path, OM_LIT("/hold")))
        return;
    server->held = request->handle;
    om_http_pause(server->loop, request->handle);
    sem_post(&server->parked_sem);
}

// Write as much of the stream as its client takes.
static void
pour(struct server *server, uint64_t handle)
{
    while (server->poured < BIG) {
        if (!om_http_write(server->loop, handle, (struct om_str){ server->big, PIECE }))
            return;
        server->poured += PIECE;
        size_t unsent = om_http_unsent(server->loop, handle);
        if (unsent > server->unsent_max)
            server->unsent_max = unsent;
    }
    om_http_end(server->loop, handle);
}

static void
on_room(void *context, struct om_http_request *request)
{
    pour(context, request->handle);
}

static void
on_request(void *context, struct om_http_request *request)
{
    struct server *server = context;
    struct om_http_response response = { .status = 200, .body = request->path };
    char count[32];
    if (om_str_eq(request->path, OM_LIT("/park"))) {
        server->parked = request->handle;
        sem_post(&server->parked_sem);
        return;
    }
    if (om_str_eq(request->path, OM_LIT("/stream"))) {
        response.body = (struct om_str){ 0 };
        cr_assert(om_http_begin(server->loop, request->handle, &response));
        server->poured = 0;
        pour(server, request->handle);
        return;
    }
    if (om_str_eq(request->path, OM_LIT("/big")))
        response.body = (struct om_str){ server->big, BIG };
    if (om_str_eq(request->path, OM_LIT("/count"))) {
        snprintf(count, sizeof(count), "%zu", om_http_connections(server->loop));
        response.body = om_str(count);
    }
    cr_assert(om_http_respond(server->loop, request->handle, &response));
}

static void
on_gone(void *context, struct om_http_request *request)
{
    struct server *server = context;
    server->stale = request->handle;
    answer_text(server, request->handle, "late"); // must do nothing
    if (om_http_find(server->loop, request->handle))
        atomic_fetch_add(&server->late_answers, 100);
    sem_post(&server->gone_sem);
}

static void
on_wake(void *context)
{
    struct server *server = context;
    uint64_t count;
    if (read(server->wake_fd, &count, sizeof(count)) <= 0)
        return;
    if (server->held) {
        om_http_resume(server->loop, server->held);
        server->held = 0;
        return;
    }
    if (server->stale)
        answer_text(server, server->stale, "stale");
    answer_text(server, server->parked, "woken");
}

static void *
run(void *context)
{
    om_http_loop_run(((struct server *)context)->loop);
    return NULL;
}

static void
server_start(struct server *server, struct om_http_conf conf)
{
    static const struct om_http_hooks hooks = { on_head, NULL, on_request,
                                                on_gone, NULL, on_room };
    memset(server, 0, sizeof(*server));
    server->big = calloc(1, BIG);
    sem_init(&server->parked_sem, 0, 0);
    sem_init(&server->gone_sem, 0, 0);
    cr_assert_eq(om_http_listen("127.0.0.1:0", false, &conf.listen_fd), OM_OK);
    server->port = om_http_port(conf.listen_fd);
    conf.hooks = &hooks;
    conf.context = server;
    server->loop = om_http_loop_create(&conf);
    cr_assert(server->loop);
    server->wake_fd = eventfd(0, EFD_NONBLOCK);
    cr_assert(om_http_watch(server->loop, server->wake_fd));
    om_http_on_wake(server->loop, on_wake, server);
    cr_assert_eq(pthread_create(&server->thread, NULL, run, server), 0);
}

static void
server_wake(struct server *server)
{
    uint64_t one = 1;
    cr_assert_eq(write(server->wake_fd, &one, sizeof(one)), (ssize_t)sizeof(one));
}

static void
server_stop(struct server *server)
{
    om_http_loop_stop(server->loop);
    pthread_join(server->thread, NULL);
    om_http_loop_destroy(&server->loop);
    close(server->wake_fd);
    free(server->big);
}

static void
wait_for(sem_t *sem)
{
    struct timespec deadline;
    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += WAIT_S;
    cr_assert_eq(sem_timedwait(sem, &deadline), 0, "it did not happen");
}

static void
connect_with(int fd, const struct server *server)
{
    struct timeval limit = { .tv_sec = WAIT_S };
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)server->port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    cr_assert_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
}

static int
connect_to(const struct server *server)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    connect_with(fd, server);
    return fd;
}

static void
send_text(int fd, const char *text)
{
    cr_assert_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static void
send_get(int fd, const char *path)
{
    char text[256];
    snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", path);
    send_text(fd, text);
}

// Read until `end` was seen, or to the end of the connection if it is NULL.
static const char *
receive(int fd, const char *end)
{
    static char text[4096];
    size_t size = 0;
    while (size < sizeof(text) - 1) {
        ssize_t got = recv(fd, text + size, sizeof(text) - 1 - size, 0);
        cr_assert_geq(got, 0, "no answer: %s", text);
        size += (size_t)got;
        text[size] = '\0';
        if (got == 0 || (end && strstr(text, end)))
            return text;
    }
    return text;
}

Test(http_loop, answers_one_request_after_another)
{
    struct server server;
    server_start(&server, (struct om_http_conf){ 0 });
    int fd = connect_to(&server);
    for (int i = 0; i < 10; i++) {
        send_get(fd, "/one");
        cr_expect(strstr(receive(fd, "/one"), "200 OK"));
    }
    send_text(fd, "GET /2 HTTP/1.1\r\nHost: a\r\n\r\nGET /3 HTTP/1.1\r\nHost: a\r\n"
                  "Connection: close\r\n\r\n");
    const char *text = receive(fd, NULL);
    cr_expect(strstr(text, "/2") && strstr(text, "/3"));
    close(fd);
    server_stop(&server);
}

Test(http_loop, answers_a_parked_request_when_a_foreign_descriptor_wakes_it)
{
    struct server server;
    server_start(&server, (struct om_http_conf){ 0 });
    int fd = connect_to(&server);
    send_get(fd, "/park");
    wait_for(&server.parked_sem);
    server_wake(&server);
    cr_expect(strstr(receive(fd, "woken"), "200 OK"));
    cr_expect_eq(server.late_answers, 1);
    close(fd);
    server_stop(&server);
}

Test(http_loop, drops_the_answer_to_a_client_that_left_even_if_another_has_its_slot)
{
    struct server server;
    server_start(&server, (struct om_http_conf){ 0 });
    int fd = connect_to(&server);
    send_get(fd, "/park");
    wait_for(&server.parked_sem);
    close(fd);
    wait_for(&server.gone_sem);

    int other = connect_to(&server); // its slot is the same
    send_get(other, "/park");
    wait_for(&server.parked_sem);
    server_wake(&server);
    cr_expect_not(strstr(receive(other, "woken"), "stale"));
    close(other);
    server_stop(&server);
    cr_expect_eq(server.late_answers, 1);
}

Test(http_loop, answers_408_to_a_slow_head)
{
    struct server server;
    server_start(&server, (struct om_http_conf){ .head_ms = 30 });
    int fd = connect_to(&server);
    send_text(fd, "GET / HTTP");
    cr_expect(strstr(receive(fd, NULL), "408 Request Timeout"));
    close(fd);
    server_stop(&server);
}

Test(http_loop, answers_408_to_a_slow_body)
{
    struct server server;
    server_start(&server, (struct om_http_conf){ .body_ms = 30 });
    int fd = connect_to(&server);
    send_text(fd, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab");
    cr_expect(strstr(receive(fd, NULL), "408 Request Timeout"));
    wait_for(&server.gone_sem);
    close(fd);
    server_stop(&server);
}

// All of the body has come when it is wanted, more than is kept before: no event tells of
// the rest.
Test(http_loop, reads_the_rest_of_a_body_that_was_held_back)
{
    enum { BODY = 200 * 1000 };
    struct server server;
    server_start(&server, (struct om_http_conf){ .body_ms = WAIT_S * 2 * 1000 });
    int fd = connect_to(&server);
    char *body = calloc(1, BODY);
    send_text(fd, "POST /hold HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n");
    wait_for(&server.parked_sem);
    cr_assert_eq(send(fd, body, BODY, MSG_NOSIGNAL), BODY);
    free(body);
    int other = connect_to(&server); // by its answer the body was looked at
    send_get(other, "/one");
    receive(other, "/one");
    server_wake(&server);
    cr_expect(strstr(receive(fd, "/hold"), "200 OK"));
    close(other);
    close(fd);
    server_stop(&server);
}

Test(http_loop, closes_an_idle_connection)
{
    struct server server;
    server_start(&server, (struct om_http_conf){ .idle_ms = 30 });
    int fd = connect_to(&server);
    send_get(fd, "/one");
    cr_expect(strstr(receive(fd, NULL), "/one"));
    close(fd);
    server_stop(&server);
}

static void
wait_for_count(const struct server *server, const char *wanted)
{
    time_t deadline = time(NULL) + WAIT_S;
    int fd = connect_to(server);
    bool reached = false;
    while (!reached && time(NULL) < deadline) {
        send_get(fd, "/count");
        char *text = strstr(receive(fd, "\r\n\r\n"), "\r\n\r\n");
        reached = strcmp(text + 4, wanted) == 0;
    }
    cr_expect(reached);
    close(fd);
}

Test(http_loop, closes_a_client_that_never_reads)
{
    struct server server;
    server_start(&server, (struct om_http_conf){ .write_ms = 50 });
    int fd = connect_to(&server);
    send_get(fd, "/big");
    wait_for_count(&server, "2");
    wait_for_count(&server, "1");
    close(fd);
    server_stop(&server);
}

Test(http_loop, streams_to_a_slow_reader_without_holding_more_than_it_said)
{
    struct server server;
    server_start(&server, (struct om_http_conf){ .stream_max = 100000 });
    int fd = connect_to(&server);
    send_get(fd, "/stream");
    static const char last[] = "\r\n0\r\n\r\n";
    enum { TAIL = sizeof(last) - 1 };
    char piece[TAIL + 1000] = ""; // the end of what came before, then what comes
    size_t total = 0;
    while (memcmp(piece, last, TAIL) != 0) {
        ssize_t got = recv(fd, piece + TAIL, sizeof(piece) - TAIL, 0);
        cr_assert_gt(got, 0);
        total += (size_t)got;
        memmove(piece, piece + got, TAIL);
    }
    cr_expect_gt(total, BIG);
    cr_expect_lt(server.unsent_max, 100000 + PIECE + 200);
    send_get(fd, "/next");
    cr_expect(strstr(receive(fd, "/next"), "200 OK"));
    close(fd);
    server_stop(&server);
}

Test(http_loop, closes_a_client_that_never_reads_its_stream)
{
    struct server server;
    server_start(&server, (struct om_http_conf){ .write_ms = 50 });
    int fd = connect_to(&server);
    send_get(fd, "/stream");
    wait_for(&server.gone_sem);
    wait_for_count(&server, "1");
    cr_expect_lt(server.poured, BIG);
    close(fd);
    server_stop(&server);
}

// 10,000 of them are to fit in 120 MB; what is more than this struct is lent to those
// that do something.
Test(http_loop, holds_little_for_an_idle_connection)
{
    cr_expect_leq(sizeof(struct client), 1024, "%zu", sizeof(struct client));
}

Test(http_loop, sends_a_large_response_whole)
{
    struct server server;
    server_start(&server, (struct om_http_conf){ 0 });
    int fd = connect_to(&server);
    send_text(fd, "GET /big HTTP/1.0\r\n\r\n");
    size_t total = 0;
    char piece[65536];
    for (ssize_t got; (got = recv(fd, piece, sizeof(piece), 0)) > 0;)
        total += (size_t)got;
    cr_expect(total > BIG && total < BIG + 500, "%zu", total);
    close(fd);
    server_stop(&server);
}

Test(http_loop, lets_further_connections_wait_when_it_has_enough)
{
    struct server server;
    server_start(&server, (struct om_http_conf){ .connections_max = 2 });
    int one = connect_to(&server), two = connect_to(&server);
    send_get(one, "/1");
    send_get(two, "/2");
    receive(one, "/1");
    receive(two, "/2");
    int three = connect_to(&server); // in the backlog
    send_get(three, "/3");
    send_get(one, "/count");
    cr_expect(strstr(receive(one, "\r\n\r\n"), "\r\n\r\n2"));
    close(one);
    cr_expect(strstr(receive(three, "/3"), "200 OK"));
    close(two);
    close(three);
    server_stop(&server);
}

Test(http_loop, takes_connections_again_when_there_are_descriptors_again)
{
    struct server server;
    struct rlimit limit, none;
    server_start(&server, (struct om_http_conf){ 0 });
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = (struct rlimit){ (rlim_t)fd + 1, limit.rlim_max }; // the next one is too many
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    connect_with(fd, &server);
    send_get(fd, "/late");
    struct pollfd waiting = { fd, POLLIN, 0 };
    cr_expect_eq(poll(&waiting, 1, 150), 0, "it has no descriptor to answer on");
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    cr_expect(strstr(receive(fd, "/late"), "200 OK"));
    close(fd);
    server_stop(&server);
}

Test(http_loop, answers_what_is_parked_before_it_stops)
{
    struct server server;
    server_start(&server, (struct om_http_conf){ 0 });
    int idle = connect_to(&server), fd = connect_to(&server);
    send_get(fd, "/park");
    wait_for(&server.parked_sem);
    om_http_loop_stop(server.loop);
    cr_expect_str_eq(receive(idle, NULL), "", "an idle connection ends at once");
    server_wake(&server);
    cr_expect(strstr(receive(fd, NULL), "connection: close"));
    close(idle);
    close(fd);
    server_stop(&server);
}

Test(http_loop, stops_though_a_request_is_never_answered)
{
    struct server server;
    server_start(&server, (struct om_http_conf){ .drain_ms = 30 });
    int fd = connect_to(&server);
    send_get(fd, "/park");
    wait_for(&server.parked_sem);
    server_stop(&server);
    cr_expect_str_eq(receive(fd, NULL), "");
    close(fd);
}

Test(http_loop, shares_its_port_with_its_own_loops_only)
{
    int first, second, third;
    char text[32];
    cr_assert_eq(om_http_listen("127.0.0.1:0", false, &first), OM_OK);
    snprintf(text, sizeof(text), "127.0.0.1:%d", om_http_port(first));
    cr_expect_eq(om_http_listen(text, false, &second), OM_ECONFLICT);
    cr_expect_eq(om_http_listen(text, true, &third), OM_OK);
    cr_expect_eq(om_http_listen(text, false, &second), OM_ECONFLICT);
    close(first);
    close(third);
    static const char *const bad[] = {
        "",       "127.0.0.1",      "127.0.0.1:",     "name:1",
        "[::1:1", "127.0.0.1:http", "127.0.0.1:99999"
    };
    for (size_t i = 0; i < OM_COUNT(bad); i++)
        cr_expect_eq(om_http_listen(bad[i], false, &second), OM_EINVAL, "%s", bad[i]);
}
