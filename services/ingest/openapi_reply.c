// What is answered, in the OpenAPI document: successes, errors and header fields.
#include <stdio.h>

#include "admission.h"
#include "exchange.h"
#include "openapi_part.h"

// ---- which answers a route has

enum {
    WHEN_ANY = 1,      // any request can be answered so
    WHEN_CALLER = 2,   // it asks who calls
    WHEN_COSTS = 4,    // it costs money
    WHEN_NAMES = 8,    // it names an object that may not exist
    WHEN_CHANGES = 16, // it changes something
    WHEN_BODY = 32,    // it has a body
    WHEN_FORM = 64,    // its body is a form
    WHEN_TAG = 128,    // it takes If-Match
    WHEN_CACHED = 256, // it takes If-None-Match
    WHEN_KEY = 512,    // it is limited
    WHEN_ONCE = 1024,  // it takes an Idempotency-Key
    WHEN_TASK = 2048,  // it answers where its task is
    WHEN_KEPT = 4096,  // its answers are given again
    WHEN_LATER = 8192, // it can be a job, if the client prefers that
};

// Does the path or the query say what it is about?
static bool
names_something(const struct route *route)
{
    const struct rec *type = route_request(route);
    for (size_t i = 0; type && i < type->count; i++)
        if (type->fields[i].type == REC_STR && openapi_is_shown(&type->fields[i]))
            return true;
    return strchr(route->pattern, '{');
}

static unsigned
conditions(const struct route *route)
{
    bool body = route->flags & ROUTE_BODY || route->on_body;
    bool read = route->method == OM_HTTP_GET, tag = route->flags & ROUTE_ETAG;
    return WHEN_ANY | (route->auth != AUTH_NONE ? WHEN_CALLER : 0u) |
           (route->auth == AUTH_KEY ? WHEN_KEY : 0u) |
           (route->flags & ROUTE_COSTS ? WHEN_COSTS : 0u) |
           (body || names_something(route) ? WHEN_NAMES : 0u) |
           (route->flags & ROUTE_MUTATES ? WHEN_CHANGES : 0u) | (body ? WHEN_BODY : 0u) |
           (route->on_head == file_upload_head ? WHEN_FORM : 0u) |
           (tag && !read ? WHEN_TAG : 0u) | (tag && read ? WHEN_CACHED : 0u) |
           (openapi_takes_key(route) ? WHEN_ONCE : 0u) |
           (route->cache.ttl_s > 0 ? WHEN_KEPT : 0u) |
           (route_reply(route) == &task_accepted_rec ? WHEN_TASK : 0u) |
           (route->on_request == predict ? WHEN_LATER : 0u);
}

static const struct {
    int status;
    unsigned when;
    const char *reason, *code; // `code` is that of the example
} problems[] = {
    { 400, WHEN_ANY, "Bad Request", "invalid_request" },
    { 401, WHEN_CALLER, "Unauthorized", "invalid_api_key" },
    { 402, WHEN_COSTS, "Payment Required", "payment_required" },
    { 403, WHEN_CALLER, "Forbidden", "permission_denied" },
    { 404, WHEN_NAMES, "Not Found", "not_found" },
    { 408, WHEN_ANY, "Request Timeout", "request_timeout" },
    { 409, WHEN_CHANGES | WHEN_BODY | WHEN_ONCE, "Conflict", "conflict" },
    { 412, WHEN_TAG, "Precondition Failed", "precondition_failed" },
    { 413, WHEN_ANY, "Content Too Large", "too_large" },
    { 414, WHEN_ANY, "URI Too Long", "uri_too_long" },
    { 415, WHEN_FORM, "Unsupported Media Type", "unsupported_media_type" },
    { 417, WHEN_ANY, "Expectation Failed", "expectation_failed" },
    { 422, WHEN_ONCE | WHEN_BODY, "Unprocessable Content", "id_reused" },
    { 429, WHEN_CALLER, "Too Many Requests", "rate_limit_exceeded" },
    { 431, WHEN_ANY, "Request Header Fields Too Large", "head_too_large" },
    { 500, WHEN_CALLER, "Internal Server Error", "internal_error" },
    { 501, WHEN_ANY, "Not Implemented", "unsupported" },
    { 503, WHEN_ANY, "Service Unavailable", "unavailable" },
    { 504, WHEN_CALLER, "Gateway Timeout", "timeout" },
    { 505, WHEN_ANY, "HTTP Version Not Supported", "version_not_supported" },
};

// ---- header fields

// Header fields of answers: of successes of routes with `when`, and of errors of `status`
// (-1: every error, 0: none).
static const struct {
    const char *name, *schema, *doc;
    unsigned when;
    int status;
} headers[] = {
    { "x-request-id", "\"type\":\"string\",\"maxLength\":128",
      "name of the exchange: the one that the request came with, else omni-request-id",
      WHEN_ANY, -1 },
    { "omni-request-id", "\"type\":\"string\",\"pattern\":\"^req_\"",
      "its id, for questions about it, if x-request-id is the client's", WHEN_CALLER,
      -1 },
    { "ratelimit-policy", "\"type\":\"string\"",
      "the limits that count: \"rpm\";q=600;w=60 (draft-ietf-httpapi-ratelimit-headers)",
      WHEN_KEY, 429 },
    { "ratelimit", "\"type\":\"string\"",
      "what is left of them, and after how many seconds there is more: \"rpm\";r=599;t=1",
      WHEN_KEY, 429 },
    { "x-ratelimit-limit-requests", "\"type\":\"integer\",\"minimum\":0",
      "requests in any minute", WHEN_KEY, 429 },
    { "x-ratelimit-remaining-requests", "\"type\":\"integer\",\"minimum\":0",
      "requests that are left", WHEN_KEY, 429 },
    { "x-ratelimit-reset-requests", "\"type\":\"string\",\"pattern\":\"^[0-9]+s$\"",
      "until all requests are there again", WHEN_KEY, 429 },
    { "x-ratelimit-limit-tokens", "\"type\":\"integer\",\"minimum\":0",
      "tokens in any minute", WHEN_KEY, 429 },
    { "x-ratelimit-remaining-tokens", "\"type\":\"integer\",\"minimum\":0",
      "tokens that are left", WHEN_KEY, 429 },
    { "x-ratelimit-reset-tokens", "\"type\":\"string\",\"pattern\":\"^[0-9]+s$\"",
      "until all tokens are there again", WHEN_KEY, 429 },
    { "omni-version", "\"type\":\"string\",\"pattern\":\"^[0-9]{4}-[0-9]{2}-[0-9]{2}$\"",
      "version of the interface that answered", WHEN_KEY, 0 },
    { "etag", "\"type\":\"string\"", "version of the object, for If-Match",
      WHEN_TAG | WHEN_CACHED, 0 },
    { "x-cache", "\"type\":\"string\",\"enum\":[\"hit\",\"miss\",\"bypass\"]",
      "was the answer made before, now and kept, or not looked for?", WHEN_KEPT, 0 },
    { "x-cache-key", "\"type\":\"string\",\"pattern\":\"^[0-9a-f]{64}$\"",
      "of the answer, for a purge", WHEN_KEPT, 0 },
    { "cache-control", "\"type\":\"string\"", "how long it is kept", WHEN_KEPT, 0 },
    { "age", "\"type\":\"integer\",\"minimum\":0", "seconds since a hit was made",
      WHEN_KEPT, 0 },
    { "location", "\"type\":\"string\"", "where the task is", WHEN_TASK | WHEN_LATER, 0 },
    { "preference-applied", "\"type\":\"string\"", "what was done of Prefer", WHEN_LATER,
      0 },
    { "idempotent-replayed", "\"type\":\"string\",\"enum\":[\"true\"]",
      "it was done before, under the same Idempotency-Key", WHEN_ONCE, 0 },
    { "www-authenticate", "\"type\":\"string\"", "how to say who calls", 0, 401 },
    { "retry-after", "\"type\":\"integer\",\"minimum\":0", "seconds to wait", 0, 429 },
    { "x-should-retry", "\"type\":\"string\",\"enum\":[\"false\"]",
      "trying again soon is of no use", 0, 429 },
};

void
openapi_put_headers(struct om_buf *out)
{
    om_json_put(out, "\"headers\":{");
    for (size_t i = 0; i < OM_COUNT(headers); i++) {
        om_json_put(out, i ? "," : "");
        om_json_put_str(out, om_str(headers[i].name));
        openapi_put_pair(out, ":{", "description", headers[i].doc);
        om_json_put(out, headers[i].when == WHEN_ANY ? ",\"required\":true" : "");
        om_json_put(out, ",\"schema\":{");
        om_json_put(out, headers[i].schema);
        om_json_put(out, "}}");
    }
    om_json_put(out, "}");
}

static void
put_header_references(struct om_buf *out, unsigned when, int status)
{
    const char *comma = "";
    om_json_put(out, ",\"headers\":{");
    for (size_t i = 0; i < OM_COUNT(headers); i++) {
        bool in_error = headers[i].status == status || headers[i].status < 0 ||
                        ((status == 503 || status == 409) &&
                         strcmp(headers[i].name, "retry-after") == 0);
        if (status ? !in_error : !(headers[i].when & when))
            continue;
        om_json_put(out, comma);
        om_json_put_str(out, om_str(headers[i].name));
        om_json_put(out, ":{\"$ref\":\"#/components/headers/");
        om_json_put(out, headers[i].name);
        om_json_put(out, "\"}");
        comma = ",";
    }
    om_json_put(out, "}");
}

// ---- errors

// The description names the codes of results that have this status.
static void
put_problem_text(struct om_buf *out, int status, const char *reason)
{
    char text[1024];
    size_t size = (size_t)snprintf(text, sizeof(text), "%s.", reason);
    for (unsigned rc = 0; rc < OM_RC_COUNT; rc++) {
        const struct om_rc_info *info = om_rc_info((enum om_rc)rc);
        if (info->http_status == status && size < sizeof(text))
            size += (size_t)snprintf(text + size, sizeof(text) - size, " %s: %s.",
                                     info->code, info->text);
    }
    openapi_put_pair(out, "{", "description", text);
}

static const char *
type_of(int status, const char *code)
{
    for (size_t i = 0; i < ADMISSION_COUNT; i++)
        if (strcmp(admission_infos[i].code, code) == 0)
            return admission_infos[i].type;
    for (unsigned rc = 0; rc < OM_RC_COUNT; rc++)
        if (strcmp(om_rc_info((enum om_rc)rc)->code, code) == 0)
            return om_rc_info((enum om_rc)rc)->type;
    return error_of_status(status).type;
}

static const char *
message_of(const char *code, const char *reason)
{
    enum om_rc rc = om_rc_find(om_str(code));
    return strcmp(om_rc_info(rc)->code, code) == 0 ? om_rc_info(rc)->text : reason;
}

void
openapi_put_errors(struct om_buf *out)
{
    char name[16];
    om_json_put(out, "\"responses\":{");
    for (size_t i = 0; i < OM_COUNT(problems); i++) {
        const char *code = problems[i].code;
        struct error_text error = { .type = type_of(problems[i].status, code),
                                    .code = code,
                                    .message =
                                        om_str(message_of(code, problems[i].reason)) };
        snprintf(name, sizeof(name), "%s\"%d\":", i ? "," : "", problems[i].status);
        om_json_put(out, name);
        put_problem_text(out, problems[i].status, problems[i].reason);
        put_header_references(out, 0, problems[i].status);
        om_json_put(out, ",\"content\":{\"application/json\":{\"schema\":{\"$ref\":"
                         "\"#/components/schemas/error\"},\"example\":");
        error_write(out, &error, "req_01h455vb4pex5vsknk084sn02q");
        om_json_put(out, "}}}");
    }
    om_json_put(out, "}");
}

// ---- successes

// Those that answer no record.
static const struct {
    void (*on_request)(struct exchange *x);
    const char *type, *schema;
} contents[] = {
    { file_content, "application/octet-stream", "" },
    { transfer_get, "application/octet-stream", "" },
    { show_metrics, "text/plain", "\"schema\":{\"type\":\"string\"}" },
};

static void
put_shown(struct om_buf *out, const struct route *route)
{
    om_json_put(out, route->other ? "\"schema\":{\"anyOf\":[" : "\"schema\":");
    openapi_put_reference(out, route_reply(route));
    if (!route->other)
        return;
    om_json_put(out, ",");
    openapi_put_reference(out, route->other);
    om_json_put(out, "]}");
}

static void
put_content(struct om_buf *out, const struct route *route)
{
    const char *type = "application/json", *schema = "\"schema\":{\"type\":\"object\"}";
    for (size_t i = 0; i < OM_COUNT(contents); i++)
        if (route->on_request == contents[i].on_request) {
            type = contents[i].type;
            schema = contents[i].schema;
        }
    om_json_put(out, ",\"content\":{");
    om_json_put_str(out, om_str(type));
    om_json_put(out, ":{");
    if (route_reply(route))
        put_shown(out, route);
    else
        om_json_put(out, schema);
    om_json_put(out, "}");
    if (route->on_request == show_status)
        om_json_put(out, ",\"text/html\":{\"schema\":{\"type\":\"string\"}}");
    if (route->flags & ROUTE_EVENTS)
        om_json_put(out,
                    ",\"text/event-stream\":{\"schema\":{\"type\":\"string\","
                    "\"description\":\"events with id, event and data, which is JSON; "
                    "the last shows the task as it ended, or is error\"}}");
    if (route->flags & ROUTE_PARTS)
        om_json_put(out,
                    ",\"text/event-stream\":{\"schema\":{\"type\":\"string\","
                    "\"description\":\"of stream, or who accepts this: events with event "
                    "and data, which is JSON: part, with values from a step on, and at "
                    "last end or error\"}}");
    om_json_put(out, "}");
}

static void
put_success(struct om_buf *out, const struct route *route, int status)
{
    static const struct {
        int status;
        const char *text;
    } texts[] = {
        { 200, "Done" },
        { 201, "Made" },
        { 202, "Taken: it will be done" },
        { 204, "Nothing more will come: the client knows the end" },
        { 304, "It has not changed" },
    };
    char name[16];
    const char *text = "Done";
    for (size_t i = 0; i < OM_COUNT(texts); i++)
        if (texts[i].status == status)
            text = texts[i].text;
    snprintf(name, sizeof(name), "\"%d\":", status);
    om_json_put(out, name);
    openapi_put_pair(out, "{", "description", text);
    put_header_references(out, conditions(route), 0);
    if (status != 204 && status != 304)
        put_content(out, route);
    om_json_put(out, "},");
}

void
openapi_put_responses(struct om_buf *out, const struct route *route)
{
    unsigned when = conditions(route);
    const char *comma = "";
    om_json_put(out, ",\"responses\":{");
    put_success(out, route, route->status);
    if (route->flags & ROUTE_EVENTS)
        put_success(out, route, 204);
    if (route->also)
        put_success(out, route, route->also);
    if (when & WHEN_LATER) { // as the routes that submit jobs
        struct route later = *route;
        later.reply = &task_accepted_rec;
        put_success(out, &later, 202);
    }
    if (when & WHEN_CACHED)
        put_success(out, route, 304);
    for (size_t i = 0; i < OM_COUNT(problems); i++) {
        char text[64];
        if (!(problems[i].when & when))
            continue;
        snprintf(text, sizeof(text), "%s\"%d\":{\"$ref\":\"#/components/responses/%d\"}",
                 comma, problems[i].status, problems[i].status);
        om_json_put(out, text);
        comma = ",";
    }
    om_json_put(out, "}");
}
