// The HTTP edge as a real program, with the real broker, identity and registry.
#include <criterion/criterion.h>
#include <curl/curl.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "contract.h"
#include "exchange.h"
#include "openapi.h"
#include "program.h"
#include "stage.h"

enum { DEADLINE_MS = 20000, BIG = 3 << 20 };

static struct setup {
    struct stage stage;
    char url[64], admin[128];
    struct program broker, identity, registry, billing, ingest;
    // The last answer.
    long status;
    struct om_buf text;
    json_t *body;
    char request_id[64], fields[4096], type[64];
} here;

// ---- asking

static size_t
on_text(char *data, size_t size, size_t count, void *context)
{
    om_buf_put(context, data, size * count);
    return size * count;
}

static size_t
on_field(char *data, size_t size, size_t count, void *context)
{
    (void)context;
    size_t used = strlen(here.fields), room = sizeof(here.fields) - used - 1;
    size_t take = size * count < room ? size * count : room;
    memcpy(here.fields + used, data, take);
    here.fields[used + take] = '\0';
    return size * count;
}

struct ask {
    const char *method, *path, *key;
    const char *body;
    size_t body_size; // 0: strlen
    const char *type, *idem_key;
    const char *fields[3]; // "Name: value"
    curl_mime *form;
};

static struct curl_slist *
add_header(struct curl_slist *list, const char *name, const char *value)
{
    char line[512];
    snprintf(line, sizeof(line), "%s%s", name, value);
    return curl_slist_append(list, line);
}

static long
perform(CURL *curl, const struct ask *ask)
{
    char url[512];
    struct curl_slist *headers = NULL;
    snprintf(url, sizeof(url), "%s%s", here.url, ask->path);
    if (ask->key)
        headers = add_header(headers, "Authorization: Bearer ", ask->key);
    if (ask->type)
        headers = add_header(headers, "Content-Type: ", ask->type);
    if (ask->idem_key)
        headers = add_header(headers, "Idempotency-Key: ", ask->idem_key);
    for (size_t i = 0; i < OM_COUNT(ask->fields); i++)
        if (ask->fields[i])
            headers = add_header(headers, ask->fields[i], "");
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)DEADLINE_MS);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_text);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &here.text);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_field);
    if (ask->body) {
        size_t size = ask->body_size ? ask->body_size : strlen(ask->body);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, ask->body);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)size);
    }
    if (ask->form)
        curl_easy_setopt(curl, CURLOPT_MIMEPOST, ask->form);
    if (strcmp(ask->method, "HEAD") == 0)
        curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, ask->method);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    CURLcode code = curl_easy_perform(curl);
    cr_assert_eq(code, CURLE_OK, "%s %s: %s", ask->method, ask->path,
                 curl_easy_strerror(code));
    const char *type = NULL;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &here.status);
    curl_easy_getinfo(curl, CURLINFO_CONTENT_TYPE, &type);
    snprintf(here.type, sizeof(here.type), "%s", type ? type : "");
    curl_slist_free_all(headers);
    return here.status;
}

// Every answer is one that the document says a request may get.
static void
expect_documented(const struct ask *ask)
{
    static json_t *document;
    if (!document) {
        OM_AUTO(om_buf_finish) struct om_buf text = { 0 };
        openapi_write(&text);
        document = json_loadb(text.data, text.size, 0, NULL);
    }
    struct contract_answer answer = { ask->method,
                                      ask->path,
                                      here.status,
                                      here.fields,
                                      here.type[0] ? here.type : NULL,
                                      here.text.size,
                                      here.body };
    const char *why = contract_check(document, &answer);
    cr_expect_null(why, "%s\n%.*s", why, (int)here.text.size, here.text.data);
}

// Every answer has a request id, also in an error's body.
static void
read_answer(const struct ask *ask)
{
    json_decref(here.body);
    here.body =
        here.text.size ? json_loadb(here.text.data, here.text.size, 0, NULL) : NULL;
    expect_documented(ask);
    const char *id = strcasestr(here.fields, "x-request-id: req_");
    cr_assert(id, "%s %s has no request id", ask->method, ask->path);
    snprintf(here.request_id, sizeof(here.request_id), "%.30s", id + 14);
    if (here.status < 400 || strcmp(ask->method, "HEAD") == 0)
        return;
    const char *in_body = json_string_value(
        json_object_get(json_object_get(here.body, "error"), "request_id"));
    cr_expect(in_body && strcmp(in_body, here.request_id) == 0, "%s %s: %.*s",
              ask->method, ask->path, (int)here.text.size, here.text.data);
}

static long
ask(struct ask ask)
{
    CURL *curl = curl_easy_init();
    om_buf_reset(&here.text);
    here.fields[0] = '\0';
    perform(curl, &ask);
    curl_easy_cleanup(curl);
    read_answer(&ask);
    return here.status;
}

static long
get(const char *path)
{
    return ask((struct ask){ .method = "GET", .path = path, .key = here.admin });
}

static long
post(const char *path, const char *body)
{
    return ask(
        (struct ask){ .method = "POST", .path = path, .key = here.admin, .body = body });
}

static const char *
text_of(const char *key)
{
    const char *text = json_string_value(json_object_get(here.body, key));
    return text ? text : "";
}

static int64_t
number_of(const char *key)
{
    return json_integer_value(json_object_get(here.body, key));
}

static const char *
error_of(const char *key)
{
    const char *text =
        json_string_value(json_object_get(json_object_get(here.body, "error"), key));
    return text ? text : "";
}

// ---- setting up

static void
await_ready(void)
{
    int64_t deadline_ms = om_clock_mono_ms() + DEADLINE_MS;
    while (get("/readyz") != 200)
        cr_assert_lt(om_clock_mono_ms(), deadline_ms, "never ready");
}

static void
begin(void)
{
    here = (struct setup){ 0 };
    stage_open(&here.stage);
    stage_set(&here.stage, "OMNI_BROKER", "ipc://%s/client", here.stage.folder);
    stage_set(&here.stage, "OMNI_BROKER_WORK", "ipc://%s/work", here.stage.folder);
    stage_set(&here.stage, "OMNI_DATABASE", "sqlite:%s/data", here.stage.folder);
    stage_set(&here.stage, "OMNI_BLOBS", "dir:%s/blobs", here.stage.folder);
    stage_set(&here.stage, "OMNI_ADMIN_KEY_FILE", "%s/admin.key", here.stage.folder);
    stage_set(&here.stage, "OMNI_SECRET_FILE", "%s/secret", here.stage.folder);
    stage_set(&here.stage, "OMNI_KEYS", "%s", "");
    stage_set(&here.stage, "OMNI_LISTEN", "127.0.0.1:0");
    stage_set(&here.stage, "OMNI_LOG_FORMAT", "json");
    stage_set(&here.stage, "OMNI_TRUSTED_PROXIES", "127.0.0.0/8");
    stage_set(&here.stage, "OMNI_CORS_ORIGINS", "https://app.example");
    stage_set(&here.stage, "OMNI_FAILED_KEYS", "0"); // all routes see wrong keys
    program_start(&here.broker, "omni-broker", here.stage.list, NULL);
    program_expect_log(&here.broker, "serving");
    program_start(&here.identity, "omni-identity", here.stage.list, NULL);
    program_start(&here.registry, "omni-registry", here.stage.list, NULL);
    program_start(&here.billing, "omni-billing", here.stage.list, NULL);
    program_start(&here.ingest, "omni-ingest", here.stage.list, NULL);
    program_expect_log(&here.identity, "serving");
    program_expect_log(&here.billing, "serving");
    program_expect_log(&here.ingest, "listening");
    const char *address = strstr(here.ingest.log, "127.0.0.1:");
    cr_assert(address);
    snprintf(here.url, sizeof(here.url), "http://%.*s", (int)strcspn(address, "\""),
             address);
    stage_read(&here.stage, "admin.key", here.admin, sizeof(here.admin));
    await_ready();
}

static void
end(void)
{
    program_signal(&here.ingest, SIGTERM);
    cr_expect_eq(program_wait(&here.ingest, DEADLINE_MS), 0, "%s", here.ingest.log);
    cr_expect_null(strstr(here.ingest.log, "Sanitizer"), "%s", here.ingest.log);
    program_finish(&here.billing);
    program_finish(&here.registry);
    program_finish(&here.identity);
    program_finish(&here.broker);
    json_decref(here.body);
    om_buf_finish(&here.text);
    stage_close(&here.stage);
}

TestSuite(ingest, .init = begin, .fini = end, .timeout = 120);

// ---- who may ask

Test(ingest, answers_401_on_every_route_without_a_right_key)
{
    static const char *const keys[] = {
        NULL, "nonsense", "omni_live_00000000000000000000000000000000",
        "omg1.eyJ0IjoidGVuXzAifQ.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    };
    for (size_t i = 0; i < route_count; i++)
        for (size_t k = 0; k < OM_COUNT(keys); k++) {
            if (routes[i].auth == AUTH_NONE)
                continue;
            ask((struct ask){ .method = om_http_method_name(routes[i].method),
                              .path = routes[i].pattern,
                              .key = keys[k],
                              .body = routes[i].flags & ROUTE_BODY ? "{}" : NULL });
            cr_expect_eq(here.status, 401, "%s %s with %s: %ld",
                         om_http_method_name(routes[i].method), routes[i].pattern,
                         keys[k] ? keys[k] : "no key", here.status);
            cr_expect(strcasestr(here.fields, "www-authenticate: Bearer"));
            cr_expect_str_eq(error_of("type"), "authentication_error");
        }
}

Test(ingest, answers_anyone_who_asks_for_what_is_public)
{
    static const char *const paths[] = { "/healthz", "/readyz", "/openapi.json" };
    for (size_t i = 0; i < OM_COUNT(paths); i++) {
        cr_expect_eq(ask((struct ask){ .method = "GET", .path = paths[i] }), 200);
        cr_expect(json_is_object(here.body), "%s", paths[i]);
        cr_expect_eq(ask((struct ask){ .method = "HEAD", .path = paths[i] }), 200);
        cr_expect_eq(here.text.size, 0);
        cr_expect_eq(ask((struct ask){ .method = "POST", .path = paths[i] }), 405);
        cr_expect(strcasestr(here.fields, "allow: GET, HEAD"));
    }
}

Test(ingest, lets_a_key_do_what_its_scopes_say_until_it_is_revoked)
{
    char key[128], path[128];
    cr_assert_eq(post("/developer/keys",
                      "{\"name\":\"reader\",\"scopes\":[\"files:read\",\"keys:write\"]}"),
                 201);
    snprintf(key, sizeof(key), "%s", text_of("key"));
    snprintf(path, sizeof(path), "/developer/keys/%s/revoke", text_of("id"));

    struct ask list = { .method = "GET", .path = "/v1/files", .key = key };
    cr_expect_eq(ask(list), 200);
    struct ask other = { .method = "GET", .path = "/api/v1/tasks", .key = key };
    cr_expect_eq(ask(other), 403);
    cr_expect(strstr(error_of("message"), "tasks:read"), "%s", error_of("message"));
    struct ask grow = { .method = "POST",
                        .path = "/developer/keys",
                        .key = key,
                        .body = "{\"name\":\"more\",\"scopes\":[\"train\"]}" };
    cr_expect_eq(ask(grow), 403, "it cannot grant what it has not");

    cr_assert_eq(post(path, NULL), 200);
    int64_t revoked_ms = om_clock_mono_ms();
    while (ask(list) == 200)
        cr_assert_lt(om_clock_mono_ms(), revoked_ms + 1500, "still good");
    cr_expect_eq(here.status, 401);
}

// ---- what is asked

Test(ingest, speaks_the_version_the_request_or_its_key_names_and_no_other)
{
    char key[128];
    struct ask ask_for = { .method = "GET", .path = "/v1/files", .key = here.admin };
    cr_expect_eq(ask(ask_for), 200);
    cr_expect(strcasestr(here.fields, "omni-version: 2026-11-01"), "%s", here.fields);
    ask_for.fields[0] = "Omni-Version: 2026-11-01";
    cr_expect_eq(ask(ask_for), 200);
    cr_expect(strcasestr(here.fields, "omni-version: 2026-11-01"), "%s", here.fields);

    static const char *const unknown[] = { "Omni-Version: 2026-11-02",
                                           "Omni-Version: 2026-11-01 ,x",
                                           "Omni-Version: latest", "Omni-Version;" };
    for (size_t i = 0; i < OM_COUNT(unknown); i++) {
        ask_for.fields[0] = unknown[i];
        cr_expect_eq(ask(ask_for), 400, "%s", unknown[i]);
        cr_expect_str_eq(error_of("code"), "invalid_request");
        cr_expect_str_eq(error_of("param"), "Omni-Version");
        cr_expect(strstr(error_of("message"), "2026-11-01"), "%s", error_of("message"));
    }
    ask_for.key = "omni_live_00000000000000000000000000000000";
    cr_expect_eq(ask(ask_for), 401, "who asks comes first");

    cr_expect_eq(post("/developer/keys", "{\"name\":\"k\",\"version\":\"2026-11-02\"}"),
                 400);
    cr_expect_str_eq(error_of("param"), "version");
    cr_assert_eq(post("/developer/keys", "{\"name\":\"k\",\"version\":\"2026-11-01\"}"),
                 201);
    snprintf(key, sizeof(key), "%s",
             json_string_value(json_object_get(here.body, "key")));
    cr_expect_eq(ask((struct ask){ .method = "GET", .path = "/v1/files", .key = key }),
                 200);
    cr_expect(strcasestr(here.fields, "omni-version: 2026-11-01"), "%s", here.fields);
}

// ---- pages

// The names of a page of teams, in their order.
static void
expect_teams(const char *query, const char *names, bool has_more)
{
    char path[256], got[64] = "";
    size_t i;
    json_t *team;
    snprintf(path, sizeof(path), "/api/v1/admin/teams%s", query);
    cr_assert_eq(get(path), 200, "%.*s", (int)here.text.size, here.text.data);
    json_array_foreach (json_object_get(here.body, "data"), i, team)
        strncat(got, json_string_value(json_object_get(team, "name")), 8);
    cr_expect_str_eq(got, names, "%s", query);
    cr_expect_eq(json_is_true(json_object_get(here.body, "has_more")), has_more, "%s",
                 query);
}

Test(ingest, pages_go_forth_and_back_in_either_order)
{
    static const char *const names[] = { "a", "b", "c", "d", "e" };
    char ids[OM_COUNT(names)][64], query[160];
    for (size_t i = 0; i < OM_COUNT(names); i++) {
        char body[64];
        snprintf(body, sizeof(body), "{\"name\":\"%s\"}", names[i]);
        cr_assert_eq(post("/api/v1/admin/teams", body), 201);
        snprintf(ids[i], sizeof(ids[i]), "%s",
                 json_string_value(json_object_get(here.body, "id")));
    }
    expect_teams("", "edcba", false);
    expect_teams("?limit=2", "ed", true);
    expect_teams("?limit=2&order=asc", "ab", true);
    expect_teams("?order=desc&limit=5", "edcba", false);
    const struct {
        const char *query, *names; // the id follows
        int id;
        bool has_more;
    } cases[] = {
        { "?limit=2&after=", "cb", 3, true },
        { "?limit=2&after=", "a", 1, false },
        { "?limit=2&before=", "cb", 0, true },
        { "?limit=2&before=", "ed", 2, false },
        { "?limit=2&before=", "", 4, false },
        { "?limit=2&order=asc&after=", "cd", 1, true },
        { "?limit=2&order=asc&before=", "cd", 4, true },
        { "?limit=9&order=asc&before=", "ab", 2, false },
    };
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        snprintf(query, sizeof(query), "%s%s", cases[i].query, ids[cases[i].id]);
        expect_teams(query, cases[i].names, cases[i].has_more);
    }
    snprintf(query, sizeof(query), "?after=%s&before=%s", ids[4], ids[1]);
    expect_teams(query, "dc", false);
}

Test(ingest, refuses_what_no_listing_knows)
{
    static const struct {
        const char *query, *param;
    } cases[] = { { "limit=0", "limit" },          { "limit=101", "limit" },
                  { "limit=x", "limit" },          { "limit=1&limit=2", "limit" },
                  { "order=up", "order" },         { "after=nonsense", "after" },
                  { "before=nonsense", "before" }, { "sort=name", "sort" },
                  { "bananas=1", "bananas" } };
    size_t listings = 0;
    for (size_t i = 0; i < route_count; i++) {
        const struct route *route = &routes[i];
        const struct rec *type = route_request(route);
        bool pages = false;
        for (size_t j = 0; type && j < type->count; j++)
            pages |= strcmp(type->fields[j].name, "before") == 0;
        // There are no others here.
        bool here_too = route->op < OP_COUNT && (ops[route->op].queue == QUEUE_IDENTITY ||
                                                 ops[route->op].queue == QUEUE_REGISTRY);
        if (!pages || !here_too)
            continue;
        listings++;
        for (size_t j = 0; j < OM_COUNT(cases); j++) {
            char path[256];
            snprintf(path, sizeof(path), "%s?%s", route->pattern, cases[j].query);
            cr_expect_eq(get(path), 400, "%s: %ld", path, here.status);
            cr_expect_str_eq(error_of("param"), cases[j].param, "%s", path);
        }
    }
    cr_expect_geq(listings, 7);
}

// Make a test key, with more members of the request if `more` is not empty.
static void
make_test_key(const char *more, char *out, size_t size)
{
    char body[128];
    snprintf(body, sizeof(body), "{\"name\":\"t\",\"env\":\"test\"%s}", more);
    cr_assert_eq(post("/developer/keys", body), 201, "%.*s", (int)here.text.size,
                 here.text.data);
    snprintf(out, size, "%s", json_string_value(json_object_get(here.body, "key")));
}

Test(ingest, ends_a_test_key_by_the_clock_of_its_sandbox)
{
    static const struct {
        const char *clock;
        long status;
    } changes[] = { { "{\"clock_ms\":7200000}", 401 }, { "{\"clock_ms\":0}", 200 } };
    char keeper[128], ending[128], more[64];
    snprintf(more, sizeof(more), ",\"expires_ms\":%lld",
             (long long)om_clock_wall_ms() + 3600000);
    make_test_key("", keeper, sizeof(keeper));
    make_test_key(more, ending, sizeof(ending));
    struct ask list = { .method = "GET", .path = "/v1/files", .key = ending };
    cr_expect_eq(ask(list), 200);
    for (size_t i = 0; i < OM_COUNT(changes); i++) {
        struct ask set = { .method = "PATCH",
                           .path = "/api/v1/tenants/me",
                           .key = keeper,
                           .body = changes[i].clock };
        cr_assert_eq(ask(set), 200, "%.*s", (int)here.text.size, here.text.data);
        int64_t until_ms = om_clock_mono_ms() + 1000;
        while (ask(list) != changes[i].status)
            cr_assert_lt(om_clock_mono_ms(), until_ms, "%s", changes[i].clock);
    }
    struct ask back = { .method = "PATCH",
                        .path = "/api/v1/tenants/me",
                        .key = keeper,
                        .body = "{\"clock_ms\":-1}" };
    cr_expect_eq(ask(back), 400, "it is never behind, or what has ended would go on");
}

Test(ingest, answers_what_is_wrong_with_a_body)
{
    static const struct {
        const char *path, *body;
        long status;
        const char *param, *words;
    } cases[] = {
        { "/api/v1/tasks", "no json", 400, "", "not JSON" },
        { "/api/v1/tasks", "{\"queue\":\"a\",\"kind\":\"k\"", 400, "", "not JSON" },
        { "/api/v1/tasks", "{\"queue\":\"a\",\"queue\":\"a\"}", 400, "", "duplicate" },
        { "/api/v1/tasks", "[]", 400, "", "object" },
        { "/api/v1/tasks", "", 400, "queue", "required" },
        { "/api/v1/tasks", "{\"queeu\":\"a\"}", 400, "queeu", "did you mean \"queue\"" },
        { "/api/v1/tasks", "{\"queue\":\"a\",\"kind\":1}", 400, "kind", "a string" },
        { "/api/v1/tasks", "{\"queue\":\"A\",\"kind\":\"k\"}", 400, "queue", "letter" },
        { "/api/v1/tasks", "{\"queue\":\"omni.billing\",\"kind\":\"k\"}", 403, "queue",
          "platform" },
        { "/developer/keys", "{\"name\":\"\"}", 400, "name", "1 to 128" },
        { "/developer/keys", "{\"name\":\"a\",\"granted\":[]}", 400, "granted",
          "no field" },
        { "/api/v1/nothing", "{}", 404, "", "path" },
        { "/api/v1/tasks/task_00000000000000000000000000/retry", "{}", 404, "", "" },
    };
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        cr_expect_eq(post(cases[i].path, cases[i].body), cases[i].status, "%s: %ld %s",
                     cases[i].body, here.status, error_of("message"));
        cr_expect_str_eq(error_of("param"), cases[i].param, "%s", cases[i].body);
        cr_expect(strstr(error_of("message"), cases[i].words), "%s: %s", cases[i].body,
                  error_of("message"));
    }
}

Test(ingest, names_the_parameter_that_is_wrong)
{
    static const struct {
        const char *path, *param, *words;
    } cases[] = {
        { "/api/v1/tasks?limit=0", "limit", "1 to 100" },
        { "/api/v1/tasks?limit=5&limit=6", "limit", "once" },
        { "/api/v1/tasks?after=&after=", "after", "once" },
        { "/api/v1/tasks?limit=007", "limit", "an integer" },
        { "/api/v1/tasks?limit=+7", "limit", "an integer" },
        { "/api/v1/tasks?limit=1.", "limit", "an integer" },
        { "/api/v1/tasks?limit=.1", "limit", "an integer" },
        { "/api/v1/tasks?limit=-", "limit", "an integer" },
        { "/api/v1/tasks?limit=1.5", "limit", "an integer" },
        { "/api/v1/tasks?limit=1e999", "limit", "an integer" },
        { "/api/v1/tasks?limit=99999999999999999999", "limit", "an integer" },
        { "/api/v1/tasks?bogus=1", "bogus", "no field" },
    };
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        cr_expect_eq(get(cases[i].path), 400, "%s: %ld", cases[i].path, here.status);
        cr_expect_str_eq(error_of("param"), cases[i].param, "%s", cases[i].path);
        cr_expect(strstr(error_of("message"), cases[i].words), "%s: %s", cases[i].path,
                  error_of("message"));
    }
    cr_expect_eq(get("/api/v1/tasks?limit=10"), 200);
}

// A refusal has no exchange; what it said must not be in front of somebody's next answer.
Test(ingest, says_nothing_of_a_refused_request_in_the_next_answer)
{
    for (int i = 0; i < 32; i++) { // connections are spread over the edge's threads
        cr_expect_eq(get("/healthz?a=%zz"), 400);
        cr_expect_eq(get("/healthz"), 200);
        cr_assert_str_eq(text_of("status"), "ok", "%.*s", (int)here.text.size,
                         here.text.data);
    }
}

Test(ingest, takes_a_job_shows_it_waits_for_it_and_cancels_it)
{
    char task[64], path[128];
    cr_assert_eq(post("/api/v1/tasks",
                      "{\"queue\":\"mine\",\"kind\":\"k\",\"payload\":{\"a\":[1]}}"),
                 202);
    snprintf(task, sizeof(task), "%s", text_of("task_id"));
    snprintf(path, sizeof(path), "/api/v1/tasks/%s", task);
    cr_expect(strstr(here.fields, path), "no Location: %s", here.fields);
    cr_expect_str_eq(text_of("check_url"), path);

    cr_expect_eq(get(path), 200);
    cr_expect_str_eq(text_of("status"), "submitted");
    cr_expect_str_eq(text_of("queue"), "mine");
    cr_expect(json_is_null(json_object_get(here.body, "error")));
    for (size_t i = 0; i < task_item_rec.count; i++)
        cr_expect(json_object_get(here.body, task_item_rec.fields[i].key.data), "no %s",
                  task_item_rec.fields[i].key.data);
    cr_expect_eq(json_object_size(here.body), task_item_rec.count, "not in the document");

    snprintf(path, sizeof(path), "/api/v1/tasks/%s?wait=1", task);
    int64_t began_ms = om_clock_mono_ms();
    cr_expect_eq(get(path), 200);
    int64_t took_ms = om_clock_mono_ms() - began_ms;
    cr_expect(took_ms >= 900 && took_ms < 10000, "%lld ms", (long long)took_ms);

    cr_expect_eq(get("/api/v1/tasks?status=submitted&limit=1"), 200);
    cr_expect_eq(json_array_size(json_object_get(here.body, "data")), 1);
    cr_expect_str_eq(text_of("first_id"), task);
    cr_expect_eq(get("/api/v1/tasks?status=running&after="), 200);
    cr_expect_eq(json_array_size(json_object_get(here.body, "data")), 0);

    snprintf(path, sizeof(path), "/api/v1/tasks/%s/cancel", task);
    cr_expect_eq(post(path, NULL), 202);
    snprintf(path, sizeof(path), "/api/v1/tasks/%s?wait=10", task);
    cr_expect_eq(get(path), 200);
    cr_expect_str_eq(text_of("status"), "cancelled");
    snprintf(path, sizeof(path), "/api/v1/tasks/%s/cancel", task);
    cr_expect_eq(post(path, NULL), 409);
}

static const char *const planned =
    "{\"queue\":\"mine\",\"kind\":\"k\",\"priority\":2,\"max_attempts\":7,"
    "\"limit_key\":\"acme\",\"due_ms\":4000000001000,\"expires_ms\":4000000009000,"
    "\"unique\":{\"key\":\"nightly\"}}";

Test(ingest, shows_a_job_with_all_it_was_submitted_with)
{
    char task[64], path[128];
    cr_assert_eq(post("/api/v1/tasks", planned), 202);
    cr_expect_str_eq(text_of("status"), "scheduled", "it waits for its time");
    snprintf(task, sizeof(task), "%s", text_of("task_id"));
    snprintf(path, sizeof(path), "/api/v1/tasks/%s", task);
    cr_assert_eq(get(path), 200);
    cr_expect_str_eq(text_of("status"), "scheduled");
    cr_expect_str_eq(text_of("limit_key"), "acme");
    cr_expect_str_eq(text_of("unique_key"), "nightly");
    cr_expect_eq(number_of("priority"), 2);
    cr_expect_eq(number_of("max_attempts"), 7);
    cr_expect_eq(number_of("attempts"), 0);
    cr_expect_eq(number_of("due_at"), 4000000001);
    cr_expect_eq(number_of("expires_at"), 4000000009);
    cr_expect(json_is_null(json_object_get(here.body, "retry_at")));

    cr_expect_eq(post("/api/v1/tasks", "{\"queue\":\"mine\",\"kind\":\"other\","
                                       "\"unique\":{\"key\":\"nightly\"}}"),
                 200);
    cr_expect_str_eq(text_of("task_id"), task);
    cr_expect_str_eq(text_of("status"), "scheduled", "the holder's, not the request's");
    cr_expect(json_is_true(json_object_get(here.body, "duplicate")));
    snprintf(path, sizeof(path), "/api/v1/tasks/%s/cancel", task);
    cr_expect_eq(post(path, NULL), 202);
}

Test(ingest, replays_a_request_of_the_same_key_and_refuses_another_of_it)
{
    static const struct {
        const char *path, *body, *other;
    } cases[] = {
        { "/api/v1/tasks", "{\"queue\":\"mine\",\"kind\":\"k\",\"delay_ms\":3600000}",
          "{\"queue\":\"mine\",\"kind\":\"k\",\"priority\":2}" },
        { "/api/v1/tasks/batch",
          "{\"jobs\":[{\"queue\":\"mine\",\"kind\":\"k\"},{\"queue\":\"mine\",\"kind\":"
          "\"k\"}]}",
          "{\"jobs\":[{\"queue\":\"mine\",\"kind\":\"k\"}]}" },
        { "/api/v1/workflows",
          "{\"chain\":[{\"queue\":\"mine\",\"kind\":\"k\"},{\"queue\":\"mine\",\"kind\":"
          "\"l\"}]}",
          "{\"chain\":[{\"queue\":\"mine\",\"kind\":\"l\"},{\"queue\":\"mine\",\"kind\":"
          "\"k\"}]}" },
    };
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        struct ask request = { .method = "POST",
                               .path = cases[i].path,
                               .key = here.admin,
                               .body = cases[i].body,
                               .idem_key = "order 17" };
        cr_expect_eq(ask(request), 202, "%s", cases[i].path);
        cr_expect_null(strcasestr(here.fields, "idempotent-replayed"));
        char *first = strndup(here.text.data, here.text.size);
        cr_expect_eq(ask(request), 202, "%s", cases[i].path);
        cr_expect(strcasestr(here.fields, "idempotent-replayed: true"), "%s",
                  here.fields);
        cr_expect(om_str_eq(om_buf_str(&here.text), om_str(first)), "%s is not %.*s",
                  first, (int)here.text.size, here.text.data);
        free(first);
        request.body = cases[i].other;
        cr_expect_eq(ask(request), 422, "%s", cases[i].path);
        cr_expect_str_eq(error_of("code"), "id_reused");
        cr_expect_str_eq(error_of("type"), "idempotency_error");
    }
    cr_expect_eq(get("/api/v1/tasks"), 200);
    cr_expect_eq(json_array_size(json_object_get(here.body, "data")), 1 + 2 + 2);
    char text[257];
    memset(text, 'k', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    struct ask long_key = { .method = "POST",
                            .path = "/api/v1/tasks",
                            .key = here.admin,
                            .body = cases[0].body,
                            .idem_key = text };
    cr_expect_eq(ask(long_key), 400);
    cr_expect_str_eq(error_of("param"), "Idempotency-Key");
}

static void
stop_soon(int signal_number)
{
    (void)signal_number;
    program_signal(&here.ingest, SIGTERM);
}

Test(ingest, answers_who_waits_for_a_task_when_it_stops)
{
    char path[128];
    cr_assert_eq(post("/api/v1/tasks", "{\"queue\":\"mine\",\"kind\":\"k\"}"), 202);
    snprintf(path, sizeof(path), "/api/v1/tasks/%s?wait=60", text_of("task_id"));
    signal(SIGALRM, stop_soon);
    ualarm(200 * 1000, 0); // while the next request waits
    int64_t began_ms = om_clock_mono_ms();
    cr_expect_eq(get(path), 200);
    cr_expect_str_eq(text_of("status"), "submitted");
    cr_expect_lt(om_clock_mono_ms() - began_ms, 5000);
}

// ---- who stands between

Test(ingest, believes_a_proxy_it_trusts_about_the_address_of_a_client)
{
    char key[128];
    cr_assert_eq(post("/developer/keys", "{\"name\":\"far\",\"scopes\":[\"tasks:read\"],"
                                         "\"cidrs\":[\"198.51.100.0/24\"]}"),
                 201, "%.*s", (int)here.text.size, here.text.data);
    snprintf(key, sizeof(key), "%s", text_of("key"));
    struct ask request = { .method = "GET", .path = "/api/v1/tasks", .key = key };
    cr_expect_eq(ask(request), 403);
    cr_expect_str_eq(error_of("code"), "ip_not_allowed");
    request.fields[0] = "X-Forwarded-For: 198.51.100.7";
    cr_expect_eq(ask(request), 200);
    request.fields[1] = "X-Forwarded-For: 203.0.113.9"; // the one the proxy knows
    cr_expect_eq(ask(request), 403);
}

Test(ingest, lets_web_pages_of_the_origins_it_knows_ask)
{
    struct ask preflight = { .method = "OPTIONS",
                             .path = "/api/v1/tasks",
                             .fields = { "Origin: https://app.example",
                                         "Access-Control-Request-Method: POST" } };
    cr_expect_eq(ask(preflight), 204);
    cr_expect(strcasestr(here.fields, "access-control-allow-origin: https://app.example"),
              "%s", here.fields);
    cr_expect(strcasestr(here.fields, "access-control-allow-methods: "));
    cr_expect(strstr(here.fields, "POST"));
    cr_expect(strcasestr(here.fields, "vary: origin"));
    cr_expect_null(strcasestr(here.fields, "allow-credentials"));
    preflight.fields[0] = "Origin: https://evil.example";
    cr_expect_eq(ask(preflight), 405);
    cr_expect_null(strcasestr(here.fields, "access-control-allow"));

    struct ask request = { .method = "GET", .path = "/api/v1/tasks", .key = here.admin };
    cr_expect_eq(ask(request), 200);
    cr_expect_null(strcasestr(here.fields, "access-control"));
    request.fields[0] = "Origin: https://app.example";
    cr_expect_eq(ask(request), 200);
    cr_expect(
        strcasestr(here.fields, "access-control-allow-origin: https://app.example"));
    request.fields[0] = "Origin: https://evil.example";
    cr_expect_eq(ask(request), 403);
    cr_expect_null(strcasestr(here.fields, "access-control-allow-origin"));
    request.key = "omni_live_00000000000000000000000000000000";
    request.fields[0] = "Origin: https://app.example";
    cr_expect_eq(ask(request), 401, "and the page may read why");
    cr_expect(
        strcasestr(here.fields, "access-control-allow-origin: https://app.example"));
}

// ---- bytes

static long
upload(const char *purpose, const char *bytes, size_t size)
{
    CURL *curl = curl_easy_init();
    curl_mime *form = curl_mime_init(curl);
    if (purpose) {
        curl_mimepart *part = curl_mime_addpart(form);
        curl_mime_name(part, "purpose");
        curl_mime_data(part, purpose, CURL_ZERO_TERMINATED);
    }
    if (bytes) {
        curl_mimepart *part = curl_mime_addpart(form);
        curl_mime_name(part, "file");
        curl_mime_filename(part, "monthly data.csv");
        curl_mime_data(part, bytes, size);
    }
    struct ask ask = {
        .method = "POST", .path = "/v1/files", .key = here.admin, .form = form
    };
    om_buf_reset(&here.text);
    here.fields[0] = '\0';
    perform(curl, &ask);
    curl_mime_free(form);
    curl_easy_cleanup(curl);
    read_answer(&ask);
    return here.status;
}

Test(ingest, keeps_the_bytes_of_a_file_as_they_were_sent)
{
    char *bytes = malloc(BIG), path[128];
    for (size_t i = 0; i < BIG; i++)
        bytes[i] = (char)(i * i >> 7);
    cr_assert_eq(upload("dataset", bytes, BIG), 201, "%.*s", (int)here.text.size,
                 here.text.data);
    cr_expect_eq(json_integer_value(json_object_get(here.body, "bytes")), BIG);
    cr_expect_str_eq(text_of("filename"), "monthly data.csv");
    cr_expect_null(json_object_get(here.body, "blob"));
    snprintf(path, sizeof(path), "/v1/files/%s/content", text_of("id"));
    cr_expect_eq(get(path), 200);
    cr_expect(om_str_eq(om_buf_str(&here.text), (struct om_str){ bytes, BIG }));
    *strrchr(path, '/') = '\0';
    cr_expect_eq(ask((struct ask){ .method = "DELETE", .path = path, .key = here.admin }),
                 200);
    cr_expect_eq(get(path), 404);
    free(bytes);
}

Test(ingest, refuses_a_form_that_is_no_upload)
{
    cr_expect_eq(upload(NULL, "a", 1), 400);
    cr_expect_str_eq(error_of("param"), "purpose");
    cr_expect_eq(upload("fun", "a", 1), 400);
    cr_expect_str_eq(error_of("param"), "purpose");
    cr_expect_eq(upload("dataset", NULL, 0), 400);
    cr_expect_str_eq(error_of("param"), "file");
    cr_expect_eq(post("/v1/files", "{}"), 415);
    struct ask broken = { .method = "POST",
                          .path = "/v1/files",
                          .key = here.admin,
                          .type = "multipart/form-data; boundary=XY",
                          .body =
                              "--XY\r\nContent-Disposition: form-data; name=\"file\"\r\n"
                              "\r\nnever ended" };
    cr_expect_eq(ask(broken), 400);
    broken.body = "--XY\r\nnonsense\r\n\r\n";
    cr_expect_eq(ask(broken), 400);
}

Test(ingest, moves_blobs_for_who_has_a_grant_and_for_nobody_else)
{
    char why[256], secret_path[128], ref[OM_BLOB_REF_MAX], path[256], token[OM_GRANT_MAX];
    struct om_secret secret;
    snprintf(secret_path, sizeof(secret_path), "%s/secret", here.stage.folder);
    cr_assert_eq(om_secret_load(secret_path, &secret, why, sizeof(why)), OM_OK, "%s",
                 why);
    struct om_grant grant = { .tenant = { { 1, 2, 3 } },
                              .task = "task_1",
                              .expires_ms = om_clock_wall_ms() + 60000,
                              .rights = OM_GRANT_READ | OM_GRANT_WRITE };
    struct om_blob_ref blob = om_blob_ref_new(ROLE_REGISTRY, &grant.tenant);
    om_blob_ref_text(&blob, ref);
    snprintf(path, sizeof(path), "/internal/blobs/%s", ref);
    om_grant_mint(&secret, &grant, token);

    struct ask put = { .method = "PUT", .path = path, .key = token, .body = "bytes" };
    cr_assert_eq(ask(put), 200, "%.*s", (int)here.text.size, here.text.data);
    cr_expect_str_eq(text_of("ref"), ref);
    cr_expect_eq(ask(put), 200, "the same again");
    put.body = "other";
    cr_expect_eq(ask(put), 422);
    struct ask read = { .method = "GET", .path = path, .key = token };
    cr_expect_eq(ask(read), 200);
    cr_expect(om_str_eq(om_buf_str(&here.text), OM_LIT("bytes")));

    grant.rights = OM_GRANT_READ;
    om_grant_mint(&secret, &grant, token);
    cr_expect_eq(ask(put), 403);
    grant.tenant.bytes[0] = 9;
    om_grant_mint(&secret, &grant, token);
    cr_expect_eq(ask(read), 403);
    grant.expires_ms = om_clock_wall_ms() - 1;
    om_grant_mint(&secret, &grant, token);
    cr_expect_eq(ask(read), 401);
    read.key = here.admin;
    cr_expect_eq(ask(read), 401, "a key is no grant");
}

Test(ingest, serves_the_blob_store_of_a_worker_on_another_machine)
{
    char why[256], path[128], token[OM_GRANT_MAX];
    struct om_secret secret;
    struct om_blob_store *store;
    struct om_blob_info info;
    OM_AUTO(om_buf_finish) struct om_buf read = { 0 };
    snprintf(path, sizeof(path), "%s/secret", here.stage.folder);
    cr_assert_eq(om_secret_load(path, &secret, why, sizeof(why)), OM_OK, "%s", why);
    cr_assert_eq(om_blob_store_create(here.url, &store, why, sizeof(why)), OM_OK, "%s",
                 why);
    struct om_grant grant = { .tenant = { { 1, 2, 3 } },
                              .task = "task_1",
                              .expires_ms = om_clock_wall_ms() + 60000,
                              .rights = OM_GRANT_READ | OM_GRANT_WRITE };
    struct om_blob_ref small = om_blob_ref_new(ROLE_REGISTRY, &grant.tenant);
    struct om_blob_ref large = om_blob_ref_new(ROLE_REGISTRY, &grant.tenant);
    struct om_blob_caller caller = { .grant = { token, 0 } };
    caller.grant.size = om_grant_mint(&secret, &grant, token);
    char *bytes = malloc(BIG);
    cr_assert(bytes);
    for (size_t i = 0; i < BIG; i++)
        bytes[i] = (char)(i * 31 >> 3);

    cr_expect_eq(om_blob_put(store, &caller, &small, OM_LIT("x"), &info), OM_OK);
    cr_expect_eq(om_blob_put(store, &caller, &small, OM_LIT("x"), NULL), OM_OK);
    cr_expect_eq(om_blob_put(store, &caller, &small, OM_LIT("y"), NULL), OM_EREUSED);
    cr_expect_eq(
        om_blob_put(store, &caller, &large, (struct om_str){ bytes, BIG }, &info), OM_OK);
    cr_expect_eq(om_blob_get(store, &caller, &large, info.sha256, BIG, &read), OM_OK);
    cr_expect(om_str_eq(om_buf_str(&read), (struct om_str){ bytes, BIG }));
    struct om_blob_ref none = om_blob_ref_new(ROLE_REGISTRY, &grant.tenant);
    cr_expect_eq(om_blob_get(store, &caller, &none, NULL, BIG, &read), OM_ENOTFOUND);

    grant.rights = OM_GRANT_READ;
    caller.grant.size = om_grant_mint(&secret, &grant, token);
    cr_expect_eq(om_blob_put(store, &caller, &none, (struct om_str){ bytes, BIG }, NULL),
                 OM_EFORBIDDEN);
    caller.grant.size--;
    cr_expect_eq(om_blob_get(store, &caller, &large, NULL, BIG, &read), OM_EAUTH);
    free(bytes);
    om_blob_store_destroy(&store);
}

// ---- what it stands on

Test(ingest, is_not_ready_without_its_broker_and_is_again_with_it)
{
    int64_t deadline_ms = om_clock_mono_ms() + DEADLINE_MS;
    program_signal(&here.broker, SIGKILL);
    program_wait(&here.broker, DEADLINE_MS);
    while (get("/readyz") != 503)
        cr_assert_lt(om_clock_mono_ms(), deadline_ms, "ready without a broker");
    cr_expect_eq(get("/healthz"), 200);
    program_start(&here.broker, "omni-broker", here.stage.list, NULL);
    await_ready();
    cr_expect_eq(get("/api/v1/tasks"), 200);
}
