// jobs.c - durable jobs end to end: submit, commit, worker, result committed, one usage
// event a job to a subscriber.
//
// A job is outstanding from its SUBMIT until its worker has DONE_ACK: its result and its
// usage event are on disk. `window` jobs are outstanding at a time.
#include <signal.h>
#include <stdlib.h>

#include "client.h"
#include "clock.h"
#include "id.h"
#include "service.h"
#include "worker.h"

enum {
    TIMEOUT_MS = 60000, // of one job: then the run has failed
    RESULT_BYTES = 100,
    EVENTS_CREDIT = 256, // runs at a time: one a shard
    PROCESSES_MAX = 70,
};

struct jobs {
    const struct bench_options *options;
    struct bench_broker broker;
    struct bench_board *board;
    struct om_client *client;
    char tenant[OM_TYPEID_MAX];
    uint8_t shard;
    char *payload;
    int64_t submitted, acknowledged;
};

// What was measured beside the marks.
struct cost {
    int64_t taken_us, fsyncs, cpu_us, broker_cpu_us;
};

// ---- the workers' processes

static struct om_worker *running;

static void
on_signal(int number)
{
    (void)number;
    if (running)
        om_worker_stop(running);
}

static void
run_worker(struct om_worker_conf *conf, const char *endpoint)
{
    const char *why;
    conf->link.endpoint = endpoint;
    conf->drain_ms = 2000;
    if (om_worker_create(conf, &running, &why) != OM_OK)
        bench_die("%s", why);
    signal(SIGTERM, on_signal);
    om_worker_run(running);
    om_worker_destroy(&running);
}

static int64_t
job_index(const struct om_job *job)
{
    int64_t index = -1;
    if (job->payload.size >= sizeof(index))
        memcpy(&index, job->payload.data, sizeof(index));
    return index;
}

static void
on_job(void *context, struct om_job *job)
{
    (void)context;
    static const char result[RESULT_BYTES];
    om_buf_put(&job->result, result, sizeof(result));
    om_job_usage(job, "compute_ms", job_index(job), "bench");
}

static void
on_acknowledged(void *context, const struct om_job *job)
{
    const struct jobs *self = context;
    board_end(self->board, job_index(job));
}

static void
work(void *context)
{
    struct jobs *self = context;
    const char *const names[] = { self->options->queue };
    struct om_worker_conf conf = {
        .link = { .role = queue_find(om_str(self->options->queue))->owner },
        .queues = names,
        .queue_count = 1,
        .slots = (int)self->options->threads,
        .credit = (int)self->options->slots,
        .context = self,
        .handle = on_job,
        .acknowledged = on_acknowledged,
    };
    char node[32];
    snprintf(node, sizeof(node), "bench-%lld", (long long)om_clock_mono_us());
    conf.link.node = node;
    run_worker(&conf, self->broker.work);
}

// Which job is it of? The worker metered the job's number.
static void
on_run(void *context, struct om_job *job)
{
    struct jobs *self = context;
    struct rec_iter iter = rec_iter(job->payload);
    struct om_str bytes;
    while (rec_next_raw(&iter, &bytes)) {
        struct wire_logged event;
        struct wire_usage usage;
        if (rec_decode(&wire_logged_rec, bytes, &event, NULL) != OM_OK ||
            rec_decode(&wire_usage_rec, event.body, &usage, NULL) != OM_OK)
            bench_die("an event cannot be read");
        board_event(self->board, usage.quantity);
    }
}

static void
subscribe(void *context)
{
    struct jobs *self = context;
    const char *const names[] = { queues[QUEUE_BILLING_EVENTS].name };
    struct om_worker_conf conf = {
        .link = { .role = ROLE_BILLING, .node = "bench-billing" },
        .queues = names,
        .queue_count = 1,
        .credit = EVENTS_CREDIT,
        .context = self,
        .handle = on_run,
    };
    run_worker(&conf, self->broker.work);
}

// ---- the client's process

static void
on_submitted(void *context, const struct om_answer *answer)
{
    struct jobs *self = context;
    if (answer->rc != OM_OK)
        bench_die("a job was refused: %s", om_rc_info(answer->rc)->code);
    self->acknowledged++;
}

static void
submit(struct jobs *self, int64_t start_us)
{
    char task[OM_TYPEID_MAX];
    om_id_text(OM_ID_TASK, self->shard, task);
    memcpy(self->payload, &self->submitted, sizeof(self->submitted));
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, task, om_str(task));
    WIRE_SET(&msg, tenant, om_str(self->tenant));
    WIRE_SET(&msg, queue, om_str(self->options->queue));
    WIRE_SET(&msg, kind, OM_LIT("bench"));
    WIRE_SET(&msg, traceparent,
             OM_LIT("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
    struct om_str payload = { self->payload, (size_t)self->options->payload_bytes };
    self->board->marks[self->submitted++].start_us = start_us;
    if (!om_client_send(self->client, WIRE_SUBMIT, &msg, payload, TIMEOUT_MS,
                        on_submitted, self))
        bench_die("the window is larger than what a client may have pending");
}

// Keep the window full until `last` were submitted and have ended, or, with a rate,
// submit at fixed times.
static void
drive(struct jobs *self, int64_t last, int64_t rate)
{
    int64_t first = self->submitted, begin_us = om_clock_mono_us();
    int64_t stuck_ms = om_clock_mono_ms() + TIMEOUT_MS, seen = -1;
    for (;;) {
        int64_t ended = atomic_load(&self->board->ended), wait_ms = 100;
        if (ended != seen)
            stuck_ms = om_clock_mono_ms() + TIMEOUT_MS;
        seen = ended;
        while (self->submitted < last &&
               self->submitted - ended < self->options->window) {
            int64_t now_us = om_clock_mono_us(), due_us = now_us;
            if (rate)
                due_us = begin_us + (self->submitted - first) * 1000000 / rate;
            if (due_us > now_us) {
                wait_ms = (due_us - now_us) / 1000;
                break;
            }
            submit(self, due_us);
        }
        int64_t due_ms = om_client_process(self->client) - om_clock_mono_ms();
        if (ended == last && self->acknowledged == last)
            return;
        if (om_clock_mono_ms() > stuck_ms)
            bench_die("%lld of %lld jobs have ended, and no other does", (long long)ended,
                      (long long)last);
        int fds[2];
        om_link_fds(om_client_link(self->client), fds);
        board_sleep(self->board, ended, fds, due_ms < wait_ms ? due_ms : wait_ms);
    }
}

// The events trail the results, as they are sent in runs.
static void
await_events(struct jobs *self)
{
    const int none[2] = { -1, -1 };
    int64_t end_ms = om_clock_mono_ms() + TIMEOUT_MS;
    while (atomic_load(&self->board->events) < self->submitted) {
        if (om_clock_mono_ms() > end_ms)
            bench_die("%lld of %lld usage events came",
                      (long long)atomic_load(&self->board->events),
                      (long long)self->submitted);
        board_sleep(self->board, self->submitted, none, 10);
    }
}

static void
connect_client(struct jobs *self)
{
    static struct om_link_conf link = { .role = ROLE_INGEST, .node = "bench" };
    link.endpoint = self->broker.client;
    const char *why;
    if (om_client_create(&link, &self->client, &why) != OM_OK)
        bench_die("%s", why);
    int64_t end_ms = om_clock_mono_ms() + 10000;
    const int none[2] = { -1, -1 };
    while (!om_link_is_open(om_client_link(self->client))) {
        om_client_process(self->client);
        if (om_clock_mono_ms() > end_ms)
            bench_die("the broker does not answer");
        board_sleep(self->board, 0, none, 2);
    }
}

static struct cost
cost_now(const struct jobs *self, const pid_t *children, int count)
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
report(const struct jobs *self, int64_t first, const struct cost *before,
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
    if (!queue_find(om_str(options->queue)))
        bench_die("%s is no queue of the platform", options->queue);
    int64_t warm = options->window + 500;
    struct jobs self = { .options = options,
                         .board = board_create(warm + options->jobs) };
    self.payload = calloc(1, (size_t)options->payload_bytes);
    self.shard = 7;
    om_id_text(OM_ID_TENANT, self.shard, self.tenant);
    broker_start(&self.broker, options);

    // All processes are made before this one has a thread.
    pid_t children[PROCESSES_MAX];
    int count = 0;
    for (; count < options->workers; count++)
        children[count] = child_fork(work, &self);
    children[count++] = child_fork(subscribe, &self);
    connect_client(&self);

    drive(&self, warm, 0);
    await_events(&self);
    children[count] = self.broker.process;
    struct cost before = cost_now(&self, children, count + 1);
    drive(&self, warm + options->jobs, options->rate);
    struct cost after = cost_now(&self, children, count + 1);
    await_events(&self);
    report(&self, warm, &before, &after);

    om_client_destroy(&self.client);
    while (count > 0)
        child_stop(children[--count]);
    broker_stop(&self.broker);
    free(self.payload);
}
