// worker.h - takes jobs, calls and event runs from queues and has them handled.
//
// One control thread talks to the broker: it grants credit, renews leases, passes on
// cancels and resends what is not acknowledged. With slots, each slot is a thread of its
// own that handles one job at a time, and the control thread gives work only to an idle
// one. Without slots the control thread handles everything itself: for services whose
// handlers are short. With slots and `handle_now` it answers those calls itself that take
// next to no time: they come ahead of any credit, many at a time, and none waits for a
// slot. What takes longer goes back to the broker, for a worker with an idle slot.
//
// A worker never stops a job because the broker is silent, only because of STALE or
// CANCEL, and keeps a result until it is acknowledged.
#pragma once
#include "arena.h"
#include "link.h"

struct om_worker;

enum om_job_lane { OM_LANE_CALL, OM_LANE_JOB, OM_LANE_EVENTS };

// One piece of work, as its handler sees it. Everything is borrowed from the worker and
// lives until the handler returns.
struct om_job {
    enum om_job_lane lane;
    const struct wire_msg *msg; // the header of CALL or JOB
    struct om_str payload;
    struct om_arena *arena; // emptied after each job
    int64_t deadline_ms; // mono; a call's caller waits no longer, a job's soft limit is
                         // over; INT64_MAX for none
    void *slot;          // what om_worker_conf.slot_open made, NULL without slots

    // The outcome. A handler that sets none has succeeded with an empty result.
    enum om_rc rc;
    struct om_buf result;
    bool replayed;           // of a call: it is the answer of an earlier one
    const char *result_type; // content type; static text; NULL for none
    const char *code;        // static text; NULL: the code of `rc`
    char text[512];          // why it failed
    char param[64];          // which field was wrong
    bool retryable;          // of a failed job: may it be tried again?
    int64_t retry_ms;        // not before, a day at most; 0: as the broker sees fit
};

// Was the job cancelled, is its soft limit over, or is the worker about to stop? A
// handler that runs longer than a second asks this often, and returns with job->rc =
// OM_ECANCELLED: the job is then cancelled, fails as timeout, or is given back. At the
// hard limit the broker fails it, and nothing it answers counts any more.
bool om_job_cancelled(const struct om_job *job);

// Is it because the soft limit is over? Then a result may still be worth having.
bool om_job_late(const struct om_job *job);

// Tell the user how far it is: a share from 0 to 1 and a JSON object (NULL for none).
void om_job_progress(struct om_job *job, double share, const char *detail_json);

// Send a partial result, in order. `content_type` is static text or NULL.
//
// Of a job: to who watches the task, and it is kept with the task. False: it is not
// taken, because the job was cancelled, more waits to be sent than fits 1 MiB, or the
// task has as many as the broker keeps. What is taken may be lost with a crash or an
// outage of the broker; the result is not.
//
// Of a call: a part of the answer, at most WIRE_CHUNK_MAX bytes, for a caller that takes
// parts (om_job_streams). It sees all of them, then the result, or is told of a failure.
// In a slot's thread this waits for a caller that is slow, up to 5 s. False: the caller
// takes no more, the part is too large, or the call was cancelled; the handler then fails
// with what it made metered.
bool om_job_chunk(struct om_job *job, const char *content_type, struct om_str bytes);

// Does the caller take the answer in parts?
bool om_job_streams(const struct om_job *job);

// The result of a task that this job depends on, a task id of job->msg->depends_on; its
// strings live in the job's arena. The handler waits for up to 10 s.
//   OM_ENOTFOUND     the job does not depend on it, or its result is kept no more
//   OM_EUNSUPPORTED  this is no job, or the worker has no slots
//   OM_ECANCELLED, OM_ETIMEOUT
struct om_parent {
    enum task_state state; // STATE_SUCCEEDED, or with run_anyway another end
    struct om_str content_type, result;
};
OM_MUST_CHECK enum om_rc om_job_parent(struct om_job *job, const char *task,
                                       struct om_parent *out);

// Meter something; committed with the outcome. At most 16 a job.
void om_job_usage(struct om_job *job, const char *meter, int64_t quantity,
                  const char *subject);

// Set a failure and return `rc`, for `return om_job_fail(...)`. Not retryable unless the
// row of `rc` says so. `param` may be NULL.
enum om_rc om_job_fail(struct om_job *job, enum om_rc rc, const char *param,
                       const char *format, ...) __attribute__((format(printf, 4, 5)));

struct om_worker_conf {
    struct om_link_conf link; // endpoint, node, keys, credential, role
    const char *const *queues;
    size_t queue_count;
    int slots;        // threads; 0: the control thread handles
    int credit;       // without slots: how many pieces may wait here; default 64
    int64_t drain_ms; // after om_worker_stop: how long running jobs may go on

    void *context;
    void (*handle)(void *context, struct om_job *job); // in a slot's thread

    // May be NULL. With slots: handle a call in the control thread, if that takes less
    // than a few hundred microseconds and waits for nothing; else do nothing and return
    // false. Up to `ahead` of them come at a time.
    bool (*handle_now)(void *context, struct om_job *job);
    int ahead; // default 64

    // Each may be NULL. Called in the slot's thread, e.g. to hold a client of its own.
    void *(*slot_open)(void *context);
    void (*slot_close)(void *context, void *slot);

    // May be NULL. The job's outcome is on disk, and the job is about to be forgotten.
    // Called by the control thread.
    void (*acknowledged)(void *context, const struct om_job *job);

    // May be NULL. Called by the control thread; returns when to be called next (mono
    // ms).
    int64_t (*tick)(void *context, int64_t now_ms);
    // Further descriptors to poll: fills at most `max`, returns how many. tick is called
    // when one is readable.
    int (*fds)(void *context, int *fds, int max);
};

OM_MUST_CHECK enum om_rc om_worker_create(const struct om_worker_conf *conf,
                                          struct om_worker **out, const char **why);

// Work until om_worker_stop(): then finish what runs within drain_ms, give back the rest
// and return. Jobs that still run are asked to cancel, and released without an attempt
// counted.
void om_worker_run(struct om_worker *self);

// From any thread or a signal handler.
void om_worker_stop(struct om_worker *self);

void om_worker_destroy(struct om_worker **self_p);

// All of the above, for the main function of a program that is a worker and no more:
// works until SIGTERM or SIGINT. Once in a process. *why says what was wrong.
OM_MUST_CHECK enum om_rc om_worker_main(const struct om_worker_conf *conf,
                                        const char **why);
