// limit_bench.h - a bench for limits and settings: QUEUE to the core, jobs submitted and
// sent.
#pragma once
#include "bench.h"

// A client and a worker of the platform.
void limit_bench(struct bench *bench);

// QUEUE with this action; what of queue, key and setting is NULL is absent.
void limit_steer(struct bench *bench, const char *action, const char *queue,
                 const char *key, const struct wire_setting *setting);

// Set, until that is done; what is sent meanwhile is dropped.
void limit_set(struct bench *bench, const char *queue, const char *key,
               const struct wire_setting *setting);

struct wire_setting setting_concurrency(int64_t count);
struct wire_setting setting_rate(int64_t count, int64_t ms);

// Submit so many jobs under a key, NULL: none. A millisecond passes.
void limit_submit(struct bench *bench, const char *queue, const char *key, int count);

// Let time pass; client and worker show that they are alive.
void limit_pass(struct bench *bench, int64_t ms);

// Commit what there is; how many jobs go out, of which the tokens of up to `most` are
// kept.
int limit_jobs_sent(struct bench *bench, char (*tokens)[WIRE_TOKEN_BYTES], int most);

// The queue as QUEUE list shows it.
struct wire_queue limit_queue_row(struct bench *bench, const char *queue);
