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
#include "service_host.h"
#include "service_stats.h"
#include "tracing.h"

enum {
    DRAIN_MS = 3000,
    QUEUES_MAX = 8,
    PURGE_MS = 60000,
};

static void *
open_slot(void *context)
{
    struct service_host *host = context;
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
    struct service_host *host = context;
    (void)max;
    om_link_fds(om_client_link(host->client), fds);
    fds[2] = host->signal_fd;
    return 3;
}

static void
purge(struct service_host *host, int64_t now_ms)
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
    struct service_host *host = context;
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
collect_queues(const struct service_host *host, const char *names[QUEUES_MAX])
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
serve(struct service_host *host)
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
        .handle = service_handle,
        .handle_now = service->now ? service_handle_now : NULL,
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
start_and_serve(struct service_host *host)
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
    struct service_host host = { .service = service,
                                 .conf = calloc(1, service->conf_size) };
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
