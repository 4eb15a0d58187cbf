#include <stdio.h>

#include "json.h"
#include "utf8.h"

void
om_json_put(struct om_buf *buf, const char *text)
{
    om_buf_put(buf, text, strlen(text));
}

void
om_json_put_str(struct om_buf *buf, struct om_str text)
{
    const unsigned char *bytes = (const unsigned char *)text.data;
    size_t start = 0, i = 0;
    om_json_put(buf, "\"");
    while (i < text.size) {
        unsigned char c = bytes[i];
        size_t size = om_utf8_size(text.data + i, text.size - i);
        if (size > 0 && c >= 0x20 && c != '"' && c != '\\') {
            i += size;
            continue;
        }
        char escape[8];
        om_buf_put(buf, text.data + start, i - start);
        if (c == '"' || c == '\\')
            snprintf(escape, sizeof(escape), "\\%c", c);
        else
            snprintf(escape, sizeof(escape), "\\u%04x", size == 0 ? 0xfffd : c);
        om_json_put(buf, escape);
        start = ++i;
    }
    om_buf_put(buf, text.data + start, i - start);
    om_json_put(buf, "\"");
}

static bool put_value(struct om_buf *buf, struct om_str *rest, int depth);

static bool
put_items(struct om_buf *buf, struct om_str *rest, const struct rec_value *value,
          int depth)
{
    bool map = value->kind == REC_VALUE_MAP;
    if (depth == REC_DEPTH_MAX)
        return false;
    om_json_put(buf, map ? "{" : "[");
    for (size_t i = 0; i < value->count; i++) {
        om_json_put(buf, i > 0 ? "," : "");
        if (map) {
            struct rec_value key;
            if (!rec_next_value(rest, &key) || key.kind != REC_VALUE_STR)
                return false;
            om_json_put_str(buf, key.bytes);
            om_json_put(buf, ":");
        }
        if (!put_value(buf, rest, depth + 1))
            return false;
    }
    om_json_put(buf, map ? "}" : "]");
    return true;
}

static bool
put_value(struct om_buf *buf, struct om_str *rest, int depth)
{
    struct rec_value value;
    if (!rec_next_value(rest, &value))
        return false;
    switch (value.kind) {
    case REC_VALUE_NIL:
    case REC_VALUE_BIN:
        om_json_put(buf, "null");
        return true;
    case REC_VALUE_BOOL:
        om_json_put(buf, value.integer ? "true" : "false");
        return true;
    case REC_VALUE_I64:
        om_json_put_i64(buf, value.integer);
        return true;
    case REC_VALUE_F64:
        om_json_put_f64(buf, value.number);
        return true;
    case REC_VALUE_STR:
        om_json_put_str(buf, value.bytes);
        return true;
    case REC_VALUE_ARRAY:
    case REC_VALUE_MAP:
        return put_items(buf, rest, &value, depth);
    }
    return false;
}

bool
om_json_put_msgpack(struct om_buf *buf, struct om_str value)
{
    return put_value(buf, &value, 0) && value.size == 0;
}

static void
put_records(struct om_buf *buf, const struct rec *type, struct om_str list)
{
    // The largest struct a record type can have.
    _Alignas(8) char item[sizeof(uint64_t) + REC_FIELDS_MAX * sizeof(struct om_str)];
    struct rec_iter iter = rec_iter(list);
    struct om_str bytes;
    const char *comma = "";
    om_json_put(buf, "[");
    while (rec_next_raw(&iter, &bytes)) {
        if (rec_decode(type, bytes, item, NULL) != OM_OK)
            continue; // of a newer version that has broken its promise
        om_json_put(buf, comma);
        om_json_put_record(buf, type, item);
        comma = ",";
    }
    om_json_put(buf, "]");
}

// The lists of a decoded record were checked to be whole, so they cannot fail here.
static void
put_list(struct om_buf *buf, struct om_str list, const char *empty)
{
    if (!list.data || !om_json_put_msgpack(buf, list))
        om_json_put(buf, empty);
}

static void
put_member(struct om_buf *buf, const struct rec_field *field, const void *member)
{
    int64_t integer;
    double number;
    struct om_str bytes;
    switch (field->type) {
    case REC_I64:
        memcpy(&integer, member, sizeof(integer));
        om_json_put_i64(buf, integer);
        return;
    case REC_F64:
        memcpy(&number, member, sizeof(number));
        om_json_put_f64(buf, number);
        return;
    case REC_BOOL:
        om_json_put(buf, *(const bool *)member ? "true" : "false");
        return;
    case REC_STR:
    case REC_BIN:
    case REC_NUMS:
    case REC_STRS:
    case REC_RECS:
    case REC_MAP:
        break;
    }
    memcpy(&bytes, member, sizeof(bytes));
    if (field->type == REC_STR)
        om_json_put_str(buf, bytes);
    else if (field->type == REC_RECS)
        put_records(buf, field->item, bytes);
    else
        put_list(buf, bytes, field->type == REC_MAP ? "{}" : "[]");
}

void
om_json_put_record(struct om_buf *buf, const struct rec *type, const void *in)
{
    uint64_t has;
    memcpy(&has, in, sizeof(has));
    const char *comma = "";
    om_json_put(buf, "{");
    for (; has; has &= has - 1) {
        const struct rec_field *field = &type->fields[__builtin_ctzll(has)];
        if (field->presence == REC_INTERNAL || field->type == REC_BIN)
            continue;
        om_json_put(buf, comma);
        om_json_put_str(buf, field->key);
        om_json_put(buf, ":");
        put_member(buf, field, (const char *)in + field->offset);
        comma = ",";
    }
    om_json_put(buf, "}");
}
