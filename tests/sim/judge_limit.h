// judge_limit.h - no job is started beyond what is set for its tenant, its part of a
// queue or its key. A start counts from the commit of its lease, which a setting that was
// not on the disk when it was decided on does not bind.
#pragma once
#include "disk.h"

// A lease of the task is being committed; it was decided on at `at_ms`, wall clock.
void judge_start(struct disk *disk, const struct disk_task *task, int64_t at_ms);

// The task's job is sent.
void judge_send(struct disk *disk, const struct disk_task *task);

// A broker starts. It knows when a job was decided on, and that it was sent soon after;
// of one that was sent late it may know nothing, if the one before died in that moment.
void judge_restart(struct disk *disk);
