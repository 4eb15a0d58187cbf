// real.h - the real core with everything around it instant and perfect: each message
// arrives, each commit and read is done before the next thing happens.
#pragma once
#include "model.h"
#include "sim.h"

enum { REAL_BEAT_MS = 2000 };

// A lease as its worker knows it.
struct real_lease {
    char token[WIRE_TOKEN_BYTES];
    int worker;
    bool held;
};

struct real_worker {
    core_conn conn;
    int64_t incarnation;
    bool welcome;
    int64_t limit[MODEL_QUEUES], sent[MODEL_QUEUES]; // its credit
    int64_t heard_ms, frozen_until_ms;
};

struct real {
    struct sim sim; // its clock, disk and core
    core_conn last_conn, client;
    int64_t client_heard_ms;
    size_t commits;
    int64_t last_id;
    struct om_uuid ids[MODEL_JOBS];
    struct real_lease leases[MODEL_JOBS][MODEL_LEASES];
    int lease_count[MODEL_JOBS];
    struct real_worker workers[MODEL_WORKERS];

    // What was answered to the last message: a message's name, "duplicate" or a code.
    char answer[128];
    struct wire_task info; // of GET; without its strings but `code`
    char code[64];

    int listed[MODEL_JOBS]; // by LIST
    size_t listed_count;

    // Told of what the broker does by itself.
    void *context;
    void (*on_job)(void *context, int job, int worker);
    void (*on_beat)(void *context, int worker);
    void (*on_time)(void *context, int64_t now_ms);
};

void real_create(struct real *self, const struct core_conf *conf);
void real_destroy(struct real *self);

// Say something of a job as a client does: SUBMIT, CANCEL, RETRY or GET.
void real_ask(struct real *self, enum wire_type type, int job,
              const struct model_spec *spec, int content);

// Set, pause, resume or purge: `limit` is a place of the model's.
void real_queue(struct real *self, const char *action, int tenant, int limit,
                int64_t concurrency);

// Set the tenant's weight.
void real_weigh(struct real *self, int tenant, int64_t weight);

// LIST the tenant's jobs: `listed` says which.
void real_list(struct real *self, int tenant, const char *status);

// Say something of a lease as its worker does.
void real_say(struct real *self, int job, int lease, const struct model_word *word);

// The worker takes `more` jobs of the queue.
void real_credit(struct real *self, int worker, int queue, int64_t more);

// The worker's process begins anew.
void real_worker_dies(struct real *self, int worker);

// The worker is silent until then.
void real_freeze(struct real *self, int worker, int64_t until_ms);
bool real_is_frozen(const struct real *self, int worker);

// May a job of the queue be sent to some worker now?
bool real_has_taker(const struct real *self, int queue);

// Let time pass; workers show that they live.
void real_advance(struct real *self, int64_t to_ms);

// The broker goes, when what it promised to write soon is written; another one comes.
void real_stop(struct real *self);
void real_start(struct real *self);

// ---- between the files

// A message arrives; then the core comes to rest.
void real_give(struct real *self, core_conn conn, enum wire_type type,
               const struct wire_msg *msg, struct om_str bytes);

// Sessions of a worker and of the client.
void real_hello(struct real *self, int worker);
void real_client_hello(struct real *self);
