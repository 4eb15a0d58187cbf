// calls.c - the call lane, and beside it what ZeroMQ itself can do: a client, a proxy of
// ROUTER and DEALER, and workers that echo, in processes of their own over ipc.
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
#include <zmq.h>

#include "client.h"
#include "clock.h"
#include "id.h"
#include "service.h"
#include "worker.h"

enum { TIMEOUT_MS = 30000, ROUNDS = 3 };

struct calls {
    const struct bench_options *options;
    struct bench_broker broker;
    struct bench_board *board;
    struct om_client *client;
    char folder[256], front[300], back[300];
    char *payload;
    int64_t started, failed;
};

// ---- the bare echo

static void
bare_proxy(void *context)
{
    struct calls *self = context;
    void *zmq = zmq_ctx_new();
    void *front = zmq_socket(zmq, ZMQ_ROUTER), *back = zmq_socket(zmq, ZMQ_DEALER);
    if (zmq_bind(front, self->front) != 0 || zmq_bind(back, self->back) != 0)
        bench_die("cannot bind %s", self->front);
    zmq_proxy(front, back, NULL);
}

static void
bare_worker(void *context)
{
    struct calls *self = context;
    void *zmq = zmq_ctx_new(), *socket = zmq_socket(zmq, ZMQ_DEALER);
    zmq_connect(socket, self->back);
    zmq_msg_t part;
    zmq_msg_init(&part);
    while (zmq_msg_recv(&part, socket, 0) >= 0)
        zmq_msg_send(&part, socket, zmq_msg_more(&part) ? ZMQ_SNDMORE : 0);
}

static void
bare_send(struct calls *self, void *socket, int64_t start_us)
{
    memcpy(self->payload, &self->started, sizeof(self->started));
    self->board->marks[self->started++].start_us = start_us;
    zmq_send(socket, "header", 6, ZMQ_SNDMORE);
    zmq_send(socket, self->payload, (size_t)self->options->payload_bytes, 0);
}

static void
bare_receive(struct calls *self, void *socket)
{
    char header[16];
    int64_t index;
    zmq_msg_t body;
    zmq_msg_init(&body);
    while (zmq_recv(socket, header, sizeof(header), ZMQ_DONTWAIT) >= 0) {
        zmq_msg_recv(&body, socket, 0);
        memcpy(&index, zmq_msg_data(&body), sizeof(index));
        board_end(self->board, index);
    }
    zmq_msg_close(&body);
}

// Returns the µs it took.
static int64_t
drive_bare(struct calls *self, void *socket, int64_t count)
{
    int64_t last = self->started + count, begin_us = om_clock_mono_us();
    while (atomic_load(&self->board->ended) < last) {
        while (self->started < last &&
               self->started - atomic_load(&self->board->ended) < self->options->window)
            bare_send(self, socket, om_clock_mono_us());
        zmq_pollitem_t item = { socket, 0, ZMQ_POLLIN, 0 };
        if (zmq_poll(&item, 1, TIMEOUT_MS) <= 0)
            bench_die("the bare echo does not answer");
        bare_receive(self, socket);
    }
    return om_clock_mono_us() - begin_us;
}

// ---- the call lane

static void
on_call(void *context, struct om_job *job)
{
    (void)context;
    om_buf_put(&job->result, job->payload.data, job->payload.size);
}

static void
lane_worker(void *context)
{
    struct calls *self = context;
    const char *const names[] = { self->options->queue };
    char node[32];
    snprintf(node, sizeof(node), "bench-%d", (int)getpid());
    struct om_worker_conf conf = {
        .link = { .endpoint = self->broker.work,
                  .node = node,
                  .role = queue_find(om_str(self->options->queue))->owner },
        .queues = names,
        .queue_count = 1,
        .slots = (int)self->options->threads,
        .credit = (int)self->options->slots,
        .handle = on_call,
    };
    const char *why;
    struct om_worker *worker;
    if (om_worker_create(&conf, &worker, &why) != OM_OK)
        bench_die("%s", why);
    om_worker_run(worker);
}

static void
on_reply(void *context, const struct om_answer *answer)
{
    struct calls *self = context;
    if (answer->rc != OM_OK)
        bench_die("a call failed: %s", om_rc_info(answer->rc)->code);
    int64_t index;
    memcpy(&index, answer->payload.data, sizeof(index));
    board_end(self->board, index);
}

static void
lane_send(struct calls *self, int64_t start_us)
{
    memcpy(self->payload, &self->started, sizeof(self->started));
    self->board->marks[self->started++].start_us = start_us;
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, queue, om_str(self->options->queue));
    WIRE_SET(&msg, kind, OM_LIT("echo"));
    struct om_str payload = { self->payload, (size_t)self->options->payload_bytes };
    if (!om_client_send(self->client, WIRE_CALL, &msg, payload, TIMEOUT_MS, on_reply,
                        self))
        bench_die("the window is larger than what a client may have pending");
}

static int64_t
drive_lane(struct calls *self, int64_t count)
{
    int64_t last = self->started + count, begin_us = om_clock_mono_us();
    for (;;) {
        int64_t ended = atomic_load(&self->board->ended);
        while (self->started < last && self->started - ended < self->options->window)
            lane_send(self, om_clock_mono_us());
        int64_t due_ms = om_client_process(self->client) - om_clock_mono_ms();
        if (atomic_load(&self->board->ended) == last)
            return om_clock_mono_us() - begin_us;
        int fds[2];
        om_link_fds(om_client_link(self->client), fds);
        board_sleep(self->board, ended, fds, due_ms * 1000);
    }
}

// ---- both in turns

static void
report(const struct calls *self, const int64_t lane_us[], const int64_t bare_us[],
       const struct bench_latency *lane, const struct bench_latency *bare)
{
    int64_t lane_sum = 0, bare_sum = 0, count = self->options->jobs * ROUNDS * 1000000;
    for (int i = 0; i < ROUNDS; i++) {
        lane_sum += lane_us[i];
        bare_sum += bare_us[i];
    }
    printf("{\"mode\":\"calls\",\"window\":%lld,\"calls\":%lld,\"payload\":%lld,"
           "\"workers\":%lld,\"calls_per_s\":%lld,\"p50_us\":%lld,\"p99_us\":%lld,"
           "\"bare_per_s\":%lld,\"bare_p50_us\":%lld,\"bare_p99_us\":%lld,"
           "\"ratio\":%.2f}\n",
           (long long)self->options->window, (long long)self->options->jobs * ROUNDS,
           (long long)self->options->payload_bytes, (long long)self->options->workers,
           (long long)(count / lane_sum), (long long)lane->p50_us,
           (long long)lane->p99_us, (long long)(count / bare_sum),
           (long long)bare->p50_us, (long long)bare->p99_us,
           (double)bare_sum / (double)lane_sum);
}

static void
start_all(struct calls *self, pid_t children[], int *count)
{
    folder_make(self->options->folder, self->folder, sizeof(self->folder));
    snprintf(self->front, sizeof(self->front), "ipc://%s/front", self->folder);
    snprintf(self->back, sizeof(self->back), "ipc://%s/back", self->folder);
    broker_start(&self->broker, self->options);
    children[(*count)++] = child_fork(bare_proxy, self);
    for (int64_t i = 0; i < self->options->workers; i++) {
        children[(*count)++] = child_fork(bare_worker, self);
        children[(*count)++] = child_fork(lane_worker, self);
    }
}

void
bench_calls(const struct bench_options *options)
{
    int64_t warm = options->window + 500, each = options->jobs;
    struct calls self = { .options = options,
                          .board = board_create(2 * (warm + ROUNDS * each)) };
    self.payload = calloc(1, (size_t)options->payload_bytes);
    pid_t children[130];
    int count = 0;
    start_all(&self, children, &count);

    void *zmq = zmq_ctx_new(), *socket = zmq_socket(zmq, ZMQ_DEALER);
    zmq_connect(socket, self.front);
    struct om_link_conf link = { .role = ROLE_INGEST, .node = "bench" };
    link.endpoint = self.broker.client;
    const char *why;
    if (om_client_create(&link, &self.client, &why) != OM_OK)
        bench_die("%s", why);

    drive_bare(&self, socket, warm);
    drive_lane(&self, warm);
    int64_t lane_us[ROUNDS], bare_us[ROUNDS];
    struct bench_latency lane = { 0 }, bare = { 0 };
    for (int i = 0; i < ROUNDS; i++) { // in turns: the machine's speed drifts
        bare_us[i] = drive_bare(&self, socket, each);
        bare = board_latency(self.board, self.started - each, self.started);
        lane_us[i] = drive_lane(&self, each);
        lane = board_latency(self.board, self.started - each, self.started);
    }
    report(&self, lane_us, bare_us, &lane, &bare);

    om_client_destroy(&self.client);
    zmq_close(socket);
    zmq_ctx_term(zmq);
    while (count > 0)
        child_stop(children[--count]);
    broker_stop(&self.broker);
    folder_remove(self.folder);
    free(self.payload);
}
