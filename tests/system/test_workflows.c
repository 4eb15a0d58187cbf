// Batches, keys and workflows through the real edge, broker and worker.
#include <signal.h>
#include <stdio.h>

#include "tools.h"

static struct omni omni;
static struct program worker;

static void
start_worker(void)
{
    omni_start_worker(&omni, &worker, "worker", "echo");
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

TestSuite(workflows, .init = begin, .fini = end, .timeout = 120);

static void
stop_all(void)
{
    omni_stop_worker(&worker);
    omni_stop(&omni);
}

static json_t *
job(const char *kind, int number)
{
    return json_pack("{s:s,s:s,s:{s:i}}", "queue", "echo", "kind", kind, "payload", "n",
                     number);
}

// The id of the task at this place of the last answer.
static void
keep_id(const char *list, size_t place, char id[64])
{
    json_t *items = json_object_get(omni_answer(), list);
    const char *text =
        json_string_value(json_object_get(json_array_get(items, place), "task_id"));
    cr_assert(text, "no task %zu", place);
    snprintf(id, 64, "%s", text);
}

static void
expect_refused(json_t *body, const char *path, long status, const char *param,
               const char *words)
{
    cr_expect_eq(omni_ask(&omni, "POST", body, "%s", path), status, "%s",
                 omni_text("error.message"));
    cr_expect_str_eq(omni_text("error.param"), param);
    cr_expect(strstr(omni_text("error.message"), words), "%s",
              omni_text("error.message"));
}

Test(workflows, a_chord_hands_its_results_to_the_job_that_follows)
{
    char id[64], first[64];
    start_worker();
    cr_assert_eq(omni_ask(&omni, "POST",
                          json_pack("{s:{s:[o,o],s:o}}", "chord", "group", job("echo", 1),
                                    job("echo", 2), "then", job("parents", 3)),
                          "/api/v1/workflows"),
                 202, "%s", omni_text("error.message"));
    keep_id("tasks", 0, first);
    keep_id("tasks", 2, id);
    cr_expect_str_eq(omni_text("id"), id);
    omni_await(&omni, id, "complete", 20000);
    json_t *parents =
        json_object_get(json_object_get(omni_answer(), "result"), "parents");
    cr_assert_eq(json_array_size(parents), 2);
    for (size_t i = 0; i < 2; i++)
        cr_expect_eq(json_integer_value(json_object_get(json_array_get(parents, i), "n")),
                     (int)i + 1);
    json_t *depends = json_object_get(omni_answer(), "depends_on");
    cr_assert_eq(json_array_size(depends), 2);
    cr_expect_str_eq(json_string_value(json_array_get(depends, 0)), first);
    stop_all();
}

Test(workflows, a_failed_task_cancels_those_behind_it_but_one_that_runs_anyway)
{
    char last[64], anyway[64];
    start_worker();
    json_t *cleanup = job("echo", 3);
    json_object_set_new(cleanup, "run_anyway", json_true());
    json_object_set_new(cleanup, "name", json_string("cleanup"));
    json_object_set_new(cleanup, "after", json_pack("[s]", "load"));
    json_t *load = job("fail", 1), *report = job("echo", 2);
    json_object_set_new(load, "name", json_string("load"));
    json_object_set_new(report, "name", json_string("report"));
    json_object_set_new(report, "after", json_pack("[s]", "load"));
    cr_assert_eq(omni_ask(&omni, "POST",
                          json_pack("{s:[o,o,o]}", "tasks", report, cleanup, load),
                          "/api/v1/workflows"),
                 202, "%s", omni_text("error.message"));
    keep_id("tasks", 0, last);
    keep_id("tasks", 1, anyway);
    omni_await(&omni, last, "cancelled", 20000);
    cr_expect_str_eq(omni_text("error.code"), "parent_failed");
    omni_await(&omni, anyway, "complete", 20000);
    stop_all();
}

Test(workflows, a_workflow_goes_on_after_its_broker_was_killed)
{
    char first[64], last[64];
    cr_assert_eq(omni_ask(&omni, "POST",
                          json_pack("{s:[o,o,o]}", "chain", job("echo", 1),
                                    job("parents", 2), job("parents", 3)),
                          "/api/v1/workflows"),
                 202);
    keep_id("tasks", 0, first);
    keep_id("tasks", 2, last);
    pid_t pid = omni_child(&omni, "broker");
    kill(pid, SIGKILL);
    omni_child_after(&omni, "broker", pid);
    omni_await_back(&omni);
    cr_assert_eq(omni_ask(&omni, "GET", NULL, "/api/v1/tasks/%s", last), 200);
    cr_expect_str_eq(omni_text("status"), "submitted");
    cr_expect_eq(omni_number("waits_for"), 1);
    start_worker();
    omni_await(&omni, last, "complete", 30000);
    stop_all();
}

Test(workflows, a_workflow_that_cannot_be_is_refused_with_its_fault)
{
    static const char path[] = "/api/v1/workflows";
    expect_refused(json_pack("{s:[]}", "group"), path, 400, "group", "items");
    expect_refused(json_pack("{s:[]}", "chain"), path, 400, "chain", "items");
    expect_refused(json_object(), path, 400, "", "give one of");
    json_t *one = job("echo", 1), *two = job("echo", 2);
    json_object_set_new(one, "name", json_string("a"));
    json_object_set_new(two, "name", json_string("a"));
    expect_refused(json_pack("{s:[O,O]}", "tasks", one, two), path, 400, "tasks",
                   "taken");
    json_object_set_new(two, "name", json_string("b"));
    json_object_set_new(one, "after", json_pack("[s]", "c"));
    expect_refused(json_pack("{s:[O,O]}", "tasks", one, two), path, 400, "tasks",
                   "no task of the workflow");
    json_object_set_new(one, "after", json_pack("[s]", "b"));
    json_object_set_new(two, "after", json_pack("[s]", "a"));
    expect_refused(json_pack("{s:[o,o]}", "tasks", one, two), path, 400, "tasks[0]",
                   "circle");
    json_t *bad = job("echo", 3);
    json_object_set_new(bad, "depends_on", json_pack("[s]", "task_1"));
    expect_refused(json_pack("{s:[o]}", "chain", bad), path, 400, "chain[0].depends_on",
                   "task ids");
    expect_refused(json_pack("{s:{s:[],s:o}}", "chord", "group", "then", job("echo", 4)),
                   path, 400, "chord.group", "items");
    cr_expect_eq(omni_ask(&omni, "GET", NULL, "/api/v1/tasks"), 200);
    cr_expect_eq(json_array_size(json_object_get(omni_answer(), "data")), 0);
    stop_all();
}

Test(workflows, a_batch_says_of_each_job_what_became_of_it)
{
    char id[64];
    json_t *forbidden = job("echo", 2), *child = job("echo", 3);
    json_object_set_new(forbidden, "queue", json_string("omni.billing"));
    json_object_set_new(child, "depends_on",
                        json_pack("[s]", "task_01h455vb4pex5vsknk084sn02q"));
    cr_assert_eq(
        omni_ask(&omni, "POST",
                 json_pack("{s:[o,o,O]}", "jobs", job("echo", 1), forbidden, child),
                 "/api/v1/tasks/batch"),
        200);
    cr_expect_eq(omni_number("accepted"), 1);
    cr_expect_eq(omni_number("refused"), 2);
    keep_id("data", 0, id);
    static const int statuses[] = { 202, 403, 400 };
    for (size_t i = 0; i < OM_COUNT(statuses); i++) {
        json_t *item = json_array_get(json_object_get(omni_answer(), "data"), i);
        cr_expect_eq(json_integer_value(json_object_get(item, "status")), statuses[i]);
    }
    expect_refused(json_pack("{s:b,s:[o,o]}", "atomic", 1, "jobs", job("echo", 1), child),
                   "/api/v1/tasks/batch", 400, "jobs[1]", "does not exist");
    cr_expect_eq(omni_ask(&omni, "GET", NULL, "/api/v1/tasks"), 200);
    cr_expect_eq(json_array_size(json_object_get(omni_answer(), "data")), 1);
    stop_all();
}

Test(workflows, a_batch_larger_than_a_message_is_taken_in_several)
{
    enum { JOBS = 30, BYTES = 60 * 1000 };
    static char text[BYTES + 1];
    memset(text, 'x', BYTES);
    json_t *jobs = json_array();
    for (int i = 0; i < JOBS; i++)
        json_array_append_new(jobs, json_pack("{s:s,s:s,s:{s:s}}", "queue", "echo",
                                              "kind", "echo", "payload", "text", text));
    expect_refused(json_pack("{s:b,s:O}", "atomic", 1, "jobs", jobs),
                   "/api/v1/tasks/batch", 413, "jobs", "fit one message");
    cr_assert_eq(
        omni_ask(&omni, "POST", json_pack("{s:o}", "jobs", jobs), "/api/v1/tasks/batch"),
        202, "%s", omni_text("error.message"));
    cr_expect_eq(omni_number("accepted"), JOBS);
    stop_all();
}

Test(workflows, a_unique_job_is_one_until_it_has_ended)
{
    char id[64];
    json_t *body = job("echo", 1);
    json_object_set_new(body, "unique", json_pack("{s:s}", "key", "nightly"));
    cr_assert_eq(omni_ask(&omni, "POST", json_incref(body), "/api/v1/tasks"), 202);
    snprintf(id, sizeof(id), "%s", omni_text("task_id"));
    cr_assert_eq(omni_ask(&omni, "POST", json_incref(body), "/api/v1/tasks"), 200);
    cr_expect_str_eq(omni_text("task_id"), id);
    cr_expect(json_is_true(json_object_get(omni_answer(), "duplicate")));
    start_worker();
    omni_await(&omni, id, "complete", 20000);
    cr_assert_eq(omni_ask(&omni, "POST", body, "/api/v1/tasks"), 202);
    cr_expect_str_neq(omni_text("task_id"), id);
    expect_refused(json_pack("{s:s,s:s,s:{s:s}}", "queue", "echo", "kind", "echo",
                             "unique", "kee", "x"),
                   "/api/v1/tasks", 400, "unique", "did you mean");
    stop_all();
}
