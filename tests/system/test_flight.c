// Equal predictions at once, of which the one that asks for all of them leaves.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "clock.h"
#include "http_ask.h"
#include "omni.h"

enum { WAIT_MS = 20000, FOLLOWERS = 3 };

#define PATH "/api/v1/predict/seasonal-naive"
#define BODY "{\"time_series\":[1,2,3,4,1,2,3,4],\"forecast_steps\":2,\"period\":4}"

static struct omni omni;
static struct http_answer answer, answers[FOLLOWERS + 1];
static struct http_call calls[FOLLOWERS + 1];
static CURLM *multi;

static void
begin(void)
{
    setenv("OMNI_INGEST_THREADS", "1", 1);
    omni_open(&omni);
    multi = curl_multi_init();
}

static void
end(void)
{
    for (size_t i = 0; i < OM_COUNT(answers); i++)
        http_answer_finish(&answers[i]);
    http_answer_finish(&answer);
    curl_multi_cleanup(multi);
    omni_stop(&omni);
    omni_close(&omni);
}

TestSuite(flight, .init = begin, .fini = end, .timeout = 120);

static void
turn(int64_t until_ms)
{
    int running;
    cr_assert_eq(curl_multi_perform(multi, &running), CURLM_OK);
    curl_multi_poll(multi, NULL, 0, 10, NULL);
    cr_assert_lt(om_clock_mono_ms(), until_ms, "it takes too long");
}

// What was said to the edge before is known to its one thread after that.
static void
pass_edge(void)
{
    struct http_ask one = { .url = omni.url, .path = "/healthz" };
    cr_assert_eq(http_ask(&one, &answer), 200);
}

static void
send_one(int number)
{
    struct http_ask one = {
        .url = omni.url, .path = PATH, .key = omni.key, .body = BODY
    };
    curl_off_t sent = 0;
    http_call_begin(&calls[number], &one, &answers[number]);
    curl_multi_add_handle(multi, calls[number].curl);
    for (int64_t until_ms = om_clock_mono_ms() + WAIT_MS; sent == 0;
         curl_easy_getinfo(calls[number].curl, CURLINFO_SIZE_UPLOAD_T, &sent))
        turn(until_ms);
    pass_edge();
}

static void
leave(int number)
{
    curl_multi_remove_handle(multi, calls[number].curl);
    http_call_end(&calls[number]);
    pass_edge();
}

Test(flight, who_waits_is_answered_when_the_one_that_asked_has_left)
{
    pid_t pool = omni_child(&omni, "inference");
    kill(pool, SIGSTOP);
    for (int i = 0; i <= FOLLOWERS; i++)
        send_one(i);
    leave(0);
    leave(1); // one that only waited
    kill(pool, SIGCONT);
    int64_t until_ms = om_clock_mono_ms() + WAIT_MS;
    for (int i = 2; i <= FOLLOWERS; i++) {
        while (answers[i].text.size == 0)
            turn(until_ms);
        leave(i);
        cr_expect_eq(answers[i].status, 200, "%s", answers[i].text.data);
        cr_expect_str_eq(http_field(&answers[i], "x-cache"), "hit");
    }
    cr_expect_eq(answers[0].status, 0);
    omni_await_metered(&omni, "ml_inference", 1);
}

// The call is cancelled then, and the next one asks for itself.
Test(flight, when_all_have_left_the_next_one_asks_anew)
{
    pid_t pool = omni_child(&omni, "inference");
    kill(pool, SIGSTOP);
    for (int i = 0; i <= FOLLOWERS; i++)
        send_one(i);
    for (int i = 0; i <= FOLLOWERS; i++)
        leave(i);
    kill(pool, SIGCONT);
    struct http_ask one = {
        .url = omni.url, .path = PATH, .key = omni.key, .body = BODY
    };
    cr_expect_eq(http_ask(&one, &answer), 200, "%s", answer.text.data);
    cr_expect_str_eq(http_field(&answer, "x-cache"), "miss");
}
