// start.h - starts under a rate, as they are stored: so that a restart keeps the window.
//
// A row has the time of the wall clock, a window that of the mono clock. A row is never
// read as an earlier start than it was while the wall clock is not set: a start counts as
// the latest it may have been. When the wall clock is set forward, the rows would look
// old after a restart, so what is in a window is stored again within a second.
#pragma once
#include "limit.h"

// The job goes out so much later than its start was decided on and stored, at most; else
// its start is stored again.
enum { START_SENT_MS = 1000 };

// One more start, in the group begun last, which has room for a change: one row a limit
// and batch.
void start_add(struct core *self, struct limit *limit);

// The limit is freed.
void start_forget(struct core *self, struct limit *limit);

// Loading is over: from now on what was loaded is of the mono clock.
void start_serve_all(struct core *self);
