// Two edges that share a Redis, as real programs with a real redis-server: a limit holds
// over both, so does an answer, and each is on its own while Redis is gone.
#include <criterion/criterion.h>
#include <curl/curl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "persona.h"
#include "program.h"
#include "stage.h"

enum { WAIT_MS = 20000, EDGES = 2, RATION = 40 };

static struct setup {
    struct stage stage;
    char urls[EDGES][64], key[PERSONA_KEY];
    struct program edges[EDGES];
    struct personas personas;
    pid_t redis;
    CURL *curl;
    // The last answer.
    char text[256 * 1024], fields[32 * 1024];
} here;

static size_t
on_text(char *data, size_t size, size_t count, void *context)
{
    char *text = context;
    size_t used = strlen(text), room = sizeof(here.text) - used - 1;
    size_t take = size * count < room ? size * count : room;
    memcpy(text + used, data, take);
    text[used + take] = '\0';
    return size * count;
}

// `body` NULL: GET.
static long
ask_with(int edge, const char *path, const char *key, const char *body)
{
    char url[128], header[128];
    long status = 0;
    struct curl_slist *headers = NULL;
    snprintf(url, sizeof(url), "%s%s", here.urls[edge], path);
    snprintf(header, sizeof(header), "Authorization: Bearer %s", key);
    headers = curl_slist_append(headers, header);
    here.text[0] = here.fields[0] = '\0';
    curl_easy_setopt(here.curl, CURLOPT_URL, url);
    curl_easy_setopt(here.curl, CURLOPT_PROXY, "");
    curl_easy_setopt(here.curl, CURLOPT_HTTPGET, 1L);
    if (body)
        curl_easy_setopt(here.curl, CURLOPT_COPYPOSTFIELDS, body);
    curl_easy_setopt(here.curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(here.curl, CURLOPT_TIMEOUT_MS, (long)WAIT_MS);
    curl_easy_setopt(here.curl, CURLOPT_WRITEFUNCTION, on_text);
    curl_easy_setopt(here.curl, CURLOPT_WRITEDATA, here.text);
    curl_easy_setopt(here.curl, CURLOPT_HEADERFUNCTION, on_text);
    curl_easy_setopt(here.curl, CURLOPT_HEADERDATA, here.fields);
    cr_assert_eq(curl_easy_perform(here.curl), CURLE_OK, "%s", url);
    curl_easy_getinfo(here.curl, CURLINFO_RESPONSE_CODE, &status);
    curl_slist_free_all(headers);
    return status;
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
    cr_expect(strstr(here.text, "rate_limit_exceeded"), "%s", here.text);
    return served;
}

static void
start_redis(void)
{
    char socket[64];
    snprintf(socket, sizeof(socket), "%s/redis", here.stage.folder);
    here.redis = fork();
    if (here.redis == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", socket,
               "--dir", here.stage.folder, "--save", "", "--logfile", "/dev/null",
               (char *)NULL);
        _exit(127);
    }
    cr_assert_gt(here.redis, 0);
}

static void
kill_redis(void)
{
    int status;
    kill(here.redis, SIGKILL);
    cr_assert_eq(waitpid(here.redis, &status, 0), here.redis);
    here.redis = 0;
}

static void
await_cache(const char *state)
{
    char wanted[32];
    snprintf(wanted, sizeof(wanted), "\"cache\":\"%s\"", state);
    for (int edge = 0; edge < EDGES; edge++) {
        int64_t until_ms = om_clock_mono_ms() + WAIT_MS;
        while (ask(edge, "/readyz", "") != 200 || !strstr(here.text, wanted))
            cr_assert_lt(om_clock_mono_ms(), until_ms, "never %s: %s", wanted, here.text);
    }
}

static void
start_edge(int edge)
{
    struct program *program = &here.edges[edge];
    char node[] = "OMNI_NODE=edge-0";
    node[sizeof(node) - 2] = (char)('0' + edge);
    here.stage.list[here.stage.count] = node;
    program_start(program, "omni-ingest", here.stage.list, NULL);
    here.stage.list[here.stage.count] = NULL;
    program_expect_log(program, "listening");
    const char *address = strstr(program->log, "127.0.0.1:");
    cr_assert(address);
    snprintf(here.urls[edge], sizeof(here.urls[0]), "http://%.*s",
             (int)strcspn(address, "\""), address);
}

static void
begin(void)
{
    char cache[64];
    memset(&here, 0, sizeof(here));
    stage_open(&here.stage);
    here.personas.ration = RATION;
    personas_open(&here.personas);
    personas_ask(&here.personas, OTHER);
    persona_key(OTHER, SCOPE_FILES_READ, here.key);
    here.curl = curl_easy_init();
    snprintf(cache, sizeof(cache), "redis://unix:%s", here.stage.folder);
    stage_set(&here.stage, "OMNI_BROKER", "%s", here.personas.broker.endpoint);
    stage_set(&here.stage, "OMNI_BLOBS", "dir:%s", here.stage.folder);
    stage_set(&here.stage, "OMNI_SECRET_FILE", "%s/secret", here.stage.folder);
    stage_set(&here.stage, "OMNI_KEYS", "%s", "");
    stage_set(&here.stage, "OMNI_LISTEN", "127.0.0.1:0");
    stage_set(&here.stage, "OMNI_LOG_FORMAT", "json");
    stage_set(&here.stage, "OMNI_CACHE", "%s/redis", cache);
    stage_set(&here.stage, "OMNI_CACHE_MS",
              "1000"); // a loaded machine is no reason to be on one's own
    start_redis();
    for (int edge = 0; edge < EDGES; edge++)
        start_edge(edge);
    await_cache("up");
}

static void
end(void)
{
    curl_easy_cleanup(here.curl);
    for (int edge = 0; edge < EDGES; edge++)
        program_finish(&here.edges[edge]);
    personas_close(&here.personas);
    if (here.redis)
        kill_redis();
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
        cr_expect(strcasestr(here.fields, "ratelimit: \"user_rpm\";r=0;t="), "%s",
                  here.fields);
        cr_expect(strcasestr(here.fields, "retry-after: "), "%s", here.fields);
    }
}

Test(shared_limits, are_each_edges_own_without_redis_and_shared_again_with_it)
{
    cr_assert_eq(use_up(0), RATION);
    cr_assert_eq(use_up(1), 0);
    kill_redis();
    await_cache("down");
    // What an edge served itself it has counted all along.
    cr_expect_eq(use_up(0), 0);
    cr_expect_eq(use_up(1), RATION);
    persona_key(ONE, SCOPE_OPERATOR, here.key);
    cr_assert_eq(ask(0, "/metrics", here.key), 200);
    cr_expect(strstr(here.text, "\nomni_cache_up 0\n"), "%s", here.text);
    start_redis();
    await_cache("up");
    cr_assert_eq(ask(0, "/metrics", here.key), 200);
    cr_expect(strstr(here.text, "\nomni_cache_up 1\n"));
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
                 here.text);
    return strcasestr(here.fields, "\nx-cache: hit") != NULL;
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
                 200, "%s", here.text);
    cr_expect(strstr(here.text, "\"purged\":1,\"shared\":true"), "%s", here.text);
    while (is_hit(1))
        cr_assert_lt(om_clock_mono_ms(), until_ms);
    cr_expect(is_hit(0), "made anew by the other edge");
    cr_expect_eq(atomic_load(&here.personas.seen), 2);
}

Test(shared_cache, is_done_without_when_redis_is_gone)
{
    cr_expect(!is_hit(0));
    kill_redis();
    await_cache("down");
    cr_expect(!is_hit(1));
    cr_expect(is_hit(1));
    cr_expect_eq(ask_with(0, "/api/v1/cache/purge", here.key, "{}"), 503);
    cr_expect(strstr(here.text, "try again"), "%s", here.text);
    start_redis();
    await_cache("up");
    cr_expect_eq(ask_with(0, "/api/v1/cache/purge", here.key, "{}"), 200, "%s",
                 here.text);
}
