// told.h - what a task goes through, told as it ends: for traces, and for nothing else.
//
// The core decides nothing by it. Only what somebody wants is told: of a job whose trace
// is sampled, or of an attempt that failed.
#pragma once
#include "call.h"
#include "task.h"

// It is durable, and was not since it came.
void told_commit(struct core *self, struct task *task);

// It is ready, and waits from now on.
void told_ready(struct core *self, struct task *task);

// It has waited, and a worker is given it.
void told_wait(struct core *self, struct task *task);

// The attempt of its lease has ended; `code` is empty if it was not by a failure.
void told_attempt(struct core *self, struct task *task, struct om_str code,
                  struct om_str text);

// A call that was sent to a worker at `sent_us` has waited; `msg` is its header. One that
// came ahead and was given back waits on, so it is told when it has ended.
void told_call(struct core *self, const struct call *call, const struct wire_msg *msg);

// The time of sending of a call that is wanted, else 0.
int64_t told_call_sent_us(const struct core *self, const struct wire_msg *msg);

// Microseconds since 1970.
int64_t told_now_us(const struct core *self);
