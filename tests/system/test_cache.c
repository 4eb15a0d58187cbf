// The cache of answers over a whole Omni: what is given again, to whom, how long, and
// what of it is counted.
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "clock.h"
#include "omni.h"
#include "pack.h"

enum { WAIT_MS = 20000, CROWD = 24, KEY_MAX = 128 };

#define NAIVE "/api/v1/predict/seasonal-naive"
#define LSTM  "/api/v1/predict/revenue-lstm"
#define BODY  "{\"time_series\":[1,2,3,4,1,2,3,4],\"forecast_steps\":2,\"period\":4}"

static struct omni omni;
static char tenant[64], key[KEY_MAX], other[KEY_MAX];

// One request and its answer.
struct call {
    CURL *curl;
    struct curl_slist *fields;
    struct om_buf text;
    char head[4096];
    long status;
};

static size_t
on_text(char *data, size_t size, size_t count, void *context)
{
    om_buf_put(context, data, size * count);
    return size * count;
}

static size_t
on_head(char *data, size_t size, size_t count, void *context)
{
    char *head = context;
    size_t used = strlen(head), room = 4095 - used;
    memcpy(head + used, data, size * count < room ? size * count : room);
    return size * count;
}

static void
call_init(struct call *self, const char *who, const char *path, const char *body,
          const char *field)
{
    char text[256];
    *self = (struct call){ .curl = curl_easy_init() };
    snprintf(text, sizeof(text), "Authorization: Bearer %s", who);
    self->fields = curl_slist_append(NULL, text);
    if (field)
        self->fields = curl_slist_append(self->fields, field);
    snprintf(text, sizeof(text), "%s%s", omni.url, path);
    curl_easy_setopt(self->curl, CURLOPT_URL, text);
    curl_easy_setopt(self->curl, CURLOPT_PROXY, "");
    curl_easy_setopt(self->curl, CURLOPT_TIMEOUT_MS, (long)WAIT_MS);
    curl_easy_setopt(self->curl, CURLOPT_HTTPHEADER, self->fields);
    curl_easy_setopt(self->curl, CURLOPT_WRITEFUNCTION, on_text);
    curl_easy_setopt(self->curl, CURLOPT_WRITEDATA, &self->text);
    curl_easy_setopt(self->curl, CURLOPT_HEADERFUNCTION, on_head);
    curl_easy_setopt(self->curl, CURLOPT_HEADERDATA, self->head);
    if (body)
        curl_easy_setopt(self->curl, CURLOPT_COPYPOSTFIELDS, body);
}

static void
call_finish(struct call *self)
{
    curl_easy_cleanup(self->curl);
    curl_slist_free_all(self->fields);
    om_buf_finish(&self->text);
}

static struct call
call(const char *who, const char *path, const char *body, const char *field)
{
    struct call self;
    call_init(&self, who, path, body, field);
    CURLcode code = curl_easy_perform(self.curl);
    cr_assert_eq(code, CURLE_OK, "%s", curl_easy_strerror(code));
    curl_easy_getinfo(self.curl, CURLINFO_RESPONSE_CODE, &self.status);
    return self; // libcurl writes no more to where it was
}

// The value of a header field; "" if there is none. Static.
static const char *
field_of(const struct call *self, const char *name)
{
    static char value[128];
    char start[64];
    snprintf(start, sizeof(start), "\n%s: ", name);
    const char *at = strcasestr(self->head, start);
    at = at ? at + strlen(start) : "";
    snprintf(value, sizeof(value), "%.*s", (int)strcspn(at, "\r\n"), at);
    return value;
}

// Ask, and expect that of the cache.
static void
expect(const char *who, const char *path, const char *body, const char *field,
       const char *result)
{
    struct call got = call(who, path, body, field);
    cr_assert_eq(got.status, 200, "%.*s", (int)got.text.size, got.text.data);
    cr_expect_str_eq(field_of(&got, "x-cache"), result, "%s %s", path, body);
    call_finish(&got);
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
    curl_global_init(CURL_GLOBAL_DEFAULT);
    omni_open(&omni);
    make_tenant("a", tenant, key);
    make_tenant("b", id, other);
}

static void
end(void)
{
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
    struct call first = call(key, NAIVE, BODY, NULL);
    struct call second = call(key, NAIVE, BODY, NULL);
    cr_assert_eq(first.status, 200, "%.*s", (int)first.text.size, first.text.data);
    cr_expect_str_eq(field_of(&first, "x-cache"), "miss");
    cr_expect_str_eq(field_of(&first, "age"), "");
    cr_expect_str_eq(field_of(&second, "x-cache"), "hit");
    cr_expect_str_eq(field_of(&second, "cache-control"), "private, max-age=1800");
    cr_expect_leq(atoi(field_of(&second, "age")), WAIT_MS / 1000);
    cr_expect_str_neq(field_of(&second, "age"), "");
    cr_expect_eq(strlen(field_of(&second, "x-cache-key")), 64);
    cr_expect(om_str_eq(om_buf_str(&first.text), om_buf_str(&second.text)));
    call_finish(&first);
    call_finish(&second);
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
    struct call none = call(key, NAIVE, BODY, "Cache-Control: no-store");
    cr_expect_str_eq(field_of(&none, "cache-control"), "no-store");
    call_finish(&none);
    struct call bad = call(key, NAIVE, "{\"forecast_steps\":2}", NULL);
    cr_expect_eq(bad.status, 400);
    cr_expect_str_eq(field_of(&bad, "x-cache"), "");
    call_finish(&bad);
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
    struct call wrong = call("omni_live_nobody", NAIVE, BODY, NULL);
    cr_expect_eq(wrong.status, 401);
    call_finish(&wrong);
    struct api *kept = omni.api;
    omni.api = api_open_at(omni.url, key);
    json_t *body = json_pack("{s:s,s:[s]}", "name", "reads", "scopes", "files:read");
    cr_assert_eq(omni_ask(&omni, "POST", body, "/developer/keys"), 201);
    struct call denied = call(omni_text("key"), NAIVE, BODY, NULL);
    cr_expect_eq(denied.status, 403);
    call_finish(&denied);
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
        struct call got = call(key, NAIVE, text, NULL);
        long status = got.status;
        call_finish(&got);
        if (status == 429)
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
    struct call got = call(who, path, body, NULL);
    cr_assert_eq(got.status, 200, "%.*s", (int)got.text.size, got.text.data);
    json_t *answer = json_loadb(got.text.data, got.text.size, 0, NULL);
    int purged = (int)json_integer_value(json_object_get(answer, "purged"));
    json_decref(answer);
    call_finish(&got);
    return purged;
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
    struct call hit = call(key, NAIVE, BODY, NULL);
    snprintf(one, sizeof(one), "{\"key\":\"%s\"}", field_of(&hit, "x-cache-key"));
    call_finish(&hit);
    cr_expect_eq(purge(key, own, one), 1);
    expect(key, NAIVE, BODY, NULL, "miss");
    snprintf(path, sizeof(path), "/api/v1/admin/tenants/%s/cache/purge", tenant);
    struct call denied = call(other, path, "{}", NULL);
    cr_expect_eq(denied.status, 403);
    call_finish(&denied);
    cr_expect_eq(purge(omni.key, path, "{}"), 1);
    expect(key, NAIVE, BODY, NULL, "miss");
    expect(other, NAIVE, BODY, NULL, "hit");
    struct call bad = call(key, own,
                           "{\"key\":\"XX00000000000000000000000000000000000000000000"
                           "000000000000000000\"}",
                           NULL);
    cr_expect_eq(bad.status, 400);
    call_finish(&bad);
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
        struct call hit = call(test, NAIVE, BODY, NULL);
        cr_expect_str_eq(field_of(&hit, "x-cache"), "hit");
        age = atoi(field_of(&hit, "age"));
        call_finish(&hit);
        cr_assert_lt(om_clock_mono_ms(), deadline_ms, "it is %d s old", age);
    }
    cr_assert_eq(omni_ask(&omni, "PATCH", json_pack("{s:i}", "clock_ms", 1801000),
                          "/api/v1/tenants/me"),
                 200);
    for (bool missed = false; !missed;) {
        struct call got = call(test, NAIVE, BODY, NULL);
        missed = strcmp(field_of(&got, "x-cache"), "miss") == 0;
        call_finish(&got);
        cr_assert_lt(om_clock_mono_ms(), deadline_ms, "it never expires");
    }
    expect(key, NAIVE, BODY, NULL, "hit");
    api_close(&omni.api);
    omni.api = kept;
}

// ---- at once

static void
perform(CURLM *multi, int until)
{
    int running = CROWD;
    int64_t deadline_ms = om_clock_mono_ms() + WAIT_MS;
    while (running > until) {
        cr_assert_eq(curl_multi_perform(multi, &running), CURLM_OK);
        cr_assert_lt(om_clock_mono_ms(), deadline_ms, "%d are not answered", running);
        curl_multi_poll(multi, NULL, 0, 100, NULL);
    }
}

Test(cache, has_equal_requests_wait_for_one_inference)
{
    struct call calls[CROWD];
    int misses = 0;
    CURLM *multi = curl_multi_init();
    for (int i = 0; i < CROWD; i++) {
        call_init(&calls[i], key, LSTM, BODY, NULL);
        curl_multi_add_handle(multi, calls[i].curl);
    }
    perform(multi, 0);
    for (int i = 0; i < CROWD; i++) {
        curl_easy_getinfo(calls[i].curl, CURLINFO_RESPONSE_CODE, &calls[i].status);
        cr_expect_eq(calls[i].status, 200, "%.*s", (int)calls[i].text.size,
                     calls[i].text.data);
        cr_expect(om_str_eq(om_buf_str(&calls[i].text), om_buf_str(&calls[0].text)));
        misses += strcmp(field_of(&calls[i], "x-cache"), "miss") == 0;
        curl_multi_remove_handle(multi, calls[i].curl);
    }
    for (int i = 0; i < CROWD; i++)
        call_finish(&calls[i]);
    curl_multi_cleanup(multi);
    cr_expect_eq(misses, 1);
    await_metered(key, "ml_inference", 1);
}

// Of those that wait the first leave, whoever made the call.
Test(cache, goes_on_for_those_that_stay)
{
    struct call calls[CROWD];
    CURLM *multi = curl_multi_init();
    for (int i = 0; i < CROWD; i++) {
        call_init(&calls[i], key, LSTM, BODY, NULL);
        curl_multi_add_handle(multi, calls[i].curl);
    }
    int running;
    curl_off_t sent = 0;
    int64_t deadline_ms = om_clock_mono_ms() + WAIT_MS;
    for (int i = 0; i < CROWD; i++) // all have been sent
        for (sent = 0; sent == 0;
             curl_easy_getinfo(calls[i].curl, CURLINFO_SIZE_UPLOAD_T, &sent)) {
            curl_multi_perform(multi, &running);
            cr_assert_lt(om_clock_mono_ms(), deadline_ms);
        }
    for (int i = 0; i < CROWD - 1; i++) {
        curl_multi_remove_handle(multi, calls[i].curl);
        call_finish(&calls[i]);
    }
    perform(multi, 0);
    curl_easy_getinfo(calls[CROWD - 1].curl, CURLINFO_RESPONSE_CODE,
                      &calls[CROWD - 1].status);
    cr_expect_eq(calls[CROWD - 1].status, 200);
    curl_multi_remove_handle(multi, calls[CROWD - 1].curl);
    call_finish(&calls[CROWD - 1]);
    curl_multi_cleanup(multi);
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
        struct call got = call(key, NAIVE, BODY, NULL);
        told = strcmp(field_of(&got, "x-cache"), "bypass") == 0;
        call_finish(&got);
        cr_assert_lt(om_clock_mono_ms(), deadline_ms, "it is kept still");
    }
    expect(key, NAIVE, BODY, NULL, "bypass");
    expect(other, NAIVE, BODY, NULL, "miss");
    expect(other, NAIVE, BODY, NULL, "hit");
}
