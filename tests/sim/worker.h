// worker.h - a worker: pulls jobs, calls and runs of events under credit, renews its
// leases, says each outcome again until it is acknowledged, and stops for nothing but
// STALE or a cancel.
#pragma once
#include "sim.h"

enum { QUEUES_MAX = 2, JOBS_MAX = 32, ANSWERS_MAX = 6, ASKED_MAX = 64 };

enum job_phase { NO_JOB, HELD, RUNNING, FINISHED };

struct job {
    enum job_phase phase;
    char token[WIRE_TOKEN_BYTES];
    int queue;
    bool is_run, cancel;
    enum wire_type outcome;
    bool retryable;
    int64_t quantity, end_ms, next_ms, chunks;
    uint8_t shard;
    struct om_buf events;
};

// An answer that is made in parts.
struct answer {
    int64_t call; // 0: none
    int64_t limit, end_ms;
    int64_t maker, made, total;
};

struct worker {
    const char *queues[QUEUES_MAX];
    int slots[QUEUES_MAX];
    int64_t ahead;    // calls it takes ahead; 0: none
    int subscription; // -1: none
    bool welcome;
    int hello;
    int64_t next_hello_ms, next_beat_ms, next_credit_ms;
    int64_t seen[QUEUES_MAX]; // what it was sent in this session, as far as it knows
    struct job jobs[JOBS_MAX];
    struct answer answers[ANSWERS_MAX];
    int64_t answered;
    int64_t asked[ASKED_MAX]; // the last of those, each of which is one call
};

// The place of a queue it takes from; -1: it does not.
int worker_queue(const struct worker *worker, struct om_str queue);

struct om_str job_token(const struct job *job);

// The job is no longer its own.
void worker_drop(struct job *job);

// Go on with a job.
void worker_tend(struct actor *self, struct job *job);

// Answer a CALL; take CALL_CREDIT and CALL_CANCEL; go on with answers.
void worker_answer(struct actor *self, const struct wire_msg *msg, struct om_str payload);
void worker_steer_answer(struct actor *self, const struct wire_msg *msg);
void worker_tend_answers(struct actor *self);
