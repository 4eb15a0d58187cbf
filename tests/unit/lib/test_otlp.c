// Spans as OTLP: bytes against those made by hand from opentelemetry-proto's numbers.
#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>

#include "id.h"
#include "otlp.h"

static struct om_buf spans, request;
static int wake_fd;

static void
begin(void)
{
    struct om_span_conf conf = { .queue = 8, .wake = 4, .sampler = OM_SAMPLE_ALWAYS };
    cr_assert(om_span_open(&conf, &wake_fd));
}

static void
end(void)
{
    om_span_close();
    om_buf_finish(&spans);
    om_buf_finish(&request);
}

TestSuite(otlp, .init = begin, .fini = end);

static struct om_trace
context(uint8_t id)
{
    struct om_trace trace = { .flags = 3 };
    memset(trace.trace_id, id, sizeof(trace.trace_id));
    memset(trace.span_id, id + 1, sizeof(trace.span_id));
    return trace;
}

static struct om_span
make_span(const char *text)
{
    static const uint8_t parent[8] = { 9, 9, 9, 9, 9, 9, 9, 9 };
    struct om_trace trace = context(0x11), other = context(0x33);
    struct om_span *span = om_span_begin(&trace, parent, OM_SPAN_SERVER, 1000, false);
    struct om_span out;
    om_span_name(span, "n");
    om_span_str(span, OM_ATTR_PATH, om_str(text));
    om_span_int(span, OM_ATTR_HTTP_STATUS, 503);
    om_span_link(span, &other);
    om_span_fail(span, OM_LIT("503"), OM_LIT("w"));
    span->end_us = 2000;
    om_span_end(span);
    cr_assert(om_span_take(&out));
    return out;
}

Test(otlp, protobuf_has_the_bytes_of_the_specification)
{
    static const char golden[] =
        // ScopeSpans.spans
        "12b801"
        // trace_id, span_id, parent_span_id
        "0a1011111111111111111111111111111111"
        "12081212121212121212"
        "22080909090909090909"
        // name, kind, start, end
        "2a016e"
        "3002"
        "3940420f0000000000"
        "4180841e0000000000"
        // url.path
        "4a12"
        "0a0875726c2e70617468"
        "12060a042fc3a9"
        "3f"
        // http.response.status_code
        "4a20"
        "0a19687474702e726573706f6e73652e7374617475735f636f6465"
        "1203"
        "18f703"
        // error.type
        "4a13"
        "0a0a6572726f722e74797065"
        "12050a03353033"
        // link: trace_id, span_id, flags
        "6a21"
        "0a1033333333333333333333333333333333"
        "12083434343434343434"
        "3503000000"
        // status: message, code; flags: sampled, random, parent known not to be remote
        "7a05"
        "120177"
        "1802"
        "850103010000";
    char hex[1024];
    struct om_span span = make_span("/\xc3\xa9\xff");
    om_otlp_put_span(&spans, OM_OTLP_PROTOBUF, &span);
    cr_assert_leq(spans.size, sizeof(hex) / 2 - 1);
    om_hex((const uint8_t *)spans.data, spans.size, hex);
    cr_expect_str_eq(hex, golden);
}

Test(otlp, protobuf_frame_holds_resource_and_scope)
{
    static const struct om_otlp_pair pair = { { "a", 1 }, { "b", 1 } };
    struct om_otlp_resource resource = { &pair, 1 };
    char hex[512], golden[512], url[128];
    static const char schema[] = OM_SPAN_SCHEMA;
    size_t size = strlen(schema);
    om_hex((const uint8_t *)schema, size, url);
    snprintf(golden, sizeof(golden),
             "0a%02zx"                          // resource_spans
             "0a0a0a080a016112030a0162"         // resource.attributes
             "12%02zx0a060a046f6d6e691a%02zx%s" // scope_spans: scope, schema_url
             "1a%02zx%s",
             12 + 2 + 8 + 2 + size + 2 + size, 8 + 2 + size, size, url, size, url);
    om_otlp_put_request(&request, OM_OTLP_PROTOBUF, &resource, OM_LIT(""));
    om_hex((const uint8_t *)request.data, request.size, hex);
    cr_expect_str_eq(hex, golden);
}

Test(otlp, json_says_the_same_as_the_specification_wants_it)
{
    static const struct om_otlp_pair pair = { { "service.name", 12 }, { "x", 1 } };
    struct om_otlp_resource resource = { &pair, 1 };
    struct om_span span = make_span("/\"\xff");
    om_otlp_put_span(&spans, OM_OTLP_JSON, &span);
    om_otlp_put_span(&spans, OM_OTLP_JSON, &span);
    om_otlp_put_request(&request, OM_OTLP_JSON, &resource, om_buf_str(&spans));
    json_t *root = json_loadb(request.data, request.size, JSON_REJECT_DUPLICATES, NULL);
    json_t *group, *list, *got;
    const char *id, *parent, *start, *status, *link;
    int kind, code;
    cr_assert(root, "%.*s", (int)request.size, request.data);
    cr_assert_eq(json_unpack(root, "{s:[{s:{s:[{s:s}]},s:[{s:o}]}]}", "resourceSpans",
                             "resource", "attributes", "key", &id, "scopeSpans", "spans",
                             &list),
                 0);
    cr_expect_str_eq(id, "service.name");
    cr_assert_eq(json_array_size(list), 2);
    got = json_array_get(list, 0);
    cr_assert_eq(json_unpack(got, "{s:s,s:s,s:i,s:s,s:o,s:[{s:s}],s:{s:i}}", "traceId",
                             &id, "parentSpanId", &parent, "kind", &kind,
                             "startTimeUnixNano", &start, "attributes", &group, "links",
                             "spanId", &link, "status", "code", &code),
                 0);
    cr_expect_str_eq(id, "11111111111111111111111111111111");
    cr_expect_str_eq(parent, "0909090909090909");
    cr_expect_str_eq(start, "1000000");
    cr_expect_str_eq(link, "3434343434343434");
    cr_expect(kind == 2 && code == 2);
    cr_assert_eq(
        json_unpack(json_array_get(group, 1), "{s:{s:s}}", "value", "intValue", &status),
        0);
    cr_expect_str_eq(status, "503");
    json_decref(root);
}

Test(otlp, answers_are_read_or_refused)
{
    static const struct {
        enum om_otlp_form form;
        const char *text;
        size_t size; // of protobuf; the others end with a zero
        bool good;
        int64_t refused;
        const char *why;
    } rows[] = {
        { OM_OTLP_PROTOBUF, "", 0, true, 0, "" },
        { OM_OTLP_PROTOBUF, "\x0a\x00", 2, true, 0, "" },
        { OM_OTLP_PROTOBUF, "\x0a\x02\x08\x05", 4, true, 5, "" },
        { OM_OTLP_PROTOBUF, "\x0a\x06\x08\x80\x01\x12\x01x", 8, true, 128, "x" },
        { OM_OTLP_PROTOBUF, "\x12\x01z\x0a\x02\x08\x01", 7, true, 1, "" },
        { OM_OTLP_PROTOBUF, "\x0a\x05\x08\x05", 4, false, 0, "" },
        { OM_OTLP_PROTOBUF, "\x0a", 1, false, 0, "" },
        { OM_OTLP_PROTOBUF, "<html>", 6, false, 0, "" },
        { OM_OTLP_PROTOBUF, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12, false,
          0, "" },
        { OM_OTLP_PROTOBUF, "\x0a\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 13,
          false, 0, "" },
        { OM_OTLP_JSON, "", 0, true, 0, "" },
        { OM_OTLP_JSON, "{}", 0, true, 0, "" },
        { OM_OTLP_JSON, "{\"partialSuccess\":{}}", 0, true, 0, "" },
        { OM_OTLP_JSON, "{\"partialSuccess\":{\"rejectedSpans\":\"7\"}}", 0, true, 7,
          "" },
        { OM_OTLP_JSON, "{\"partialSuccess\":{\"rejectedSpans\":7}}", 0, true, 7, "" },
        { OM_OTLP_JSON, "{\"partialSuccess\":{\"errorMessage\":\"no\"}}", 0, true, 0,
          "no" },
        { OM_OTLP_JSON, "[]", 0, false, 0, "" },
        { OM_OTLP_JSON, "{\"partialSuccess\":7}", 0, false, 0, "" },
        { OM_OTLP_JSON, "<html>", 0, false, 0, "" },
    };
    for (size_t i = 0; i < OM_COUNT(rows); i++) {
        int64_t refused;
        char why[32];
        size_t size = rows[i].form == OM_OTLP_JSON ? strlen(rows[i].text) : rows[i].size;
        bool good =
            om_otlp_read_answer(rows[i].form, (struct om_str){ rows[i].text, size },
                                &refused, why, sizeof(why));
        cr_expect_eq(good, rows[i].good, "row %zu", i);
        if (!good)
            continue;
        cr_expect_eq(refused, rows[i].refused, "row %zu: %lld", i, (long long)refused);
        cr_expect_str_eq(why, rows[i].why, "row %zu", i);
    }
}
