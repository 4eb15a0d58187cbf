// journal_store.h - the store in a journal and, behind it, in tables.
//
// A commit appends one record to the journal and syncs it. A thread of the store's own
// applies the records to the tables, many at a time; it also checkpoints and purges.
// Reads wait until what was committed before them is applied.
#pragma once
#include "driver.h"
#include "journal_io.h"

struct journal_store_conf {
    const struct journal_io *io;
    const char *vfs;         // SQLite's; NULL: the default one
    size_t segment_bytes;    // of the journal's files
    size_t window_bytes;     // applied together
    size_t backlog_bytes;    // not applied: beyond this a commit waits
    int64_t window_ms;       // a record waits no longer
    size_t log_bytes;        // SQLite's log is checkpointed when it has grown to this
    size_t kept_bytes;       // or the journal's segments that wait for a checkpoint
    size_t pack_least_bytes; // finished tasks of a window go to a file from here on
    size_t pack_file_bytes;  // then the next file is begun
};

extern const struct journal_store_conf journal_store_default;

// store_open() with other settings than the default; `path` is the database's. Its
// journal is in the folder journal/ beside it.
OM_MUST_CHECK enum om_rc journal_store_open(const char *path,
                                            const struct journal_store_conf *conf,
                                            struct store **out);
