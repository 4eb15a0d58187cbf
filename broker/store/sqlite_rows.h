// sqlite_rows.h - encoded changes as tables SQLite can select from, so that one statement
// inserts all of a window: window_task, window_result and window_event.
#pragma once
#include <sqlite3.h>

#include "change.h"

// An encoded change, and the task it is about.
struct sqlite_row {
    struct om_str change;
    int64_t seq;
    enum change_kind kind;
    bool left_out; // of the tables
};

// What the tables have now.
struct sqlite_rows {
    const struct sqlite_row *rows;
    size_t count;
};

// Make the tables known to a connection. `rows` is borrowed as long as it is open. A
// SQLITE_ code.
int sqlite_rows_register(sqlite3 *db, const struct sqlite_rows *rows);
