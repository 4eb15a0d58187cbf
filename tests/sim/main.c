// omni-sim - runs the broker core in simulated clusters, one a seed.
//
//   omni-sim --seeds FROM-TO   run these seeds and say which fail
//   omni-sim --seed N --trace  run one and print all that happens
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <sysexits.h>

#include "sim.h"

struct options {
    uint64_t from, to;
    bool trace;
};

static bool
read_options(int argc, char **argv, struct options *out)
{
    static const struct option longs[] = { { "seeds", required_argument, NULL, 's' },
                                           { "seed", required_argument, NULL, 'n' },
                                           { "trace", no_argument, NULL, 't' },
                                           { 0 } };
    *out = (struct options){ 1, 100, false };
    for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        if (c == 's' && sscanf(optarg, "%" SCNu64 "-%" SCNu64, &out->from, &out->to) == 2)
            continue;
        if (c == 'n' && sscanf(optarg, "%" SCNu64, &out->from) == 1)
            out->to = out->from;
        else if (c == 't')
            out->trace = true;
        else
            return false;
    }
    return optind == argc && out->from <= out->to;
}

int
main(int argc, char **argv)
{
    struct options options;
    if (!read_options(argc, argv, &options)) {
        fprintf(stderr, "usage: omni-sim [--seeds FROM-TO | --seed N] [--trace]\n");
        return EX_USAGE;
    }
    struct core_stats sum = { 0 };
    uint64_t passed = 0, failed = 0, crashes = 0, messages = 0;
    for (uint64_t seed = options.from; seed <= options.to; seed++) {
        struct sim sim;
        if (sim_run(&sim, seed, options.trace)) {
            passed++;
        } else {
            failed++;
            printf("seed %" PRIu64 " fails: %s\n  replay: omni-sim --seed %" PRIu64
                   " --trace\n",
                   seed, sim.failure, seed);
            fflush(stdout);
        }
        sim_add_stats(&sum, &sim.totals);
        crashes += sim.crashes;
        messages += sim.messages;
    }
    printf("%" PRIu64 " messages, %" PRIu64 " broker crashes\n", messages, crashes);
    printf("jobs: %" PRIu64 " submitted, %" PRIu64 " completed, %" PRIu64
           " failed, %" PRIu64 " cancelled, %" PRIu64 " expired\n",
           sum.submitted, sum.completed, sum.failed, sum.cancelled, sum.expired);
    printf("%" PRIu64 " leases lost, %" PRIu64 " stale tokens, %" PRIu64
           " events set aside\n",
           sum.lost, sum.stale, sum.dead_events);
    printf("%" PRIu64 " passed, %" PRIu64 " failed\n", passed, failed);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
