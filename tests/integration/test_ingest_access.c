// Whom the edge lets in, and how far: keys and their scopes, addresses behind proxies,
// web pages of other origins.
#include <criterion/criterion.h>
#include <stdio.h>
#include <strings.h>

#include "clock.h"
#include "exchange.h"
#include "platform.h"

Test(ingest, answers_401_on_every_route_without_a_right_key)
{
    static const char *const keys[] = {
        NULL, "nonsense", "omni_live_00000000000000000000000000000000",
        "omg1.eyJ0IjoidGVuXzAifQ.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    };
    for (size_t i = 0; i < route_count; i++)
        for (size_t k = 0; k < OM_COUNT(keys); k++) {
            if (routes[i].auth == AUTH_NONE)
                continue;
            ask((struct http_ask){ .method = om_http_method_name(routes[i].method),
                                   .path = routes[i].pattern,
                                   .key = keys[k],
                                   .body = routes[i].flags & ROUTE_BODY ? "{}" : NULL });
            cr_expect_eq(platform.answer.status, 401, "%s %s with %s: %ld",
                         om_http_method_name(routes[i].method), routes[i].pattern,
                         keys[k] ? keys[k] : "no key", platform.answer.status);
            cr_expect(strcasestr(platform.answer.fields, "www-authenticate: Bearer"));
            cr_expect_str_eq(said("error.type"), "authentication_error");
        }
}

Test(ingest, answers_anyone_who_asks_for_what_is_public)
{
    static const char *const paths[] = { "/healthz", "/readyz", "/openapi.json" };
    for (size_t i = 0; i < OM_COUNT(paths); i++) {
        cr_expect_eq(ask((struct http_ask){ .method = "GET", .path = paths[i] }), 200);
        cr_expect(json_is_object(platform.answer.body), "%s", paths[i]);
        cr_expect_eq(ask((struct http_ask){ .method = "HEAD", .path = paths[i] }), 200);
        cr_expect_eq(platform.answer.text.size, 0);
        cr_expect_eq(ask((struct http_ask){ .method = "POST", .path = paths[i] }), 405);
        cr_expect(strcasestr(platform.answer.fields, "allow: GET, HEAD"));
    }
}

Test(ingest, lets_a_key_do_what_its_scopes_say_until_it_is_revoked)
{
    char key[128], path[128];
    cr_assert_eq(post("/developer/keys",
                      "{\"name\":\"reader\",\"scopes\":[\"files:read\",\"keys:write\"]}"),
                 201);
    snprintf(key, sizeof(key), "%s", said("key"));
    snprintf(path, sizeof(path), "/developer/keys/%s/revoke", said("id"));

    struct http_ask list = { .method = "GET", .path = "/v1/files", .key = key };
    cr_expect_eq(ask(list), 200);
    struct http_ask other = { .method = "GET", .path = "/api/v1/tasks", .key = key };
    cr_expect_eq(ask(other), 403);
    cr_expect(strstr(said("error.message"), "tasks:read"), "%s", said("error.message"));
    struct http_ask grow = { .method = "POST",
                             .path = "/developer/keys",
                             .key = key,
                             .body = "{\"name\":\"more\",\"scopes\":[\"train\"]}" };
    cr_expect_eq(ask(grow), 403, "it cannot grant what it has not");

    cr_assert_eq(post(path, NULL), 200);
    int64_t revoked_ms = om_clock_mono_ms();
    while (ask(list) == 200)
        cr_assert_lt(om_clock_mono_ms(), revoked_ms + 1500, "still good");
    cr_expect_eq(platform.answer.status, 401);
}

// Make a test key, with more members of the request if `more` is not empty.
static void
make_test_key(const char *more, char *out, size_t size)
{
    char body[128];
    snprintf(body, sizeof(body), "{\"name\":\"t\",\"env\":\"test\"%s}", more);
    cr_assert_eq(post("/developer/keys", body), 201, "%s", platform.answer.text.data);
    snprintf(out, size, "%s", said("key"));
}

Test(ingest, ends_a_test_key_by_the_clock_of_its_sandbox)
{
    static const struct {
        const char *clock;
        long status;
    } changes[] = { { "{\"clock_ms\":7200000}", 401 }, { "{\"clock_ms\":0}", 200 } };
    char keeper[128], ending[128], more[64];
    snprintf(more, sizeof(more), ",\"expires_ms\":%lld",
             (long long)om_clock_wall_ms() + 3600000);
    make_test_key("", keeper, sizeof(keeper));
    make_test_key(more, ending, sizeof(ending));
    struct http_ask list = { .method = "GET", .path = "/v1/files", .key = ending };
    cr_expect_eq(ask(list), 200);
    for (size_t i = 0; i < OM_COUNT(changes); i++) {
        struct http_ask set = { .method = "PATCH",
                                .path = "/api/v1/tenants/me",
                                .key = keeper,
                                .body = changes[i].clock };
        cr_assert_eq(ask(set), 200, "%s", platform.answer.text.data);
        int64_t until_ms = om_clock_mono_ms() + 1000;
        while (ask(list) != changes[i].status)
            cr_assert_lt(om_clock_mono_ms(), until_ms, "%s", changes[i].clock);
    }
    struct http_ask back = { .method = "PATCH",
                             .path = "/api/v1/tenants/me",
                             .key = keeper,
                             .body = "{\"clock_ms\":-1}" };
    cr_expect_eq(ask(back), 400, "it is never behind, or what has ended would go on");
}

Test(ingest, believes_a_proxy_it_trusts_about_the_address_of_a_client)
{
    char key[128];
    cr_assert_eq(post("/developer/keys", "{\"name\":\"far\",\"scopes\":[\"tasks:read\"],"
                                         "\"cidrs\":[\"198.51.100.0/24\"]}"),
                 201, "%s", platform.answer.text.data);
    snprintf(key, sizeof(key), "%s", said("key"));
    struct http_ask request = { .method = "GET", .path = "/api/v1/tasks", .key = key };
    cr_expect_eq(ask(request), 403);
    cr_expect_str_eq(said("error.code"), "ip_not_allowed");
    request.fields[0] = "X-Forwarded-For: 198.51.100.7";
    cr_expect_eq(ask(request), 200);
    request.fields[1] = "X-Forwarded-For: 203.0.113.9"; // the one the proxy knows
    cr_expect_eq(ask(request), 403);
}

Test(ingest, lets_web_pages_of_the_origins_it_knows_ask)
{
    struct http_ask preflight = { .method = "OPTIONS",
                                  .path = "/api/v1/tasks",
                                  .fields = { "Origin: https://app.example",
                                              "Access-Control-Request-Method: POST" } };
    cr_expect_eq(ask(preflight), 204);
    cr_expect(strcasestr(platform.answer.fields,
                         "access-control-allow-origin: https://app.example"),
              "%s", platform.answer.fields);
    cr_expect(strcasestr(platform.answer.fields, "access-control-allow-methods: "));
    cr_expect(strstr(platform.answer.fields, "POST"));
    cr_expect(strcasestr(platform.answer.fields, "vary: origin"));
    cr_expect_null(strcasestr(platform.answer.fields, "allow-credentials"));
    preflight.fields[0] = "Origin: https://evil.example";
    cr_expect_eq(ask(preflight), 405);
    cr_expect_null(strcasestr(platform.answer.fields, "access-control-allow"));

    struct http_ask request = { .method = "GET",
                                .path = "/api/v1/tasks",
                                .key = platform.admin };
    cr_expect_eq(ask(request), 200);
    cr_expect_null(strcasestr(platform.answer.fields, "access-control"));
    request.fields[0] = "Origin: https://app.example";
    cr_expect_eq(ask(request), 200);
    cr_expect(strcasestr(platform.answer.fields,
                         "access-control-allow-origin: https://app.example"));
    request.fields[0] = "Origin: https://evil.example";
    cr_expect_eq(ask(request), 403);
    cr_expect_null(strcasestr(platform.answer.fields, "access-control-allow-origin"));
    request.key = "omni_live_00000000000000000000000000000000";
    request.fields[0] = "Origin: https://app.example";
    cr_expect_eq(ask(request), 401, "and the page may read why");
    cr_expect(strcasestr(platform.answer.fields,
                         "access-control-allow-origin: https://app.example"));
}
