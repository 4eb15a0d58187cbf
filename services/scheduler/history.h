// history.h - what the looks at the platform saw, kept: counts of each objective by five
// minutes, each program's days, and incidents.
//
// An incident begins when a program was not ready at two looks in a row, dated to the
// first, and ends with the first look at which it is. It outlives the scheduler.
#pragma once
#include "db.h"
#include "watcher.h"

enum {
    HISTORY_DAYS = 90,       // programs' days and incidents are kept
    HISTORY_COUNT_DAYS = 31, // counts are
    HISTORY_MISSES = 2,
};

// What was seen of a program before; in memory.
struct history_program {
    char name[WATCHER_NAME_MAX + 1], address[WATCHER_ADDRESS_MAX];
    bool counted;             // `counts` were seen
    struct slo_counts counts; // of its page at the last look
    int misses;               // looks in a row
    int64_t missed_ms;        // the first of them
};

struct history {
    size_t count;
    struct history_program programs[WATCHER_PROGRAMS_MAX];
};

// Store a look. On failure nothing was stored, and the counts come with the next one.
enum om_rc history_store(struct history *self, struct om_db *db, const struct look *look);

// Delete what is older than it is kept.
enum om_rc history_clean(struct om_db *db, int64_t now_ms);
