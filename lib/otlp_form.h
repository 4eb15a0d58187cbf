// otlp_form.h - the two forms of OTLP, for otlp.c alone.
#pragma once
#include "otlp.h"

enum { OTLP_REMOTE_KNOWN = 0x100, OTLP_REMOTE = 0x200, OTLP_STATUS_ERROR = 2 };

// The text, or the integer, that an attribute stands for.
struct om_str otlp_text(const struct om_span *span, struct om_span_text text);
int64_t otlp_int(const struct om_span *span, struct om_span_text text);

void otlp_proto_span(struct om_buf *out, const struct om_span *span);
void otlp_proto_request(struct om_buf *out, const struct om_otlp_resource *resource,
                        struct om_str spans);
bool otlp_proto_answer(struct om_str answer, int64_t *refused, char *why,
                       size_t why_size);

void otlp_json_span(struct om_buf *out, const struct om_span *span);
void otlp_json_request(struct om_buf *out, const struct om_otlp_resource *resource,
                       struct om_str spans);
bool otlp_json_answer(struct om_str answer, int64_t *refused, char *why, size_t why_size);
