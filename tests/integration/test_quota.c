// Quotas over real processes: two edges, billing, and what becomes of the count when one
// of them dies.
#include <criterion/criterion.h>
#include <curl/curl.h>
#include <jansson.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

#include "clock.h"
#include "program.h"
#include "route.h"
#include "stage.h"

enum { DEADLINE_MS = 20000, EDGES = 2 };

// The cheapest route that takes a call of the quota.
#define CHEAP "/api/v1/queues"

struct edge_process {
    struct program program;
    char url[64];
};

static struct setup {
    struct stage stage;
    char admin[128];
    struct program broker, identity, registry, billing;
    struct edge_process edges[EDGES];
    atomic_int served; // calls of the tenant that were not refused
} here;

// ---- asking

// One answer; each thread has its own.
struct answer {
    long status;
    struct om_buf text;
    char fields[4096];
    json_t *body;
};

static void
answer_finish(struct answer *answer)
{
    om_buf_finish(&answer->text);
    json_decref(answer->body);
    *answer = (struct answer){ 0 };
}

static size_t
on_text(char *data, size_t size, size_t count, void *context)
{
    om_buf_put(context, data, size * count);
    return size * count;
}

static size_t
on_field(char *data, size_t size, size_t count, void *context)
{
    struct answer *answer = context;
    size_t used = strlen(answer->fields), room = sizeof(answer->fields) - used - 1;
    size_t take = size * count < room ? size * count : room;
    memcpy(answer->fields + used, data, take);
    return size * count;
}

struct ask {
    const char *key; // NULL: the operator's
    int edge;
    const char *method, *path, *body;
    curl_mime *form;
    bool chunked;
};

static long
perform(CURL *curl, const struct ask *ask, struct answer *out)
{
    char url[512], key[192];
    answer_finish(out);
    snprintf(url, sizeof(url), "%s%s", here.edges[ask->edge].url, ask->path);
    snprintf(key, sizeof(key), "Authorization: Bearer %s",
             ask->key ? ask->key : here.admin);
    struct curl_slist *headers = curl_slist_append(NULL, key);
    if (ask->chunked)
        headers = curl_slist_append(headers, "Transfer-Encoding: chunked");
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)DEADLINE_MS);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_text);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &out->text);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_field);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, out);
    if (ask->body)
        curl_easy_setopt(curl, CURLOPT_COPYPOSTFIELDS, ask->body);
    if (ask->form)
        curl_easy_setopt(curl, CURLOPT_MIMEPOST, ask->form);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, ask->method);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    CURLcode code = curl_easy_perform(curl);
    curl_slist_free_all(headers);
    if (code != CURLE_OK)
        return 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &out->status);
    if (out->text.size)
        out->body = json_loadb(out->text.data, out->text.size, 0, NULL);
    if (out->status < 400)
        atomic_fetch_add(&here.served, 1);
    return out->status;
}

static long
ask(struct ask ask, struct answer *out)
{
    CURL *curl = curl_easy_init();
    long status = perform(curl, &ask, out);
    curl_easy_cleanup(curl);
    return status;
}

static long
get(int edge, const char *path)
{
    struct answer answer = { 0 };
    long status =
        ask((struct ask){ .edge = edge, .method = "GET", .path = path }, &answer);
    answer_finish(&answer);
    return status;
}

// ---- setting up

static void
await(int edge)
{
    int64_t deadline_ms = om_clock_mono_ms() + DEADLINE_MS;
    while (get(edge, "/readyz") != 200)
        cr_assert_lt(om_clock_mono_ms(), deadline_ms, "never ready");
}

static void
start_edge(int number)
{
    struct edge_process *edge = &here.edges[number];
    program_start(&edge->program, "omni-ingest", here.stage.list, NULL);
    program_expect_log(&edge->program, "listening");
    const char *address = strstr(edge->program.log, "127.0.0.1:");
    cr_assert(address);
    snprintf(edge->url, sizeof(edge->url), "http://%.*s", (int)strcspn(address, "\""),
             address);
}

static void
stop_edge(int number)
{
    struct program *edge = &here.edges[number].program;
    program_signal(edge, SIGTERM);
    cr_expect_eq(program_wait(edge, DEADLINE_MS), 0, "%s", edge->log);
    program_finish(edge);
}

static void
start_billing(void)
{
    program_start(&here.billing, "omni-billing", here.stage.list, NULL);
    program_expect_log(&here.billing, "serving");
}

static void
begin(void)
{
    here = (struct setup){ 0 };
    curl_global_init(CURL_GLOBAL_DEFAULT);
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
    program_start(&here.broker, "omni-broker", here.stage.list, NULL);
    program_expect_log(&here.broker, "serving");
    program_start(&here.identity, "omni-identity", here.stage.list, NULL);
    program_start(&here.registry, "omni-registry", here.stage.list, NULL);
    start_billing();
    for (int i = 0; i < EDGES; i++)
        start_edge(i);
    program_expect_log(&here.identity, "serving");
    stage_read(&here.stage, "admin.key", here.admin, sizeof(here.admin));
    for (int i = 0; i < EDGES; i++)
        await(i);
    atomic_store(&here.served, 0); // /readyz is nobody's call
}

static void
end(void)
{
    for (int i = 0; i < EDGES; i++) {
        if (here.edges[i].program.pid == 0)
            continue;
        program_signal(&here.edges[i].program, SIGTERM);
        cr_expect_eq(program_wait(&here.edges[i].program, DEADLINE_MS), 0, "%s",
                     here.edges[i].program.log);
    }
    program_finish(&here.billing);
    program_finish(&here.registry);
    program_finish(&here.identity);
    program_finish(&here.broker);
    stage_close(&here.stage);
}

TestSuite(quotas, .init = begin, .fini = end, .timeout = 120);

// Limit the operator's own plan. It takes nothing of a quota itself, being the
// operator's.
static void
limit_to(const char *policy, int limit)
{
    char body[256];
    struct answer answer = { 0 };
    int served = atomic_load(&here.served);
    snprintf(body, sizeof(body),
             "{\"name\":\"Enterprise\",\"quotas\":[{\"policy\":\"%s\",\"limit\":%d}]}",
             policy, limit);
    cr_assert_eq(ask((struct ask){ .method = "PUT",
                                   .path = "/api/v1/admin/plans/enterprise",
                                   .body = body },
                     &answer),
                 200, "%.*s", (int)answer.text.size, answer.text.data);
    atomic_store(&here.served, served);
    answer_finish(&answer);
}

// The same for calls, before any was served, and wait until both edges know it.
static void
limit_calls_to(int limit)
{
    int64_t deadline_ms = om_clock_mono_ms() + DEADLINE_MS;
    limit_to("api_calls_month", 0);
    for (int i = 0; i < EDGES; i++)
        cr_assert_eq(get(i, CHEAP), 429, "nothing may be served before it is counted");
    limit_to("api_calls_month", limit);
    for (int i = 0; i < EDGES; i++)
        while (get(i, CHEAP) != 200)
            cr_assert_lt(om_clock_mono_ms(), deadline_ms, "edge %d", i);
}

// ---- both edges at once

struct crowd {
    int edge;
    int64_t until_ms;
    int goal;
    atomic_bool done;
};

static void *
spend(void *context)
{
    struct crowd *crowd = context;
    CURL *curl = curl_easy_init();
    struct answer answer = { 0 };
    while (om_clock_mono_ms() < crowd->until_ms &&
           atomic_load(&here.served) < crowd->goal)
        perform(curl,
                &(struct ask){ .edge = crowd->edge, .method = "GET", .path = CHEAP },
                &answer);
    answer_finish(&answer);
    curl_easy_cleanup(curl);
    atomic_store(&crowd->done, true);
    return NULL;
}

// Take in what the edges log of each failure, or they wait for somebody who does.
static void
read_logs(void)
{
    for (int i = 0; i < EDGES; i++)
        if (here.edges[i].program.pid)
            program_wait(&here.edges[i].program, 10);
}

// Have each of two threads at each edge ask until `goal` are served, or for so long.
static void
spend_all(int goal, int64_t for_ms)
{
    enum { THREADS = 2 * EDGES };
    pthread_t threads[THREADS];
    struct crowd crowds[THREADS];
    for (int i = 0; i < THREADS; i++) {
        crowds[i] = (struct crowd){ .edge = i % EDGES,
                                    .until_ms = om_clock_mono_ms() + for_ms,
                                    .goal = goal };
        cr_assert_eq(pthread_create(&threads[i], NULL, spend, &crowds[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        while (!atomic_load(&crowds[i].done))
            read_logs();
        pthread_join(threads[i], NULL);
    }
}

Test(quotas, are_spent_by_two_edges_to_the_last_call_and_no_further)
{
    limit_calls_to(1000);
    spend_all(1000, DEADLINE_MS);
    cr_expect_eq(atomic_load(&here.served), 1000, "%d", atomic_load(&here.served));
    spend_all(1001, 2000);
    cr_expect_eq(atomic_load(&here.served), 1000, "%d", atomic_load(&here.served));

    struct answer answer = { 0 };
    cr_expect_eq(ask((struct ask){ .method = "GET", .path = CHEAP }, &answer), 429);
    json_t *error = json_object_get(answer.body, "error");
    cr_expect_str_eq(json_string_value(json_object_get(error, "code")), "quota_exceeded");
    cr_expect_str_eq(json_string_value(json_object_get(error, "type")), "quota_error");
    json_t *policies = json_object_get(error, "violated_policies");
    cr_expect_eq(json_array_size(policies), 1);
    cr_expect_str_eq(json_string_value(json_array_get(policies, 0)), "api_calls_month");
    const char *message = json_string_value(json_object_get(error, "message"));
    cr_expect(strstr(message, "Quota exceeded: api_calls_month"), "%s", message);
    cr_expect(strcasestr(answer.fields, "x-should-retry: false"), "%s", answer.fields);
    cr_expect(strcasestr(answer.fields, "retry-after: "), "%s", answer.fields);
    answer_finish(&answer);
}

Test(quotas, that_are_used_up_refuse_every_route_but_those_of_operators)
{
    struct answer answer = { 0 };
    limit_to("api_calls_month", 0);
    for (size_t i = 0; i < route_count; i++) {
        const struct route *route = &routes[i];
        if (route->auth != AUTH_KEY)
            continue;
        ask((struct ask){ .method = om_http_method_name(route->method),
                          .path = route->pattern,
                          .body = route->flags & ROUTE_BODY ? "{}" : NULL },
            &answer);
        json_t *error = json_object_get(answer.body, "error");
        const char *code = json_string_value(json_object_get(error, "code"));
        bool refused = code && strcmp(code, "quota_exceeded") == 0;
        cr_expect_eq(refused, route->scope != SCOPE_OPERATOR, "%s %s: %ld %s",
                     om_http_method_name(route->method), route->pattern, answer.status,
                     code ? code : "");
        cr_expect(!refused || answer.status == 429);
    }
    answer_finish(&answer);
}

Test(quotas, of_compute_that_are_used_up_refuse_predictions_and_trainings)
{
    static const struct ask asks[] = {
        { .method = "POST",
          .path = "/api/v1/predict/seasonal-naive",
          .body = "{\"time_series\":[1,2,3,4],\"forecast_steps\":2}" },
        { .method = "POST",
          .path = "/api/v1/train/custom-model",
          .body = "{\"model\":\"revenue-lstm\",\"target\":\"a\","
                  "\"training_file\":\"file_00000000000000000000000000\"}" },
    };
    struct answer answer = { 0 };
    limit_to("compute_month", 0);
    for (size_t i = 0; i < OM_COUNT(asks); i++) {
        cr_expect_eq(ask(asks[i], &answer), 429, "%s", asks[i].path);
        json_t *error = json_object_get(answer.body, "error");
        json_t *policies = json_object_get(error, "violated_policies");
        const char *first = json_string_value(json_array_get(policies, 0));
        cr_expect(first && strcmp(first, "compute_month") == 0, "%.*s",
                  (int)answer.text.size, answer.text.data);
    }
    answer_finish(&answer);
}

Test(quotas, of_a_changed_plan_hold_at_every_edge_within_a_second)
{
    for (int i = 0; i < EDGES; i++)
        cr_expect_eq(get(i, CHEAP), 200);
    limit_to("api_calls_month", 0);
    int64_t began_ms = om_clock_mono_ms();
    for (int i = 0; i < EDGES; i++)
        while (get(i, CHEAP) == 200)
            cr_assert_lt(om_clock_mono_ms(), began_ms + 1000, "edge %d", i);
    limit_to("api_calls_month", 1000000);
    began_ms = om_clock_mono_ms();
    for (int i = 0; i < EDGES; i++)
        while (get(i, CHEAP) != 200)
            cr_assert_lt(om_clock_mono_ms(), began_ms + 1000, "edge %d", i);
}

// ---- when one of them dies

static void
restart_billing(const char *offset)
{
    program_signal(&here.billing, SIGKILL);
    program_wait(&here.billing, DEADLINE_MS);
    program_finish(&here.billing);
    if (offset)
        stage_set(&here.stage, "OMNI_CLOCK_OFFSET_MS", "%s", offset);
    start_billing();
    if (offset)
        here.stage.list[--here.stage.count] = NULL;
}

Test(quotas, lose_no_more_than_its_block_when_an_edge_is_killed)
{
    limit_calls_to(200);
    for (int i = 0; i < 5; i++)
        cr_expect_eq(get(0, CHEAP), 200);
    program_signal(&here.edges[0].program, SIGKILL);
    program_wait(&here.edges[0].program, DEADLINE_MS);
    program_finish(&here.edges[0].program);
    here.edges[0] = (struct edge_process){ 0 };
    memcpy(here.edges[0].url, here.edges[1].url, sizeof(here.edges[1].url));

    spend_all(150, DEADLINE_MS);
    spend_all(1000, 2000);
    int served = atomic_load(&here.served);
    cr_expect(served >= 150 && served <= 200, "%d: a block is a quarter at most", served);

    restart_billing("61000"); // a minute later its block has expired
    spend_all(200, DEADLINE_MS);
    spend_all(1000, 2000);
    served = atomic_load(&here.served);
    // What it had not yet reported when it was killed is what can be served beyond.
    cr_expect(served >= 200 && served <= 210, "%d", served);
}

Test(quotas, come_back_when_an_edge_stops)
{
    limit_calls_to(100);
    cr_expect_eq(get(0, CHEAP), 200);
    program_signal(&here.edges[0].program, SIGTERM);
    cr_expect_eq(program_wait(&here.edges[0].program, DEADLINE_MS), 0);
    program_finish(&here.edges[0].program);
    here.edges[0] = (struct edge_process){ 0 };
    memcpy(here.edges[0].url, here.edges[1].url, sizeof(here.edges[1].url));
    spend_all(100, DEADLINE_MS);
    spend_all(101, 1000);
    cr_expect_eq(atomic_load(&here.served), 100);
}

Test(quotas, are_the_same_after_billing_was_killed)
{
    limit_calls_to(300);
    spend_all(150, DEADLINE_MS);
    restart_billing(NULL);
    spend_all(300, DEADLINE_MS);
    spend_all(301, 2000);
    cr_expect_eq(atomic_load(&here.served), 300, "%d", atomic_load(&here.served));
}

Test(quotas, are_never_exceeded_while_billing_is_slow)
{
    limit_calls_to(300);
    spend_all(20, DEADLINE_MS);
    program_signal(&here.billing, SIGSTOP);
    // Longer than a question waits: what is in blocks is spent, and no more.
    spend_all(301, 5000);
    int served = atomic_load(&here.served);
    cr_expect(served >= 20 && served < 300, "%d of two edges' blocks", served);
    program_signal(&here.billing, SIGCONT);
    spend_all(300, DEADLINE_MS);
    spend_all(301, 2000);
    cr_expect_eq(atomic_load(&here.served), 300, "%d", atomic_load(&here.served));
}

static void
stop_billing(void)
{
    program_signal(&here.billing, SIGKILL);
    program_wait(&here.billing, DEADLINE_MS);
    program_finish(&here.billing);
}

// Until its answer is the one expected.
static void
await_answer(int edge, long status)
{
    int64_t deadline_ms = om_clock_mono_ms() + DEADLINE_MS;
    while (get(edge, CHEAP) != status) {
        cr_assert_lt(om_clock_mono_ms(), deadline_ms, "never %ld", status);
        read_logs();
    }
}

Test(quotas, without_billing_are_served_of_blocks_alone)
{
    limit_calls_to(100000);
    cr_expect_eq(get(0, CHEAP), 200);
    stop_billing();
    await_answer(0, 503);
    start_billing();
    await_answer(0, 200);
}

Test(quotas, are_trusted_for_a_set_time_where_that_is_configured)
{
    enum { HOLD_MS = 4000 };
    stop_edge(0);
    stage_set(&here.stage, "OMNI_QUOTA_HOLD_MS", "4000");
    start_edge(0);
    await(0);
    limit_calls_to(100000);
    stop_billing();
    int64_t began_ms = om_clock_mono_ms();
    await_answer(1, 503);
    cr_expect_eq(get(0, CHEAP), 200, "it is to be trusted");
    await_answer(0, 503);
    int64_t trusted_ms = om_clock_mono_ms() - began_ms;
    cr_expect_geq(trusted_ms, HOLD_MS - 1000);
    start_billing();
    await_answer(0, 200);
}

// ---- other tenants than the operator's

struct tenant_made {
    char id[64], key[128];
};

static void
copy_text(json_t *body, const char *name, char *out, size_t size)
{
    const char *text = json_string_value(json_object_get(body, name));
    cr_assert(text, "no %s", name);
    snprintf(out, size, "%s", text);
}

// On a plan that has no rate limits, which would refuse who asks again and again.
static struct tenant_made
make_tenant(const char *body)
{
    struct tenant_made tenant;
    struct answer answer = { 0 };
    cr_assert_eq(ask((struct ask){ .method = "PUT",
                                   .path = "/api/v1/admin/plans/open",
                                   .body = "{\"name\":\"Open\"}" },
                     &answer),
                 200);
    ask((struct ask){ .method = "POST", .path = "/api/v1/admin/tenants", .body = body },
        &answer);
    cr_assert_eq(answer.status, 201, "%.*s", (int)answer.text.size, answer.text.data);
    copy_text(answer.body, "id", tenant.id, sizeof(tenant.id));
    copy_text(answer.body, "key", tenant.key, sizeof(tenant.key));
    answer_finish(&answer);
    return tenant;
}

static long
get_as(const char *key)
{
    struct answer answer = { 0 };
    struct ask question = { .key = key, .method = "GET", .path = CHEAP };
    long status = ask(question, &answer);
    answer_finish(&answer);
    return status;
}

static void
set_own(const struct tenant_made *tenant, const char *body)
{
    char path[160];
    struct answer answer = { 0 };
    snprintf(path, sizeof(path), "/api/v1/admin/tenants/%s/quotas/api_calls_month",
             tenant->id);
    ask((struct ask){ .method = "PUT", .path = path, .body = body }, &answer);
    cr_assert_eq(answer.status, 200, "%.*s", (int)answer.text.size, answer.text.data);
    answer_finish(&answer);
}

// It changes within a second to what it is to be.
static void
expect_within_a_second(const char *key, long status)
{
    int64_t began_ms = om_clock_mono_ms();
    while (get_as(key) != status)
        cr_assert_lt(om_clock_mono_ms(), began_ms + 1000, "still not %ld", status);
}

Test(quotas, of_a_tenant_follow_its_own_limit_and_its_plan_within_a_second)
{
    char path[128];
    struct answer answer = { 0 };
    struct tenant_made tenant =
        make_tenant("{\"name\":\"A\",\"slug\":\"aa\",\"plan\":\"open\"}");
    cr_expect_eq(get_as(tenant.key), 200);
    set_own(&tenant, "{\"limit\":0}");
    expect_within_a_second(tenant.key, 429);
    set_own(&tenant, "{}");
    expect_within_a_second(tenant.key, 200);
    set_own(&tenant, "{\"limit\":0}");
    expect_within_a_second(tenant.key, 429);
    set_own(&tenant, "{}");
    limit_to("api_calls_month", 0); // of enterprise, which it does not have yet
    expect_within_a_second(tenant.key, 200);
    snprintf(path, sizeof(path), "/api/v1/admin/tenants/%s", tenant.id);
    cr_assert_eq(ask((struct ask){ .method = "PATCH",
                                   .path = path,
                                   .body = "{\"plan\":\"enterprise\"}" },
                     &answer),
                 200);
    expect_within_a_second(tenant.key, 429);
    answer_finish(&answer);
}

Test(quotas, are_reserved_by_the_request_for_a_tenant_that_prepays)
{
    struct tenant_made tenant =
        make_tenant("{\"name\":\"P\",\"slug\":\"pp\",\"prepaid\":true}");
    set_own(&tenant, "{\"limit\":5}");
    for (int i = 0; i < 5; i++)
        cr_expect_eq(get_as(tenant.key), 200, "%d", i);
    cr_expect_eq(get_as(tenant.key), 429);
    set_own(&tenant, "{\"limit\":50}");
    cr_expect_eq(get_as(tenant.key), 200, "nothing is remembered of it");
    program_signal(&here.billing, SIGKILL);
    program_wait(&here.billing, DEADLINE_MS);
    program_finish(&here.billing);
    cr_expect_eq(get_as(tenant.key), 503, "nothing is served on trust");
}

Test(quotas, are_not_taken_by_test_keys)
{
    char key[128];
    struct answer answer = { 0 };
    struct tenant_made tenant =
        make_tenant("{\"name\":\"T\",\"slug\":\"tt\",\"plan\":\"open\"}");
    ask((struct ask){ .key = tenant.key,
                      .method = "POST",
                      .path = "/developer/keys",
                      .body = "{\"name\":\"test\",\"env\":\"test\"}" },
        &answer);
    cr_assert_eq(answer.status, 201, "%.*s", (int)answer.text.size, answer.text.data);
    copy_text(answer.body, "key", key, sizeof(key));
    cr_assert_eq(ask((struct ask){ .method = "PUT",
                                   .path = "/api/v1/admin/plans/open",
                                   .body = "{\"name\":\"Open\",\"quotas\":[{"
                                           "\"policy\":\"api_calls_month\","
                                           "\"limit\":0}]}" },
                     &answer),
                 200);
    expect_within_a_second(tenant.key, 429);
    cr_expect_eq(get_as(key), 200);
    answer_finish(&answer);
}

Test(quotas, of_a_tenant_nobody_made_cannot_be_set)
{
    static const char *const paths[] = {
        "/api/v1/admin/tenants/ten_01m7ywde31fp5t9gz19g4tr138/quotas/api_calls_month",
        "/api/v1/admin/tenants/ten_x/quotas/api_calls_month",
        "/api/v1/admin/tenants/ten_01m7ywde31fp5t9gz19g4tr138/quotas/bananas",
    };
    struct answer answer = { 0 };
    for (size_t i = 0; i < OM_COUNT(paths); i++) {
        struct ask set = { .method = "PUT", .path = paths[i], .body = "{\"limit\":1}" };
        struct ask show = { .method = "GET", .path = paths[i] };
        cr_expect_eq(ask(set, &answer), 404, "%s", paths[i]);
        cr_expect_eq(ask(show, &answer), 404, "%s", paths[i]);
    }
    answer_finish(&answer);
}

// ---- storage

static long
upload(size_t bytes, bool chunked, struct answer *out)
{
    CURL *curl = curl_easy_init();
    curl_mime *form = curl_mime_init(curl);
    char *content = malloc(bytes);
    memset(content, 'a', bytes);
    curl_mimepart *part = curl_mime_addpart(form);
    curl_mime_name(part, "purpose");
    curl_mime_data(part, "dataset", CURL_ZERO_TERMINATED);
    part = curl_mime_addpart(form);
    curl_mime_name(part, "file");
    curl_mime_filename(part, "a.csv");
    curl_mime_data(part, content, bytes);
    struct ask ask = {
        .method = "POST", .path = "/v1/files", .form = form, .chunked = chunked
    };
    long status = perform(curl, &ask, out);
    curl_mime_free(form);
    curl_easy_cleanup(curl);
    free(content);
    return status;
}

Test(quotas, of_storage_are_given_back_when_a_file_is_deleted)
{
    char path[128];
    struct answer answer = { 0 };
    limit_to("storage_bytes", 10000);
    cr_expect_eq(upload(20000, false, &answer), 429);
    cr_assert_eq(upload(6000, false, &answer), 201, "%.*s", (int)answer.text.size,
                 answer.text.data);
    snprintf(path, sizeof(path), "/v1/files/%s",
             json_string_value(json_object_get(answer.body, "id")));
    cr_expect_eq(upload(6000, false, &answer), 429);
    json_t *error = json_object_get(answer.body, "error");
    cr_expect_str_eq(
        json_string_value(json_array_get(json_object_get(error, "violated_policies"), 0)),
        "storage_bytes");
    cr_expect_eq(upload(6000, true, &answer), 429, "its size is known only at its end");
    cr_expect_eq(upload(1000, true, &answer), 201);
    cr_assert_eq(ask((struct ask){ .method = "DELETE", .path = path }, &answer), 200);
    int64_t deadline_ms = om_clock_mono_ms() + DEADLINE_MS;
    while (upload(7000, false, &answer) == 429)
        cr_assert_lt(om_clock_mono_ms(), deadline_ms, "never given back");
    cr_expect_eq(answer.status, 201);
    answer_finish(&answer);
}

Test(quotas, of_a_tenant_without_a_limit_do_not_need_billing)
{
    struct answer answer = { 0 };
    cr_expect_eq(upload(1000, false, &answer), 201);
    cr_expect_eq(get(0, CHEAP), 200);
    stop_billing();
    cr_expect_eq(upload(1000, false, &answer), 201, "%.*s", (int)answer.text.size,
                 answer.text.data);
    cr_expect_eq(get(0, CHEAP), 200);
    start_billing();
    answer_finish(&answer);
}
