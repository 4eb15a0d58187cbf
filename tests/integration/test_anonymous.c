// What is answered to anybody costs the services behind the edge little, however often it
// is asked for.
#include <criterion/criterion.h>
#include <stdio.h>

#include "clock.h"
#include "edge_program.h"
#include "http_ask.h"
#include "persona.h"

enum { TIMES = 300, KEPT_MS = 1000 };

static struct setup {
    struct stage stage;
    char url[EDGE_PROGRAM_URL];
    struct program edge;
    struct personas personas;
} here;

static void
begin(void)
{
    here = (struct setup){ 0 };
    stage_open(&here.stage);
    personas_open(&here.personas);
    personas_settle(&here.personas, &here.stage);
    edge_program_start(&here.edge, &here.stage, here.url);
    edge_program_await(here.url);
}

static void
end(void)
{
    edge_program_stop(&here.edge);
    personas_close(&here.personas);
    stage_close(&here.stage);
}

TestSuite(anonymous, .init = begin, .fini = end, .timeout = 110);

Test(anonymous, who_ask_for_the_status_have_the_scheduler_asked_once_a_second)
{
    struct http_answer answer = { 0 };
    CURL *connection = curl_easy_init();
    struct http_ask ask = { .url = here.url,
                            .path = "/status",
                            .connection = connection };
    int64_t began_ms = om_clock_mono_ms();
    for (int i = 0; i < TIMES; i++) {
        cr_assert_eq(http_ask(&ask, &answer), 200, "%s", answer.text.data);
        cr_assert_str_eq(http_text(&answer, "state"), "unknown");
    }
    int64_t most = (om_clock_mono_ms() - began_ms) / KEPT_MS + 1;
    cr_expect_leq(atomic_load(&here.personas.statuses), most);
    http_answer_finish(&answer);
    curl_easy_cleanup(connection);
}
