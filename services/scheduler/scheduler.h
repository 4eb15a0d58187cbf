// scheduler.h - submits jobs at the times of cron expressions, keeps how the platform
// does, and counts what goes wrong.
//
// The service handles in one thread: routes, and a tick that fires what is due, sends
// what was fired and stores what was seen of the programs.
#pragma once
#include "error_group.h"
#include "sender.h"
#include "service.h"
#include "status.h"

struct scheduler {
    struct om_db *db;
    struct sender sender;
    struct status status;
    struct error_conf errors;
    int64_t due_ms;   // mono: when to look for due schedules
    int64_t clean_ms; // mono: when to delete what is old
    int64_t tidy_ms;  // mono: when to look after groups of errors
};

extern const struct om_migration scheduler_schema[];
extern const struct om_route scheduler_routes[];

// Count a run of errors.
enum om_rc scheduler_on_events(void *self, uint8_t shard,
                               const struct wire_logged *events, size_t count);
