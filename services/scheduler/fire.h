// fire.h - fires: the times of a schedule that came, each with the task made for it.
//
// A fire and the schedule's next time are committed together, before its task is
// submitted; the task is then submitted until the broker has it, with the id in the fire.
// So each nominal time makes one task, whenever the process dies.
#pragma once
#include "db.h"

enum fire_state { FIRE_PENDING = 0, FIRE_SUBMITTED = 1, FIRE_FAILED = 2 }; // stored

enum {
    FIRE_DUE_MAX = 100,                               // schedules fired in a transaction
    FIRE_KEEP_MS = 30 * 24 * 60 * 60 * INT64_C(1000), // fires are remembered this long
};

// Commit the fires of schedules that are due at `now_ms`, of FIRE_DUE_MAX schedules at
// most. *next_ms is when the next is due: now or earlier if there are more; INT64_MAX for
// never.
enum om_rc fire_due(struct om_db *db, int64_t now_ms, int64_t *next_ms);

// What became of a submitted task.
struct fire_outcome {
    struct om_uuid task;
    enum fire_state state;
    char code[64];    // of FIRE_FAILED
    int64_t retry_ms; // of FIRE_PENDING: not again before, wall
};

// Store outcomes in one transaction.
enum om_rc fire_store(struct om_db *db, const struct fire_outcome *outcomes,
                      size_t count);

// Delete fires older than FIRE_KEEP_MS that are not pending, and deleted schedules
// without fires.
enum om_rc fire_clean(struct om_db *db, int64_t now_ms);
