// tail.h - the newest events of the log, in memory: a subscriber that keeps up is sent
// these, and nothing is read back from the tables.
//
// A tail belongs to a run. All tails of a subscription together are bounded in bytes; one
// that finds no more room lets later events go by and begins anew when its subscriber has
// gone through it. What is not in a tail is read.
#pragma once
#include "run.h"

// Keep the events that come from now on, the first of which follows number `after`,
// unless some are kept already.
void tail_begin(struct run *run, int64_t after);

// An event of the run's topic and shard is durable.
void tail_add(struct core *self, struct run *run, const struct change_event *event);

// Set the run's next events behind its cursor: payload, count and last. False if they are
// not in memory.
bool tail_take(struct core *self, struct run *run);

// Free the events up to this number.
void tail_forget(struct core *self, struct run *run, int64_t seq);
