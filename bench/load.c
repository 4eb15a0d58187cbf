#include <stdlib.h>

#include "clock.h"
#include "load.h"
#include "worker.h"

enum {
    RESULT_BYTES = 100,
    EVENTS_CREDIT = 256, // runs at a time: one a shard
    CONNECT_MS = 10000,
};

// ---- the workers' processes

static void
run_worker(struct om_worker_conf *conf, const char *endpoint)
{
    const char *why;
    conf->link.endpoint = endpoint;
    conf->drain_ms = 2000;
    if (om_worker_main(conf, &why) != OM_OK)
        bench_die("%s", why);
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
    const struct load *self = context;
    static const char result[RESULT_BYTES];
    board_run(self->board, job_index(job));
    om_buf_put(&job->result, result, sizeof(result));
    om_job_usage(job, "compute_ms", job_index(job), "bench");
}

static void
on_acknowledged(void *context, const struct om_job *job)
{
    const struct load *self = context;
    board_end(self->board, job_index(job));
}

void
load_work(void *load)
{
    struct load *self = load;
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
    struct load *self = context;
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

void
load_subscribe(void *load)
{
    struct load *self = load;
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

void
load_open(struct load *self, const struct bench_options *options, int64_t jobs)
{
    if (!queue_find(om_str(options->queue)))
        bench_die("%s is no queue of the platform", options->queue);
    *self = (struct load){ .options = options, .board = board_create(jobs) };
    self->payload = calloc(1, (size_t)options->payload_bytes);
    if (!self->payload)
        bench_die("no memory");
    for (int i = 0; i < options->tenants; i++)
        om_id_text(OM_ID_TENANT, (uint8_t)i, self->tenants[i]);
    broker_start(&self->broker, options);
}

void
load_close(struct load *self)
{
    broker_stop(&self->broker);
    free(self->payload);
}

void
load_connect(struct load *self)
{
    static struct om_link_conf link = { .role = ROLE_INGEST, .node = "bench" };
    link.endpoint = self->broker.client;
    const char *why;
    if (om_client_create(&link, &self->client, &why) != OM_OK)
        bench_die("%s", why);
    int64_t end_ms = om_clock_mono_ms() + CONNECT_MS;
    const int none[2] = { -1, -1 };
    while (!om_link_is_open(om_client_link(self->client))) {
        om_client_process(self->client);
        if (om_clock_mono_ms() > end_ms)
            bench_die("the broker does not answer");
        board_sleep(self->board, 0, none, 2000);
    }
}

void
load_disconnect(struct load *self)
{
    om_client_destroy(&self->client);
}

static void
on_submitted(void *context, const struct om_answer *answer)
{
    struct load *self = context;
    if (answer->rc != OM_OK)
        bench_die("a job was refused after %lld were taken: %s",
                  (long long)self->acknowledged, om_rc_info(answer->rc)->code);
    self->acknowledged++;
}

void
load_submit(struct load *self, int64_t start_us)
{
    char task[OM_TYPEID_MAX];
    int64_t tenant = self->submitted % self->options->tenants;
    om_id_text(OM_ID_TASK, (uint8_t)tenant, task);
    memcpy(self->payload, &self->submitted, sizeof(self->submitted));
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, task, om_str(task));
    WIRE_SET(&msg, tenant, om_str(self->tenants[tenant]));
    WIRE_SET(&msg, queue, om_str(self->options->queue));
    WIRE_SET(&msg, kind, OM_LIT("bench"));
    bool sampled = self->submitted % 100 < self->options->sampled;
    WIRE_SET(&msg, traceparent,
             sampled ? OM_LIT("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
                     : OM_LIT("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"));
    struct om_str payload = { self->payload, (size_t)self->options->payload_bytes };
    self->board->marks[self->submitted++].start_us = start_us;
    if (!om_client_send(self->client, WIRE_SUBMIT, &msg, payload, LOAD_TIMEOUT_MS,
                        on_submitted, self))
        bench_die("the window is larger than what a client may have pending");
}

int64_t
load_process(struct load *self)
{
    return (om_client_process(self->client) - om_clock_mono_ms()) * 1000;
}

void
load_sleep(struct load *self, int64_t seen, int64_t wait_us)
{
    int fds[2];
    om_link_fds(om_client_link(self->client), fds);
    board_sleep(self->board, seen, fds, wait_us);
}

// The events trail the results, as they are sent in runs.
void
load_await_events(struct load *self)
{
    const int none[2] = { -1, -1 };
    int64_t end_ms = om_clock_mono_ms() + LOAD_TIMEOUT_MS, seen = -1;
    for (int64_t events; (events = atomic_load(&self->board->events)) < self->submitted;
         seen = events) {
        if (events != seen)
            end_ms = om_clock_mono_ms() + LOAD_TIMEOUT_MS;
        if (om_clock_mono_ms() > end_ms)
            bench_die("%lld of %lld usage events came", (long long)events,
                      (long long)self->submitted);
        board_sleep(self->board, self->submitted, none, 10000);
    }
}
