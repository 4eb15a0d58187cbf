#include <fcntl.h>

#include "clock.h"
#include "metrics.h"
#include "sqlite.h"
#include "store_stats.h"

enum { MUCH = 10 }; // times the usual log: then a checkpoint no reader is in the way of

enum om_rc
sqlite_begin(struct sqlite_store *self)
{
    if (self->broken)
        return OM_EINTERNAL;
    int code = sqlite_run(self->writes[WRITER_BEGIN]);
    return code == SQLITE_DONE ? OM_OK : sqlite_rc(self->writer, code);
}

static enum om_rc
roll_back(struct sqlite_store *self, enum om_rc rc)
{
    // Some failures have ended the transaction already.
    if (!sqlite3_get_autocommit(self->writer))
        sqlite_run(self->writes[WRITER_ROLLBACK]);
    self->broken = !sqlite3_get_autocommit(self->writer);
    return self->broken ? OM_EINTERNAL : rc;
}

enum om_rc
sqlite_end(struct sqlite_store *self, int code)
{
    if (code != SQLITE_OK && code != SQLITE_DONE)
        return roll_back(self, sqlite_rc(self->writer, code));
    code = sqlite_run(self->writes[WRITER_COMMIT]);
    if (code == SQLITE_DONE)
        return OM_OK;

    // A full disk stops the log before the frame that commits. After any other failure,
    // above all of fsync, nobody knows what is on the disk.
    if ((code & 0xff) == SQLITE_FULL)
        return roll_back(self, OM_ENOSPACE);
    self->broken = true;
    return OM_EINTERNAL;
}

enum om_rc
sqlite_sync_each(struct sqlite_store *self, bool each)
{
    int code = sqlite3_exec(
        self->writer, each ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL",
        NULL, NULL, NULL);
    return code == SQLITE_OK ? OM_OK : sqlite_rc(self->writer, code);
}

// ---- rows

int
sqlite_write_seq(struct sqlite_store *self, enum sqlite_writer statement, int64_t seq)
{
    sqlite3_bind_int64(self->writes[statement], 1, seq);
    return sqlite_run(self->writes[statement]);
}

static int
hold_key(struct sqlite_store *self, const struct change_task *task)
{
    sqlite3_stmt *stmt = self->writes[WRITER_HOLD_KEY];
    sqlite_bind_uuid(stmt, 1, &task->tenant);
    sqlite_bind_str(stmt, 2, task->unique_key);
    sqlite3_bind_int64(stmt, 3, task->seq);
    sqlite3_bind_int64(stmt, 4, task->unique_until_ms);
    return sqlite_run(stmt);
}

static int
add_retain(struct sqlite_store *self, const struct change_task *task)
{
    sqlite3_stmt *stmt = self->writes[WRITER_ADD_RETAIN];
    sqlite3_bind_int64(stmt, 1, task->seq);
    sqlite3_bind_int64(stmt, 2, task->retain_ms);
    return sqlite_run(stmt);
}

int
sqlite_write_names(struct sqlite_store *self, const struct change_task *task)
{
    int code = SQLITE_DONE;
    if (task->unique_key.data)
        code = hold_key(self, task);
    if (code == SQLITE_DONE && task->retain_ms)
        code = add_retain(self, task);
    return code;
}

int
sqlite_write_open(struct sqlite_store *self, const struct change_task *task, bool marked)
{
    sqlite3_stmt *stmt = self->writes[WRITER_ADD_OPEN];
    sqlite3_bind_int64(stmt, 1, task->seq);
    sqlite_bind_uuid(stmt, 2, &task->tenant);
    sqlite_bind_str(stmt, 3, task->queue);
    sqlite3_bind_int64(stmt, 4, task->priority);
    sqlite3_bind_int64(stmt, 5, task->created_ms);
    sqlite3_bind_int64(stmt, 6, task->due_ms);
    sqlite3_bind_int64(stmt, 7, task->expires_ms);
    sqlite_bind_str(stmt, 8, task->limit_key);
    sqlite3_bind_int64(stmt, 9, marked || task->depends ? 0 : SQLITE_OPEN_WAITING);
    return sqlite_run(stmt);
}

int
sqlite_write_mark(struct sqlite_store *self, const struct change_mark *mark)
{
    // A job may be taken and given back any number of times: of those only the last
    // stays, of which the number of the next attempt follows.
    int code = SQLITE_DONE;
    if (mark->kind == MARK_RELEASE)
        code = sqlite_write_seq(self, WRITER_DROP_RELEASED, mark->task_seq);
    if (code != SQLITE_DONE)
        return code;
    // The epoch makes the number rise over restarts too; 2^40 marks are a start's.
    int64_t n = (int64_t)((uint64_t)self->epoch << 40 | self->marks++);
    sqlite3_stmt *stmt = self->writes[WRITER_ADD_MARK];
    sqlite3_bind_int64(stmt, 1, mark->task_seq);
    sqlite3_bind_int64(stmt, 2, n);
    sqlite3_bind_int64(stmt, 3, mark->kind);
    sqlite3_bind_int64(stmt, 4, mark->at_ms);
    sqlite3_bind_int64(stmt, 5, mark->due_ms);
    sqlite3_bind_int64(stmt, 6, mark->token.attempt);
    sqlite3_bind_int64(stmt, 7, mark->token.epoch);
    sqlite3_bind_int64(stmt, 8, (int64_t)mark->token.lease);
    sqlite_bind_str(stmt, 9, mark->node);
    sqlite_bind_str(stmt, 10, mark->code);
    sqlite_bind_str(stmt, 11, mark->text);
    return sqlite_run(stmt);
}

int
sqlite_write_result(struct sqlite_store *self, const struct change_result *result)
{
    sqlite3_stmt *stmt = self->writes[WRITER_ADD_RESULT];
    sqlite3_bind_int64(stmt, 1, result->task_seq);
    sqlite3_bind_int64(stmt, 2, result->state);
    sqlite3_bind_int64(stmt, 3, result->attempts);
    sqlite3_bind_int64(stmt, 4, result->lost);
    sqlite3_bind_int64(stmt, 5, result->started_ms);
    sqlite3_bind_int64(stmt, 6, result->finished_ms);
    sqlite_bind_str(stmt, 7, result->code);
    sqlite_bind_str(stmt, 8, result->text);
    sqlite_bind_str(stmt, 9, result->ctype);
    sqlite_bind_blob(stmt, 10,
                     result->payload ? result->payload->bytes : (struct om_str){ 0 });
    return sqlite_run(stmt);
}

int
sqlite_write_cursor(struct sqlite_store *self, const struct change_cursor *cursor)
{
    enum queue queue = subscriptions[cursor->subscription].queue;
    sqlite3_stmt *stmt = self->writes[WRITER_SET_CURSOR];
    sqlite_bind_str(stmt, 1, om_str(queues[queue].name));
    sqlite3_bind_int64(stmt, 2, cursor->shard);
    sqlite3_bind_int64(stmt, 3, cursor->seq);
    return sqlite_run(stmt);
}

int
sqlite_write_setting(struct sqlite_store *self, const struct change_setting *set)
{
    bool any =
        set->weight || set->concurrency || set->rate || set->paused || set->purge_seq;
    sqlite3_stmt *stmt = self->writes[any ? WRITER_SET_SETTING : WRITER_DROP_SETTING];
    sqlite_bind_uuid(stmt, 1, &set->tenant);
    sqlite3_bind_int64(stmt, 2, set->scope);
    sqlite_bind_str(stmt, 3, set->name.data ? set->name : OM_LIT(""));
    if (!any)
        return sqlite_run(stmt);
    sqlite3_bind_int64(stmt, 4, set->weight);
    sqlite3_bind_int64(stmt, 5, set->concurrency);
    sqlite3_bind_int64(stmt, 6, set->rate);
    sqlite3_bind_int64(stmt, 7, set->rate_ms);
    sqlite3_bind_int64(stmt, 8, set->paused);
    sqlite3_bind_int64(stmt, 9, set->purge_seq);
    return sqlite_run(stmt);
}

int
sqlite_write_start(struct sqlite_store *self, const struct change_start *start)
{
    sqlite3_stmt *stmt = self->writes[WRITER_ADD_START];
    sqlite_bind_uuid(stmt, 1, &start->tenant);
    sqlite3_bind_int64(stmt, 2, start->scope);
    sqlite_bind_str(stmt, 3, start->name.data ? start->name : OM_LIT(""));
    sqlite3_bind_int64(stmt, 4, start->at_ms);
    sqlite3_bind_int64(stmt, 5, start->count);
    sqlite3_bind_int64(stmt, 6, start->until_ms);
    return sqlite_run(stmt);
}

int
sqlite_write_shard(struct sqlite_store *self, int64_t shard, int64_t seq)
{
    sqlite3_stmt *stmt = self->writes[WRITER_KEEP_SHARD_SEQ];
    sqlite3_bind_int64(stmt, 1, shard);
    sqlite3_bind_int64(stmt, 2, seq);
    return sqlite_run(stmt);
}

int
sqlite_write_chunk(struct sqlite_store *self, const struct change_chunk *chunk)
{
    sqlite3_stmt *stmt = self->writes[WRITER_ADD_CHUNK];
    sqlite3_bind_int64(stmt, 1, chunk->task_seq);
    sqlite3_bind_int64(stmt, 2, chunk->seq);
    sqlite3_bind_int64(stmt, 3, chunk->attempt);
    sqlite_bind_str(stmt, 4, chunk->ctype);
    sqlite_bind_blob(stmt, 5,
                     chunk->payload ? chunk->payload->bytes : (struct om_str){ 0 });
    sqlite3_bind_int64(stmt, 6, chunk->worker_seq);
    return sqlite_run(stmt);
}

// ---- the log

void
sqlite_write_behind(struct sqlite_store *self)
{
    if (self->log_fd >= 0)
        sync_file_range(self->log_fd, 0, 0, SYNC_FILE_RANGE_WRITE);
}

// Remove the files of which no block is needed any more, as is durable.
static void
drop_empty_files(struct sqlite_store *self)
{
    sqlite3_stmt *stmt = self->writes[WRITER_EMPTY_FILE];
    int code = SQLITE_DONE;
    for (int64_t file = 1; file && code == SQLITE_DONE;) {
        sqlite3_bind_int64(stmt, 1, pack_files_current(self->packs));
        file = sqlite3_step(stmt) == SQLITE_ROW ? sqlite3_column_int64(stmt, 0) : 0;
        sqlite3_reset(stmt);
        if (file) {
            pack_files_remove(self->packs, file);
            code = sqlite_write_seq(self, WRITER_DROP_FILE, file);
        }
    }
    self->packs_emptied = false;
}

void
sqlite_checkpoint(struct sqlite_store *self, bool due)
{
    if (self->wal_frames < self->log_pages)
        self->checkpoint_at = self->log_pages; // the log was begun anew
    due = due || self->packs_emptied;
    if (self->broken || (!due && self->wal_frames < self->checkpoint_at))
        return;

    // A log whose end a reader still needs is not begun anew but grows: wait for the
    // reader.
    bool much = self->wal_frames >= MUCH * self->log_pages;
    int frames = 0, done = 0;
    int64_t began_us = om_clock_mono_us();
    if (much)
        pthread_mutex_lock(&self->reading);
    int code = sqlite3_wal_checkpoint_v2(self->writer, NULL, SQLITE_CHECKPOINT_PASSIVE,
                                         &frames, &done);
    if (much)
        pthread_mutex_unlock(&self->reading);
    om_metric_observe(store_stats.checkpoints, om_clock_mono_us() - began_us, NULL);

    // A part may have been moved without a sync; all of it not.
    bool whole = code == SQLITE_OK && done == frames;
    if (whole)
        self->synced = self->applied;

    // Pages that fsync refused may be lost though a later fsync succeeds.
    self->broken = code == SQLITE_IOERR_FSYNC;
    self->checkpoint_at = self->wal_frames + self->log_pages;
    if (whole && self->packs_emptied)
        drop_empty_files(self);
}
