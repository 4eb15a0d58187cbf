// stall.h - the broker's own pauses: SIGSTOP, a suspended machine, a host that takes the
// processor away.
//
// Silence counts against a worker only while the broker could have heard it. What was
// sent meanwhile is still on its way when the broker goes on, behind its timers.
#pragma once
#include "inner.h"

// Before the timers of a tick fire: if the first of them is late by so much that the
// broker must have stood still, leases and sessions get that time again.
void stall_notice(struct core *self);
