// rows.h - what QUEUE shows: queues with their numbers, and limits.
#pragma once
#include "limit.h"

// A list of encoded records, packed one after the other.
struct rows {
    struct om_buf records;
    size_t count;
};

enum { ROWS_MAX = 1000 };

// The tenant's part of a queue, with `setting` as what is set for it. A zero tenant: all
// tenants of the platform's queue.
void rows_add_queue(struct core *self, struct rows *rows, const struct om_uuid *tenant,
                    struct om_str queue, const struct setting *setting);

// A tenant's own limit or that of a key.
void rows_add_limit(const struct core *self, struct rows *rows, struct limit *limit,
                    const struct setting *setting);

// All queues of the tenant, by name.
void rows_add_queues_of(struct core *self, struct rows *rows,
                        const struct om_uuid *tenant);

// The platform's queues, each with all its tenants together; then parts of tenants, those
// with most jobs first. `queue` present: only that one.
void rows_add_all(struct core *self, struct rows *rows, struct om_str queue);

// What is set for a tenant and its keys, by name.
void rows_add_limits_of(const struct core *self, struct rows *rows,
                        const struct om_uuid *tenant);

// QUEUES in answer to `asker`; the rows are taken.
struct out *rows_finish(struct core *self, struct rows *rows, const struct asker *asker);
