// metric_inner.h - what the registry of metrics and its page share.
#pragma once
#include <pthread.h>

#include "metrics.h"

enum { METRIC_CELLS_OF_TIMES = METRIC_EDGES + 2 }; // buckets, the last too, and the sum

struct metric_series {
    enum om_metric metric;
    uint32_t cell;
    uint32_t next;     // in the list of its metric; 0: none
    bool tenants;      // a cell for each rank of a tenant follows
    atomic_bool shown; // a gauge that was set
    uint64_t *bases;   // of a series of tenants: what a rank's former tenants counted
    char *labels;      // as the page writes them
};

struct metric_exemplar {
    atomic_flag busy;
    uint8_t trace_id[16];
    int64_t took_us, wall_ms; // wall_ms 0: there is none
};

struct metric_registry {
    pthread_mutex_t lock;
    unsigned groups;
    uint32_t cells, series_count; // used; both begin with 1
    struct metric_series series[METRIC_SERIES_MAX];
    uint32_t first[METRIC_COUNT_], last[METRIC_COUNT_];
    _Atomic uint64_t set[METRIC_CELLS_MAX]; // what om_metric_set() wrote
    struct metric_exemplar exemplars[METRIC_CELLS_MAX];
};

// Its pages are touched as they are used.
extern struct metric_registry metric_registry;

// What all threads have counted; the lock is held.
uint64_t metric_sum(uint32_t cell);

// What the labels of a metric are with these values, in `out`. Returns the size.
enum { METRIC_LABELS_TEXT_MAX = 768 };
size_t metric_labels(enum om_metric metric, const struct om_str *values,
                     char out[METRIC_LABELS_TEXT_MAX]);
