#include <criterion/criterion.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "clock.h"
#include "quotas.h"

struct quotas quotas;

static long
ask_over(CURL *connection, int edge, struct http_ask ask, struct http_answer *out)
{
    ask.connection = connection;
    ask.url = quotas.urls[edge];
    ask.key = ask.key ? ask.key : quotas.admin;
    if (http_try(&ask, out) != CURLE_OK)
        return 0;
    if (out->status < 400)
        atomic_fetch_add(&quotas.served, 1);
    return out->status;
}

long
ask_at(int edge, struct http_ask ask, struct http_answer *out)
{
    return ask_over(NULL, edge, ask, out);
}

long
ask(struct http_ask ask, struct http_answer *out)
{
    return ask_at(0, ask, out);
}

long
get(int edge, const char *path)
{
    struct http_answer answer = { 0 };
    long status = ask_at(edge, (struct http_ask){ .path = path }, &answer);
    http_answer_finish(&answer);
    return status;
}

// Take in what the edges log of each failure, or they wait for somebody who does.
static void
read_logs(void)
{
    for (int i = 0; i < QUOTAS_EDGES; i++)
        if (quotas.edges[i].pid)
            program_wait(&quotas.edges[i], 10);
}

void
await_answer(int edge, long status)
{
    int64_t deadline_ms = om_clock_mono_ms() + QUOTAS_WAIT_MS;
    while (get(edge, QUOTAS_CHEAP) != status) {
        cr_assert_lt(om_clock_mono_ms(), deadline_ms, "never %ld", status);
        read_logs();
    }
}

long
upload(size_t bytes, bool chunked, struct http_answer *out)
{
    char *content = malloc(bytes);
    cr_assert(content);
    memset(content, 'a', bytes);
    struct http_form form = { "dataset", "a.csv", { content, bytes }, chunked };
    long status = ask((struct http_ask){ .path = "/v1/files", .form = &form }, out);
    free(content);
    return status;
}

void
start_edge(int edge)
{
    edge_program_start(&quotas.edges[edge], &quotas.stage, quotas.urls[edge]);
}

void
start_billing(void)
{
    program_start(&quotas.billing, "omni-billing", quotas.stage.list, NULL);
    program_expect_log(&quotas.billing, "serving");
}

void
kill_billing(void)
{
    program_signal(&quotas.billing, SIGKILL);
    program_wait(&quotas.billing, QUOTAS_WAIT_MS);
}

void
limit_to(const char *policy, int limit)
{
    char body[256];
    struct http_answer answer = { 0 };
    int served = atomic_load(&quotas.served);
    snprintf(body, sizeof(body),
             "{\"name\":\"Enterprise\",\"quotas\":[{\"policy\":\"%s\",\"limit\":%d}]}",
             policy, limit);
    cr_assert_eq(ask((struct http_ask){ .method = "PUT",
                                        .path = "/api/v1/admin/plans/enterprise",
                                        .body = body },
                     &answer),
                 200, "%s", answer.text.data);
    atomic_store(&quotas.served, served);
    http_answer_finish(&answer);
}

void
limit_calls_to(int limit)
{
    int64_t deadline_ms = om_clock_mono_ms() + QUOTAS_WAIT_MS;
    limit_to("api_calls_month", 0);
    for (int i = 0; i < QUOTAS_EDGES; i++)
        cr_assert_eq(get(i, QUOTAS_CHEAP), 429,
                     "nothing may be served before it is counted");
    limit_to("api_calls_month", limit);
    for (int i = 0; i < QUOTAS_EDGES; i++)
        while (get(i, QUOTAS_CHEAP) != 200)
            cr_assert_lt(om_clock_mono_ms(), deadline_ms, "edge %d", i);
}

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
    CURL *connection = curl_easy_init();
    struct http_answer answer = { 0 };
    while (om_clock_mono_ms() < crowd->until_ms &&
           atomic_load(&quotas.served) < crowd->goal)
        ask_over(connection, crowd->edge, (struct http_ask){ .path = QUOTAS_CHEAP },
                 &answer);
    http_answer_finish(&answer);
    curl_easy_cleanup(connection);
    atomic_store(&crowd->done, true);
    return NULL;
}

void
spend_all(int goal, int64_t for_ms)
{
    enum { THREADS = 2 * QUOTAS_EDGES };
    pthread_t threads[THREADS];
    struct crowd crowds[THREADS];
    for (int i = 0; i < THREADS; i++) {
        crowds[i] = (struct crowd){ .edge = i % QUOTAS_EDGES,
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

static void
begin(void)
{
    quotas = (struct quotas){ 0 };
    stage_open(&quotas.stage);
    stage_settle(&quotas.stage);
    program_start(&quotas.broker, "omni-broker", quotas.stage.list, NULL);
    program_expect_log(&quotas.broker, "serving");
    program_start(&quotas.identity, "omni-identity", quotas.stage.list, NULL);
    program_start(&quotas.registry, "omni-registry", quotas.stage.list, NULL);
    start_billing();
    for (int i = 0; i < QUOTAS_EDGES; i++)
        start_edge(i);
    program_expect_log(&quotas.identity, "serving");
    stage_read(&quotas.stage, "admin.key", quotas.admin, sizeof(quotas.admin));
    for (int i = 0; i < QUOTAS_EDGES; i++)
        edge_program_await(quotas.urls[i]);
}

static void
end(void)
{
    for (int i = 0; i < QUOTAS_EDGES; i++)
        if (quotas.edges[i].pid)
            edge_program_stop(&quotas.edges[i]);
    program_finish(&quotas.billing);
    program_finish(&quotas.registry);
    program_finish(&quotas.identity);
    program_finish(&quotas.broker);
    stage_close(&quotas.stage);
}

TestSuite(quotas, .init = begin, .fini = end, .timeout = 120);
