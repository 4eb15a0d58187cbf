// otlp.h - spans as OTLP: an ExportTraceServiceRequest in protobuf or JSON. Pure.
//
// The messages are those of opentelemetry-proto 1.x, whose fields have fixed numbers; a
// request is made of spans encoded one by one, and the frame around them.
#pragma once
#include "pack.h"
#include "span.h"

enum om_otlp_form { OM_OTLP_PROTOBUF, OM_OTLP_JSON };

struct om_otlp_pair {
    struct om_str key, value;
};

// Who speaks: service.name, service.version and what else there is.
struct om_otlp_resource {
    const struct om_otlp_pair *pairs;
    size_t count;
};

// Append a span to those of a request, which may be empty. Text that is not UTF-8 is made
// so: a receiver would refuse the whole request for it.
void om_otlp_put_span(struct om_buf *spans, enum om_otlp_form form,
                      const struct om_span *span);

// Append the request with the spans put before.
void om_otlp_put_request(struct om_buf *out, enum om_otlp_form form,
                         const struct om_otlp_resource *resource, struct om_str spans);

// The answer to a request: how many spans were refused, 0 if none, and why (may be empty;
// in `why`). False: it is no ExportTraceServiceResponse.
OM_MUST_CHECK bool om_otlp_read_answer(enum om_otlp_form form, struct om_str answer,
                                       int64_t *refused, char *why, size_t why_size);
