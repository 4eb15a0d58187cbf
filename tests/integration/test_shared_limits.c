// Two edges that share a Redis, as real programs with a real redis-server: a limit holds
// over both, so does an answer, and each is on its own while Redis is gone.
#include <criterion/criterion.h>
#include <stdio.h>
#include <strings.h>

#include "clock.h"
#include "edge_program.h"
#include "http_ask.h"
#include "persona.h"
#include "redis_server.h"

enum { WAIT_MS = 20000, EDGES = 2, RATION = 40 };

static struct setup {
    struct stage stage;
    char urls[EDGES][EDGE_PROGRAM_URL], key[PERSONA_KEY];
    struct program edges[EDGES];
    struct personas personas;
    pid_t redis;
    CURL *connection;
    struct http_answer answer; // the last one
} here;

// `body` NULL: GET.
static long
ask_with(int edge, const char *path, const char *key, const char *body)
{
    return http_ask(&(struct http_ask){ .connection = here.connection,
                                        .url = here.urls[edge],
                                        .path = path,
                                        .key = key,
                                        .body = body },
                    &here.answer);
}

static long
ask(int edge, const char *path, const char *key)
{
    return ask_with(edge, path, key, NULL);
}

// Ask the edge until it refuses; how often it did not.
static int
use_up(int edge)
{
    int served = 0;
    while (ask(edge, "/v1/files", here.key) != 429)
        cr_assert_leq(++served, 10 * RATION);
    cr_expect(strstr(here.answer.text.data, "rate_limit_exceeded"), "%s",
              here.answer.text.data);
    return served;
}

static void
await_cache(const char *state)
{
    char wanted[32];
    snprintf(wanted, sizeof(wanted), "\"cache\":\"%s\"", state);
    for (int edge = 0; edge < EDGES; edge++) {
        int64_t until_ms = om_clock_mono_ms() + WAIT_MS;
        while (ask(edge, "/readyz", "") != 200 || !strstr(here.answer.text.data, wanted))
            cr_assert_lt(om_clock_mono_ms(), until_ms, "never %s: %s", wanted,
                         here.answer.text.data);
    }
}

static void
start_edge(int edge)
{
    char node[] = "edge-0";
    node[sizeof(node) - 2] = (char)('0' + edge);
    stage_set(&here.stage, "OMNI_NODE", "%s", node);
    edge_program_start(&here.edges[edge], &here.stage, here.urls[edge]);
}

static void
begin(void)
{
    memset(&here, 0, sizeof(here));
    stage_open(&here.stage);
    here.personas.ration = RATION;
    personas_open(&here.personas);
    personas_ask(&here.personas, OTHER);
    persona_key(OTHER, SCOPE_FILES_READ, here.key);
    here.connection = curl_easy_init();
    personas_settle(&here.personas, &here.stage);
    stage_set(&here.stage, "OMNI_CACHE", "redis://unix:%s/redis", here.stage.folder);
    stage_set(&here.stage, "OMNI_CACHE_MS",
              "1000"); // a loaded machine is no reason to be on one's own
    here.redis = redis_start(here.stage.folder, "");
    for (int edge = 0; edge < EDGES; edge++)
        start_edge(edge);
    await_cache("up");
}

static void
end(void)
{
    curl_easy_cleanup(here.connection);
    http_answer_finish(&here.answer);
    for (int edge = 0; edge < EDGES; edge++)
        program_finish(&here.edges[edge]);
    personas_close(&here.personas);
    redis_kill(&here.redis);
    stage_close(&here.stage);
}

TestSuite(shared_limits, .init = begin, .fini = end, .timeout = 110);

Test(shared_limits, hold_over_all_edges)
{
    for (int i = 0; i < RATION / 2; i++)
        for (int edge = 0; edge < EDGES; edge++)
            cr_assert_eq(ask(edge, "/v1/files", here.key), 404, "request %d", i);
    for (int edge = 0; edge < EDGES; edge++) {
        cr_expect_eq(ask(edge, "/v1/files", here.key), 429);
        cr_expect(strcasestr(here.answer.fields, "ratelimit: \"user_rpm\";r=0;t="), "%s",
                  here.answer.fields);
        cr_expect(strcasestr(here.answer.fields, "retry-after: "), "%s",
                  here.answer.fields);
    }
}

Test(shared_limits, are_each_edges_own_without_redis_and_shared_again_with_it)
{
    cr_assert_eq(use_up(0), RATION);
    cr_assert_eq(use_up(1), 0);
    redis_kill(&here.redis);
    await_cache("down");
    // What an edge served itself it has counted all along.
    cr_expect_eq(use_up(0), 0);
    cr_expect_eq(use_up(1), RATION);
    persona_key(ONE, SCOPE_OPERATOR, here.key);
    cr_assert_eq(ask(0, "/metrics", here.key), 200);
    cr_expect(strstr(here.answer.text.data, "\nomni_cache_up 0\n"), "%s",
              here.answer.text.data);
    here.redis = redis_start(here.stage.folder, "");
    await_cache("up");
    cr_assert_eq(ask(0, "/metrics", here.key), 200);
    cr_expect(strstr(here.answer.text.data, "\nomni_cache_up 1\n"));
    persona_key(OTHER, SCOPE_FILES_WRITE, here.key);
    cr_expect_eq(use_up(0), 0, "this edge's own counters hold, though Redis forgot");
}

// ---- answers

#define BODY "{\"time_series\":[1,2,3],\"forecast_steps\":1}"

static void
begin_cache(void)
{
    begin();
    here.personas.forecasts = true;
    personas_ask(&here.personas, ONE);
    persona_key(ONE, SCOPE_PREDICT, here.key);
}

TestSuite(shared_cache, .init = begin_cache, .fini = end, .timeout = 110);

static bool
is_hit(int edge)
{
    cr_assert_eq(ask_with(edge, "/api/v1/predict/played", here.key, BODY), 200, "%s",
                 here.answer.text.data);
    return strcasestr(here.answer.fields, "\nx-cache: hit") != NULL;
}

Test(shared_cache, gives_every_edge_what_one_of_them_asked_for)
{
    cr_expect(!is_hit(0));
    int64_t until_ms = om_clock_mono_ms() + 1500; // longer than an edge trusts its own
    while (om_clock_mono_ms() < until_ms)
        for (int edge = 0; edge < EDGES; edge++)
            cr_assert(is_hit(edge), "edge %d", edge);
    cr_expect_eq(atomic_load(&here.personas.seen), 1);
    cr_expect_eq(atomic_load(&here.personas.foreign), 0);
    persona_key(OTHER, SCOPE_PREDICT, here.key);
    personas_ask(&here.personas, OTHER);
    cr_expect(!is_hit(1), "another tenant's");
}

Test(shared_cache, is_purged_at_every_edge_within_a_second)
{
    cr_expect(!is_hit(0));
    cr_expect(is_hit(0));
    cr_expect(is_hit(1));
    int64_t until_ms = om_clock_mono_ms() + 1100;
    cr_assert_eq(ask_with(0, "/api/v1/cache/purge", here.key, "{\"model\":\"played\"}"),
                 200, "%s", here.answer.text.data);
    cr_expect(strstr(here.answer.text.data, "\"purged\":1,\"shared\":true"), "%s",
              here.answer.text.data);
    while (is_hit(1))
        cr_assert_lt(om_clock_mono_ms(), until_ms);
    cr_expect(is_hit(0), "made anew by the other edge");
    cr_expect_eq(atomic_load(&here.personas.seen), 2);
}

Test(shared_cache, is_done_without_when_redis_is_gone)
{
    cr_expect(!is_hit(0));
    redis_kill(&here.redis);
    await_cache("down");
    cr_expect(!is_hit(1));
    cr_expect(is_hit(1));
    cr_expect_eq(ask_with(0, "/api/v1/cache/purge", here.key, "{}"), 503);
    cr_expect(strstr(here.answer.text.data, "try again"), "%s", here.answer.text.data);
    here.redis = redis_start(here.stage.folder, "");
    await_cache("up");
    cr_expect_eq(ask_with(0, "/api/v1/cache/purge", here.key, "{}"), 200, "%s",
                 here.answer.text.data);
}
