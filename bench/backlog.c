// backlog.c - what a queue that nobody works on costs: jobs are submitted without a
// worker, the broker's memory is read, and then they are worked off.
#include <stdlib.h>

#include "clock.h"
#include "load.h"

enum { PROCESSES_MAX = 70 };

static bool
stuck(int64_t now, int64_t *seen, int64_t *end_ms)
{
    if (now != *seen)
        *end_ms = om_clock_mono_ms() + LOAD_TIMEOUT_MS;
    *seen = now;
    return om_clock_mono_ms() > *end_ms;
}

// Returns how many were submitted a second, until the last was acknowledged.
static double
fill(struct load *self)
{
    int64_t begin_us = om_clock_mono_us(), seen = -1, end_ms = 0;
    while (self->acknowledged < self->options->jobs) {
        while (self->submitted < self->options->jobs &&
               self->submitted - self->acknowledged < self->options->window)
            load_submit(self, om_clock_mono_us());
        int64_t before = self->acknowledged, due_us = load_process(self);
        if (self->acknowledged == before)
            load_sleep(self, 0, due_us < 100000 ? due_us : 100000);
        if (stuck(self->acknowledged, &seen, &end_ms))
            bench_die("%lld of %lld jobs were acknowledged, and no other is",
                      (long long)self->acknowledged, (long long)self->options->jobs);
    }
    return (double)self->options->jobs * 1e6 / (double)(om_clock_mono_us() - begin_us);
}

// Returns how many ended a second.
static double
drain(struct load *self)
{
    const int none[2] = { -1, -1 };
    int64_t begin_us = om_clock_mono_us(), seen = -1, end_ms = 0, ended;
    while ((ended = atomic_load(&self->board->ended)) < self->options->jobs) {
        if (stuck(ended, &seen, &end_ms))
            bench_die("%lld of %lld jobs have ended, and no other does", (long long)ended,
                      (long long)self->options->jobs);
        board_sleep(self->board, ended, none, 100000);
    }
    return (double)self->options->jobs * 1e6 / (double)(om_clock_mono_us() - begin_us);
}

static void
check_once(const struct load *self)
{
    for (int64_t i = 0; i < self->options->jobs; i++) {
        const struct bench_mark *mark = &self->board->marks[i];
        if (mark->runs != 1 || mark->ends != 1 || mark->events != 1)
            bench_die("job %lld ran %u times, ended %u times and was metered %u times",
                      (long long)i, mark->runs, mark->ends, mark->events);
    }
}

void
bench_backlog(const struct bench_options *options)
{
    struct load self;
    load_open(&self, options, options->jobs);
    load_connect(&self);
    pid_t broker = self.broker.process;
    int64_t idle_kb = process_kb(broker, "VmRSS");
    double submitted = fill(&self);
    int64_t full_kb = process_kb(broker, "VmRSS"), peak_kb = process_kb(broker, "VmHWM");
    load_disconnect(&self);

    pid_t children[PROCESSES_MAX];
    int count = 0;
    for (; count < options->workers; count++)
        children[count] = child_fork(load_work, &self);
    children[count++] = child_fork(load_subscribe, &self);
    double drained = drain(&self);
    load_await_events(&self);
    check_once(&self);
    printf("{\"mode\":\"backlog\",\"queue\":\"%s\",\"jobs\":%lld,\"payload\":%lld,"
           "\"tenants\":%lld,\"window\":%lld,\"workers\":%lld,\"slots\":%lld,"
           "\"rss_idle_kb\":%lld,\"rss_kb\":%lld,\"rss_peak_kb\":%lld,"
           "\"rss_drained_kb\":%lld,\"submitted_per_s\":%.0f,\"drained_per_s\":%.0f}\n",
           options->queue, (long long)options->jobs, (long long)options->payload_bytes,
           (long long)options->tenants, (long long)options->window,
           (long long)options->workers, (long long)options->slots, (long long)idle_kb,
           (long long)full_kb, (long long)peak_kb, (long long)process_kb(broker, "VmRSS"),
           submitted, drained);
    while (count > 0)
        child_stop(children[--count]);
    load_close(&self);
}
