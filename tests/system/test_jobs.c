// A tenant's own queue and worker: submit, poll, complete, whatever is killed meanwhile.
#include <signal.h>
#include <stdio.h>

#include "tools.h"

static struct omni omni;
static struct program worker;

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
    omni_stop_worker(&worker);
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
    omni_start_worker(&omni, &worker, "worker", "echo");
    submit("echo", id);
    omni_await(&omni, id, "complete", 10000);
    cr_assert_str_eq(omni_text("result.word"), "héllo");
    cr_assert_eq(omni_number("attempts"), 1);
    stop_all();
}

Test(jobs, a_job_that_fails_for_good_ends_failed_with_its_reason)
{
    char id[64];
    omni_start_worker(&omni, &worker, "worker", "echo");
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
    omni_start_worker(&omni, &worker, "worker", "echo");
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
    omni_start_worker(&omni, &worker, "worker", "echo");
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
    omni_start_worker(&omni, &worker, "worker", "echo");
    omni_await(&omni, id, "complete", 30000);
    stop_all();
}

Test(jobs, a_key_without_the_scope_gets_no_jobs)
{
    char id[64];
    omni_start_worker(&omni, &worker, "tasks:read", "echo");
    submit("echo", id);
    cr_assert_eq(omni_ask(&omni, "GET", NULL, "/api/v1/tasks/%s?wait=2", id), 200);
    cr_assert_str_eq(omni_text("status"), "submitted");
    stop_all();
}

// ---- partial results, dead letters, workers

// Follow the task from number `after` to its end; returns how many partial results came,
// in `chunks`, which lives until the next call.
static size_t
follow(const char *id, long long after, json_t **chunks)
{
    static json_t *all;
    json_decref(all);
    *chunks = all = json_array();
    for (bool ended = false; !ended;) {
        cr_assert_eq(omni_ask(&omni, "GET", NULL,
                              "/api/v1/tasks/%s/events?after=%lld&wait=20", id, after),
                     200);
        size_t index;
        json_t *event;
        json_array_foreach (json_object_get(omni_answer(), "data"), index, event) {
            json_int_t seq = json_integer_value(json_object_get(event, "seq"));
            cr_assert_gt(seq, after, "%lld is not newer than %lld", (long long)seq,
                         after);
            after = seq;
            if (json_object_get(event, "attempt"))
                json_array_append(all, event);
        }
        cr_assert_eq(omni_number("last_seq"), (double)after);
        ended = json_is_true(json_object_get(omni_answer(), "ended"));
    }
    return json_array_size(all);
}

Test(jobs, partial_results_come_in_order_and_are_replayed_after_everything_died)
{
    char id[64];
    json_t *chunks;
    omni_start_worker(&omni, &worker, "worker", "echo");
    submit("stream", id);
    for (int round = 0; round < 3; round++) {
        cr_assert_eq(follow(id, 0, &chunks), 3, "round %d", round);
        json_t *first = json_array_get(chunks, 0), *last = json_array_get(chunks, 2);
        cr_expect_eq(
            json_number_value(json_object_get(json_object_get(first, "data"), "loss")),
            0.5);
        cr_expect_str_eq(
            json_string_value(json_object_get(json_array_get(chunks, 1), "data")),
            "a line");
        cr_expect_str_eq(json_string_value(json_object_get(last, "data_base64")), "/wA=");
        json_int_t seq = json_integer_value(json_object_get(first, "seq"));
        cr_expect_eq(follow(id, seq, &chunks), 2, "those after the first");
        if (round == 1) { // what has ended is on disk
            program_finish(&worker);
            omni_kill(&omni);
            omni_start(&omni);
            omni_await_back(&omni);
        }
    }
    cr_assert_eq(omni_ask(&omni, "GET", NULL, "/api/v1/tasks/%s/events?after=x", id),
                 400);
    cr_assert_eq(omni_ask(&omni, "GET", NULL, "/api/v1/tasks/task_no/events"), 404);
    stop_all();
}

Test(jobs, failed_ones_are_listed_and_retried_by_what_they_have_in_common)
{
    char ids[3][64], other[64];
    omni_start_worker(&omni, &worker, "worker", "echo");
    submit("echo", other);
    for (int i = 0; i < 3; i++)
        submit("fail", ids[i]);
    omni_await(&omni, other, "complete", 10000);
    for (int i = 0; i < 3; i++)
        omni_await(&omni, ids[i], "failed", 10000);
    cr_assert_eq(omni_number("lost"), 0);
    cr_assert_eq(omni_ask(&omni, "GET", NULL,
                          "/api/v1/tasks?status=failed&queue=echo&kind=fail"
                          "&code=invalid_request"),
                 200);
    cr_expect_eq(json_array_size(json_object_get(omni_answer(), "data")), 3);
    cr_assert_eq(omni_ask(&omni, "GET", NULL, "/api/v1/tasks?status=failed&kind=echo"),
                 200);
    cr_expect_eq(json_array_size(json_object_get(omni_answer(), "data")), 0);

    cr_assert_eq(omni_ask(&omni, "POST",
                          json_pack("{s:s,s:i}", "kind", "fail", "limit", 2),
                          "/api/v1/tasks/retry"),
                 202);
    cr_expect_eq(omni_number("retried"), 2);
    cr_expect(json_is_true(json_object_get(omni_answer(), "has_more")));
    cr_assert_eq(omni_ask(&omni, "POST",
                          json_pack("{s:s,s:s}", "kind", "fail", "code", "timeout"),
                          "/api/v1/tasks/retry"),
                 202);
    cr_expect_eq(omni_number("retried"), 0);
    for (int i = 0; i < 3; i++)
        omni_await(&omni, ids[i], "failed", 10000);
    stop_all();
}

// Ask for the tenant's workers until there are `count`.
static void
await_workers(size_t count)
{
    for (int left = 400; left > 0; left--) {
        cr_assert_eq(omni_ask(&omni, "GET", NULL, "/api/v1/workers"), 200);
        if (json_array_size(json_object_get(omni_answer(), "data")) == count)
            return;
        omni_pause();
    }
    cr_assert_fail("there are not %zu workers", count);
}

Test(jobs, a_worker_is_shown_with_what_it_holds_and_drained)
{
    char id[64];
    omni_start_worker(&omni, &worker, "worker", "echo");
    submit("wait", id);
    omni_await(&omni, id, "running", 10000);
    await_workers(1);
    json_t *row = json_array_get(json_object_get(omni_answer(), "data"), 0);
    cr_expect_str_eq(json_string_value(json_object_get(row, "node")), "echo");
    cr_expect_eq(json_integer_value(json_object_get(row, "held")), 1);
    cr_expect_str_eq(json_string_value(json_array_get(json_object_get(row, "tasks"), 0)),
                     id);
    cr_assert_eq(omni_ask(&omni, "POST", NULL, "/api/v1/workers/nobody/drain"), 404);
    cr_assert_eq(omni_ask(&omni, "POST", NULL, "/api/v1/workers/echo/drain"), 202);
    cr_assert_eq(program_wait(&worker, 5000), 0, "%s", worker.log);
    await_workers(0);

    omni_start_worker(&omni, &worker, "worker",
                      "echo"); // gets the job that was given back
    omni_await(&omni, id, "running", 10000);
    cr_expect_eq(omni_number("attempts"), 1, "giving it back counted as an attempt");
    cr_assert_eq(omni_ask(&omni, "GET", NULL, "/api/v1/admin/workers"), 200);
    cr_expect_gt(json_array_size(json_object_get(omni_answer(), "data")), 4);
    stop_all();
}

Test(jobs, a_worker_whose_key_is_revoked_gets_no_more_jobs)
{
    char id[64];
    omni_start_worker(&omni, &worker, "worker", "echo");
    snprintf(id, sizeof(id), "%s", omni_text("id"));
    await_workers(1);
    cr_assert_eq(omni_ask(&omni, "POST", NULL, "/developer/keys/%s/revoke", id), 200);
    await_workers(0);
    submit("echo", id);
    cr_assert_eq(omni_ask(&omni, "GET", NULL, "/api/v1/tasks/%s?wait=2", id), 200);
    cr_assert_str_eq(omni_text("status"), "submitted");
    stop_all();
}
