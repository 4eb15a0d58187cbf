// fuzz_trace.c - any bytes as traceparent and tracestate. What is passed on must be read
// as the same again, and be no longer than it may be.
#include <stdlib.h>

#include "trace.h"

enum { HEADERS = 4 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_parent(struct om_str text)
{
    struct om_trace trace, again;
    char written[OM_TRACEPARENT_SIZE + 1];
    if (om_trace_parse(text, &trace) != OM_OK) {
        if (!om_trace_is_none(&trace))
            abort();
        return;
    }
    om_trace_format(&trace, written);
    if (om_trace_is_none(&trace) || om_trace_parse(om_str(written), &again) != OM_OK ||
        memcmp(&trace, &again, sizeof(trace)) != 0)
        abort();
}

// Each line is a header.
static void
check_state(struct om_str text)
{
    struct om_str headers[HEADERS];
    char once[OM_TRACESTATE_MAX + 1], twice[OM_TRACESTATE_MAX + 1];
    size_t count = 0;
    while (text.size && count < HEADERS) {
        const char *end = memchr(text.data, '\n', text.size);
        size_t line = end ? (size_t)(end - text.data) : text.size;
        headers[count++] = (struct om_str){ text.data, line };
        text.data += line + (end != NULL);
        text.size -= line + (end != NULL);
    }
    size_t size = om_tracestate_read(headers, count, once);
    struct om_str one = { once, size };
    if (size > OM_TRACESTATE_MAX || once[size] != '\0' || memchr(once, '\n', size) ||
        om_tracestate_read(&one, 1, twice) != size || memcmp(once, twice, size) != 0)
        abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct om_str text = { (const char *)data, size };
    check_parent(text);
    check_state(text);
    return 0;
}
