// How a whole Omni says it does: over HTTP, on a terminal, in a file; while all is well,
// when a program is gone, and when the edge is.
#include <curl/curl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "clock.h"
#include "tools.h"

enum { WAIT_MS = 20000 };

static struct omni omni;
static const char *out;

static void
begin(void)
{
    setenv("OMNI_LOOK_MS", "200", 1);
    omni_open(&omni);
}

static void
end(void)
{
    omni_close(&omni);
}

TestSuite(status, .init = begin, .fini = end, .timeout = 120);

static void
await_state(const char *state)
{
    int64_t until_ms = om_clock_mono_ms() + WAIT_MS;
    do {
        cr_assert_lt(om_clock_mono_ms(), until_ms, "never %s", state);
        omni_pause();
        cr_assert_eq(omni_ask(&omni, "GET", NULL, "/status"), 200);
    } while (strcmp(omni_text("state"), state) != 0);
}

static int
run(const char *arguments)
{
    return omni_run(&omni, arguments, &out);
}

Test(status, is_shown_to_anybody_as_json_and_as_a_page_of_its_own)
{
    char command[512];
    await_state("operational");
    cr_expect_eq(json_array_size(json_object_get(omni_answer(), "objectives")), 4);
    cr_expect_geq(json_array_size(json_object_get(omni_answer(), "components")), 8);
    cr_expect_eq(json_array_size(json_object_get(omni_answer(), "incidents")), 0);
    snprintf(command, sizeof(command),
             "curl -sS -i --noproxy '*' -H 'accept: text/html' %s/status", omni.url);
    cr_assert_eq(tool_run(command, &out), 0);
    cr_expect(strstr(out, "text/html; charset=utf-8"), "%s", out);
    cr_expect(strstr(out, "default-src 'none'"));
    cr_expect(strstr(out, "name=\"viewport\""), "a phone reads it");
    cr_expect(strstr(out, "operational") && strstr(out, "availability"));
    const char *body = strstr(out, "<!doctype");
    cr_assert(body);
    cr_expect_null(strstr(body, "http://") ?: strstr(body, "src="),
                   "it asks for nothing elsewhere");
    cr_expect_null(strstr(body, "ten_"), "it names no tenant");
    cr_expect_eq(run("status"), EXIT_DONE, "%s", out);
    cr_expect(strstr(out, "operational") && strstr(out, "latency_compute"), "%s", out);
    omni_stop(&omni);
}

Test(status, tells_of_a_program_that_is_gone_and_keeps_the_incident)
{
    await_state("operational");
    pid_t billing = omni_child(&omni, "billing");
    cr_assert_eq(kill(billing, SIGSTOP), 0);
    await_state("degraded");
    cr_expect_eq(run("status"), EXIT_REFUSED, "%s", out);
    cr_expect(strstr(out, "billing") && strstr(out, "down"), "%s", out);
    int64_t until_ms = om_clock_mono_ms() + WAIT_MS;
    do {
        cr_assert_lt(om_clock_mono_ms(), until_ms, "no incident");
        omni_pause();
        cr_assert_eq(omni_ask(&omni, "GET", NULL, "/status"), 200);
    } while (json_array_size(json_object_get(omni_answer(), "incidents")) == 0);
    cr_assert_eq(kill(billing, SIGCONT), 0);
    await_state("operational");
    const json_t *incident =
        json_array_get(json_object_get(omni_answer(), "incidents"), 0);
    cr_expect_str_eq(json_string_value(json_object_get(incident, "component")),
                     "billing");
    cr_expect(json_object_get(incident, "ended_at"));
    omni_stop(&omni);
}

Test(status, is_in_a_file_when_the_edge_does_not_answer)
{
    char command[512], path[192];
    await_state("operational");
    pid_t edge = omni_child(&omni, "ingest");
    cr_assert_eq(kill(edge, SIGSTOP), 0);
    snprintf(path, sizeof(path), "%s/status.json", omni.dir);
    snprintf(command, sizeof(command), "status --file %s", path);
    int64_t until_ms = om_clock_mono_ms() + WAIT_MS;
    do {
        cr_assert_lt(om_clock_mono_ms(), until_ms, "%s", out);
        omni_pause();
        run(command);
    } while (!strstr(out, "outage"));
    cr_assert_eq(kill(edge, SIGCONT), 0);
    await_state("operational");
    omni_stop(&omni);
}
