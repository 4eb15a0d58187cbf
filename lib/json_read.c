#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>

#include "json.h"

// One body being read: where it goes, and what it must look like here.
struct reader {
    struct om_arena *arena;
    struct om_json_error *error;
};

static enum om_rc refuse(const struct reader *reader, const char *param,
                         const char *format, ...) __attribute__((format(printf, 3, 4)));

static enum om_rc
refuse(const struct reader *reader, const char *param, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    snprintf(reader->error->param, OM_JSON_PARAM_MAX, "%s", param);
    vsnprintf(reader->error->text, OM_JSON_TEXT_MAX, format, args);
    va_end(args);
    return OM_EINVAL;
}

static const char *
kind_of(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
        return "an integer";
    case JSON_REAL:
        return "a number with a fraction";
    case JSON_TRUE:
    case JSON_FALSE:
        return "a boolean";
    case JSON_NULL:
        return "null";
    }
    return "something else";
}

static const char *
wanted(const struct rec_field *field)
{
    static const char *const names[] = {
        [REC_I64] = "an integer",
        [REC_F64] = "a number",
        [REC_BOOL] = "true or false",
        [REC_STR] = "a string",
        [REC_BIN] = "absent",
        [REC_NUMS] = "an array of numbers",
        [REC_STRS] = "an array of strings",
        [REC_RECS] = "an array of objects",
        [REC_MAP] = "an object",
    };
    return names[field->type];
}

static enum om_rc
refuse_type(const struct reader *reader, const struct rec_field *field,
            const json_t *value)
{
    return refuse(reader, field->name, "\"%s\" must be %s, not %s: %s", field->name,
                  wanted(field), kind_of(value), field->doc);
}

static enum om_rc
refuse_item(const struct reader *reader, const struct rec_field *field, size_t index,
            const char *want, const json_t *value)
{
    return refuse(reader, field->name, "\"%s[%zu]\" must be %s, not %s", field->name,
                  index, want, kind_of(value));
}

// Refuse a measure (a value, a size or a count) that is not in the field's range.
static enum om_rc
check_range(const struct reader *reader, const struct rec_field *field, double measure,
            const char *unit)
{
    if (measure >= field->low && measure <= field->high)
        return OM_OK;
    const char *verb = unit[0] ? "have" : "be";
    if (field->low == field->high)
        return refuse(reader, field->name, "\"%s\" must %s %.15g%s, not %.15g: %s",
                      field->name, verb, field->low, unit, measure, field->doc);
    return refuse(reader, field->name, "\"%s\" must %s %.15g to %.15g%s, not %.15g: %s",
                  field->name, verb, field->low, field->high, unit, measure, field->doc);
}

// ---- any JSON value to msgpack, for MAP fields

static enum om_rc pack_value(const struct reader *reader, const struct rec_field *field,
                             const json_t *value, int depth, struct om_buf *buf);

static enum om_rc
pack_object(const struct reader *reader, const struct rec_field *field,
            const json_t *object, int depth, struct om_buf *buf)
{
    const char *key;
    json_t *value;
    om_pack_map(buf, json_object_size(object));
    json_object_foreach ((json_t *)object, key, value) {
        om_pack_str(buf, om_str(key));
        enum om_rc rc = pack_value(reader, field, value, depth + 1, buf);
        if (rc != OM_OK)
            return rc;
    }
    return OM_OK;
}

static enum om_rc
pack_value(const struct reader *reader, const struct rec_field *field,
           const json_t *value, int depth, struct om_buf *buf)
{
    if (depth > OM_JSON_DEPTH_MAX)
        return refuse(reader, field->name,
                      "\"%s\" must not be nested deeper than %d levels", field->name,
                      OM_JSON_DEPTH_MAX);
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return pack_object(reader, field, value, depth, buf);
    case JSON_ARRAY:
        om_pack_array(buf, json_array_size(value));
        for (size_t i = 0; i < json_array_size(value); i++) {
            enum om_rc rc =
                pack_value(reader, field, json_array_get(value, i), depth + 1, buf);
            if (rc != OM_OK)
                return rc;
        }
        break;
    case JSON_STRING:
        om_pack_str(
            buf, (struct om_str){ json_string_value(value), json_string_length(value) });
        break;
    case JSON_INTEGER:
        om_pack_i64(buf, json_integer_value(value));
        break;
    case JSON_REAL:
        om_pack_f64(buf, json_real_value(value));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        om_pack_bool(buf, json_is_true(value));
        break;
    case JSON_NULL:
        om_pack_nil(buf);
        break;
    }
    return OM_OK;
}

// ---- fields

static enum om_rc read_object(const struct reader *reader, const struct rec *type,
                              const json_t *object, void *out);

// What is wrong is of the list's item at `index`.
static void
set_place(const struct reader *reader, const struct rec_field *field, size_t index)
{
    char whole[OM_JSON_PARAM_MAX * 2], *param = reader->error->param;
    snprintf(whole, sizeof(whole), "%.24s[%zu]%s%s", field->name, index,
             *param ? "." : "", param);
    snprintf(param, OM_JSON_PARAM_MAX, "%.*s", OM_JSON_PARAM_MAX - 1, whole);
}

static enum om_rc
pack_item(const struct reader *reader, const struct rec_field *field, size_t index,
          const json_t *item, struct om_buf *buf)
{
    switch (field->type) {
    case REC_NUMS:
        if (!json_is_number(item))
            return refuse_item(reader, field, index, "a number", item);
        return pack_value(reader, field, item, 0, buf);
    case REC_STRS:
        if (!json_is_string(item))
            return refuse_item(reader, field, index, "a string", item);
        return pack_value(reader, field, item, 0, buf);
    default:
        break;
    }
    if (!json_is_object(item)) {
        refuse_item(reader, field, index, "an object", item);
        reader->error->param[0] = '\0';
        set_place(reader, field, index);
        return OM_EINVAL;
    }
    void *record = om_arena_alloc(reader->arena, field->item->size);
    enum om_rc rc = read_object(reader, field->item, item, record);
    if (rc == OM_OK)
        rec_encode(field->item, record, buf);
    else
        set_place(reader, field, index);
    return rc;
}

static void
free_buf(struct om_buf *buf)
{
    om_buf_finish(buf);
}

// A list or a map, as msgpack in the arena.
static enum om_rc
read_list(const struct reader *reader, const struct rec_field *field, const json_t *value,
          struct om_str *out)
{
    OM_AUTO(free_buf) struct om_buf buf = { 0 };
    bool map = field->type == REC_MAP;
    if (map ? !json_is_object(value) : !json_is_array(value))
        return refuse_type(reader, field, value);
    size_t count = map ? json_object_size(value) : json_array_size(value);
    enum om_rc rc =
        check_range(reader, field, (double)count, map ? " entries" : " items");
    if (rc == OM_OK && map)
        rc = pack_value(reader, field, value, 0, &buf);
    if (!map)
        om_pack_array(&buf, count);
    for (size_t i = 0; rc == OM_OK && !map && i < count; i++)
        rc = pack_item(reader, field, i, json_array_get(value, i), &buf);
    if (rc != OM_OK)
        return rc;
    if (buf.failed)
        return refuse(reader, field->name, "there is no memory for \"%s\"", field->name);
    char *copy = om_arena_alloc(reader->arena, buf.size);
    memcpy(copy, buf.data, buf.size);
    *out = (struct om_str){ copy, buf.size };
    return OM_OK;
}

static enum om_rc
read_text(const struct reader *reader, const struct rec_field *field, const json_t *value,
          struct om_str *out)
{
    if (!json_is_string(value))
        return refuse_type(reader, field, value);
    struct om_str text = { json_string_value(value), json_string_length(value) };
    *out = (struct om_str){ om_arena_strdup(reader->arena, text), text.size };
    return check_range(reader, field, (double)text.size, " bytes");
}

static enum om_rc
read_number(const struct reader *reader, const struct rec_field *field,
            const json_t *value, void *member)
{
    if (field->type == REC_I64 ? !json_is_integer(value) : !json_is_number(value))
        return refuse_type(reader, field, value);
    double number = json_number_value(value);
    if (field->type == REC_I64) {
        int64_t integer = json_integer_value(value);
        memcpy(member, &integer, sizeof(integer));
    } else {
        memcpy(member, &number, sizeof(number));
    }
    return check_range(reader, field, number, "");
}

static enum om_rc
read_member(const struct reader *reader, const struct rec_field *field,
            const json_t *value, void *member)
{
    struct om_str bytes = { 0 };
    enum om_rc rc;
    switch (field->type) {
    case REC_I64:
    case REC_F64:
        return read_number(reader, field, value, member);
    case REC_BOOL:
        if (!json_is_boolean(value))
            return refuse_type(reader, field, value);
        *(bool *)member = json_is_true(value);
        return OM_OK;
    case REC_STR:
        rc = read_text(reader, field, value, &bytes);
        break;
    default:
        rc = read_list(reader, field, value, &bytes);
        break;
    }
    memcpy(member, &bytes, sizeof(bytes));
    return rc;
}

// ---- records

static bool
is_public(const struct rec_field *field)
{
    return field->presence != REC_INTERNAL && field->type != REC_BIN;
}

// How many letters to change, add or drop to make one name of the other (Levenshtein).
// Long names are all equally far.
static size_t
distance(const char *a, const char *b)
{
    enum { LONGEST = 32 };
    size_t row[LONGEST + 1], width = strlen(b);
    if (strlen(a) > LONGEST || width > LONGEST)
        return SIZE_MAX;
    for (size_t j = 0; j <= width; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= width; j++) {
            size_t change = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            size_t step = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            row[j] = change < step ? change : step;
        }
    }
    return row[width];
}

static enum om_rc
refuse_key(const struct reader *reader, const struct rec *type, const char *key)
{
    const struct rec_field *nearest = NULL;
    size_t least = 3;
    char list[200] = "";
    size_t size = 0;
    for (size_t i = 0; i < type->count; i++) {
        const struct rec_field *field = &type->fields[i];
        if (!is_public(field))
            continue;
        size_t far = distance(key, field->key.data);
        if (far < least) {
            least = far;
            nearest = field;
        }
        if (size < sizeof(list))
            size += (size_t)snprintf(list + size, sizeof(list) - size, "%s%s",
                                     size ? ", " : "", field->key.data);
    }
    if (nearest)
        return refuse(reader, key, "there is no field \"%.64s\"; did you mean \"%s\"?",
                      key, nearest->key.data);
    if (size == 0)
        return refuse(reader, key, "there is no field \"%.64s\"; none is expected", key);
    return refuse(reader, key, "there is no field \"%.64s\"; the fields are %s", key,
                  list);
}

static const struct rec_field *
find_field(const struct rec *type, const char *key)
{
    for (size_t i = 0; i < type->count; i++)
        if (strcmp(type->fields[i].key.data, key) == 0)
            return is_public(&type->fields[i]) ? &type->fields[i] : NULL;
    return NULL;
}

static enum om_rc
check_required(const struct reader *reader, const struct rec *type, uint64_t has)
{
    for (size_t i = 0; i < type->count; i++) {
        const struct rec_field *field = &type->fields[i];
        if (field->presence == REC_REQUIRED && is_public(field) && !(has >> i & 1))
            return refuse(reader, field->name, "\"%s\" is required: %s, %s", field->name,
                          wanted(field), field->doc);
    }
    return OM_OK;
}

static enum om_rc
read_object(const struct reader *reader, const struct rec *type, const json_t *object,
            void *out)
{
    uint64_t has = 0;
    const char *key;
    json_t *value;
    memset(out, 0, type->size);
    json_object_foreach ((json_t *)object, key, value) {
        const struct rec_field *field = find_field(type, key);
        if (!field)
            return refuse_key(reader, type, key);
        if (json_is_null(value) && field->presence == REC_OPTIONAL)
            continue;
        enum om_rc rc = read_member(reader, field, value, (char *)out + field->offset);
        if (rc != OM_OK)
            return rc;
        has |= UINT64_C(1) << (field - type->fields);
    }
    memcpy(out, &has, sizeof(has));
    return check_required(reader, type, has);
}

static void
free_json(json_t **json)
{
    json_decref(*json);
}

enum om_rc
om_json_to_record(const struct rec *type, struct om_str json, struct om_arena *arena,
                  void *out, struct om_json_error *error)
{
    struct reader reader = { arena, error };
    json_error_t why;
    *error = (struct om_json_error){ 0 };
    if (json.size == 0)
        json = OM_LIT("{}");
    OM_AUTO(free_json)
    json_t *body = json_loadb(json.data, json.size, JSON_REJECT_DUPLICATES, &why);
    if (!body)
        return refuse(&reader, "", "the body is not JSON: line %d, column %d: %s",
                      why.line, why.column, why.text);
    if (!json_is_object(body))
        return refuse(&reader, "", "the body must be a JSON object, not %s",
                      kind_of(body));
    return read_object(&reader, type, body, out);
}
