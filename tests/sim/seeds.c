#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "seeds.h"

enum { JOBS_MAX = 256 };

bool
seeds_read(struct seeds *self, int argc, char **argv)
{
    static const struct option longs[] = { { "seeds", required_argument, NULL, 's' },
                                           { "seed", required_argument, NULL, 'n' },
                                           { "jobs", required_argument, NULL, 'j' },
                                           { "trace", no_argument, NULL, 't' },
                                           { 0 } };
    *self = (struct seeds){ 1, 100, 1, false };
    bool valid = true;
    for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        if (c == 's')
            valid &= sscanf(optarg, "%" SCNu64 "-%" SCNu64, &self->from, &self->to) == 2;
        else if (c == 'n')
            valid &= sscanf(optarg, "%" SCNu64, &self->from) == 1;
        else if (c == 'j')
            valid &= sscanf(optarg, "%u", &self->jobs) == 1;
        else if (c == 't')
            self->trace = true;
        else
            valid = false;
        if (c == 'n')
            self->to = self->from;
    }
    return valid && optind == argc && self->from <= self->to && self->jobs >= 1 &&
           self->jobs <= JOBS_MAX;
}

// Every seed whose turn it is.
static void
run_share(const struct seeds *self, unsigned job, uint64_t *totals,
          void (*run)(uint64_t seed, bool trace, uint64_t *totals))
{
    for (uint64_t seed = self->from + job; seed <= self->to; seed += self->jobs)
        run(seed, self->trace, totals);
}

static void
start(const struct seeds *self, unsigned job, uint64_t *totals,
      void (*run)(uint64_t seed, bool trace, uint64_t *totals))
{
    pid_t pid = fork();
    if (pid < 0) {
        perror("fork");
        exit(EXIT_FAILURE);
    }
    if (pid > 0)
        return;
    run_share(self, job, totals, run);
    fflush(stdout);
    _exit(EXIT_SUCCESS);
}

bool
seeds_run(const struct seeds *self, uint64_t *totals, size_t count,
          void (*run)(uint64_t seed, bool trace, uint64_t *totals))
{
    if (self->jobs == 1) {
        run_share(self, 0, totals, run);
        return true;
    }
    size_t size = self->jobs * count * sizeof(*totals);
    uint64_t *shared =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) {
        perror("mmap");
        return false;
    }
    fflush(stdout);
    for (unsigned job = 0; job < self->jobs; job++)
        start(self, job, &shared[job * count], run);
    bool well = true;
    for (int status; wait(&status) > 0;)
        well = well && status == 0;
    for (size_t i = 0; i < self->jobs * count; i++)
        totals[i % count] += shared[i];
    munmap(shared, size);
    return well;
}
