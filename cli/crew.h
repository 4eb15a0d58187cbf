// crew.h - the programs `omni up` runs: started, restarted with backoff, stopped in
// order.
//
// A child dies with the process that started it, however that ends, and gets no signal
// from the terminal: it stops when the crew is stopped. It has the same OMNI_NODE, its
// member's name, and the same OMNI_ADMIN each time it is started. One thread; the caller
// blocks SIGCHLD and calls crew_tick() when it comes.
#pragma once
#include "base.h"

// In which order the crew is stopped.
enum crew_phase { CREW_EDGE, CREW_SERVICE, CREW_BROKER, CREW_PHASE_COUNT };

struct crew_member {
    const char *name;    // in logs, and OMNI_NODE: no two have the same
    const char *program; // beside the binary that runs
    const char *args[8]; // ends with NULL
    enum crew_phase phase;
    const char *admin; // OMNI_ADMIN
};

struct crew;

// Borrows `members`. NULL with the reason in `why` if a program is missing.
struct crew *crew_create(const struct crew_member *members, size_t count, char *why,
                         size_t why_size);

// Kills what still runs and waits for it.
void crew_destroy(struct crew **self_p);

// Reap, restart, go on with the stopping. Returns when to be called next (mono ms).
int64_t crew_tick(struct crew *self, int64_t now_ms);

// The member that could not start three times in a row, with its exit status; NULL if
// there is none. One that has run for a while is tried for ever instead.
const char *crew_broken(const struct crew *self, int *status);

// Stop the phases one after the other; what has not ended in time is killed.
void crew_stop(struct crew *self, int64_t now_ms);

// Kill everything at once.
void crew_kill(struct crew *self);

// Does no child run any more?
bool crew_ended(const struct crew *self);

// How long a member that failed `failures` times waits, in ms: 100 ms doubling to 5 s,
// less up to a quarter by `random`. Pure.
int64_t crew_backoff_ms(unsigned failures, uint32_t random);
