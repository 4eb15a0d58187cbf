// purge.h - cancels what of a tenant waits in a queue and has not started, a few jobs at
// a time.
//
// The purge is part of what is set for the queue: the newest job it is about. It stands
// until none of those is left, also through a restart, and whatever of them turns up
// meanwhile is cancelled where it is placed.
#pragma once
#include "limit.h"

struct task;

// Begin, or begin anew: the limit's purge_seq was raised, or loaded.
void purge_begin(struct core *self, struct limit *limit);

// Was its queue purged after the task came, and before it was started?
bool purge_covers(const struct task *task);
