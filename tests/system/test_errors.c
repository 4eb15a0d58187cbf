// Groups of errors: what fails is one group however its ids differ, counted exactly over
// kill -9 of who counts, with a trace to look at; and nobody else's.
#include <signal.h>
#include <stdio.h>

#include "clock.h"
#include "tools.h"

enum { WAIT_MS = 60000, JOBS = 12 };

static struct omni omni;
static struct program worker;

static void
begin(void)
{
    omni_open(&omni);
    omni_start_worker(&omni, &worker, "worker", "shop");
}

static void
end(void)
{
    program_finish(&worker);
    omni_close(&omni);
}

TestSuite(errors, .init = begin, .fini = end, .timeout = 300);

static void
stop_all(void)
{
    omni_stop_worker(&worker);
    omni_stop(&omni);
}

static void
submit(const char *kind, int order, int attempts, char id[64])
{
    cr_assert_eq(
        omni_ask(&omni, "POST",
                 json_pack("{s:s,s:s,s:i,s:{s:i}}", "queue", "shop", "kind", kind,
                           "max_attempts", attempts, "payload", "order", order),
                 "/api/v1/tasks"),
        202);
    snprintf(id, 64, "%s", omni_text("task_id"));
}

// The group of errors of that kind of job; NULL: there is none.
static json_t *
group_of(const char *kind)
{
    size_t index;
    json_t *group;
    cr_assert_eq(omni_ask(&omni, "GET", NULL, "/api/v1/errors?source=job"), 200);
    json_array_foreach (json_object_get(omni_answer(), "data"), index, group)
        if (strcmp(json_string_value(json_object_get(group, "kind")), kind) == 0)
            return group;
    return NULL;
}

static long long
number(json_t *group, const char *name)
{
    return json_integer_value(json_object_get(group, name));
}

// Wait until the group has counted so many, which it must not pass.
static json_t *
await_count(const char *kind, long long count)
{
    int64_t end_ms = om_clock_mono_ms() + WAIT_MS;
    for (;;) {
        json_t *group = group_of(kind);
        long long now = group ? number(group, "count") : 0;
        cr_assert_leq(now, count, "an error was counted twice");
        if (now == count)
            return group;
        cr_assert_lt(om_clock_mono_ms(), end_ms, "%lld of %lld were counted", now, count);
        omni_pause();
    }
}

// `omni trace` shows the attempt, once the spans are in the files.
static void
expect_trace(const char *trace)
{
    int64_t end_ms = om_clock_mono_ms() + WAIT_MS;
    char command[128];
    const char *out = "";
    snprintf(command, sizeof(command), "trace %s", trace);
    while (omni_run(&omni, command, &out) != EXIT_DONE || !strstr(out, "shop") ||
           !strstr(out, "✗")) {
        cr_assert_lt(om_clock_mono_ms(), end_ms, "there is no failed attempt: %s", out);
        omni_pause();
    }
}

Test(errors, of_one_kind_are_one_group_whose_trace_omni_trace_shows)
{
    char id[64], trace[64], group_id[64], command[128];
    const char *out;
    for (int i = 0; i < JOBS; i++)
        submit("wrong", 1000 + 77 * i, 1, id);
    json_t *group = await_count("wrong", JOBS);
    cr_assert_eq(json_array_size(json_object_get(omni_answer(), "data")), 1);
    cr_expect_str_eq(json_string_value(json_object_get(group, "title")),
                     "cannot do {<str>:<n>}");
    cr_expect_str_eq(json_string_value(json_object_get(group, "worker")), "echo");
    snprintf(trace, sizeof(trace), "%s",
             json_string_value(json_object_get(group, "trace_id")));
    snprintf(group_id, sizeof(group_id), "%s",
             json_string_value(json_object_get(group, "id")));

    expect_trace(trace);

    cr_assert_eq(omni_run(&omni, "errors", &out), EXIT_DONE, "%s", out);
    cr_expect(strstr(out, group_id) && strstr(out, trace), "%s", out);
    snprintf(command, sizeof(command), "errors show %s", group_id);
    cr_assert_eq(omni_run(&omni, command, &out), EXIT_DONE, "%s", out);
    cr_expect(strstr(out, trace) && strstr(out, "count      12"), "%s", out);

    // Resolved, it is not shown; when it comes again it is open.
    snprintf(command, sizeof(command), "errors resolve %s", group_id);
    cr_assert_eq(omni_run(&omni, command, &out), EXIT_DONE, "%s", out);
    cr_assert_eq(omni_run(&omni, "errors", &out), EXIT_DONE);
    cr_expect_null(strstr(out, group_id), "%s", out);
    submit("wrong", 5, 1, id);
    await_count("wrong", JOBS + 1);
    cr_assert_eq(omni_run(&omni, "errors", &out), EXIT_DONE);
    cr_expect(strstr(out, "regressed"), "%s", out);
    stop_all();
}

Test(errors, are_counted_exactly_over_kill_9_of_who_counts)
{
    char id[64];
    pid_t scheduler = omni_child(&omni, "scheduler");
    long long count = 0;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < JOBS; i++, count++) {
            submit("wrong", i, 1, id);
            if (i == JOBS / 2)
                kill(scheduler, SIGKILL);
        }
        scheduler = omni_child_after(&omni, "scheduler", scheduler);
    }
    kill(omni_child(&omni, "broker"), SIGKILL);
    omni_await_back(&omni);
    await_count("wrong", count);
    // Each attempt counts, those that were tried again are marked.
    submit("flaky", 1, 2, id);
    omni_await(&omni, id, "failed", WAIT_MS);
    json_t *group = await_count("flaky", 2);
    cr_expect_eq(number(group, "retried"), 1);
    await_count("wrong", count);
    stop_all();
}

Test(errors, of_a_tenant_are_not_there_for_another_nor_for_the_sandbox)
{
    char id[64], group_id[64], key[192];
    submit("wrong", 1, 1, id);
    json_t *group = await_count("wrong", 1);
    snprintf(group_id, sizeof(group_id), "%s",
             json_string_value(json_object_get(group, "id")));
    cr_assert_eq(omni_ask(&omni, "GET", NULL, "/api/v1/errors/%s", group_id), 200);
    // Not of the platform, so not the operators' business either.
    cr_assert_eq(omni_ask(&omni, "GET", NULL, "/api/v1/admin/errors/%s", group_id), 404);

    static const char *const others[] = { "tenant", "sandbox" };
    for (size_t i = 0; i < OM_COUNT(others); i++) {
        bool sandbox = i == 1;
        if (sandbox)
            cr_assert_eq(omni_ask(&omni, "POST",
                                  json_pack("{s:s,s:s}", "name", "t", "env", "test"),
                                  "/developer/keys"),
                         201);
        else
            cr_assert_eq(omni_ask(&omni, "POST",
                                  json_pack("{s:s,s:s}", "slug", "other", "name", "O"),
                                  "/api/v1/admin/tenants"),
                         201);
        snprintf(key, sizeof(key), "%s", omni_text("key"));
        struct api *mine = omni.api;
        omni.api = api_open_at(omni.url, key);
        cr_assert_eq(omni_ask(&omni, "GET", NULL, "/api/v1/errors"), 200);
        cr_expect_eq(json_array_size(json_object_get(omni_answer(), "data")), 0);
        cr_expect_eq(omni_ask(&omni, "GET", NULL, "/api/v1/errors/%s", group_id), 404,
                     "%s", others[i]);
        cr_expect_eq(omni_ask(&omni, "POST", NULL, "/api/v1/errors/%s/resolve", group_id),
                     404, "%s", others[i]);
        api_close(&omni.api);
        omni.api = mine;
    }
    stop_all();
}

Test(errors, of_requests_are_counted_each_with_the_route_and_the_request)
{
    char id[64];
    pid_t registry = omni_child(&omni, "registry");
    kill(registry, SIGSTOP);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(omni_ask(&omni, "GET", NULL,
                              "/api/v1/models/model_01m7zgyfxpeqea2xszr937x718"),
                     503);
    kill(registry, SIGCONT);
    int64_t end_ms = om_clock_mono_ms() + WAIT_MS;
    long long sum;
    do {
        size_t index;
        json_t *group;
        sum = 0;
        cr_assert_lt(om_clock_mono_ms(), end_ms, "%lld of 3 were counted", sum);
        omni_pause();
        cr_assert_eq(omni_ask(&omni, "GET", NULL, "/api/v1/admin/errors?source=http"),
                     200);
        json_array_foreach (json_object_get(omni_answer(), "data"), index, group) {
            sum += number(group, "count");
            cr_expect_str_eq(json_string_value(json_object_get(group, "route")),
                             "GET /api/v1/models/{id}");
            snprintf(id, sizeof(id), "%s",
                     json_string_value(json_object_get(group, "request_id")));
        }
    } while (sum < 3);
    cr_expect_eq(sum, 3);
    cr_expect_eq(strncmp(id, "req_", 4), 0);
    stop_all();
}
