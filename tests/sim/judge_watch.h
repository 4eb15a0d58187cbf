// judge_watch.h - what watchers of partial results are told: each once, in order, none
// left out, and no number for two things, over restarts of the broker too.
#pragma once
#include "disk.h"

struct watches;

struct watches *watches_create(struct sim *sim);
void watches_destroy(struct watches **self_p);

// A broker has started: it knows no watches, and what was told is not told otherwise.
void watches_started(struct watches *self);

// The broker got a WATCH.
void watches_asked(struct watches *self, int actor, int64_t link,
                   const struct wire_msg *msg);

// The broker sends a CHUNK, EVENT or ERROR.
void watches_told(struct watches *self, int actor, int64_t link,
                  const struct wire_msg *msg, struct om_str payload);
