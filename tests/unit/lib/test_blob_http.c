// The client side of the edge's blob route, against a server the test plays.
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "blob.h"
#include "id.h"

#define HELLO_SHA256 "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
#define STORED                                                                           \
    "HTTP/1.1 200 OK\r\nContent-Length: 89\r\nConnection: close\r\n\r\n"                 \
    "{\"sha256\":\"" HELLO_SHA256 "\",\"bytes\":5  }"
#define HELLO "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"
#define EMPTY(status)                                                                    \
    "HTTP/1.1 " status "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

enum { REQUESTS_MAX = 8, REQUEST_BYTES = 4096 };

// Answers one connection after the other from a script; "" closes without an answer.
static struct {
    int fd;
    pthread_t thread;
    const char *const *answers;
    size_t count, served;
    char requests[REQUESTS_MAX][REQUEST_BYTES];
} server;

static struct om_blob_store *store;
static struct om_blob_ref ref;

// Read a request whose body, if it has one, is 5 bytes.
static void
read_request(int fd, char *request)
{
    size_t size = 0, wanted = SIZE_MAX;
    while (size < wanted && size < REQUEST_BYTES - 1) {
        ssize_t got = recv(fd, request + size, REQUEST_BYTES - 1 - size, 0);
        if (got <= 0)
            break;
        size += (size_t)got;
        const char *end = strstr(request, "\r\n\r\n");
        if (end)
            wanted =
                (size_t)(end - request) + 4 + (strncmp(request, "PUT", 3) == 0 ? 5 : 0);
    }
}

static void *
serve(void *context)
{
    (void)context;
    while (server.served < server.count) {
        int fd = accept(server.fd, NULL, NULL);
        if (fd < 0)
            return NULL;
        const char *answer = server.answers[server.served];
        read_request(fd, server.requests[server.served]);
        server.served++;
        if (send(fd, answer, strlen(answer), MSG_NOSIGNAL) < 0)
            return NULL;
        shutdown(fd, SHUT_WR);
        close(fd);
    }
    return NULL;
}

static void
start(const char *const *answers, size_t count)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof(address);
    server.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    server.answers = answers;
    server.count = count;
    cr_assert_eq(bind(server.fd, (struct sockaddr *)&address, size), 0);
    cr_assert_eq(listen(server.fd, 8), 0);
    cr_assert_eq(getsockname(server.fd, (struct sockaddr *)&address, &size), 0);
    cr_assert_eq(pthread_create(&server.thread, NULL, serve, NULL), 0);

    char url[64], why[256] = "";
    struct om_uuid tenant = om_id_new(7);
    ref = om_blob_ref_new(ROLE_REGISTRY, &tenant);
    snprintf(url, sizeof(url), "http://127.0.0.1:%d/", ntohs(address.sin_port));
    cr_assert_eq(om_blob_store_create(url, &store, why, sizeof(why)), OM_OK, "%s", why);
}

#define START(...)                                                                       \
    static const char *const answers[] = { __VA_ARGS__ };                                \
    start(answers, OM_COUNT(answers))

static void
stop(void)
{
    shutdown(server.fd, SHUT_RDWR);
    pthread_join(server.thread, NULL);
    close(server.fd);
    om_blob_store_destroy(&store);
}

static const struct om_blob_caller caller = { .grant = { "omg1.a.b", 8 } };

Test(blob_http, puts_with_its_grant_and_reads_the_answer)
{
    START(STORED);
    struct om_blob_info info;
    cr_expect_eq(om_blob_put(store, &caller, &ref, OM_LIT("hello"), &info), OM_OK);
    cr_expect_eq(info.bytes, 5);
    cr_expect_str_eq(info.sha256, HELLO_SHA256);
    stop();

    char line[256], text[OM_BLOB_REF_MAX];
    om_blob_ref_text(&ref, text);
    snprintf(line, sizeof(line), "PUT /internal/blobs/%s HTTP/1.1\r\n", text);
    cr_expect_eq(strncmp(server.requests[0], line, strlen(line)), 0);
    cr_expect(strstr(server.requests[0], "\r\nAuthorization: Bearer omg1.a.b\r\n"));
    cr_expect(strstr(server.requests[0], "\r\nContent-Length: 5\r\n"));
    cr_expect(strstr(server.requests[0], "\r\n\r\nhello"));
}

Test(blob_http, gets_the_bytes_and_checks_them)
{
    START(HELLO, HELLO);
    OM_AUTO(om_buf_finish) struct om_buf buf = { 0 };
    cr_expect_eq(om_blob_get(store, &caller, &ref, HELLO_SHA256, 5, &buf), OM_OK);
    cr_expect(om_str_eq(om_buf_str(&buf), OM_LIT("hello")));
    char wrong[65] = HELLO_SHA256;
    wrong[0] = '3';
    cr_expect_eq(om_blob_get(store, &caller, &ref, wrong, 5, &buf), OM_EINTERNAL);
    stop();
    cr_expect(strstr(server.requests[0], "\r\nAuthorization: Bearer omg1.a.b\r\n"));
}

Test(blob_http, tries_again_after_failures_of_the_server)
{
    START(EMPTY("503 Unavailable"), "",
          "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\ncut off", HELLO);
    OM_AUTO(om_buf_finish) struct om_buf buf = { 0 };
    cr_expect_eq(om_blob_get(store, &caller, &ref, HELLO_SHA256, 5, &buf), OM_OK);
    stop();
    cr_expect_eq(server.served, 4);
    cr_expect(om_str_eq(om_buf_str(&buf), OM_LIT("hello")));
}

Test(blob_http, sends_all_bytes_again_when_a_put_is_repeated)
{
    START(EMPTY("500 Oops"), STORED);
    cr_expect_eq(om_blob_put(store, &caller, &ref, OM_LIT("hello"), NULL), OM_OK);
    stop();
    cr_expect_eq(server.served, 2);
    cr_expect(strstr(server.requests[1], "\r\n\r\nhello"));
}

Test(blob_http, gives_up_in_the_end)
{
    START(EMPTY("503 A"), EMPTY("503 B"), EMPTY("503 C"), EMPTY("503 D"), EMPTY("503 E"),
          HELLO);
    OM_AUTO(om_buf_finish) struct om_buf buf = { 0 };
    cr_expect_eq(om_blob_get(store, &caller, &ref, NULL, 5, &buf), OM_EUNAVAILABLE);
    cr_expect_eq(server.served, 5);
    stop();
}

Test(blob_http, does_not_repeat_what_was_refused)
{
    static const struct {
        const char *answer;
        enum om_rc rc;
    } rows[] = {
        { EMPTY("400 Bad"), OM_EINVAL },    { EMPTY("401 Who"), OM_EAUTH },
        { EMPTY("403 No"), OM_EFORBIDDEN }, { EMPTY("404 None"), OM_ENOTFOUND },
        { EMPTY("413 Large"), OM_ETOOBIG }, { EMPTY("422 Reused"), OM_EREUSED },
        { EMPTY("302 There"), OM_EINVAL },
    };
    for (size_t i = 0; i < OM_COUNT(rows); i++) {
        const char *const answers[] = { rows[i].answer, STORED };
        server.served = 0;
        start(answers, OM_COUNT(answers));
        cr_expect_eq(om_blob_put(store, &caller, &ref, OM_LIT("hello"), NULL), rows[i].rc,
                     "%s", rows[i].answer);
        cr_expect_eq(server.served, 1);
        stop();
    }
}

Test(blob_http, does_not_believe_an_answer_about_other_bytes)
{
    START(STORED, EMPTY("200 OK"));
    cr_expect_eq(om_blob_put(store, &caller, &ref, OM_LIT("hellO"), NULL), OM_EPROTO);
    cr_expect_eq(om_blob_put(store, &caller, &ref, OM_LIT("hello"), NULL), OM_EPROTO);
    stop();
}

static bool
yes(void *context)
{
    (void)context;
    return true;
}

Test(blob_http, stops_when_cancelled)
{
    START(EMPTY("503 Unavailable"), HELLO);
    struct om_blob_caller cancelled = { caller.grant, yes, NULL };
    OM_AUTO(om_buf_finish) struct om_buf buf = { 0 };
    cr_expect_eq(om_blob_get(store, &cancelled, &ref, NULL, 5, &buf), OM_ECANCELLED);
    stop();
}

Test(blob_http, says_when_nobody_listens)
{
    START(HELLO);
    stop();
    // The port is closed now.
    struct om_blob_store *lonely;
    char why[256];
    OM_AUTO(om_buf_finish) struct om_buf buf = { 0 };
    cr_assert_eq(om_blob_store_create("http://127.0.0.1:1", &lonely, why, sizeof(why)),
                 OM_OK);
    cr_expect_eq(om_blob_get(lonely, &caller, &ref, NULL, 5, &buf), OM_EUNAVAILABLE);
    om_blob_store_destroy(&lonely);
}

Test(blob_http, leaves_deleting_to_the_owner)
{
    START(HELLO);
    struct om_blob_walk *walk;
    int64_t bytes;
    cr_expect_eq(om_blob_delete(store, &ref), OM_EUNSUPPORTED);
    cr_expect_eq(om_blob_stat(store, &ref, &bytes), OM_EUNSUPPORTED);
    cr_expect_eq(om_blob_walk_create(store, ROLE_REGISTRY, &walk), OM_EUNSUPPORTED);
    stop();
}
