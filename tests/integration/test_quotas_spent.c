// A quota that two edges spend at once, and what becomes of the count when one of them or
// billing dies.
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <strings.h>

#include "clock.h"
#include "quotas.h"

Test(quotas, are_spent_by_two_edges_to_the_last_call_and_no_further)
{
    limit_calls_to(1000);
    spend_all(1000, QUOTAS_WAIT_MS);
    cr_expect_eq(atomic_load(&quotas.served), 1000, "%d", atomic_load(&quotas.served));
    spend_all(1001, 2000);
    cr_expect_eq(atomic_load(&quotas.served), 1000, "%d", atomic_load(&quotas.served));

    struct http_answer answer = { 0 };
    cr_expect_eq(ask((struct http_ask){ .method = "GET", .path = QUOTAS_CHEAP }, &answer),
                 429);
    cr_expect_str_eq(http_text(&answer, "error.code"), "quota_exceeded");
    cr_expect_str_eq(http_text(&answer, "error.type"), "quota_error");
    json_t *policies = http_member(&answer, "error.violated_policies");
    cr_expect_eq(json_array_size(policies), 1);
    cr_expect_str_eq(json_string_value(json_array_get(policies, 0)), "api_calls_month");
    const char *message = http_text(&answer, "error.message");
    cr_expect(strstr(message, "Quota exceeded: api_calls_month"), "%s", message);
    cr_expect(strcasestr(answer.fields, "x-should-retry: false"), "%s", answer.fields);
    cr_expect(strcasestr(answer.fields, "retry-after: "), "%s", answer.fields);
    http_answer_finish(&answer);
}

static void
restart_billing(const char *offset)
{
    kill_billing();
    if (offset)
        stage_set(&quotas.stage, "OMNI_CLOCK_OFFSET_MS", "%s", offset);
    start_billing();
    if (offset)
        quotas.stage.list[--quotas.stage.count] = NULL;
}

Test(quotas, lose_no_more_than_its_block_when_an_edge_is_killed)
{
    limit_calls_to(200);
    for (int i = 0; i < 5; i++)
        cr_expect_eq(get(0, QUOTAS_CHEAP), 200);
    program_signal(&quotas.edges[0], SIGKILL);
    program_wait(&quotas.edges[0], QUOTAS_WAIT_MS);
    memcpy(quotas.urls[0], quotas.urls[1], sizeof(quotas.urls[0]));

    spend_all(150, QUOTAS_WAIT_MS);
    spend_all(1000, 2000);
    int served = atomic_load(&quotas.served);
    cr_expect(served >= 150 && served <= 200, "%d: a block is a quarter at most", served);

    restart_billing("61000"); // a minute later its block has expired
    spend_all(200, QUOTAS_WAIT_MS);
    spend_all(1000, 2000);
    served = atomic_load(&quotas.served);
    // What it had not yet reported when it was killed is what can be served beyond.
    cr_expect(served >= 200 && served <= 210, "%d", served);
}

Test(quotas, come_back_when_an_edge_stops)
{
    limit_calls_to(100);
    cr_expect_eq(get(0, QUOTAS_CHEAP), 200);
    edge_program_stop(&quotas.edges[0]);
    memcpy(quotas.urls[0], quotas.urls[1], sizeof(quotas.urls[0]));
    spend_all(100, QUOTAS_WAIT_MS);
    spend_all(101, 1000);
    cr_expect_eq(atomic_load(&quotas.served), 100);
}

Test(quotas, are_the_same_after_billing_was_killed)
{
    limit_calls_to(300);
    spend_all(150, QUOTAS_WAIT_MS);
    restart_billing(NULL);
    spend_all(300, QUOTAS_WAIT_MS);
    spend_all(301, 2000);
    cr_expect_eq(atomic_load(&quotas.served), 300, "%d", atomic_load(&quotas.served));
}

Test(quotas, are_never_exceeded_while_billing_is_slow)
{
    limit_calls_to(300);
    spend_all(20, QUOTAS_WAIT_MS);
    program_signal(&quotas.billing, SIGSTOP);
    // Longer than a question waits: what is in blocks is spent, and no more.
    spend_all(301, 5000);
    int served = atomic_load(&quotas.served);
    cr_expect(served >= 20 && served < 300, "%d of two edges' blocks", served);
    program_signal(&quotas.billing, SIGCONT);
    spend_all(300, QUOTAS_WAIT_MS);
    spend_all(301, 2000);
    cr_expect_eq(atomic_load(&quotas.served), 300, "%d", atomic_load(&quotas.served));
}

Test(quotas, without_billing_are_served_of_blocks_alone)
{
    limit_calls_to(100000);
    cr_expect_eq(get(0, QUOTAS_CHEAP), 200);
    kill_billing();
    await_answer(0, 503);
    start_billing();
    await_answer(0, 200);
}

Test(quotas, are_trusted_for_a_set_time_where_that_is_configured)
{
    enum { HOLD_MS = 4000 };
    edge_program_stop(&quotas.edges[0]);
    stage_set(&quotas.stage, "OMNI_QUOTA_HOLD_MS", "4000");
    start_edge(0);
    edge_program_await(quotas.urls[0]);
    limit_calls_to(100000);
    kill_billing();
    int64_t began_ms = om_clock_mono_ms();
    await_answer(1, 503);
    cr_expect_eq(get(0, QUOTAS_CHEAP), 200, "it is to be trusted");
    await_answer(0, 503);
    int64_t trusted_ms = om_clock_mono_ms() - began_ms;
    cr_expect_geq(trusted_ms, HOLD_MS - 1000);
    start_billing();
    await_answer(0, 200);
}
