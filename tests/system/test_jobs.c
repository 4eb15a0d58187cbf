// A tenant's own queue and worker: submit, poll, complete, whatever is killed meanwhile.
#include <signal.h>
#include <stdio.h>

#include "omni.h"
#include "program.h"

static struct omni omni;
static struct program worker;

static void
start_worker(const char *scope, const char *queue)
{
    char endpoint[128], key[192];
    omni_endpoint(&omni, "OMNI_BROKER_WORK", endpoint, sizeof(endpoint));
    cr_assert_eq(omni_ask(&omni, "POST",
                          json_pack("{s:s,s:[s]}", "name", "worker", "scopes", scope),
                          "/developer/keys"),
                 201);
    snprintf(key, sizeof(key), "%s", omni_text("key"));
    const char *const settings[] = { NULL };
    const char *const arguments[] = { endpoint, key, queue, NULL };
    program_start(&worker, "../tests/echo_worker", settings, arguments);
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

TestSuite(jobs, .init = begin, .fini = end, .timeout = 120);

static void
stop_all(void)
{
    if (worker.pid > 0) {
        program_signal(&worker, SIGTERM);
        cr_assert_eq(program_wait(&worker, 5000), 0, "%s", worker.log);
    }
    omni_stop(&omni);
}

static void
submit(const char *kind, char id[64])
{
    cr_assert_eq(omni_ask(&omni, "POST",
                          json_pack("{s:s,s:s,s:{s:s,s:[i,i]}}", "queue", "echo", "kind",
                                    kind, "payload", "word", "héllo", "list", 1, 2),
                          "/api/v1/tasks"),
                 202);
    cr_assert_str_eq(omni_text("status"), "submitted");
    snprintf(id, 64, "%s", omni_text("task_id"));
}

Test(jobs, a_job_reaches_the_tenants_worker_and_its_answer_comes_back)
{
    char id[64];
    start_worker("worker", "echo");
    submit("echo", id);
    omni_await(&omni, id, "complete", 10000);
    cr_assert_str_eq(omni_text("result.word"), "héllo");
    cr_assert_eq(omni_number("attempts"), 1);
    stop_all();
}

Test(jobs, a_job_that_fails_for_good_ends_failed_with_its_reason)
{
    char id[64];
    start_worker("worker", "echo");
    submit("fail", id);
    omni_await(&omni, id, "failed", 10000);
    cr_assert_str_eq(omni_text("error.message"), "asked to fail");
    cr_assert_eq(omni_number("attempts"), 1, "it was tried again");
    stop_all();
}

Test(jobs, a_job_waits_until_its_worker_comes)
{
    char id[64];
    submit("echo", id);
    cr_assert_eq(omni_ask(&omni, "GET", NULL, "/api/v1/tasks/%s", id), 200);
    cr_assert_str_eq(omni_text("status"), "submitted");
    start_worker("worker", "echo");
    omni_await(&omni, id, "complete", 10000);
    stop_all();
}

Test(jobs, a_job_can_be_cancelled_before_it_runs)
{
    char id[64];
    submit("echo", id);
    cr_assert_eq(omni_ask(&omni, "POST", NULL, "/api/v1/tasks/%s/cancel", id), 202);
    omni_await(&omni, id, "cancelled", 10000);
    cr_assert_eq(omni_ask(&omni, "POST", NULL, "/api/v1/tasks/%s/cancel", id), 409);
    stop_all();
}

Test(jobs, a_job_survives_the_death_of_each_process_it_passes)
{
    static const char *const victims[] = { "broker", "ingest", "identity" };
    char id[64];
    start_worker("worker", "echo");
    for (size_t i = 0; i < OM_COUNT(victims); i++) {
        pid_t pid = omni_child(&omni, victims[i]);
        submit("echo", id);
        kill(pid, SIGKILL);
        // The edge's port refuses connections until it is back.
        omni_child_after(&omni, victims[i], pid);
        omni_await_back(&omni);
        omni_await(&omni, id, "complete", 30000);
        cr_assert_str_eq(omni_text("result.word"), "héllo", "%s", victims[i]);
    }
    stop_all();
}

Test(jobs, an_acknowledged_job_survives_the_death_of_everything)
{
    char id[64];
    submit("echo", id);
    omni_kill(&omni);
    omni_start(&omni);
    start_worker("worker", "echo");
    omni_await(&omni, id, "complete", 30000);
    stop_all();
}

Test(jobs, a_key_without_the_scope_gets_no_jobs)
{
    char id[64];
    start_worker("tasks:read", "echo");
    submit("echo", id);
    cr_assert_eq(omni_ask(&omni, "GET", NULL, "/api/v1/tasks/%s?wait=2", id), 200);
    cr_assert_str_eq(omni_text("status"), "submitted");
    stop_all();
}
