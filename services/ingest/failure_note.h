// failure_note.h - tells the groups of errors of a request that was answered with a 5xx.
//
// Those without a tenant (no valid key) are nobody's, and those of workers' grants are
// seen as what becomes of the job.
#pragma once
#include "exchange.h"

void failure_note(struct exchange *x, int status);
