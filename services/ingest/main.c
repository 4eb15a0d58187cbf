#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sysexits.h>

#include "admin.h"
#include "ingest.h"
#include "log.h"
#include "metrics.h"
#include "tracing.h"

struct threads {
    struct edge *edges[INGEST_THREADS_MAX];
    pthread_t ids[INGEST_THREADS_MAX];
    int64_t made, running;
};

static bool
make_edges(struct ingest *ingest, struct threads *threads, char *why, size_t why_size)
{
    char address[128];
    int fd;
    snprintf(address, sizeof(address), "%s", ingest->conf.listen);
    for (; threads->made < ingest->conf.threads; threads->made++) {
        bool first = threads->made == 0;
        enum om_rc rc = om_http_listen(address, !first, &fd);
        if (rc != OM_OK) {
            snprintf(why, why_size, "OMNI_LISTEN is \"%s\": %s", address,
                     rc == OM_EINVAL      ? "set it to HOST:PORT with a numeric host"
                     : rc == OM_ECONFLICT ? "another program has this port"
                                          : "the system refuses to listen there");
            return false;
        }
        if (first) // port 0 has become one that the others share
            snprintf(strrchr(address, ':'), 8, ":%d", om_http_port(fd));
        threads->edges[threads->made] =
            edge_create(ingest, threads->made, fd, why, why_size);
        if (!threads->edges[threads->made])
            return false;
    }
    om_log(OM_INFO, "listening", LOG_S("address", address), LOG_S("node", ingest->node),
           LOG_I("threads", threads->made),
           LOG_S("scheme", ingest->tls ? "https" : "http"));
    return true;
}

static void *
run_edge(void *edge)
{
    edge_run(edge);
    return NULL;
}

// A bad new certificate is no reason to stop: the old one is served on.
static void
reload(struct ingest *ingest)
{
    char why[512];
    if (om_tls_reload(ingest->tls, why, sizeof(why)) == OM_OK)
        om_log(OM_INFO, "certificate reloaded", LOG_S("file", ingest->conf.tls_cert));
    else
        om_log(OM_ERROR, "certificate not reloaded", LOG_S("why", why));
}

// Serve until SIGTERM or SIGINT, which all threads have blocked. SIGHUP is among the
// signals if there is a certificate to read again.
static void
serve(struct ingest *ingest, struct threads *threads, const sigset_t *signals)
{
    int number = 0;
    while (threads->running < threads->made &&
           pthread_create(&threads->ids[threads->running], NULL, run_edge,
                          threads->edges[threads->running]) == 0)
        threads->running++;
    while (threads->running == threads->made && sigwait(signals, &number) == 0 &&
           number == SIGHUP)
        reload(ingest);
    om_log(OM_INFO, "stopping");
    for (int64_t i = 0; i < threads->running; i++)
        edge_stop(threads->edges[i]);
    for (int64_t i = 0; i < threads->running; i++)
        pthread_join(threads->ids[i], NULL);
}

static int
run(struct ingest *ingest, char *why, size_t why_size)
{
    struct om_admin *admin = NULL;
    struct threads threads = { 0 };
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    if (*ingest->conf.tls_cert)
        sigaddset(&signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    int status = EX_CONFIG;
    om_metrics_init("ingest", METRICS_BIT(EDGE));
    bool opened = om_admin_start(ingest->conf.admin, &admin, why, why_size) == OM_OK &&
                  ingest_open(ingest, why, why_size);
    if (opened)
        om_tracing_start("ingest", ingest->node);
    if (opened && make_edges(ingest, &threads, why, why_size)) {
        serve(ingest, &threads, &signals);
        status = EX_OK;
    }
    for (int64_t i = 0; i < threads.made; i++)
        edge_destroy(&threads.edges[i]);
    om_tracing_stop();
    ingest_close(ingest);
    om_admin_stop(&admin);
    return status;
}

int
main(int argc, char **argv)
{
    static struct ingest ingest;
    char why[512] = "";
    bool check = false;
    int status =
        om_conf_arguments("omni-ingest", "", ingest_settings, argc, argv, &check);
    if (status >= 0)
        return status;
    om_log_init("ingest");
    status = EX_CONFIG;
    if (om_conf_load(ingest_settings, &ingest.conf, why, sizeof(why)) == OM_OK)
        status = check ? EX_OK : run(&ingest, why, sizeof(why));
    if (status != EX_OK)
        om_log(OM_ERROR, "cannot start", LOG_S("why", why));
    om_conf_free(ingest_settings, &ingest.conf);
    return status;
}
