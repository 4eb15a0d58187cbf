#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "clock.h"
#include "commands.h"
#include "crew.h"
#include "home.h"
#include "log.h"
#include "port.h"
#include "probe.h"
#include "targets.h"

enum { WORKERS_MAX = 256, PATIENCE_MS = 10 * 1000 };

struct up {
    struct home home;
    struct port port;
    struct crew *crew;
    struct probe *probe;
    int signal_fd;
    bool ready;
    int64_t complain_ms; // when to say that it is still not ready
    int status;
};

// What every program reads: the embedded defaults, all below the data folder.
static void
set_environment(const struct up *up)
{
    const char *dir = up->home.dir, *sockets = up->home.sockets;
    const struct {
        const char *name, *scheme, *base, *rest;
    } settings[] = {
        { "OMNI_BROKER", "ipc://", sockets, "/broker" },
        { "OMNI_BROKER_WORK", "ipc://", sockets, "/work" },
        { "OMNI_DATABASE", "sqlite:", dir, "" },
        { "OMNI_BLOBS", "dir:", dir, "/blobs" },
        { "OMNI_TRACE_DIR", "", dir, "/trace" },
        { "OMNI_SECRET_FILE", "", dir, "/secret" },
        { "OMNI_ADMIN_KEY_FILE", "", dir, "/admin.key" },
        { "OMNI_TARGETS", "", dir, "/prometheus.json" },
        { "OMNI_STATUS_FILE", "", dir, "/status.json" },
        { "OMNI_LISTEN", "", up->port.listen, "" },
    };
    char value[PATH_MAX + 32];
    for (size_t i = 0; i < OM_COUNT(settings); i++) {
        snprintf(value, sizeof(value), "%s%s%s", settings[i].scheme, settings[i].base,
                 settings[i].rest);
        setenv(settings[i].name, value, 1);
    }
    unsetenv("OMNI_KEYS");
    // The slots of a pool are its threads; BLAS threads of their own would fight them.
    setenv("OPENBLAS_NUM_THREADS", "1", 0);
}

static void
on_signals(struct up *up, int64_t now_ms)
{
    struct signalfd_siginfo info;
    while (read(up->signal_fd, &info, sizeof(info)) == sizeof(info)) {
        if (info.ssi_signo == SIGCHLD)
            continue;
        if (up->status >= 0) {
            crew_kill(up->crew); // asked a second time
            continue;
        }
        om_log(OM_INFO, "stopping", LOG_I("signal", info.ssi_signo));
        up->status = EX_OK;
        crew_stop(up->crew, now_ms);
    }
}

static void
fail(struct up *up, int status, int64_t now_ms)
{
    up->status = status;
    crew_stop(up->crew, now_ms);
}

static void
on_ready(struct up *up, int64_t now_ms)
{
    char why[256];
    up->ready = true;
    if (home_publish(&up->home, up->port.url, why, sizeof(why)) != OM_OK) {
        om_log(OM_ERROR, "cannot start", LOG_S("why", why));
        fail(up, EX_CANTCREAT, now_ms);
        return;
    }
    printf("Omni is ready at %s\n", up->port.url);
    fflush(stdout);
}

// Returns when to look again.
static int64_t
watch_start(struct up *up, int64_t now_ms)
{
    if (probe_ready(up->probe, now_ms)) {
        on_ready(up, now_ms);
    } else if (now_ms >= up->complain_ms) {
        om_log(OM_WARN, "not ready yet", LOG_S("url", up->port.url));
        up->complain_ms = now_ms + PATIENCE_MS;
    }
    return up->complain_ms;
}

static void
watch_crew(struct up *up, int64_t now_ms)
{
    int status;
    const char *broken = crew_broken(up->crew, &status);
    if (broken) {
        om_log(OM_ERROR, "a child cannot start; it said why above",
               LOG_S("child", broken), LOG_I("status", status));
        fail(up, status, now_ms);
    }
}

static void
supervise(struct up *up)
{
    up->complain_ms = om_clock_mono_ms() + PATIENCE_MS;
    for (;;) {
        int64_t now_ms = om_clock_mono_ms(), start_ms = INT64_MAX;
        on_signals(up, now_ms);
        int64_t next_ms = crew_tick(up->crew, now_ms);
        if (up->status >= 0 && crew_ended(up->crew))
            return;
        bool stopping = up->status >= 0;
        if (!stopping)
            watch_crew(up, now_ms);
        if (!up->ready && up->status < 0)
            start_ms = watch_start(up, now_ms);
        if (!stopping && up->status >= 0)
            continue; // what was just stopped has deadlines of its own
        probe_wait(up->probe, up->signal_fd, next_ms < start_ms ? next_ms : start_ms);
    }
}

static int
open_signals(void)
{
    static const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGCHLD };
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < OM_COUNT(signals); i++)
        sigaddset(&set, signals[i]);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

// One of each, and both pools.
static int
run_crew(struct up *up, int64_t workers)
{
    char inference[24], training[24], url[128], why[PATH_MAX + 128];
    snprintf(inference, sizeof(inference), "%lld", (long long)workers);
    snprintf(training, sizeof(training), "%lld", (long long)(workers + 1) / 2);
    snprintf(url, sizeof(url), "%s/readyz", up->port.url);
    // clang-format off
    struct crew_member members[] = {
        { "broker",     "omni-broker",     { NULL }, CREW_BROKER, "off" },
        { "ingest",     "omni-ingest",     { NULL }, CREW_EDGE, "off" },
        { "identity",   "omni-identity",   { NULL }, CREW_SERVICE, "off" },
        { "registry",   "omni-registry",   { NULL }, CREW_SERVICE, "off" },
        { "billing",    "omni-billing",    { NULL }, CREW_SERVICE, "off" },
        { "compliance", "omni-compliance", { NULL }, CREW_SERVICE, "off" },
        { "scheduler",  "omni-scheduler",  { NULL }, CREW_SERVICE, "off" },
        { "inference",  "omni-inference",
          { "--pool", "inference", "--slots", inference, NULL }, CREW_SERVICE, "off" },
        { "training",   "omni-inference",
          { "--pool", "training", "--slots", training, NULL }, CREW_SERVICE, "off" },
    };
    // clang-format on
    struct targets targets;
    if (!targets_take(&targets, members, OM_COUNT(members), why, sizeof(why)))
        return args_fail(EX_UNAVAILABLE, "%s", why);
    up->crew = crew_create(members, OM_COUNT(members), why, sizeof(why));
    if (!up->crew ||
        !targets_publish(&targets, members, up->home.dir, why, sizeof(why))) {
        crew_destroy(&up->crew);
        targets_release(&targets);
        return args_fail(EX_OSFILE, "%s", why);
    }
    up->probe = probe_create(url);
    up->signal_fd = open_signals();
    up->status = EX_OSERR;
    if (up->probe && up->signal_fd >= 0) {
        up->status = -1;
        supervise(up);
        close(up->signal_fd);
    }
    probe_destroy(&up->probe);
    crew_destroy(&up->crew);
    targets_release(&targets);
    return up->status;
}

int
cmd_up(const struct args *args)
{
    struct up up = { 0 };
    char why[PATH_MAX + 128];
    const char *dir = args_get(args, "data"), *listen = args_get(args, "listen");
    int64_t cores = sysconf(_SC_NPROCESSORS_ONLN), workers;
    if (!args_get_int(args, "workers", 1, WORKERS_MAX, cores > 0 ? cores : 1, &workers))
        return EXIT_USAGE;
    umask(077);
    om_log_init("up");
    dir = dir ? dir : getenv("OMNI_DATA");
    enum om_rc rc = home_open(&up.home, dir && *dir ? dir : "data", why, sizeof(why));
    if (rc != OM_OK)
        return args_fail(rc == OM_ECONFLICT ? EX_UNAVAILABLE : EX_CANTCREAT, "%s", why);
    int status;
    rc = port_take(listen ? listen : "127.0.0.1:8080", &up.port, why, sizeof(why));
    if (rc == OM_OK) {
        set_environment(&up);
        status = run_crew(&up, workers);
        close(up.port.fd);
    } else {
        status = args_fail(rc == OM_EINVAL ? EXIT_USAGE : EX_UNAVAILABLE, "%s", why);
    }
    home_close(&up.home);
    return status;
}
