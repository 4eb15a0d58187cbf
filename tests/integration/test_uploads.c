// Uploads to the edge as a real program, on a disk whose fsync() takes as long as wanted.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "blob.h"
#include "clock.h"
#include "grant.h"
#include "program.h"
#include "stage.h"

enum { WAIT_MS = 20000, BODY = 100000 };

static struct {
    struct stage stage;
    char gate[64];
    struct program ingest;
    int port;
    struct om_secret secret;
} here;

static void
start(void)
{
    char why[256];
    stage_open(&here.stage);
    stage_set(&here.stage, "OMNI_BROKER", "ipc://%s/client", here.stage.folder);
    stage_set(&here.stage, "OMNI_BLOBS", "dir:%s/blobs", here.stage.folder);
    stage_set(&here.stage, "OMNI_SECRET_FILE", "%s/secret", here.stage.folder);
    stage_set(&here.stage, "OMNI_TEST_FSYNC_GATE", "%s/gate", here.stage.folder);
    stage_set(&here.stage, "OMNI_LISTEN", "127.0.0.1:0");
    stage_set(&here.stage, "OMNI_INGEST_THREADS", "1");
    stage_set(&here.stage, "LD_PRELOAD", OMNI_SLOW_FSYNC);
    stage_set(&here.stage, "ASAN_OPTIONS", "verify_asan_link_order=0");
    snprintf(here.gate, sizeof(here.gate), "%s/gate", here.stage.folder);
    program_start(&here.ingest, "omni-ingest", here.stage.list, NULL);
    program_expect_log(&here.ingest, "listening");
    here.port = atoi(strstr(here.ingest.log, "127.0.0.1:") + 10);
    char path[64];
    snprintf(path, sizeof(path), "%s/secret", here.stage.folder);
    cr_assert_eq(om_secret_load(path, &here.secret, why, sizeof(why)), OM_OK, "%s", why);
}

static void
end(void)
{
    program_finish(&here.ingest);
    stage_close(&here.stage);
}

TestSuite(uploads, .init = start, .fini = end, .timeout = 60);

static int
connect_edge(void)
{
    struct timeval limit = { .tv_sec = WAIT_MS / 1000 };
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)here.port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    cr_assert_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static void
send_all(int fd, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t sent = send(fd, bytes, size, MSG_NOSIGNAL);
        cr_assert_gt(sent, 0);
        bytes += sent;
        size -= (size_t)sent;
    }
}

// Send a blob, whole; the answer is not waited for.
static int
put_blob(void)
{
    char ref[OM_BLOB_REF_MAX], token[OM_GRANT_MAX], head[1024];
    struct om_grant grant = { .tenant = { { 1, 2, 3 } },
                              .task = "task_1",
                              .expires_ms = om_clock_wall_ms() + WAIT_MS,
                              .rights = OM_GRANT_WRITE };
    struct om_blob_ref blob = om_blob_ref_new(ROLE_REGISTRY, &grant.tenant);
    om_blob_ref_text(&blob, ref);
    om_grant_mint(&here.secret, &grant, token);
    int fd = connect_edge();
    int size = snprintf(head, sizeof(head),
                        "PUT /internal/blobs/%s HTTP/1.1\r\nHost: a\r\n"
                        "Authorization: Bearer %s\r\nContent-Length: %d\r\n\r\n",
                        ref, token, BODY);
    send_all(fd, head, (size_t)size);
    char *body = calloc(1, BODY);
    send_all(fd, body, BODY);
    free(body);
    return fd;
}

static void
expect_status(int fd, const char *status)
{
    char text[2048];
    ssize_t got = recv(fd, text, sizeof(text) - 1, 0);
    cr_assert_gt(got, 0, "no answer");
    text[got] = '\0';
    cr_expect(strncmp(text + 9, status, 3) == 0, "%s", text);
}

static void
set_gate(bool closed)
{
    if (closed)
        fclose(fopen(here.gate, "w"));
    else
        unlink(here.gate);
}

// The edge has one thread: what holds it up holds up everybody.
Test(uploads, hold_up_nobody_while_the_disk_is_slow)
{
    static const char get[] = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
    int uploads[6], other = connect_edge();
    set_gate(true);
    for (size_t i = 0; i < OM_COUNT(uploads); i++) // more than there are threads
        uploads[i] = put_blob();
    for (int i = 0; i < 20; i++) {
        send_all(other, get, sizeof(get) - 1);
        expect_status(other, "200");
    }
    for (size_t i = 0; i < OM_COUNT(uploads); i++) {
        struct pollfd polled = { uploads[i], POLLIN, 0 };
        cr_expect_eq(poll(&polled, 1, 0), 0, "it is not on disk yet");
    }
    set_gate(false);
    for (size_t i = 0; i < OM_COUNT(uploads); i++) {
        expect_status(uploads[i], "200");
        close(uploads[i]);
    }
    close(other);
    program_signal(&here.ingest, SIGTERM);
    cr_expect_eq(program_wait(&here.ingest, WAIT_MS), 0, "%s", here.ingest.log);
    cr_expect_null(strstr(here.ingest.log, "Sanitizer"), "%s", here.ingest.log);
}

Test(uploads, whose_clients_left_are_ended_before_the_edge_is)
{
    static const char get[] = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
    set_gate(true);
    for (int i = 0; i < 6; i++)
        close(put_blob());
    int other = connect_edge();
    send_all(other, get, sizeof(get) - 1);
    expect_status(other, "200");
    program_signal(&here.ingest, SIGTERM);
    set_gate(false);
    cr_expect_eq(program_wait(&here.ingest, WAIT_MS), 0, "%s", here.ingest.log);
    cr_expect_null(strstr(here.ingest.log, "Sanitizer"), "%s", here.ingest.log);
    close(other);
}
