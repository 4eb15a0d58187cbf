// Guessing keys at real edges: how many an address may get wrong, who is not stopped by
// it, and that edges with a Redis count together.
#include <criterion/criterion.h>
#include <curl/curl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "persona.h"
#include "program.h"
#include "stage.h"

enum { WAIT_MS = 20000, EDGES = 2, MOST = 5 };

static struct setup {
    struct stage stage;
    char urls[EDGES][64];
    struct program edges[EDGES];
    struct personas personas;
    pid_t redis;
    CURL *curl;
    // The last answer.
    char text[8 * 1024], fields[8 * 1024];
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

// What comes over a proxy from `address`; NULL: not over one.
static long
ask(int edge, const char *address, const char *path, const char *key)
{
    char url[128], bearer[128], forwarded[128];
    long status = 0;
    struct curl_slist *headers = NULL;
    snprintf(url, sizeof(url), "%s%s", here.urls[edge], path);
    snprintf(bearer, sizeof(bearer), "Authorization: Bearer %s", key ? key : "");
    snprintf(forwarded, sizeof(forwarded), "X-Forwarded-For: %s", address ? address : "");
    if (key)
        headers = curl_slist_append(headers, bearer);
    if (address)
        headers = curl_slist_append(headers, forwarded);
    here.text[0] = here.fields[0] = '\0';
    curl_easy_setopt(here.curl, CURLOPT_URL, url);
    curl_easy_setopt(here.curl, CURLOPT_PROXY, "");
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
    cr_expect_eq(guess(edge, address), 429, "of %s: %s", address, here.text);
}

// ---- setting up

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
await(int edge, const char *cache)
{
    int64_t until_ms = om_clock_mono_ms() + WAIT_MS;
    while (ask(edge, NULL, "/readyz", NULL) != 200 ||
           (cache && !strstr(here.text, cache)))
        cr_assert_lt(om_clock_mono_ms(), until_ms, "never ready: %s", here.text);
}

static void
begin(void)
{
    memset(&here, 0, sizeof(here));
    stage_open(&here.stage);
    personas_open(&here.personas);
    personas_ask(&here.personas, ONE);
    here.curl = curl_easy_init();
    stage_set(&here.stage, "OMNI_BROKER", "%s", here.personas.broker.endpoint);
    stage_set(&here.stage, "OMNI_BLOBS", "dir:%s", here.stage.folder);
    stage_set(&here.stage, "OMNI_SECRET_FILE", "%s/secret", here.stage.folder);
    stage_set(&here.stage, "OMNI_KEYS", "%s", "");
    stage_set(&here.stage, "OMNI_LISTEN", "127.0.0.1:0");
    stage_set(&here.stage, "OMNI_LOG_FORMAT", "json");
    stage_set(&here.stage, "OMNI_INGEST_THREADS", "1");
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
    curl_easy_cleanup(here.curl);
    for (int edge = 0; edge < EDGES; edge++)
        program_finish(&here.edges[edge]);
    personas_close(&here.personas);
    if (here.redis) {
        kill(here.redis, SIGKILL);
        waitpid(here.redis, NULL, 0);
    }
    stage_close(&here.stage);
}

TestSuite(guesses, .init = begin_one, .fini = end, .timeout = 110);

Test(guesses, are_refused_beyond_so_many_a_minute_and_told_when_to_come_back)
{
    use_up(0, "192.0.2.1");
    cr_expect(strstr(here.text, "\"type\":\"rate_limit_error\""), "%s", here.text);
    cr_expect(strstr(here.text, "\"code\":\"rate_limit_exceeded\""), "%s", here.text);
    cr_expect(strstr(here.text, "\"violated_policies\":[\"failed_keys\"]"), "%s",
              here.text);
    const char *field = strcasestr(here.fields, "\nretry-after: ");
    cr_assert(field, "%s", here.fields);
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
    cr_expect_eq(ask_good(0, "192.0.2.1", SCOPE_FILES_READ), 404, "%s", here.text);
    use_up(0, "192.0.2.1");
    for (int i = 0; i < 2 * MOST; i++)
        cr_expect_eq(ask_good(0, "192.0.2.1", SCOPE_FILES_READ), 404, "%s", here.text);
    // As documented: one that is new to the edge waits, elsewhere it does not.
    cr_expect_eq(ask_good(0, "192.0.2.1", SCOPE_FILES_WRITE), 429, "%s", here.text);
    cr_expect_eq(ask_good(0, "192.0.2.9", SCOPE_FILES_WRITE), 404, "%s", here.text);
}

Test(guesses, are_none_when_the_key_turns_out_to_hold)
{
    for (unsigned i = 0; i < 4 * MOST; i++) {
        cr_expect_neq(ask_good(0, "192.0.2.1", (enum scope)(i % SCOPE_COUNT)), 429);
        cr_expect_neq(ask_good(0, "192.0.2.1", (enum scope)(i % SCOPE_COUNT)), 401);
    }
    use_up(0, "192.0.2.1");
}

static size_t
drop_text(char *data, size_t size, size_t count, void *context)
{
    (void)data, (void)context;
    return size * count;
}

// Send requests with one key at once, and count those that are answered with `status`.
static int
count_together(const char *address, const char *key, long status)
{
    enum { TOGETHER = 4 * MOST };
    CURL *easy[TOGETHER];
    char url[128], bearer[128], forwarded[128];
    int running = 1, counted = 0;
    snprintf(url, sizeof(url), "%s/v1/files", here.urls[0]);
    snprintf(bearer, sizeof(bearer), "Authorization: Bearer %s", key);
    snprintf(forwarded, sizeof(forwarded), "X-Forwarded-For: %s", address);
    struct curl_slist *headers = curl_slist_append(NULL, bearer);
    headers = curl_slist_append(headers, forwarded);
    CURLM *multi = curl_multi_init();
    for (int i = 0; i < TOGETHER; i++) {
        easy[i] = curl_easy_init();
        curl_easy_setopt(easy[i], CURLOPT_URL, url);
        curl_easy_setopt(easy[i], CURLOPT_PROXY, "");
        curl_easy_setopt(easy[i], CURLOPT_HTTPHEADER, headers);
        curl_easy_setopt(easy[i], CURLOPT_TIMEOUT_MS, (long)WAIT_MS);
        curl_easy_setopt(easy[i], CURLOPT_WRITEFUNCTION, drop_text);
        curl_multi_add_handle(multi, easy[i]);
    }
    while (running && curl_multi_perform(multi, &running) == CURLM_OK)
        curl_multi_poll(multi, NULL, 0, 1000, NULL);
    for (int i = 0; i < TOGETHER; i++) {
        long answered = 0;
        curl_easy_getinfo(easy[i], CURLINFO_RESPONSE_CODE, &answered);
        counted += answered == status;
        curl_multi_remove_handle(multi, easy[i]);
        curl_easy_cleanup(easy[i]);
    }
    curl_multi_cleanup(multi);
    curl_slist_free_all(headers);
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
    char socket[64];
    begin();
    snprintf(socket, sizeof(socket), "%s/redis", here.stage.folder);
    stage_set(&here.stage, "OMNI_CACHE", "redis://unix:%s/redis", here.stage.folder);
    stage_set(&here.stage, "OMNI_CACHE_MS", "1000");
    here.redis = fork();
    if (here.redis == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", socket,
               "--dir", here.stage.folder, "--save", "", "--logfile", "/dev/null",
               (char *)NULL);
        _exit(127);
    }
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
    cr_expect_eq(ask_good(0, "192.0.2.2", SCOPE_FILES_READ), 404, "%s", here.text);
    for (int i = 0; i < 2 * MOST; i++) // none of these is kept by Redis
        cr_expect_neq(ask_good(i % EDGES, "192.0.2.2", (enum scope)(i % SCOPE_COUNT)),
                      429, "%d", i);
    cr_expect_eq(guess(1, "192.0.2.2"), 401);
}
