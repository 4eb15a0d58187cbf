// No route can skip the decision: each row of the route table is asked by everyone who
// must be refused, and by two tenants who must not. The edge is the real program; the
// broker, identity and billing behind it are played here, so that a caller can be
// anybody.
//
// A new row is walked by itself. If it neither succeeds nor reaches anybody behind the
// edge with the path and body made for it here, the test fails until `bodies` or
// `segments` has what it needs.
#include <criterion/criterion.h>
#include <curl/curl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

#include "clock.h"
#include "contract.h"
#include "exchange.h"
#include "id.h"
#include "openapi.h"
#include "persona.h"
#include "program.h"
#include "stage.h"

enum { WAIT_MS = 20000 };

static struct setup {
    struct stage stage;
    char url[64];
    struct program ingest;
    struct personas personas;
    // The last answer.
    long status;
    struct om_buf text;
    char fields[4096], code[64];
    CURL *curl;
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

static size_t
on_text(char *data, size_t size, size_t count, void *context)
{
    om_buf_put(context, data, size * count);
    return size * count;
}

static size_t
on_field(char *data, size_t size, size_t count, void *context)
{
    (void)context;
    size_t used = strlen(here.fields), room = sizeof(here.fields) - used - 1;
    size_t take = size * count < room ? size * count : room;
    memcpy(here.fields + used, data, take);
    here.fields[used + take] = '\0';
    return size * count;
}

// Whoever asks is answered as the document says.
static void
expect_documented(const struct route *route, const char *path, const json_t *body)
{
    const char *type = NULL;
    if (here.status == 404) // what the services say, which are played
        return;
    curl_easy_getinfo(here.curl, CURLINFO_CONTENT_TYPE, &type);
    struct contract_answer answer = { om_http_method_name(route->method),
                                      path,
                                      here.status,
                                      here.fields,
                                      type,
                                      here.text.size,
                                      body };
    const char *why = contract_check(here.document, &answer);
    cr_expect_null(why, "%s as %s: %s\n%.*s", route->pattern,
                   persona_names[here.personas.asker], why, (int)here.text.size,
                   here.text.data);
}

static void
read_code(const struct route *route, const char *path)
{
    json_t *body = json_loadb(here.text.data, here.text.size, 0, NULL);
    json_t *code = json_object_get(json_object_get(body, "error"), "code");
    snprintf(here.code, sizeof(here.code), "%s", code ? json_string_value(code) : "");
    expect_documented(route, path, body);
    json_decref(body);
}

static curl_mime *
make_form(void)
{
    curl_mime *form = curl_mime_init(here.curl);
    curl_mimepart *part = curl_mime_addpart(form);
    curl_mime_name(part, "purpose");
    curl_mime_data(part, "dataset", CURL_ZERO_TERMINATED);
    part = curl_mime_addpart(form);
    curl_mime_name(part, "file");
    curl_mime_filename(part, "a.csv");
    curl_mime_data(part, "a\n1\n", CURL_ZERO_TERMINATED);
    return form;
}

// Ask a route with this after "Bearer", or without (NULL).
static void
ask(const struct route *route, const char *bearer)
{
    struct om_buf url = { 0 };
    char header[400];
    struct curl_slist *headers = NULL;
    curl_mime *form = NULL;
    char *body = route->flags & ROUTE_BODY ? body_of(route) : NULL;
    om_buf_put(&url, here.url, strlen(here.url));
    put_path(route->pattern, &url);
    om_buf_reset(&here.text);
    here.fields[0] = '\0';
    curl_easy_reset(here.curl);
    if (bearer) {
        snprintf(header, sizeof(header), "Authorization: Bearer %s", bearer);
        headers = curl_slist_append(headers, header);
    }
    if (route->on_body && route->method == OM_HTTP_POST)
        curl_easy_setopt(here.curl, CURLOPT_MIMEPOST, form = make_form());
    else if (body || route->on_body || route->method == OM_HTTP_POST) {
        headers = curl_slist_append(headers, "Content-Type: application/json");
        curl_easy_setopt(here.curl, CURLOPT_COPYPOSTFIELDS, body ? body : "");
    }
    curl_easy_setopt(here.curl, CURLOPT_CUSTOMREQUEST,
                     om_http_method_name(route->method));
    curl_easy_setopt(here.curl, CURLOPT_URL, url.data);
    curl_easy_setopt(here.curl, CURLOPT_PROXY, "");
    curl_easy_setopt(here.curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(here.curl, CURLOPT_TIMEOUT_MS, (long)WAIT_MS);
    curl_easy_setopt(here.curl, CURLOPT_WRITEFUNCTION, on_text);
    curl_easy_setopt(here.curl, CURLOPT_WRITEDATA, &here.text);
    curl_easy_setopt(here.curl, CURLOPT_HEADERFUNCTION, on_field);
    CURLcode rc = curl_easy_perform(here.curl);
    cr_assert_eq(rc, CURLE_OK, "%s %s as %s: %s", om_http_method_name(route->method),
                 route->pattern, persona_names[here.personas.asker],
                 curl_easy_strerror(rc));
    curl_easy_getinfo(here.curl, CURLINFO_RESPONSE_CODE, &here.status);
    read_code(route, url.data + strlen(here.url));
    curl_slist_free_all(headers);
    curl_mime_free(form);
    free(body);
    om_buf_finish(&url);
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
    static const struct route ready = { .method = OM_HTTP_GET, .pattern = "/readyz" };
    memset(&here, 0, sizeof(here));
    stage_open(&here.stage);
    personas_open(&here.personas);
    stage_set(&here.stage, "OMNI_BROKER", "%s", here.personas.broker.endpoint);
    stage_set(&here.stage, "OMNI_BLOBS", "dir:%s", here.stage.folder);
    stage_set(&here.stage, "OMNI_SECRET_FILE", "%s/secret", here.stage.folder);
    stage_set(&here.stage, "OMNI_KEYS", "%s", "");
    stage_set(&here.stage, "OMNI_LISTEN", "127.0.0.1:0");
    stage_set(&here.stage, "OMNI_LOG_FORMAT", "json");
    stage_set(&here.stage, "OMNI_INGEST_THREADS", "1");
    stage_set(&here.stage, "OMNI_DEFAULT_REQUESTS", "1000000");
    stage_set(&here.stage, "OMNI_FAILED_KEYS", "0");
    program_start(&here.ingest, "omni-ingest", here.stage.list, NULL);
    program_expect_log(&here.ingest, "listening");
    const char *address = strstr(here.ingest.log, "127.0.0.1:");
    cr_assert(address);
    snprintf(here.url, sizeof(here.url), "http://%.*s", (int)strcspn(address, "\""),
             address);
    here.curl = curl_easy_init();
    OM_AUTO(om_buf_finish) struct om_buf document = { 0 };
    openapi_write(&document);
    here.document = json_loadb(document.data, document.size, 0, NULL);
    int64_t until_ms = om_clock_mono_ms() + WAIT_MS;
    do {
        cr_assert_lt(om_clock_mono_ms(), until_ms, "never ready");
        ask(&ready, NULL);
    } while (here.status != 200);
}

static void
end(void)
{
    curl_easy_cleanup(here.curl);
    program_finish(&here.ingest);
    personas_close(&here.personas);
    om_buf_finish(&here.text);
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
    cr_expect(here.status == wanted.status && strcmp(here.code, wanted.code) == 0,
              "%s %s as %s: %ld %s, wanted %ld %s", om_http_method_name(route->method),
              route->pattern, persona_names[who], here.status, here.code, wanted.status,
              wanted.code);
    cr_expect_eq(here.personas.seen + here.personas.foreign, 0,
                 "%s as %s reached a service", route->pattern, persona_names[who]);
    if (here.status == 429)
        cr_expect(strcasestr(here.fields, "\nretry-after: "), "%s as %s: %s",
                  route->pattern, persona_names[who], here.fields);
}

static void
check_served(const struct route *route, enum persona who)
{
    bool refused = here.status == 401 || here.status == 402 || here.status == 403 ||
                   here.status == 429;
    cr_expect(!refused, "%s %s as %s: %ld %s", om_http_method_name(route->method),
              route->pattern, persona_names[who], here.status, here.code);
    // An operator acts across tenants.
    bool across = route->scope == SCOPE_OPERATOR;
    bool by_itself = here.status == route->status; // the edge needed nobody
    cr_expect(by_itself || here.personas.seen + (across ? here.personas.foreign : 0) > 0,
              "%s %s as %s reached nobody: %ld %.*s; give it what it needs in `bodies` "
              "or `segments`",
              om_http_method_name(route->method), route->pattern, persona_names[who],
              here.status, (int)here.text.size, here.text.data);
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
            cr_expect_eq(here.status, route->auth == AUTH_NONE ? 200 : 401,
                         "%s as %s: %ld", route->pattern, persona_names[who],
                         here.status);
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
            cr_expect(here.status >= 400 && here.status < 500, "%s, grant %zu: %ld",
                      route->pattern, g, here.status);
        }
    }
}

Test(matrix, a_refusal_says_which_limit_and_when_to_come_back)
{
    for (size_t i = 0; i < route_count; i++)
        if (routes[i].flags & ROUTE_MODEL) {
            ask_as(&routes[i], NO_RATE);
            cr_expect(strcasestr(here.fields, "ratelimit: \"user_rpm\";r=0;t=0"), "%s",
                      here.fields);
            cr_expect(strcasestr(here.fields, "ratelimit-policy: \"user_rpm\";q=0;w=60"));
            cr_expect(strcasestr(here.fields, "x-ratelimit-remaining-requests: 0"));
            cr_expect(strcasestr(here.fields, "retry-after: 60"));
            cr_expect(memmem(here.text.data, here.text.size,
                             "\"violated_policies\":[\"user_rpm\"]", 32));
            ask_as(&routes[i], NO_TOKENS);
            cr_expect(memmem(here.text.data, here.text.size,
                             "\"violated_policies\":[\"user_tpm\"]", 32));
            ask_as(&routes[i], ONE);
            cr_expect_not(strcasestr(here.fields, "ratelimit"),
                          "an operator has no limit");
        }
}
