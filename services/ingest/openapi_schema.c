// Schemas of the OpenAPI document: record types, and the one error.
#include "openapi_part.h"

enum { TYPES_MAX = 192 };

void
openapi_put_pair(struct om_buf *out, const char *before, const char *key,
                 const char *value)
{
    om_json_put(out, before);
    om_json_put_str(out, om_str(key));
    om_json_put(out, ":");
    om_json_put_str(out, om_str(value));
}

void
openapi_put_reference(struct om_buf *out, const struct rec *type)
{
    om_json_put(out, "{\"$ref\":\"#/components/schemas/");
    om_json_put(out, type->name);
    om_json_put(out, "\"}");
}

bool
openapi_is_shown(const struct rec_field *field)
{
    return field->presence != REC_INTERNAL && field->type != REC_BIN;
}

// ---- fields

// What JSON Schema calls the types of fields, and their ranges.
static const struct {
    const char *type, *low, *high;
} kinds[] = {
    [REC_I64] = { "integer", "minimum", "maximum" },
    [REC_F64] = { "number", "minimum", "maximum" },
    [REC_BOOL] = { "boolean", NULL, NULL },
    [REC_STR] = { "string", "minLength", "maxLength" },
    [REC_BIN] = { "string", NULL, NULL },
    [REC_NUMS] = { "array", "minItems", "maxItems" },
    [REC_STRS] = { "array", "minItems", "maxItems" },
    [REC_RECS] = { "array", "minItems", "maxItems" },
    [REC_MAP] = { "object", "minProperties", "maxProperties" },
};

// Results and partial results of workers are shown as whatever JSON they are, although
// the records that document them have no type for that.
static bool
is_any(const struct rec_field *field)
{
    return field == &task_item_rec.fields[task_item_F_result] ||
           field == &event_item_rec.fields[event_item_F_data];
}

static void
put_limit(struct om_buf *out, const char *key, double limit)
{
    om_json_put(out, ",");
    om_json_put_str(out, om_str(key));
    om_json_put(out, ":");
    om_json_put_f64(out, limit);
}

static void
put_items(struct om_buf *out, const struct rec_field *field)
{
    if (field->type == REC_NUMS)
        om_json_put(out, ",\"items\":{\"type\":\"number\"}");
    else if (field->type == REC_STRS)
        om_json_put(out, ",\"items\":{\"type\":\"string\"}");
    else if (field->type == REC_RECS) {
        om_json_put(out, ",\"items\":");
        openapi_put_reference(out, field->item);
    }
}

static void
put_type(struct om_buf *out, const struct rec_field *field, bool nullable)
{
    const char *type = kinds[field->type].type;
    if (nullable) {
        om_json_put(out, "\"type\":[\"");
        om_json_put(out, type);
        om_json_put(out, "\",\"null\"]");
    } else {
        openapi_put_pair(out, "", "type", type);
    }
    if (kinds[field->type].low) {
        put_limit(out, kinds[field->type].low, field->low);
        put_limit(out, kinds[field->type].high, field->high);
    }
    put_items(out, field);
}

void
openapi_put_field(struct om_buf *out, const struct rec_field *field, bool nullable)
{
    om_json_put(out, "{");
    if (field->type == REC_MAP && field->item) {
        om_json_put(out, nullable ? "\"anyOf\":[" : "\"allOf\":[");
        openapi_put_reference(out, field->item);
        om_json_put(out, nullable ? ",{\"type\":\"null\"}]," : "],");
    } else if (!is_any(field)) {
        put_type(out, field, nullable);
        om_json_put(out, ",");
    }
    openapi_put_pair(out, "", "description", field->doc);
    om_json_put(out, "}");
}

// ---- record types

// `closed`: it is read, so members it does not know are refused.
static void
put_schema(struct om_buf *out, const struct rec *type, bool closed)
{
    const char *comma = "";
    om_json_put(out, "{\"type\":\"object\",\"properties\":{");
    for (size_t i = 0; i < type->count; i++) {
        const struct rec_field *field = &type->fields[i];
        if (!openapi_is_shown(field))
            continue;
        om_json_put(out, comma);
        om_json_put_str(out, field->key);
        om_json_put(out, ":");
        openapi_put_field(out, field, field->presence == REC_OPTIONAL);
        comma = ",";
    }
    om_json_put(out, "},\"required\":[");
    comma = "";
    for (size_t i = 0; i < type->count; i++) {
        const struct rec_field *field = &type->fields[i];
        if (!openapi_is_shown(field) || field->presence != REC_REQUIRED)
            continue;
        om_json_put(out, comma);
        om_json_put_str(out, field->key);
        comma = ",";
    }
    om_json_put(out, closed ? "],\"additionalProperties\":false}" : "]}");
}

struct types {
    const struct rec *list[TYPES_MAX];
    size_t count;
};

static bool
has_type(const struct types *types, const struct rec *type)
{
    for (size_t i = 0; i < types->count; i++)
        if (types->list[i] == type)
            return true;
    return false;
}

static void
collect(struct types *types, const struct rec *type)
{
    if (!type || has_type(types, type) || types->count == TYPES_MAX)
        return;
    types->list[types->count++] = type;
    for (size_t i = 0; i < type->count; i++)
        if (openapi_is_shown(&type->fields[i]))
            collect(types, type->fields[i].item);
}

static const char error_schema[] =
    "\"error\":{\"type\":\"object\",\"required\":[\"error\"],\"properties\":{\"error\":{"
    "\"type\":\"object\",\"required\":[\"message\",\"type\",\"param\",\"code\","
    "\"request_id\",\"doc_url\"],\"properties\":{"
    "\"message\":{\"type\":\"string\",\"minLength\":1,"
    "\"description\":\"for people: what is wrong, and what would be right\"},"
    "\"type\":{\"type\":\"string\",\"description\":\"the kind of error\"},"
    "\"param\":{\"type\":[\"string\",\"null\"],"
    "\"description\":\"the field that is wrong, if it is one\"},"
    "\"code\":{\"type\":\"string\",\"minLength\":1,"
    "\"description\":\"for programs: it never changes its meaning\"},"
    "\"request_id\":{\"type\":\"string\",\"pattern\":\"^req_\","
    "\"description\":\"the same as in x-request-id\"},"
    "\"doc_url\":{\"type\":[\"string\",\"null\"],"
    "\"description\":\"where there is more about it\"},"
    "\"violated_policies\":{\"type\":\"array\",\"minItems\":1,"
    "\"items\":{\"type\":\"string\"},"
    "\"description\":\"names of the limits or quotas that are exceeded\"}}}}}";

void
openapi_put_schemas(struct om_buf *out)
{
    struct types read = { 0 }, shown = { 0 };
    for (size_t i = 0; i < route_count; i++) {
        if (routes[i].flags & ROUTE_BODY)
            collect(&read, route_request(&routes[i]));
        collect(&shown, route_reply(&routes[i]));
        collect(&shown, routes[i].other);
    }
    om_json_put(out, "\"schemas\":{");
    for (size_t i = 0; i < read.count + shown.count; i++) {
        bool is_read = i < read.count;
        const struct rec *type = is_read ? read.list[i] : shown.list[i - read.count];
        if (!is_read && has_type(&read, type))
            continue;
        om_json_put_str(out, om_str(type->name));
        om_json_put(out, ":");
        put_schema(out, type, is_read && !has_type(&shown, type));
        om_json_put(out, ",");
    }
    om_json_put(out, error_schema);
    om_json_put(out, "}");
}
