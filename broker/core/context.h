// context.h - the trace context an event was made in, kept as one text: a traceparent
// and, behind a semicolon, a tracestate if there is one.
#pragma once
#include <string.h>

#include "wire.h"

enum { CONTEXT_MAX = 64 + 1 + 512 };

// The text, in `out`; empty without a traceparent, or if it would not fit.
static inline struct om_str
context_join(struct om_str traceparent, struct om_str tracestate, char out[CONTEXT_MAX])
{
    size_t size = traceparent.size;
    if (size == 0 || size + 1 + tracestate.size > CONTEXT_MAX)
        return (struct om_str){ 0 };
    memcpy(out, traceparent.data, size);
    if (tracestate.size > 0) {
        out[size++] = ';';
        memcpy(out + size, tracestate.data, tracestate.size);
        size += tracestate.size;
    }
    return (struct om_str){ out, size };
}

// Have the record of an event say it; it borrows from `context`.
static inline void
context_split(struct om_str context, struct wire_logged *logged)
{
    if (context.size == 0)
        return;
    const char *end = memchr(context.data, ';', context.size);
    size_t size = end ? (size_t)(end - context.data) : context.size;
    REC_SET(logged, wire_logged, traceparent, ((struct om_str){ context.data, size }));
    if (end)
        REC_SET(logged, wire_logged, tracestate,
                ((struct om_str){ end + 1, context.size - size - 1 }));
}
