// Every route keeps the promises of the route table.
#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>

#include "exchange.h"
#include "keyed.h"
#include "openapi.h"
#include "openapi_part.h"

static void
each_route(void (*check)(const struct route *route, const char *name))
{
    for (size_t i = 0; i < route_count; i++) {
        char name[128];
        snprintf(name, sizeof(name), "%s %s", om_http_method_name(routes[i].method),
                 routes[i].pattern);
        check(&routes[i], name);
    }
}

static void
is_whole(const struct route *route, const char *name)
{
    cr_expect(route->status >= 200 && route->status < 300, "%s", name);
    cr_expect(route->doc && *route->doc, "%s has no doc", name);
    cr_expect(route->on_request || route->op != OP_COUNT, "%s does nothing", name);
    cr_expect(!route->on_body || route->on_request, "%s streams to nobody", name);
    cr_expect(!(route->flags & ROUTE_BODY) || route_request(route), "%s reads what?",
              name);
    cr_expect(!(route->flags & ROUTE_PRIVILEGED) || route->action, "%s", name);
    if (route->op != OP_COUNT)
        cr_expect(ops[route->op].callers & ROLE_BIT(INGEST), "%s may not call", name);
}

Test(routes, each_is_whole)
{
    each_route(is_whole);
    cr_expect_lt(route_count, INGEST_ROUTES_MAX);
}

static void
is_audited(const struct route *route, const char *name)
{
    if (route->flags & ROUTE_MUTATES)
        cr_expect(route->action, "%s changes something and is not audited", name);
}

Test(routes, what_changes_something_is_audited)
{
    each_route(is_audited);
}

// The handlers of operations ask the cache; others would not.
static void
can_be_cached(const struct route *route, const char *name)
{
    if (route->cache.ttl_s == 0)
        return;
    cr_expect(!(route->flags & (ROUTE_MUTATES | ROUTE_EVENTS | ROUTE_ETAG)), "%s", name);
    cr_expect(!route->action, "%s is audited, and a hit would be too", name);
    cr_expect_eq(route->status, 200, "%s", name);
    cr_expect_eq(route->auth, AUTH_KEY, "%s", name);
    cr_expect_lt(route->op, OP_COUNT, "%s", name);
    cr_expect(!route->on_request || route->on_request == predict, "%s", name);
}

Test(routes, what_is_cached_changes_nothing_and_belongs_to_a_tenant)
{
    each_route(can_be_cached);
}

static void
is_guarded(const struct route *route, const char *name)
{
    static const char *const open[] = { "/healthz", "/readyz", "/openapi.json",
                                        "/status" };
    bool public = false;
    for (size_t i = 0; i < OM_COUNT(open); i++)
    public |= strcmp(open[i], route->pattern) == 0;
    cr_expect_eq(route->auth == AUTH_NONE, public, "%s", name);
    if (route->auth == AUTH_KEY)
        cr_expect(route->scope > SCOPE_ALL && route->scope < SCOPE_COUNT,
                  "%s needs a scope of its own", name);
}

Test(routes, only_few_are_public_and_the_others_have_a_scope)
{
    each_route(is_guarded);
}

static void
has_its_param(const struct route *route, const char *name)
{
    const char *open = strchr(route->pattern, '{');
    cr_expect(!route->param || open, "%s", name);
    if (!route->param || route->flags & ROUTE_BODY || !route_request(route))
        return;
    bool found = false;
    for (size_t i = 0; i < route_request(route)->count; i++)
        found |= strcmp(route_request(route)->fields[i].key.data, route->param) == 0;
    cr_expect(found, "%s: no field %s", name, route->param);
}

Test(routes, the_parameter_of_a_path_is_a_field_of_the_request)
{
    each_route(has_its_param);
}

Test(routes, each_operation_the_edge_may_call_is_reachable_or_its_own)
{
    // The edge asks these for itself.
    static const enum op own[] = { OP_key_resolve,  OP_key_changes,  OP_key_used,
                                   OP_train_check,  OP_plan_changes, OP_quota_lease,
                                   OP_quota_settle, OP_idem_claim,   OP_idem_keep,
                                   OP_idem_drop,    OP_purge_add,    OP_purge_changes,
                                   OP_request_keep };
    for (size_t op = 0; op < OP_COUNT; op++) {
        bool reached = !(ops[op].callers & ROLE_BIT(INGEST));
        for (size_t i = 0; i < route_count; i++)
            reached |= routes[i].op == op;
        for (size_t i = 0; i < OM_COUNT(own); i++)
            reached |= own[i] == op;
        cr_expect(reached, "no route for %s", ops[op].name);
    }
}

static struct om_http_request
request_for(enum om_http_method method, const char *path)
{
    static struct om_http_tables tables;
    struct om_http_request request = { .method = method,
                                       .segments = tables.segments,
                                       .query = tables.query,
                                       .fields = tables.fields };
    for (const char *at = path; *at == '/';) {
        size_t size = strcspn(at + 1, "/");
        request.segments[request.segment_count++] = (struct om_str){ at + 1, size };
        at += size + 1;
    }
    return request;
}

Test(routes, are_found_by_method_and_path)
{
    static const struct {
        enum om_http_method method;
        const char *path, *pattern, *allow;
    } cases[] = {
        { OM_HTTP_GET, "/v1/files", "/v1/files", "" },
        { OM_HTTP_HEAD, "/v1/files/x", "/v1/files/{id}", "" },
        { OM_HTTP_PUT, "/v1/files", NULL, "POST, GET, HEAD" },
        { OM_HTTP_OTHER, "/healthz", NULL, "GET, HEAD" },
        { OM_HTTP_GET, "/developer/keys/k/revoke", NULL, "POST" },
        { OM_HTTP_PUT, "/api/v1/tasks/batch", NULL, "POST" },
        { OM_HTTP_PUT, "/api/v1/tasks/retry", NULL, "POST" },
        { OM_HTTP_GET, "/v1/nothing", NULL, "" },
        { OM_HTTP_GET, "/", NULL, "" },
    };
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        char allow[128];
        struct om_str params[ROUTE_PARAMS_MAX] = { 0 };
        struct om_http_request request = request_for(cases[i].method, cases[i].path);
        const struct route *route = route_find(&request, params, allow, sizeof(allow));
        cr_expect_eq(route != NULL, cases[i].pattern != NULL, "%s", cases[i].path);
        if (route && cases[i].pattern)
            cr_expect_str_eq(route->pattern, cases[i].pattern);
        else
            cr_expect_str_eq(allow, cases[i].allow);
    }
}

static json_t *document, *operation_ids;
static size_t examples;

static bool
takes_header(const json_t *operation, const char *name)
{
    size_t i;
    json_t *one;
    json_array_foreach (json_object_get(operation, "parameters"), i, one) {
        const char *in = json_string_value(json_object_get(one, "in"));
        const char *its = json_string_value(json_object_get(one, "name"));
        if (in && its && strcmp(in, "header") == 0 && strcmp(its, name) == 0)
            return true;
    }
    return false;
}

static void
is_documented(const struct route *route, const char *name)
{
    static const char *const methods[] = { [OM_HTTP_GET] = "get",
                                           [OM_HTTP_POST] = "post",
                                           [OM_HTTP_PUT] = "put",
                                           [OM_HTTP_PATCH] = "patch",
                                           [OM_HTTP_DELETE] = "delete" };
    json_t *path = json_object_get(json_object_get(document, "paths"), route->pattern);
    json_t *operation = json_object_get(path, methods[route->method]);
    cr_assert(operation, "%s is not in the document", name);
    char status[16];
    snprintf(status, sizeof(status), "%d", route->status);
    json_t *responses = json_object_get(operation, "responses");
    cr_expect(json_object_get(responses, status), "%s: no %s", name, status);
    cr_expect(json_object_get(responses, "400"), "%s", name);
    cr_expect_eq(json_object_get(responses, "401") != NULL, route->auth != AUTH_NONE);
    const char *id = json_string_value(json_object_get(operation, "operationId"));
    cr_expect(id && !json_object_get(operation_ids, id), "%s: %s is not unique", name,
              id);
    json_object_set_new(operation_ids, id, json_true());
    cr_expect_eq(json_object_get(operation, "requestBody") != NULL,
                 route->flags & ROUTE_BODY || route->on_body, "%s", name);
    cr_expect_eq(json_array_size(json_object_get(operation, "security")),
                 route->auth == AUTH_NONE ? 0 : 1, "%s", name);
    cr_expect_eq(takes_header(operation, "Idempotency-Key"),
                 route->method == OM_HTTP_POST, "%s", name);
    cr_expect_eq(takes_header(operation, "Omni-Version"), route->auth == AUTH_KEY, "%s",
                 name);
    cr_expect_eq(takes_header(operation, "Prefer"), route->on_request == predict, "%s",
                 name);
    cr_expect_eq(takes_header(operation, "If-Match"),
                 route->flags & ROUTE_ETAG && route->method != OM_HTTP_GET, "%s", name);
}

// Every "$ref" below `value` leads somewhere.
static void
check_references(const json_t *value)
{
    const char *key;
    json_t *child;
    json_object_foreach ((json_t *)value, key, child) {
        if (strcmp(key, "$ref") == 0) {
            const json_t *at = document;
            char path[128], *rest = path;
            snprintf(path, sizeof(path), "%s", json_string_value(child) + strlen("#/"));
            for (char *part; (part = strsep(&rest, "/"));)
                at = json_object_get(at, part);
            cr_expect(at, "%s leads nowhere", json_string_value(child));
        }
        check_references(child);
    }
    for (size_t i = 0; i < json_array_size(value); i++)
        check_references(json_array_get(value, i));
}

Test(routes, each_is_in_the_openapi_document_which_is_valid_json)
{
    struct om_buf text = { 0 };
    openapi_write(&text);
    document = json_loadb(text.data, text.size, JSON_REJECT_DUPLICATES, NULL);
    cr_assert(document, "%.*s", (int)text.size, text.data);
    operation_ids = json_object();
    each_route(is_documented);
    check_references(document);
    json_decref(operation_ids);
    json_decref(document);
    om_buf_finish(&text);
}

static void
has_an_example_it_takes(const struct route *route, const char *name)
{
    const char *example = openapi_example(route);
    struct om_arena arena = { 0 };
    struct om_json_error error = { 0 };
    if (!example)
        return;
    examples++;
    cr_assert(route->flags & ROUTE_BODY, "%s takes no JSON", name);
    const struct rec *type = route_request(route);
    void *record = om_arena_alloc(&arena, type->size);
    cr_expect_eq(om_json_to_record(type, om_str(example), &arena, record, &error), OM_OK,
                 "%s: %s", name, error.text);
    om_arena_finish(&arena);
}

Test(routes, the_examples_are_of_routes_that_take_them)
{
    each_route(has_an_example_it_takes);
    cr_expect_eq(examples, openapi_example_count, "an example is of no route");
}

Test(routes, the_document_is_the_same_each_time)
{
    struct om_buf one = { 0 }, two = { 0 };
    openapi_write(&one);
    openapi_write(&two);
    cr_expect(om_str_eq(om_buf_str(&one), om_buf_str(&two)));
    om_buf_finish(&one);
    om_buf_finish(&two);
}

Test(routes, the_document_hides_internal_fields)
{
    struct om_buf text = { 0 };
    openapi_write(&text);
    cr_expect_null(memmem(text.data, text.size, "\"granted\"", 9));
    cr_expect_null(memmem(text.data, text.size, "\"blob\"", 6));
    om_buf_finish(&text);
}

static void
remembers_its_key(const struct route *route, const char *name)
{
    bool post = route->method == OM_HTTP_POST;
    cr_expect_eq(keyed_by(route) != KEYED_NOBODY, post, "%s", name);
    cr_expect(post || !(route->flags & ROUTE_JOBS), "%s", name);
}

Test(routes, each_post_and_nothing_else_has_somebody_who_remembers_its_key)
{
    each_route(remembers_its_key);
}

static char *page;

static void
is_told_of(const struct route *route, const char *name)
{
    if (keyed_by(route) == KEYED_CLAIM)
        cr_expect(strstr(page, name), "docs/http.md does not say what a crash does to %s",
                  name);
}

Test(routes, those_whose_effect_and_key_are_not_one_commit_are_documented)
{
    FILE *file = fopen(OMNI_SOURCE_DIR "/docs/http.md", "r");
    cr_assert(file);
    page = calloc(1, 1 << 20);
    cr_assert_gt(fread(page, 1, (1 << 20) - 1, file), 0);
    fclose(file);
    each_route(is_told_of);
    free(page);
}

Test(routes, a_key_is_of_a_bounded_size)
{
    static char long_key[256];
    memset(long_key, 'k', sizeof(long_key));
    cr_expect(keyed_is_valid((struct om_str){ 0 }), "there need be none");
    cr_expect_not(keyed_is_valid(OM_LIT("")));
    cr_expect(keyed_is_valid(OM_LIT("k")));
    cr_expect(keyed_is_valid((struct om_str){ long_key, 255 }));
    cr_expect_not(keyed_is_valid((struct om_str){ long_key, 256 }));
}

Test(routes, who_commits_the_effect_remembers_the_key)
{
    static const struct {
        struct route route;
        enum keyed_by by;
    } cases[] = {
        { { .method = OM_HTTP_POST, .op = OP_team_create }, KEYED_SERVICE },
        { { .method = OM_HTTP_POST,
            .op = OP_tenant_create,
            .flags = ROUTE_MUTATES,
            .on_request = operate },
          KEYED_SERVICE },
        { { .method = OM_HTTP_POST, .op = OP_COUNT, .on_request = operate },
          KEYED_CLAIM },
        { { .method = OM_HTTP_POST, .op = OP_predict, .on_request = operate },
          KEYED_CLAIM },
        { { .method = OM_HTTP_POST, .op = OP_train, .flags = ROUTE_JOBS }, KEYED_BROKER },
        { { .method = OM_HTTP_PUT, .op = OP_team_create }, KEYED_NOBODY },
        { { .method = OM_HTTP_POST, .op = OP_team_create, .auth = AUTH_NONE },
          KEYED_NOBODY },
    };
    for (size_t i = 0; i < OM_COUNT(cases); i++)
        cr_expect_eq(keyed_by(&cases[i].route), cases[i].by, "case %zu", i);
}
