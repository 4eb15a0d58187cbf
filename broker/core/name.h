// name.h - the keys of jobs that are not durable yet: two jobs of one key are one, though
// the store has not heard of either.
#pragma once
#include "submit.h"

// The job on its way in that has one of the keys of `msg`, and by which; else NULL.
struct task *name_find(const struct core *self, const struct om_uuid *tenant,
                       const struct wire_msg *msg, enum known_by *by);

// Note the keys of `msg` as the job's; forget them.
void name_add(struct core *self, struct task *task, const struct wire_msg *msg);
void name_remove(struct core *self, struct submission *submission);
