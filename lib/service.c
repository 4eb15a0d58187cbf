#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sysexits.h>
#include <unistd.h>

#include "clock.h"
#include "idem.h"
#include "log.h"
#include "once.h"
#include "service.h"
#include "service_stats.h"
#include "trace.h"
#include "tracing.h"

enum {
    DRAIN_MS = 3000,
    QUEUES_MAX = 8,
    PURGE_MS = 60000,
    NOW_BYTES_MAX = 32 * 1024, // to decode more takes its time
};

struct host {
    const struct om_service *service;
    const struct om_route *routes;
    struct om_service_conf *conf;
    struct om_link_conf link; // of clients: the control thread's and each slot's
    struct om_client *client; // the control thread's
    void *self;               // the service's own
    struct om_worker *worker;
    int signal_fd;
    int64_t purge_ms; // when answers that are over are forgotten next
};

// ---- handling

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
    struct host *host;
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
answer(struct host *host, struct om_job *job, const struct om_route *route,
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
run_events(struct host *host, struct om_job *job)
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
find_reason(const struct host *host, const struct om_job *job)
{
    bool storage = job->rc == OM_EDB || job->rc == OM_ENOSPACE;
    if (*job->text || !storage || !host->service->database)
        return job->text;
    return om_db_error(host->service->database(host->self));
}

// The one place where work is logged: failures of the platform as errors, the rest only
// when debugging.
static void
log_outcome(const struct host *host, const struct om_job *job, int64_t started_us)
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
run_call(struct host *host, struct om_job *job, const struct om_route *route,
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

static void
handle(void *context, struct om_job *job)
{
    struct host *host = context;
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
find_now(const struct host *host, struct om_str name)
{
    const enum op *now = host->service->now;
    while (now && *now != OP_COUNT && !om_str_eq(name, om_str(ops[*now].name)))
        now++;
    return now && *now != OP_COUNT ? find_route(host->routes, name) : NULL;
}

static bool
handle_now(void *context, struct om_job *job)
{
    struct host *host = context;
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

// ---- the loop

static void *
open_slot(void *context)
{
    struct host *host = context;
    struct om_client *client;
    const char *why;
    // The endpoint and keys served the control thread, so only memory can be short here.
    if (om_client_create(&host->link, &client, &why) != OM_OK)
        abort();
    return client;
}

static void
close_slot(void *context, void *slot)
{
    (void)context;
    struct om_client *client = slot;
    om_client_destroy(&client);
}

static int
extra_fds(void *context, int *fds, int max)
{
    struct host *host = context;
    (void)max;
    om_link_fds(om_client_link(host->client), fds);
    fds[2] = host->signal_fd;
    return 3;
}

static void
purge(struct host *host, int64_t now_ms)
{
    bool more = false;
    if (!host->service->database || now_ms < host->purge_ms)
        return;
    struct om_db *db = host->service->database(host->self);
    if (om_idem_purge(db, om_clock_wall_ms(), &more) != OM_OK)
        om_log(OM_ERROR, "answers that are over are not forgotten",
               LOG_S("err", om_db_error(db)));
    host->purge_ms = now_ms + (more ? 0 : PURGE_MS);
}

static int64_t
on_tick(void *context, int64_t now_ms)
{
    struct host *host = context;
    uint64_t count;
    if (read(host->signal_fd, &count, sizeof(count)) == sizeof(count)) {
        om_log(OM_INFO, "stopping");
        om_worker_stop(host->worker);
    }
    // What the service sends is to leave, and may be answered, before anybody sleeps.
    int64_t due, own = INT64_MAX;
    purge(host, now_ms);
    do {
        due = om_client_process(host->client);
        if (host->service->tick)
            own = host->service->tick(host->self, now_ms);
    } while (!om_link_is_settled(om_client_link(host->client)));
    om_admin_set_ready(om_link_is_open(om_client_link(host->client)));
    if (host->service->database && host->purge_ms < due)
        due = host->purge_ms;
    return own < due ? own : due;
}

// The queues the routes name, each once, and that of the events.
static size_t
collect_queues(const struct host *host, const char *names[QUEUES_MAX])
{
    const struct om_service *service = host->service;
    uint64_t wanted = 0;
    for (const struct om_route *route = host->routes; route && route->handle; route++)
        wanted |= UINT64_C(1) << ops[route->op].queue;
    if (service->on_events)
        wanted |= UINT64_C(1) << service->events_queue;
    size_t count = 0;
    for (; wanted && count < QUEUES_MAX; wanted &= wanted - 1)
        names[count++] = queues[__builtin_ctzll(wanted)].name;
    return count;
}

static int
serve(struct host *host)
{
    const struct om_service *service = host->service;
    const char *names[QUEUES_MAX];
    struct om_worker_conf conf = {
        .link = host->link,
        .queues = names,
        .queue_count = collect_queues(host, names),
        .slots = service->slots ? service->slots(host->conf) : 0,
        .drain_ms = DRAIN_MS,
        .context = host,
        .handle = handle,
        .handle_now = service->now ? handle_now : NULL,
        .slot_open = open_slot,
        .slot_close = close_slot,
        .tick = on_tick,
        .fds = extra_fds,
    };
    conf.link.endpoint = host->conf->broker_work;
    const char *why;
    if (om_worker_create(&conf, &host->worker, &why) != OM_OK) {
        om_log(OM_ERROR, "cannot start", LOG_S("why", why),
               LOG_S("endpoint", conf.link.endpoint));
        return EX_CONFIG;
    }
    om_log(OM_INFO, "serving", LOG_S("node", host->link.node),
           LOG_I("slots", conf.slots));
    om_worker_run(host->worker);
    om_worker_destroy(&host->worker);
    om_log(OM_INFO, "stopped");
    return EX_OK;
}

static int
start_and_serve(struct host *host)
{
    char why[512] = "";
    const char *reason = why;
    if (om_client_create(&host->link, &host->client, &reason) != OM_OK) {
        om_log(OM_ERROR, "cannot start", LOG_S("why", reason),
               LOG_S("endpoint", host->link.endpoint));
        return EX_CONFIG;
    }
    const struct om_service *service = host->service;
    host->routes =
        service->choose_routes ? service->choose_routes(host->conf) : service->routes;
    service_stats_open(host->routes, service->slots ? service->slots(host->conf) : 0,
                       service->on_events != NULL);
    int status = EX_UNAVAILABLE;
    host->self = host->service->start(host->conf, host->client, why, sizeof(why));
    if (host->self) {
        status = serve(host);
        host->service->stop(host->self);
    } else {
        om_log(OM_ERROR, "cannot start", LOG_S("why", why));
    }
    om_client_destroy(&host->client);
    return status;
}

// ---- the process

static int stop_fd = -1; // an eventfd, as a signal's handler has no other way to it

static void
on_signal(int number)
{
    uint64_t one = 1;
    int kept = errno;
    (void)number;
    ssize_t ignored = write(stop_fd, &one, sizeof(one)); // full: it was told already
    (void)ignored;
    errno = kept;
}

// A descriptor that is readable after SIGTERM or SIGINT. Not a signalfd: that needs the
// signals blocked in every thread, and OpenBLAS starts some of its own before main.
static int
open_signals(void)
{
    stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    return stop_fd;
}

int
om_service_main(const struct om_service *service, int argc, char **argv)
{
    bool check = false;
    char program[64];
    snprintf(program, sizeof(program), "omni-%s", service->name);
    int status = om_conf_arguments(program, "", service->settings, argc, argv, &check);
    if (status >= 0)
        return status;

    char why[512];
    struct host host = { .service = service, .conf = calloc(1, service->conf_size) };
    if (!host.conf)
        return EX_OSERR;
    om_log_init(service->name);
    status = EX_CONFIG;
    if (om_conf_load(service->settings, host.conf, why, sizeof(why)) != OM_OK) {
        om_log(OM_ERROR, "cannot start", LOG_S("why", why));
    } else if (check) {
        status = EX_OK;
    } else {
        char node[64];
        snprintf(node, sizeof(node), "%s-%d", service->name, (int)getpid());
        host.link = (struct om_link_conf){
            .endpoint = host.conf->broker,
            .node = *host.conf->node ? host.conf->node : node,
            .keys = host.conf->keys,
            .role = service->role,
        };
        host.signal_fd = open_signals();
        om_metrics_init(service->name,
                        METRICS_BIT(SERVICE) | service->metrics |
                            (service->database ? METRICS_BIT(DATABASE) : 0));
        struct om_admin *admin = NULL;
        if (om_admin_start(host.conf->admin, &admin, why, sizeof(why)) == OM_OK) {
            om_tracing_start(service->name, host.link.node);
            status = start_and_serve(&host);
            om_tracing_stop();
        } else {
            om_log(OM_ERROR, "cannot start", LOG_S("why", why));
        }
        om_admin_stop(&admin);
        close(host.signal_fd);
    }
    om_conf_free(service->settings, host.conf);
    free(host.conf);
    return status;
}
