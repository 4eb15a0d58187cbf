// later.h - predictions that need not be answered at once: `Prefer: respond-async` and
// `wait=n` make one a durable job, whose task has the result.
//
// Who waits for it and leaves before it has heard of the task ends it, since nobody else
// knows of it; with an Idempotency-Key it goes on, and a repeat finds it.
#pragma once
#include "exchange.h"

// Does the request prefer that, and can its route do it?
bool later_is_wanted(struct exchange *x);

// Do the operation of x->route, whose request is x->record, as a job.
void later_submit(struct exchange *x);
