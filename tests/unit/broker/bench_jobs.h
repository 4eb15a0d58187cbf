// bench_jobs.h - jobs that a client submits on a bench, one by one or as a batch.
#pragma once
#include "bench.h"

// A job that is fine until a test spoils it.
struct job {
    struct om_uuid id;
    char text[OM_TYPEID_MAX]; // of the id
    struct wire_msg msg;
    struct om_buf list; // of parents
};

// A bench with a client that may submit.
void jobs_open(struct bench *bench);

// Make a job; jobs_free() ends those that job_depend() gave a parent.
void job_init(struct bench *bench, struct job *job);
void job_depend(struct job *job, const struct job *parent);
void jobs_free(struct job *jobs, size_t count);

// Send the jobs as the batch "b1", or any bytes as one.
void batch_send(struct bench *bench, bool atomic, const struct job *jobs, size_t count);
void batch_send_payload(struct bench *bench, bool atomic, struct om_str bytes);

// What BATCH says of each job, as one word: ok, dup, or the code.
void batch_expect(struct bench *bench, const char *const *words, size_t count);

#define EXPECT_ITEMS(bench, ...)                                                         \
    batch_expect(bench, (const char *const[]){ __VA_ARGS__ },                            \
                 OM_COUNT(((const char *const[]){ __VA_ARGS__ })))

// The store knows the job at this place of the batch, by that.
void batch_know(struct batch *batch, size_t place, enum known_by by,
                const struct job *known);
