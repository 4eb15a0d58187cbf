// Requests that failed: kept without their secrets, each tenant's own, for a time; and
// run again in the sandbox, never in the live tenant.
#include <arpa/inet.h>
#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "contract.h"
#include "http_ask.h"
#include "omni.h"
#include "pack.h"
#include "tools.h"

enum { WAIT_MS = 20000, KEY = 192, ID = 64, FIELDS_MAX = 6 };

static struct omni omni;

static struct http_answer answer; // the last one

// Every answer is one that the document says a request may get.
static void
expect_documented(const char *method, const char *path)
{
    static json_t *document;
    struct contract_answer seen = { .method = method,
                                    .path = path,
                                    .status = answer.status,
                                    .fields = answer.fields,
                                    .content_type = answer.type[0] ? answer.type : NULL,
                                    .body_bytes = answer.text.size,
                                    .body = answer.body };
    if (!document) {
        struct api_reply reply = { 0 };
        cr_assert_eq(api_call(omni.api, &reply, "GET", NULL, "/openapi.json"), EXIT_DONE);
        document = json_incref(reply.body);
        api_reply_finish(&reply);
    }
    const char *why = strcmp(path, "/metrics") ? contract_check(document, &seen) : NULL;
    cr_expect_null(why, "%s %s: %ld: %s", method, path, answer.status, why);
}

// Ask with a key; `fields` are lines, the last NULL, or NULL.
static long
ask(const char *key, const char *method, const char *path, const char *body,
    const char *const *fields)
{
    struct http_ask ask = {
        .url = omni.url, .path = path, .method = method, .key = key, .body = body
    };
    for (size_t i = 0; fields && fields[i]; i++) {
        cr_assert_lt(i, OM_COUNT(ask.fields));
        ask.fields[i] = fields[i];
    }
    http_ask(&ask, &answer);
    expect_documented(method, path);
    return answer.status;
}

static const char *
said(const char *path)
{
    return http_text(&answer, path);
}

static const char *
field(const char *name)
{
    return http_field(&answer, name);
}

// The id of our own of the last answer.
static void
take_id(char id[ID])
{
    const char *ours = field("omni-request-id");
    snprintf(id, ID, "%s", *ours ? ours : field("x-request-id"));
    cr_assert_eq(strncmp(id, "req_", 4), 0, "%s", answer.fields);
}

// Wait until the request is kept, and show it.
static void
await(const char *key, const char *id)
{
    char path[128];
    int64_t end_ms = om_clock_mono_ms() + WAIT_MS;
    snprintf(path, sizeof(path), "/developer/requests/%s", id);
    while (ask(key, "GET", path, NULL, NULL) != 200) {
        cr_assert_lt(om_clock_mono_ms(), end_ms, "%s is never kept", id);
        omni_pause();
    }
}

static long
replay(const char *key, const char *id, const char *idempotency_key)
{
    char path[128], line[128];
    const char *fields[] = { line, NULL };
    snprintf(path, sizeof(path), "/developer/requests/%s/replay", id);
    snprintf(line, sizeof(line), "Idempotency-Key: %s",
             idempotency_key ? idempotency_key : "");
    return ask(key, "POST", path, "", idempotency_key ? fields : NULL);
}

static void
make_key(const char *by, const char *json, char out[KEY])
{
    cr_assert_eq(ask(by, "POST", "/developer/keys", json, NULL), 201, "%s",
                 answer.text.data);
    snprintf(out, KEY, "%s", said("key"));
}

static void
make_tenant(const char *slug, char key[KEY])
{
    char json[128];
    snprintf(json, sizeof(json),
             "{\"name\":\"%s\",\"slug\":\"%s\",\"plan\":\"enterprise\"}", slug, slug);
    cr_assert_eq(ask(omni.key, "POST", "/api/v1/admin/tenants", json, NULL), 201);
    snprintf(key, KEY, "%s", said("key"));
}

static char a[KEY], b[KEY];

static void
begin(void)
{
    omni_open(&omni);
    make_tenant("a", a);
    make_tenant("b", b);
}

static void
end(void)
{
    omni_stop(&omni);
    omni_close(&omni);
    http_answer_finish(&answer);
}

TestSuite(requests, .init = begin, .fini = end, .timeout = 240);

// ---- secrets

static bool
file_holds(const char *path, const char *needle)
{
    struct om_buf bytes = { 0 };
    char block[65536];
    FILE *file = fopen(path, "r");
    if (!file)
        return false; // removed meanwhile
    for (size_t size; (size = fread(block, 1, sizeof(block), file)) > 0;)
        om_buf_put(&bytes, block, size);
    fclose(file);
    bool found = bytes.size && memmem(bytes.data, bytes.size, needle, strlen(needle));
    om_buf_finish(&bytes);
    return found;
}

// Which database has it? "" for none.
static const char *
database_with(const char *needle)
{
    static char path[512];
    struct dirent *entry;
    DIR *folder = opendir(omni.dir);
    cr_assert(folder);
    path[0] = '\0';
    while (!path[0] && (entry = readdir(folder))) {
        snprintf(path, sizeof(path), "%s/%s", omni.dir, entry->d_name);
        if (!strstr(entry->d_name, ".db") || !file_holds(path, needle))
            path[0] = '\0';
    }
    closedir(folder);
    return path;
}

Test(requests, no_secret_reaches_a_database)
{
    static const char *const secrets[] = { "hunter2-in-body", "hunter3-in-query",
                                           "hunter4-in-field", "ada@example.com",
                                           "hunter5-in-cookie" };
    const char *const fields[] = { "x-api-key: hunter4-in-field",
                                   "cookie: s=hunter5-in-cookie", "x-mark: seen-7391",
                                   NULL };
    char id[ID];
    cr_expect_eq(ask(a, "POST", "/api/v1/tasks?p%61ssword=hunter3-in-query",
                     "{\"queue\":\"NO\",\"kind\":\"k\",\"payload\":{\"to\":"
                     "\"ada@example.com\",\"pass\\u0077ord\":\"hunter2-in-body\"}}",
                     fields),
                 400);
    take_id(id);
    await(a, id);
    cr_expect_str_eq(said("query"), "p%61ssword=[redacted]");
    cr_expect(json_is_true(http_member(&answer, "redacted")));
    for (size_t i = 0; i < OM_COUNT(secrets); i++)
        cr_expect(
            !memmem(answer.text.data, answer.text.size, secrets[i], strlen(secrets[i])),
            "%s", secrets[i]);
    cr_expect(memmem(answer.text.data, answer.text.size, "seen-7391", 9));
    omni_stop(&omni);
    cr_expect_str_neq(database_with("seen-7391"), "", "it is in no database");
    for (size_t i = 0; i < OM_COUNT(secrets); i++)
        cr_expect_str_eq(database_with(secrets[i]), "", "%s", secrets[i]);
    cr_expect_str_eq(database_with(a), "", "the key");
    omni_start(&omni);
}

// ---- whose they are

Test(requests, are_their_tenants_alone_and_need_a_scope)
{
    char id[ID], unscoped[KEY], reader[KEY], test[KEY], path[128];
    cr_expect_eq(ask(a, "GET", "/v1/files/nothing", NULL, NULL), 404);
    take_id(id);
    await(a, id);
    cr_expect_str_eq(said("route"), "/v1/files/{id}");
    cr_expect_str_eq(said("code"), "not_found");
    make_key(a, "{\"name\":\"u\",\"scopes\":[\"files:read\"]}", unscoped);
    make_key(a, "{\"name\":\"r\",\"scopes\":[\"requests:read\"]}", reader);
    make_key(a, "{\"name\":\"t\",\"env\":\"test\"}", test);
    snprintf(path, sizeof(path), "/developer/requests/%s", id);
    cr_expect_eq(ask(b, "GET", path, NULL, NULL), 404);
    cr_expect_eq(replay(b, id, NULL), 404);
    cr_expect_eq(ask(test, "GET", path, NULL, NULL), 404); // a tenant of its own
    cr_expect_eq(ask(unscoped, "GET", path, NULL, NULL), 403);
    cr_expect_eq(ask(unscoped, "GET", "/developer/requests", NULL, NULL), 403);
    cr_expect_eq(ask(reader, "GET", path, NULL, NULL), 200);
    cr_expect_eq(replay(reader, id, NULL), 403);
    cr_expect_eq(ask(b, "GET", "/developer/requests?status=404", NULL, NULL), 200);
    json_t *item;
    size_t index;
    json_array_foreach (http_member(&answer, "data"), index, item)
        cr_expect_str_neq(json_string_value(json_object_get(item, "id")), id);
}

// ---- replay

// A request that fails in the live tenant and not in its sandbox: its Idempotency-Key was
// used there for something else.
static void
fail_live(char id[ID])
{
    const char *const fields[] = { "Idempotency-Key: once", NULL };
    ask(a, "POST", "/api/v1/tasks", "{\"queue\":\"nobodys\",\"kind\":\"first\"}", fields);
    cr_assert_eq(answer.status, 202);
    ask(a, "POST", "/api/v1/tasks", "{\"queue\":\"nobodys\",\"kind\":\"second\"}",
        fields);
    cr_assert_eq(answer.status, 422);
    take_id(id);
    await(a, id);
}

// The task that the replay made.
static void
take_task(char path[128])
{
    json_t *body = json_loads(said("body"), 0, NULL);
    snprintf(path, 128, "/api/v1/tasks/%s",
             json_string_value(json_object_get(body, "task_id")));
    json_decref(body);
}

Test(requests, a_replay_runs_in_the_sandbox_and_never_live)
{
    char id[ID], again[ID], path[128], other[128], test[KEY];
    fail_live(id);
    cr_assert_eq(replay(a, id, "r1"), 200, "%s", answer.text.data);
    cr_expect_eq(http_number(&answer, "status"), 202);
    cr_expect_str_eq(said("request"), id);
    snprintf(again, sizeof(again), "%s", said("id"));
    cr_expect_str_neq(again, field("x-request-id"));
    cr_expect_str_neq(again, id);
    take_task(path);
    make_key(a, "{\"name\":\"t\",\"env\":\"test\"}", test);
    cr_expect_eq(ask(test, "GET", path, NULL, NULL), 200);
    cr_expect_str_eq(said("kind"), "second");
    cr_expect_eq(ask(a, "GET", path, NULL, NULL), 404);
    // The same replay is done once, another one again.
    cr_assert_eq(replay(a, id, "r1"), 200);
    cr_expect_str_eq(field("idempotent-replayed"), "true");
    cr_expect_str_eq(said("id"), again);
    cr_assert_eq(replay(a, id, "r2"), 200);
    take_task(other);
    cr_expect_str_neq(other, path);
}

Test(requests, a_replay_may_do_no_more_than_the_key_that_asks_for_it)
{
    char id[ID], replayer[KEY];
    fail_live(id);
    make_key(a, "{\"name\":\"r\",\"scopes\":[\"requests:replay\"],\"concurrent\":1}",
             replayer);
    cr_assert_eq(replay(replayer, id, NULL), 200);
    cr_expect_eq(http_number(&answer, "status"), 403);
}

Test(requests, what_is_not_whole_is_not_replayed)
{
    static char large[20000];
    char id[ID];
    cr_expect_eq(
        ask(a, "POST", "/api/v1/tasks", "{\"queue\":\"NO\",\"password\":\"x\"}", NULL),
        400);
    take_id(id);
    await(a, id);
    cr_expect_eq(replay(a, id, NULL), 409);
    cr_expect(strstr(answer.text.data, "secret"), "%s", answer.text.data);
    memset(large, 'y', sizeof(large) - 1);
    cr_expect_eq(ask(a, "POST", "/api/v1/tasks", large, NULL), 400);
    take_id(id);
    await(a, id);
    cr_expect_str_eq(said("body_kept"), "cut");
    cr_expect_leq(strlen(said("body")), 16384u);
    cr_expect_eq(replay(a, id, NULL), 409);
    cr_expect(strstr(answer.text.data, "longer"), "%s", answer.text.data);
}

// ---- for how long

static size_t
listed(const char *key)
{
    cr_assert_eq(ask(key, "GET", "/developer/requests?limit=100", NULL, NULL), 200);
    return json_array_size(http_member(&answer, "data"));
}

Test(requests, outlive_a_restart_and_not_their_time)
{
    char id[ID];
    cr_expect_eq(ask(a, "GET", "/v1/files/nothing", NULL, NULL), 404);
    take_id(id);
    await(a, id);
    omni_kill(&omni);
    omni_start(&omni);
    await(a, id);
    omni_stop(&omni);
    setenv("OMNI_REQUEST_LOG_MS", "1", 1);
    omni_start(&omni);
    cr_expect_eq(listed(a), 0);
    omni_stop(&omni);
    unsetenv("OMNI_REQUEST_LOG_MS");
    omni_start(&omni);
    cr_expect_eq(listed(a), 0); // they were removed
}

Test(requests, one_tenants_flood_takes_nothing_from_another)
{
    char id[ID];
    omni_stop(&omni);
    setenv("OMNI_REQUEST_LOG_MAX", "20", 1);
    omni_start(&omni);
    cr_expect_eq(ask(b, "GET", "/v1/files/nothing", NULL, NULL), 404);
    take_id(id);
    await(b, id);
    for (int i = 0; i < 200; i++)
        cr_assert_eq(ask(a, "GET", "/v1/files/nothing", NULL, NULL), 404);
    int64_t end_ms = om_clock_mono_ms() + WAIT_MS;
    while (listed(a) < 20) {
        cr_assert_lt(om_clock_mono_ms(), end_ms);
        omni_pause();
    }
    cr_expect_eq(listed(a), 20);
    await(b, id);
    cr_expect_eq(ask(omni.key, "GET", "/metrics", NULL, NULL), 200);
    cr_expect(strstr(answer.text.data, "omni_request_log_total{result=\"dropped\"}"));
    unsetenv("OMNI_REQUEST_LOG_MAX");
}

Test(requests, wait_for_compliance_without_holding_up_anybody)
{
    char id[ID];
    pid_t old = omni_child(&omni, "compliance");
    cr_assert_eq(kill(old, SIGSTOP), 0);
    int64_t began_ms = om_clock_mono_ms();
    for (int i = 0; i < 20; i++)
        cr_expect_eq(ask(a, "POST", "/api/v1/tasks", "{\"queue\":\"NO\"}", NULL), 400);
    cr_expect_lt(om_clock_mono_ms() - began_ms, 5000);
    take_id(id);
    cr_assert_eq(kill(old, SIGKILL), 0);
    omni_child_after(&omni, "compliance", old);
    await(a, id);
}

// ---- ids

Test(requests, a_clients_id_comes_back_and_is_found)
{
    static const char *const good[] = { "my-id.1", "A:b/c+d=e@f~g_h",
                                        "0af7651916cd43dd8448eb211c80319c" };
    static const char *const bad[] = { "a b", "<script>", "a\tb",
                                       "a,b", "\xc3\xa9", "a\"b" };
    char line[256], longest[131], id[ID];
    const char *const fields[] = { line, NULL };
    for (size_t i = 0; i < OM_COUNT(good); i++) {
        snprintf(line, sizeof(line), "x-request-id: %s", good[i]);
        cr_expect_eq(ask(a, "GET", "/v1/files", NULL, fields), 200);
        cr_expect_str_eq(field("x-request-id"), good[i]);
        take_id(id);
    }
    memset(longest, 'a', sizeof(longest));
    for (size_t i = 0; i < OM_COUNT(bad) + 1; i++) {
        longest[129] = '\0';
        snprintf(line, sizeof(line), "x-request-id: %s",
                 i < OM_COUNT(bad) ? bad[i] : longest);
        cr_expect_eq(ask(a, "GET", "/v1/files", NULL, fields), 200);
        cr_expect_eq(strncmp(field("x-request-id"), "req_", 4), 0, "%s", line);
        cr_expect_str_eq(field("omni-request-id"), "");
    }
    snprintf(line, sizeof(line), "x-request-id: order-17");
    cr_expect_eq(ask(a, "GET", "/v1/files/nothing", NULL, fields), 404);
    take_id(id);
    await(a, id);
    cr_expect_str_eq(said("client_id"), "order-17");
    cr_expect_eq(ask(a, "GET", "/developer/requests?client_id=order-17", NULL, NULL),
                 200);
    cr_expect_str_eq(said("first_id"), id);
}

// Send bytes as they are; the answer's head is in answer.fields.
static void
send_raw(const char *bytes)
{
    struct sockaddr_in to = { .sin_family = AF_INET };
    const char *port = strrchr(omni.url, ':');
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct pollfd polled = { fd, POLLIN, 0 };
    size_t size = 1;
    to.sin_port = htons((uint16_t)atoi(port + 1));
    inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    cr_assert_eq(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    cr_assert_gt(write(fd, bytes, strlen(bytes)), 0);
    memcpy(answer.fields, "\n", 2);
    while (size < sizeof(answer.fields) - 1) {
        cr_assert_eq(poll(&polled, 1, WAIT_MS), 1);
        ssize_t got = read(fd, answer.fields + size, sizeof(answer.fields) - 1 - size);
        if (got <= 0)
            break;
        size += (size_t)got;
    }
    answer.fields[size] = '\0';
    close(fd);
}

Test(requests, what_is_refused_before_a_route_has_an_id_too)
{
    static const char *const bytes[] = {
        "nonsense\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET /%zz HTTP/1.1\r\nhost: x\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        "GET /nothing HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        "DELETE /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        "GET /v1/files HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    };
    for (size_t i = 0; i < OM_COUNT(bytes); i++) {
        send_raw(bytes[i]);
        cr_expect_eq(strncmp(field("x-request-id"), "req_", 4), 0, "%s", bytes[i]);
        cr_expect(strstr(answer.fields, field("x-request-id")));
    }
}

Test(requests, a_body_that_is_refused_while_it_comes_is_kept_as_unread)
{
    static char large[100 * 1024];
    // Without a length it is refused when the key is known.
    const char *const fields[] = { "x-request-id: mine", "Transfer-Encoding: chunked",
                                   NULL };
    char id[ID];
    memset(large, 'y', sizeof(large) - 1);
    cr_expect_eq(ask(a, "POST", "/api/v1/cache/purge", large, fields), 413);
    cr_expect_str_eq(field("x-request-id"), "mine");
    take_id(id);
    await(a, id);
    cr_expect_str_eq(said("body_kept"), "unread");
    cr_expect_str_eq(said("code"), "too_large");
    cr_expect_eq(replay(a, id, NULL), 409);
}

// ---- the command line

Test(requests, are_shown_and_replayed_by_the_command_line)
{
    char id[ID], line[128];
    const char *out;
    ask(omni.key, "POST", "/api/v1/tasks?a=1", "{\"queue\":\"NO\"}", NULL);
    take_id(id);
    await(omni.key, id);
    cr_expect_eq(omni_run(&omni, "requests --status 4xx --route /api/v1/tasks", &out), 0,
                 "%s", out);
    cr_expect(strstr(out, id), "%s", out);
    snprintf(line, sizeof(line), "requests show %s", id);
    cr_expect_eq(omni_run(&omni, line, &out), 0, "%s", out);
    cr_expect(strstr(out, "> POST /api/v1/tasks?a=1\n"), "%s", out);
    cr_expect(strstr(out, "> {\"queue\":\"NO\"}\n"), "%s", out);
    cr_expect(strstr(out, "> authorization: [redacted]\n"), "%s", out);
    cr_expect(strstr(out, "< 400\n"), "%s", out);
    snprintf(line, sizeof(line), "requests replay %s --idempotency-key x", id);
    cr_expect_eq(omni_run(&omni, line, &out), 0, "%s", out);
    cr_expect(strstr(out, "< 400\n"), "%s", out);
    cr_expect_eq(omni_run(&omni, "requests show req_x", &out), 1, "%s", out);
}
