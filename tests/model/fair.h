// fair.h - the stated bound of fairness, on the real core.
//
// Tenants whose jobs wait in one band are served by deficit round robin. A start costs 1
// and what the tenant holds for each unit of its weight, at most 16; a round gives each
// tenant its weight. So what two tenants have paid, each divided by its weight, drifts
// apart by no more than 1 + 16 / weight + 16 / weight over any time in which both have
// jobs that wait.
#pragma once
#include "base.h"

// Serve tenants of random weights, some of which hold on to workers. False: the bound was
// broken; `why` says how.
bool fair_run(uint64_t seed, char *why, size_t why_size);
