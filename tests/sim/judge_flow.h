// judge_flow.h - batches and workflows: an atomic batch is on the disk whole or not at
// all, a job starts when those it waits for have ended as it needs, and is given up only
// for one of them that did not succeed.
#pragma once
#include "disk.h"

struct flows;

struct flows *flows_create(struct sim *sim);
void flows_destroy(struct flows **self_p);

// The broker got a SUBMIT_BATCH, or answers one with BATCH.
void flows_asked(struct flows *self, const struct wire_msg *msg, struct om_str payload);
void flows_answered(struct flows *self, struct om_str payload);

// A batch of changes is on the disk; its new tasks begin at `first`.
void flows_committed(struct flows *self, size_t first);

// The task is leased or sent, or ends by this code.
void flows_started(const struct disk *disk, const struct disk_task *task);
void flows_ended(const struct disk *disk, const struct disk_task *task,
                 struct om_str code);
