// omni-sim - runs the broker core in simulated clusters, one a seed.
//
//   omni-sim --seeds FROM-TO [--jobs N]   run these seeds and say which fail
//   omni-sim --seed N --trace             run one and print all that happens
#include <inttypes.h>
#include <stdio.h>
#include <sysexits.h>

#include "seeds.h"
#include "sim.h"

struct totals {
    uint64_t passed, failed, crashes, messages, streamed;
    struct core_stats stats;
};

static void
run(uint64_t seed, bool trace, uint64_t *sums)
{
    struct totals *totals = (struct totals *)sums;
    struct sim sim;
    if (sim_run(&sim, seed, trace)) {
        totals->passed++;
    } else {
        totals->failed++;
        printf("seed %" PRIu64 " fails: %s\n  replay: omni-sim --seed %" PRIu64
               " --trace\n",
               seed, sim.failure, seed);
        fflush(stdout);
    }
    sim_add_stats(&totals->stats, &sim.totals);
    totals->crashes += sim.crashes;
    totals->messages += sim.messages;
    totals->streamed += sim.streamed;
}

int
main(int argc, char **argv)
{
    struct seeds seeds;
    if (!seeds_read(&seeds, argc, argv)) {
        fprintf(stderr,
                "usage: omni-sim [--seeds FROM-TO | --seed N] [--jobs N] [--trace]\n");
        return EX_USAGE;
    }
    struct totals sum = { 0 };
    bool well = seeds_run(&seeds, (uint64_t *)&sum, sizeof(sum) / sizeof(uint64_t), run);
    const struct core_stats *stats = &sum.stats;
    printf("%" PRIu64 " messages, %" PRIu64 " broker crashes, %" PRIu64
           " answers in parts\n",
           sum.messages, sum.crashes, sum.streamed);
    printf("jobs: %" PRIu64 " submitted, %" PRIu64 " completed, %" PRIu64
           " failed, %" PRIu64 " cancelled, %" PRIu64 " expired\n",
           stats->submitted, stats->completed, stats->failed, stats->cancelled,
           stats->expired);
    printf("%" PRIu64 " leases lost, %" PRIu64 " stale tokens, %" PRIu64
           " events set aside, %" PRIu64 " jobs recalled\n",
           stats->lost, stats->stale, stats->dead_events, stats->recalled);
    printf("%" PRIu64 " passed, %" PRIu64 " failed\n", sum.passed, sum.failed);
    return well && !sum.failed ? EXIT_SUCCESS : EXIT_FAILURE;
}
