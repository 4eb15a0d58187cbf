// Predictions that are not answered at once: Prefer, and clients that leave.
#include <signal.h>
#include <stdio.h>
#include <strings.h>

#include "clock.h"
#include "http_ask.h"
#include "omni.h"
#include "pack.h"

enum { WAIT_MS = 20000, LEAVE_MS = 300, FIELD = 160, SLOW_VALUES = 2000 };

#define SERIES "{\"time_series\":[1,2,3,4,1,2,3,4,1,2,3,4],\"forecast_steps\":2}"

static struct omni omni;

static struct http_answer answer; // the last one
static int64_t took_ms;

// Ask `model` for a prediction, and leave when that takes longer than `most_ms`.
static CURLcode
try(const char *model, const char *prefer, const char *key, const char *body,
    int64_t most_ms)
{
    char path[128], line[128];
    struct http_ask ask = { .url = omni.url,
                            .path = path,
                            .key = omni.key,
                            .idempotency = key,
                            .body = body,
                            .fields = { line },
                            .wait_ms = most_ms };
    snprintf(path, sizeof(path), "/api/v1/predict/%s", model);
    snprintf(line, sizeof(line), "Prefer: %s", prefer);
    int64_t began_ms = om_clock_mono_ms();
    CURLcode code = http_try(&ask, &answer);
    took_ms = om_clock_mono_ms() - began_ms;
    return code;
}

static long
predict(const char *model, const char *prefer, const char *key, const char *body)
{
    cr_assert_eq(try(model, prefer, key, body, WAIT_MS), CURLE_OK);
    return answer.status;
}

static const char *
applied(void)
{
    return http_field(&answer, "preference-applied");
}

static void
begin(void)
{
    omni_open(&omni);
}

static void
end(void)
{
    http_answer_finish(&answer);
    omni_close(&omni);
}

TestSuite(async, .init = begin, .fini = end, .timeout = 120);

// The task of the answer's Location, once it has ended.
static json_t *
await_result(void)
{
    const char *id = strrchr(http_field(&answer, "location"), '/');
    cr_assert(id, "no Location: %s", answer.text.data);
    omni_await(&omni, id + 1, "complete", WAIT_MS);
    return json_object_get(omni_answer(), "result");
}

Test(async, a_prediction_is_accepted_and_its_task_has_the_same_answer)
{
    cr_assert_eq(predict("seasonal-naive", "", NULL, SERIES), 200);
    json_t *now = json_incref(answer.body);
    cr_assert_eq(predict("seasonal-naive", "respond-async", NULL, SERIES), 202);
    cr_expect_str_eq(applied(), "respond-async");
    cr_expect(json_equal(await_result(), now), "another answer");

    cr_assert_eq(predict("seasonal-naive", "wait=20", NULL, SERIES), 200);
    cr_expect_str_eq(applied(), "wait=20");
    cr_expect(json_equal(answer.body, now), "%s", answer.text.data);
    cr_expect_str_eq(http_field(&answer, "location"), "");

    cr_assert_eq(predict("seasonal-naive", "wait=x, return=minimal", NULL, SERIES), 200);
    cr_expect_str_eq(applied(), "", "what is malformed is ignored");
    json_decref(now);
}

Test(async, who_waits_in_vain_is_told_where_the_answer_will_be)
{
    pid_t pool = omni_child(&omni, "inference");
    kill(pool, SIGSTOP);
    cr_assert_eq(predict("seasonal-naive", "respond-async, wait=1", NULL, SERIES), 202);
    cr_expect_str_eq(applied(), "respond-async, wait=1");
    cr_expect(took_ms >= 1000 && took_ms < 10000, "%lld ms", (long long)took_ms);
    kill(pool, SIGCONT);
    cr_expect(json_is_object(await_result()));
}

Test(async, what_is_wrong_is_answered_as_ever)
{
    cr_expect_eq(predict("no-such-model", "wait=20", NULL, SERIES), 404, "%s",
                 answer.text.data);
    cr_expect_eq(predict("seasonal-naive", "wait=20", NULL, "{}"), 400);
    cr_assert_eq(predict("no-such-model", "respond-async", NULL, SERIES), 202);
    const char *id = strrchr(http_field(&answer, "location"), '/') + 1;
    omni_await(&omni, id, "failed", WAIT_MS);
    cr_expect_str_eq(omni_text("error.code"), "not_found");
}

Test(async, a_key_makes_one_task_of_a_repeated_request)
{
    char first[FIELD];
    cr_assert_eq(predict("seasonal-naive", "respond-async", "k", SERIES), 202);
    snprintf(first, sizeof(first), "%s", http_field(&answer, "location"));
    cr_assert_eq(predict("seasonal-naive", "respond-async", "k", SERIES), 202);
    cr_expect_str_neq(http_field(&answer, "idempotent-replayed"), "");
    cr_expect_str_eq(http_field(&answer, "location"), first);
    await_result();
    omni_await_metered(&omni, "ml_inference", 1);
}

// ---- clients that leave

// A fit that takes longer than anybody here waits.
static const char *
slow_body(void)
{
    static char text[SLOW_VALUES * 8 + 64];
    size_t size = (size_t)snprintf(text, sizeof(text), "{\"time_series\":[");
    for (int i = 0; i < SLOW_VALUES; i++)
        size += (size_t)snprintf(text + size, sizeof(text) - size, "%s%d", i ? "," : "",
                                 (i * 7919) % 1000);
    snprintf(text + size, sizeof(text) - size, "],\"forecast_steps\":2}");
    return text;
}

Test(async, a_client_that_leaves_cancels_its_prediction)
{
    cr_assert_eq(try("revenue-lstm", "", NULL, slow_body(), LEAVE_MS),
                 CURLE_OPERATION_TIMEDOUT, "%s", answer.text.data);
    cr_assert_eq(predict("seasonal-naive", "", NULL, SERIES), 200, "%s",
                 answer.text.data);
    omni_await_metered(&omni, "ml_inference", 1); // and never two
}

Test(async, a_client_that_leaves_ends_the_task_it_never_heard_of)
{
    pid_t pool = omni_child(&omni, "inference");
    kill(pool, SIGSTOP);
    cr_assert_eq(try("seasonal-naive", "wait=20", NULL, SERIES, LEAVE_MS),
                 CURLE_OPERATION_TIMEDOUT);
    cr_assert_eq(omni_ask(&omni, "GET", NULL, "/api/v1/tasks"), 200);
    char id[64];
    json_t *task = json_array_get(json_object_get(omni_answer(), "data"), 0);
    snprintf(id, sizeof(id), "%s", json_string_value(json_object_get(task, "id")));
    kill(pool, SIGCONT);
    omni_await(&omni, id, "cancelled", WAIT_MS);
}
