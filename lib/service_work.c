#include <stdio.h>

#include "clock.h"
#include "log.h"
#include "once.h"
#include "service_host.h"
#include "service_stats.h"
#include "span.h"
#include "trace.h"

enum { NOW_BYTES_MAX = 32 * 1024 }; // to decode more takes its time

static const struct om_route *
find_route(const struct om_route *routes, struct om_str name)
{
    for (const struct om_route *route = routes; route && route->handle; route++)
        if (om_str_eq(name, om_str(ops[route->op].name)))
            return route;
    return NULL;
}

// Who asks for a job is checked by the broker at SUBMIT; who calls, here.
static enum om_rc
check_call(struct om_job *job, const struct om_route *route, struct om_call *call)
{
    const struct wire_msg *msg = job->msg;
    if (!route)
        return om_job_fail(job, OM_EUNSUPPORTED, NULL,
                           "this service has no operation %.*s", (int)msg->kind.size,
                           msg->kind.data);
    call->op = &ops[route->op];
    call->from = role_find(msg->from);
    if (job->lane == OM_LANE_CALL && !(call->op->callers >> call->from & 1))
        return om_job_fail(job, OM_EFORBIDDEN, NULL, "%s may not call %s",
                           role_name(call->from), call->op->name);
    if (msg->tenant.size &&
        om_typeid_decode(OM_ID_TENANT, msg->tenant, &call->tenant_id) != OM_OK)
        return om_job_fail(job, OM_EINVAL, "tenant", "the tenant is no tenant id");
    return OM_OK;
}

struct run {
    struct service_host *host;
    const struct om_route *route;
};

static enum om_rc
run_handler(void *context, struct om_call *call)
{
    struct run *run = context;
    struct om_job *job = call->job;
    const struct rec_field *field;
    void *request = om_arena_alloc(job->arena, call->op->request->size);
    void *reply = om_arena_alloc(job->arena, call->op->reply->size);
    enum om_rc rc = rec_decode(call->op->request, job->payload, request, &field);
    if (rc != OM_OK)
        return om_job_fail(job, rc, field ? field->name : NULL, "%s: %s",
                           field ? field->name : "request",
                           field ? field->doc : "not a record of this operation");
    rc = run->route->handle(run->host->self, call, request, reply);
    if (rc != OM_OK)
        return rc;
    rec_encode(call->op->reply, reply, &job->result);
    job->result_type = "application/msgpack";
    return OM_OK;
}

static enum om_rc
answer(struct service_host *host, struct om_job *job, const struct om_route *route,
       struct om_call *call)
{
    struct run run = { host, route };
    const struct om_service *service = host->service;
    bool keyed = job->lane == OM_LANE_CALL && WIRE_HAS(job->msg, idem_key) &&
                 WIRE_HAS(job->msg, hash);
    if (!keyed || !service->database)
        return run_handler(&run, call);
    const struct om_shown_once *shown = service->shown_once;
    while (shown && shown->field && shown->op != route->op)
        shown++;
    return om_once(service->database(host->self), shown ? shown->field : NULL, call,
                   run_handler, &run);
}

// One span in the trace of `count` events, that they have arrived with the others of a
// run.
static void
trace_events(const struct om_job *job, const struct wire_logged *events, size_t count,
             int64_t start_us)
{
    struct om_trace parent, trace;
    if (!events->traceparent.size ||
        om_trace_parse(events->traceparent, &parent) != OM_OK ||
        !om_span_wanted(&parent, false))
        return;
    trace = om_trace_child(&parent);
    struct om_span *span =
        om_span_begin(&trace, parent.span_id, OM_SPAN_CONSUMER, start_us, false);
    if (!span)
        return;
    span->remote = true;
    om_span_name(span, "process %.*s", (int)job->msg->queue.size, job->msg->queue.data);
    om_span_state(span, events->tracestate);
    om_span_str(span, OM_ATTR_SYSTEM, OM_LIT("omni"));
    om_span_str(span, OM_ATTR_OPERATION, OM_LIT("process"));
    om_span_str(span, OM_ATTR_OPERATION_TYPE, OM_LIT("process"));
    om_span_str(span, OM_ATTR_DESTINATION, job->msg->queue);
    om_span_str(span, OM_ATTR_MESSAGE, events->id);
    om_span_str(span, OM_ATTR_TENANT, events->tenant);
    om_span_int(span, OM_ATTR_BATCH, (int64_t)count);
    om_span_end(span);
}

// What one commit of the broker appended lies together, and is told of once.
static void
trace_run(const struct om_job *job, const struct wire_logged *events, size_t count,
          int64_t start_us)
{
    for (size_t i = 0, next; i < count; i = next) {
        for (next = i + 1; next < count; next++)
            if (!om_str_eq(events[next].traceparent, events[i].traceparent))
                break;
        trace_events(job, &events[i], next - i, start_us);
    }
}

static enum om_rc
run_events(struct service_host *host, struct om_job *job)
{
    struct rec_iter iter = rec_iter(job->payload);
    if (!host->service->on_events || iter.left == 0 || iter.left > WIRE_EVENT_RUN_MAX)
        return om_job_fail(job, OM_EPROTO, NULL, "not a run of events");
    size_t count = iter.left;
    struct wire_logged *events = om_arena_alloc(job->arena, count * sizeof(*events));
    for (size_t i = 0; i < count; i++) {
        struct om_str raw;
        if (!rec_next_raw(&iter, &raw) ||
            rec_decode(&wire_logged_rec, raw, &events[i], NULL) != OM_OK)
            return om_job_fail(job, OM_EPROTO, NULL, "event %zu of the run is malformed",
                               i);
    }
    bool traced = atomic_load_explicit(&om_span_enabled, memory_order_relaxed);
    int64_t start_us = traced ? om_span_now_us() : 0;
    job->rc =
        host->service->on_events(host->self, (uint8_t)job->msg->shard, events, count);
    service_stats_run(job->rc, count, om_clock_wall_ms() - events[0].at);
    if (traced && job->rc == OM_OK)
        trace_run(job, events, count, start_us);
    return job->rc;
}

// Set the ids of this thread's log lines from the trace context of the work.
static void
set_log_context(const struct wire_msg *msg)
{
    struct om_trace trace;
    char trace_id[33] = "", id[OM_TYPEID_MAX + 16] = "";
    if (WIRE_HAS(msg, traceparent) && om_trace_parse(msg->traceparent, &trace) == OM_OK)
        om_trace_id_text(&trace, trace_id);
    struct om_str source = WIRE_HAS(msg, id) ? msg->id : msg->task;
    snprintf(id, sizeof(id), "%.*s", (int)source.size, source.size ? source.data : "");
    om_log_context(trace_id, id);
}

// Why the job failed, for the log.
static const char *
find_reason(const struct service_host *host, const struct om_job *job)
{
    bool storage = job->rc == OM_EDB || job->rc == OM_ENOSPACE;
    if (*job->text || !storage || !host->service->database)
        return job->text;
    return om_db_error(host->service->database(host->self));
}

// The one place where work is logged: failures of the platform as errors, the rest only
// when debugging.
static void
log_outcome(const struct service_host *host, const struct om_job *job, int64_t started_us)
{
    const struct om_rc_info *info = om_rc_info(job->rc);
    enum om_log_level level = job->rc == OM_OK           ? OM_DEBUG
                              : info->http_status >= 500 ? OM_ERROR
                                                         : OM_INFO;
    om_log(level, job->rc == OM_OK ? "done" : "failed", LOG_STR("op", job->msg->kind),
           LOG_STR("tenant", job->msg->tenant), LOG_S("code", info->code),
           LOG_S("err", find_reason(host, job)),
           LOG_I("dur_us", om_clock_mono_us() - started_us));
}

static void
run_call(struct service_host *host, struct om_job *job, const struct om_route *route,
         struct om_call *call)
{
    *call = (struct om_call){
        .tenant = job->msg->tenant,
        .id = job->lane == OM_LANE_CALL ? job->msg->id : job->msg->task,
        .traceparent = job->msg->traceparent,
        .grant = job->msg->grant,
        .job = job,
        .now = call->now,
    };
    job->rc = check_call(job, route, call);
    if (job->rc == OM_OK)
        job->rc = answer(host, job, route, call);
}

void
service_handle(void *context, struct om_job *job)
{
    struct service_host *host = context;
    int64_t started_us = om_clock_mono_us();
    service_stats_busy(1);
    set_log_context(job->msg);
    if (!job->slot)
        job->slot = host->client;
    if (job->lane == OM_LANE_EVENTS) {
        job->rc = run_events(host, job);
        job->retryable = true;
    } else {
        struct om_call call = { 0 };
        const struct om_route *route = find_route(host->routes, job->msg->kind);
        run_call(host, job, route, &call);
        service_stats_op(route, job, om_clock_mono_us() - started_us);
    }
    log_outcome(host, job, started_us);
    service_stats_busy(-1);
    om_log_context(NULL, NULL);
}

// The route of a call to be tried now, or NULL.
static const struct om_route *
find_now(const struct service_host *host, struct om_str name)
{
    const enum op *now = host->service->now;
    while (now && *now != OP_COUNT && !om_str_eq(name, om_str(ops[*now].name)))
        now++;
    return now && *now != OP_COUNT ? find_route(host->routes, name) : NULL;
}

bool
service_handle_now(void *context, struct om_job *job)
{
    struct service_host *host = context;
    const struct om_route *route = find_now(host, job->msg->kind);
    if (!route || job->payload.size > NOW_BYTES_MAX)
        return false;
    int64_t started_us = om_clock_mono_us();
    struct om_call call = { .now = true };
    set_log_context(job->msg);
    run_call(host, job, route, &call);
    if (call.now) {
        service_stats_op(route, job, om_clock_mono_us() - started_us);
        log_outcome(host, job, started_us);
    }
    om_log_context(NULL, NULL);
    return call.now;
}

enum om_rc
om_call_later(struct om_call *call)
{
    call->now = false;
    return OM_EBUSY;
}

enum om_rc
om_call_part(const struct om_call *call, const struct rec *type, const void *record)
{
    struct om_job *job = call->job;
    OM_AUTO(om_buf_finish) struct om_buf part = { 0 };
    rec_encode(type, record, &part);
    if (part.failed)
        return om_job_fail(job, OM_EUNAVAILABLE, NULL, "no memory");
    if (om_job_chunk(job, "application/msgpack", om_buf_str(&part)))
        return OM_OK;
    if (om_job_cancelled(job))
        return om_job_fail(job, OM_ECANCELLED, NULL, "nobody waits for the answer");
    return om_job_fail(job, OM_ETIMEOUT, NULL, "the answer was read too slowly");
}

struct om_str
om_call_copy(const struct om_call *call, struct om_str text)
{
    return (struct om_str){ om_arena_strdup(call->job->arena, text), text.size };
}

struct om_str
om_call_id(const struct om_call *call, const char *prefix, struct om_uuid id)
{
    char text[OM_TYPEID_MAX];
    size_t size = om_typeid_encode(prefix, &id, text);
    return om_call_copy(call, (struct om_str){ text, size });
}

struct om_client *
om_call_client(const struct om_call *call)
{
    return call->job->slot;
}
