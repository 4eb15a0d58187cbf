// service.h - the broker that omni-bench starts, or was told of.
#pragma once
#include "bench.h"

struct bench_broker {
    char folder[256];
    char client[300], work[300]; // endpoints
    pid_t process;               // 0: it is not ours
    _Atomic int64_t *fsyncs;     // counted so far; NULL: not ours
};

// Start omni-broker on a fresh store, from this program's folder; or take the endpoints
// that the options name.
void broker_start(struct bench_broker *self, const struct bench_options *options);
void broker_stop(struct bench_broker *self);
