// probe.h - asks a URL again and again until it answers 200, without blocking. One
// thread.
#pragma once
#include "base.h"

struct probe;

// Borrows `url`. NULL without memory.
struct probe *probe_create(const char *url);
void probe_destroy(struct probe **self_p);

// Has the URL answered 200? Asks it when the time has come.
bool probe_ready(struct probe *self, int64_t now_ms);

// Wait until probe_ready() has something to do, `fd` is readable, or `next_ms` (mono).
void probe_wait(struct probe *self, int fd, int64_t next_ms);
