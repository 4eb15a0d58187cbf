// Every POST of the interface can be repeated with its Idempotency-Key: it is done once.
//
// The route table is walked; a new POST fails here until `samples` says how to ask it.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "clock.h"
#include "http_ask.h"
#include "keyed.h"
#include "omni.h"
#include "program.h"

enum { WAIT_MS = 20000, PATH = 160, BODY = 2048 };

static struct omni omni;
static struct program worker;

// POST to the path; `key` may be NULL.
static void
post_as(const char *api_key, const char *path, const char *key, const char *body,
        struct http_answer *out)
{
    struct http_ask ask = {
        .url = omni.url, .path = path, .key = api_key, .idempotency = key, .body = body
    };
    if (strncmp(body, "--form", 6) == 0)
        ask.fields[0] = "Content-Type: multipart/form-data; boundary=form";
    http_ask(&ask, out);
}

static void
post(const char *path, const char *key, const char *body, struct http_answer *out)
{
    post_as(omni.key, path, key, body, out);
}

// Make an object without a key; its id.
static const char *
make(const char *path, const char *body, const char *id)
{
    json_t *object = *body ? json_loads(body, 0, NULL) : NULL;
    long status = omni_ask(&omni, "POST", object, "%s", path);
    cr_assert(status < 300, "%s: %ld %s", path, status, omni_text("error.message"));
    return omni_text(id);
}

// ---- objects that requests name

static const char *
a_file(void)
{
    static char id[64];
    if (!*id)
        omni_upload(&omni, 40, id);
    return id;
}

static const char *
a_task(void)
{
    return make("/api/v1/tasks", "{\"queue\":\"nobodys\",\"kind\":\"k\"}", "task_id");
}

static const char *
a_failed_task(void)
{
    static char id[64];
    snprintf(id, sizeof(id), "%s",
             make("/api/v1/tasks", "{\"queue\":\"echo\",\"kind\":\"fail\"}", "task_id"));
    omni_await(&omni, id, "failed", WAIT_MS);
    return id;
}

static const char *
a_key(void)
{
    return make("/developer/keys", "{\"name\":\"a\"}", "id");
}

static const char *
a_user(void)
{
    static int number;
    char body[96];
    snprintf(body, sizeof(body), "{\"email\":\"user%d@example.org\"}", number++);
    return make("/api/v1/admin/users", body, "id");
}

static const char *
a_queue(void)
{
    return "nobodys";
}

static const char *
a_worker(void)
{
    char endpoint[128], key[192];
    program_finish(&worker);
    omni_endpoint(&omni, "OMNI_BROKER_WORK", endpoint, sizeof(endpoint));
    snprintf(key, sizeof(key), "%s",
             make("/developer/keys", "{\"name\":\"w\",\"scopes\":[\"worker\"]}", "key"));
    const char *const settings[] = { NULL };
    const char *const arguments[] = { endpoint, key, "echo", NULL };
    program_start(&worker, "../tests/echo_worker", settings, arguments);
    int64_t end_ms = om_clock_mono_ms() + WAIT_MS;
    for (bool there = false; !there;) {
        cr_assert_lt(om_clock_mono_ms(), end_ms, "the worker never came");
        cr_assert_eq(omni_ask(&omni, "GET", NULL, "/api/v1/workers"), 200);
        there = json_array_size(json_object_get(omni_answer(), "data")) == 1;
        if (!there)
            omni_pause();
    }
    return "echo";
}

static const char *
a_failed_request(void)
{
    int64_t end_ms = om_clock_mono_ms() + WAIT_MS;
    omni_ask(&omni, "GET", NULL, "/v1/files/nothing");
    do {
        cr_assert_lt(om_clock_mono_ms(), end_ms, "the request was never kept");
        omni_pause();
        cr_assert_eq(omni_ask(&omni, "GET", NULL,
                              "/developer/requests?route=/v1/files/%%7Bid%%7D"),
                     200);
    } while (!omni_text("last_id")[0]);
    return omni_text("last_id");
}

static const char *
an_error(void)
{
    int64_t end_ms = om_clock_mono_ms() + WAIT_MS;
    a_failed_task();
    do {
        cr_assert_lt(om_clock_mono_ms(), end_ms, "the error was never counted");
        omni_pause();
        cr_assert_eq(omni_ask(&omni, "GET", NULL, "/api/v1/errors"), 200);
    } while (!omni_text("last_id")[0]);
    return omni_text("last_id");
}

static const char *
a_tenant(void)
{
    return make("/api/v1/admin/tenants", "{\"name\":\"T\",\"slug\":\"t\"}", "id");
}

static const char *
a_model(void)
{
    return "seasonal-naive";
}

// ---- how every POST is asked

#define FORM(content)                                                                    \
    "--form\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\ndataset\r\n"      \
    "--form\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.csv\"\r\n\r"  \
    "\n" content "\r\n--form--\r\n"
#define TRAINING(epochs)                                                                 \
    "{\"model\":\"revenue-lstm\",\"training_file\":\"%s\",\"target\":\"passengers\","    \
    "\"horizon\":4,\"period\":4,\"params\":{\"epochs\":" epochs "}}"
#define SERIES(last)                                                                     \
    "{\"time_series\":[1,2,3,4,1,2,3,4,1,2,3," last "],\"forecast_steps\":2}"

// `object` stands for the parameter of the path, or for %s in the bodies.
static const struct sample {
    const char *pattern;
    const char *(*object)(void);
    const char *body, *other;
    bool once; // what it shows is shown once
} samples[] = {
    { "/v1/files", NULL, FORM("a\n1"), FORM("a\n2"), false },
    { "/api/v1/train/custom-model", a_file, TRAINING("2"), TRAINING("3"), false },
    { "/api/v1/predict/{model}", a_model, SERIES("4"), SERIES("5"), false },
    { "/api/v1/cache/purge", NULL, "{}", "{\"model\":\"a\"}", false },
    { "/api/v1/admin/tenants/{id}/cache/purge", a_tenant, "{}", "{\"model\":\"a\"}",
      false },
    { "/api/v1/tasks", NULL, "{\"queue\":\"nobodys\",\"kind\":\"k\"}",
      "{\"queue\":\"nobodys\",\"kind\":\"l\"}", false },
    { "/api/v1/tasks/batch", NULL, "{\"jobs\":[{\"queue\":\"nobodys\",\"kind\":\"k\"}]}",
      "{\"jobs\":[{\"queue\":\"nobodys\",\"kind\":\"l\"}]}", false },
    { "/api/v1/workflows", NULL, "{\"group\":[{\"queue\":\"nobodys\",\"kind\":\"k\"}]}",
      "{\"group\":[{\"queue\":\"nobodys\",\"kind\":\"l\"}]}", false },
    { "/api/v1/tasks/retry", a_failed_task, "{\"queue\":\"echo\"}",
      "{\"queue\":\"nobodys\"}", false },
    { "/api/v1/tasks/{id}/cancel", a_task, "", "{}", false },
    { "/api/v1/tasks/{id}/retry", a_failed_task, "", "{}", false },
    { "/api/v1/queues/{queue}/pause", a_queue, "", "{}", false },
    { "/api/v1/queues/{queue}/resume", a_queue, "", "{}", false },
    { "/api/v1/queues/{queue}/purge", a_queue, "", "{}", false },
    { "/api/v1/workers/{node}/drain", a_worker, "", "{}", false },
    { "/api/v1/admin/workers/{node}/drain", a_worker, "", "{}", false },
    { "/api/v1/schedules", NULL,
      "{\"cron\":\"0 0 1 1 *\",\"queue\":\"nobodys\",\"kind\":\"k\"}",
      "{\"cron\":\"0 0 1 1 *\",\"queue\":\"nobodys\",\"kind\":\"l\"}", false },
    { "/api/v1/compliance/audit/verify", NULL, "", NULL, false },
    { "/developer/keys", NULL, "{\"name\":\"a\"}", "{\"name\":\"b\"}", true },
    { "/developer/keys/{id}/rotate", a_key, "{}", "{\"overlap_s\":1}", true },
    { "/developer/keys/{id}/revoke", a_key, "", NULL, false },
    { "/developer/requests/{id}/replay", a_failed_request, "", NULL, false },
    { "/api/v1/errors/{id}/resolve", an_error, "", NULL, false },
    { "/api/v1/errors/{id}/ignore", an_error, "", NULL, false },
    { "/api/v1/errors/{id}/reopen", an_error, "", NULL, false },
    { "/api/v1/admin/tenants", NULL, "{\"name\":\"A\",\"slug\":\"a\"}",
      "{\"name\":\"B\",\"slug\":\"b\"}", true },
    { "/api/v1/admin/users", NULL, "{\"email\":\"a@example.org\"}",
      "{\"email\":\"b@example.org\"}", false },
    { "/api/v1/admin/users/{id}/delete", a_user, "", NULL, false },
    { "/api/v1/admin/roles", NULL,
      "{\"name\":\"a\",\"permissions\":[{\"permission\":\"files:*\"}]}",
      "{\"name\":\"b\",\"permissions\":[{\"permission\":\"files:*\"}]}", false },
    { "/api/v1/admin/bindings", a_user, "{\"user\":\"%s\",\"role\":\"viewer\"}",
      "{\"user\":\"%s\",\"role\":\"admin\"}", false },
    { "/api/v1/admin/teams", NULL, "{\"name\":\"a\"}", "{\"name\":\"b\"}", false },
};

static const struct sample *
find_sample(const char *pattern)
{
    for (size_t i = 0; i < OM_COUNT(samples); i++)
        if (strcmp(samples[i].pattern, pattern) == 0)
            return &samples[i];
    cr_assert_fail("no sample for POST %s", pattern);
    return NULL;
}

static void
put_object(const char *text, const char *object, char *out, size_t size)
{
    const char *mark = strstr(text, "%s"), *end = mark ? mark + 2 : NULL;
    if (!mark && (mark = strchr(text, '{')) && text[0] == '/')
        end = strchr(mark, '}') + 1;
    if (!end || !object)
        snprintf(out, size, "%s", text);
    else
        snprintf(out, size, "%.*s%s%s", (int)(mark - text), text, object, end);
}

static bool
was_replayed(const struct http_answer *answer)
{
    return strcasecmp(http_field(answer, "idempotent-replayed"), "true") == 0;
}

// ---- the tests

static void
begin(void)
{
    omni_open(&omni);
}

static void
end(void)
{
    program_finish(&worker);
    omni_close(&omni);
}

TestSuite(idempotency, .init = begin, .fini = end, .timeout = 300);

static void
walk(const struct sample *sample, const char *key)
{
    char object[64] = "", path[PATH], body[BODY], other[BODY];
    struct http_answer first = { 0 }, again = { 0 }, third = { 0 };
    if (sample->object)
        snprintf(object, sizeof(object), "%s", sample->object());
    put_object(sample->pattern, object, path, sizeof(path));
    put_object(sample->body, object, body, sizeof(body));
    post(path, key, body, &first);
    cr_assert(first.status < 300, "%s: %ld %s", path, first.status, first.text.data);
    cr_expect(!was_replayed(&first), "%s", path);
    post(path, key, body, &again);
    if (sample->once) {
        cr_expect_eq(again.status, 409, "%s: %s", path, again.text.data);
    } else {
        cr_expect_eq(again.status, first.status, "%s: %s", path, again.text.data);
        cr_expect_str_eq(again.text.data, first.text.data, "%s", path);
        cr_expect(was_replayed(&again), "%s", path);
    }
    if (sample->other) {
        put_object(sample->other, object, other, sizeof(other));
        post(path, key, other, &third);
        cr_expect_eq(third.status, 422, "%s: %ld %s", path, third.status,
                     third.text.data);
        cr_expect_str_eq(http_text(&third, "error.type"), "idempotency_error", "%s",
                         path);
        http_answer_finish(&third);
    }
    http_answer_finish(&first);
    http_answer_finish(&again);
}

Test(idempotency, every_post_is_done_once_and_answered_alike)
{
    a_worker();
    for (size_t i = 0; i < route_count; i++) {
        if (keyed_by(&routes[i]) != KEYED_NOBODY)
            walk(find_sample(routes[i].pattern), "the same key everywhere");
        else
            cr_expect_neq(routes[i].method, OM_HTTP_POST, "%s", routes[i].pattern);
    }
}

static int
count(const char *path, const char *field, const char *value)
{
    int found = 0;
    cr_assert_eq(omni_ask(&omni, "GET", NULL, "%s?limit=100", path), 200);
    json_t *data = json_object_get(omni_answer(), "data"), *one;
    size_t i;
    json_array_foreach (data, i, one) {
        const char *text = json_string_value(json_object_get(one, field));
        found += text && strcmp(text, value) == 0;
    }
    return found;
}

Test(idempotency, there_is_one_object_however_often_it_is_asked_for)
{
    static const struct {
        const char *path, *body, *field, *value;
    } cases[] = {
        { "/v1/files", FORM("a\n1"), "filename", "a.csv" },
        { "/api/v1/tasks", "{\"queue\":\"nobodys\",\"kind\":\"k\"}", "kind", "k" },
        { "/api/v1/schedules",
          "{\"cron\":\"0 0 1 1 *\",\"queue\":\"nobodys\",\"kind\":\"k\"}", "kind", "k" },
        { "/developer/keys", "{\"name\":\"only\"}", "name", "only" },
        { "/api/v1/admin/teams", "{\"name\":\"only\"}", "name", "only" },
        { "/api/v1/admin/tenants", "{\"name\":\"Only\",\"slug\":\"only\"}", "slug",
          "only" },
    };
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        for (int n = 0; n < 3; n++) {
            struct http_answer answer = { 0 };
            post(cases[i].path, "k", cases[i].body, &answer);
            cr_expect(n ? answer.status < 300 || answer.status == 409
                        : answer.status < 300,
                      "%s: %ld %s", cases[i].path, answer.status, answer.text.data);
            http_answer_finish(&answer);
        }
        cr_expect_eq(count(cases[i].path, cases[i].field, cases[i].value), 1, "%s",
                     cases[i].path);
    }
}

Test(idempotency, a_key_counts_for_its_tenant_and_path)
{
    struct http_answer answer = { 0 };
    char other[192];
    snprintf(
        other, sizeof(other), "%s",
        make("/api/v1/admin/tenants", "{\"name\":\"Other\",\"slug\":\"other\"}", "key"));
    const struct {
        const char *key, *path, *body;
    } cases[] = {
        { omni.key, "/api/v1/admin/teams", "{\"name\":\"a\"}" },
        { other, "/api/v1/admin/teams", "{\"name\":\"b\"}" },
        { omni.key, "/api/v1/tasks", "{\"queue\":\"q\",\"kind\":\"a\"}" },
        { other, "/api/v1/tasks", "{\"queue\":\"q\",\"kind\":\"b\"}" },
        { omni.key, "/api/v1/queues/q/pause", "" },
        { omni.key, "/api/v1/queues/r/pause", "" },
        { other, "/api/v1/queues/q/pause", "" },
    };
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        post_as(cases[i].key, cases[i].path, "k", cases[i].body, &answer);
        cr_expect(answer.status < 300 && !was_replayed(&answer), "case %zu: %ld %s", i,
                  answer.status, answer.text.data);
        http_answer_finish(&answer);
    }
}

Test(idempotency, a_failure_is_not_remembered_and_a_bad_key_refused)
{
    struct http_answer answer = { 0 };
    char longest[257];
    const char *path = "/api/v1/admin/teams";
    post(path, "k", "{}", &answer);
    cr_expect_eq(answer.status, 400);
    http_answer_finish(&answer);
    post(path, "k", "{\"name\":\"a\"}", &answer);
    cr_expect_eq(answer.status, 201, "%s", answer.text.data);
    http_answer_finish(&answer);
    post("/api/v1/workers/nobody/drain", "k", "", &answer);
    cr_expect_eq(answer.status, 404);
    http_answer_finish(&answer);
    post("/api/v1/workers/nobody/drain", "k", "", &answer);
    cr_expect_eq(answer.status, 404, "it is not under way any more");
    http_answer_finish(&answer);
    memset(longest, 'k', sizeof(longest));
    longest[256] = '\0';
    post(path, longest, "{\"name\":\"b\"}", &answer);
    cr_expect_eq(answer.status, 400);
    http_answer_finish(&answer);
    longest[255] = '\0';
    post(path, longest, "{\"name\":\"b\"}", &answer);
    cr_expect_eq(answer.status, 201);
    http_answer_finish(&answer);
}

Test(idempotency, a_repeat_is_known_after_everything_was_killed)
{
    struct http_answer first = { 0 }, again = { 0 };
    static const char *const paths[][2] = {
        { "/api/v1/admin/teams", "{\"name\":\"a\"}" },
        { "/api/v1/queues/q/pause", "" },
        { "/api/v1/tasks", "{\"queue\":\"q\",\"kind\":\"k\"}" },
        { "/api/v1/predict/seasonal-naive", SERIES("4") },
    };
    for (size_t i = 0; i < OM_COUNT(paths); i++) {
        post(paths[i][0], "k", paths[i][1], &first);
        cr_assert(first.status < 300, "%s", first.text.data);
        omni_kill(&omni);
        omni_start(&omni);
        post(paths[i][0], "k", paths[i][1], &again);
        cr_expect(was_replayed(&again), "%s: %ld %s", paths[i][0], again.status,
                  again.text.data);
        cr_expect_str_eq(again.text.data, first.text.data, "%s", paths[i][0]);
        http_answer_finish(&first);
        http_answer_finish(&again);
    }
}
