// patrol.h - goes round all audit logs and checks that each is as it was written, so that
// a chain that was broken is an alert and not found out years later.
//
// A slice of rows at a time, beside the service's work, in its one thread.
#pragma once
#include "audit.h"

struct patrol {
    struct om_uuid tenant;  // whose log is looked at; zero: before the first
    struct audit_head good; // so far
    bool broken;            // one was, in this round
    int64_t due_ms;
    uint32_t intact, verified_at, records; // cells of metrics
};

void patrol_init(struct patrol *self);

// Look at the next slice if it is due. Returns when to be called again.
int64_t patrol_tick(struct patrol *self, struct om_db *db, int64_t now_ms);
