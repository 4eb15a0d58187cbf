// A task's events as a stream: as they happen, after a lost connection, to slow clients.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tools.h"

enum { WAIT_S = 20, SMALL_WINDOW = 4096, EVENTS_MAX = 1000 };

static struct omni omni;
static struct program worker;

static void
start_worker(void)
{
    omni_start_worker(&omni, &worker, "worker", "echo");
}

static void
begin(void)
{
    setenv("OMNI_STREAMS_MAX", "3", 1);
    omni_open(&omni);
}

static void
end(void)
{
    program_finish(&worker);
    omni_close(&omni);
}

TestSuite(events, .init = begin, .fini = end, .timeout = 120);

static void
stop_all(void)
{
    omni_stop_worker(&worker);
    omni_stop(&omni);
}

static void
submit(const char *kind, char id[64])
{
    cr_assert_eq(omni_ask(&omni, "POST",
                          json_pack("{s:s,s:s}", "queue", "echo", "kind", kind),
                          "/api/v1/tasks"),
                 202);
    snprintf(id, 64, "%s", omni_text("task_id"));
}

// ---- a client that reads as slowly as it likes

struct event {
    long long id; // -1: none
    char name[16];
    char data[2048]; // its beginning
};

struct client {
    int fd;
    FILE *file;
    int status;
    char type[64];
};

// In HTTP/1.0, so that the body comes without chunks.
static void
ask(struct client *client, const char *task, const char *key, const char *fields)
{
    char text[1024], line[512];
    int window = SMALL_WINDOW;
    struct timeval limit = { .tv_sec = WAIT_S };
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port =
                                       htons((uint16_t)atoi(strrchr(omni.url, ':') + 1)),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    *client = (struct client){ .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
    setsockopt(client->fd, SOL_SOCKET, SO_RCVBUF, &window, sizeof(window));
    setsockopt(client->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    cr_assert_eq(connect(client->fd, (struct sockaddr *)&address, sizeof(address)), 0);
    int size = snprintf(text, sizeof(text),
                        "GET /api/v1/tasks/%s/events HTTP/1.0\r\n"
                        "Accept: text/event-stream\r\nAuthorization: Bearer %s\r\n%s\r\n",
                        task, key, fields);
    cr_assert_eq(send(client->fd, text, (size_t)size, MSG_NOSIGNAL), size);
    client->file = fdopen(client->fd, "r");
    cr_assert(fgets(line, sizeof(line), client->file));
    cr_assert_eq(sscanf(line, "HTTP/1.1 %d", &client->status), 1, "%s", line);
    while (fgets(line, sizeof(line), client->file) && strcmp(line, "\r\n") != 0)
        sscanf(line, "content-type: %63[^\r]", client->type);
}

static void
leave(struct client *client)
{
    fclose(client->file);
}

// The next event. False: the stream has ended.
static bool
next(struct client *client, struct event *event)
{
    static char line[8192];
    *event = (struct event){ .id = -1 };
    while (fgets(line, sizeof(line), client->file)) {
        line[strcspn(line, "\n")] = '\0';
        if (line[0] == '\0' && event->name[0])
            return true;
        sscanf(line, "id: %lld", &event->id);
        sscanf(line, "event: %15s", event->name);
        if (strncmp(line, "data: ", 6) == 0)
            snprintf(event->data, sizeof(event->data), "%.*s",
                     (int)sizeof(event->data) - 1, line + 6);
    }
    cr_assert(feof(client->file), "nothing came for %d s", WAIT_S);
    return false;
}

static bool
has(const struct event *event, const char *text)
{
    return strstr(event->data, text) != NULL;
}

// Read a task's stream to its end, from the event `last_id` on (NULL: all of it).
static size_t
read_all(const char *task, long long last_id, struct event *out)
{
    struct client client;
    char field[64] = "";
    size_t count = 0;
    if (last_id >= 0)
        snprintf(field, sizeof(field), "Last-Event-ID: %lld\r\n", last_id);
    ask(&client, task, omni.key, field);
    cr_assert_eq(client.status, 200);
    cr_assert_str_eq(client.type, "text/event-stream");
    while (count < EVENTS_MAX && next(&client, &out[count])) {
        cr_assert_gt(out[count].id, last_id, "%lld is not newer", out[count].id);
        last_id = out[count++].id;
    }
    leave(&client);
    return count;
}

Test(events, come_as_they_happen_and_end_with_the_task)
{
    struct client client;
    struct event event;
    char id[64];
    submit("stream", id);
    ask(&client, id, omni.key, "");
    cr_assert_eq(client.status, 200);
    cr_assert(next(&client, &event));
    cr_expect_str_eq(event.name, "task");
    cr_expect(has(&event, "\"status\":\"submitted\""), "%s", event.data);
    start_worker();
    int chunks = 0;
    long long last_id = 0;
    while (next(&client, &event)) {
        cr_expect_gt(event.id, last_id);
        last_id = event.id;
        chunks += strcmp(event.name, "chunk") == 0;
    }
    cr_expect_eq(chunks, 3);
    cr_expect_str_eq(event.name, "");
    leave(&client);
    stop_all();
}

Test(events, go_on_exactly_behind_any_of_them)
{
    static struct event all[EVENTS_MAX], rest[EVENTS_MAX];
    struct client client;
    char id[64], field[64];
    start_worker();
    submit("stream", id);
    omni_await(&omni, id, "complete", 10000);
    size_t count = read_all(id, -1, all);
    cr_assert_eq(count, 4, "three partial results and the end, not %zu", count);
    cr_expect(has(&all[count - 1], "\"status\":\"complete\""), "%s", all[count - 1].data);
    for (size_t from = 0; from + 1 < count; from++) {
        cr_assert_eq(read_all(id, all[from].id, rest), count - from - 1);
        for (size_t i = from + 1; i < count; i++) {
            cr_expect_eq(rest[i - from - 1].id, all[i].id);
            cr_expect_str_eq(rest[i - from - 1].data, all[i].data);
        }
    }
    // Who knows the end is told not to come back.
    snprintf(field, sizeof(field), "Last-Event-ID: %lld-end\r\n", all[count - 1].id);
    ask(&client, id, omni.key, field);
    cr_expect_eq(client.status, 204);
    leave(&client);
    stop_all();
}

// All of it is more than the buffers on the way hold: the client is waited for.
Test(events, behind_the_last_number_there_can_be_are_none)
{
    char id[64];
    submit("any", id);
    cr_assert_eq(omni_ask(&omni, "POST", NULL, "/api/v1/tasks/%s/cancel", id), 202);
    omni_await(&omni, id, "cancelled", 10000);
    cr_expect_eq(omni_ask(&omni, "GET", NULL,
                          "/api/v1/tasks/%s/events?after=9000000000000000", id),
                 200);
    cr_expect(json_is_true(json_object_get(omni_answer(), "ended")));
}

Test(events, wait_for_a_slow_client_and_leave_nothing_out)
{
    static struct event all[EVENTS_MAX];
    char id[64];
    start_worker();
    submit("flood", id);
    omni_await(&omni, id, "complete", 20000);
    size_t count = read_all(id, -1, all), chunks = 0;
    for (size_t i = 0; i < count; i++) {
        char wanted[32];
        snprintf(wanted, sizeof(wanted), "\"data\":\"%zu ", chunks);
        if (strcmp(all[i].name, "chunk") == 0)
            cr_assert(has(&all[i], wanted), "%s is not %s", all[i].data, wanted);
        chunks += strcmp(all[i].name, "chunk") == 0;
    }
    cr_expect_eq(chunks, 900);
    cr_expect(has(&all[count - 1], "\"status\":\"complete\""));
    stop_all();
}

Test(events, are_refused_as_any_request_is)
{
    static const struct {
        const char *task, *key, *fields;
        int status;
    } cases[] = {
        { "task_no", NULL, "", 404 },
        { "task_01h455vb4pex5vsknk084sn02q", NULL, "", 404 },
        { NULL, "omni_live_00000000000000000000000000000000", "", 401 },
        { NULL, NULL, "Last-Event-ID: seven\r\n", 400 },
        { NULL, NULL, "Last-Event-ID: -1\r\n", 400 },
        { NULL, NULL, "Last-Event-ID: 99999999999999999999\r\n", 400 },
    };
    char id[64];
    submit("echo", id);
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        struct client client;
        ask(&client, cases[i].task ? cases[i].task : id,
            cases[i].key ? cases[i].key : omni.key, cases[i].fields);
        cr_expect_eq(client.status, cases[i].status, "case %zu: %d", i, client.status);
        cr_expect_str_eq(client.type, "application/json");
        leave(&client);
    }
    stop_all();
}

Test(events, are_streamed_to_a_bounded_number_of_clients_of_a_tenant)
{
    struct client clients[4];
    struct event event;
    char id[64];
    submit("echo", id);
    for (int i = 0; i < 4; i++)
        ask(&clients[i], id, omni.key, "");
    for (int i = 0; i < 3; i++)
        cr_expect_eq(clients[i].status, 200);
    cr_expect_eq(clients[3].status, 429);
    for (int i = 0; i < 4; i += 3) // one that streams, and the refused one
        leave(&clients[i]);
    int64_t tries = 0;
    do { // the edge sees soon that one left
        ask(&clients[0], id, omni.key, "");
        if (clients[0].status == 429)
            leave(&clients[0]);
    } while (clients[0].status == 429 && tries++ < 1000);
    cr_expect_eq(clients[0].status, 200);

    // The end of the task ends them all, with its event.
    cr_assert_eq(omni_ask(&omni, "POST", NULL, "/api/v1/tasks/%s/cancel", id), 202);
    for (int i = 0; i < 3; i++) {
        bool told = false;
        while (next(&clients[i], &event))
            told = has(&event, "\"status\":\"cancelled\"");
        cr_expect(told, "%s", event.data);
        leave(&clients[i]);
    }
    stop_all();
}

Test(events, of_a_key_end_when_it_is_revoked)
{
    struct client client;
    struct event event;
    char id[64], key[192], key_id[64];
    submit("echo", id);
    cr_assert_eq(
        omni_ask(&omni, "POST",
                 json_pack("{s:s,s:[s]}", "name", "reader", "scopes", "tasks:read"),
                 "/developer/keys"),
        201);
    snprintf(key, sizeof(key), "%s", omni_text("key"));
    snprintf(key_id, sizeof(key_id), "%s", omni_text("id"));
    ask(&client, id, key, "");
    cr_assert_eq(client.status, 200);
    cr_assert(next(&client, &event));
    cr_assert_eq(omni_ask(&omni, "POST", NULL, "/developer/keys/%s/revoke", key_id), 200);
    cr_expect_not(next(&client, &event), "%s", event.data);
    leave(&client);
    ask(&client, id, key, "");
    cr_expect_eq(client.status, 401);
    leave(&client);
    stop_all();
}

Test(events, end_when_the_server_stops)
{
    struct client client;
    struct event event;
    char id[64];
    submit("echo", id);
    ask(&client, id, omni.key, "");
    cr_assert(next(&client, &event));
    stop_all();
    cr_expect_not(next(&client, &event));
    leave(&client);
}
