#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>
#include <utlist.h>

#include "admit.h"
#include "clock.h"
#include "cors_reply.h"
#include "exchange.h"
#include "failure_note.h"
#include "id.h"
#include "keyed.h"
#include "log.h"
#include "request_note.h"
#include "stats.h"

enum {
    TICK_MS = 250, // reports leave each tick, the feeds are asked every second one
    RENEW_TICKS = SHARED_RENEW_MS / TICK_MS,
    FLUSH_TURN_MS = 100,
};

// ---- requests

// A field of which only one can be meant, and that stands there twice; NULL: none.
// Somebody in front of the edge may have taken the other one for it.
static const char *
repeated_field(const struct om_http_request *request)
{
    static const char *const single[] = { "authorization", "idempotency-key",
                                          "content-type", "last-event-id" };
    for (size_t i = 0; i < OM_COUNT(single); i++) {
        size_t size = strlen(single[i]), count = 0;
        for (size_t j = 0; j < request->field_count; j++) {
            struct om_str name = request->fields[j].name;
            count += name.size == size && strncasecmp(name.data, single[i], size) == 0;
        }
        if (count > 1)
            return single[i];
    }
    return NULL;
}

static void
on_head(void *context, struct om_http_request *request)
{
    struct edge *self = context;
    struct exchange *x = exchange_begin(self, request);
    if (!x) {
        struct om_http_response response = { .status = 503, .close = true };
        om_id_text(OM_ID_REQUEST, 0, self->refused_id);
        om_http_response_field(&response, "x-request-id", om_str(self->refused_id));
        om_http_respond(self->loop, request->handle, &response);
        return;
    }
    request->user = x;
    struct om_str params[ROUTE_PARAMS_MAX] = { 0 };
    x->route = route_find(request, params, x->resource, sizeof(x->resource));
    if (!x->route && x->resource[0] && cors_preflight(x, x->resource))
        return;
    if (!x->route) {
        if (x->resource[0])
            exchange_fail_status(x, 405, "this path allows %s", x->resource);
        else
            exchange_fail(x, OM_ENOTFOUND, NULL,
                          "there is no such path; GET /openapi.json lists them");
        return;
    }
    const char *repeated = repeated_field(request);
    if (repeated) {
        exchange_fail(x, OM_EINVAL, repeated, "the header %s must be given once",
                      repeated);
        return;
    }
    for (size_t i = 0; i < ROUTE_PARAMS_MAX && params[i].data; i++)
        x->params[i] =
            (struct om_str){ om_arena_strdup(&x->arena, params[i]), params[i].size };
    request->streamed = x->route->on_body != NULL;
    if (x->route->body_max)
        request->body_limit = x->route->body_max;
    if (x->route->auth == AUTH_KEY)
        admit_key(x, request);
    else if (x->route->auth == AUTH_GRANT)
        admit_grant(x, request);
    else if (x->route->on_head)
        x->route->on_head(x);
}

static void
on_body(void *context, struct om_http_request *request, struct om_str bytes)
{
    (void)context;
    struct exchange *x = request->user;
    x->route->on_body(x, bytes);
}

static void
on_request(void *context, struct om_http_request *request)
{
    (void)context;
    keyed_handle(request->user);
}

static void
on_gone(void *context, struct om_http_request *request)
{
    (void)context;
    exchange_gone(request->user);
}

static void
on_room(void *context, struct om_http_request *request)
{
    (void)context;
    stream_room(request->user);
}

// Refused before there was an exchange, or instead of one.
static void
on_refuse(void *context, const struct om_http_request *request, const char *reason,
          struct om_http_response *response)
{
    struct edge *self = context;
    struct exchange *x = request->user;
    struct error_text error = error_of_status(response->status);
    error.message = om_str(reason);
    if (x)
        memcpy(self->refused_id, x->id_text, sizeof(self->refused_id));
    else
        om_id_text(OM_ID_REQUEST, 0, self->refused_id);
    om_buf_reset(&self->refusal);
    error_write(&self->refusal, &error, self->refused_id);
    response->content_type = OM_LIT("application/json");
    response->body = om_buf_str(&self->refusal);
    if (x) {
        exchange_name(x, response);
        x->code = error.code;
        request_note(x, response);
        failure_note(x, response->status);
    } else {
        om_http_response_field(response, "x-request-id", om_str(self->refused_id));
    }
    stats_refuse(response->status);
}

// ---- the thread

static void
watch_link(struct edge *self)
{
    int fds[2];
    struct om_link *link = om_client_link(self->client);
    if (om_link_is_open(link) && !self->rewatch)
        return;
    // A socket made anew may have the number of the old one, which left epoll when it was
    // closed; what is watched already stays so.
    self->rewatch = !om_link_is_open(link);
    om_link_fds(link, fds);
    for (int i = 0; i < 2; i++)
        if (fds[i] >= 0 && !om_http_watch(self->loop, fds[i]))
            om_log(OM_ERROR, "cannot watch the link", LOG_I("errno", errno));
}

static void
set_timer(struct edge *self, struct om_timer *timer, int64_t at_ms)
{
    if (!om_timers_set(om_http_timers(self->loop), timer, at_ms))
        om_log(OM_ERROR, "no memory for a timer");
}

// At the end of each turn of the loop: move what the client has, and what follows from
// it. What that sends leaves with this turn, and does not wait for the next.
static void
on_wake(void *context)
{
    struct edge *self = context;
    struct om_link *link = om_client_link(self->client);
    int64_t due_ms;
    do {
        bool was_open = om_link_is_open(link);
        due_ms = om_client_process(self->client);
        watch_link(self);
        if (!was_open && om_link_is_open(link))
            feed_ask(self);
        quota_desk_wake(self);
        om_offload_box_run(self->commits);
        share_process(self);
    } while (!om_link_is_settled(link));
    stats_turn(self);
    set_timer(self, &self->client_timer, due_ms);
}

static void
on_client_due(void *context)
{
    (void)context; // on_wake follows every turn
}

// Those that may wait long answer with what there is.
static void
stop_waiting(struct edge *self)
{
    struct exchange *x, *next;
    DL_FOREACH_SAFE (self->busy, x, next)
        if (x->on_stop)
            x->on_stop(x);
}

static void
on_tick(void *context)
{
    struct edge *self = context;
    if (atomic_load(&self->stopping))
        stop_waiting(self);
    if (self->ticks++ % 2 == 0)
        feed_ask(self);
    streams_tick(self);
    report_flush(&self->report);
    request_log_flush(&self->requests, om_clock_mono_ms());
    failures_flush(&self->failures);
    quota_desk_tick(self);
    if (self->ticks % RENEW_TICKS == 0)
        admit_renew(self);
    set_timer(self, &self->tick_timer, om_clock_mono_ms() + TICK_MS);
}

static void
on_link_change(void *context)
{
    ((struct edge *)context)->rewatch = true;
}

static void
on_closed(void *context)
{
    struct edge *self = context;
    atomic_store(&self->ingest->answered_ms[self->number], 0);
    on_link_change(self);
}

static void
on_opened(void *context, const struct wire_msg *welcome)
{
    (void)welcome;
    on_link_change(context);
}

static bool
open_client(struct edge *self, char *why, size_t why_size)
{
    const char *reason;
    struct om_link_conf conf = {
        .endpoint = self->ingest->conf.broker,
        .node = self->node,
        .keys = self->ingest->conf.keys,
        .role = ROLE_INGEST,
        .context = self,
        .opened = on_opened,
        .closed = on_closed,
    };
    if (om_client_create(&conf, &self->client, &reason) == OM_OK)
        return true;
    snprintf(why, why_size, "OMNI_BROKER is \"%s\": %s", conf.endpoint, reason);
    return false;
}

struct edge *
edge_create(struct ingest *ingest, int64_t number, int listen_fd, char *why,
            size_t why_size)
{
    static const struct om_http_hooks hooks = { on_head, on_body,   on_request,
                                                on_gone, on_refuse, on_room };
    struct edge *self = calloc(1, sizeof(*self));
    snprintf(why, why_size, "no memory or descriptors for a thread");
    if (!self) {
        close(listen_fd);
        return NULL;
    }
    self->ingest = ingest;
    self->number = number;
    snprintf(self->node, sizeof(self->node), "%.*s-%d", 56, ingest->node, (int)number);
    self->rewatch = true;
    self->plans.fallback.most[COUNTER_REQUESTS] = ingest->conf.default_requests;
    self->plans.fallback.most[COUNTER_TOKENS] = NO_LIMIT;
    self->plans.fallback.most[COUNTER_CONCURRENT] = ingest->conf.default_concurrent;
    self->began_ms = om_clock_mono_ms();
    struct om_http_conf conf = { .listen_fd = listen_fd,
                                 .tls = ingest->tls,
                                 .drain_ms = ingest->conf.drain_ms,
                                 .hooks = &hooks,
                                 .context = self };
    self->loop = om_http_loop_create(&conf);
    self->commits = om_offload_box_create(ingest->offload);
    if (!self->loop || !self->commits ||
        !om_http_watch(self->loop, om_offload_box_fd(self->commits)) ||
        !quota_desk_init(self) || !share_open(self) ||
        !open_client(self, why, why_size)) {
        edge_destroy(&self);
        return NULL;
    }
    self->report.client = self->client;
    failures_init(&self->failures, self->client, &ingest->failures);
    request_log_init(&self->requests, self->client, &ingest->requests,
                     ingest->conf.request_rate);
    self->client_timer.fire = on_client_due;
    self->tick_timer.fire = on_tick;
    self->tick_timer.context = self;
    om_http_on_wake(self->loop, on_wake, self);
    on_tick(self);
    on_wake(self);
    return self;
}

static void
wait_for_link(struct edge *self, int64_t wait_ms)
{
    int fds[2];
    om_link_fds(om_client_link(self->client), fds);
    struct pollfd polled[] = { { fds[0], POLLIN, 0 },
                               { fds[1], POLLIN, 0 },
                               { om_offload_box_fd(self->commits), POLLIN, 0 } };
    poll(polled, OM_COUNT(polled), (int)wait_ms);
}

// What was done is reported, and what goes on without its client is finished, before the
// thread ends.
static void
flush(struct edge *self)
{
    int64_t until_ms = om_clock_mono_ms() + self->ingest->conf.drain_ms;
    report_flush(&self->report);
    while (om_clock_mono_ms() < until_ms) {
        quota_desk_drain(self);
        om_offload_box_run(self->commits);
        om_client_process(self->client);
        report_flush(&self->report);
        request_log_flush(&self->requests, om_clock_mono_ms());
        failures_flush(&self->failures);
        if (!self->busy && report_idle(&self->report) && quota_desk_idle(self) &&
            request_log_idle(&self->requests) && failures_idle(&self->failures))
            return;
        om_client_process(self->client);
        wait_for_link(self, FLUSH_TURN_MS);
    }
    om_log(OM_ERROR, "stopped before all was reported", LOG_I("requests", self->busy));
}

void
edge_run(struct edge *self)
{
    om_http_loop_run(self->loop);
    flush(self);
}

void
edge_stop(struct edge *self)
{
    atomic_store(&self->stopping, true);
    om_http_loop_stop(self->loop);
}

void
edge_destroy(struct edge **self_p)
{
    struct edge *self = *self_p;
    if (!self)
        return;
    *self_p = NULL;
    struct exchange *x;
    DL_FOREACH (self->busy, x)
        admit_end(x);
    share_close(self);
    om_http_loop_destroy(&self->loop);
    while (self->busy)
        exchange_abandon(self->busy);
    om_offload_box_destroy(&self->commits);
    report_finish(&self->report);
    request_log_finish(&self->requests);
    failures_finish(&self->failures);
    om_client_destroy(&self->client);
    quota_desk_finish(self);
    keys_finish(&self->keys);
    om_buf_finish(&self->out);
    om_buf_finish(&self->frame);
    om_buf_finish(&self->scratch);
    om_buf_finish(&self->refusal);
    om_buf_finish(&self->status);
    while (self->idle) {
        struct exchange *next = self->idle->next;
        om_arena_finish(&self->idle->arena);
        free(self->idle);
        self->idle = next;
    }
    free(self);
}
