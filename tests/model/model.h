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
    MODEL_KEYS = 3,    // limit keys; the first is none
    MODEL_PARENTS = 2,
    MODEL_LIMITS = 1 + MODEL_QUEUES + MODEL_KEYS, // of a tenant
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
    int key;                             // 0: none
    int parents[MODEL_PARENTS], parent_count;
    bool run_anyway;
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
    int64_t number;             // in the order they were submitted
    bool cancel, reopened;
    bool passed[MODEL_PARENTS]; // it has ended, whatever it does since
    bool parent_failed;         // one of those did not succeed
    int64_t ready_step;         // when it joined the ready ones
    int64_t given_step; // when it was given to a worker; 0: not since the last check
    int64_t given_ready_step; // and its ready_step then

    struct model_lease leases[MODEL_LEASES];
    int lease_count;
    bool held;             // the last lease is current
    bool started, claimed; // its worker has spoken of it, to this start of the broker
    int64_t lost_at_ms, hard_at_ms;
};

// What is set for a tenant, for its part of a queue, or for one of its keys.
struct model_limit {
    int64_t concurrency; // 0: none
    bool paused;
};

struct model {
    int64_t now_ms, last_number;
    int64_t step;    // rises by 2: what comes of it once that is on disk is in between
    size_t max_open; // of a tenant
    bool away;       // what waits for its time may have to be read when that has come
    struct model_job jobs[MODEL_JOBS];
    struct model_limit limits[MODEL_TENANTS][MODEL_LIMITS];
    // How often in a row a more urgent job may yet be passed over: once in 32 starts.
    int64_t starts[MODEL_QUEUES];
};

// Something else happens than before.
void model_next_step(struct model *self);

// May the tenant have no more jobs open?
bool model_is_full(const struct model *self, int tenant);

// What a client says, and what must be answered: a message's name, and a code.
const char *model_submit(struct model *self, int job, const struct model_spec *spec,
                         int content);
const char *model_cancel(struct model *self, int job);
const char *model_retry(struct model *self, int job);

// The place of a limit: 0 is the tenant's, then come those of its queues, then of its
// keys.
int model_limit_of_queue(int queue);
int model_limit_of_key(int key);

void model_limit(struct model *self, int tenant, int limit, int64_t concurrency);
void model_pause(struct model *self, int tenant, int queue, bool paused);
void model_purge(struct model *self, int tenant, int queue);

// The jobs of a tenant of this public status (NULL: all), newest first.
size_t model_list(const struct model *self, int tenant, const char *status,
                  int jobs[MODEL_JOBS]);

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

// The job goes to the worker.
void model_hold(struct model *self, struct model_job *job, int worker);

// Were those given since the last check the right ones? They may have been sent in
// another order than they were picked in. NULL: yes, else why not.
const char *model_check_order(struct model *self);

// Could a job of the queue be started now?
bool model_has_work(const struct model *self, int queue);
