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

// Was there none?
bool om_trace_is_none(const struct om_trace *trace);

// Read tracestate headers, in their order, as one list: `out` gets the members that may
// be passed on, a final zero behind them. Of two of a key the first stays. What is more
// than 512 characters goes, members of more than 128 first, then those on the right.
// Returns its size; 0 if a header is malformed or there are more than 32 members: then
// nothing is passed on. To be used only with a traceparent that is valid.
enum { OM_TRACESTATE_MAX = 512, OM_TRACESTATE_MEMBERS = 32 };
size_t om_tracestate_read(const struct om_str *headers, size_t count,
                          char out[OM_TRACESTATE_MAX + 1]);

// The id of an attempt's span: whoever knows the task (16 bytes) and the attempt's
// number, as broker and worker do, knows it. FNV-1a of 64 bits over both, the number
// big-endian.
void om_trace_attempt(const uint8_t task[16], uint32_t attempt, uint8_t span_id[8]);

// The trace id as 32 hexadecimal digits with a final zero.
void om_trace_id_text(const struct om_trace *trace, char out[33]);
