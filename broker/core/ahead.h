// ahead.h - calls that a worker is sent beyond its credit.
//
// A worker that answers many of its calls in next to no time says in CREDIT how many it
// takes at a time beside its jobs. It answers such a call at once, or gives it back with
// RELEASE: then the call is a long one, and waits for credit like a job does, so that it
// never waits at one worker while another is idle. Of the workers the one gets a call
// that has the fewest of them.
#pragma once
#include "call.h"
#include "queue.h"

// CREDIT came. One without the field takes no calls ahead.
void ahead_allow(struct core *self, struct credit *credit, const struct wire_msg *msg);

// Who shall have the next call of the queue; NULL if none waits, or nobody takes one.
struct credit *ahead_pick(const struct core *self, const struct queue_state *queue);

// Send it the call whose turn it is.
void ahead_hand_out(struct core *self, struct credit *credit);

// RELEASE of a call.
void ahead_release(struct core *self, const struct input *in);

// The call ends or leaves its worker.
void ahead_leave(struct core *self, struct call *call);
