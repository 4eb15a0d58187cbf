// work.h - a piece of work inside the worker: what worker.c, work.c and slot.c share.
// Not for users of the library.
#pragma once
#include <pthread.h>
#include <stdatomic.h>

#include "worker.h"

enum { WORK_USAGE_MAX = 16, WORK_DETAIL_MAX = 1024 };

enum work_state {
    WORK_WAITING,  // received, no slot yet
    WORK_RUNNING,  // a handler has it
    WORK_FINISHED, // its outcome is not acknowledged yet
};

struct work_usage {
    const char *meter;
    int64_t quantity;
    char subject[64];
};

// The control thread owns it; while it is RUNNING a slot's thread fills in the outcome.
struct work {
    struct om_job job; // first, so that a handler's om_job is its work
    struct wire_msg msg;
    struct om_buf header, payload; // what `msg` and job.payload point into
    struct om_arena arena;
    enum work_state state;
    size_t queue; // index in om_worker_conf.queues
    int64_t received_ms, sent_ms;
    bool broker_cancels; // CANCEL_JOB or CALL_CANCEL came
    bool stale;          // nobody waits for the outcome

    struct work_usage usage[WORK_USAGE_MAX];
    size_t usage_count;

    atomic_bool cancelled; // what om_job_cancelled() reads

    pthread_mutex_t
        lock; // of the progress, told by the slot and sent by the control thread
    double progress;
    char detail[WORK_DETAIL_MAX];
    bool progress_told, progress_new;

    struct work *prev, *next;
};

// A piece of work from a received CALL or JOB; NULL when there is no memory.
struct work *work_create(const struct om_frame *frame, size_t queue, int64_t now_ms);
void work_destroy(struct work **self_p);

bool work_is_call(const struct work *self);
struct om_str work_token(const struct work *self); // of a JOB

// Send the outcome: REPLY or ERROR, DONE, FAIL or CANCELLED.
OM_MUST_CHECK enum om_rc work_send_outcome(struct work *self, struct om_link *link);

// Append the work as one held record to a BEAT's or HELLO's list.
void work_put_held(struct work *self, bool with_progress, struct om_buf *list);

// A thread that handles one piece of work at a time, fed through its own socket pair.
struct slot {
    int number;
    void *zmq_context;
    const struct om_worker_conf *conf;
    pthread_t thread;
    void *push;        // control end: a struct work *, or NULL to end
    struct work *work; // what it handles; NULL: idle
};

// Make the thread. slot_done_socket() was called before on the same context.
OM_MUST_CHECK bool slot_start(struct slot *self, int number, void *zmq_context,
                              const struct om_worker_conf *conf);

// Give it work. It must be idle.
void slot_give(struct slot *self, struct work *work);

// End the thread and join it.
void slot_stop(struct slot *self);

// The control end on which finished work arrives; NULL when it cannot be made.
void *slot_done_socket(void *zmq_context);
struct work *slot_next_done(void *done_socket);
