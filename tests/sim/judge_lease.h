// judge_lease.h - nothing with a committed lease is started twice while its worker
// returns within the lease.
//
// A lease is given up for good reason when the broker has not heard of it from its worker
// for so long as it lasts, when that worker's word ended it, or at the job's hard limit.
// If the job is given to another before, whoever has the first lease must not start it
// any more, nor have started it.
#pragma once
#include "disk.h"

struct leases;

struct leases *leases_create(struct sim *sim);
void leases_destroy(struct leases **self_p);

// A broker has started: only leases on the disk are to be kept.
void leases_restarted(struct leases *self);

// The broker gets a message over a link of the actor's; it sends it a JOB, or WELCOME.
void leases_heard(struct leases *self, int actor, int64_t link,
                  const struct wire_msg *msg);
void leases_granted(struct leases *self, int actor, const struct wire_msg *job);
void leases_welcomed(struct leases *self, int actor);

// The actor, a worker, starts the job.
void leases_started(struct leases *self, const struct wire_token *token);
