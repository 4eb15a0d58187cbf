// Two edges that share nothing but their broker: whatever is changed through one of them
// holds at both within a second. What each took at most is printed.
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <strings.h>

#include "clock.h"
#include "edge_program.h"
#include "http_ask.h"

enum { DEADLINE_MS = 20000, EDGES = 2, ROUNDS = 4, SOON_MS = 1000 };

#define CHEAP "/api/v1/queues"

static struct setup {
    struct stage stage;
    char admin[128], urls[EDGES][EDGE_PROGRAM_URL];
    struct program broker, identity, registry, billing, inference, edges[EDGES];
    CURL *connection;
    struct http_answer answer; // the last one
} here;

// `body` may be NULL.
static long
ask(int edge, const char *key, const char *method, const char *path, const char *body)
{
    return http_ask(&(struct http_ask){ .connection = here.connection,
                                        .url = here.urls[edge],
                                        .method = method,
                                        .path = path,
                                        .key = key,
                                        .body = body },
                    &here.answer);
}

static void
copy_member(const char *name, char *out, size_t size)
{
    const char *text = http_text(&here.answer, name);
    cr_assert(*text, "no %s in %s", name, here.answer.text.data);
    snprintf(out, size, "%s", text);
}

// Until both edges answer so. Returns the ms since `began_ms`.
static int64_t
await_everywhere(int64_t began_ms, const char *key, long status, const char *what)
{
    for (int edge = 0; edge < EDGES; edge++)
        while (ask(edge, key, "GET", CHEAP, NULL) != status)
            cr_assert_lt(om_clock_mono_ms(), began_ms + SOON_MS, "%s: edge %d: %s", what,
                         edge, here.answer.text.data);
    return om_clock_mono_ms() - began_ms;
}

static void
tell(const char *what, int64_t most_ms)
{
    fprintf(stderr, "%s at every edge after %lld ms at most\n", what, (long long)most_ms);
}

// ---- setting up

static void
start(struct program *program, const char *name, const char *const *arguments)
{
    program_start(program, name, here.stage.list, arguments);
    program_expect_log(program, "serving");
}

static void
begin(void)
{
    static const char *const pool[] = { "--pool", "inference", NULL };
    here = (struct setup){ 0 };
    stage_open(&here.stage);
    stage_settle(&here.stage);
    stage_set(&here.stage, "OMNI_INGEST_THREADS", "1");
    here.connection = curl_easy_init();
    start(&here.broker, "omni-broker", NULL);
    start(&here.identity, "omni-identity", NULL);
    start(&here.registry, "omni-registry", NULL);
    start(&here.billing, "omni-billing", NULL);
    program_start(&here.inference, "omni-inference", here.stage.list, pool);
    stage_read(&here.stage, "admin.key", here.admin, sizeof(here.admin));
    for (int edge = 0; edge < EDGES; edge++) {
        edge_program_start(&here.edges[edge], &here.stage, here.urls[edge]);
        edge_program_await(here.urls[edge]);
    }
    cr_assert_eq(
        ask(0, here.admin, "PUT", "/api/v1/admin/plans/open", "{\"name\":\"Open\"}"), 200,
        "%s", here.answer.text.data);
}

static void
end(void)
{
    struct program *const programs[] = { &here.inference, &here.billing, &here.registry,
                                         &here.identity, &here.broker };
    for (int edge = 0; edge < EDGES; edge++)
        edge_program_stop(&here.edges[edge]);
    for (size_t i = 0; i < OM_COUNT(programs); i++)
        program_finish(programs[i]);
    curl_easy_cleanup(here.connection);
    http_answer_finish(&here.answer);
    stage_close(&here.stage);
}

TestSuite(edges, .init = begin, .fini = end, .timeout = 120);

struct tenant {
    char id[64], key[128];
};

static struct tenant
make_tenant(const char *slug)
{
    struct tenant made;
    char body[128];
    int64_t until_ms = om_clock_mono_ms() + DEADLINE_MS;
    snprintf(body, sizeof(body), "{\"name\":\"T\",\"slug\":\"%s\",\"plan\":\"open\"}",
             slug);
    cr_assert_eq(ask(0, here.admin, "POST", "/api/v1/admin/tenants", body), 201, "%s",
                 here.answer.text.data);
    copy_member("id", made.id, sizeof(made.id));
    copy_member("key", made.key, sizeof(made.key));
    // Until an edge has heard of the plan, it has the limits of one nobody told of.
    for (int edge = 0; edge < EDGES; edge++)
        while (ask(edge, made.key, "GET", CHEAP, NULL) != 200 ||
               strcasestr(here.answer.fields, "ratelimit"))
            cr_assert_lt(om_clock_mono_ms(), until_ms, "%s", here.answer.fields);
    return made;
}

// ---- what is changed

Test(edges, refuse_a_revoked_key_within_a_second)
{
    struct tenant tenant = make_tenant("acme");
    int64_t most_ms = 0;
    for (int i = 0; i < ROUNDS; i++) {
        char key[128], id[64], path[128];
        cr_assert_eq(ask(0, tenant.key, "POST", "/developer/keys", "{\"name\":\"k\"}"),
                     201, "%s", here.answer.text.data);
        copy_member("id", id, sizeof(id));
        copy_member("key", key, sizeof(key));
        await_everywhere(om_clock_mono_ms(), key, 200, "a new key");
        snprintf(path, sizeof(path), "/developer/keys/%s/revoke", id);
        int64_t began_ms = om_clock_mono_ms();
        cr_assert_eq(ask(i % EDGES, tenant.key, "POST", path, NULL), 200);
        int64_t took_ms = await_everywhere(began_ms, key, 401, "the revoked key");
        most_ms = took_ms > most_ms ? took_ms : most_ms;
    }
    tell("a revocation", most_ms);
}

Test(edges, know_a_changed_plan_within_a_second)
{
    static const struct {
        const char *path, *body; // NULL: the tenant's own
        long status;
        const char *what;
    } changes[] = {
        { "/api/v1/admin/plans/open", "{\"name\":\"Open\",\"requests\":1}", 429,
          "a plan's rate" },
        { "/api/v1/admin/plans/open", "{\"name\":\"Open\"}", 200, "a plan without rate" },
        { "/api/v1/admin/plans/open",
          "{\"name\":\"Open\",\"quotas\":[{\"policy\":\"api_calls_month\",\"limit\":0}]}",
          429, "a plan's quota" },
        { NULL, "{\"plan\":\"enterprise\"}", 200, "another plan" },
        { NULL, "{\"plan\":\"open\"}", 429, "the first plan again" },
        { NULL, "{\"plan\":\"enterprise\"}", 200, "and the other" },
        { NULL, "{\"state\":\"suspended\"}", 403, "a suspension" },
        { NULL, "{\"state\":\"active\"}", 200, "its end" },
    };
    struct tenant tenant = make_tenant("acme");
    char own[128];
    int64_t most_ms = 0;
    snprintf(own, sizeof(own), "/api/v1/admin/tenants/%s", tenant.id);
    for (size_t i = 0; i < OM_COUNT(changes); i++) {
        const char *path = changes[i].path ? changes[i].path : own;
        int64_t began_ms = om_clock_mono_ms();
        cr_assert_eq(
            ask(0, here.admin, changes[i].path ? "PUT" : "PATCH", path, changes[i].body),
            200, "%s", here.answer.text.data);
        int64_t took_ms =
            await_everywhere(began_ms, tenant.key, changes[i].status, changes[i].what);
        most_ms = took_ms > most_ms ? took_ms : most_ms;
    }
    tell("a change of plan", most_ms);
}

// Of a user: the tenant's own key is then not limited, and can change it back.
Test(edges, know_a_changed_limit_within_a_second)
{
    static const struct {
        const char *body;
        long status;
    } changes[] = {
        { "{\"requests\":1}", 429 },
        { "{\"requests\":1000000}", 200 },
        { "{\"requests\":2}", 429 },
        { "{\"state\":\"suspended\"}", 401 },
    };
    struct tenant tenant = make_tenant("acme");
    int64_t most_ms = 0;
    char key[128], user[64], body[192], path[128];
    cr_assert_eq(ask(0, tenant.key, "POST", "/api/v1/admin/users",
                     "{\"email\":\"a@acme.example\",\"name\":\"A\","
                     "\"roles\":[\"developer\"]}"),
                 201, "%s", here.answer.text.data);
    copy_member("id", user, sizeof(user));
    snprintf(body, sizeof(body), "{\"name\":\"k\",\"user\":\"%s\"}", user);
    cr_assert_eq(ask(0, tenant.key, "POST", "/developer/keys", body), 201, "%s",
                 here.answer.text.data);
    copy_member("key", key, sizeof(key));
    await_everywhere(om_clock_mono_ms(), key, 200, "a new key");
    snprintf(path, sizeof(path), "/api/v1/admin/users/%s", user);
    for (size_t i = 0; i < OM_COUNT(changes); i++) {
        int64_t began_ms = om_clock_mono_ms();
        cr_assert_eq(ask(1, tenant.key, "PATCH", path, changes[i].body), 200, "%s",
                     here.answer.text.data);
        int64_t took_ms =
            await_everywhere(began_ms, key, changes[i].status, changes[i].body);
        most_ms = took_ms > most_ms ? took_ms : most_ms;
    }
    tell("a change of limit", most_ms);
}

// ---- purges

#define PREDICT "/api/v1/predict/seasonal-naive"

static bool
is_hit(int edge, const char *key, int steps)
{
    char body[128];
    snprintf(body, sizeof(body),
             "{\"time_series\":[1,2,3,4,1,2,3,4],\"forecast_steps\":%d,\"period\":4}",
             steps);
    cr_assert_eq(ask(edge, key, "POST", PREDICT, body), 200, "%s", here.answer.text.data);
    return strcasestr(here.answer.fields, "x-cache: hit");
}

static void
fill(const char *key)
{
    for (int edge = 0; edge < EDGES; edge++)
        for (int steps = 1; steps <= 2; steps++) {
            (void)is_hit(edge, key, steps);
            cr_assert(is_hit(edge, key, steps), "%s", here.answer.fields);
        }
}

Test(edges, forget_what_one_of_them_was_told_to_within_a_second)
{
    struct tenant tenant = make_tenant("acme"), other = make_tenant("other");
    char path[128], body[128], key[80];
    int64_t most_ms = 0;
    fill(other.key);
    for (int i = 0; i < ROUNDS; i++) {
        bool all = i % 2 == 0;
        fill(tenant.key);
        cr_assert(is_hit(1, tenant.key, 1));
        const char *field = strcasestr(here.answer.fields, "x-cache-key: ");
        snprintf(key, sizeof(key), "%.64s", field + strlen("x-cache-key: "));
        snprintf(body, sizeof(body), all ? "{}" : "{\"key\":\"%s\"}", key);
        snprintf(path, sizeof(path), "/api/v1/admin/tenants/%s/cache/purge", tenant.id);
        int64_t began_ms = om_clock_mono_ms();
        cr_assert_eq(ask(0, all ? here.admin : tenant.key, "POST",
                         all ? path : "/api/v1/cache/purge", body),
                     200, "%s", here.answer.text.data);
        cr_expect(!is_hit(0, tenant.key, 1), "at the edge that was told, at once");
        while (is_hit(1, tenant.key, 1))
            cr_assert_lt(om_clock_mono_ms(), began_ms + SOON_MS, "round %d", i);
        int64_t took_ms = om_clock_mono_ms() - began_ms;
        most_ms = took_ms > most_ms ? took_ms : most_ms;
        cr_expect_eq(is_hit(1, tenant.key, 2), !all, "only what was named");
    }
    for (int edge = 0; edge < EDGES; edge++)
        cr_expect(is_hit(edge, other.key, 1), "another tenant's at edge %d", edge);
    tell("a purge", most_ms);
}

Test(edges, that_cannot_tell_the_others_of_a_purge_say_so)
{
    struct tenant tenant = make_tenant("acme");
    fill(tenant.key);
    program_signal(&here.identity, SIGSTOP);
    cr_expect_eq(ask(0, tenant.key, "POST", "/api/v1/cache/purge", "{}"), 503, "%s",
                 here.answer.text.data);
    cr_expect(strstr(here.answer.text.data, "try again"), "%s", here.answer.text.data);
    program_signal(&here.identity, SIGCONT);
    int64_t until_ms = om_clock_mono_ms() + DEADLINE_MS;
    while (ask(0, tenant.key, "POST", "/api/v1/cache/purge", "{}") != 200)
        cr_assert_lt(om_clock_mono_ms(), until_ms, "%s", here.answer.text.data);
}
