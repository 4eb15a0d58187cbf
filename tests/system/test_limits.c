// Rate limits of the whole: what a plan allows, no more, at every thread of the edge, and
// anew within a second of a change.
#include <stdio.h>

#include "clock.h"
#include "omni.h"

enum { SEEN_MS = 1000, CONNECTIONS = 6, FREE_RPM = 60 };

static struct omni omni;
static struct api *apis[CONNECTIONS]; // with the key of a tenant on the plan "free"

static void
begin(void)
{
    omni_open(&omni);
    json_t *body = json_pack("{s:s, s:s, s:s}", "name", "a", "slug", "a", "plan", "free");
    cr_assert_eq(omni_ask(&omni, "POST", body, "/api/v1/admin/tenants"), 201);
    char key[128];
    snprintf(key, sizeof(key), "%s", omni_text("key"));
    for (int i = 0; i < CONNECTIONS; i++)
        cr_assert(apis[i] = api_open_at(omni.url, key));
}

static void
end(void)
{
    for (int i = 0; i < CONNECTIONS; i++)
        api_close(&apis[i]);
    omni_stop(&omni);
    omni_close(&omni);
}

TestSuite(limits, .init = begin, .fini = end, .timeout = 180);

static long
ask(int connection)
{
    struct api *kept = omni.api;
    omni.api = apis[connection];
    long status = omni_ask(&omni, "GET", NULL, "/v1/files");
    omni.api = kept;
    return status;
}

// Ask over all connections until one is refused; how often none was.
static int
use_up(void)
{
    int served = 0;
    while (ask(served % CONNECTIONS) == 200)
        cr_assert_lt(++served, 100 * FREE_RPM);
    return served;
}

static void
set_plan(int requests)
{
    json_t *body = json_pack("{s:s, s:i}", "name", "Free", "requests", requests);
    cr_assert_eq(omni_ask(&omni, "PUT", body, "/api/v1/admin/plans/free"), 200);
}

// How long until each connection is answered like this.
static int64_t
await_all(long status, const char *code, const char *words)
{
    int64_t began_ms = om_clock_mono_ms();
    for (int i = 0; i < CONNECTIONS; i++)
        while (ask(i) != status ||
               (status != 200 && (strcmp(omni_text("error.code"), code) != 0 ||
                                  !strstr(omni_text("error.message"), words)))) {
            cr_assert_lt(om_clock_mono_ms(), began_ms + 10 * SEEN_MS, "%ld %s", status,
                         omni_text("error.message"));
            omni_pause();
        }
    return om_clock_mono_ms() - began_ms;
}

Test(limits, a_plan_allows_what_it_says_and_a_change_holds_within_a_second)
{
    cr_expect_eq(use_up(), FREE_RPM);
    cr_expect_str_eq(omni_text("error.code"), "rate_limit_exceeded");
    cr_expect_str_eq(omni_text("error.type"), "rate_limit_error");
    cr_expect(strstr(omni_text("error.message"), "rpm: this plan allows 60 requests"),
              "%s", omni_text("error.message"));
    const json_t *violated =
        json_object_get(json_object_get(omni_answer(), "error"), "violated_policies");
    cr_expect_str_eq(json_string_value(json_array_get(violated, 0)), "rpm");

    set_plan(100000);
    int64_t took_ms = await_all(200, "", "");
    cr_expect_leq(took_ms, SEEN_MS, "raised after %lld ms", (long long)took_ms);
    set_plan(7);
    took_ms = await_all(429, "rate_limit_exceeded", "allows 7 requests");
    cr_expect_leq(took_ms, SEEN_MS, "lowered after %lld ms", (long long)took_ms);
}

Test(limits, the_operators_first_key_has_none)
{
    set_plan(1);
    for (int i = 0; i < 3 * FREE_RPM; i++)
        cr_assert_eq(omni_ask(&omni, "GET", NULL, "/v1/files"), 200);
}
