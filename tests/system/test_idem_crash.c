// The one moment in which a prediction with an Idempotency-Key is made twice: the edge
// dies when it was made and before its answer is kept (docs/http.md).
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "clock.h"
#include "http_ask.h"
#include "omni.h"

enum {
    WAIT_MS = 20000,
    CLAIM_MS = 60000,
    ANSWER_MS = 500, // a prediction takes less, mostly; each try waits longer
    ANSWER_MAX_MS = 4000,
    SENT_MS = 100,
    METERED_MS = 3000,
    TRIES = 10,
};

static struct omni omni;
static struct http_answer first, answer;
static char key[16];

static void
begin(void)
{
    setenv("OMNI_INGEST_THREADS", "1", 1);
    omni_open(&omni);
}

static void
end(void)
{
    http_answer_finish(&first);
    http_answer_finish(&answer);
    omni_close(&omni);
}

TestSuite(idem_crash, .init = begin, .fini = end, .timeout = 240);

static struct http_ask
predict(void)
{
    return (struct http_ask){
        .url = omni.url,
        .path = "/api/v1/predict/seasonal-naive",
        .key = omni.key,
        .idempotency = key,
        .body = "{\"time_series\":[1,2,3,4,1,2,3,4],\"forecast_steps\":2}",
    };
}

static long
repeat(void)
{
    struct http_ask one = predict();
    return http_ask(&one, &answer);
}

// Ask, and go on as soon as the key is known to be in use.
static void
begin_first(CURLM *multi, struct http_call *call)
{
    struct http_ask one = predict();
    int running;
    int64_t until_ms = om_clock_mono_ms() + WAIT_MS;
    http_call_begin(call, &one, &first);
    curl_multi_add_handle(multi, call->curl);
    curl_off_t sent = 0;
    while (sent == 0) {
        curl_multi_perform(multi, &running);
        curl_easy_getinfo(call->curl, CURLINFO_SIZE_UPLOAD_T, &sent);
        cr_assert_lt(om_clock_mono_ms(), until_ms);
    }
    while (repeat() != 409)
        cr_assert_lt(om_clock_mono_ms(), until_ms, "%ld %s", answer.status,
                     answer.text.data);
}

// The edge stands still when the answer comes, and dies. False: the answer did not come
// in time.
static bool
die_between(int tries)
{
    struct http_call call;
    CURLM *multi = curl_multi_init();
    pid_t pool = omni_child(&omni, "inference"), edge = omni_child(&omni, "ingest");
    kill(pool, SIGSTOP);
    begin_first(multi, &call);
    poll(NULL, 0, SENT_MS * tries); // the question leaves after the key is taken
    kill(edge, SIGSTOP);
    kill(pool, SIGCONT);
    int answer_ms = ANSWER_MS * tries;
    poll(NULL, 0, answer_ms < ANSWER_MAX_MS ? answer_ms : ANSWER_MAX_MS);
    kill(edge, SIGKILL);
    curl_multi_remove_handle(multi, call.curl);
    http_call_end(&call);
    curl_multi_cleanup(multi);
    omni_child_after(&omni, "ingest", edge);
    omni_await_back(&omni);
    int64_t until_ms = om_clock_mono_ms() + METERED_MS;
    while (omni_metered(&omni, "ml_inference") == 0 && om_clock_mono_ms() < until_ms)
        omni_pause();
    return omni_metered(&omni, "ml_inference") == 1;
}

Test(idem_crash, is_refused_for_a_minute_and_then_done_and_metered_once_more)
{
    int tries = 0;
    do
        snprintf(key, sizeof(key), "once-%d", ++tries);
    while (!die_between(tries) && tries < TRIES);
    cr_assert_eq(repeat(), 409, "%s", answer.text.data);
    cr_expect_str_eq(http_text(&answer, "error.code"), "request_in_progress");
    cr_expect_str_neq(http_field(&answer, "retry-after"), "");
    omni_await_metered(&omni, "ml_inference", 1);

    int64_t until_ms = om_clock_mono_ms() + CLAIM_MS + WAIT_MS;
    for (; repeat() == 409; omni_pause())
        cr_assert_lt(om_clock_mono_ms(), until_ms);
    cr_expect_eq(answer.status, 200, "%s", answer.text.data);
    cr_expect_str_eq(http_field(&answer, "idempotent-replayed"), "");
    omni_await_metered(&omni, "ml_inference", 2);
    cr_expect_eq(repeat(), 200);
    cr_expect_str_eq(http_field(&answer, "idempotent-replayed"), "true");
    omni_await_metered(&omni, "ml_inference", 2);
    omni_stop(&omni);
}
