// shell.h - the simulated broker around the core: starts, crashes, commits, messages.
#pragma once
#include "sim.h"

// A core that has loaded what is stored, and serves.
void shell_load(struct sim *self);

// The same, and do what it asks for.
void shell_start(struct sim *self);

// The process goes as it is; its totals are kept. Nothing if it is down.
void shell_stop(struct sim *self);

// It dies, and starts again later.
void shell_crash(struct sim *self);

// A message reaches it.
void shell_receive(struct sim *self, const struct sim_event *event);

// Do what the core asks for.
void shell_pump(struct sim *self);

// The commit that was out ends.
void shell_committed(struct sim *self);
