#include <signal.h>
#include <stdio.h>

#include "clock.h"
#include "edge_program.h"
#include "http_ask.h"

enum { WAIT_MS = 20000 };

void
edge_program_start(struct program *self, const struct stage *stage,
                   char url[EDGE_PROGRAM_URL])
{
    program_start(self, "omni-ingest", stage->list, NULL);
    program_expect_log(self, "listening");
    const char *address = strstr(self->log, "127.0.0.1:");
    cr_assert(address, "%s", self->log);
    snprintf(url, EDGE_PROGRAM_URL, "http://%.*s", (int)strspn(address, "0123456789.:"),
             address);
}

void
edge_program_await(const char *url)
{
    struct http_answer answer = { 0 };
    int64_t until_ms = om_clock_mono_ms() + WAIT_MS;
    while (http_ask(&(struct http_ask){ .url = url, .path = "/readyz" }, &answer) != 200)
        cr_assert_lt(om_clock_mono_ms(), until_ms, "never ready: %s", answer.text.data);
    http_answer_finish(&answer);
}

void
edge_program_stop(struct program *self)
{
    program_signal(self, SIGTERM);
    cr_expect_eq(program_wait(self, WAIT_MS), 0, "%s", self->log);
    cr_expect_null(strstr(self->log, "Sanitizer"), "%s", self->log);
    program_finish(self);
}
