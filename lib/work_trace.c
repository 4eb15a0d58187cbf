#include "clock.h"
#include "span.h"
#include "work.h"

// The context that the work was made in; none: nobody said.
static struct om_trace
context_of(const struct wire_msg *msg)
{
    struct om_trace trace = { 0 };
    if (WIRE_HAS(msg, traceparent))
        (void)!om_trace_parse(msg->traceparent, &trace);
    return trace;
}

// What the work is a part of: the attempt, whose span the broker writes, or the call.
static void
find_parent(const struct wire_msg *msg, struct om_trace *parent, uint32_t *attempt)
{
    struct wire_token token;
    *attempt = 0;
    if (!WIRE_HAS(msg, token) || wire_token_decode(msg->token, &token) != OM_OK)
        return;
    *attempt = token.attempt;
    om_trace_attempt(token.task.bytes, token.attempt, parent->span_id);
}

// A caller who asks for what is not there has failed, and not this process; a job that
// fails has.
static bool
is_failure(const struct om_job *job)
{
    if (job->rc == OM_OK || job->rc == OM_ECANCELLED)
        return false;
    return job->lane != OM_LANE_CALL || om_rc_info(job->rc)->http_status >= 500;
}

static void
put_ids(struct om_span *span, const struct om_job *job, uint32_t attempt)
{
    const struct wire_msg *msg = job->msg;
    bool call = job->lane == OM_LANE_CALL;
    om_span_str(span, OM_ATTR_SYSTEM, OM_LIT("omni"));
    om_span_str(span, OM_ATTR_OPERATION, OM_LIT("process"));
    om_span_str(span, OM_ATTR_OPERATION_TYPE, OM_LIT("process"));
    om_span_str(span, OM_ATTR_DESTINATION, msg->queue);
    om_span_str(span, OM_ATTR_KIND, msg->kind);
    om_span_str(span, OM_ATTR_TENANT, msg->tenant);
    om_span_str(span, call ? OM_ATTR_MESSAGE : OM_ATTR_TASK, call ? msg->id : msg->task);
    if (attempt)
        om_span_int(span, OM_ATTR_ATTEMPT, attempt);
}

static void
write_span(const struct om_job *job, const struct om_trace *trace,
           const struct om_trace *parent, const struct om_trace *creation,
           uint32_t attempt, int64_t start_us)
{
    bool failed = is_failure(job);
    if (!om_span_wanted(trace, failed))
        return;
    struct om_span *span =
        om_span_begin(trace, parent->span_id, OM_SPAN_CONSUMER, start_us, failed);
    if (!span)
        return;
    span->remote = true;
    om_span_name(span, "process %.*s", (int)job->msg->queue.size, job->msg->queue.data);
    put_ids(span, job, attempt);
    om_span_state(span, job->msg->tracestate);
    if (attempt)
        om_span_link(span, creation);
    const char *code = job->code ? job->code : om_rc_info(job->rc)->code;
    if (failed)
        om_span_fail(span, om_str(code), om_str(job->text));
    else if (job->rc != OM_OK)
        om_span_str(span, OM_ATTR_ERROR, om_str(code));
    om_span_end(span);
}

static bool
call_handler(const struct om_worker_conf *conf, struct om_job *job, bool now)
{
    if (now)
        return conf->handle_now(conf->context, job);
    conf->handle(conf->context, job);
    return true;
}

static bool
handle(struct om_job *job, const struct om_worker_conf *conf, bool now)
{
    struct om_trace creation = context_of(job->msg), parent = creation, trace;
    uint32_t attempt;
    if (job->lane == OM_LANE_EVENTS || om_trace_is_none(&creation))
        return call_handler(conf, job, now);
    bool traced = atomic_load_explicit(&om_span_enabled, memory_order_relaxed);
    int64_t start_us = traced ? om_span_now_us() : 0;
    find_parent(job->msg, &parent, &attempt);
    // Without spans of ours, what follows is a part of what the broker tells of.
    trace = traced ? om_span_continue(&parent) : parent;
    om_span_enter(&trace, job->msg->tracestate);
    bool handled = call_handler(conf, job, now);
    om_span_leave();
    if (traced && handled)
        write_span(job, &trace, &parent, &creation, attempt, start_us);
    return handled;
}

void
work_handle(struct work *self, const struct om_worker_conf *conf)
{
    handle(&self->job, conf, false);
}

bool
work_handle_now(struct work *self, const struct om_worker_conf *conf)
{
    return handle(&self->job, conf, true);
}
