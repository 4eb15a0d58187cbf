// redis.c - the jobs of omni-bench over Redis Streams: XADD, XREADGROUP, XACK, with an
// fsync before every reply.
//
// A job is outstanding from its XADD until its consumer has the reply to its XACK. Redis
// does less than Omni here: it keeps no result, no usage event and no state of the job.
#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench.h"
#include "clock.h"
#include "resp.h"

enum { STUCK_MS = 60000, SLOTS_MAX = 1000, WORKERS_MAX = 64 };

struct run {
    struct bench_board *board;
    char folder[256], socket[300];
    int64_t window, jobs, payload_bytes, workers, slots;
    const char *fsync; // value of appendfsync
    bool ack_each;
    char *payload;
    struct resp client;
    int64_t submitted, acknowledged;
    _Atomic int64_t *fsyncs;
};

static pid_t
start_server(struct run *self)
{
    char count[300], counter[400], preload[600], bin[512];
    program_folder(bin, sizeof(bin));
    snprintf(count, sizeof(count), "%s/fsyncs", self->folder);
    int fd = open(count, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, 4096) != 0)
        bench_die("cannot make %s", count);
    self->fsyncs = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    snprintf(preload, sizeof(preload), "LD_PRELOAD=%s/libomni-bench-fsync.so", bin);
    snprintf(counter, sizeof(counter), BENCH_FSYNC_VARIABLE "=%s", count);
    const char *arguments[] = { "/usr/bin/redis-server",
                                "--port",
                                "0",
                                "--unixsocket",
                                self->socket,
                                "--dir",
                                self->folder,
                                "--appendonly",
                                "yes",
                                "--appendfsync",
                                self->fsync,
                                "--save",
                                "",
                                "--auto-aof-rewrite-percentage",
                                "0",
                                "--logfile",
                                "redis.log",
                                "--loglevel",
                                "warning",
                                NULL };
    return child_exec(arguments, (const char *const[]){ preload, counter, NULL });
}

// ---- a consumer's process

// Read `count` entries, [id, [field, payload]] each, and acknowledge them: with a command
// each, as jobs do that end by themselves, or with one for all.
static void
handle_entries(struct run *self, struct resp *redis, int64_t count)
{
    char ids[SLOTS_MAX][32];
    int64_t indices[SLOTS_MAX];
    struct om_str words[3 + SLOTS_MAX] = { OM_LIT("XACK"), OM_LIT("jobs"), OM_LIT("g") };
    int64_t each = self->ack_each ? 1 : count;
    for (int64_t i = 0; i < count; i++) {
        resp_next(redis); // *2
        struct om_str id = resp_next(redis).text;
        memcpy(ids[i], id.data, id.size);
        words[3 + i % each] = (struct om_str){ ids[i], id.size };
        resp_next(redis); // *2
        resp_next(redis); // field
        memcpy(&indices[i], resp_next(redis).text.data, sizeof(indices[i]));
        if ((i + 1) % each == 0)
            resp_add(redis, 3 + (size_t)each, words);
    }
    resp_flush(redis);
    for (int64_t i = 0; i < count; i += each) {
        if (resp_next(redis).number != each)
            bench_die("redis acknowledged another number of jobs");
        for (int64_t k = i; k < i + each; k++)
            board_end(self->board, indices[k]);
    }
}

static void
consume(void *context)
{
    struct run *self = context;
    struct resp redis;
    char name[32], count[32];
    resp_open(&redis, self->socket);
    snprintf(name, sizeof(name), "c%d", (int)getpid());
    snprintf(count, sizeof(count), "%lld", (long long)self->slots);
    const struct om_str words[] = {
        OM_LIT("XREADGROUP"), OM_LIT("GROUP"), OM_LIT("g"),     om_str(name),
        OM_LIT("COUNT"),      om_str(count),   OM_LIT("BLOCK"), OM_LIT("1000"),
        OM_LIT("STREAMS"),    OM_LIT("jobs"),  OM_LIT(">"),
    };
    for (;;) {
        resp_add(&redis, OM_COUNT(words), words);
        resp_flush(&redis);
        if (resp_next(&redis).number < 0)
            continue;      // nothing within BLOCK
        resp_next(&redis); // *2: stream and entries
        resp_next(&redis);
        handle_entries(self, &redis, resp_next(&redis).number);
    }
}

// ---- the client's process

static void
submit(struct run *self)
{
    memcpy(self->payload, &self->submitted, sizeof(self->submitted));
    const struct om_str words[] = { OM_LIT("XADD"),
                                    OM_LIT("jobs"),
                                    OM_LIT("*"),
                                    OM_LIT("p"),
                                    { self->payload, (size_t)self->payload_bytes } };
    resp_add(&self->client, OM_COUNT(words), words);
    self->board->marks[self->submitted++].start_us = om_clock_mono_us();
}

static void
drive(struct run *self, int64_t last)
{
    int64_t stuck_ms = om_clock_mono_ms() + STUCK_MS, seen = -1;
    for (;;) {
        int64_t ended = atomic_load(&self->board->ended);
        if (ended != seen)
            stuck_ms = om_clock_mono_ms() + STUCK_MS;
        seen = ended;
        while (self->submitted < last && self->submitted - ended < self->window)
            submit(self);
        resp_flush(&self->client);
        struct resp_token token;
        while (resp_poll(&self->client, &token)) {
            if (token.type == '-')
                bench_die("redis says %.*s", (int)token.text.size, token.text.data);
            self->acknowledged++;
        }
        if (ended == last && self->acknowledged == last)
            return;
        if (om_clock_mono_ms() > stuck_ms)
            bench_die("%lld of %lld jobs have ended, and no other does", (long long)ended,
                      (long long)last);
        const int fds[2] = { self->client.fd, -1 };
        board_sleep(self->board, ended, fds, 100);
    }
}

static void
make_group(struct run *self)
{
    resp_open(&self->client, self->socket);
    const struct om_str words[] = {
        OM_LIT("XGROUP"), OM_LIT("CREATE"), OM_LIT("jobs"),
        OM_LIT("g"),      OM_LIT("$"),      OM_LIT("MKSTREAM")
    };
    resp_add(&self->client, OM_COUNT(words), words);
    resp_flush(&self->client);
    resp_next(&self->client);
}

static void
bench_redis(struct run *self)
{
    int64_t warm = self->window + 500;
    self->board = board_create(warm + self->jobs);
    self->payload = calloc(1, (size_t)self->payload_bytes);
    folder_make("/var/tmp", self->folder, sizeof(self->folder));
    snprintf(self->socket, sizeof(self->socket), "%s/redis", self->folder);
    pid_t server = start_server(self), consumers[WORKERS_MAX + 1];
    make_group(self);
    for (int64_t i = 0; i < self->workers; i++)
        consumers[i] = child_fork(consume, self);

    drive(self, warm);
    consumers[self->workers] = server;
    int processes = (int)self->workers + 1;
    int64_t fsyncs = atomic_load(self->fsyncs), begin_us = om_clock_mono_us();
    int64_t cpu_us = processes_cpu_us(consumers, processes);
    drive(self, warm + self->jobs);
    int64_t taken_us = om_clock_mono_us() - begin_us;
    cpu_us = processes_cpu_us(consumers, processes) - cpu_us;
    fsyncs = atomic_load(self->fsyncs) - fsyncs;
    struct bench_latency latency = board_latency(self->board, warm, self->submitted);
    printf("{\"mode\":\"redis\",\"appendfsync\":\"%s\",\"ack\":\"%s\",\"window\":%lld,"
           "\"jobs\":%lld,"
           "\"payload\":%lld,\"workers\":%lld,\"slots\":%lld,\"jobs_per_s\":%lld,"
           "\"p50_us\":%lld,\"p99_us\":%lld,\"max_us\":%lld,\"cpu_us_per_job\":%.1f,"
           "\"fsyncs\":%lld,"
           "\"rss_kb\":%lld}\n",
           self->fsync, self->ack_each ? "each" : "batch", (long long)self->window,
           (long long)self->jobs, (long long)self->payload_bytes,
           (long long)self->workers, (long long)self->slots,
           (long long)(self->jobs * 1000000 / taken_us), (long long)latency.p50_us,
           (long long)latency.p99_us, (long long)latency.max_us,
           (double)cpu_us / (double)self->jobs, (long long)fsyncs,
           (long long)process_kb(server, "VmRSS"));

    resp_close(&self->client);
    for (int64_t i = 0; i < self->workers; i++)
        child_stop(consumers[i]);
    child_stop(server);
    folder_remove(self->folder);
    free(self->payload);
}

int
main(int argc, char **argv)
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
    struct run run = { .window = 64,
                       .jobs = 100000,
                       .payload_bytes = 200,
                       .workers = 2,
                       .slots = 64,
                       .fsync = "always",
                       .ack_each = true };
    for (int option; (option = getopt_long(argc, argv, "", known, NULL)) >= 0;) {
        switch (option) {
        case 'n':
            run.window = atoll(optarg);
            break;
        case 'm':
            run.jobs = atoll(optarg);
            break;
        case 'p':
            run.payload_bytes = atoll(optarg);
            break;
        case 'w':
            run.workers = atoll(optarg);
            break;
        case 's':
            run.slots = atoll(optarg);
            break;
        case 'f':
            run.fsync = optarg;
            break;
        case 'a':
            run.ack_each = false;
            break;
        default:
            return 2;
        }
    }
    if (run.window < 1 || run.jobs < 1 || run.payload_bytes < 8 || run.workers < 1 ||
        run.workers > WORKERS_MAX || run.slots < 1 || run.slots > SLOTS_MAX)
        bench_die("an option is out of its range");
    bench_redis(&run);
    return 0;
}
