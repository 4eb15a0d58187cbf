#include <stdlib.h>

#include "sqlite.h"

// What a list looks at before it gives what it has found: some 20 ms of the only thread
// that reads.
enum {
    LOOK_ROWS = 16384,
    LOOK_BLOCKS = LOOK_ROWS / PACK_TASKS,
};

// The seq of the task a page begins behind; INT64_MAX for the newest page.
static enum om_rc
find_after(struct sqlite_store *self, const struct read *read, int64_t *seq)
{
    *seq = INT64_MAX;
    if (om_uuid_is_zero(&read->id))
        return OM_OK;
    sqlite3_stmt *stmt = self->reads[READER_SEQ];
    sqlite_bind_uuid(stmt, 1, &read->id);
    sqlite_bind_uuid(stmt, 2, &read->tenant);
    int code = sqlite3_step(stmt);
    if (code == SQLITE_ROW)
        *seq = sqlite3_column_int64(stmt, 0);
    sqlite3_reset(stmt);
    if (code != SQLITE_DONE)
        return code == SQLITE_ROW ? OM_OK : OM_EDB;

    struct packed packed;
    enum om_rc rc = pack_find(self->reads[READER_IDS_OF_BUCKET],
                              self->reads[READER_BLOCK], &read->id, &packed);
    if (rc == OM_OK && om_uuid_eq(&packed.task.change.task.tenant, &read->tenant))
        *seq = packed.task.change.task.seq;
    else if (rc == OM_OK)
        rc = OM_ENOTFOUND;
    sqlite3_reset(self->reads[READER_BLOCK]);
    return rc;
}

// How the tasks of a list are found.
static sqlite3_stmt *
list_rows(struct sqlite_store *self, const struct read *read)
{
    if (read->kind == READ_OPEN)
        return self->reads[READER_LIST_OPEN];
    if (read->state == STATE_NONE)
        return self->reads[READER_LIST_ALL];
    return self->reads[read->state == STATE_SUCCEEDED ? READER_LIST_SUCCEEDED
                                                      : READER_LIST_STATE];
}

static bool
lists_packed(const struct read *read)
{
    return read->kind == READ_LIST &&
           (read->state == STATE_NONE || read->state == STATE_SUCCEEDED);
}

static bool
matches(struct om_str wanted, struct om_str text)
{
    return !wanted.data || (text.data && om_str_eq(wanted, text));
}

// The next packed task the list asks for.
static bool
next_match(struct pack_walk *walk, const struct read *read, int64_t floor)
{
    while (pack_walk_next(walk)) {
        const struct change_task *task = &walk->at.task.change.task;
        if (task->seq < floor)
            return false;
        if (matches(read->queue, task->queue) && matches(read->task_kind, task->kind) &&
            matches(read->code, walk->at.result.change.result.code))
            return true;
    }
    return false;
}

// Answer with the newest of the tasks that have rows and of those that are packed, if
// `walk` stands at one of these.
static enum om_rc
merge_lists(struct sqlite_store *self, struct read *read, sqlite3_stmt *rows,
            struct pack_walk *walk, int64_t floor)
{
    enum om_rc rc = OM_OK;
    int code = sqlite3_step(rows);
    while (rc == OM_OK && read->count < read->limit && (walk || code == SQLITE_ROW)) {
        struct stored_task *task = &read->tasks[read->count++];
        if (walk && (code != SQLITE_ROW ||
                     walk->at.task.change.task.seq > sqlite3_column_int64(rows, 0))) {
            pack_task(&walk->at, task);
            rc = sqlite_keep_strings(read, task) ? OM_OK : OM_EDB;
            walk = next_match(walk, read, floor) ? walk : NULL;
        } else {
            sqlite_task(rows, task);
            rc = sqlite_keep_task(self, read, task);
            code = sqlite3_step(rows);
        }
    }
    return code == SQLITE_ROW || code == SQLITE_DONE ? rc : OM_EDB;
}

// ---- how far a list looks

// A list without a filter, or of a state that has an index, finds what it asks for at
// once.
static bool
may_look_long(const struct read *read)
{
    return read->state == STATE_SUCCEEDED || read->queue.data || read->task_kind.data ||
           read->code.data;
}

static enum sqlite_reader
floor_statement(const struct read *read)
{
    if (read->kind == READ_OPEN)
        return READER_FLOOR_OPEN;
    return read->state == STATE_NONE || read->state == STATE_SUCCEEDED
               ? READER_FLOOR_TASKS
               : READER_FLOOR_STATE;
}

// The seq of the row `rows` further, 0 if there is none, and its task's id, if the
// statement says it.
static enum om_rc
step_floor(struct sqlite_store *self, enum sqlite_reader statement,
           const struct read *read, int64_t before, int rows, int64_t *seq,
           struct om_uuid *id)
{
    sqlite3_stmt *stmt = self->reads[statement];
    sqlite_bind_uuid(stmt, 1, &read->tenant);
    sqlite3_bind_int64(stmt, 2, before);
    sqlite3_bind_int64(stmt, 3, rows);
    if (statement == READER_FLOOR_STATE)
        sqlite3_bind_int64(stmt, 4, read->state);
    *seq = 0;
    int code = sqlite3_step(stmt);
    if (code == SQLITE_ROW) {
        *seq = sqlite3_column_int64(stmt, 0);
        if (statement != READER_FLOOR_BLOCKS)
            *id = sqlite_uuid(stmt, 1);
    }
    sqlite3_reset(stmt);
    return code == SQLITE_ROW || code == SQLITE_DONE ? OM_OK : OM_EDB;
}

// The oldest task the list looks at: its seq, 0 if that is any, and its id.
static enum om_rc
find_floor(struct sqlite_store *self, const struct read *read, int64_t before,
           int64_t *floor, struct om_uuid *id)
{
    *floor = 0;
    if (!may_look_long(read))
        return OM_OK;
    int64_t block = 0;
    enum om_rc rc =
        step_floor(self, floor_statement(read), read, before, LOOK_ROWS, floor, id);
    if (rc == OM_OK && lists_packed(read))
        rc = step_floor(self, READER_FLOOR_BLOCKS, read, before, LOOK_BLOCKS, &block, id);
    if (rc != OM_OK || block <= *floor)
        return rc;
    struct packed packed;
    rc = pack_find_seq(self->reads[READER_BLOCKS_BEFORE], block, &packed);
    if (rc == OM_OK) {
        *floor = block;
        *id = packed.task.change.task.id;
    }
    sqlite3_reset(self->reads[READER_BLOCKS_BEFORE]);
    return rc == OM_ENOTFOUND ? OM_EDB : rc;
}

enum om_rc
sqlite_list(struct sqlite_store *self, struct read *read)
{
    int64_t before, floor = 0;
    struct om_uuid cut = { 0 };
    enum om_rc rc = find_after(self, read, &before);
    if (rc == OM_OK)
        rc = find_floor(self, read, before, &floor, &cut);
    if (rc != OM_OK)
        return rc;
    read->tasks = calloc(read->limit + 1, sizeof(*read->tasks));
    if (!read->tasks)
        return OM_EDB;
    sqlite3_stmt *rows = list_rows(self, read);
    sqlite_bind_uuid(rows, 1, &read->tenant);
    sqlite3_bind_int64(rows, 2, before);
    sqlite3_bind_int64(rows, 3, (int64_t)read->limit);
    sqlite3_bind_int64(rows, 4, read->state);
    sqlite_bind_str(rows, 5, read->queue);
    sqlite_bind_str(rows, 6, read->task_kind);
    sqlite_bind_str(rows, 7, read->code);
    sqlite3_bind_int64(rows, 8, floor);

    struct pack_walk walk = { 0 };
    bool packed = lists_packed(read);
    if (packed) {
        pack_walk_begin(&walk, self->reads[READER_BLOCKS_OF_TENANT], &read->tenant,
                        before);
        packed = next_match(&walk, read, floor);
    }
    rc = merge_lists(self, read, rows, packed ? &walk : NULL, floor);
    if (floor > 0 && read->count < read->limit)
        read->cut = cut;
    sqlite3_reset(rows);
    sqlite3_reset(self->reads[READER_BLOCKS_OF_TENANT]);
    return rc == OM_OK ? walk.rc : rc;
}
