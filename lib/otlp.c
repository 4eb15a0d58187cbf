#include "otlp.h"
#include "json.h"
#include "otlp_form.h"

struct om_str
otlp_text(const struct om_span *span, struct om_span_text text)
{
    return (struct om_str){ span->text + text.at, text.size };
}

int64_t
otlp_int(const struct om_span *span, struct om_span_text text)
{
    int64_t value = 0;
    memcpy(&value, span->text + text.at, sizeof(value));
    return value;
}

void
om_otlp_put_span(struct om_buf *spans, enum om_otlp_form form, const struct om_span *span)
{
    if (form == OM_OTLP_PROTOBUF)
        otlp_proto_span(spans, span);
    else
        otlp_json_span(spans, span);
}

void
om_otlp_put_request(struct om_buf *out, enum om_otlp_form form,
                    const struct om_otlp_resource *resource, struct om_str spans)
{
    if (form == OM_OTLP_PROTOBUF)
        otlp_proto_request(out, resource, spans);
    else
        otlp_json_request(out, resource, spans);
}

bool
om_otlp_read_answer(enum om_otlp_form form, struct om_str answer, int64_t *refused,
                    char *why, size_t why_size)
{
    *refused = 0;
    *why = '\0';
    return form == OM_OTLP_PROTOBUF ? otlp_proto_answer(answer, refused, why, why_size)
                                    : otlp_json_answer(answer, refused, why, why_size);
}
