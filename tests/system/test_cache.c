// The cache of answers over a whole Omni: what is given again, to whom, how long, and
// what of it is counted.
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "clock.h"
#include "http_ask.h"
#include "omni.h"
#include "pack.h"

enum { WAIT_MS = 20000, CROWD = 24, KEY_MAX = 128 };

#define NAIVE "/api/v1/predict/seasonal-naive"
#define LSTM  "/api/v1/predict/revenue-lstm"
#define BODY  "{\"time_series\":[1,2,3,4,1,2,3,4],\"forecast_steps\":2,\"period\":4}"

static struct omni omni;
static char tenant[64], key[KEY_MAX], other[KEY_MAX];
static struct http_answer answer; // the last one

static struct http_ask
asked(const char *who, const char *path, const char *body, const char *field)
{
    return (struct http_ask){
        .url = omni.url, .path = path, .key = who, .body = body, .fields = { field }
    };
}

static long
ask(const char *who, const char *path, const char *body, const char *field)
{
    struct http_ask ask = asked(who, path, body, field);
    return http_ask(&ask, &answer);
}

// Ask, and expect that of the cache.
static void
expect(const char *who, const char *path, const char *body, const char *field,
       const char *result)
{
    cr_assert_eq(ask(who, path, body, field), 200, "%s", answer.text.data);
    cr_expect_str_eq(http_field(&answer, "x-cache"), result, "%s %s", path, body);
}

static void
make_tenant(const char *slug, char id[64], char out[KEY_MAX])
{
    json_t *body =
        json_pack("{s:s,s:s,s:s}", "name", slug, "slug", slug, "plan", "enterprise");
    cr_assert_eq(omni_ask(&omni, "POST", body, "/api/v1/admin/tenants"), 201);
    snprintf(id, 64, "%s", omni_text("id"));
    snprintf(out, KEY_MAX, "%s", omni_text("key"));
}

static void
begin(void)
{
    char id[64];
    setenv("OMNI_INGEST_THREADS", "1", 1);
    omni_open(&omni);
    make_tenant("a", tenant, key);
    make_tenant("b", id, other);
}

static void
end(void)
{
    http_answer_finish(&answer);
    omni_stop(&omni);
    omni_close(&omni);
}

TestSuite(cache, .init = begin, .fini = end, .timeout = 180);

// As the tenant of `who`, until the meter has that much, which it must not pass.
static void
await_metered(const char *who, const char *meter, long long quantity)
{
    struct api *kept = omni.api;
    omni.api = api_open_at(omni.url, who);
    omni_await_metered(&omni, meter, quantity);
    api_close(&omni.api);
    omni.api = kept;
}

Test(cache, gives_the_same_request_the_same_answer_and_asks_no_worker)
{
    cr_assert_eq(ask(key, NAIVE, BODY, NULL), 200, "%s", answer.text.data);
    char *first = strdup(answer.text.data);
    cr_expect_str_eq(http_field(&answer, "x-cache"), "miss");
    cr_expect_str_eq(http_field(&answer, "age"), "");
    cr_assert_eq(ask(key, NAIVE, BODY, NULL), 200, "%s", answer.text.data);
    cr_expect_str_eq(http_field(&answer, "x-cache"), "hit");
    cr_expect_str_eq(http_field(&answer, "cache-control"), "private, max-age=1800");
    cr_expect_leq(atoi(http_field(&answer, "age")), WAIT_MS / 1000);
    cr_expect_str_neq(http_field(&answer, "age"), "");
    cr_expect_eq(strlen(http_field(&answer, "x-cache-key")), 64);
    cr_expect_str_eq(answer.text.data, first);
    free(first);
    expect(key, NAIVE,
           "{ \"period\": 4, \"forecast_steps\": 2,\n\"time_series\": [1, 2, 3, 4, 1, 2, "
           "3, 4] }",
           NULL, "hit");
    expect(key, NAIVE, "{\"time_series\":[1,2,3,4,1,2,3,5],\"forecast_steps\":2}", NULL,
           "miss");
    await_metered(key, "ml_inference", 2);
    await_metered(key, "ml_inference", 2);
}

Test(cache, is_told_what_to_do_by_the_client)
{
    expect(key, NAIVE, BODY, "Cache-Control: max-age=0, No-Store", "bypass");
    expect(key, NAIVE, BODY, NULL, "miss");
    expect(key, NAIVE, BODY, "Cache-Control: no-cache", "bypass");
    expect(key, NAIVE, BODY, NULL, "hit");
    ask(key, NAIVE, BODY, "Cache-Control: no-store");
    cr_expect_str_eq(http_field(&answer, "cache-control"), "no-store");
    cr_expect_eq(ask(key, NAIVE, "{\"forecast_steps\":2}", NULL), 400);
    cr_expect_str_eq(http_field(&answer, "x-cache"), "");
}

Test(cache, never_gives_a_tenant_what_was_made_for_another)
{
    expect(key, NAIVE, BODY, NULL, "miss");
    expect(key, NAIVE, BODY, NULL, "hit");
    expect(other, NAIVE, BODY, NULL, "miss");
    expect(omni.key, NAIVE, BODY, NULL, "miss");
    await_metered(other, "ml_inference", 1);
}

Test(cache, holds_to_the_limits_of_a_hit_as_of_any_request)
{
    expect(key, NAIVE, BODY, NULL, "miss");
    cr_expect_eq(ask("omni_live_nobody", NAIVE, BODY, NULL), 401);
    struct api *kept = omni.api;
    omni.api = api_open_at(omni.url, key);
    json_t *body = json_pack("{s:s,s:[s]}", "name", "reads", "scopes", "files:read");
    cr_assert_eq(omni_ask(&omni, "POST", body, "/developer/keys"), 201);
    cr_expect_eq(ask(omni_text("key"), NAIVE, BODY, NULL), 403);
    api_close(&omni.api);
    omni.api = kept;
}

static void
set_inferences(const char *limit)
{
    json_t *body = json_object();
    if (limit)
        json_object_set_new(body, "limit", json_integer(atoi(limit)));
    cr_assert_eq(omni_ask(&omni, "PUT", body,
                          "/api/v1/admin/tenants/%s/quotas/ml_inference_day", tenant),
                 200);
}

Test(cache, gives_hits_to_who_has_used_up_its_inferences)
{
    static const char another[] = "{\"time_series\":[1,2,3],\"forecast_steps\":%d}";
    char text[128];
    int64_t deadline_ms = om_clock_mono_ms() + WAIT_MS;
    expect(key, NAIVE, BODY, NULL, "miss");
    set_inferences("1");
    for (int i = 1;; i++) {
        snprintf(text, sizeof(text), another, i);
        if (ask(key, NAIVE, text, NULL) == 429)
            break;
        cr_assert_lt(om_clock_mono_ms(), deadline_ms, "never refused");
    }
    expect(key, NAIVE, BODY, NULL, "hit");
}

// ---- forgetting

// Purge as `who`, and return how many went.
static int
purge(const char *who, const char *path, const char *body)
{
    cr_assert_eq(ask(who, path, body, NULL), 200, "%s", answer.text.data);
    return (int)http_number(&answer, "purged");
}

Test(cache, forgets_what_a_tenant_or_an_operator_names)
{
    char path[192], one[128];
    static const char own[] = "/api/v1/cache/purge";
    expect(key, NAIVE, BODY, NULL, "miss");
    expect(other, NAIVE, BODY, NULL, "miss");
    cr_expect_eq(purge(key, own, "{\"model\":\"revenue-lstm\"}"), 0);
    cr_expect_eq(purge(key, own, "{\"model\":\"seasonal-naive\"}"), 1);
    expect(key, NAIVE, BODY, NULL, "miss");
    ask(key, NAIVE, BODY, NULL);
    snprintf(one, sizeof(one), "{\"key\":\"%s\"}", http_field(&answer, "x-cache-key"));
    cr_expect_eq(purge(key, own, one), 1);
    expect(key, NAIVE, BODY, NULL, "miss");
    snprintf(path, sizeof(path), "/api/v1/admin/tenants/%s/cache/purge", tenant);
    cr_expect_eq(ask(other, path, "{}", NULL), 403);
    cr_expect_eq(purge(omni.key, path, "{}"), 1);
    expect(key, NAIVE, BODY, NULL, "miss");
    expect(other, NAIVE, BODY, NULL, "hit");
    cr_expect_eq(ask(key, own,
                     "{\"key\":\"XX00000000000000000000000000000000000000000000"
                     "000000000000000000\"}",
                     NULL),
                 400);
}

// ---- time

Test(cache, forgets_in_time_which_a_test_key_can_set_ahead)
{
    char test[KEY_MAX];
    int64_t deadline_ms = om_clock_mono_ms() + WAIT_MS;
    struct api *kept = omni.api;
    omni.api = api_open_at(omni.url, key);
    json_t *body = json_pack("{s:s,s:s}", "name", "t", "env", "test");
    cr_assert_eq(omni_ask(&omni, "POST", body, "/developer/keys"), 201, "%s",
                 omni_text("error.message"));
    snprintf(test, sizeof(test), "%s", omni_text("key"));
    api_close(&omni.api);
    expect(test, NAIVE, BODY, NULL, "miss");
    expect(test, NAIVE, BODY, NULL, "hit");
    expect(key, NAIVE, BODY, NULL, "miss");
    omni.api = api_open_at(omni.url, test);
    cr_assert_eq(omni_ask(&omni, "PATCH", json_pack("{s:i}", "clock_ms", 1700000),
                          "/api/v1/tenants/me"),
                 200, "%s", omni_text("error.message"));
    for (int age = 0; age < 1700;) { // until the edge has heard of it
        ask(test, NAIVE, BODY, NULL);
        cr_expect_str_eq(http_field(&answer, "x-cache"), "hit");
        age = atoi(http_field(&answer, "age"));
        cr_assert_lt(om_clock_mono_ms(), deadline_ms, "it is %d s old", age);
    }
    cr_assert_eq(omni_ask(&omni, "PATCH", json_pack("{s:i}", "clock_ms", 1801000),
                          "/api/v1/tenants/me"),
                 200);
    for (bool missed = false; !missed;) {
        ask(test, NAIVE, BODY, NULL);
        missed = strcmp(http_field(&answer, "x-cache"), "miss") == 0;
        cr_assert_lt(om_clock_mono_ms(), deadline_ms, "it never expires");
    }
    expect(key, NAIVE, BODY, NULL, "hit");
    api_close(&omni.api);
    omni.api = kept;
}

// ---- at once

static void
perform(CURLM *multi)
{
    int running = CROWD;
    int64_t deadline_ms = om_clock_mono_ms() + WAIT_MS;
    while (running) {
        cr_assert_eq(curl_multi_perform(multi, &running), CURLM_OK);
        cr_assert_lt(om_clock_mono_ms(), deadline_ms, "%d are not answered", running);
        curl_multi_poll(multi, NULL, 0, 100, NULL);
    }
}

// A crowd that asks for the same at once.
static struct crowd {
    CURLM *multi;
    struct http_call calls[CROWD];
    struct http_answer answers[CROWD];
} crowd;

static void
begin_crowd(void)
{
    struct http_ask same = asked(key, LSTM, BODY, NULL);
    crowd.multi = curl_multi_init();
    for (int i = 0; i < CROWD; i++) {
        http_call_begin(&crowd.calls[i], &same, &crowd.answers[i]);
        curl_multi_add_handle(crowd.multi, crowd.calls[i].curl);
    }
}

// Answered or not, it is over for this one.
static void
leave_crowd(int number)
{
    curl_multi_remove_handle(crowd.multi, crowd.calls[number].curl);
    http_call_end(&crowd.calls[number]);
}

static void
end_crowd(void)
{
    for (int i = 0; i < CROWD; i++)
        http_answer_finish(&crowd.answers[i]);
    curl_multi_cleanup(crowd.multi);
}

Test(cache, has_equal_requests_wait_for_one_inference)
{
    int misses = 0;
    begin_crowd();
    perform(crowd.multi);
    for (int i = 0; i < CROWD; i++) {
        const struct http_answer *got = &crowd.answers[i];
        leave_crowd(i);
        cr_expect_eq(got->status, 200, "%s", got->text.data);
        cr_expect_str_eq(got->text.data, crowd.answers[0].text.data);
        misses += strcmp(http_field(got, "x-cache"), "miss") == 0;
    }
    end_crowd();
    cr_expect_eq(misses, 1);
    await_metered(key, "ml_inference", 1);
}

// Of those that wait the first leave, whoever made the call.
Test(cache, goes_on_for_those_that_stay)
{
    int running;
    curl_off_t sent = 0;
    int64_t deadline_ms = om_clock_mono_ms() + WAIT_MS;
    begin_crowd();
    for (int i = 0; i < CROWD; i++) // all have been sent
        for (sent = 0; sent == 0;
             curl_easy_getinfo(crowd.calls[i].curl, CURLINFO_SIZE_UPLOAD_T, &sent)) {
            curl_multi_perform(crowd.multi, &running);
            cr_assert_lt(om_clock_mono_ms(), deadline_ms);
        }
    for (int i = 0; i < CROWD - 1; i++)
        leave_crowd(i);
    perform(crowd.multi);
    leave_crowd(CROWD - 1);
    cr_expect_eq(crowd.answers[CROWD - 1].status, 200);
    end_crowd();
    expect(key, LSTM, BODY, NULL, "hit");
}

Test(cache, keeps_nothing_of_a_tenant_that_wants_it_so)
{
    int64_t deadline_ms = om_clock_mono_ms() + WAIT_MS;
    struct api *kept = omni.api;
    expect(key, NAIVE, BODY, NULL, "miss");
    omni.api = api_open_at(omni.url, key);
    cr_assert_eq(omni_ask(&omni, "PATCH", json_pack("{s:{s:b}}", "config", "cache", 0),
                          "/api/v1/tenants/me"),
                 200, "%s", omni_text("error.message"));
    api_close(&omni.api);
    omni.api = kept;
    for (bool told = false; !told;) { // once the edge has heard of it
        ask(key, NAIVE, BODY, NULL);
        told = strcmp(http_field(&answer, "x-cache"), "bypass") == 0;
        cr_assert_lt(om_clock_mono_ms(), deadline_ms, "it is kept still");
    }
    expect(key, NAIVE, BODY, NULL, "bypass");
    expect(other, NAIVE, BODY, NULL, "miss");
    expect(other, NAIVE, BODY, NULL, "hit");
}
