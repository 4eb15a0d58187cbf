// Guessing keys at real edges: how many an address may get wrong, who is not stopped by
// it, and that edges with a Redis count together.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "clock.h"
#include "edge_program.h"
#include "http_ask.h"
#include "persona.h"
#include "redis_server.h"

enum { WAIT_MS = 20000, EDGES = 2, MOST = 5 };

static struct setup {
    struct stage stage;
    char urls[EDGES][EDGE_PROGRAM_URL];
    struct program edges[EDGES];
    struct personas personas;
    pid_t redis;
    struct http_answer answer; // the last one
} here;

// What comes over a proxy from `address`; NULL: not over one.
static long
ask(int edge, const char *address, const char *path, const char *key)
{
    char forwarded[128];
    struct http_ask ask = { .url = here.urls[edge], .path = path, .key = key };
    snprintf(forwarded, sizeof(forwarded), "X-Forwarded-For: %s", address ? address : "");
    if (address)
        ask.fields[0] = forwarded;
    return http_ask(&ask, &here.answer);
}

// A key nobody made, another one each time.
static long
guess(int edge, const char *address)
{
    static int number;
    char key[64];
    snprintf(key, sizeof(key), "omni_live_%032d", number++);
    return ask(edge, address, "/v1/files", key);
}

static long
ask_good(int edge, const char *address, enum scope scope)
{
    char key[PERSONA_KEY];
    persona_key(ONE, scope, key);
    return ask(edge, address, "/v1/files", key); // 404: nobody plays the registry
}

static void
use_up(int edge, const char *address)
{
    for (int i = 0; i < MOST; i++)
        cr_expect_eq(guess(edge, address), 401, "guess %d from %s", i, address);
    cr_expect_eq(guess(edge, address), 429, "of %s: %s", address, here.answer.text.data);
}

// ---- setting up

static void
start_edge(int edge)
{
    char node[] = "edge-0";
    node[sizeof(node) - 2] = (char)('0' + edge);
    stage_set(&here.stage, "OMNI_NODE", "%s", node);
    edge_program_start(&here.edges[edge], &here.stage, here.urls[edge]);
}

static void
await(int edge, const char *cache)
{
    int64_t until_ms = om_clock_mono_ms() + WAIT_MS;
    while (ask(edge, NULL, "/readyz", NULL) != 200 ||
           (cache && !strstr(here.answer.text.data, cache)))
        cr_assert_lt(om_clock_mono_ms(), until_ms, "never ready: %s",
                     here.answer.text.data);
}

static void
begin(void)
{
    memset(&here, 0, sizeof(here));
    stage_open(&here.stage);
    personas_open(&here.personas);
    personas_ask(&here.personas, ONE);
    personas_settle(&here.personas, &here.stage);
    stage_set(&here.stage, "OMNI_TRUSTED_PROXIES", "127.0.0.0/8");
    stage_set(&here.stage, "OMNI_FAILED_KEYS", "%d", MOST);
}

static void
begin_one(void)
{
    begin();
    start_edge(0);
    await(0, NULL);
}

static void
end(void)
{
    http_answer_finish(&here.answer);
    for (int edge = 0; edge < EDGES; edge++)
        program_finish(&here.edges[edge]);
    personas_close(&here.personas);
    redis_kill(&here.redis);
    stage_close(&here.stage);
}

TestSuite(guesses, .init = begin_one, .fini = end, .timeout = 110);

Test(guesses, are_refused_beyond_so_many_a_minute_and_told_when_to_come_back)
{
    use_up(0, "192.0.2.1");
    cr_expect(strstr(here.answer.text.data, "\"type\":\"rate_limit_error\""), "%s",
              here.answer.text.data);
    cr_expect(strstr(here.answer.text.data, "\"code\":\"rate_limit_exceeded\""), "%s",
              here.answer.text.data);
    cr_expect(strstr(here.answer.text.data, "\"violated_policies\":[\"failed_keys\"]"),
              "%s", here.answer.text.data);
    const char *field = strcasestr(here.answer.fields, "\nretry-after: ");
    cr_assert(field, "%s", here.answer.fields);
    long retry_s = strtol(field + 14, NULL, 10);
    cr_expect(retry_s >= 1 && retry_s <= 60, "%ld", retry_s);
}

Test(guesses, count_for_each_address_of_ipv4_and_each_64_of_ipv6)
{
    use_up(0, "192.0.2.1");
    cr_expect_eq(guess(0, "192.0.2.2"), 401);
    use_up(0, "2001:db8:0:1::1");
    cr_expect_eq(guess(0, "2001:db8:0:1:ffff::2"), 429, "the same customer");
    cr_expect_eq(guess(0, "2001:db8:0:2::1"), 401, "another one");
}

Test(guesses, that_are_no_keys_and_grants_count_too_but_none_at_all_does_not)
{
    for (int i = 0; i < 3 * MOST; i++)
        cr_expect_eq(ask(0, "192.0.2.1", "/v1/files", NULL), 401);
    for (int i = 0; i < MOST - 1; i++)
        cr_expect_eq(ask(0, "192.0.2.1", "/v1/files", "sk-nonsense"), 401);
    cr_expect_eq(ask(0, "192.0.2.1", "/internal/blobs/registry/a/b", "nonsense"), 401);
    cr_expect_eq(ask(0, "192.0.2.1", "/internal/blobs/registry/a/b", "nonsense"), 429);
    cr_expect_eq(ask(0, "192.0.2.1", "/v1/files", "sk-nonsense"), 429);
    cr_expect_eq(guess(0, "192.0.2.1"), 429);
}

Test(guesses, stop_nobody_at_the_same_address_whose_key_was_used_before)
{
    cr_expect_eq(ask_good(0, "192.0.2.1", SCOPE_FILES_READ), 404, "%s",
                 here.answer.text.data);
    use_up(0, "192.0.2.1");
    for (int i = 0; i < 2 * MOST; i++)
        cr_expect_eq(ask_good(0, "192.0.2.1", SCOPE_FILES_READ), 404, "%s",
                     here.answer.text.data);
    // As documented: one that is new to the edge waits, elsewhere it does not.
    cr_expect_eq(ask_good(0, "192.0.2.1", SCOPE_FILES_WRITE), 429, "%s",
                 here.answer.text.data);
    cr_expect_eq(ask_good(0, "192.0.2.9", SCOPE_FILES_WRITE), 404, "%s",
                 here.answer.text.data);
}

Test(guesses, are_none_when_the_key_turns_out_to_hold)
{
    for (unsigned i = 0; i < 4 * MOST; i++) {
        cr_expect_neq(ask_good(0, "192.0.2.1", (enum scope)(i % SCOPE_COUNT)), 429);
        cr_expect_neq(ask_good(0, "192.0.2.1", (enum scope)(i % SCOPE_COUNT)), 401);
    }
    use_up(0, "192.0.2.1");
}

// Send requests with one key at once, and count those that are answered with `status`.
static int
count_together(const char *address, const char *key, long status)
{
    enum { TOGETHER = 4 * MOST };
    struct http_call calls[TOGETHER];
    static struct http_answer answers[TOGETHER];
    char forwarded[128];
    int running = 1, counted = 0;
    snprintf(forwarded, sizeof(forwarded), "X-Forwarded-For: %s", address);
    struct http_ask ask = {
        .url = here.urls[0], .path = "/v1/files", .key = key, .fields = { forwarded }
    };
    CURLM *multi = curl_multi_init();
    for (int i = 0; i < TOGETHER; i++) {
        http_call_begin(&calls[i], &ask, &answers[i]);
        curl_multi_add_handle(multi, calls[i].curl);
    }
    while (running && curl_multi_perform(multi, &running) == CURLM_OK)
        curl_multi_poll(multi, NULL, 0, 1000, NULL);
    for (int i = 0; i < TOGETHER; i++) {
        curl_multi_remove_handle(multi, calls[i].curl);
        http_call_end(&calls[i]);
        counted += answers[i].status == status;
        http_answer_finish(&answers[i]);
    }
    curl_multi_cleanup(multi);
    return counted;
}

Test(guesses, are_one_when_requests_with_a_new_key_come_together)
{
    char key[PERSONA_KEY];
    persona_key(ONE, SCOPE_FILES_READ, key);
    cr_expect_eq(count_together("192.0.2.1", key, 429), 0);
    use_up(0, "192.0.2.1");
}

// ---- over several edges

static void
begin_two(void)
{
    begin();
    stage_set(&here.stage, "OMNI_CACHE", "redis://unix:%s/redis", here.stage.folder);
    stage_set(&here.stage, "OMNI_CACHE_MS", "1000");
    here.redis = redis_start(here.stage.folder, "");
    for (int edge = 0; edge < EDGES; edge++) {
        start_edge(edge);
        await(edge, "\"cache\":\"up\"");
    }
}

TestSuite(shared_guesses, .init = begin_two, .fini = end, .timeout = 110);

Test(shared_guesses, are_counted_over_all_edges)
{
    for (int i = 0; i < MOST; i++)
        cr_expect_eq(guess(i % EDGES, "192.0.2.1"), 401, "%d", i);
    for (int edge = 0; edge < EDGES; edge++)
        cr_expect_eq(guess(edge, "192.0.2.1"), 429, "%d", edge);
    cr_expect_eq(ask_good(0, "192.0.2.2", SCOPE_FILES_READ), 404, "%s",
                 here.answer.text.data);
    for (int i = 0; i < 2 * MOST; i++) // none of these is kept by Redis
        cr_expect_neq(ask_good(i % EDGES, "192.0.2.2", (enum scope)(i % SCOPE_COUNT)),
                      429, "%d", i);
    cr_expect_eq(guess(1, "192.0.2.2"), 401);
}
