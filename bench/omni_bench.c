// omni_bench.c - measures the broker over real sockets, with processes of their own for
// client, workers and subscriber; README.md says what the numbers mean.
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>

#include "bench.h"

enum { WORKERS_MAX = 64, TENANTS_MAX = 256, PAYLOAD_MIN = 8 };

static void
usage(FILE *out)
{
    fputs(
        "usage: omni-bench jobs|backlog|calls [--window N] [--jobs M] [--payload BYTES]\n"
        "                  [--workers N] [--slots N] [--threads N] [--rate N]\n"
        "                  [--sampled PERCENT] [--tenants N] [--queue NAME]\n"
        "                  [--folder DIR] [--broker URL --work URL]\n",
        out);
}

static int64_t
number(const char *text, int64_t low, int64_t high)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno || end == text || *end || value < low || value > high)
        bench_die("%s is not a number from %lld to %lld", text, (long long)low,
                  (long long)high);
    return value;
}

static const struct option known[] = {
    { "window", required_argument, NULL, 'n' },
    { "jobs", required_argument, NULL, 'm' },
    { "payload", required_argument, NULL, 'p' },
    { "workers", required_argument, NULL, 'w' },
    { "slots", required_argument, NULL, 's' },
    { "threads", required_argument, NULL, 't' },
    { "rate", required_argument, NULL, 'r' },
    { "sampled", required_argument, NULL, 'a' },
    { "tenants", required_argument, NULL, 'e' },
    { "queue", required_argument, NULL, 'q' },
    { "folder", required_argument, NULL, 'f' },
    { "broker", required_argument, NULL, 'b' },
    { "work", required_argument, NULL, 'k' },
    { "help", no_argument, NULL, 'h' },
    { 0 },
};

static void
read_options(int argc, char **argv, struct bench_options *out)
{
    for (int option; (option = getopt_long(argc, argv, "", known, NULL)) >= 0;) {
        switch (option) {
        case 'n':
            out->window = number(optarg, 1, 60000);
            break;
        case 'm':
            out->jobs = number(optarg, 1, 100000000);
            break;
        case 'p':
            out->payload_bytes = number(optarg, PAYLOAD_MIN, 1 << 20);
            break;
        case 'w':
            out->workers = number(optarg, 1, WORKERS_MAX);
            break;
        case 's':
            out->slots = number(optarg, 1, 10000);
            break;
        case 't':
            out->threads = number(optarg, 0, 256);
            break;
        case 'r':
            out->rate = number(optarg, 0, 10000000);
            break;
        case 'a':
            out->sampled = number(optarg, 0, 100);
            break;
        case 'e':
            out->tenants = number(optarg, 1, TENANTS_MAX);
            break;
        case 'q':
            out->queue = optarg;
            break;
        case 'f':
            out->folder = optarg;
            break;
        case 'b':
            out->broker = optarg;
            break;
        case 'k':
            out->work = optarg;
            break;
        case 'h':
            usage(stdout);
            exit(0);
        default:
            usage(stderr);
            exit(2);
        }
    }
}

int
main(int argc, char **argv)
{
    struct bench_options options = {
        .window = 64,
        .jobs = 100000,
        .payload_bytes = 200,
        .workers = 2,
        .slots = 64,
        .tenants = 1,
        .sampled = 100,
        .queue = "omni.inference",
        .folder = "/var/tmp",
    };
    read_options(argc, argv, &options);
    if (!options.broker != !options.work)
        bench_die("--broker and --work go together");
    const char *mode = optind + 1 == argc ? argv[optind] : "";
    if (strcmp(mode, "jobs") == 0) {
        bench_jobs(&options);
    } else if (strcmp(mode, "backlog") == 0) {
        bench_backlog(&options);
    } else if (strcmp(mode, "calls") == 0) {
        bench_calls(&options);
    } else {
        usage(stderr);
        return 2;
    }
    return 0;
}
