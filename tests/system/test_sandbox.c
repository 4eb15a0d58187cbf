// The clock of a sandbox: jobs go by it as it is when they are submitted.
#include <stdio.h>

#include "clock.h"
#include "http_ask.h"
#include "omni.h"

enum { WAIT_MS = 20000, DAY_MS = 24 * 3600 * 1000, HOUR_MS = 3600 * 1000 };

static struct omni omni;
static struct http_answer answer;
static char key[128];
static CURL *connection; // one thread of the edge answers all

static long
ask(const char *method, const char *path, const char *body, const char *idempotency)
{
    struct http_ask one = { .url = omni.url,
                            .path = path,
                            .method = method,
                            .key = *key ? key : omni.key,
                            .idempotency = idempotency,
                            .body = body,
                            .connection = connection };
    return http_ask(&one, &answer);
}

static void
begin(void)
{
    omni_open(&omni);
    connection = curl_easy_init();
    cr_assert_eq(
        ask("POST", "/developer/keys", "{\"name\":\"t\",\"env\":\"test\"}", NULL), 201,
        "%s", answer.text.data);
    snprintf(key, sizeof(key), "%s", http_text(&answer, "key"));
}

static void
end(void)
{
    curl_easy_cleanup(connection);
    http_answer_finish(&answer);
    omni_close(&omni);
}

TestSuite(sandbox, .init = begin, .fini = end, .timeout = 120);

// Submit a job with a member more; it is looked at right after.
static void
submit(const char *member, int64_t at_ms)
{
    char body[256], path[128];
    snprintf(body, sizeof(body), "{\"queue\":\"later\",\"kind\":\"k\",\"%s\":%lld}",
             member, (long long)at_ms);
    cr_assert_eq(ask("POST", "/api/v1/tasks", body, NULL), 202, "%s", answer.text.data);
    snprintf(path, sizeof(path), "/api/v1/tasks/%s", http_text(&answer, "task_id"));
    cr_assert_eq(ask("GET", path, NULL, NULL), 200);
}

static bool
is_near(int64_t at_s, int64_t at_ms)
{
    int64_t away_ms = at_s * 1000 - at_ms;
    return away_ms > -WAIT_MS && away_ms < WAIT_MS;
}

static void
set_clock(int64_t ahead_ms)
{
    char body[64];
    int64_t until_ms = om_clock_mono_ms() + WAIT_MS;
    snprintf(body, sizeof(body), "{\"clock_ms\":%lld}", (long long)ahead_ms);
    cr_assert_eq(ask("PATCH", "/api/v1/tenants/me", body, NULL), 200);
    for (;; omni_pause()) { // it is heard of within a second
        submit("priority", 1);
        if (is_near(http_number(&answer, "created_at"), om_clock_wall_ms() + ahead_ms))
            return;
        cr_assert_lt(om_clock_mono_ms(), until_ms, "%s", answer.text.data);
    }
}

static void
await_expired(void)
{
    char path[128];
    int64_t until_ms = om_clock_mono_ms() + WAIT_MS;
    while (strcmp(http_text(&answer, "status"), "expired") != 0) {
        cr_assert_lt(om_clock_mono_ms(), until_ms, "%s", answer.text.data);
        omni_pause();
        snprintf(path, sizeof(path), "/api/v1/tasks/%s", http_text(&answer, "id"));
        cr_assert_eq(ask("GET", path, NULL, NULL), 200);
    }
}

Test(sandbox, times_of_a_job_are_those_of_its_clock)
{
    set_clock(DAY_MS);
    int64_t now_ms = om_clock_wall_ms() + DAY_MS;

    submit("due_ms", now_ms - 1000);
    cr_expect_str_eq(http_text(&answer, "status"), "submitted", "it is due: %s",
                     answer.text.data);
    submit("due_ms", now_ms + HOUR_MS);
    cr_expect_str_eq(http_text(&answer, "status"), "scheduled");
    cr_expect_eq(http_number(&answer, "due_at"), (now_ms + HOUR_MS) / 1000);
    submit("delay_ms", HOUR_MS);
    cr_expect_str_eq(http_text(&answer, "status"), "scheduled");
    cr_expect(is_near(http_number(&answer, "due_at"), now_ms + HOUR_MS));

    submit("expires_ms", now_ms + HOUR_MS);
    cr_expect_str_eq(http_text(&answer, "status"), "submitted");
    cr_expect_eq(http_number(&answer, "expires_at"), (now_ms + HOUR_MS) / 1000);
    submit("expires_ms", now_ms - HOUR_MS); // to come, by the wall clock
    await_expired();
}

Test(sandbox, a_repeat_goes_by_its_clock_too)
{
    char body[256];
    set_clock(DAY_MS);
    int64_t due_ms = om_clock_wall_ms() + DAY_MS - HOUR_MS;
    snprintf(body, sizeof(body), "{\"queue\":\"later\",\"kind\":\"k\",\"due_ms\":%lld}",
             (long long)due_ms);
    cr_assert_eq(ask("POST", "/api/v1/tasks", body, "again"), 202);
    cr_expect_str_eq(http_text(&answer, "status"), "submitted", "%s", answer.text.data);
    cr_assert_eq(ask("POST", "/api/v1/tasks", body, "again"), 202);
    cr_expect_str_eq(http_text(&answer, "status"), "submitted", "%s", answer.text.data);
    cr_expect_str_eq(http_field(&answer, "idempotent-replayed"), "true");
}

Test(sandbox, a_live_key_goes_by_the_wall_clock)
{
    set_clock(DAY_MS);
    *key = '\0';
    int64_t due_ms = om_clock_wall_ms() + HOUR_MS;
    submit("due_ms", due_ms);
    cr_expect_str_eq(http_text(&answer, "status"), "scheduled");
    cr_expect_eq(http_number(&answer, "due_at"), due_ms / 1000);
    cr_expect(is_near(http_number(&answer, "created_at"), om_clock_wall_ms()));
}
