// fuzz_fields.c - any value of the fields that the edge reads itself: Accept and
// Last-Event-ID of streams, Origin, Authorization, X-Forwarded-*, traceparent.
#include <stdio.h>
#include <stdlib.h>

#include "cors.h"
#include "keys.h"
#include "proxy.h"
#include "sse.h"
#include "trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// An id that is read is one that would be written.
static void
check_id(struct om_str text)
{
    struct sse_id id;
    OM_AUTO(om_buf_finish) struct om_buf out = { 0 };
    if (!sse_last_id(text, &id))
        return;
    sse_put(&out, &id, NULL, OM_LIT(""));
    struct om_str written = { out.data + 4,
                              (size_t)(strchr(out.data, '\n') - out.data) - 4 };
    struct sse_id again;
    if (!sse_last_id(written, &again) || again.seq != id.seq || again.end != id.end)
        abort();
}

// No data breaks out of its line.
static void
check_event(struct om_str data)
{
    OM_AUTO(om_buf_finish) struct om_buf out = { 0 };
    sse_put(&out, NULL, NULL, data);
    if (memchr(out.data, '\r', out.size) ||
        (const char *)memchr(out.data, '\n', out.size) != out.data + out.size - 2)
        abort();
}

static void
check_proxy(struct om_str text)
{
    struct om_http_field fields[2] = { { OM_LIT("X-Forwarded-For"), text },
                                       { OM_LIT("x-forwarded-proto"), text } };
    struct om_http_request request = { .remote = "10.0.0.1",
                                       .fields = fields,
                                       .field_count = 2 };
    struct om_arena arena = { 0 };
    struct proxies proxies;
    struct om_address client;
    if (om_cidr_list(OM_LIT("10.0.0.0/8"), proxies.networks, PROXIES_MAX, &proxies.count,
                     NULL) != OM_OK ||
        om_address_parse(om_str(proxy_client(&proxies, &request, &arena)), &client) !=
            OM_OK)
        abort();
    proxy_is_secure(&proxies, &request, false);
    om_arena_finish(&arena);
}

// An origin that the setting takes is one that a page may have.
static void
check_cors(struct om_str text)
{
    struct cors cors;
    struct om_str bad;
    struct cors_facts facts = { .cors = &cors, .origin = text, .host = OM_LIT("a") };
    if (cors_parse(text, &cors, &bad) == OM_OK && cors.count == 1 &&
        cors.origins[0].size == text.size && cors_decide(&facts) == CORS_REFUSED)
        abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct om_str text = { (const char *)data, size };
    uint8_t hash[KEY_HASH];
    struct om_trace trace;
    sse_wanted(text);
    check_id(text);
    check_event(text);
    check_proxy(text);
    check_cors(text);
    (void)keys_read(text, hash);
    (void)(om_trace_parse(text, &trace) == OM_OK);
    return 0;
}
