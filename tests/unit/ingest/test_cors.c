#include <criterion/criterion.h>

#include "cors.h"

Test(cors, reads_origins_as_browsers_write_them)
{
    static const struct {
        const char *text;
        enum om_rc rc;
        size_t count;
        bool by_tenant;
        const char *bad;
    } cases[] = {
        { "", OM_OK, 0, false, NULL },
        { "  ", OM_OK, 0, false, NULL },
        { "*", OM_OK, 0, true, NULL },
        { "https://app.example", OM_OK, 1, false, NULL },
        { " https://app.example , http://localhost:3000,https://[::1]:8443", OM_OK, 3,
          false, NULL },
        { "app.example", OM_EINVAL, 0, false, "app.example" },
        { "https://", OM_EINVAL, 0, false, "https://" },
        { "://app.example", OM_EINVAL, 0, false, "://app.example" },
        { "https://app.example/", OM_EINVAL, 0, false, "https://app.example/" },
        { "https://app.example/path", OM_EINVAL, 0, false, "https://app.example/path" },
        { "https://App.example", OM_EINVAL, 0, false, "https://App.example" },
        { "https://*.example", OM_EINVAL, 0, false, "https://*.example" },
        { "https://a.example,", OM_EINVAL, 0, false, "" },
        { "*,https://a.example", OM_EINVAL, 0, false, "*" },
        { "https://a.example https://b.example", OM_EINVAL, 0, false,
          "https://a.example https://b.example" },
        { "null", OM_EINVAL, 0, false, "null" },
    };
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        struct cors cors;
        struct om_str bad;
        cr_expect_eq(cors_parse(om_str(cases[i].text), &cors, &bad), cases[i].rc, "%s",
                     cases[i].text);
        if (cases[i].rc != OM_OK) {
            cr_expect(om_str_eq(bad, om_str(cases[i].bad)), "%.*s", (int)bad.size,
                      bad.data);
            continue;
        }
        cr_expect_eq(cors.count, cases[i].count, "%s", cases[i].text);
        cr_expect_eq(cors.by_tenant, cases[i].by_tenant, "%s", cases[i].text);
    }
}

#define APP "https://app.example"

Test(cors, lets_those_pages_in_that_the_server_and_the_tenant_name)
{
    static const struct om_str none[1] = { { NULL, 0 } };
    static const struct om_str mine[2] = { { APP, sizeof(APP) - 1 },
                                           { "http://localhost:3000", 21 } };
    static const struct {
        const char *server, *origin, *host;
        bool known;
        size_t tenant; // how many of `mine` the tenant names
        enum cors_answer answer;
    } cases[] = {
        // the server knows nothing of pages
        { "", APP, "api.example", false, 0, CORS_SILENT },
        { "", APP, "api.example", true, 2, CORS_SILENT },
        // nobody but programs asks
        { APP, NULL, "api.example", false, 0, CORS_SILENT },
        { "*", NULL, "api.example", true, 0, CORS_SILENT },
        // a page of the server itself
        { APP, "https://api.example", "api.example", true, 2, CORS_SILENT },
        { "*", "http://127.0.0.1:8080", "127.0.0.1:8080", true, 0, CORS_SILENT },
        { "*", "http://127.0.0.1:8081", "127.0.0.1:8080", true, 0, CORS_REFUSED },
        // a preflight
        { APP, APP, "api.example", false, 0, CORS_ALLOWED },
        { APP, "https://evil.example", "api.example", false, 0, CORS_REFUSED },
        { "*", "https://any.example", "api.example", false, 0, CORS_ALLOWED },
        { "*", "null", "api.example", false, 0, CORS_REFUSED },
        { APP, "null", "api.example", false, 0, CORS_REFUSED },
        { "*", "", "api.example", false, 0, CORS_REFUSED },
        // the request: what the server names, unless the tenant names others
        { APP, APP, "api.example", true, 0, CORS_ALLOWED },
        { APP, APP, "api.example", true, 1, CORS_ALLOWED },
        { APP ",https://b.example", "https://b.example", "api.example", true, 1,
          CORS_REFUSED },
        { APP, "http://localhost:3000", "api.example", true, 2, CORS_REFUSED },
        // with "*" what the tenant names, and nobody if it names none
        { "*", APP, "api.example", true, 1, CORS_ALLOWED },
        { "*", "http://localhost:3000", "api.example", true, 2, CORS_ALLOWED },
        { "*", "http://localhost:3000", "api.example", true, 1, CORS_REFUSED },
        { "*", APP, "api.example", true, 0, CORS_REFUSED },
        // nearly the same is not the same
        { "*", "http://app.example", "api.example", true, 1, CORS_REFUSED },
        { "*", "https://app.example:443", "api.example", true, 1, CORS_REFUSED },
        { "*", "https://app.example.evil", "api.example", true, 1, CORS_REFUSED },
        { "*", "HTTPS://APP.EXAMPLE", "api.example", true, 1, CORS_REFUSED },
        { "*", "https://app.example\x01", "api.example", true, 1, CORS_REFUSED },
    };
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        struct cors cors;
        struct om_str bad;
        cr_assert_eq(cors_parse(om_str(cases[i].server), &cors, &bad), OM_OK);
        struct cors_facts facts = {
            .cors = &cors,
            .origin = om_str(cases[i].origin),
            .host = om_str(cases[i].host),
            .known = cases[i].known,
            .origins = cases[i].tenant ? mine : none,
            .count = cases[i].tenant,
        };
        cr_expect_eq(cors_decide(&facts), cases[i].answer, "%s to \"%s\", case %zu",
                     cases[i].origin, cases[i].server, i);
    }
}
