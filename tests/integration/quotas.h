// quotas.h - two edges, billing and what else they need as real programs, for the tests
// of the suite `quotas`.
//
// Asked of by the test's thread, and by the threads of quotas_spend().
#pragma once
#include <stdatomic.h>

#include "edge_program.h"
#include "http_ask.h"

enum { QUOTAS_WAIT_MS = 20000, QUOTAS_EDGES = 2 };

// The cheapest route that takes a call of the quota.
#define QUOTAS_CHEAP "/api/v1/queues"

extern struct quotas {
    struct stage stage;
    char admin[128];
    struct program broker, identity, registry, billing, edges[QUOTAS_EDGES];
    char urls[QUOTAS_EDGES][EDGE_PROGRAM_URL];
    atomic_int served; // requests that were not refused
} quotas;

// Ask an edge; as the operator unless a key is given. Returns the status, 0 without one.
long ask_at(int edge, struct http_ask ask, struct http_answer *out);
long ask(struct http_ask ask, struct http_answer *out); // the first edge
long get(int edge, const char *path);

// Wait until the edge answers QUOTAS_CHEAP with `status`.
void await_answer(int edge, long status);

// Upload a file of that size at the first edge.
long upload(size_t bytes, bool chunked, struct http_answer *out);

void start_edge(int edge);
void start_billing(void);
void kill_billing(void);

// Limit the operator's own plan. It takes nothing of a quota itself, being the
// operator's.
void limit_to(const char *policy, int limit);

// The same for calls, before any was served, and wait until both edges know it.
void limit_calls_to(int limit);

// Have two threads at each edge ask until `goal` requests are served, or for so long.
void spend_all(int goal, int64_t for_ms);
