// jobs.c - durable jobs end to end: submit, commit, worker, result committed, one usage
// event a job to a subscriber.
//
// A job is outstanding from its SUBMIT until its worker has DONE_ACK: its result and its
// usage event are on disk. `window` jobs are outstanding at a time.
#include "clock.h"
#include "load.h"

enum { PROCESSES_MAX = 70 };

// What was measured beside the marks.
struct cost {
    int64_t taken_us, fsyncs, cpu_us, broker_cpu_us;
};

// Keep the window full until `last` were submitted and have ended, or, with a rate,
// submit at fixed times.
static void
drive(struct load *self, int64_t last, int64_t rate)
{
    int64_t first = self->submitted, begin_us = om_clock_mono_us();
    int64_t stuck_ms = om_clock_mono_ms() + LOAD_TIMEOUT_MS, seen = -1;
    for (;;) {
        int64_t ended = atomic_load(&self->board->ended), wait_us = 100000;
        if (ended != seen)
            stuck_ms = om_clock_mono_ms() + LOAD_TIMEOUT_MS;
        seen = ended;
        while (self->submitted < last &&
               self->submitted - ended < self->options->window) {
            int64_t now_us = om_clock_mono_us(), due_us = now_us;
            if (rate)
                due_us = begin_us + (self->submitted - first) * 1000000 / rate;
            if (due_us > now_us) {
                wait_us = due_us - now_us;
                break;
            }
            load_submit(self, due_us);
        }
        int64_t process_us = load_process(self);
        if (ended == last && self->acknowledged == last)
            return;
        if (om_clock_mono_ms() > stuck_ms)
            bench_die("%lld of %lld jobs have ended, and no other does", (long long)ended,
                      (long long)last);
        load_sleep(self, ended, process_us < wait_us ? process_us : wait_us);
    }
}

static struct cost
cost_now(const struct load *self, const pid_t *children, int count)
{
    return (struct cost){
        .taken_us = om_clock_mono_us(),
        .fsyncs = self->broker.fsyncs ? atomic_load(self->broker.fsyncs) : 0,
        .cpu_us = processes_cpu_us(children, count),
        .broker_cpu_us =
            processes_cpu_us(&self->broker.process, 1) - processes_cpu_us(NULL, 0),
    };
}

static void
report(const struct load *self, int64_t first, const struct cost *before,
       const struct cost *after)
{
    const struct bench_options *options = self->options;
    struct bench_latency latency = board_latency(self->board, first, self->submitted);
    double jobs = (double)options->jobs;
    double taken_us = (double)(after->taken_us - before->taken_us);
    int64_t twice = 0;
    for (int64_t i = 0; i < self->submitted; i++)
        twice += self->board->marks[i].ends > 1;
    printf("{\"mode\":\"jobs\",\"queue\":\"%s\",\"window\":%lld,\"jobs\":%lld,"
           "\"payload\":%lld,\"workers\":%lld,\"slots\":%lld,\"threads\":%lld,"
           "\"rate\":%lld,\"jobs_per_s\":%.0f,\"p50_us\":%lld,\"p99_us\":%lld,"
           "\"max_us\":%lld,\"events\":%lld,\"twice\":%lld,\"cpu_us_per_job\":%.1f",
           options->queue, (long long)options->window, (long long)options->jobs,
           (long long)options->payload_bytes, (long long)options->workers,
           (long long)options->slots, (long long)options->threads,
           (long long)options->rate, jobs * 1e6 / taken_us, (long long)latency.p50_us,
           (long long)latency.p99_us, (long long)latency.max_us,
           (long long)atomic_load(&self->board->events), (long long)twice,
           (double)(after->cpu_us - before->cpu_us) / jobs);
    if (self->broker.process)
        printf(",\"broker_cpu_us_per_job\":%.1f,\"fsyncs\":%lld,\"rss_kb\":%lld,"
               "\"rss_peak_kb\":%lld",
               (double)(after->broker_cpu_us - before->broker_cpu_us) / jobs,
               (long long)(after->fsyncs - before->fsyncs),
               (long long)process_kb(self->broker.process, "VmRSS"),
               (long long)process_kb(self->broker.process, "VmHWM"));
    printf("}\n");
}

void
bench_jobs(const struct bench_options *options)
{
    struct load self;
    int64_t warm = options->window + 500;
    load_open(&self, options, warm + options->jobs);

    // All processes are made before this one has a thread.
    pid_t children[PROCESSES_MAX];
    int count = 0;
    for (; count < options->workers; count++)
        children[count] = child_fork(load_work, &self);
    children[count++] = child_fork(load_subscribe, &self);
    load_connect(&self);

    drive(&self, warm, 0);
    load_await_events(&self);
    children[count] = self.broker.process;
    struct cost before = cost_now(&self, children, count + 1);
    drive(&self, warm + options->jobs, options->rate);
    struct cost after = cost_now(&self, children, count + 1);
    load_await_events(&self);
    report(&self, warm, &before, &after);

    load_disconnect(&self);
    while (count > 0)
        child_stop(children[--count]);
    load_close(&self);
}
