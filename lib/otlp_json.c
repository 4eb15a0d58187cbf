#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "id.h"
#include "json.h"
#include "otlp_form.h"

static void
put_hex(struct om_buf *out, const char *key, const uint8_t *bytes, size_t size)
{
    char text[33];
    om_hex(bytes, size, text);
    om_json_put(out, key);
    om_json_put_str(out, om_str(text));
}

// 64-bit numbers are strings in protobuf's JSON.
static void
put_time(struct om_buf *out, const char *key, int64_t us)
{
    char text[32];
    snprintf(text, sizeof(text), "\"%" PRId64 "\"", us * 1000);
    om_json_put(out, key);
    om_json_put(out, text);
}

static void
put_key(struct om_buf *out, struct om_str key)
{
    om_json_put(out, "{\"key\":");
    om_json_put_str(out, key);
    om_json_put(out, ",\"value\":{");
}

static void
put_pair(struct om_buf *out, struct om_str key, struct om_str value)
{
    put_key(out, key);
    om_json_put(out, "\"stringValue\":");
    om_json_put_str(out, value);
    om_json_put(out, "}}");
}

static void
put_attrs(struct om_buf *out, const struct om_span *span)
{
    om_json_put(out, ",\"attributes\":[");
    for (size_t i = 0; i < span->attr_count; i++) {
        const struct om_span_info *info = &om_span_infos[span->attrs[i].key];
        if (i)
            om_json_put(out, ",");
        if (!info->is_int) {
            put_pair(out, om_str(info->name), otlp_text(span, span->attrs[i].value));
            continue;
        }
        put_key(out, om_str(info->name));
        om_json_put(out, "\"intValue\":\"");
        om_json_put_i64(out, otlp_int(span, span->attrs[i].value));
        om_json_put(out, "\"}}");
    }
    om_json_put(out, "],\"droppedAttributesCount\":");
    om_json_put_i64(out, span->attrs_lost);
}

static void
put_link(struct om_buf *out, const struct om_trace *link)
{
    if (om_trace_is_none(link))
        return;
    put_hex(out, ",\"links\":[{\"traceId\":", link->trace_id, sizeof(link->trace_id));
    put_hex(out, ",\"spanId\":", link->span_id, sizeof(link->span_id));
    om_json_put(out, ",\"flags\":");
    om_json_put_i64(out, link->flags);
    om_json_put(out, "}]");
}

static void
put_status(struct om_buf *out, const struct om_span *span)
{
    om_json_put(out, ",\"status\":{");
    if (span->why.size) {
        om_json_put(out, "\"message\":");
        om_json_put_str(out, otlp_text(span, span->why));
        om_json_put(out, ",");
    }
    om_json_put(out, "\"code\":");
    om_json_put_i64(out, span->failed ? OTLP_STATUS_ERROR : 0);
    om_json_put(out, "}");
}

void
otlp_json_span(struct om_buf *out, const struct om_span *span)
{
    static const uint8_t none[8];
    bool child = memcmp(span->parent, none, sizeof(none)) != 0;
    if (out->size)
        om_json_put(out, ",");
    put_hex(out, "{\"traceId\":", span->trace.trace_id, sizeof(span->trace.trace_id));
    put_hex(out, ",\"spanId\":", span->trace.span_id, sizeof(span->trace.span_id));
    if (span->state.size) {
        om_json_put(out, ",\"traceState\":");
        om_json_put_str(out, otlp_text(span, span->state));
    }
    if (child)
        put_hex(out, ",\"parentSpanId\":", span->parent, sizeof(span->parent));
    om_json_put(out, ",\"name\":");
    om_json_put_str(out, otlp_text(span, span->name));
    om_json_put(out, ",\"kind\":");
    om_json_put_i64(out, span->kind);
    put_time(out, ",\"startTimeUnixNano\":", span->start_us);
    put_time(out, ",\"endTimeUnixNano\":", span->end_us);
    put_attrs(out, span);
    put_link(out, &span->link);
    put_status(out, span);
    int remote = OTLP_REMOTE_KNOWN | (span->remote ? OTLP_REMOTE : 0);
    om_json_put(out, ",\"flags\":");
    om_json_put_i64(out, span->trace.flags | (child ? remote : 0));
    om_json_put(out, "}");
}

void
otlp_json_request(struct om_buf *out, const struct om_otlp_resource *resource,
                  struct om_str spans)
{
    om_json_put(out, "{\"resourceSpans\":[{\"resource\":{\"attributes\":[");
    for (size_t i = 0; i < resource->count; i++) {
        if (i)
            om_json_put(out, ",");
        put_pair(out, resource->pairs[i].key, resource->pairs[i].value);
    }
    om_json_put(out, "]},\"scopeSpans\":[{\"scope\":{\"name\":\"omni\"},\"spans\":[");
    om_buf_put(out, spans.data, spans.size);
    om_json_put(out, "],\"schemaUrl\":\"" OM_SPAN_SCHEMA
                     "\"}],\"schemaUrl\":\"" OM_SPAN_SCHEMA "\"}]}");
}

bool
otlp_json_answer(struct om_str answer, int64_t *refused, char *why, size_t why_size)
{
    if (answer.size == 0)
        return true;
    json_t *root = json_loadb(answer.data, answer.size, JSON_REJECT_DUPLICATES, NULL);
    json_t *partial = json_object_get(root, "partialSuccess");
    json_t *count = json_object_get(partial, "rejectedSpans");
    const char *message = json_string_value(json_object_get(partial, "errorMessage"));
    bool good = json_is_object(root) && (!partial || json_is_object(partial));
    if (json_is_integer(count))
        *refused = json_integer_value(count);
    else if (json_is_string(count))
        *refused = strtoll(json_string_value(count), NULL, 10);
    snprintf(why, why_size, "%s", message ? message : "");
    json_decref(root);
    return good && *refused >= 0;
}
