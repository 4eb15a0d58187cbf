// store_stats.h - what the store counts, for the broker's page of metrics.
#pragma once
#include "base.h"

// The cells of METRICS_BROKER's rows about the store.
struct store_stats {
    uint32_t synced, written, checkpoints;
};

extern struct store_stats store_stats;

// Once, when a store is opened.
void store_stats_open(void);
