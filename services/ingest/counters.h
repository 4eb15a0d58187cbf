// counters.h - what was used of each limit, for all threads of the edge: requests and
// tokens of the last minute, and requests in flight.
//
// A counter is known by its tenant, what it stands on, and what it counts; the tenant is
// a part of every key. All counters of a tenant are under one lock, of a few tenants'
// own, so that one call checks them all before it takes any: it takes all or nothing.
//
// The number of counters is bounded. One in use (something counts in its window, or is
// in flight) is never forgotten; of the others the longest unused goes first, and is
// then as good as new: nothing counted in it. When all are in use, a new one is refused.
// Any thread.
#pragma once
#include "rc.h"
#include "uuid.h"

enum counter_kind { COUNTER_REQUESTS, COUNTER_TOKENS, COUNTER_CONCURRENT, COUNTER_KINDS };

enum { COUNTER_SUBJECT = 16, COUNTERS_WANTS_MAX = 32 };

struct counter_key {
    struct om_uuid tenant;
    uint8_t subject[COUNTER_SUBJECT]; // what the limit stands on, or a hash of its name
    uint8_t scope;                    // what kind of thing that is
    uint8_t kind;
};

// What is wanted of a counter. An amount of 0 only asks how it stands.
struct counter_want {
    struct counter_key key;
    int64_t limit, amount;
};

// How a counter stands after the call.
struct counter_state {
    int64_t remaining; // of the limit
    int64_t wait_ms;   // until the amount would fit; 0: it does
    int64_t reset_ms;  // until something of it is given back; 0: nothing is used
};

struct counters;

// At most `max` counters. NULL: no memory.
struct counters *counters_create(size_t max);
void counters_destroy(struct counters **self_p);

// Take of all counters what is wanted, or nothing. All keys are of one tenant, no two
// the same. `now_ms` is on the mono clock; *at_ms is what counters_give() needs.
//   OM_OK    taken
//   OM_ERATE one or more have too little left; their wait_ms says so. Nothing was taken
//   OM_EFULL there is no room for another counter. Nothing was taken
enum om_rc counters_take(struct counters *self, int64_t now_ms,
                         const struct counter_want *wants, size_t count,
                         struct counter_state *states, int64_t *at_ms);

// Give back what was taken at `at_ms`: a request that ended, or was refused after all.
void counters_give(struct counters *self, int64_t at_ms, const struct counter_want *wants,
                   size_t count);

// Counters that are remembered.
size_t counters_count(struct counters *self);
