// offload.h - a few threads that make calls which would hold up an event loop, such as
// fsync().
//
// A job is run by one of the threads and comes back to the box it was started from, whose
// owner is told by a descriptor. The queue of those that wait is bounded.
#pragma once
#include "base.h"

struct om_offload;
struct om_offload_box;

// A call. It belongs to the caller, who leaves it alone until `done`.
struct om_offload_job {
    void (*run)(struct om_offload_job *self);  // in some thread
    void (*done)(struct om_offload_job *self); // in that of the box; may free the job
    struct om_offload_box *box;
    struct om_offload_job *next;
};

// NULL: no memory or threads. `queue_max` jobs may wait for a thread.
struct om_offload *om_offload_create(size_t threads, size_t queue_max);

// Run what was started, and join the threads. All boxes must be gone.
void om_offload_destroy(struct om_offload **self_p);

// A box belongs to one thread. NULL: no memory or descriptors.
struct om_offload_box *om_offload_box_create(struct om_offload *offload);

// Wait for its jobs and have each of them done.
void om_offload_box_destroy(struct om_offload_box **self_p);

// Readable when a job has come back.
int om_offload_box_fd(const struct om_offload_box *self);

// False: too many wait.
OM_MUST_CHECK bool om_offload_start(struct om_offload_box *self,
                                    struct om_offload_job *job);

// Call `done` of all that came back.
void om_offload_box_run(struct om_offload_box *self);
