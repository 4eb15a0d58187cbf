// load.h - what the modes of omni-bench that run jobs share: a client that submits them,
// processes that work, and one that subscribes to their usage events.
#pragma once
#include "client.h"
#include "id.h"
#include "service.h"

enum {
    LOAD_TIMEOUT_MS = 60000, // nothing has happened for so long: then the run has failed
    LOAD_TENANTS_MAX = 256,
};

struct load {
    const struct bench_options *options;
    struct bench_broker broker;
    struct bench_board *board;
    struct om_client *client;
    char tenants[LOAD_TENANTS_MAX][OM_TYPEID_MAX]; // one a shard, which is its place
    char *payload;
    int64_t submitted, acknowledged;
};

// Start the broker, or find the one the options name. Everything here that can fail exits
// when it does.
void load_open(struct load *self, const struct bench_options *options, int64_t jobs);
void load_close(struct load *self);

// Connect the client, or disconnect it: processes are made while this one has no thread,
// that is, no client.
void load_connect(struct load *self);
void load_disconnect(struct load *self);

// Submit the next job, which counts as outstanding from `start_us`.
void load_submit(struct load *self, int64_t start_us);

// Send, and take in what has come. Returns when to be called next at the latest, in µs
// from now.
int64_t load_process(struct load *self);

// Sleep until the client has something to process or more than `seen` jobs have ended, at
// most `wait_us`.
void load_sleep(struct load *self, int64_t seen, int64_t wait_us);

// Bodies of processes, for child_fork(): take jobs, take usage events.
void load_work(void *load);
void load_subscribe(void *load);

// Wait until there was a usage event of each job that was submitted.
void load_await_events(struct load *self);
