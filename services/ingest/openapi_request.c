// Parameters and bodies of requests in the OpenAPI document.
#include <stdio.h>

#include "keyed.h"
#include "openapi_part.h"

// ---- parameters

// Segments of paths that are no field of the request's record.
static const struct {
    const char *name;
    int max;
    const char *doc;
} segments[] = {
    { "id", 48, "id of the object" },
    { "queue", 64, "name of a queue" },
    { "key", 128, "a limit_key that jobs name" },
    { "node", 64, "name of a worker's process" },
    { "model", 64, "a model plug-in: seasonal-naive, revenue-lstm, ..." },
    { "policy", 32, "name of a quota" },
    { "owner", 32, "the service whose blob it is" },
    { "tenant", 48, "tenant id" },
};

static void
put_segment_schema(struct om_buf *out, struct om_str name)
{
    char text[64];
    int max = 64;
    const char *doc = "name or id of the object";
    for (size_t i = 0; i < OM_COUNT(segments); i++)
        if (om_str_eq(name, om_str(segments[i].name))) {
            max = segments[i].max;
            doc = segments[i].doc;
        }
    snprintf(text, sizeof(text), "{\"type\":\"string\",\"minLength\":1,\"maxLength\":%d",
             max);
    om_json_put(out, text);
    openapi_put_pair(out, ",", "description", doc);
    om_json_put(out, "}");
}

static const struct rec_field *
find_field(const struct rec *type, struct om_str name)
{
    for (size_t i = 0; type && i < type->count; i++)
        if (om_str_eq(type->fields[i].key, name) && type->fields[i].type == REC_STR)
            return &type->fields[i];
    return NULL;
}

static void
put_parameter(struct om_buf *out, const char **comma, struct om_str name, const char *in,
              bool required)
{
    om_json_put(out, *comma);
    om_json_put(out, "{\"name\":");
    om_json_put_str(out, name);
    openapi_put_pair(out, ",", "in", in);
    om_json_put(out, required ? ",\"required\":true" : "");
    *comma = ",";
}

static void
put_path(struct om_buf *out, const struct route *route, const char **comma)
{
    for (const char *at = route->pattern; (at = strchr(at, '{')); at++) {
        struct om_str name = { at + 1, strcspn(at + 1, "}") };
        const struct rec_field *field = find_field(route_request(route), name);
        put_parameter(out, comma, name, "path", true);
        if (field)
            openapi_put_pair(out, ",", "description", field->doc);
        om_json_put(out, ",\"schema\":");
        if (field)
            openapi_put_field(out, field, false);
        else
            put_segment_schema(out, name);
        om_json_put(out, "}");
    }
}

static void
put_query(struct om_buf *out, const struct route *route, const char **comma)
{
    const struct rec *type = route_request(route);
    for (size_t i = 0; type && !(route->flags & ROUTE_BODY) && i < type->count; i++) {
        const struct rec_field *field = &type->fields[i];
        if (!openapi_is_shown(field) ||
            (route->param && strcmp(route->param, field->key.data) == 0))
            continue;
        put_parameter(out, comma, field->key, "query", field->presence == REC_REQUIRED);
        openapi_put_pair(out, ",", "description", field->doc);
        om_json_put(out, ",\"schema\":");
        struct rec_field given = *field; // an empty text is as if it were not there
        given.low = field->type == REC_STR ? 0 : field->low;
        openapi_put_field(out, &given, false);
        om_json_put(out, "}");
    }
}

// Header fields that are asked for, and of which routes.
static bool
is_read_if_changed(const struct route *route)
{
    return route->flags & ROUTE_ETAG && route->method == OM_HTTP_GET;
}

static bool
is_changed_if_same(const struct route *route)
{
    return route->flags & ROUTE_ETAG && route->method != OM_HTTP_GET;
}

static bool
is_versioned(const struct route *route)
{
    return route->auth == AUTH_KEY;
}

static bool
is_streamed(const struct route *route)
{
    return route->flags & ROUTE_EVENTS;
}

static bool
is_deferrable(const struct route *route)
{
    return route->on_request == predict;
}

static const struct {
    const char *name, *schema, *doc;
    bool (*is_asked)(const struct route *route);
} headers[] = {
    { "Idempotency-Key", "\"type\":\"string\",\"minLength\":1,\"maxLength\":255",
      "the same key with the same content is done once, and answered alike for 24 h",
      openapi_takes_key },
    { "Prefer", "\"type\":\"string\"",
      "respond-async: make it a task and answer 202; wait=N: wait up to N seconds (60 at "
      "most) for its end before (RFC 7240)",
      is_deferrable },
    { "If-None-Match", "\"type\":\"string\"",
      "an ETag: 304 without a body if the object has not changed since",
      is_read_if_changed },
    { "If-Match", "\"type\":\"string\"",
      "an ETag: 412, and nothing is changed, if the object has changed since",
      is_changed_if_same },
    { "Omni-Version", "\"type\":\"string\",\"pattern\":\"^[0-9]{4}-[0-9]{2}-[0-9]{2}$\"",
      "version of the interface the client is made for; if absent the one its key was "
      "made for, or the newest; one that there is not is refused",
      is_versioned },
    { "Last-Event-ID", "\"type\":\"string\"", "of a stream: go on behind this seq",
      is_streamed },
};

void
openapi_put_parameters(struct om_buf *out, const struct route *route)
{
    const char *comma = "";
    om_json_put(out, ",\"parameters\":[");
    put_path(out, route, &comma);
    put_query(out, route, &comma);
    for (size_t i = 0; i < OM_COUNT(headers); i++) {
        if (!headers[i].is_asked(route))
            continue;
        put_parameter(out, &comma, om_str(headers[i].name), "header", false);
        openapi_put_pair(out, ",", "description", headers[i].doc);
        om_json_put(out, ",\"schema\":{");
        om_json_put(out, headers[i].schema);
        om_json_put(out, "}}");
    }
    om_json_put(out, "]");
}

// ---- bodies

static const char upload_body[] =
    ",\"requestBody\":{\"required\":true,\"content\":{\"multipart/form-data\":{"
    "\"schema\":{\"type\":\"object\",\"required\":[\"file\",\"purpose\"],"
    "\"properties\":{"
    "\"file\":{\"type\":\"string\",\"contentMediaType\":\"application/octet-stream\","
    "\"description\":\"the bytes, with a file name; 1 GiB at most\"},"
    "\"purpose\":{\"type\":\"string\",\"enum\":[\"dataset\"],"
    "\"description\":\"what it is for\"}}}}}}";

void
openapi_put_body(struct om_buf *out, const struct route *route)
{
    const char *example = openapi_example(route);
    if (route->on_head == file_upload_head) {
        om_json_put(out, upload_body);
    } else if (route->on_body) {
        om_json_put(out, ",\"requestBody\":{\"required\":true,\"content\":{"
                         "\"application/octet-stream\":{}}}");
    } else if (route->flags & ROUTE_BODY) {
        const struct rec *type = route_request(route);
        om_json_put(out, type->required ? ",\"requestBody\":{\"required\":true,"
                                        : ",\"requestBody\":{\"required\":false,");
        om_json_put(out, "\"content\":{\"application/json\":{\"schema\":");
        openapi_put_reference(out, type);
        if (example) {
            om_json_put(out, ",\"example\":");
            om_json_put(out, example);
        }
        om_json_put(out, "}}}");
    }
}

bool
openapi_takes_key(const struct route *route)
{
    return keyed_by(route) != KEYED_NOBODY;
}
