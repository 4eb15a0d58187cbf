// seeds.h - runs a range of seeds, in several processes at once.
#pragma once
#include "base.h"

struct seeds {
    uint64_t from, to;
    unsigned jobs; // processes
    bool trace;
};

// Of the arguments --seeds FROM-TO, --seed N, --jobs N and --trace. False: others were
// given.
bool seeds_read(struct seeds *self, int argc, char **argv);

// Run each seed. `totals` is a struct of `count` uint64_t; each process adds to one of
// its own, and at the end it holds their sums. False: a process died.
bool seeds_run(const struct seeds *self, uint64_t *totals, size_t count,
               void (*run)(uint64_t seed, bool trace, uint64_t *totals));
