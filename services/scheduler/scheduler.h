// scheduler.h - submits jobs at the times of cron expressions, and keeps how the platform
// does.
//
// The service handles in one thread: routes, and a tick that fires what is due, sends
// what was fired and stores what was seen of the programs.
#pragma once
#include "db.h"
#include "sender.h"
#include "service.h"
#include "status.h"

struct scheduler {
    struct om_db *db;
    struct sender sender;
    struct status status;
    int64_t due_ms;   // mono: when to look for due schedules
    int64_t clean_ms; // mono: when to delete what is old
};

extern const struct om_migration scheduler_schema[];
extern const struct om_route scheduler_routes[];
