#include <criterion/criterion.h>

#include "proxy.h"

static struct proxies
trusted(const char *list)
{
    struct proxies self;
    cr_assert_eq(
        om_cidr_list(om_str(list), self.networks, PROXIES_MAX, &self.count, NULL), OM_OK);
    return self;
}

static struct om_http_field fields[3];

static struct om_http_request
request_of(const char *remote, const char *name, const char *first, const char *second)
{
    struct om_http_request request = { .remote = remote, .fields = fields };
    request.fields[request.field_count++] =
        (struct om_http_field){ OM_LIT("Host"), OM_LIT("a") };
    if (first)
        request.fields[request.field_count++] =
            (struct om_http_field){ om_str(name), om_str(first) };
    if (second)
        request.fields[request.field_count++] =
            (struct om_http_field){ OM_LIT("X-Forwarded-For"), om_str(second) };
    return request;
}

Test(proxy, tells_whose_request_it_is)
{
    static const struct {
        const char *remote, *first, *second, *client;
    } cases[] = {
        { "203.0.113.9", NULL, NULL, "203.0.113.9" },
        { "203.0.113.9", "198.51.100.1", NULL, "203.0.113.9" },
        { "10.0.0.1", NULL, NULL, "10.0.0.1" },
        { "10.0.0.1", "198.51.100.1", NULL, "198.51.100.1" },
        { "::ffff:10.0.0.1", "198.51.100.1", NULL, "198.51.100.1" },
        { "10.0.0.1", "1.1.1.1", "198.51.100.1", "198.51.100.1" },
        { "10.0.0.1", "1.1.1.1", "198.51.100.1, 10.0.0.2", "198.51.100.1" },
        { "10.0.0.1", "198.51.100.1", "", "10.0.0.1" },
        { "10.0.0.1", "", "", "10.0.0.1" },
        { "", "198.51.100.1", NULL, "" },
    };
    struct proxies self = trusted("10.0.0.0/8");
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        struct om_arena arena = { 0 };
        struct om_http_request request = request_of(cases[i].remote, "x-forwarded-for",
                                                    cases[i].first, cases[i].second);
        cr_expect_str_eq(proxy_client(&self, &request, &arena), cases[i].client,
                         "case %zu", i);
        om_arena_finish(&arena);
    }
}

Test(proxy, tells_whether_the_client_used_tls)
{
    static const struct {
        const char *remote, *proto;
        bool direct, secure;
    } cases[] = {
        { "203.0.113.9", NULL, false, false },
        { "203.0.113.9", "https", false, false },
        { "203.0.113.9", "http", true, true },
        { "10.0.0.1", NULL, false, false },
        { "10.0.0.1", "https", false, true },
        { "10.0.0.1", "HTTPS", false, true },
        { "10.0.0.1", "http", false, false },
        { "10.0.0.1", "https, http", false, false },
        { "10.0.0.1", "http,https", false, true },
        { "10.0.0.1", "https:", false, false },
        { "10.0.0.1", "http,http,https", false, true },
        { "10.0.0.1", "", false, false },
    };
    struct proxies self = trusted("10.0.0.0/8");
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        struct om_http_request request =
            request_of(cases[i].remote, "X-Forwarded-Proto", cases[i].proto, NULL);
        cr_expect_eq(proxy_is_secure(&self, &request, cases[i].direct), cases[i].secure,
                     "case %zu", i);
    }
}
