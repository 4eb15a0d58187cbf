// Predictions that are not answered at once: Prefer, and clients that leave.
#include <curl/curl.h>
#include <signal.h>
#include <stdio.h>
#include <strings.h>

#include "clock.h"
#include "omni.h"
#include "pack.h"

enum { WAIT_MS = 20000, LEAVE_MS = 300, FIELD = 160, SLOW_VALUES = 2000 };

#define SERIES "{\"time_series\":[1,2,3,4,1,2,3,4,1,2,3,4],\"forecast_steps\":2}"

static struct omni omni;

static struct answer {
    CURLcode code;
    long status;
    struct om_buf body;
    char location[FIELD], applied[FIELD];
    bool replayed;
    int64_t took_ms;
} here;

static size_t
on_body(char *data, size_t size, size_t count, void *context)
{
    (void)context;
    om_buf_put(&here.body, data, size * count);
    return size * count;
}

static void
take_field(const char *data, size_t size, const char *name, char out[FIELD])
{
    size_t skip = strlen(name);
    if (size > skip + 2 && strncasecmp(data, name, skip) == 0)
        snprintf(out, FIELD, "%.*s", (int)(size - skip - 2), data + skip);
}

static size_t
on_field(char *data, size_t size, size_t count, void *context)
{
    char replayed[FIELD] = "";
    (void)context;
    take_field(data, size * count, "location: ", here.location);
    take_field(data, size * count, "preference-applied: ", here.applied);
    take_field(data, size * count, "idempotent-replayed: ", replayed);
    here.replayed = here.replayed || *replayed;
    return size * count;
}

// Ask `model` for a prediction, and leave when that takes longer than `most_ms`.
static long
predict(const char *model, const char *prefer, const char *key, const char *body,
        long most_ms)
{
    char url[256], line[3][256];
    struct curl_slist *fields = NULL;
    om_buf_finish(&here.body);
    here = (struct answer){ 0 };
    snprintf(url, sizeof(url), "%s/api/v1/predict/%s", omni.url, model);
    snprintf(line[0], sizeof(line[0]), "Authorization: Bearer %s", omni.key);
    snprintf(line[1], sizeof(line[1]), "Prefer: %s", prefer);
    snprintf(line[2], sizeof(line[2]), "Idempotency-Key: %s", key ? key : "");
    for (int i = 0; i < (key ? 3 : 2); i++)
        fields = curl_slist_append(fields, line[i]);
    CURL *curl = curl_easy_init();
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, most_ms);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, fields);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_field);
    int64_t began_ms = om_clock_mono_ms();
    here.code = curl_easy_perform(curl);
    here.took_ms = om_clock_mono_ms() - began_ms;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &here.status);
    curl_easy_cleanup(curl);
    curl_slist_free_all(fields);
    om_buf_put(&here.body, "", 1);
    return here.status;
}

static json_t *
body_of_answer(void)
{
    json_t *body = json_loads(here.body.data, 0, NULL);
    cr_assert(body, "%s", here.body.data);
    return body;
}

static void
begin(void)
{
    omni_open(&omni);
}

static void
end(void)
{
    om_buf_finish(&here.body);
    omni_close(&omni);
}

TestSuite(async, .init = begin, .fini = end, .timeout = 120);

// The task of the answer's Location, once it has ended.
static json_t *
await_result(void)
{
    const char *id = strrchr(here.location, '/');
    cr_assert(id, "no Location: %s", here.body.data);
    omni_await(&omni, id + 1, "complete", WAIT_MS);
    return json_object_get(omni_answer(), "result");
}

Test(async, a_prediction_is_accepted_and_its_task_has_the_same_answer)
{
    cr_assert_eq(predict("seasonal-naive", "", NULL, SERIES, WAIT_MS), 200);
    json_t *now = body_of_answer();
    cr_assert_eq(predict("seasonal-naive", "respond-async", NULL, SERIES, WAIT_MS), 202);
    cr_expect_str_eq(here.applied, "respond-async");
    cr_expect(json_equal(await_result(), now), "another answer");

    cr_assert_eq(predict("seasonal-naive", "wait=20", NULL, SERIES, WAIT_MS), 200);
    cr_expect_str_eq(here.applied, "wait=20");
    json_t *waited = body_of_answer();
    cr_expect(json_equal(waited, now), "%s", here.body.data);
    cr_expect_str_eq(here.location, "");
    json_decref(waited);

    cr_assert_eq(
        predict("seasonal-naive", "wait=x, return=minimal", NULL, SERIES, WAIT_MS), 200);
    cr_expect_str_eq(here.applied, "", "what is malformed is ignored");
    json_decref(now);
}

Test(async, who_waits_in_vain_is_told_where_the_answer_will_be)
{
    pid_t pool = omni_child(&omni, "inference");
    kill(pool, SIGSTOP);
    cr_assert_eq(
        predict("seasonal-naive", "respond-async, wait=1", NULL, SERIES, WAIT_MS), 202);
    cr_expect_str_eq(here.applied, "respond-async, wait=1");
    cr_expect(here.took_ms >= 1000 && here.took_ms < 10000, "%lld ms",
              (long long)here.took_ms);
    kill(pool, SIGCONT);
    cr_expect(json_is_object(await_result()));
}

Test(async, what_is_wrong_is_answered_as_ever)
{
    cr_expect_eq(predict("no-such-model", "wait=20", NULL, SERIES, WAIT_MS), 404, "%s",
                 here.body.data);
    cr_expect_eq(predict("seasonal-naive", "wait=20", NULL, "{}", WAIT_MS), 400);
    cr_assert_eq(predict("no-such-model", "respond-async", NULL, SERIES, WAIT_MS), 202);
    const char *id = strrchr(here.location, '/') + 1;
    omni_await(&omni, id, "failed", WAIT_MS);
    cr_expect_str_eq(omni_text("error.code"), "not_found");
}

Test(async, a_key_makes_one_task_of_a_repeated_request)
{
    char first[FIELD];
    cr_assert_eq(predict("seasonal-naive", "respond-async", "k", SERIES, WAIT_MS), 202);
    snprintf(first, sizeof(first), "%s", here.location);
    cr_assert_eq(predict("seasonal-naive", "respond-async", "k", SERIES, WAIT_MS), 202);
    cr_expect(here.replayed);
    cr_expect_str_eq(here.location, first);
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
    predict("revenue-lstm", "", NULL, slow_body(), LEAVE_MS);
    cr_assert_eq(here.code, CURLE_OPERATION_TIMEDOUT, "%s", here.body.data);
    cr_assert_eq(predict("seasonal-naive", "", NULL, SERIES, WAIT_MS), 200, "%s",
                 here.body.data);
    omni_await_metered(&omni, "ml_inference", 1); // and never two
}

Test(async, a_client_that_leaves_ends_the_task_it_never_heard_of)
{
    pid_t pool = omni_child(&omni, "inference");
    kill(pool, SIGSTOP);
    predict("seasonal-naive", "wait=20", NULL, SERIES, LEAVE_MS);
    cr_assert_eq(here.code, CURLE_OPERATION_TIMEDOUT);
    cr_assert_eq(omni_ask(&omni, "GET", NULL, "/api/v1/tasks"), 200);
    char id[64];
    json_t *task = json_array_get(json_object_get(omni_answer(), "data"), 0);
    snprintf(id, sizeof(id), "%s", json_string_value(json_object_get(task, "id")));
    kill(pool, SIGCONT);
    omni_await(&omni, id, "cancelled", WAIT_MS);
}
