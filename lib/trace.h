// trace.h - W3C trace context (https://www.w3.org/TR/trace-context/). Pure.
#pragma once
#include "rc.h"

struct om_trace {
    uint8_t trace_id[16]; // all zero: there is no context
    uint8_t span_id[8];
    uint8_t flags; // 01 sampled, 02 random
};

enum { OM_TRACEPARENT_SIZE = 55 };

// Read a traceparent header. OM_EINVAL if it is not valid; then there is no context.
OM_MUST_CHECK enum om_rc om_trace_parse(struct om_str traceparent, struct om_trace *out);

// Write it as version 00 with a final zero.
void om_trace_format(const struct om_trace *trace, char out[OM_TRACEPARENT_SIZE + 1]);

// A new trace; and a new span of the same trace.
struct om_trace om_trace_start(void);
struct om_trace om_trace_child(const struct om_trace *parent);

// The trace id as 32 hexadecimal digits with a final zero.
void om_trace_id_text(const struct om_trace *trace, char out[33]);
