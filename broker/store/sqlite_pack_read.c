#include <endian.h>
#include <stdlib.h>

#include "sqlite.h"

// ---- blocks

static void
put_block(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)count;
    struct pack_spot spot = { .file = sqlite3_value_int64(values[0]),
                              .at = sqlite3_value_int64(values[1]),
                              .size = sqlite3_value_int64(values[2]) };
    char *bytes = pack_files_read(sqlite3_user_data(context), &spot);
    if (bytes)
        sqlite3_result_blob64(context, bytes, (sqlite3_uint64)spot.size, free);
    else
        sqlite3_result_error_code(context, SQLITE_IOERR_READ);
}

int
pack_register(sqlite3 *db, struct pack_files *files)
{
    return sqlite3_create_function(db, "pack_block", 3, SQLITE_UTF8, files, put_block,
                                   NULL, NULL);
}

bool
pack_next(struct om_str *block, struct packed *out)
{
    struct om_str rest = *block, task, result;
    if (!journal_next(&rest, &task) || !journal_next(&rest, &result) ||
        journal_decode(task, &out->task) != OM_OK ||
        journal_decode(result, &out->result) != OM_OK ||
        out->task.change.kind != CHANGE_TASK || out->result.change.kind != CHANGE_RESULT)
        return false;
    *block = rest;
    return true;
}

void
pack_task(const struct packed *packed, struct stored_task *out)
{
    const struct change_task *task = &packed->task.change.task;
    const struct change_result *result = &packed->result.change.result;
    *out = (struct stored_task){
        .seq = task->seq,
        .id = task->id,
        .tenant = task->tenant,
        .queue = task->queue,
        .kind = task->kind,
        .header = task->header,
        .created_ms = task->created_ms,
        .state = result->state,
        .attempts = result->attempts,
        .lost = result->lost,
        .started_ms = result->started_ms,
        .finished_ms = result->finished_ms,
        .code = result->code,
        .text = result->text,
        .ctype = result->ctype,
    };
}

// ---- finding

static enum om_rc
find_in_block(struct om_str block, const struct om_uuid *id, int64_t seq,
              struct packed *out)
{
    while (pack_next(&block, out)) {
        const struct change_task *task = &out->task.change.task;
        if (id ? om_uuid_eq(&task->id, id) : task->seq == seq)
            return OM_OK;
    }
    return block.size == 0 ? OM_ENOTFOUND : OM_EDB;
}

// The seq of the block the id is in; 0: it is not among these.
static int64_t
find_place(struct om_str ids, const struct om_uuid *id)
{
    size_t low = 0, high = ids.size / sizeof(struct pack_place);
    while (low < high) {
        size_t middle = (low + high) / 2;
        struct pack_place place;
        memcpy(&place, ids.data + middle * sizeof(place), sizeof(place));
        int order = memcmp(id, &place.id, sizeof(*id));
        if (order == 0)
            return (int64_t)le64toh(place.block);
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return 0;
}

enum om_rc
pack_find(sqlite3_stmt *ids, sqlite3_stmt *block, const struct om_uuid *id,
          struct packed *out)
{
    int64_t seq = 0;
    int code = SQLITE_ROW;
    sqlite3_bind_int64(ids, 1, pack_bucket(id));
    while (seq == 0 && (code = sqlite3_step(ids)) == SQLITE_ROW)
        seq = find_place(sqlite_str(ids, 0), id);
    sqlite3_reset(ids);
    if (seq == 0)
        return code == SQLITE_DONE ? OM_ENOTFOUND : OM_EDB;
    sqlite3_bind_int64(block, 1, seq);
    code = sqlite3_step(block);
    if (code == SQLITE_ROW)
        return find_in_block(sqlite_str(block, 0), id, 0, out);
    return code == SQLITE_DONE ? OM_ENOTFOUND : OM_EDB; // its block was purged
}

enum om_rc
pack_find_seq(sqlite3_stmt *blocks, int64_t seq, struct packed *out)
{
    sqlite3_bind_int64(blocks, 1, seq);
    enum om_rc rc = OM_ENOTFOUND;
    int code = SQLITE_ROW;
    while (rc == OM_ENOTFOUND && (code = sqlite3_step(blocks)) == SQLITE_ROW) {
        // Blocks of several tenants lie across each other, but not those of two windows.
        if (sqlite3_column_int64(blocks, 1) < seq)
            return OM_ENOTFOUND;
        if (sqlite3_column_int64(blocks, 0) >= seq)
            rc = find_in_block(sqlite_str(blocks, 2), NULL, seq, out);
    }
    return code == SQLITE_ROW || code == SQLITE_DONE ? rc : OM_EDB;
}

struct om_uuid
pack_greatest(struct om_str ids)
{
    struct pack_place place = { 0 };
    if (ids.size >= sizeof(place))
        memcpy(&place, ids.data + ids.size - sizeof(place), sizeof(place));
    return place.id;
}

// ---- a tenant's

void
pack_walk_begin(struct pack_walk *self, sqlite3_stmt *blocks,
                const struct om_uuid *tenant, int64_t before)
{
    self->blocks = blocks;
    self->before = before;
    self->left = 0;
    self->rc = OM_OK;
    sqlite_bind_uuid(blocks, 1, tenant);
    sqlite3_bind_int64(blocks, 2, before);
}

// Note where the tasks of the next block are; false at the end.
static bool
next_block(struct pack_walk *self)
{
    int code = sqlite3_step(self->blocks);
    struct om_str result, block = { 0 };
    if (code == SQLITE_ROW)
        block = sqlite_str(self->blocks, 0);
    while (self->left < PACK_TASKS && journal_next(&block, &self->tasks[self->left])) {
        size_t rest = block.size;
        journal_next(&block, &result);
        self->tasks[self->left++].size += rest - block.size;
    }
    bool whole = block.size == 0 && self->left > 0;
    if (code == SQLITE_ROW ? !whole : code != SQLITE_DONE)
        self->rc = OM_EDB;
    return self->rc == OM_OK && code == SQLITE_ROW;
}

bool
pack_walk_next(struct pack_walk *self)
{
    while (self->rc == OM_OK && (self->left > 0 || next_block(self))) {
        struct om_str task = self->tasks[--self->left];
        if (!pack_next(&task, &self->at))
            self->rc = OM_EDB;
        else if (self->at.task.change.task.seq < self->before)
            return true;
    }
    return false;
}
