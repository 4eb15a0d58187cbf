#include "trace.h"
#include "id.h"

static bool
all_zero(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i])
            return false;
    return true;
}

static bool
read_hex(const char *text, size_t bytes, uint8_t *out)
{
    for (size_t i = 0; i < 2 * bytes; i++) {
        char c = text[i];
        int value = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                           : -1;
        if (value < 0)
            return false;
        out[i / 2] = (uint8_t)(i % 2 ? out[i / 2] << 4 | value : value);
    }
    return true;
}

enum om_rc
om_trace_parse(struct om_str text, struct om_trace *out)
{
    const char *at = text.data;
    uint8_t version;
    struct om_trace trace;
    *out = (struct om_trace){ 0 };
    if (text.size < OM_TRACEPARENT_SIZE || at[2] != '-' || at[35] != '-' ||
        at[52] != '-' || !read_hex(at, 1, &version) ||
        !read_hex(at + 3, 16, trace.trace_id) || !read_hex(at + 36, 8, trace.span_id) ||
        !read_hex(at + 53, 1, &trace.flags))
        return OM_EINVAL;
    // Version 00 ends here; a later one may go on behind another dash.
    bool longer = text.size > OM_TRACEPARENT_SIZE;
    if (version == 0xff || (longer && (version == 0 || at[OM_TRACEPARENT_SIZE] != '-')) ||
        all_zero(trace.trace_id, 16) || all_zero(trace.span_id, 8))
        return OM_EINVAL;
    trace.flags &= 3;
    *out = trace;
    return OM_OK;
}

void
om_trace_format(const struct om_trace *trace, char out[OM_TRACEPARENT_SIZE + 1])
{
    memcpy(out, "00-", 3);
    om_hex(trace->trace_id, 16, out + 3);
    out[35] = '-';
    om_hex(trace->span_id, 8, out + 36);
    out[52] = '-';
    om_hex(&trace->flags, 1, out + 53);
}

struct om_trace
om_trace_start(void)
{
    struct om_trace trace;
    memcpy(trace.trace_id, om_random_id(sizeof(trace.trace_id)), sizeof(trace.trace_id));
    memcpy(trace.span_id, om_random_id(sizeof(trace.span_id)), sizeof(trace.span_id));
    trace.trace_id[15] |= all_zero(trace.trace_id, 16);
    trace.span_id[7] |= all_zero(trace.span_id, 8);
    trace.flags = 3;
    return trace;
}

struct om_trace
om_trace_child(const struct om_trace *parent)
{
    struct om_trace child = *parent;
    memcpy(child.span_id, om_random_id(sizeof(child.span_id)), sizeof(child.span_id));
    child.span_id[7] |= all_zero(child.span_id, 8);
    return child;
}

void
om_trace_id_text(const struct om_trace *trace, char out[33])
{
    om_hex(trace->trace_id, 16, out);
}

bool
om_trace_is_none(const struct om_trace *trace)
{
    return all_zero(trace->trace_id, sizeof(trace->trace_id));
}

void
om_trace_attempt(const uint8_t task[16], uint32_t attempt, uint8_t span_id[8])
{
    uint64_t hash = UINT64_C(14695981039346656037);
    for (int i = 0; i < 20; i++) {
        uint32_t byte = i < 16 ? task[i] : attempt >> (8 * (19 - i)) & 0xff;
        hash = (hash ^ byte) * UINT64_C(1099511628211);
    }
    hash += hash == 0; // no span has the id zero
    for (int i = 0; i < 8; i++)
        span_id[i] = (uint8_t)(hash >> (56 - 8 * i));
}
