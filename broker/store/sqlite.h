// sqlite.h - the store in one SQLite file. Private to sqlite*.c.
//
// Two connections: the committing thread's writes, the reading thread's only reads, so
// neither needs a lock. The checkpoint runs on the writing connection between commits:
// SQLite before 3.51.3 can corrupt a WAL whose reset overlaps another connection's commit
// (https://sqlite.org/wal.html#walresetbug). The WAL is never truncated, only reused.
//
// Rows are appended and not rewritten, because rewriting a task's row on completion
// doubles the cost of a job.
#pragma once
#include <pthread.h>
#include <sqlite3.h>

#include "driver.h"
#include "sqlite_sql.h"

#define SQLITE_ENUM_WRITER(name, sql) WRITER_##name,
#define SQLITE_ENUM_READER(name, sql) READER_##name,
enum sqlite_writer { SQLITE_WRITER_LIST(SQLITE_ENUM_WRITER) WRITER_COUNT };
enum sqlite_reader { SQLITE_READER_LIST(SQLITE_ENUM_READER) READER_COUNT };

// Where a sweep of the purge is.
struct sqlite_sweep {
    bool tasks_done;
    int64_t task_seq;
    int64_t shard; // -1: before the first
    char topic[64];
    size_t topic_size;
};

struct sqlite_store {
    struct store base;
    int lock_fd;
    char *directory;

    // The committing thread's.
    sqlite3 *writer;
    sqlite3_stmt *writes[WRITER_COUNT];
    bool broken;    // the outcome of a write is unknown: nothing can be written any more
    uint64_t marks; // written since the start
    int wal_frames, checkpoint_at;
    struct sqlite_sweep sweep;

    // The reading thread's. `reading` is held during a read, so that a checkpoint which
    // readers kept from finishing can wait for a moment without one.
    sqlite3 *reader;
    sqlite3_stmt *reads[READER_COUNT];
    pthread_mutex_t reading;
};

// ---- statements

void sqlite_bind_str(sqlite3_stmt *stmt, int at, struct om_str value);
void sqlite_bind_blob(sqlite3_stmt *stmt, int at, struct om_str value);
void sqlite_bind_uuid(sqlite3_stmt *stmt, int at, const struct om_uuid *value);

// Borrowed until the statement's next step. A value that is NULL has data == NULL.
struct om_str sqlite_str(sqlite3_stmt *stmt, int column);
struct om_uuid sqlite_uuid(sqlite3_stmt *stmt, int column);

// Run a statement that gives no rows, and reset it. A SQLITE_ code.
int sqlite_run(sqlite3_stmt *stmt);

// Fill `task` from a row of SQLITE_TASK_COLUMNS; strings are borrowed from the statement.
void sqlite_task(sqlite3_stmt *row, struct stored_task *task);

// Fold the marks that `marks` (SQLITE_MARKS) finds into `task`, keeping their strings in
// `keeper`. An ended task has its result's counts and code.
enum om_rc sqlite_fold(sqlite3_stmt *marks, struct read *keeper,
                       struct stored_task *task);

// What a SQLITE_ code of a failed statement means.
enum om_rc sqlite_rc(sqlite3 *db, int code);

// ---- transactions of the committing thread

OM_MUST_CHECK enum om_rc sqlite_begin(struct sqlite_store *self);

// COMMIT if `code` is SQLITE_OK or SQLITE_DONE, else ROLLBACK. The results of
// store_commit().
OM_MUST_CHECK enum om_rc sqlite_end(struct sqlite_store *self, int code);

// ---- the driver's functions that stand in files of their own

enum om_rc sqlite_load(struct store *store, const struct store_loader *loader);
enum om_rc sqlite_commit(struct store *store, struct batch *batch);
void sqlite_checkpoint(struct store *store);
void sqlite_read(struct store *store, struct read *read);
bool sqlite_purge(struct store *store, int64_t now_ms, int64_t retention_ms);
