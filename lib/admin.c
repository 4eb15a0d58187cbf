#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "admin.h"
#include "http.h"
#include "log.h"
#include "metrics.h"

enum { CONNECTIONS_MAX = 64 };

struct om_admin {
    struct om_http_loop *loop;
    pthread_t thread;
    struct om_buf out;
};

static atomic_bool ready;

void
om_admin_set_ready(bool is_ready)
{
    atomic_store_explicit(&ready, is_ready, memory_order_relaxed);
}

// ---- answers

static void
show_metrics(struct om_admin *self, const struct om_http_request *request,
             struct om_http_response *response)
{
    enum om_metric_format format = om_metrics_accepted(om_http_field(request, "accept"));
    om_buf_reset(&self->out);
    om_metrics_write(&self->out, format, NULL, NULL);
    response->content_type = om_metrics_media_type(format);
    response->body = om_buf_str(&self->out);
}

static void
show_health(struct om_admin *self, const struct om_http_request *request,
            struct om_http_response *response)
{
    (void)self;
    (void)request;
    response->body = OM_LIT("{\"status\":\"ok\"}\n");
}

static void
show_ready(struct om_admin *self, const struct om_http_request *request,
           struct om_http_response *response)
{
    (void)self;
    (void)request;
    bool is_ready = atomic_load_explicit(&ready, memory_order_relaxed);
    response->status = is_ready ? 200 : 503;
    response->body = is_ready ? OM_LIT("{\"status\":\"ready\"}\n")
                              : OM_LIT("{\"status\":\"not ready\"}\n");
}

static const struct page {
    const char *path;
    void (*show)(struct om_admin *self, const struct om_http_request *request,
                 struct om_http_response *response);
} pages[] = {
    { "/metrics", show_metrics },
    { "/healthz", show_health },
    { "/readyz", show_ready },
};

static void
on_head(void *context, struct om_http_request *request)
{
    (void)context;
    request->body_limit = 0;
}

static void
on_request(void *context, struct om_http_request *request)
{
    struct om_admin *self = context;
    struct om_http_response response = {
        .status = 404,
        .content_type = OM_LIT("application/json"),
        .body = OM_LIT("{\"error\":\"/metrics, /healthz and /readyz are here\"}\n"),
    };
    bool reads = request->method == OM_HTTP_GET || request->method == OM_HTTP_HEAD;
    for (size_t i = 0; i < OM_COUNT(pages); i++)
        if (om_str_eq(request->path, om_str(pages[i].path))) {
            response.status = reads ? 200 : 405;
            if (reads)
                pages[i].show(self, request, &response);
        }
    om_http_respond(self->loop, request->handle, &response);
}

static void
on_gone(void *context, struct om_http_request *request)
{
    (void)context; // nothing waits
    (void)request;
}

static void
on_scrape(void *context, struct om_scrape *scrape)
{
    (void)context;
    om_scrape_put(scrape, M_omni_ready,
                  atomic_load_explicit(&ready, memory_order_relaxed));
}

// ---- life

static void *
run(void *context)
{
    struct om_admin *self = context;
    pthread_setname_np(pthread_self(), "omni-admin");
    om_http_loop_run(self->loop);
    return NULL;
}

// Signals are for the threads that wait for them.
static bool
start_thread(struct om_admin *self)
{
    sigset_t all, kept;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &kept);
    bool started = pthread_create(&self->thread, NULL, run, self) == 0;
    pthread_sigmask(SIG_SETMASK, &kept, NULL);
    return started;
}

static enum om_rc
refuse(enum om_rc rc, const char *listen, char *why, size_t why_size)
{
    snprintf(why, why_size, "OMNI_ADMIN is \"%s\": %s", listen,
             rc == OM_EINVAL      ? "set it to HOST:PORT with a numeric host, or to off"
             : rc == OM_ECONFLICT ? "another program has this port"
                                  : "the system refuses to listen there");
    return rc;
}

enum om_rc
om_admin_start(const char *listen, struct om_admin **out, char *why, size_t why_size)
{
    static const struct om_http_hooks hooks = { .on_head = on_head,
                                                .on_request = on_request,
                                                .on_gone = on_gone };
    int fd;
    *out = NULL;
    if (strcmp(listen, "off") == 0)
        return OM_OK;
    enum om_rc rc = om_http_listen(listen, false, &fd);
    if (rc != OM_OK)
        return refuse(rc, listen, why, why_size);
    int port = om_http_port(fd);
    struct om_admin *self = calloc(1, sizeof(*self));
    struct om_http_conf conf = { .listen_fd = fd,
                                 .connections_max = CONNECTIONS_MAX,
                                 .drain_ms = 1,
                                 .hooks = &hooks,
                                 .context = self };
    struct om_http_loop *loop = om_http_loop_create(&conf); // takes fd
    if (self)
        self->loop = loop;
    if (!self || !loop || !start_thread(self)) {
        om_http_loop_destroy(&loop);
        free(self);
        return refuse(OM_EUNAVAILABLE, listen, why, why_size);
    }
    om_metrics_on_scrape(on_scrape, self);
    om_log(OM_DEBUG, "admin port", LOG_S("listen", listen), LOG_I("port", port));
    *out = self;
    return OM_OK;
}

void
om_admin_stop(struct om_admin **self_p)
{
    struct om_admin *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    om_metrics_forget(self);
    om_http_loop_stop(self->loop);
    pthread_join(self->thread, NULL);
    om_http_loop_destroy(&self->loop);
    om_buf_finish(&self->out);
    free(self);
}
