#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "otlp_send.h"
#include "span_file.h"
#include "tracing.h"

enum {
    FLUSH_MS = 1000,
    GATHER_MS = 100, // spans wait this long for others, before they are taken
    SWEEP_MS = 60000,
    COMPLAIN_MS = 60000,
};

static struct tracing {
    struct om_otlp_conf conf;
    struct om_otlp_sender *sender; // NULL: nothing is exported
    struct om_span_file *file;     // NULL: nothing is kept
    struct om_buf spans;           // encoded, of the batch
    int64_t count, batch_ms;       // of the batch; when it began
    int64_t sweep_ms, complain_ms;
    int wake_fd, stop_fd;
    _Atomic int64_t end_ms; // mono; 0: go on
    pthread_t thread;
    bool running;
} tracing = { .wake_fd = -1, .stop_fd = -1 };

static void
complain(struct tracing *self, const char *why)
{
    int64_t now_ms = om_clock_mono_ms();
    if (!why || now_ms < self->complain_ms)
        return;
    struct om_span_counts counts = om_span_counts();
    self->complain_ms = now_ms + COMPLAIN_MS;
    om_log(OM_WARN, "the collector does not take all spans", LOG_S("url", self->conf.url),
           LOG_S("why", why), LOG_I("lost", counts.lost),
           LOG_I("dropped", counts.dropped), LOG_I("exported", counts.exported));
}

static void
send_batch(struct tracing *self)
{
    if (self->count == 0)
        return;
    if (self->spans.failed)
        om_span_count(0, (uint64_t)self->count);
    else
        complain(self, om_otlp_send(self->sender, om_buf_str(&self->spans),
                                    (size_t)self->count));
    om_buf_reset(&self->spans);
    self->count = 0;
}

// Take all that waits, at most a queue full, so that the file's flush comes.
static void
take(struct tracing *self)
{
    struct om_span span;
    for (int64_t i = 0; i < self->conf.queue && om_span_take(&span); i++) {
        if (self->file)
            om_span_file_put(self->file, &span);
        if (!self->sender)
            continue;
        if (self->count++ == 0)
            self->batch_ms = om_clock_mono_ms();
        om_otlp_put_span(&self->spans, self->conf.form, &span);
        if (self->count < self->conf.batch)
            continue;
        if (self->file)
            om_span_file_flush(self->file);
        send_batch(self);
    }
    if (self->file)
        om_span_file_flush(self->file);
}

// Was it told of spans?
static bool
take_told(const struct tracing *self)
{
    uint64_t told;
    return read(self->wake_fd, &told, sizeof(told)) == sizeof(told);
}

// Wait for spans, for the batch's time, or for the end. While spans gather nobody is
// woken for each of them: a request would wait for the wake-up of a thread it does not
// need.
static void
wait_for_spans(struct tracing *self)
{
    int64_t now_ms = om_clock_mono_ms();
    int64_t wait_ms =
        self->count ? self->batch_ms + self->conf.delay_ms - now_ms : SWEEP_MS;
    struct pollfd polled[] = { { self->stop_fd, POLLIN, 0 },
                               { self->wake_fd, POLLIN, 0 } };
    if (poll(polled, OM_COUNT(polled), (int)(wait_ms > 0 ? wait_ms : 0)) <= 0 ||
        !take_told(self))
        return;
    om_span_tell_next(false);
    if (poll(polled, OM_COUNT(polled), GATHER_MS) > 0)
        (void)!take_told(self); // of a batch, which is taken now
}

static void
sweep(struct tracing *self)
{
    int64_t now_ms = om_clock_mono_ms();
    if (!self->file || now_ms < self->sweep_ms)
        return;
    self->sweep_ms = now_ms + SWEEP_MS;
    om_span_file_sweep(self->file, om_span_now_us());
}

static void *
run(void *context)
{
    struct tracing *self = context;
    pthread_setname_np(pthread_self(), "tracing");
    while (!self->end_ms) {
        om_span_tell_next(true); // first, so that what comes while it takes is told
        take(self);
        if (self->count && om_clock_mono_ms() >= self->batch_ms + self->conf.delay_ms)
            send_batch(self);
        sweep(self);
        wait_for_spans(self);
    }
    take(self);
    if (self->sender)
        send_batch(self);
    return NULL;
}

// ---- life

static void
finish(struct tracing *self)
{
    om_span_close();
    om_otlp_sender_destroy(&self->sender);
    om_span_file_close(&self->file);
    om_buf_finish(&self->spans);
    om_otlp_conf_finish(&self->conf);
    if (self->stop_fd >= 0)
        close(self->stop_fd);
    *self = (struct tracing){ .wake_fd = -1, .stop_fd = -1 };
}

static bool
open_all(struct tracing *self)
{
    char why[512];
    const struct om_otlp_conf *conf = &self->conf;
    struct om_span_conf spans = { .queue = (size_t)conf->queue,
                                  .wake = (size_t)conf->batch,
                                  .sampler = conf->sampler,
                                  .ignore_parent = conf->ignore_parent,
                                  .ratio = conf->ratio };
    self->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (conf->url)
        self->sender = om_otlp_sender_create(conf, self->stop_fd, &self->end_ms);
    if (*conf->dir) {
        self->file = om_span_file_open(conf->dir, conf->node, (size_t)conf->keep_spans,
                                       conf->keep_hours * 3600 * 1000, why, sizeof(why));
        if (!self->file)
            om_log(OM_WARN, "spans are not kept", LOG_S("why", why));
    }
    return self->stop_fd >= 0 && (self->sender || self->file) &&
           om_span_open(&spans, &self->wake_fd);
}

void
om_tracing_start(const char *service, const char *node)
{
    struct tracing *self = &tracing;
    enum om_rc rc = om_otlp_conf_read(service, node, &self->conf);
    for (size_t i = 0; i < self->conf.warning_count; i++)
        om_log(OM_WARN, "a setting of tracing is not understood",
               LOG_S("name", self->conf.warnings[i]));
    if (rc != OM_OK || !open_all(self)) {
        finish(self);
        return;
    }
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    self->running = pthread_create(&self->thread, NULL, run, self) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!self->running)
        finish(self);
    else
        om_log(OM_INFO, "tracing", LOG_S("url", self->conf.url ? self->conf.url : ""),
               LOG_S("dir", self->conf.dir), LOG_F("ratio", self->conf.ratio));
}

struct om_span_counts
om_tracing_stop(void)
{
    struct tracing *self = &tracing;
    uint64_t one = 1;
    if (!self->running)
        return (struct om_span_counts){ 0 };
    atomic_store(&om_span_enabled, false);
    self->end_ms = om_clock_mono_ms() + FLUSH_MS;
    ssize_t ignored = write(self->stop_fd, &one, sizeof(one));
    (void)ignored;
    pthread_join(self->thread, NULL);
    struct om_span_counts counts = om_span_counts();
    om_log(OM_INFO, "traced", LOG_I("spans", counts.written),
           LOG_I("dropped", counts.dropped), LOG_I("exported", counts.exported),
           LOG_I("lost", counts.lost));
    finish(self);
    return counts;
}
