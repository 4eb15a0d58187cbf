#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "admin.h"
#include "broker.h"
#include "clock.h"
#include "committer.h"
#include "id.h"
#include "loader.h"
#include "log.h"
#include "metrics.h"
#include "observer.h"
#include "reader.h"
#include "sockets.h"
#include "span.h"
#include "spans.h"
#include "tracing.h"

enum {
    TURN_MESSAGES = 256, // taken from a socket in a turn
    SECOND_MS = 1000,
    STOP_MS = 1500, // for the running commit
    STOP_S = 2,     // then the process ends without it
    HOUR_MS = 3600 * 1000,
    LAG_EVENTS = 100 * 1000, // a subscriber this far behind is an alarm, or
    LAG_MS = HOUR_MS,        // one that has not moved for so long
};

struct broker {
    const struct broker_conf *conf;
    struct store *store;
    struct core *core;
    struct sockets *sockets;
    struct pool payloads; // memory of those received
    struct committer *committer;
    struct reader *reader;
    struct observer *observer;
    struct om_admin *admin;
    int wake_fd, signal_fd;
    int64_t second_ms; // when the next second's work is due
    uint64_t dropped;  // as logged last
    double disk_free;
    uint64_t dead[SUBSCRIPTION_COUNT];
    bool lags[SUBSCRIPTION_COUNT];
    bool stop;
    int status;
};

static struct core_now
now(void)
{
    bool traced = atomic_load_explicit(&om_span_enabled, memory_order_relaxed);
    return (struct core_now){ om_clock_mono_ms(), om_clock_wall_ms(),
                              traced ? om_span_now_us() : 0 };
}

// ---- starting

static int
refuse(int status, const char *why)
{
    om_log(OM_ERROR, "cannot start", LOG_S("why", why));
    return status;
}

static int
open_store(struct broker *self)
{
    static const char scheme[] = "sqlite:";
    const char *folder = self->conf->database;
    if (strncmp(folder, scheme, strlen(scheme)) == 0)
        folder += strlen(scheme);
    else if (strstr(folder, "://"))
        return refuse(EX_CONFIG,
                      "OMNI_DATABASE: the broker keeps its data in sqlite:DIR");
    char url[4200], why[4200];
    snprintf(url, sizeof(url), "sqlite:%.4096s/broker.db", folder);
    if (mkdir(folder, 0700) != 0 && errno != EEXIST) {
        snprintf(why, sizeof(why), "OMNI_DATABASE: %.4000s: %s", folder, strerror(errno));
        return refuse(EX_CANTCREAT, why);
    }
    const char *reason;
    enum om_rc rc = store_open(url, &self->store, &reason);
    if (rc == OM_OK)
        return EX_OK;
    return refuse(rc == OM_ECONFLICT ? EX_CONFIG : EX_IOERR, reason);
}

static int
load_core(struct broker *self)
{
    struct core_conf conf = core_conf_default();
    conf.epoch = store_epoch(self->store);
    om_random(&conf.seed, sizeof(conf.seed));
    conf.node = self->conf->node;
    conf.sha256 = om_sha256;
    conf.max_open_tasks = (size_t)self->conf->jobs_max;
    conf.max_open_per_tenant = (size_t)self->conf->tenant_jobs_max;
    conf.max_pending_bytes = (size_t)self->conf->pending_bytes_max;
    spans_configure(&conf);
    self->core = core_create(&conf);
    if (!self->core)
        return refuse(EX_OSERR, "no memory");
    struct store_loader loader = core_loader(self->core);
    enum om_rc rc = store_load(self->store, &loader);
    return rc == OM_OK ? EX_OK : refuse(EX_IOERR, "the stored tasks cannot be read");
}

static int
start_threads(struct broker *self)
{
    self->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct committer_conf conf = {
        .store = self->store,
        .wake_fd = self->wake_fd,
        .retention_ms = self->conf->retention_hours * HOUR_MS,
    };
    self->committer = committer_start(&conf);
    self->reader = reader_start(self->store, self->wake_fd);
    if (self->wake_fd < 0 || !self->committer || !self->reader)
        return refuse(EX_OSERR, "no thread or no descriptor");
    return EX_OK;
}

static int
open_sockets(struct broker *self)
{
    char why[1024];
    struct sockets_conf conf = { self->conf->client, self->conf->work, self->conf->keys,
                                 &self->payloads };
    enum om_rc rc = sockets_open(&conf, &self->sockets, why, sizeof(why));
    if (rc == OM_OK)
        return EX_OK;
    return refuse(rc == OM_EINVAL ? EX_CONFIG : EX_UNAVAILABLE, why);
}

// SIGTERM and SIGINT are read from a descriptor, in every thread.
static void
prepare_process(struct broker *self)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    self->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    umask(077);
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
}

static int
start_admin(struct broker *self)
{
    char why[256];
    self->observer = observer_create(self->wake_fd);
    if (!self->observer)
        return refuse(EX_OSERR, "no memory");
    enum om_rc rc = om_admin_start(self->conf->admin, &self->admin, why, sizeof(why));
    if (rc == OM_OK)
        return EX_OK;
    return refuse(rc == OM_EINVAL ? EX_CONFIG : EX_UNAVAILABLE, why);
}

// ---- a turn

// True when a socket may have more.
static bool
receive(struct broker *self)
{
    bool more = false;
    struct core_now at = now();
    for (size_t i = 0; i < sockets_count(self->sockets); i++) {
        struct sockets_message message;
        int taken = 0;
        while (taken < TURN_MESSAGES && sockets_receive(self->sockets, i, &message)) {
            core_receive(self->core, at, message.conn, &message.peer, message.header,
                         message.payload);
            payload_unref(&message.payload);
            taken++;
        }
        more = more || taken == TURN_MESSAGES;
    }
    return more;
}

static void
finish_batch(struct broker *self, struct batch *batch, enum om_rc rc)
{
    if (rc == OM_EINTERNAL) {
        om_log(OM_ERROR, "the outcome of a commit is unknown; the next start recovers");
        self->status = EX_IOERR;
        self->stop = true;
        return;
    }
    if (rc != OM_OK)
        om_log(OM_ERROR, "a commit failed", LOG_S("code", om_rc_info(rc)->code),
               LOG_I("changes", batch->count));
    core_committed(self->core, now(), &batch, rc);
}

static void
take_results(struct broker *self)
{
    enum om_rc rc;
    struct batch *batch = committer_take(self->committer, &rc);
    struct batch *next = NULL;
    if (batch && rc == OM_OK)
        next = core_follow_batch(self->core, now(), COMMITTER_QUICK + 1);
    if (next)
        committer_give(self->committer, next); // the disk does not wait for the rest
    if (batch)
        finish_batch(self, batch, rc);
    for (struct read *read; (read = reader_take(self->reader));)
        core_read_done(self->core, now(), &read);
}

static void
send_all(struct broker *self)
{
    struct core_send send;
    core_group_sends(self->core);
    while (core_next_send(self->core, &send))
        if (sockets_send(self->sockets, &send) != OM_OK)
            core_suspect(self->core, now(), send.conn);
    sockets_collect(self->sockets);
}

// Pass on what the core wants done. True when a batch was committed, of which more
// follows. A commit begins before, or in the midst of, what others do with the messages.
static bool
hand_over(struct broker *self)
{
    bool is_free = committer_is_free(self->committer);
    struct batch *batch = is_free ? core_take_batch(self->core) : NULL;
    bool is_quick = batch && committer_is_quick(self->committer, batch);
    if (batch && !is_quick)
        committer_give(self->committer, batch);
    send_all(self);
    if (is_quick)
        finish_batch(self, batch, committer_commit(self->committer, batch));
    while (reader_has_room(self->reader)) {
        struct read *read = core_next_read(self->core);
        if (!read)
            break;
        reader_give(self->reader, read);
    }
    return is_quick;
}

// Events are kept until the slowest subscriber has them, so one that stands still fills
// the disk.
static void
watch_subscribers(struct broker *self)
{
    for (unsigned i = 0; i < SUBSCRIPTION_COUNT; i++) {
        struct core_lag lag = core_lag(self->core, i);
        const char *queue = queues[subscriptions[i].queue].name;
        bool lags = lag.events > LAG_EVENTS || lag.stuck_ms > LAG_MS;
        if (lags != self->lags[i])
            om_log(lags ? OM_WARN : OM_INFO,
                   lags ? "a subscriber of events is far behind"
                        : "a subscriber of events has caught up",
                   LOG_S("queue", queue), LOG_I("events", lag.events),
                   LOG_I("stuck_ms", lag.stuck_ms));
        self->lags[i] = lags;
        if (lag.dead > self->dead[i])
            om_log(OM_WARN, "events were set aside: their subscriber failed on them",
                   LOG_S("queue", queue), LOG_I("count", lag.dead - self->dead[i]));
        self->dead[i] = lag.dead;
    }
}

static void
every_second(struct broker *self)
{
    watch_subscribers(self);
    self->disk_free = store_disk_free(self->store);
    core_set_disk_free(self->core, self->disk_free);
    uint64_t dropped = sockets_dropped(self->sockets);
    if (dropped != self->dropped)
        om_log(OM_WARN, "messages of a wrong shape were dropped",
               LOG_I("count", dropped - self->dropped));
    self->dropped = dropped;
}

static void
tick(struct broker *self)
{
    struct core_now at = now();
    if (at.mono_ms >= core_next_timer(self->core))
        core_tick(self->core, at);
    if (at.mono_ms >= self->second_ms) {
        every_second(self);
        self->second_ms = at.mono_ms + SECOND_MS;
    }
}

// Wait for input, at most until the next timer.
static void
wait_for_input(struct broker *self)
{
    struct pollfd items[SOCKETS_MAX + 2];
    size_t count = sockets_count(self->sockets);
    sockets_poll_items(self->sockets, items);
    items[count] = (struct pollfd){ self->wake_fd, POLLIN, 0 };
    items[count + 1] = (struct pollfd){ self->signal_fd, POLLIN, 0 };
    int64_t next = core_next_timer(self->core);
    next = next < self->second_ms ? next : self->second_ms;
    int64_t left = next - om_clock_mono_ms();
    if (poll(items, (nfds_t)count + 2, left > 0 ? (int)left : 0) < 0)
        return;
    sockets_polled(self->sockets, items);
    if (items[count].revents) {
        eventfd_t ignored;
        eventfd_read(self->wake_fd, &ignored);
    }
    if (items[count + 1].revents)
        self->stop = true;
}

static void
serve(struct broker *self)
{
    while (!self->stop) {
        if (observer_is_asked(self->observer))
            observer_answer(self->observer, self->core, now(), self->sockets,
                            self->disk_free);
        take_results(self);
        tick(self);
        bool more = hand_over(self);
        // What was sent may have used up a socket's edge, so it is asked after.
        more = receive(self) || more;
        if (more)
            continue;
        more = hand_over(self);
        if (!more && !sockets_may_have(self->sockets))
            wait_for_input(self);
    }
}

// ---- stopping

// Finish the running commit and send what it allows. A disk that hangs is not waited for:
// the alarm ends the process, which is no worse than a crash.
static void
finish_commit(struct broker *self)
{
    int64_t deadline_ms = om_clock_mono_ms() + STOP_MS, left_ms = STOP_MS;
    for (; !committer_is_free(self->committer) && left_ms > 0;
         left_ms = deadline_ms - om_clock_mono_ms()) {
        struct pollfd wake = { self->wake_fd, POLLIN, 0 };
        poll(&wake, 1, (int)left_ms);
        eventfd_t ignored;
        eventfd_read(self->wake_fd, &ignored);
        take_results(self);
    }
    send_all(self);
}

static void
close_all(struct broker *self)
{
    observer_destroy(&self->observer);
    om_admin_stop(&self->admin);
    committer_stop(&self->committer);
    if (self->reader) {
        reader_stop(self->reader);
        for (struct read *read; (read = reader_take(self->reader));)
            core_read_done(self->core, now(), &read);
        reader_destroy(&self->reader);
    }
    core_destroy(&self->core);
    sockets_close(&self->sockets);
    pool_finish(&self->payloads);
    store_close(&self->store);
    close(self->wake_fd);
    close(self->signal_fd);
}

int
broker_run(const struct broker_conf *conf)
{
    struct broker self = { .conf = conf, .wake_fd = -1 };
    prepare_process(&self);
    om_metrics_init("broker", METRICS_BIT(BROKER));
    om_tracing_start("broker", conf->node);
    int (*const steps[])(struct broker *) = { open_store, load_core, start_threads,
                                              open_sockets, start_admin };
    for (size_t i = 0; i < OM_COUNT(steps) && self.status == EX_OK; i++)
        self.status = steps[i](&self);
    if (self.status == EX_OK) {
        core_serve(self.core, now());
        every_second(&self); // so that what it looks at is known
        om_admin_set_ready(true);
        struct core_stats stats = core_stats(self.core);
        om_log(OM_INFO, "serving", LOG_S("client", conf->client),
               LOG_S("work", conf->work), LOG_I("epoch", store_epoch(self.store)),
               LOG_I("open_tasks", stats.open_tasks));
        serve(&self);
        alarm(STOP_S);
        if (self.status == EX_OK)
            finish_commit(&self);
        om_log(OM_INFO, "stopped");
    }
    close_all(&self);
    alarm(0);
    om_tracing_stop();
    return self.status;
}
