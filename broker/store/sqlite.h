// sqlite.h - the tables: tasks, results and events in one SQLite file, applied from the
// journal. Private to the store.
//
// Three connections, each a thread's own, so none needs a lock: the applying thread's
// writes, the committing thread's looks up ids, the reading thread's reads. Checkpoints
// run on the writing connection: SQLite before 3.51.3 can corrupt a WAL whose reset
// overlaps another connection's commit (https://sqlite.org/wal.html#walresetbug). The WAL
// is never truncated, only reused.
//
// Rows are appended and not rewritten, because rewriting a task's row on completion
// doubles the cost of a job. Most jobs have no row at all: see sqlite_pack.h.
#pragma once
#include <pthread.h>
#include <sqlite3.h>

#include "driver.h"
#include "journal_io.h"
#include "sqlite_pack.h"
#include "sqlite_rows.h"
#include "sqlite_sql.h"

#define SQLITE_ENUM_WRITER(name, sql) WRITER_##name,
#define SQLITE_ENUM_FINDER(name, sql) FINDER_##name,
#define SQLITE_ENUM_READER(name, sql) READER_##name,
enum sqlite_writer { SQLITE_WRITER_LIST(SQLITE_ENUM_WRITER) WRITER_COUNT };
enum sqlite_finder { SQLITE_FINDER_LIST(SQLITE_ENUM_FINDER) FINDER_COUNT };
enum sqlite_reader { SQLITE_READER_LIST(SQLITE_ENUM_READER) READER_COUNT };

// A flag of the table `open`: the task waits for its first start, and its row there says
// all there is to know of it.
enum { SQLITE_OPEN_WAITING = 1 };

// Where a sweep of the purge is.
struct sqlite_sweep {
    enum {
        SWEEP_TASKS,
        SWEEP_PACKS,
        SWEEP_PACK_IDS,
        SWEEP_RETAINED,
        SWEEP_STARTS,
        SWEEP_NAMES,
        SWEEP_EVENTS
    } stage;
    int64_t task_seq;
    int64_t shard; // -1: before the first
    char topic[64];
    size_t topic_size;
};

struct sqlite_store {
    int lock_fd;
    char *directory;
    uint32_t epoch;
    uint64_t journal_id;

    // The applying thread's.
    sqlite3 *writer;
    sqlite3_stmt *writes[WRITER_COUNT];
    struct sqlite_rows rows;    // of ADD_TASKS, ADD_RESULTS and ADD_EVENTS
    bool broken;                // the outcome of a write is unknown
    int64_t applied;            // the last record of the journal in the tables
    int64_t synced;             // the last one that is in them on the disk
    struct om_uuid greatest_id; // of all tasks
    uint64_t marks;             // written since the start
    size_t page_bytes;
    int log_pages; // checkpoint when the log has grown to this
    int wal_frames, checkpoint_at;
    int log_fd; // of the log, to have it written early; -1: not possible
    struct sqlite_sweep sweep;
    struct pack_files *packs;
    size_t pack_least_bytes; // of a window, for its blocks to go to a file
    size_t pack_file_bytes;
    bool packs_emptied; // there is a file that may be removed

    // The committing thread's.
    sqlite3 *finder;
    sqlite3_stmt *finds[FINDER_COUNT];
    bool finding; // a read transaction is open

    // The reading thread's. `reading` is held during a read, so that a checkpoint which
    // readers kept from finishing can wait for a moment without one.
    sqlite3 *reader;
    sqlite3_stmt *reads[READER_COUNT];
    pthread_mutex_t reading;
};

// Open or create the file, lock it, bring it to this program's schema and bump its epoch,
// durably. The results of store_open(). `vfs` may be NULL.
OM_MUST_CHECK enum om_rc sqlite_open(const char *path, const char *vfs,
                                     const struct journal_io *io,
                                     struct sqlite_store **out);

void sqlite_close(struct sqlite_store **self_p);

double sqlite_disk_free(const struct sqlite_store *self);

// ---- statements

void sqlite_bind_str(sqlite3_stmt *stmt, int at, struct om_str value);
void sqlite_bind_blob(sqlite3_stmt *stmt, int at, struct om_str value);
void sqlite_bind_uuid(sqlite3_stmt *stmt, int at, const struct om_uuid *value);

// Borrowed until the statement's next step. A value that is NULL has data == NULL.
struct om_str sqlite_str(sqlite3_stmt *stmt, int column);
struct om_uuid sqlite_uuid(sqlite3_stmt *stmt, int column);

// Run a statement that gives no rows, and reset it. A SQLITE_ code.
int sqlite_run(sqlite3_stmt *stmt);

// What a SQLITE_ code of a failed statement means.
enum om_rc sqlite_rc(sqlite3 *db, int code);

// ---- the applying thread

// With this, a transaction is on the disk when it ends; without, at the next checkpoint.
OM_MUST_CHECK enum om_rc sqlite_sync_each(struct sqlite_store *self, bool each);

OM_MUST_CHECK enum om_rc sqlite_begin(struct sqlite_store *self);

// COMMIT if `code` is SQLITE_OK or SQLITE_DONE, else ROLLBACK.
//   OM_ENOSPACE, OM_EDB  rolled back for certain
//   OM_EINTERNAL         unknown
OM_MUST_CHECK enum om_rc sqlite_end(struct sqlite_store *self, int code);

// Within a transaction. Tasks, events and most results are added all at once:
// sqlite_run() of a WRITER_ADD_ statement adds those of `rows`; the keys and the
// retention of a task are added here, and its row among the open ones; _shard() keeps the
// number of the newest event that has no row. Each gives a SQLITE_ code, SQLITE_DONE for
// success.
int sqlite_write_names(struct sqlite_store *self, const struct change_task *task);
int sqlite_write_open(struct sqlite_store *self, const struct change_task *task,
                      bool marked);
int sqlite_write_mark(struct sqlite_store *self, const struct change_mark *mark);
int sqlite_write_result(struct sqlite_store *self, const struct change_result *result);
int sqlite_write_cursor(struct sqlite_store *self, const struct change_cursor *cursor);
int sqlite_write_setting(struct sqlite_store *self, const struct change_setting *set);
int sqlite_write_start(struct sqlite_store *self, const struct change_start *start);
int sqlite_write_shard(struct sqlite_store *self, int64_t shard, int64_t seq);
int sqlite_write_chunk(struct sqlite_store *self, const struct change_chunk *chunk);

// A statement whose only parameter is a task's seq, or a number.
int sqlite_write_seq(struct sqlite_store *self, enum sqlite_writer statement,
                     int64_t seq);

// Begin to write to the disk what is in the log, so that a checkpoint need not write all
// of it at once, while commits wait for the same disk.
void sqlite_write_behind(struct sqlite_store *self);

// Checkpoint, if the log has grown enough or it is `due` for another reason. Afterwards
// `synced` says how much of what was applied is on the disk.
void sqlite_checkpoint(struct sqlite_store *self, bool due);

// Remove a few rows of what store_purge() is to remove; true when there is more.
bool sqlite_purge(struct sqlite_store *self, int64_t now_ms, int64_t retention_ms);

// ---- the committing thread

// What is said of a task that is known.
struct sqlite_known {
    int64_t seq;
    struct om_uuid id, tenant;
    uint8_t hash[32];
    int64_t until_ms; // of its unique key
    bool open;        // of its unique key: it is in the `open` table
};

// OM_OK: found; OM_ENOTFOUND; OM_EDB. The first one opens a read transaction, which stays
// open until sqlite_find_end().
OM_MUST_CHECK enum om_rc sqlite_find_id(struct sqlite_store *self,
                                        const struct om_uuid *id,
                                        struct sqlite_known *out);
OM_MUST_CHECK enum om_rc sqlite_find_key(struct sqlite_store *self, enum known_by by,
                                         const struct om_uuid *tenant, struct om_str key,
                                         struct sqlite_known *out);
void sqlite_find_end(struct sqlite_store *self);

// Does any task hold a unique key?
bool sqlite_holds_keys(struct sqlite_store *self);

// The hash a stored header was submitted with; zero if none.
void sqlite_header_hash(struct om_str header, uint8_t out[32]);

// ---- the reading thread

enum om_rc sqlite_load(struct sqlite_store *self, const struct store_loader *loader);

// Only the newest event of each shard.
enum om_rc sqlite_load_shards(struct sqlite_store *self,
                              const struct store_loader *loader);
void sqlite_read(struct sqlite_store *self, struct read *read);

// Fill `task` from a row of SQLITE_TASK_COLUMNS; strings are borrowed from the statement.
void sqlite_task(sqlite3_stmt *row, struct stored_task *task);

// Take a task's strings out of the row, into memory of the read; or finish a task of an
// answer: fold its marks and its partial results, too.
OM_MUST_CHECK bool sqlite_keep_strings(struct read *read, struct stored_task *task);
OM_MUST_CHECK enum om_rc sqlite_keep_task(struct sqlite_store *self, struct read *read,
                                          struct stored_task *task);

// Answer LIST and OPEN.
OM_MUST_CHECK enum om_rc sqlite_list(struct sqlite_store *self, struct read *read);

// Fold a task's marks into it, keeping their strings in `keeper`, and, of one that
// depends on others, what became of those. An ended task has its result's counts and
// code.
enum om_rc sqlite_fold(struct sqlite_store *self, struct read *keeper,
                       struct stored_task *task);
enum om_rc sqlite_fold_parents(struct sqlite_store *self, struct stored_task *task);
enum om_rc sqlite_fold_chunks(struct sqlite_store *self, struct stored_task *task);
