// Queues and limits through HTTP and the command line, with a tenant's own worker.
#include <signal.h>
#include <stdio.h>

#include "clock.h"
#include "tools.h"

enum { WAIT_MS = 60000 }; // also of a machine that does other things

static struct omni omni;
static struct program worker;
static const char *out;

static void
start_worker(void)
{
    omni_start_worker(&omni, &worker, "worker", "echo");
}

// Run `omni ARGUMENTS` for the data folder; its standard output is in `out`.
static int
run(const char *arguments)
{
    return omni_run(&omni, arguments, &out);
}

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

TestSuite(queues, .init = begin, .fini = end, .timeout = 120);

static void
stop_all(void)
{
    omni_stop_worker(&worker);
    omni_stop(&omni);
}

static void
submit(int count, const char *limit_key)
{
    for (int i = 0; i < count; i++) {
        json_t *body = json_pack("{s:s,s:s,s:s*}", "queue", "echo", "kind", "echo",
                                 "limit_key", limit_key);
        cr_assert_eq(omni_ask(&omni, "POST", body, "/api/v1/tasks"), 202);
    }
}

// Ask for the queue until its field has that value.
static void
await(const char *field, double value)
{
    int64_t until_ms = om_clock_mono_ms() + WAIT_MS;
    do {
        cr_assert_lt(om_clock_mono_ms(), until_ms, "%s is %g, not %g", field,
                     omni_number(field), value);
        omni_pause();
        cr_assert_eq(omni_ask(&omni, "GET", NULL, "/api/v1/queues/echo"), 200);
    } while (omni_number(field) != value);
}

static long
put(const char *path, const char *json)
{
    return omni_ask(&omni, "PUT", json_loads(json, 0, NULL), "%s", path);
}

Test(queues, a_paused_one_takes_jobs_and_starts_none_also_after_a_restart)
{
    cr_assert_eq(omni_ask(&omni, "POST", NULL, "/api/v1/queues/echo/pause"), 200);
    cr_assert(json_is_true(
        json_object_get(json_object_get(omni_answer(), "settings"), "paused")));
    start_worker();
    submit(3, NULL);
    await("ready", 3);
    await("workers", 1);
    pid_t broker = omni_child(&omni, "broker");
    kill(broker, SIGKILL);
    omni_child_after(&omni, "broker", broker);
    omni_await_back(&omni);
    await("workers", 1);
    await("ready", 3);
    cr_assert_eq(omni_number("completed"), 0);
    cr_assert_eq(omni_ask(&omni, "POST", NULL, "/api/v1/queues/echo/resume"), 200);
    await("completed", 3);
    cr_assert_eq(omni_number("ready"), 0);
    stop_all();
}

Test(queues, a_rate_is_kept_and_shown)
{
    cr_assert_eq(put("/api/v1/queues/echo", "{\"rate\":2,\"rate_ms\":1000}"), 200);
    cr_assert_eq(omni_number("settings.rate"), 2);
    start_worker();
    await("workers", 1);
    int64_t began_ms = om_clock_mono_ms();
    submit(7, NULL);
    await("completed", 7);
    cr_assert_geq(om_clock_mono_ms() - began_ms, 3000, "four windows are three seconds");
    cr_assert_eq(put("/api/v1/queues/echo", "{\"rate_ms\":3600000}"), 200);
    submit(7, NULL);
    cr_assert_eq(omni_ask(&omni, "GET", NULL, "/api/v1/queues/echo"), 200);
    cr_assert_geq(omni_number("ready"), 5, "two may start in this hour");
    cr_assert_eq(put("/api/v1/queues/echo", "{\"rate\":0}"), 200);
    await("completed", 14); // none of them waits for an hour
    stop_all();
}

Test(queues, a_limit_key_holds_back_its_own_jobs_only)
{
    cr_assert_eq(put("/api/v1/limits/acme%20corp", "{\"rate\":1,\"rate_ms\":3600000}"),
                 200);
    cr_assert_str_eq(omni_text("limit_key"), "acme corp");
    submit(3, "acme corp");
    submit(3, "other");
    start_worker();
    await("completed", 4);
    await("ready", 2);
    cr_assert_eq(omni_ask(&omni, "GET", NULL, "/api/v1/limits/acme%%20corp"), 200);
    cr_assert_eq(omni_number("started"), 1);
    stop_all();
}

Test(queues, a_purge_cancels_what_waits)
{
    submit(20, NULL);
    json_t *later = json_pack("{s:s,s:s,s:I}", "queue", "echo", "kind", "echo",
                              "delay_ms", (json_int_t)3600 * 1000);
    cr_assert_eq(omni_ask(&omni, "POST", later, "/api/v1/tasks"), 202);
    await("scheduled", 1);
    cr_assert_eq(omni_ask(&omni, "POST", NULL, "/api/v1/queues/echo/purge"), 202);
    await("ready", 0);
    await("scheduled", 0);
    size_t listed = 0;
    int64_t until_ms = om_clock_mono_ms() + WAIT_MS;
    do { // the list is of what is in the tables
        cr_assert_lt(om_clock_mono_ms(), until_ms, "%zu are listed", listed);
        omni_pause();
        cr_assert_eq(
            omni_ask(&omni, "GET", NULL, "/api/v1/tasks?status=cancelled&limit=100"),
            200);
        listed = json_array_size(json_object_get(omni_answer(), "data"));
        cr_assert_leq(listed, 21);
    } while (listed < 21);
    stop_all();
}

Test(queues, a_purge_reaches_what_is_not_in_memory_and_goes_on_after_a_restart)
{
    enum { BATCHES = 4, JOBS = 500 };
    for (int i = 0; i < BATCHES; i++) {
        json_t *jobs = json_array();
        for (int j = 0; j < JOBS; j++)
            json_array_append_new(jobs,
                                  json_pack("{s:s,s:s}", "queue", "echo", "kind", "k"));
        cr_assert_eq(omni_ask(&omni, "POST", json_pack("{s:o}", "jobs", jobs),
                              "/api/v1/tasks/batch"),
                     202);
    }
    await("ready", BATCHES * JOBS);
    pid_t broker = omni_child(&omni, "broker");
    cr_assert_eq(omni_ask(&omni, "POST", NULL, "/api/v1/queues/echo/purge"), 202);
    kill(broker, SIGKILL);
    omni_child_after(&omni, "broker", broker);
    omni_await_back(&omni);
    await("ready", 0);
    submit(1, NULL);
    await("ready", 1);
    start_worker();
    await("completed", 1);
    stop_all();
}

// The first row that is a tenant's.
static json_t *
own_part(json_t *rows)
{
    size_t index;
    json_t *row;
    json_array_foreach (rows, index, row)
        if (json_is_string(json_object_get(row, "tenant")))
            return row;
    cr_assert_fail("no tenant has a queue");
    return NULL;
}

Test(queues, a_tenant_sets_its_own_and_operators_the_rest)
{
    static const struct {
        const char *method, *path, *body;
        long status;
    } cases[] = {
        { "PUT", "/api/v1/queues/omni.training", "{\"concurrency\":1}", 403 },
        { "POST", "/api/v1/queues/omni.training/pause", NULL, 403 },
        { "POST", "/api/v1/queues/omni.training/purge", NULL, 403 },
        { "GET", "/api/v1/queues/omni.training", NULL, 200 },
        { "GET", "/api/v1/queues/Nothing", NULL, 404 },
        { "PUT", "/api/v1/queues/echo", "{\"weight\":2}", 400 },
        { "PUT", "/api/v1/queues/echo", "{\"concurrency\":-1}", 400 },
        { "PUT", "/api/v1/limits/k", "{\"rate\":10001}", 400 },
        { "PUT", "/api/v1/admin/tenants/nobody/limits", "{\"weight\":2}", 404 },
        { "GET", "/api/v1/admin/queues?tenant=nobody", NULL, 404 },
    };
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        json_t *body = cases[i].body ? json_loads(cases[i].body, 0, NULL) : NULL;
        cr_expect_eq(omni_ask(&omni, cases[i].method, body, "%s", cases[i].path),
                     cases[i].status, "%s %s", cases[i].method, cases[i].path);
    }
    submit(1, NULL);
    await("ready", 1);
    cr_assert_eq(omni_ask(&omni, "GET", NULL, "/api/v1/admin/queues"), 200);
    json_t *rows = json_object_get(omni_answer(), "data");
    cr_expect_gt(json_array_size(rows), 5, "all of the platform's are there");
    char path[128];
    snprintf(path, sizeof(path), "/api/v1/admin/tenants/%s/limits",
             json_string_value(json_object_get(own_part(rows), "tenant")));
    cr_assert_eq(put(path, "{\"weight\":3,\"concurrency\":50}"), 200);
    cr_expect_eq(omni_number("settings.weight"), 3);
    cr_assert_eq(put(path, "{\"queue\":\"omni.training\",\"concurrency\":1}"), 200);
    cr_expect_str_eq(omni_text("queue"), "omni.training");
    cr_assert_eq(omni_ask(&omni, "GET", NULL, "%s", path), 200);
    cr_expect_eq(json_array_size(json_object_get(omni_answer(), "data")), 1);
    json_t *key = json_pack("{s:s}", "name", "plain");
    cr_assert_eq(omni_ask(&omni, "POST", key, "/developer/keys"), 201);
    struct api *plain = api_open_at(omni.url, omni_text("key"));
    struct api_reply reply = { 0 };
    cr_expect_eq(api_call(plain, &reply, "GET", NULL, "/api/v1/admin/queues"),
                 EXIT_REFUSED);
    cr_expect_eq(reply.status, 403);
    api_reply_finish(&reply);
    cr_expect_eq(api_call(plain, &reply, "GET", NULL, "/api/v1/queues"), EXIT_DONE);
    api_reply_finish(&reply);
    api_close(&plain);
    stop_all();
}

static bool
metrics_have(const char *line)
{
    char command[512];
    snprintf(command, sizeof(command),
             "curl -sS --noproxy '*' -H 'authorization: Bearer %s' %s/metrics", omni.key,
             omni.url);
    cr_assert_eq(tool_run(command, &out), 0);
    return strstr(out, line) != NULL;
}

Test(queues, are_in_the_metrics)
{
    submit(2, NULL);
    await("ready", 2);
    cr_assert(metrics_have("omni_broker_up 1\n"), "%s", out);
    cr_expect(strstr(out, "omni_queue_ready_messages{queue=\"omni.training\"} 0\n"), "%s",
              out);
    cr_expect(strstr(out, "omni_queue_ready_messages{queue=\"echo\",tenant=\""));
    cr_expect(strstr(out, "omni_http_requests_total"));
    stop_all();
}

Test(queues, beyond_a_hundred_are_one_line_of_the_metrics)
{
    for (int i = 0; i < 102; i++) {
        char queue[16];
        snprintf(queue, sizeof(queue), "q%d", i);
        json_t *body = json_pack("{s:s,s:s}", "queue", queue, "kind", "k");
        cr_assert_eq(omni_ask(&omni, "POST", body, "/api/v1/tasks"), 202);
    }
    int64_t until_ms = om_clock_mono_ms() + 5000;
    while (
        !metrics_have("omni_queue_ready_messages{queue=\"other\",tenant=\"other\"} 2\n"))
        cr_assert_lt(om_clock_mono_ms(), until_ms, "%s", out);
    stop_all();
}

Test(queues, have_their_commands)
{
    cr_assert_eq(run("queues set echo --concurrency 4 --rate 100/5m"), EXIT_DONE);
    cr_assert_eq(run("submit echo work --limit-key acme"), EXIT_DONE);
    cr_assert_eq(run("queues pause echo"), EXIT_DONE);
    cr_assert_eq(run("queues"), EXIT_DONE);
    cr_expect(strstr(out, "paused, 4 at a time, 100/5m"), "%s", out);
    cr_assert_eq(run("queues resume echo"), EXIT_DONE);
    cr_assert_eq(run("limits set acme --rate 1/s"), EXIT_DONE);
    cr_assert_eq(run("limits"), EXIT_DONE);
    cr_expect(strstr(out, "acme") && strstr(out, "1/s"), "%s", out);
    cr_assert_eq(run("queues purge echo"), EXIT_DONE);
    cr_assert_eq(run("queues --all"), EXIT_DONE);
    cr_expect(strstr(out, "omni.training"), "%s", out);
    cr_expect_eq(run("queues set echo"), EXIT_USAGE);
    cr_expect_eq(run("queues set echo --rate x/s"), EXIT_USAGE);
    cr_expect_eq(run("limits set acme --rate 1/y"), EXIT_USAGE);
    cr_expect_eq(run("queues pause omni.training"), EXIT_REFUSED);
    stop_all();
}
