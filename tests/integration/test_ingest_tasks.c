// Jobs over the edge, with the real broker: taken, shown, waited for, cancelled,
// replayed.
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

#include "clock.h"
#include "platform.h"
#include "records.h"

Test(ingest, takes_a_job_shows_it_waits_for_it_and_cancels_it)
{
    char task[64], path[128];
    cr_assert_eq(post("/api/v1/tasks",
                      "{\"queue\":\"mine\",\"kind\":\"k\",\"payload\":{\"a\":[1]}}"),
                 202);
    snprintf(task, sizeof(task), "%s", said("task_id"));
    snprintf(path, sizeof(path), "/api/v1/tasks/%s", task);
    cr_expect(strstr(platform.answer.fields, path), "no Location: %s",
              platform.answer.fields);
    cr_expect_str_eq(said("check_url"), path);

    cr_expect_eq(get(path), 200);
    cr_expect_str_eq(said("status"), "submitted");
    cr_expect_str_eq(said("queue"), "mine");
    cr_expect(json_is_null(http_member(&platform.answer, "error")));
    for (size_t i = 0; i < task_item_rec.count; i++)
        cr_expect(json_object_get(platform.answer.body, task_item_rec.fields[i].key.data),
                  "no %s", task_item_rec.fields[i].key.data);
    cr_expect_eq(json_object_size(platform.answer.body), task_item_rec.count,
                 "not in the document");

    snprintf(path, sizeof(path), "/api/v1/tasks/%s?wait=1", task);
    int64_t began_ms = om_clock_mono_ms();
    cr_expect_eq(get(path), 200);
    int64_t took_ms = om_clock_mono_ms() - began_ms;
    cr_expect(took_ms >= 900 && took_ms < 10000, "%lld ms", (long long)took_ms);

    cr_expect_eq(get("/api/v1/tasks?status=submitted&limit=1"), 200);
    cr_expect_eq(json_array_size(http_member(&platform.answer, "data")), 1);
    cr_expect_str_eq(said("first_id"), task);
    cr_expect_eq(get("/api/v1/tasks?status=running&after="), 200);
    cr_expect_eq(json_array_size(http_member(&platform.answer, "data")), 0);

    snprintf(path, sizeof(path), "/api/v1/tasks/%s/cancel", task);
    cr_expect_eq(post(path, NULL), 202);
    snprintf(path, sizeof(path), "/api/v1/tasks/%s?wait=10", task);
    cr_expect_eq(get(path), 200);
    cr_expect_str_eq(said("status"), "cancelled");
    snprintf(path, sizeof(path), "/api/v1/tasks/%s/cancel", task);
    cr_expect_eq(post(path, NULL), 409);
}

static const char *const planned =
    "{\"queue\":\"mine\",\"kind\":\"k\",\"priority\":2,\"max_attempts\":7,"
    "\"limit_key\":\"acme\",\"due_ms\":4000000001000,\"expires_ms\":4000000009000,"
    "\"unique\":{\"key\":\"nightly\"}}";

Test(ingest, shows_a_job_with_all_it_was_submitted_with)
{
    char task[64], path[128];
    cr_assert_eq(post("/api/v1/tasks", planned), 202);
    cr_expect_str_eq(said("status"), "scheduled", "it waits for its time");
    snprintf(task, sizeof(task), "%s", said("task_id"));
    snprintf(path, sizeof(path), "/api/v1/tasks/%s", task);
    cr_assert_eq(get(path), 200);
    cr_expect_str_eq(said("status"), "scheduled");
    cr_expect_str_eq(said("limit_key"), "acme");
    cr_expect_str_eq(said("unique_key"), "nightly");
    cr_expect_eq(number("priority"), 2);
    cr_expect_eq(number("max_attempts"), 7);
    cr_expect_eq(number("attempts"), 0);
    cr_expect_eq(number("due_at"), 4000000001);
    cr_expect_eq(number("expires_at"), 4000000009);
    cr_expect(json_is_null(http_member(&platform.answer, "retry_at")));

    cr_expect_eq(post("/api/v1/tasks", "{\"queue\":\"mine\",\"kind\":\"other\","
                                       "\"unique\":{\"key\":\"nightly\"}}"),
                 200);
    cr_expect_str_eq(said("task_id"), task);
    cr_expect_str_eq(said("status"), "scheduled", "the holder's, not the request's");
    cr_expect(json_is_true(http_member(&platform.answer, "duplicate")));
    snprintf(path, sizeof(path), "/api/v1/tasks/%s/cancel", task);
    cr_expect_eq(post(path, NULL), 202);
}

Test(ingest, replays_a_request_of_the_same_key_and_refuses_another_of_it)
{
    static const struct {
        const char *path, *body, *other;
    } cases[] = {
        { "/api/v1/tasks", "{\"queue\":\"mine\",\"kind\":\"k\",\"delay_ms\":3600000}",
          "{\"queue\":\"mine\",\"kind\":\"k\",\"priority\":2}" },
        { "/api/v1/tasks/batch",
          "{\"jobs\":[{\"queue\":\"mine\",\"kind\":\"k\"},{\"queue\":\"mine\",\"kind\":"
          "\"k\"}]}",
          "{\"jobs\":[{\"queue\":\"mine\",\"kind\":\"k\"}]}" },
        { "/api/v1/workflows",
          "{\"chain\":[{\"queue\":\"mine\",\"kind\":\"k\"},{\"queue\":\"mine\",\"kind\":"
          "\"l\"}]}",
          "{\"chain\":[{\"queue\":\"mine\",\"kind\":\"l\"},{\"queue\":\"mine\",\"kind\":"
          "\"k\"}]}" },
    };
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        struct http_ask request = { .method = "POST",
                                    .path = cases[i].path,
                                    .key = platform.admin,
                                    .body = cases[i].body,
                                    .idempotency = "order 17" };
        cr_expect_eq(ask(request), 202, "%s", cases[i].path);
        cr_expect_null(strcasestr(platform.answer.fields, "idempotent-replayed"));
        char *first = strndup(platform.answer.text.data, platform.answer.text.size);
        cr_expect_eq(ask(request), 202, "%s", cases[i].path);
        cr_expect(strcasestr(platform.answer.fields, "idempotent-replayed: true"), "%s",
                  platform.answer.fields);
        cr_expect(om_str_eq(om_buf_str(&platform.answer.text), om_str(first)),
                  "%s is not %s", first, platform.answer.text.data);
        free(first);
        request.body = cases[i].other;
        cr_expect_eq(ask(request), 422, "%s", cases[i].path);
        cr_expect_str_eq(said("error.code"), "id_reused");
        cr_expect_str_eq(said("error.type"), "idempotency_error");
    }
    cr_expect_eq(get("/api/v1/tasks"), 200);
    cr_expect_eq(json_array_size(http_member(&platform.answer, "data")), 1 + 2 + 2);
    char text[257];
    memset(text, 'k', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    struct http_ask long_key = { .method = "POST",
                                 .path = "/api/v1/tasks",
                                 .key = platform.admin,
                                 .body = cases[0].body,
                                 .idempotency = text };
    cr_expect_eq(ask(long_key), 400);
    cr_expect_str_eq(said("error.param"), "Idempotency-Key");
}

static void
stop_soon(int signal_number)
{
    (void)signal_number;
    program_signal(&platform.ingest, SIGTERM);
}

Test(ingest, answers_who_waits_for_a_task_when_it_stops)
{
    char path[128];
    cr_assert_eq(post("/api/v1/tasks", "{\"queue\":\"mine\",\"kind\":\"k\"}"), 202);
    snprintf(path, sizeof(path), "/api/v1/tasks/%s?wait=60", said("task_id"));
    signal(SIGALRM, stop_soon);
    ualarm(200 * 1000, 0); // while the next request waits
    int64_t began_ms = om_clock_mono_ms();
    cr_expect_eq(get(path), 200);
    cr_expect_str_eq(said("status"), "submitted");
    cr_expect_lt(om_clock_mono_ms() - began_ms, 5000);
}

Test(ingest, is_not_ready_without_its_broker_and_is_again_with_it)
{
    int64_t deadline_ms = om_clock_mono_ms() + PLATFORM_WAIT_MS;
    program_signal(&platform.broker, SIGKILL);
    program_wait(&platform.broker, PLATFORM_WAIT_MS);
    while (get("/readyz") != 503)
        cr_assert_lt(om_clock_mono_ms(), deadline_ms, "ready without a broker");
    cr_expect_eq(get("/healthz"), 200);
    program_start(&platform.broker, "omni-broker", platform.stage.list, NULL);
    edge_program_await(platform.url);
    cr_expect_eq(get("/api/v1/tasks"), 200);
}
