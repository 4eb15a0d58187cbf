// No route can skip the decision: each row of the route table is asked by everyone who
// must be refused, and by two tenants who must not. The edge is the real program; the
// broker, identity and billing behind it are played here, so that a caller can be
// anybody.
//
// A new row is walked by itself. If it neither succeeds nor reaches anybody behind the
// edge with the path and body made for it here, the test fails until `bodies` or
// `segments` has what it needs.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "clock.h"
#include "contract.h"
#include "edge_program.h"
#include "exchange.h"
#include "http_ask.h"
#include "id.h"
#include "openapi.h"
#include "persona.h"

static struct setup {
    struct stage stage;
    char url[EDGE_PROGRAM_URL];
    struct program ingest;
    struct personas personas;
    struct http_answer answer; // the last one
    const char *code;          // of its error
    CURL *connection;
    json_t *document;
} here;

// ---- what is asked

// What stands for a parameter of a path. The objects are those of tenant ONE.
static void
put_segment(const char *pattern, const char *name, struct om_buf *out)
{
    static char task[OM_TYPEID_MAX];
    static const struct {
        const char *name, *value;
    } segments[] = { { "{model}", "ets" },
                     { "{policy}", "api_calls_month" },
                     { "{owner}", "registry" },
                     { "{code}", "pro" } };
    if (!*task)
        om_id_text(OM_ID_TASK, om_uuid_shard(&here.personas.tenants[ONE]), task);
    const char *value = strstr(pattern, "/tenants/") || strstr(name, "{tenant}")
                            ? here.personas.tenant_texts[ONE]
                            : task;
    for (size_t i = 0; i < OM_COUNT(segments); i++)
        if (strncmp(name, segments[i].name, strlen(segments[i].name)) == 0)
            value = segments[i].value;
    om_buf_put(out, value, strlen(value));
}

static void
put_path(const char *pattern, struct om_buf *out)
{
    for (const char *at = pattern; *at; at++) {
        if (*at != '{') {
            om_buf_put(out, at, 1);
            continue;
        }
        put_segment(pattern, at, out);
        at = strchr(at, '}');
    }
    om_buf_put(out, "", 1);
}

static json_t *make_body(const struct rec *type);

static json_t *
make_value(const struct rec_field *field)
{
    char text[65] = "";
    size_t low = field->low > 64 ? 64 : field->low > 0 ? (size_t)field->low : 0;
    json_t *list = json_array();
    memset(text, 'a', low);
    for (size_t i = 0; i < low; i++) {
        if (field->type == REC_RECS)
            json_array_append_new(list, make_body(field->item));
        if (field->type == REC_STRS)
            json_array_append_new(list, json_string("a"));
        if (field->type == REC_NUMS)
            json_array_append_new(list, json_integer(1));
    }
    if (field->type >= REC_NUMS && field->type <= REC_RECS)
        return list;
    json_decref(list);
    return field->type == REC_BOOL  ? json_false()
           : field->type == REC_I64 ? json_integer((json_int_t)field->low)
           : field->type == REC_F64 ? json_real(field->low)
           : field->type == REC_MAP ? json_object()
                                    : json_string(text);
}

// What a body must have.
static json_t *
make_body(const struct rec *type)
{
    json_t *body = json_object();
    for (size_t i = 0; i < type->count; i++)
        if (type->fields[i].presence == REC_REQUIRED)
            json_object_set_new(body, type->fields[i].name, make_value(&type->fields[i]));
    return body;
}

// Where the fewest fields are not enough.
static const struct {
    const char *pattern, *body;
} bodies[] = {
    { "/api/v1/workflows", "{\"group\":[{\"queue\":\"q\",\"kind\":\"k\"}]}" },
};

static char *
body_of(const struct route *route)
{
    for (size_t i = 0; i < OM_COUNT(bodies); i++)
        if (strcmp(route->pattern, bodies[i].pattern) == 0)
            return strdup(bodies[i].body);
    json_t *body = make_body(route_request(route));
    char *text = json_dumps(body, JSON_COMPACT);
    json_decref(body);
    return text;
}

// Whoever asks is answered as the document says.
static void
expect_documented(const struct route *route, const char *path)
{
    const struct http_answer *got = &here.answer;
    if (got->status == 404) // what the services say, which are played
        return;
    struct contract_answer answer = {
        om_http_method_name(route->method), path,           got->status, got->fields,
        got->type[0] ? got->type : NULL,    got->text.size, got->body
    };
    const char *why = contract_check(here.document, &answer);
    cr_expect_null(why, "%s as %s: %s\n%s", route->pattern,
                   persona_names[here.personas.asker], why, got->text.data);
}

// Ask a route with this after "Bearer", or without (NULL).
static void
ask(const struct route *route, const char *bearer)
{
    static const struct http_form form = { "dataset", "a.csv", OM_LIT("a\n1\n"), false };
    OM_AUTO(om_buf_finish) struct om_buf path = { 0 };
    char *body = route->flags & ROUTE_BODY ? body_of(route) : NULL;
    struct http_ask ask = { .connection = here.connection,
                            .url = here.url,
                            .method = om_http_method_name(route->method),
                            .key = bearer };
    put_path(route->pattern, &path);
    ask.path = path.data;
    if (route->on_body && route->method == OM_HTTP_POST) {
        ask.form = &form;
    } else if (body || route->on_body || route->method == OM_HTTP_POST) {
        ask.fields[0] = "Content-Type: application/json";
        ask.body = body ? body : "";
    }
    http_ask(&ask, &here.answer);
    here.code = http_text(&here.answer, "error.code");
    expect_documented(route, path.data);
    free(body);
}

static void
ask_as(const struct route *route, enum persona who)
{
    char key[PERSONA_KEY];
    persona_key(who, route->scope, key);
    personas_ask(&here.personas, who);
    ask(route, who == NOBODY ? NULL : who == NO_KEY ? "sk-nonsense" : key);
}

// ---- setting up

static void
begin(void)
{
    memset(&here, 0, sizeof(here));
    stage_open(&here.stage);
    personas_open(&here.personas);
    personas_settle(&here.personas, &here.stage);
    stage_set(&here.stage, "OMNI_DEFAULT_REQUESTS", "1000000");
    stage_set(&here.stage, "OMNI_FAILED_KEYS", "0");
    edge_program_start(&here.ingest, &here.stage, here.url);
    here.connection = curl_easy_init();
    OM_AUTO(om_buf_finish) struct om_buf document = { 0 };
    openapi_write(&document);
    here.document = json_loadb(document.data, document.size, 0, NULL);
    edge_program_await(here.url);
}

static void
end(void)
{
    curl_easy_cleanup(here.connection);
    program_finish(&here.ingest);
    personas_close(&here.personas);
    http_answer_finish(&here.answer);
    json_decref(here.document);
    stage_close(&here.stage);
}

TestSuite(matrix, .init = begin, .fini = end, .timeout = 110);

// ---- the matrix

// What a persona gets from a route: the status and code of the refusal; 0: it is served.
struct wanted {
    long status;
    const char *code;
};

static struct wanted
wanted_of(enum persona who, const struct route *route)
{
    static const struct wanted wanted[PERSONAS] = {
        [NOBODY] = { 401, "invalid_api_key" },
        [NO_KEY] = { 401, "invalid_api_key" },
        [UNKNOWN] = { 401, "invalid_api_key" },
        [EXPIRED] = { 401, "invalid_api_key" },
        [ELSEWHERE] = { 403, "ip_not_allowed" },
        [UNSCOPED] = { 403, "permission_denied" },
        [UNMODELED] = { 403, "model_not_allowed" },
        [SUSPENDED] = { 403, "tenant_suspended" },
        [CLOSED] = { 403, "tenant_suspended" },
        [PAST_DUE] = { 402, "payment_required" },
        [NO_RATE] = { 429, "rate_limit_exceeded" },
        [NO_PLACE] = { 429, "rate_limit_exceeded" },
        [NO_TOKENS] = { 429, "rate_limit_exceeded" },
        [NO_QUOTA] = { 429, "quota_exceeded" },
    };
    static const struct wanted served, unscoped = { 403, "permission_denied" };
    bool limited = who == NO_RATE || who == NO_PLACE || who == NO_TOKENS;
    bool models = route->flags & ROUTE_MODEL || route->op == OP_train;
    bool open = (who == UNMODELED && !models) ||
                (who == PAST_DUE && !(route->flags & ROUTE_COSTS)) ||
                (who == NO_TOKENS && !(route->flags & ROUTE_MODEL)) ||
                (who == NO_QUOTA && route->scope == SCOPE_OPERATOR);
    if (limited && route->scope == SCOPE_OPERATOR)
        return unscoped;
    return open ? served : wanted[who];
}

static void
check_refused(const struct route *route, enum persona who, struct wanted wanted)
{
    cr_expect(here.answer.status == wanted.status && strcmp(here.code, wanted.code) == 0,
              "%s %s as %s: %ld %s, wanted %ld %s", om_http_method_name(route->method),
              route->pattern, persona_names[who], here.answer.status, here.code,
              wanted.status, wanted.code);
    cr_expect_eq(here.personas.seen + here.personas.foreign, 0,
                 "%s as %s reached a service", route->pattern, persona_names[who]);
    if (here.answer.status == 429)
        cr_expect(strcasestr(here.answer.fields, "\nretry-after: "), "%s as %s: %s",
                  route->pattern, persona_names[who], here.answer.fields);
}

static void
check_served(const struct route *route, enum persona who)
{
    bool refused = here.answer.status == 401 || here.answer.status == 402 ||
                   here.answer.status == 403 || here.answer.status == 429;
    cr_expect(!refused, "%s %s as %s: %ld %s", om_http_method_name(route->method),
              route->pattern, persona_names[who], here.answer.status, here.code);
    // An operator acts across tenants.
    bool across = route->scope == SCOPE_OPERATOR;
    bool by_itself = here.answer.status == route->status; // the edge needed nobody
    cr_expect(by_itself || here.personas.seen + (across ? here.personas.foreign : 0) > 0,
              "%s %s as %s reached nobody: %ld %.*s; give it what it needs in `bodies` "
              "or `segments`",
              om_http_method_name(route->method), route->pattern, persona_names[who],
              here.answer.status, (int)here.answer.text.size, here.answer.text.data);
    cr_expect(across || here.personas.foreign == 0,
              "%s as %s was asked in another tenant's name: %s", route->pattern,
              persona_names[who], here.personas.foreign_kind);
}

Test(matrix, no_route_can_be_had_by_whom_it_is_not_for)
{
    size_t walked = 0;
    for (size_t i = 0; i < route_count; i++) {
        const struct route *route = &routes[i];
        if (route->auth != AUTH_KEY)
            continue;
        for (unsigned who = 0; who < PERSONAS; who++) {
            struct wanted wanted = wanted_of((enum persona)who, route);
            ask_as(route, (enum persona)who);
            if (wanted.status)
                check_refused(route, (enum persona)who, wanted);
            else
                check_served(route, (enum persona)who);
            walked++;
        }
    }
    cr_expect_geq(walked, 40 * PERSONAS);
}

Test(matrix, public_routes_ask_for_nothing_and_those_by_grant_for_a_grant)
{
    struct om_secret secret;
    char why[256], path[64], text[OM_GRANT_MAX];
    snprintf(path, sizeof(path), "%s/secret", here.stage.folder);
    cr_assert_eq(om_secret_load(path, &secret, why, sizeof(why)), OM_OK, "%s", why);
    for (size_t i = 0; i < route_count; i++) {
        const struct route *route = &routes[i];
        if (route->auth == AUTH_KEY)
            continue;
        for (unsigned who = 0; who < PERSONAS; who++) {
            ask_as(route, (enum persona)who);
            cr_expect_eq(here.answer.status, route->auth == AUTH_NONE ? 200 : 401,
                         "%s as %s: %ld", route->pattern, persona_names[who],
                         here.answer.status);
        }
        if (route->auth == AUTH_NONE)
            continue;
        // The path names a blob of tenant ONE: another tenant's grant, one that is over,
        // and one without the right do not open it.
        struct om_grant grants[] = {
            { .tenant = here.personas.tenants[OTHER],
              .rights = 3,
              .expires_ms = INT64_MAX / 2 },
            { .tenant = here.personas.tenants[ONE], .rights = 3, .expires_ms = 1 },
            { .tenant = here.personas.tenants[ONE],
              .rights = 0,
              .expires_ms = INT64_MAX / 2 },
        };
        for (size_t g = 0; g < OM_COUNT(grants); g++) {
            snprintf(grants[g].task, sizeof(grants[g].task), "task");
            om_grant_mint(&secret, &grants[g], text);
            ask(route, text);
            cr_expect(here.answer.status >= 400 && here.answer.status < 500,
                      "%s, grant %zu: %ld", route->pattern, g, here.answer.status);
        }
    }
}

Test(matrix, a_refusal_says_which_limit_and_when_to_come_back)
{
    for (size_t i = 0; i < route_count; i++)
        if (routes[i].flags & ROUTE_MODEL) {
            ask_as(&routes[i], NO_RATE);
            cr_expect(strcasestr(here.answer.fields, "ratelimit: \"user_rpm\";r=0;t=0"),
                      "%s", here.answer.fields);
            cr_expect(strcasestr(here.answer.fields,
                                 "ratelimit-policy: \"user_rpm\";q=0;w=60"));
            cr_expect(
                strcasestr(here.answer.fields, "x-ratelimit-remaining-requests: 0"));
            cr_expect(strcasestr(here.answer.fields, "retry-after: 60"));
            cr_expect(memmem(here.answer.text.data, here.answer.text.size,
                             "\"violated_policies\":[\"user_rpm\"]", 32));
            ask_as(&routes[i], NO_TOKENS);
            cr_expect(memmem(here.answer.text.data, here.answer.text.size,
                             "\"violated_policies\":[\"user_tpm\"]", 32));
            ask_as(&routes[i], ONE);
            cr_expect_not(strcasestr(here.answer.fields, "ratelimit"),
                          "an operator has no limit");
        }
}
