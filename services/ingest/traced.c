#include <stdio.h>
#include <stdlib.h>

#include "clock.h"
#include "exchange.h"
#include "span.h"
#include "trace_http.h"

enum { PATH_MAX_SHOWN = 96, AGENT_MAX = 64, HOST_MAX = 64 };

bool
traced_trust_find(const char *name, enum traced_trust *out)
{
    static const char *const names[TRACED_COUNT] = { "never", "authenticated", "always" };
    for (unsigned i = 0; i < TRACED_COUNT; i++)
        if (strcmp(name, names[i]) == 0) {
            *out = (enum traced_trust)i;
            return true;
        }
    return false;
}

bool
traced_budget_take(struct traced_budget *self, int64_t most, int64_t now_ms)
{
    double added = (double)(now_ms - self->at_ms) * (double)most / 1000;
    self->left = self->at_ms ? self->left + added : (double)most;
    if (self->left > (double)most)
        self->left = (double)most;
    self->at_ms = now_ms;
    if (self->left < 1)
        return false;
    self->left -= 1;
    return true;
}

// ---- what the caller says

static void
read_context(struct exchange *x, const struct om_http_request *request)
{
    char state[OM_TRACESTATE_MAX + 1];
    size_t size;
    if (!om_trace_of_request(request, &x->traced.asked, state, &size) || size == 0)
        return;
    struct om_str text = { state, size };
    x->traced.state = (struct om_str){ om_arena_strdup(&x->arena, text), size };
}

// Go on with the caller's trace. One that it wants recorded, and we would not, is only so
// often: who pays for it is us.
static void
believe(struct exchange *x)
{
    struct ingest *ingest = x->edge->ingest;
    x->traced.believed = true;
    x->trace = om_span_continue(&x->traced.asked);
    memcpy(x->traced.parent, x->traced.asked.span_id, sizeof(x->traced.parent));
    if ((x->trace.flags & 1) && !om_span_dice(&x->trace) &&
        !traced_budget_take(&x->edge->traced, ingest->conf.trace_asked,
                            om_clock_mono_ms()))
        x->trace.flags &= (uint8_t)~1;
}

void
traced_begin(struct exchange *x, const struct om_http_request *request)
{
    enum traced_trust trust = x->edge->ingest->trust;
    read_context(x, request);
    if (om_trace_is_none(&x->traced.asked))
        x->trace = om_span_root();
    else if (trust == TRACED_ALWAYS)
        believe(x);
    else {
        x->trace = om_span_root();
        x->traced.waits = trust == TRACED_AUTHENTICATED;
    }
}

void
traced_ask(struct exchange *x)
{
    x->traced.asked_us = om_span_now_us();
}

// The question itself is in no trace, as it was not known in which.
static void
write_asked(struct exchange *x)
{
    struct om_trace trace = om_trace_child(&x->trace);
    struct om_span *span = om_span_begin(&trace, x->trace.span_id, OM_SPAN_INTERNAL,
                                         x->traced.asked_us, false);
    om_span_name(span, "identify");
    om_span_end(span);
}

void
traced_identify(struct exchange *x)
{
    if (x->traced.waits)
        believe(x);
    x->traced.waits = false;
    if (x->traced.asked_us)
        write_asked(x);
    x->traced.asked_us = 0;
}

// ---- the span

static struct om_str
cut(struct om_str text, size_t max)
{
    text.size = text.size < max ? text.size : max;
    return text;
}

// "host:port", where the host may be an IPv6 address in brackets.
static void
put_host(struct om_span *span, struct om_str host)
{
    const char *colon = host.size ? memrchr(host.data, ':', host.size) : NULL;
    const char *bracket = host.size ? memrchr(host.data, ']', host.size) : NULL;
    if (!colon || (bracket && bracket > colon)) {
        om_span_str(span, OM_ATTR_SERVER, cut(host, HOST_MAX));
        return;
    }
    struct om_str name = { host.data, (size_t)(colon - host.data) };
    om_span_str(span, OM_ATTR_SERVER, cut(name, HOST_MAX));
    int64_t port = 0;
    for (const char *at = colon + 1; at < host.data + host.size; at++)
        port = *at >= '0' && *at <= '9' && port < 100000 ? port * 10 + *at - '0' : 100000;
    if (port > 0 && port < 65536)
        om_span_int(span, OM_ATTR_PORT, port);
}

static struct om_str
method_of(const struct om_http_request *request)
{
    return request->method == OM_HTTP_OTHER
               ? OM_LIT("_OTHER")
               : om_str(om_http_method_name(request->method));
}

static void
put_request(struct exchange *x, struct om_span *span, struct om_str method,
            struct om_str path, struct om_str host, struct om_str agent)
{
    const char *shown = om_str_eq(method, OM_LIT("_OTHER")) ? "HTTP" : method.data;
    if (x->route)
        om_span_name(span, "%s %s", shown, x->route->pattern);
    else
        om_span_name(span, "%s", shown);
    om_span_str(span, OM_ATTR_METHOD, method);
    om_span_str(span, OM_ATTR_PATH, cut(path, PATH_MAX_SHOWN));
    om_span_str(span, OM_ATTR_SCHEME, om_str(x->secure ? "https" : "http"));
    if (x->route)
        om_span_str(span, OM_ATTR_ROUTE, om_str(x->route->pattern));
    put_host(span, host);
    om_span_str(span, OM_ATTR_USER_AGENT, cut(agent, AGENT_MAX));
}

// A 4xx is the client's error, and no error of the server's span.
static void
write_span(struct exchange *x, int status, struct om_str method, struct om_str path,
           struct om_str host, struct om_str agent)
{
    bool failed = status >= 500;
    // What needs no key, such as /readyz, is asked all the time.
    bool public = x->route && x->route->auth == AUTH_NONE;
    x->traced.done = true;
    if (public || !om_span_wanted(&x->trace, failed))
        return;
    struct om_span *span =
        om_span_begin(&x->trace, x->traced.believed ? x->traced.parent : NULL,
                      OM_SPAN_SERVER, om_span_mono_us(x->started_us), failed);
    if (!span)
        return;
    span->remote = x->traced.believed;
    put_request(x, span, method, path, host, agent);
    if (status)
        om_span_int(span, OM_ATTR_HTTP_STATUS, status);
    if (x->handle && x->remote)
        om_span_str(span, OM_ATTR_CLIENT, om_str(x->remote));
    om_span_str(span, OM_ATTR_REQUEST, om_str(x->id_text));
    if (x->authenticated)
        om_span_str(span, OM_ATTR_TENANT, om_str(x->caller.tenant_text));
    if (x->route && x->route->flags & ROUTE_JOBS && x->resource[0])
        om_span_str(span, OM_ATTR_TASK, om_str(x->resource));
    if (failed) {
        char code[12];
        snprintf(code, sizeof(code), "%d", status);
        om_span_fail(span, om_str(code), (struct om_str){ 0 });
    } else if (status == 0) {
        om_span_str(span, OM_ATTR_ERROR, OM_LIT("client_closed"));
    }
    if (x->traced.believed)
        om_span_state(span, x->traced.state);
    else
        om_span_link(span, &x->traced.asked);
    om_span_end(span);
}

void
traced_reply(struct exchange *x, const struct om_http_request *request, int status)
{
    static const struct om_str none;
    if (!request)
        write_span(x, status, OM_LIT("_OTHER"), none, none, none);
    else
        write_span(x, status, method_of(request), request->path,
                   om_http_field(request, "host"), om_http_field(request, "user-agent"));
}

static struct om_str
keep(struct exchange *x, struct om_str text, size_t max)
{
    text = cut(text, max);
    return (struct om_str){ text.data ? om_arena_strdup(&x->arena, text) : NULL,
                            text.size };
}

void
traced_hold(struct exchange *x, const struct om_http_request *request)
{
    x->traced.held = true;
    if (!request || !om_span_wanted(&x->trace, true))
        return;
    x->traced.method = method_of(request);
    x->traced.path = keep(x, request->path, PATH_MAX_SHOWN);
    x->traced.host = keep(x, om_http_field(request, "host"), HOST_MAX);
    x->traced.agent = keep(x, om_http_field(request, "user-agent"), AGENT_MAX);
}

void
traced_end(struct exchange *x)
{
    struct om_str method = x->traced.method.data ? x->traced.method : OM_LIT("_OTHER");
    if (!x->traced.done && (x->traced.held || x->route))
        write_span(x, x->status, method, x->traced.path, x->traced.host, x->traced.agent);
}
