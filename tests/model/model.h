// model.h - the queue as it is promised, written as plainly as possible: a list of jobs
// and what happens to each. The real core is held to it.
//
// Nothing here is fast, durable or sent: a call changes the list and says what the real
// queue must answer. Times are on one clock. Which of several ready jobs is handed out is
// the core's choice; the model says whether it may choose so.
#pragma once
#include "wire.h"

enum {
    MODEL_JOBS = 48,
    MODEL_TENANTS = 3,
    MODEL_QUEUES = 2,
    MODEL_WORKERS = 3,
    MODEL_LEASES = 64, // of a job
};

// What a queue's jobs have in common.
struct model_queue {
    const char *name;
    int64_t lease_ms, hard_ms;
};

extern const struct model_queue model_queues[MODEL_QUEUES];

// A job as it is submitted.
struct model_spec {
    int tenant, queue, priority;
    int64_t max_attempts;
    int64_t due_ms, expires_ms, hard_ms; // 0: none
};

struct model_lease {
    int worker;
    bool finished; // by its worker's word, since the broker's last start
};

struct model_job {
    bool known;
    struct model_spec spec;
    int content;
    enum task_state state;
    int64_t attempts, lost;
    int64_t due_ms, expires_ms; // 0: none
    const char *code;           // of the last failure
    bool cancel, reopened;
    int64_t ready_step; // when it joined the ready ones
    int64_t given_step; // when it was given to a worker; 0: not since the last check
    int64_t given_ready_step; // and its ready_step then

    struct model_lease leases[MODEL_LEASES];
    int lease_count;
    bool held;             // the last lease is current
    bool started, claimed; // its worker has spoken of it, to this start of the broker
    int64_t lost_at_ms, hard_at_ms;
};

struct model {
    int64_t now_ms, step;
    size_t max_open; // of a tenant
    struct model_job jobs[MODEL_JOBS];
};

// What a client says, and what must be answered: a message's name, and a code.
const char *model_submit(struct model *self, int job, const struct model_spec *spec,
                         int content);
const char *model_cancel(struct model *self, int job);
const char *model_retry(struct model *self, int job);

// What a worker says of a lease: START, DONE, FAIL, CANCELLED or RELEASE. `retry_ms` of
// FAIL: -1 leaves the delay to the queue. NULL: nothing is answered.
struct model_word {
    enum wire_type type;
    bool retryable;
    int64_t retry_ms;
};
const char *model_say(struct model *self, int job, int lease,
                      const struct model_word *word);

// The worker shows that it holds what it holds.
void model_beat(struct model *self, int worker);

// The worker begins anew and holds nothing.
void model_worker_died(struct model *self, int worker);

// The broker begins anew.
void model_restarted(struct model *self);

// Time has come to `now_ms`.
void model_advance(struct model *self, int64_t now_ms);

// The broker gives a job to a worker. NULL if it may, else why not.
const char *model_give(struct model *self, int job, int worker);

// Were those given since the last check the right ones? They may have been sent in
// another order than they were picked in. NULL: yes, else why not.
const char *model_check_order(struct model *self);

// Could a job of the queue be started now?
bool model_has_work(const struct model *self, int queue);
