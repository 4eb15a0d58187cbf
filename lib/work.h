// work.h - a piece of work inside the worker: what worker.c, work.c and slot.c share.
// Not for users of the library.
#pragma once
#include <pthread.h>
#include <stdatomic.h>

#include "hash.h"
#include <uthash.h>

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

// A part of what is made, which is not sent yet.
struct work_chunk {
    struct work_chunk *next;
    int64_t seq;
    const char *ctype; // NULL: none
    size_t size;
    char bytes[];
};

// The control thread owns it; while it is RUNNING a slot's thread fills in the outcome.
struct work {
    struct om_job job; // first, so that a handler's om_job is its work
    struct wire_msg msg;
    struct om_buf header, payload; // what `msg` and job.payload point into
    struct om_arena arena;
    enum work_state state;
    size_t queue; // index in om_worker_conf.queues
    bool ahead;   // a call for the control thread
    int64_t received_ms, sent_ms;
    size_t kept;         // bytes of an outcome that is not acknowledged; 0: it is none
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

    // Not sent yet; under `lock` too. `chunk_fd` wakes the control thread.
    struct work_chunk *chunks, **chunks_end;
    size_t chunk_bytes;
    int64_t chunk_seq;
    bool chunks_refused;
    int chunk_fd;

    // Of a call whose answer comes in parts; under `lock` too.
    bool streams;
    int64_t chunk_limit, chunk_used; // of what its chunks count

    // What the handler asks of a task that the job depends on; under `lock`.
    struct work_parent *parent;
    unsigned parents_asked;
    pthread_cond_t told; // what the handler waits for has come
    bool waits_allowed;  // it runs in a slot: the control thread goes on meanwhile

    struct work *prev, *next;                 // of all, in the order they came
    struct work *waiting_prev, *waiting_next; // of those WORK_WAITING
    UT_hash_handle hh;                        // of the jobs, by their token
};

// Memory for a piece of work, which can be used for one after another; NULL when there is
// none.
struct work *work_create(void);
void work_destroy(struct work **self_p);

// Make it a received CALL or JOB. False when there is no memory.
OM_MUST_CHECK bool work_begin(struct work *self, const struct om_frame *frame,
                              size_t queue, int64_t now_ms);

// Have it handled, as a part of its trace: the handler's messages and spans belong to it.
// The second asks handle_now, and says what that does.
void work_handle(struct work *self, const struct om_worker_conf *conf);
bool work_handle_now(struct work *self, const struct om_worker_conf *conf);

bool work_is_call(const struct work *self);
struct om_str work_token(const struct work *self); // of a JOB

// Send the outcome: REPLY or ERROR, DONE, FAIL or CANCELLED. `list` is scratch memory.
OM_MUST_CHECK enum om_rc work_send_outcome(struct work *self, struct om_link *link,
                                           struct om_buf *list);

// Send the chunks that wait. False: there is no room or no session now.
bool work_send_chunks(struct work *self, struct om_link *link);

// The broker takes no more chunks of it.
void work_refuse_chunks(struct work *self);

// Forget what waits, for another piece of work.
void work_drop_chunks(struct work *self);

// The caller takes more of them.
void work_allow_chunks(struct work *self, int64_t limit);

// Under the lock. Wakes when `told` is, and often enough to see a cancel.
void work_wait(struct work *self);

// Send PARENT, if the handler waits for what was not asked yet; take an answer. False: it
// is no answer to this piece of work.
void work_send_parent(struct work *self, struct om_link *link);
bool work_parent_answer(struct work *self, const struct om_frame *frame);

// A handler begins: its limits count from now.
void work_start(struct work *self, int64_t now_ms);

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

// The control end on which finished work arrives, and its descriptor; NULL when it cannot
// be made. The descriptor is edge-triggered: when it fires, take until there is no more.
void *slot_done_socket(void *zmq_context, int *fd);
struct work *slot_next_done(void *done_socket);
