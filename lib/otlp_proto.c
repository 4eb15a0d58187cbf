#include <stdio.h>

#include "otlp_form.h"
#include "utf8.h"

enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5, VARINT_MAX = 10 };

// ---- writing

static size_t
varint(uint64_t value, uint8_t out[VARINT_MAX])
{
    size_t size = 0;
    for (; value >= 0x80; value >>= 7)
        out[size++] = (uint8_t)(value | 0x80);
    out[size++] = (uint8_t)value;
    return size;
}

static void
put_varint(struct om_buf *out, uint64_t value)
{
    uint8_t bytes[VARINT_MAX];
    om_buf_put(out, bytes, varint(value, bytes));
}

static void
put_tag(struct om_buf *out, unsigned field, unsigned type)
{
    put_varint(out, field << 3 | type);
}

static void
put_number(struct om_buf *out, unsigned field, uint64_t value)
{
    put_tag(out, field, VARINT);
    put_varint(out, value);
}

static void
put_bytes(struct om_buf *out, unsigned field, struct om_str bytes)
{
    put_tag(out, field, BYTES);
    put_varint(out, bytes.size);
    om_buf_put(out, bytes.data, bytes.size);
}

static void
put_fixed(struct om_buf *out, unsigned field, uint64_t value, size_t size)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
    put_tag(out, field, size == 8 ? FIXED64 : FIXED32);
    om_buf_put(out, bytes, size);
}

// Text whose invalid bytes become question marks, so that its size stays.
static void
put_text(struct om_buf *out, unsigned field, struct om_str text)
{
    put_bytes(out, field, text);
    if (out->failed)
        return;
    char *at = out->data + out->size - text.size;
    for (size_t i = 0; i < text.size;) {
        size_t size = om_utf8_size(at + i, text.size - i);
        if (size == 0)
            at[i] = '?';
        i += size ? size : 1;
    }
}

// A message within one begins with its tag; when it ends its size is put before it.
static size_t
begin(struct om_buf *out, unsigned field)
{
    put_tag(out, field, BYTES);
    return out->size;
}

static void
end(struct om_buf *out, size_t start)
{
    uint8_t bytes[VARINT_MAX];
    size_t content = out->size - start, size = varint(content, bytes);
    if (!om_buf_room(out, size))
        return;
    memmove(out->data + start + size, out->data + start, content);
    memcpy(out->data + start, bytes, size);
    out->size += size;
}

static void
put_pair(struct om_buf *out, unsigned field, struct om_str key, struct om_str value)
{
    size_t pair = begin(out, field);
    put_text(out, 1, key);
    size_t any = begin(out, 2);
    put_text(out, 1, value);
    end(out, any);
    end(out, pair);
}

static void
put_int_pair(struct om_buf *out, unsigned field, struct om_str key, int64_t value)
{
    size_t pair = begin(out, field);
    put_text(out, 1, key);
    size_t any = begin(out, 2);
    put_number(out, 3, (uint64_t)value);
    end(out, any);
    end(out, pair);
}

static struct om_str
bytes_of(const uint8_t *bytes, size_t size)
{
    return (struct om_str){ (const char *)bytes, size };
}

static bool
has_parent(const struct om_span *span)
{
    static const uint8_t none[8];
    return memcmp(span->parent, none, sizeof(none)) != 0;
}

static void
put_link(struct om_buf *out, const struct om_trace *link)
{
    if (om_trace_is_none(link))
        return;
    size_t start = begin(out, 13);
    put_bytes(out, 1, bytes_of(link->trace_id, sizeof(link->trace_id)));
    put_bytes(out, 2, bytes_of(link->span_id, sizeof(link->span_id)));
    put_fixed(out, 6, link->flags, 4);
    end(out, start);
}

static void
put_attrs(struct om_buf *out, const struct om_span *span)
{
    for (size_t i = 0; i < span->attr_count; i++) {
        const struct om_span_info *info = &om_span_infos[span->attrs[i].key];
        struct om_span_text value = span->attrs[i].value;
        if (info->is_int)
            put_int_pair(out, 9, om_str(info->name), otlp_int(span, value));
        else
            put_pair(out, 9, om_str(info->name), otlp_text(span, value));
    }
    if (span->attrs_lost)
        put_number(out, 10, span->attrs_lost);
}

void
otlp_proto_span(struct om_buf *out, const struct om_span *span)
{
    size_t start = begin(out, 2); // ScopeSpans.spans
    put_bytes(out, 1, bytes_of(span->trace.trace_id, sizeof(span->trace.trace_id)));
    put_bytes(out, 2, bytes_of(span->trace.span_id, sizeof(span->trace.span_id)));
    if (span->state.size)
        put_text(out, 3, otlp_text(span, span->state));
    if (has_parent(span))
        put_bytes(out, 4, bytes_of(span->parent, sizeof(span->parent)));
    put_text(out, 5, otlp_text(span, span->name));
    put_number(out, 6, span->kind);
    put_fixed(out, 7, (uint64_t)span->start_us * 1000, 8);
    put_fixed(out, 8, (uint64_t)span->end_us * 1000, 8);
    put_attrs(out, span);
    put_link(out, &span->link);
    if (span->failed) {
        size_t status = begin(out, 15);
        if (span->why.size)
            put_text(out, 2, otlp_text(span, span->why));
        put_number(out, 3, OTLP_STATUS_ERROR);
        end(out, status);
    }
    unsigned remote = OTLP_REMOTE_KNOWN | (span->remote ? OTLP_REMOTE : 0);
    put_fixed(out, 16, span->trace.flags | (has_parent(span) ? remote : 0), 4);
    end(out, start);
}

void
otlp_proto_request(struct om_buf *out, const struct om_otlp_resource *resource,
                   struct om_str spans)
{
    size_t all = begin(out, 1), who = begin(out, 1);
    for (size_t i = 0; i < resource->count; i++)
        put_pair(out, 1, resource->pairs[i].key, resource->pairs[i].value);
    end(out, who);
    size_t scope_spans = begin(out, 2), scope = begin(out, 1);
    put_text(out, 1, OM_LIT("omni"));
    end(out, scope);
    om_buf_put(out, spans.data, spans.size);
    put_text(out, 3, OM_LIT(OM_SPAN_SCHEMA));
    end(out, scope_spans);
    put_text(out, 3, OM_LIT(OM_SPAN_SCHEMA));
    end(out, all);
}

// ---- reading

struct field {
    unsigned number, type;
    uint64_t value; // of a VARINT
    struct om_str bytes;
};

static bool
take_varint(struct om_str *from, uint64_t *out)
{
    *out = 0;
    for (unsigned shift = 0; shift < 64 && from->size; shift += 7) {
        uint8_t byte = (uint8_t)*from->data++;
        from->size--;
        *out |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return true;
    }
    return false;
}

static bool
take_bytes(struct om_str *from, uint64_t size, struct om_str *out)
{
    if (size > from->size)
        return false;
    *out = (struct om_str){ from->data, (size_t)size };
    from->data += size;
    from->size -= (size_t)size;
    return true;
}

static bool
take_field(struct om_str *from, struct field *out)
{
    uint64_t tag, size;
    *out = (struct field){ 0 };
    if (!take_varint(from, &tag) || tag > UINT32_MAX || tag < 8)
        return false;
    out->number = (unsigned)(tag >> 3);
    out->type = tag & 7;
    switch (out->type) {
    case VARINT:
        return take_varint(from, &out->value);
    case BYTES:
        return take_varint(from, &size) && take_bytes(from, size, &out->bytes);
    case FIXED64:
    case FIXED32:
        return take_bytes(from, out->type == FIXED64 ? 8 : 4, &out->bytes);
    default:
        return false;
    }
}

bool
otlp_proto_answer(struct om_str answer, int64_t *refused, char *why, size_t why_size)
{
    struct field field, inner;
    while (answer.size) {
        if (!take_field(&answer, &field))
            return false;
        struct om_str partial = field.number == 1 ? field.bytes : OM_LIT("");
        while (partial.size) {
            if (!take_field(&partial, &inner))
                return false;
            if (inner.number == 1 && inner.type == VARINT)
                *refused = (int64_t)inner.value;
            if (inner.number == 2 && inner.type == BYTES)
                snprintf(why, why_size, "%.*s", (int)(inner.bytes.size & 0xffff),
                         inner.bytes.data);
        }
    }
    return *refused >= 0;
}
