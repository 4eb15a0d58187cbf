// Whose quota it is, what takes of it, and how soon a changed limit holds.
#include <criterion/criterion.h>
#include <stdio.h>

#include "clock.h"
#include "quotas.h"
#include "route.h"

Test(quotas, that_are_used_up_refuse_every_route_but_those_of_operators)
{
    struct http_answer answer = { 0 };
    limit_to("api_calls_month", 0);
    for (size_t i = 0; i < route_count; i++) {
        const struct route *route = &routes[i];
        if (route->auth != AUTH_KEY)
            continue;
        ask((struct http_ask){ .method = om_http_method_name(route->method),
                               .path = route->pattern,
                               .body = route->flags & ROUTE_BODY ? "{}" : NULL },
            &answer);
        const char *code = http_text(&answer, "error.code");
        bool refused = strcmp(code, "quota_exceeded") == 0;
        cr_expect_eq(refused, route->scope != SCOPE_OPERATOR, "%s %s: %ld %s",
                     om_http_method_name(route->method), route->pattern, answer.status,
                     code);
        cr_expect(!refused || answer.status == 429);
    }
    http_answer_finish(&answer);
}

Test(quotas, of_compute_that_are_used_up_refuse_predictions_and_trainings)
{
    static const struct http_ask asks[] = {
        { .method = "POST",
          .path = "/api/v1/predict/seasonal-naive",
          .body = "{\"time_series\":[1,2,3,4],\"forecast_steps\":2}" },
        { .method = "POST",
          .path = "/api/v1/train/custom-model",
          .body = "{\"model\":\"revenue-lstm\",\"target\":\"a\","
                  "\"training_file\":\"file_00000000000000000000000000\"}" },
    };
    struct http_answer answer = { 0 };
    limit_to("compute_month", 0);
    for (size_t i = 0; i < OM_COUNT(asks); i++) {
        cr_expect_eq(ask(asks[i], &answer), 429, "%s", asks[i].path);
        json_t *policies = http_member(&answer, "error.violated_policies");
        const char *first = json_string_value(json_array_get(policies, 0));
        cr_expect(first && strcmp(first, "compute_month") == 0, "%s", answer.text.data);
    }
    http_answer_finish(&answer);
}

Test(quotas, of_a_changed_plan_hold_at_every_edge_within_a_second)
{
    for (int i = 0; i < QUOTAS_EDGES; i++)
        cr_expect_eq(get(i, QUOTAS_CHEAP), 200);
    limit_to("api_calls_month", 0);
    int64_t began_ms = om_clock_mono_ms();
    for (int i = 0; i < QUOTAS_EDGES; i++)
        while (get(i, QUOTAS_CHEAP) == 200)
            cr_assert_lt(om_clock_mono_ms(), began_ms + 1000, "edge %d", i);
    limit_to("api_calls_month", 1000000);
    began_ms = om_clock_mono_ms();
    for (int i = 0; i < QUOTAS_EDGES; i++)
        while (get(i, QUOTAS_CHEAP) != 200)
            cr_assert_lt(om_clock_mono_ms(), began_ms + 1000, "edge %d", i);
}

struct tenant_made {
    char id[64], key[128];
};

static void
copy_text(const struct http_answer *answer, const char *path, char *out, size_t size)
{
    const char *text = http_text(answer, path);
    cr_assert(*text, "no %s in %s", path, answer->text.data);
    snprintf(out, size, "%s", text);
}

// On a plan that has no rate limits, which would refuse who asks again and again.
static struct tenant_made
make_tenant(const char *body)
{
    struct tenant_made tenant;
    struct http_answer answer = { 0 };
    cr_assert_eq(ask((struct http_ask){ .method = "PUT",
                                        .path = "/api/v1/admin/plans/open",
                                        .body = "{\"name\":\"Open\"}" },
                     &answer),
                 200);
    ask((struct http_ask){ .method = "POST",
                           .path = "/api/v1/admin/tenants",
                           .body = body },
        &answer);
    cr_assert_eq(answer.status, 201, "%s", answer.text.data);
    copy_text(&answer, "id", tenant.id, sizeof(tenant.id));
    copy_text(&answer, "key", tenant.key, sizeof(tenant.key));
    http_answer_finish(&answer);
    return tenant;
}

static long
get_as(const char *key)
{
    struct http_answer answer = { 0 };
    struct http_ask question = { .key = key, .method = "GET", .path = QUOTAS_CHEAP };
    long status = ask(question, &answer);
    http_answer_finish(&answer);
    return status;
}

static void
set_own(const struct tenant_made *tenant, const char *body)
{
    char path[160];
    struct http_answer answer = { 0 };
    snprintf(path, sizeof(path), "/api/v1/admin/tenants/%s/quotas/api_calls_month",
             tenant->id);
    ask((struct http_ask){ .method = "PUT", .path = path, .body = body }, &answer);
    cr_assert_eq(answer.status, 200, "%s", answer.text.data);
    http_answer_finish(&answer);
}

// It changes within a second to what it is to be.
static void
expect_within_a_second(const char *key, long status)
{
    int64_t began_ms = om_clock_mono_ms();
    while (get_as(key) != status)
        cr_assert_lt(om_clock_mono_ms(), began_ms + 1000, "still not %ld", status);
}

Test(quotas, of_a_tenant_follow_its_own_limit_and_its_plan_within_a_second)
{
    char path[128];
    struct http_answer answer = { 0 };
    struct tenant_made tenant =
        make_tenant("{\"name\":\"A\",\"slug\":\"aa\",\"plan\":\"open\"}");
    cr_expect_eq(get_as(tenant.key), 200);
    set_own(&tenant, "{\"limit\":0}");
    expect_within_a_second(tenant.key, 429);
    set_own(&tenant, "{}");
    expect_within_a_second(tenant.key, 200);
    set_own(&tenant, "{\"limit\":0}");
    expect_within_a_second(tenant.key, 429);
    set_own(&tenant, "{}");
    limit_to("api_calls_month", 0); // of enterprise, which it does not have yet
    expect_within_a_second(tenant.key, 200);
    snprintf(path, sizeof(path), "/api/v1/admin/tenants/%s", tenant.id);
    cr_assert_eq(ask((struct http_ask){ .method = "PATCH",
                                        .path = path,
                                        .body = "{\"plan\":\"enterprise\"}" },
                     &answer),
                 200);
    expect_within_a_second(tenant.key, 429);
    http_answer_finish(&answer);
}

Test(quotas, are_reserved_by_the_request_for_a_tenant_that_prepays)
{
    struct tenant_made tenant =
        make_tenant("{\"name\":\"P\",\"slug\":\"pp\",\"prepaid\":true}");
    set_own(&tenant, "{\"limit\":5}");
    for (int i = 0; i < 5; i++)
        cr_expect_eq(get_as(tenant.key), 200, "%d", i);
    cr_expect_eq(get_as(tenant.key), 429);
    set_own(&tenant, "{\"limit\":50}");
    cr_expect_eq(get_as(tenant.key), 200, "nothing is remembered of it");
    kill_billing();
    cr_expect_eq(get_as(tenant.key), 503, "nothing is served on trust");
}

Test(quotas, are_not_taken_by_test_keys)
{
    char key[128];
    struct http_answer answer = { 0 };
    struct tenant_made tenant =
        make_tenant("{\"name\":\"T\",\"slug\":\"tt\",\"plan\":\"open\"}");
    ask((struct http_ask){ .key = tenant.key,
                           .method = "POST",
                           .path = "/developer/keys",
                           .body = "{\"name\":\"test\",\"env\":\"test\"}" },
        &answer);
    cr_assert_eq(answer.status, 201, "%s", answer.text.data);
    copy_text(&answer, "key", key, sizeof(key));
    cr_assert_eq(ask((struct http_ask){ .method = "PUT",
                                        .path = "/api/v1/admin/plans/open",
                                        .body = "{\"name\":\"Open\",\"quotas\":[{"
                                                "\"policy\":\"api_calls_month\","
                                                "\"limit\":0}]}" },
                     &answer),
                 200);
    expect_within_a_second(tenant.key, 429);
    cr_expect_eq(get_as(key), 200);
    http_answer_finish(&answer);
}

Test(quotas, of_a_tenant_nobody_made_cannot_be_set)
{
    static const char *const paths[] = {
        "/api/v1/admin/tenants/ten_01m7ywde31fp5t9gz19g4tr138/quotas/api_calls_month",
        "/api/v1/admin/tenants/ten_x/quotas/api_calls_month",
        "/api/v1/admin/tenants/ten_01m7ywde31fp5t9gz19g4tr138/quotas/bananas",
    };
    struct http_answer answer = { 0 };
    for (size_t i = 0; i < OM_COUNT(paths); i++) {
        struct http_ask set = { .method = "PUT",
                                .path = paths[i],
                                .body = "{\"limit\":1}" };
        struct http_ask show = { .method = "GET", .path = paths[i] };
        cr_expect_eq(ask(set, &answer), 404, "%s", paths[i]);
        cr_expect_eq(ask(show, &answer), 404, "%s", paths[i]);
    }
    http_answer_finish(&answer);
}

Test(quotas, of_storage_are_given_back_when_a_file_is_deleted)
{
    char path[128];
    struct http_answer answer = { 0 };
    limit_to("storage_bytes", 10000);
    cr_expect_eq(upload(20000, false, &answer), 429);
    cr_assert_eq(upload(6000, false, &answer), 201, "%s", answer.text.data);
    snprintf(path, sizeof(path), "/v1/files/%s", http_text(&answer, "id"));
    cr_expect_eq(upload(6000, false, &answer), 429);
    cr_expect_str_eq(json_string_value(json_array_get(
                         http_member(&answer, "error.violated_policies"), 0)),
                     "storage_bytes");
    cr_expect_eq(upload(6000, true, &answer), 429, "its size is known only at its end");
    cr_expect_eq(upload(1000, true, &answer), 201);
    cr_assert_eq(ask((struct http_ask){ .method = "DELETE", .path = path }, &answer),
                 200);
    int64_t deadline_ms = om_clock_mono_ms() + QUOTAS_WAIT_MS;
    while (upload(7000, false, &answer) == 429)
        cr_assert_lt(om_clock_mono_ms(), deadline_ms, "never given back");
    cr_expect_eq(answer.status, 201);
    http_answer_finish(&answer);
}

Test(quotas, of_a_tenant_without_a_limit_do_not_need_billing)
{
    struct http_answer answer = { 0 };
    cr_expect_eq(upload(1000, false, &answer), 201);
    cr_expect_eq(get(0, QUOTAS_CHEAP), 200);
    kill_billing();
    cr_expect_eq(upload(1000, false, &answer), 201, "%s", answer.text.data);
    cr_expect_eq(get(0, QUOTAS_CHEAP), 200);
    start_billing();
    http_answer_finish(&answer);
}
