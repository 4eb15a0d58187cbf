// omni-model - does random steps with the real core and with a plain model of it, and
// compares all they say; then serves random tenants and looks whether that was fair.
//
//   omni-model --seeds FROM-TO [--jobs N]   of each seed that fails print what it takes
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include "fair.h"
#include "seeds.h"
#include "steps.h"

struct totals {
    uint64_t passed, failed, steps;
};

static void
explain(struct steps *steps, uint64_t seed, size_t done, char *why, size_t why_size)
{
    printf("seed %" PRIu64 ": at step %zu: %s\n", seed, done, why);
    steps->count = done;
    steps_shrink(steps);
    if (steps_run(steps, why, why_size, &done))
        abort(); // a step depends on what no seed says
    printf("  it takes:\n");
    steps_print(steps);
    printf("  then: %s\n", why);
    fflush(stdout);
}

static void
run(uint64_t seed, bool trace, uint64_t *sums)
{
    struct totals *totals = (struct totals *)sums;
    char why[512];
    size_t done;
    struct steps *steps = malloc(sizeof(*steps));
    if (!steps)
        abort();
    steps_make(steps, seed);
    bool same = steps_run(steps, why, sizeof(why), &done);
    totals->steps += done;
    if (trace)
        steps_print(steps);
    if (!same)
        explain(steps, seed, done, why, sizeof(why));
    bool fair = fair_run(seed, why, sizeof(why));
    if (!fair)
        printf("seed %" PRIu64 ": %s\n", seed, why);
    totals->passed += same && fair;
    totals->failed += !same || !fair;
    free(steps);
}

int
main(int argc, char **argv)
{
    struct seeds seeds;
    if (!seeds_read(&seeds, argc, argv)) {
        fprintf(stderr,
                "usage: omni-model [--seeds FROM-TO | --seed N] [--jobs N] [--trace]\n");
        return EX_USAGE;
    }
    struct totals sum = { 0 };
    bool well = seeds_run(&seeds, (uint64_t *)&sum, sizeof(sum) / sizeof(uint64_t), run);
    printf("%" PRIu64 " steps\n%" PRIu64 " passed, %" PRIu64 " failed\n", sum.steps,
           sum.passed, sum.failed);
    return well && !sum.failed ? EXIT_SUCCESS : EXIT_FAILURE;
}
