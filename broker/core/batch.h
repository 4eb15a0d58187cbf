// batch.h - SUBMIT_BATCH: many jobs in one message, answered by one BATCH.
//
// Each job has an outcome of its own. The jobs of an atomic batch are taken together, in
// one commit, or not at all: all are new, or all are known already and the batch was said
// again; else nothing is taken, and those that nothing is wrong with have code
// "conflict".
#pragma once
#include "submit.h"

enum { INTAKE_JOBS_MAX = 1000, INTAKE_ITEMS_MAX = 64 * 1000 };

void on_submit_batch(struct core *self, const struct input *in);

// A job of the batch has met its outcome; with the last one BATCH goes out.
void intake_note(struct core *self, struct intake *intake, size_t place,
                 const struct outcome *outcome);

// Some job of the batch is known already.
void intake_known(struct intake *intake);

// ---- of an atomic batch

bool intake_is_atomic(const struct intake *intake);

// A job was made: it is one of those to be added together.
void intake_made(struct intake *intake, size_t place, struct task *task);

// All that one of the jobs waited for has come; with the last one all are added.
void intake_ready(struct core *self, struct intake *intake);

// A job cannot be taken: none is.
void intake_refuse(struct core *self, struct task *task, enum om_rc rc, const char *why);

// A job turned out to be known, and is about to go; it has gone.
void intake_leave(struct intake *intake, struct task *task);
void intake_left(struct core *self, struct intake *intake);

void intake_destroy_all(struct core *self);
