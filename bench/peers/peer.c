#include <arpa/inet.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "peer.h"

enum { STUCK_MS = 60000, SLOTS_MAX = 1000, WORKERS_MAX = 64 };

struct bench {
    const struct peer *peer;
    struct peer_run run;
    pid_t server;
    _Atomic int64_t *fsyncs;
    int64_t submitted, confirmed;
};

void
peer_ended(struct peer_run *run, struct om_str payload)
{
    int64_t index = -1;
    if (payload.size >= sizeof(index))
        memcpy(&index, payload.data, sizeof(index));
    board_end(run->board, index);
}

// ---- the server

int
peer_free_port(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(fd, (struct sockaddr *)&address, size) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) != 0)
        bench_die("no free port");
    close(fd);
    return ntohs(address.sin_port);
}

static void
start_server(struct bench *self)
{
    struct peer_run *run = &self->run;
    char count[300], counter[400], preload[600], bin[512];
    folder_make("/var/tmp", run->folder, sizeof(run->folder));
    snprintf(run->socket, sizeof(run->socket), "%s/socket", run->folder);
    run->port = peer_free_port();
    snprintf(count, sizeof(count), "%s/fsyncs", run->folder);
    int fd = open(count, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, 4096) != 0)
        bench_die("cannot make %s", count);
    self->fsyncs = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (self->fsyncs == MAP_FAILED)
        bench_die("cannot map %s", count);
    program_folder(bin, sizeof(bin));
    snprintf(preload, sizeof(preload), "LD_PRELOAD=%s/libomni-bench-fsync.so", bin);
    snprintf(counter, sizeof(counter), BENCH_FSYNC_VARIABLE "=%s", count);
    self->server =
        self->peer->start(run, (const char *const[]){ preload, counter, NULL });
}

// ---- the run

static void
consume(void *context)
{
    struct bench *self = context;
    self->peer->consume(&self->run);
}

static void
submit(struct bench *self)
{
    memcpy(self->run.payload, &self->submitted, sizeof(self->submitted));
    self->run.board->marks[self->submitted++].start_us = om_clock_mono_us();
    self->peer->submit(&self->run);
}

static void
drive(struct bench *self, int64_t last)
{
    struct bench_board *board = self->run.board;
    int64_t stuck_ms = om_clock_mono_ms() + STUCK_MS, seen = -1;
    for (;;) {
        int64_t ended = atomic_load(&board->ended);
        if (ended != seen)
            stuck_ms = om_clock_mono_ms() + STUCK_MS;
        seen = ended;
        while (self->submitted < last && self->submitted - ended < self->run.window)
            submit(self);
        self->confirmed += self->peer->confirmed(&self->run);
        if (ended == last && self->confirmed == last)
            return;
        if (om_clock_mono_ms() > stuck_ms)
            bench_die("%lld of %lld jobs have ended, and no other does", (long long)ended,
                      (long long)last);
        const int fds[2] = { self->peer->fd(&self->run), -1 };
        board_sleep(board, ended, fds, 100000);
    }
}

static void
report(const struct bench *self, int64_t first, int64_t taken_us, int64_t cpu_us,
       int64_t fsyncs)
{
    const struct peer_run *run = &self->run;
    struct bench_latency latency = board_latency(run->board, first, self->submitted);
    printf("{\"mode\":\"%s\",\"durable\":\"%s\",\"ack\":\"%s\",\"window\":%lld,"
           "\"jobs\":%lld,\"payload\":%lld,\"workers\":%lld,\"slots\":%lld,"
           "\"jobs_per_s\":%lld,\"p50_us\":%lld,\"p99_us\":%lld,\"max_us\":%lld,"
           "\"cpu_us_per_job\":%.1f,\"fsyncs\":%lld,\"rss_kb\":%lld}\n",
           self->peer->name, self->peer->durable, run->ack_each ? "each" : "batch",
           (long long)run->window, (long long)run->jobs, (long long)run->payload_bytes,
           (long long)run->workers, (long long)run->slots,
           (long long)(run->jobs * 1000000 / taken_us), (long long)latency.p50_us,
           (long long)latency.p99_us, (long long)latency.max_us,
           (double)cpu_us / (double)run->jobs, (long long)fsyncs,
           (long long)process_kb(self->server, "VmRSS"));
}

static void
measure(struct bench *self)
{
    struct peer_run *run = &self->run;
    int64_t warm = run->window + 500;
    run->board = board_create(warm + run->jobs);
    run->payload = calloc(1, (size_t)run->payload_bytes);
    start_server(self);
    self->peer->open(run);
    pid_t processes[WORKERS_MAX + 1];
    int count = 0;
    for (; count < run->workers; count++)
        processes[count] = child_fork(consume, self);
    processes[count++] = self->server;

    drive(self, warm);
    int64_t fsyncs = atomic_load(self->fsyncs), begin_us = om_clock_mono_us();
    int64_t cpu_us = processes_cpu_us(processes, count);
    drive(self, warm + run->jobs);
    int64_t taken_us = om_clock_mono_us() - begin_us;
    report(self, warm, taken_us, processes_cpu_us(processes, count) - cpu_us,
           atomic_load(self->fsyncs) - fsyncs);

    self->peer->close(run);
    for (int i = 0; i < count; i++)
        child_stop(processes[i]);
    munmap((void *)self->fsyncs, 4096);
    folder_remove(run->folder);
    free(run->payload);
}

static void
read_options(struct peer_run *run, int argc, char **argv)
{
    static const struct option known[] = {
        { "window", required_argument, NULL, 'n' },
        { "jobs", required_argument, NULL, 'm' },
        { "payload", required_argument, NULL, 'p' },
        { "workers", required_argument, NULL, 'w' },
        { "slots", required_argument, NULL, 's' },
        { "appendfsync", required_argument, NULL, 'f' },
        { "ack-batch", no_argument, NULL, 'a' },
        { 0 },
    };
    for (int option; (option = getopt_long(argc, argv, "", known, NULL)) >= 0;) {
        switch (option) {
        case 'n':
            run->window = atoll(optarg);
            break;
        case 'm':
            run->jobs = atoll(optarg);
            break;
        case 'p':
            run->payload_bytes = atoll(optarg);
            break;
        case 'w':
            run->workers = atoll(optarg);
            break;
        case 's':
            run->slots = atoll(optarg);
            break;
        case 'f':
            run->fsync = optarg;
            break;
        case 'a':
            run->ack_each = false;
            break;
        default:
            exit(2);
        }
    }
}

int
peer_main(const struct peer *peer, int argc, char **argv)
{
    struct bench self = { .peer = peer,
                          .run = { .window = 64,
                                   .jobs = 100000,
                                   .payload_bytes = 200,
                                   .workers = 2,
                                   .slots = 64,
                                   .fsync = "always",
                                   .ack_each = true } };
    struct peer_run *run = &self.run;
    read_options(run, argc, argv);
    if (run->window < 1 || run->jobs < 1 || run->payload_bytes < 8 || run->workers < 1 ||
        run->workers > WORKERS_MAX || run->slots < 1 || run->slots > SLOTS_MAX)
        bench_die("an option is out of its range");
    measure(&self);
    return 0;
}
