// judge.h - compares what the broker says with what is on its disk, and what happened in
// the end with what was promised.
#pragma once
#include "disk.h"

struct judge *judge_create(struct sim *sim);
void judge_destroy(struct judge **self_p);

// The broker got this message over a link of the actor's, and is about to answer it; then
// it has.
void judge_received(struct judge *self, int actor, int64_t link,
                    const struct wire_msg *msg, struct om_str payload);
void judge_answered(struct judge *self);

// A worker starts the job of the lease.
void judge_starts(struct judge *self, const struct wire_token *token);

// The newest lease of the task: of this broker's, or else on the disk.
const struct wire_token *judge_newest_lease(const struct judge *self,
                                            const struct disk_task *task);

// A batch of changes is on the disk; its new tasks begin at `first`.
void judge_committed(struct judge *self, size_t first);

// The broker has started.
void judge_started(struct judge *self);

// The broker sends this message.
void judge_sent(struct judge *self, int actor, int64_t link, const struct wire_msg *msg,
                struct om_str payload);

// A subscriber applies an event in a transaction of its own. False if its (shard, seq) or
// its id was applied before.
bool judge_apply(struct judge *self, unsigned subscription, uint8_t shard,
                 const struct wire_logged *event);

bool judge_is_poison(struct om_str body);

// Is all that was promised done?
bool judge_is_complete(const struct judge *self);

// The end: judge what was not judged on the way.
void judge_finish(struct judge *self);
