// billing.h - what each tenant used, and what it may use: usage events applied once and
// answered by meter, plans, and quotas given out in blocks.
//
// The service handles in one thread.
#pragma once
#include "db.h"
#include "service.h"

struct billing {
    struct om_db *db;
    int64_t (*clock)(void); // wall, ms; NULL: the real one
    int64_t began_ms;       // wall, ms; when it began to serve
    int64_t tidy_ms;        // wall, ms; when windows that are over are forgotten next
};

extern const struct om_migration billing_schema[];
extern const struct om_route billing_routes[];

// The handlers, in the order of ops.h.
om_handler billing_usage_query, billing_plan_changes, billing_plan_list, billing_plan_set,
    billing_quota_lease, billing_quota_settle, billing_quota_list, billing_quota_set;

// The service's tick: leases that have expired are given back, and old windows forgotten.
int64_t billing_tick(void *self, int64_t now_ms);

int64_t billing_now(const struct billing *self);
