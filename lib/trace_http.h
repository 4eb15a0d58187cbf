// trace_http.h - the trace context of an HTTP request (W3C Trace Context, level 2).
#pragma once
#include "http_message.h"
#include "trace.h"

// Read what the request says. False: nothing, or nothing valid; then there is no context.
// `state` gets the tracestate to be passed on, a final zero behind it; *state_size may be
// 0 with a context: a malformed tracestate spoils no traceparent.
bool om_trace_of_request(const struct om_http_request *request, struct om_trace *out,
                         char state[OM_TRACESTATE_MAX + 1], size_t *state_size);
