// sqlite_pack.h - many finished tasks in one row of the tables. Private to the store.
//
// A task that began and succeeded within one window and is named by nothing but its id
// has no rows of its own but lies in a block, as the journal encodes it: a row of `pack`.
// It never changes and is purged with its neighbours. As rows, a task and its result are
// four entries in B-trees, which cost several times what copying them into a block does.
//
// A block has tasks of one tenant and one window, by rising seq. Windows follow each
// other, so the blocks of a tenant do not overlap. Rows of `pack_id` say in which block a
// task is: each has ids of one bucket, which is the time in the id to a few milliseconds,
// and of one window. What is packed has an id of about the time it was submitted, so few
// windows can add to a bucket, whatever ids a client makes.
#pragma once
#include <sqlite3.h>

#include "journal_codec.h"
#include "pack_file.h"

struct sqlite_store;

// A task that may be packed: its change and its result, encoded, are borrowed.
struct pack_item {
    struct om_uuid tenant, id;
    int64_t seq, created_ms, finished_ms;
    struct om_str task, result;
    uint32_t task_row, result_row; // the window's
};

// May a new task be packed, if it succeeds? And one that has, by its size?
bool pack_takes(const struct change_task *task);
bool pack_fits(const struct pack_item *item);

// Within a transaction of the applying thread: add the tasks of a window, all of which
// fit, in any order; reorders them. Much goes to a file, which pack_files_keep() is to
// follow the commit of. A SQLITE_ code, SQLITE_DONE for success.
int pack_write(struct sqlite_store *self, struct pack_item *items, size_t count);

// What a row of `pack_id` has of each id, sorted.
struct pack_place {
    struct om_uuid id;
    uint64_t block; // its seq, little-endian
};

int64_t pack_bucket(const struct om_uuid *id);

// ---- reading

// Have a connection's statements find blocks in files: pack_block(file, at, size).
int pack_register(sqlite3 *db, struct pack_files *files);

// A task in a block. Strings are borrowed from the block.
struct packed {
    struct journal_change task, result;
};

// Take the next task off the front of a block; false at its end, and, then something is
// left of it, when it cannot be read.
bool pack_next(struct om_str *block, struct packed *out);

// As sqlite_task() of a row.
void pack_task(const struct packed *packed, struct stored_task *out);

// Find a task by its id, with the statements IDS_OF_BUCKET and BLOCK of a connection, or
// by its seq, with BLOCKS_BEFORE. It is borrowed from `block` until that is reset.
//   OM_OK, OM_ENOTFOUND, OM_EDB
OM_MUST_CHECK enum om_rc pack_find(sqlite3_stmt *ids, sqlite3_stmt *block,
                                   const struct om_uuid *id, struct packed *out);
OM_MUST_CHECK enum om_rc pack_find_seq(sqlite3_stmt *blocks, int64_t seq,
                                       struct packed *out);

// The greatest id of a row of `pack_id`.
struct om_uuid pack_greatest(struct om_str ids);

// A tenant's packed tasks, the newest first. `at` is borrowed until the next step.
enum { PACK_TASKS = 128 }; // of a block, at most
struct pack_walk {
    sqlite3_stmt *blocks; // BLOCKS_OF_TENANT
    int64_t before;
    struct om_str tasks[PACK_TASKS];
    size_t left; // of those
    struct packed at;
    enum om_rc rc;
};

// Tasks before the seq `before`; the caller resets the statement after the walk.
void pack_walk_begin(struct pack_walk *self, sqlite3_stmt *blocks,
                     const struct om_uuid *tenant, int64_t before);

// False at the end; `rc` is OM_EDB if something could not be read.
bool pack_walk_next(struct pack_walk *self);
