#include "spans.h"
#include "span.h"

// What the telling is called in a trace.
static const char *const names[] = {
    [TOLD_COMMIT] = "commit",
    [TOLD_WAIT] = "wait",
    [TOLD_ATTEMPT] = "attempt",
};

static void
put_ids(struct om_span *span, const struct core_told *told)
{
    char text[OM_TYPEID_MAX];
    size_t size;
    if (!om_uuid_is_zero(&told->task)) {
        size = om_typeid_encode(OM_ID_TASK, &told->task, text);
        om_span_str(span, OM_ATTR_TASK, (struct om_str){ text, size });
    }
    if (!om_uuid_is_zero(&told->tenant)) {
        size = om_typeid_encode(OM_ID_TENANT, &told->tenant, text);
        om_span_str(span, OM_ATTR_TENANT, (struct om_str){ text, size });
    }
}

// Each attempt is a child of the job's creation, and linked to the one before.
static void
put_attempt(struct om_span *span, const struct core_told *told,
            const struct om_trace *trace)
{
    struct om_trace before = *trace;
    om_span_int(span, OM_ATTR_ATTEMPT, told->attempt);
    if (told->what != TOLD_ATTEMPT)
        return;
    om_span_str(span, OM_ATTR_NODE, told->node);
    if (told->attempt > 1) {
        om_trace_attempt(told->task.bytes, told->attempt - 1, before.span_id);
        om_span_link(span, &before);
    }
}

static void
tell(void *context, const struct core_told *told)
{
    struct om_trace parent, trace;
    (void)context;
    if (om_trace_parse(told->traceparent, &parent) != OM_OK)
        return;
    trace = om_trace_child(&parent);
    if (told->what == TOLD_ATTEMPT)
        om_trace_attempt(told->task.bytes, told->attempt, trace.span_id);
    bool failed = told->code.size > 0;
    struct om_span *span =
        om_span_begin(&trace, parent.span_id, OM_SPAN_INTERNAL, told->from_us, failed);
    if (!span)
        return;
    span->end_us = told->to_us;
    span->remote = true;
    om_span_name(span, "%s %.*s", names[told->what], (int)told->queue.size,
                 told->queue.data);
    om_span_str(span, OM_ATTR_SYSTEM, OM_LIT("omni"));
    om_span_str(span, OM_ATTR_DESTINATION, told->queue);
    om_span_str(span, OM_ATTR_KIND, told->kind);
    put_ids(span, told);
    if (told->attempt)
        put_attempt(span, told, &trace);
    if (failed)
        om_span_fail(span, told->code, told->text);
    om_span_end(span);
}

void
spans_configure(struct core_conf *conf)
{
    if (atomic_load(&om_span_enabled))
        conf->tell = tell;
}
