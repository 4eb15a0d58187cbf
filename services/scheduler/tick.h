// tick.h - what the scheduler does on its own.
#pragma once
#include "scheduler.h"

// Fire what is due, send what was fired, store what was answered, and now and then delete
// what is old. `now_ms` is the mono clock. Returns when to be called next: within a
// second, so that a step of the wall clock is noticed.
int64_t scheduler_tick(void *self, int64_t now_ms);
