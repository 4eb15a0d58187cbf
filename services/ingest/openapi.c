#include <stdio.h>

#include "json.h"
#include "openapi.h"
#include "route.h"

static void
put_key(struct om_buf *out, const char *key, const char *value)
{
    om_json_put_str(out, om_str(key));
    om_json_put(out, ":");
    om_json_put_str(out, om_str(value));
}

static void
put_range(struct om_buf *out, const char *low_key, const char *high_key,
          const struct rec_field *field)
{
    om_json_put(out, ",\"");
    om_json_put(out, low_key);
    om_json_put(out, "\":");
    om_json_put_f64(out, field->low);
    om_json_put(out, ",\"");
    om_json_put(out, high_key);
    om_json_put(out, "\":");
    om_json_put_f64(out, field->high);
}

static void
put_reference(struct om_buf *out, const struct rec *type)
{
    om_json_put(out, "{\"$ref\":\"#/components/schemas/");
    om_json_put(out, type->name);
    om_json_put(out, "\"}");
}

// The schema of a field, without the brace at its end.
static void
put_field(struct om_buf *out, const struct rec_field *field)
{
    static const struct {
        const char *type, *items, *low, *high;
    } kinds[] = {
        [REC_I64] = { "integer", NULL, "minimum", "maximum" },
        [REC_F64] = { "number", NULL, "minimum", "maximum" },
        [REC_BOOL] = { "boolean", NULL, NULL, NULL },
        [REC_STR] = { "string", NULL, "minLength", "maxLength" },
        [REC_BIN] = { "string", NULL, NULL, NULL },
        [REC_NUMS] = { "array", "{\"type\":\"number\"}", "minItems", "maxItems" },
        [REC_STRS] = { "array", "{\"type\":\"string\"}", "minItems", "maxItems" },
        [REC_RECS] = { "array", NULL, "minItems", "maxItems" },
        [REC_MAP] = { "object", NULL, "minProperties", "maxProperties" },
    };
    om_json_put(out, "{");
    if (field->presence == REC_OPTIONAL) {
        om_json_put(out, "\"type\":[\"");
        om_json_put(out, kinds[field->type].type);
        om_json_put(out, "\",\"null\"]");
    } else {
        put_key(out, "type", kinds[field->type].type);
    }
    if (kinds[field->type].low)
        put_range(out, kinds[field->type].low, kinds[field->type].high, field);
    if (field->type == REC_RECS) {
        om_json_put(out, ",\"items\":");
        put_reference(out, field->item);
    } else if (kinds[field->type].items) {
        om_json_put(out, ",\"items\":");
        om_json_put(out, kinds[field->type].items);
    }
    om_json_put(out, ",");
    put_key(out, "description", field->doc);
    om_json_put(out, "}");
}

static bool
is_shown(const struct rec_field *field)
{
    return field->presence != REC_INTERNAL && field->type != REC_BIN;
}

static void
put_schema(struct om_buf *out, const struct rec *type)
{
    const char *comma = "";
    om_json_put(out, "{\"type\":\"object\",\"properties\":{");
    for (size_t i = 0; i < type->count; i++) {
        if (!is_shown(&type->fields[i]))
            continue;
        om_json_put(out, comma);
        om_json_put_str(out, type->fields[i].key);
        om_json_put(out, ":");
        put_field(out, &type->fields[i]);
        comma = ",";
    }
    om_json_put(out, "},\"required\":[");
    comma = "";
    for (size_t i = 0; i < type->count; i++) {
        if (!is_shown(&type->fields[i]) || type->fields[i].presence != REC_REQUIRED)
            continue;
        om_json_put(out, comma);
        om_json_put_str(out, type->fields[i].key);
        comma = ",";
    }
    om_json_put(out, "]}");
}

// ---- components: each record type that a route shows, once

enum { TYPES_MAX = 128 };

struct types {
    const struct rec *list[TYPES_MAX];
    size_t count;
};

static void
collect(struct types *types, const struct rec *type)
{
    for (size_t i = 0; i < types->count; i++)
        if (types->list[i] == type)
            return;
    if (!type || types->count == TYPES_MAX)
        return;
    types->list[types->count++] = type;
    for (size_t i = 0; i < type->count; i++)
        collect(types, type->fields[i].item);
}

static void
put_components(struct om_buf *out)
{
    struct types types = { 0 };
    for (size_t i = 0; i < route_count; i++) {
        if (routes[i].flags & ROUTE_BODY)
            collect(&types, route_request(&routes[i]));
        collect(&types, route_reply(&routes[i]));
    }
    om_json_put(out, "\"components\":{\"securitySchemes\":{\"key\":{\"type\":\"http\","
                     "\"scheme\":\"bearer\",\"description\":\"An API key, omni_live_…\"},"
                     "\"grant\":{\"type\":\"http\",\"scheme\":\"bearer\","
                     "\"description\":\"The grant of a job\"}},\"schemas\":{");
    for (size_t i = 0; i < types.count; i++) {
        om_json_put_str(out, om_str(types.list[i]->name));
        om_json_put(out, ":");
        put_schema(out, types.list[i]);
        om_json_put(out, ",");
    }
    om_json_put(
        out, "\"error\":{\"type\":\"object\",\"required\":[\"error\"],\"properties\":{"
             "\"error\":{"
             "\"type\":\"object\",\"required\":[\"message\",\"type\",\"param\",\"code\","
             "\"request_id\"],\"properties\":{\"message\":{\"type\":\"string\"},"
             "\"type\":{\"type\":\"string\"},\"param\":{\"type\":[\"string\",\"null\"]},"
             "\"code\":{\"type\":\"string\"},\"request_id\":{\"type\":\"string\"},"
             "\"doc_url\":{\"type\":[\"string\",\"null\"]}}}}}}}");
}

// ---- paths

static void
put_parameter(struct om_buf *out, const char **comma, struct om_str name, const char *in,
              const struct rec_field *field)
{
    om_json_put(out, *comma);
    om_json_put(out, "{\"name\":");
    om_json_put_str(out, name);
    om_json_put(out, ",");
    put_key(out, "in", in);
    bool required = *in == 'p' || (field && field->presence == REC_REQUIRED);
    om_json_put(out, required ? ",\"required\":true,\"schema\":" : ",\"schema\":");
    if (field)
        put_field(out, field);
    else
        om_json_put(out, "{\"type\":\"string\"}");
    om_json_put(out, "}");
    *comma = ",";
}

static void
put_parameters(struct om_buf *out, const struct route *route)
{
    const char *comma = "";
    const struct rec *type = route_request(route);
    om_json_put(out, ",\"parameters\":[");
    for (const char *at = route->pattern; (at = strchr(at, '{')); at++)
        put_parameter(out, &comma, (struct om_str){ at + 1, strcspn(at + 1, "}") },
                      "path", NULL);
    for (size_t i = 0; type && !(route->flags & ROUTE_BODY) && i < type->count; i++) {
        const struct rec_field *field = &type->fields[i];
        if (is_shown(field) &&
            (!route->param || strcmp(route->param, field->key.data) != 0))
            put_parameter(out, &comma, field->key, "query", field);
    }
    om_json_put(out, "]");
}

static void
put_body(struct om_buf *out, const struct route *route)
{
    if (route->flags & ROUTE_BODY) {
        om_json_put(out, ",\"requestBody\":{\"required\":true,\"content\":{"
                         "\"application/json\":{\"schema\":");
        put_reference(out, route_request(route));
        om_json_put(out, "}}}");
    } else if (route->on_head == file_upload_head) {
        om_json_put(out, ",\"requestBody\":{\"required\":true,\"content\":{"
                         "\"multipart/form-data\":{\"schema\":{\"type\":\"object\","
                         "\"required\":[\"file\",\"purpose\"],\"properties\":{"
                         "\"file\":{\"type\":\"string\",\"format\":\"binary\"},"
                         "\"purpose\":{\"type\":\"string\",\"enum\":[\"dataset\"]}}}}}}");
    } else if (route->on_body) {
        om_json_put(out, ",\"requestBody\":{\"required\":true,\"content\":{"
                         "\"application/octet-stream\":{}}}");
    }
}

static void
put_operation(struct om_buf *out, const struct route *route)
{
    char text[128];
    static const char *const methods[] = { [OM_HTTP_GET] = "get",
                                           [OM_HTTP_POST] = "post",
                                           [OM_HTTP_PUT] = "put",
                                           [OM_HTTP_PATCH] = "patch",
                                           [OM_HTTP_DELETE] = "delete" };
    om_json_put_str(out, om_str(methods[route->method]));
    om_json_put(out, ":{");
    put_key(out, "summary", route->doc);
    om_json_put(out, route->auth == AUTH_NONE    ? ",\"security\":[]"
                     : route->auth == AUTH_GRANT ? ",\"security\":[{\"grant\":[]}]"
                                                 : ",\"security\":[{\"key\":[]}]");
    if (route->auth == AUTH_KEY) {
        om_json_put(out, ",");
        put_key(out, "x-scope", scope_infos[route->scope].name);
    }
    put_parameters(out, route);
    put_body(out, route);
    snprintf(text, sizeof(text), ",\"responses\":{\"%d\":{\"description\":\"done\"",
             route->status);
    om_json_put(out, text);
    if (route_reply(route)) {
        om_json_put(out, ",\"content\":{\"application/json\":{\"schema\":");
        put_reference(out, route_reply(route));
        om_json_put(out,
                    route->flags & ROUTE_EVENTS
                        ? "},\"text/event-stream\":{\"schema\":{\"type\":\"string\"}}}"
                        : "}}");
    }
    om_json_put(out, "},\"default\":{\"description\":\"an error\",\"content\":{"
                     "\"application/json\":{\"schema\":{\"$ref\":"
                     "\"#/components/schemas/error\"}}}}}}");
}

// A path is one object with its methods, and rows of a path stand anywhere in the table.
static bool
is_first(size_t row)
{
    for (size_t i = 0; i < row; i++)
        if (strcmp(routes[i].pattern, routes[row].pattern) == 0)
            return false;
    return true;
}

static void
put_path(struct om_buf *out, size_t row)
{
    const char *comma = "";
    om_json_put_str(out, om_str(routes[row].pattern));
    om_json_put(out, ":{");
    for (size_t i = row; i < route_count; i++) {
        if (strcmp(routes[i].pattern, routes[row].pattern) != 0)
            continue;
        om_json_put(out, comma);
        put_operation(out, &routes[i]);
        comma = ",";
    }
    om_json_put(out, "}");
}

void
openapi_write(struct om_buf *out)
{
    const char *comma = "";
    om_json_put(out, "{\"openapi\":\"3.1.0\",\"info\":{\"title\":\"Omni\",\"version\":"
                     "\"" OMNI_VERSION "\"},\"paths\":{");
    for (size_t i = 0; i < route_count; i++) {
        if (!is_first(i))
            continue;
        om_json_put(out, comma);
        put_path(out, i);
        comma = ",";
    }
    om_json_put(out, "},");
    put_components(out);
    om_json_put(out, "}");
}
