// jobs.h - jobs as requests describe them, made into what the broker takes.
#pragma once
#include "exchange.h"

enum { JOB_BROKER_MS = 10000, JOB_TEXT_MAX = 400 };

// One job, ready to be sent. Strings of `msg` are borrowed from the record it was made
// of, or stand in here.
struct job {
    char task[OM_TYPEID_MAX];
    char idem_key[65];
    uint8_t hash[32];
    struct wire_msg msg;
    struct om_buf payload, parents;
};

// Why a job is refused.
struct job_refusal {
    enum om_rc rc;
    const char *param; // the field, or NULL
    char text[JOB_TEXT_MAX];
};

// Make the job of a record. `content` is what the key of the request, if it has one,
// stands for, and `place` the job's in it. False: see `why`. job_finish() it either way.
bool job_make(struct exchange *x, const struct task_create *record, struct om_str content,
              size_t place, struct job *out, struct job_refusal *why);
void job_finish(struct job *job);

// Give the message the request's Idempotency-Key, if it has one, and the hash of what it
// stands for. `idem_key` and `hash` hold them.
void job_identify(struct exchange *x, struct om_str content, size_t place,
                  char idem_key[65], uint8_t hash[32], struct wire_msg *msg);

// The job as an item of SUBMIT_BATCH.
void job_put(const struct job *job, struct om_buf *out);

// Answer with what the broker says of one SUBMIT, CANCEL or RETRY.
void on_accepted(void *context, const struct om_answer *answer);

// ---- batches of them (batches.c)

// A job of a batch, and what became of it.
struct batch_job {
    struct task_create record;
    const char *name; // or NULL
    char task[OM_TYPEID_MAX];
    enum om_rc rc;
    const char *param, *text;
    bool duplicate, decided;
    bool replayed; // it was known by the request's key
};

struct batch_request {
    const char *field; // that holds the jobs, for refusals
    struct om_str content;
    bool atomic, keyed;
    size_t count, sent, next; // the message under way has jobs `sent` to `next`
    void (*reply)(struct exchange *x, struct batch_request *batch);
    struct batch_job jobs[];
};

// In the exchange's arena, and x->record from now on.
struct batch_request *batch_create(struct exchange *x, size_t count);

// Send the jobs; `reply` follows when all are decided, or of an atomic one all are taken.
void batch_send(struct exchange *x, struct batch_request *batch);
