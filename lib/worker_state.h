// worker_state.h - the worker's control thread: what worker.c (life and rounds),
// worker_receive.c (messages) and worker_tend.c (what is due) share. Not for users of the
// library.
#pragma once
#include "work.h"

enum {
    PROGRESS_MS = 150, // progress is sent this soon
    RESEND_MS = 2000,  // an outcome that is not acknowledged is sent again after
    RELEASE_MS = 1000, // unstarted work goes back after
    SPARE_MAX = 256,   // pieces of work whose memory is kept
    // Outcomes that are not acknowledged; beyond either no more jobs are taken.
    KEPT_MAX = 4096,
    KEPT_BYTES_MAX = 64 << 20,
};

struct credit {
    const char *queue;
    int64_t limit;    // granted in this session
    int64_t received; // of it
    int64_t waiting;  // received and with no handler yet
    bool told;        // of this session: what comes ahead
};

struct om_worker {
    struct om_worker_conf conf;
    struct om_link *link;
    struct credit *credits;
    struct work *works, *jobs, *waiting;
    struct work *ahead; // calls for the control thread
    struct work *spare;
    size_t spare_count;
    size_t kept_count, kept_bytes; // outcomes that are not acknowledged
    void *zmq_context, *done;
    struct slot *slots;
    int busy;
    int64_t quick;      // handlers in a row, without slots, that took next to no time
    int64_t flushed_us; // when outcomes were sent off between two of them
    int stop_fd, done_fd, chunk_fd;
    int64_t drain_end_ms; // 0: not draining
    int64_t beat_ms, tick_ms;
    int64_t tend_ms; // no later than anything is due that worker_tend() sees to
    bool told_stop, told_done, told_chunk; // their descriptors may be readable
    struct om_buf list;                    // scratch for lists
};

// Take a message of the broker.
void worker_on_frame(struct om_worker *self, const struct om_frame *frame);

// Allow as many more jobs as could be handled: free slots, or room for waiting work.
void worker_grant_credit(struct om_worker *self);

// Take no more calls ahead.
void worker_end_ahead(struct om_worker *self);

// Renew every lease; when the next renewal is due: soon when somebody made progress.
void worker_beat(struct om_worker *self, int64_t now_ms);
int64_t worker_beat_due(struct om_worker *self);

// Resend outcomes, give back what waits too long. Returns when to look again.
int64_t worker_tend(struct om_worker *self, int64_t now_ms);
void worker_tend_by(struct om_worker *self, int64_t due_ms);

// Take a received CALL or JOB among what waits; NULL when there is no memory.
struct work *worker_take(struct om_worker *self, const struct om_frame *frame,
                         size_t queue);

// It waits no longer: it starts, or it has ended.
void worker_unwait(struct om_worker *self, struct work *work, enum work_state state);

// The work under a lease, or NULL.
struct work *worker_find(struct om_worker *self, struct om_str token);

// Send a message that has no more than the work's token.
void worker_send_token(struct om_worker *self, enum wire_type type,
                       const struct work *work);

// Send the outcome, and forget what nobody will acknowledge.
void worker_send_outcome(struct om_worker *self, struct work *work, int64_t now_ms);

// Give a job back unstarted; drop a piece of work.
void worker_release(struct om_worker *self, struct work *work);
void worker_forget(struct om_worker *self, struct work *work);
