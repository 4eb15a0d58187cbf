// What the edge makes of what it is asked: versions, pages of listings, bodies and
// parameters that are wrong.
#include <criterion/criterion.h>
#include <stdio.h>
#include <strings.h>

#include "exchange.h"
#include "platform.h"

Test(ingest, speaks_the_version_the_request_or_its_key_names_and_no_other)
{
    char key[128];
    struct http_ask ask_for = { .method = "GET",
                                .path = "/v1/files",
                                .key = platform.admin };
    cr_expect_eq(ask(ask_for), 200);
    cr_expect(strcasestr(platform.answer.fields, "omni-version: 2026-11-01"), "%s",
              platform.answer.fields);
    ask_for.fields[0] = "Omni-Version: 2026-11-01";
    cr_expect_eq(ask(ask_for), 200);
    cr_expect(strcasestr(platform.answer.fields, "omni-version: 2026-11-01"), "%s",
              platform.answer.fields);

    static const char *const unknown[] = { "Omni-Version: 2026-11-02",
                                           "Omni-Version: 2026-11-01 ,x",
                                           "Omni-Version: latest", "Omni-Version;" };
    for (size_t i = 0; i < OM_COUNT(unknown); i++) {
        ask_for.fields[0] = unknown[i];
        cr_expect_eq(ask(ask_for), 400, "%s", unknown[i]);
        cr_expect_str_eq(said("error.code"), "invalid_request");
        cr_expect_str_eq(said("error.param"), "Omni-Version");
        cr_expect(strstr(said("error.message"), "2026-11-01"), "%s",
                  said("error.message"));
    }
    ask_for.key = "omni_live_00000000000000000000000000000000";
    cr_expect_eq(ask(ask_for), 401, "who asks comes first");

    cr_expect_eq(post("/developer/keys", "{\"name\":\"k\",\"version\":\"2026-11-02\"}"),
                 400);
    cr_expect_str_eq(said("error.param"), "version");
    cr_assert_eq(post("/developer/keys", "{\"name\":\"k\",\"version\":\"2026-11-01\"}"),
                 201);
    snprintf(key, sizeof(key), "%s", said("key"));
    cr_expect_eq(
        ask((struct http_ask){ .method = "GET", .path = "/v1/files", .key = key }), 200);
    cr_expect(strcasestr(platform.answer.fields, "omni-version: 2026-11-01"), "%s",
              platform.answer.fields);
}

// The names of a page of teams, in their order.
static void
expect_teams(const char *query, const char *names, bool has_more)
{
    char path[256], got[64] = "";
    size_t i;
    json_t *team;
    snprintf(path, sizeof(path), "/api/v1/admin/teams%s", query);
    cr_assert_eq(get(path), 200, "%s", platform.answer.text.data);
    json_array_foreach (http_member(&platform.answer, "data"), i, team)
        strncat(got, json_string_value(json_object_get(team, "name")), 8);
    cr_expect_str_eq(got, names, "%s", query);
    cr_expect_eq(json_is_true(http_member(&platform.answer, "has_more")), has_more, "%s",
                 query);
}

Test(ingest, pages_go_forth_and_back_in_either_order)
{
    static const char *const names[] = { "a", "b", "c", "d", "e" };
    char ids[OM_COUNT(names)][64], query[160];
    for (size_t i = 0; i < OM_COUNT(names); i++) {
        char body[64];
        snprintf(body, sizeof(body), "{\"name\":\"%s\"}", names[i]);
        cr_assert_eq(post("/api/v1/admin/teams", body), 201);
        snprintf(ids[i], sizeof(ids[i]), "%s", said("id"));
    }
    expect_teams("", "edcba", false);
    expect_teams("?limit=2", "ed", true);
    expect_teams("?limit=2&order=asc", "ab", true);
    expect_teams("?order=desc&limit=5", "edcba", false);
    const struct {
        const char *query, *names; // the id follows
        int id;
        bool has_more;
    } cases[] = {
        { "?limit=2&after=", "cb", 3, true },
        { "?limit=2&after=", "a", 1, false },
        { "?limit=2&before=", "cb", 0, true },
        { "?limit=2&before=", "ed", 2, false },
        { "?limit=2&before=", "", 4, false },
        { "?limit=2&order=asc&after=", "cd", 1, true },
        { "?limit=2&order=asc&before=", "cd", 4, true },
        { "?limit=9&order=asc&before=", "ab", 2, false },
    };
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        snprintf(query, sizeof(query), "%s%s", cases[i].query, ids[cases[i].id]);
        expect_teams(query, cases[i].names, cases[i].has_more);
    }
    snprintf(query, sizeof(query), "?after=%s&before=%s", ids[4], ids[1]);
    expect_teams(query, "dc", false);
}

Test(ingest, refuses_what_no_listing_knows)
{
    static const struct {
        const char *query, *param;
    } cases[] = { { "limit=0", "limit" },          { "limit=101", "limit" },
                  { "limit=x", "limit" },          { "limit=1&limit=2", "limit" },
                  { "order=up", "order" },         { "after=nonsense", "after" },
                  { "before=nonsense", "before" }, { "sort=name", "sort" },
                  { "bananas=1", "bananas" } };
    size_t listings = 0;
    for (size_t i = 0; i < route_count; i++) {
        const struct route *route = &routes[i];
        const struct rec *type = route_request(route);
        bool pages = false;
        for (size_t j = 0; type && j < type->count; j++)
            pages |= strcmp(type->fields[j].name, "before") == 0;
        // There are no others platform.
        bool here_too = route->op < OP_COUNT && (ops[route->op].queue == QUEUE_IDENTITY ||
                                                 ops[route->op].queue == QUEUE_REGISTRY);
        if (!pages || !here_too)
            continue;
        listings++;
        for (size_t j = 0; j < OM_COUNT(cases); j++) {
            char path[256];
            snprintf(path, sizeof(path), "%s?%s", route->pattern, cases[j].query);
            cr_expect_eq(get(path), 400, "%s: %ld", path, platform.answer.status);
            cr_expect_str_eq(said("error.param"), cases[j].param, "%s", path);
        }
    }
    cr_expect_geq(listings, 7);
}

Test(ingest, answers_what_is_wrong_with_a_body)
{
    static const struct {
        const char *path, *body;
        long status;
        const char *param, *words;
    } cases[] = {
        { "/api/v1/tasks", "no json", 400, "", "not JSON" },
        { "/api/v1/tasks", "{\"queue\":\"a\",\"kind\":\"k\"", 400, "", "not JSON" },
        { "/api/v1/tasks", "{\"queue\":\"a\",\"queue\":\"a\"}", 400, "", "duplicate" },
        { "/api/v1/tasks", "[]", 400, "", "object" },
        { "/api/v1/tasks", "", 400, "queue", "required" },
        { "/api/v1/tasks", "{\"queeu\":\"a\"}", 400, "queeu", "did you mean \"queue\"" },
        { "/api/v1/tasks", "{\"queue\":\"a\",\"kind\":1}", 400, "kind", "a string" },
        { "/api/v1/tasks", "{\"queue\":\"A\",\"kind\":\"k\"}", 400, "queue", "letter" },
        { "/api/v1/tasks", "{\"queue\":\"omni.billing\",\"kind\":\"k\"}", 403, "queue",
          "platform" },
        { "/developer/keys", "{\"name\":\"\"}", 400, "name", "1 to 128" },
        { "/developer/keys", "{\"name\":\"a\",\"granted\":[]}", 400, "granted",
          "no field" },
        { "/api/v1/nothing", "{}", 404, "", "path" },
        { "/api/v1/tasks/task_00000000000000000000000000/retry", "{}", 404, "", "" },
    };
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        cr_expect_eq(post(cases[i].path, cases[i].body), cases[i].status, "%s: %ld %s",
                     cases[i].body, platform.answer.status, said("error.message"));
        cr_expect_str_eq(said("error.param"), cases[i].param, "%s", cases[i].body);
        cr_expect(strstr(said("error.message"), cases[i].words), "%s: %s", cases[i].body,
                  said("error.message"));
    }
}

Test(ingest, names_the_parameter_that_is_wrong)
{
    static const struct {
        const char *path, *param, *words;
    } cases[] = {
        { "/api/v1/tasks?limit=0", "limit", "1 to 100" },
        { "/api/v1/tasks?limit=5&limit=6", "limit", "once" },
        { "/api/v1/tasks?after=&after=", "after", "once" },
        { "/api/v1/tasks?limit=007", "limit", "an integer" },
        { "/api/v1/tasks?limit=+7", "limit", "an integer" },
        { "/api/v1/tasks?limit=1.", "limit", "an integer" },
        { "/api/v1/tasks?limit=.1", "limit", "an integer" },
        { "/api/v1/tasks?limit=-", "limit", "an integer" },
        { "/api/v1/tasks?limit=1.5", "limit", "an integer" },
        { "/api/v1/tasks?limit=1e999", "limit", "an integer" },
        { "/api/v1/tasks?limit=99999999999999999999", "limit", "an integer" },
        { "/api/v1/tasks?bogus=1", "bogus", "no field" },
    };
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        cr_expect_eq(get(cases[i].path), 400, "%s: %ld", cases[i].path,
                     platform.answer.status);
        cr_expect_str_eq(said("error.param"), cases[i].param, "%s", cases[i].path);
        cr_expect(strstr(said("error.message"), cases[i].words), "%s: %s", cases[i].path,
                  said("error.message"));
    }
    cr_expect_eq(get("/api/v1/tasks?limit=10"), 200);
}

// A refusal has no exchange; what it said must not be in front of somebody's next answer.
Test(ingest, says_nothing_of_a_refused_request_in_the_next_answer)
{
    for (int i = 0; i < 32; i++) { // connections are spread over the edge's threads
        cr_expect_eq(get("/healthz?a=%zz"), 400);
        cr_expect_eq(get("/healthz"), 200);
        cr_assert_str_eq(said("status"), "ok", "%s", platform.answer.text.data);
    }
}
