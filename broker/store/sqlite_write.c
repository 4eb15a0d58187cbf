#include "sqlite.h"

enum {
    WAL_FRAMES = 4000,       // 16 MiB: then a checkpoint
    WAL_FRAMES_MUCH = 40000, // then one that no reader is in the way of
};

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

// ---- a batch

// The id was stored before: say where, and the hash it was submitted with.
static int
find_known(struct sqlite_store *self, struct change *change)
{
    sqlite3_stmt *known = self->writes[WRITER_KNOWN_TASK];
    sqlite_bind_uuid(known, 1, &change->task.id);
    int code = sqlite3_step(known);
    if (code == SQLITE_ROW) {
        struct wire_msg header;
        change->duplicate = true;
        change->known_seq = sqlite3_column_int64(known, 0);
        struct om_uuid tenant = sqlite_uuid(known, 2);
        change->known_foreign = !om_uuid_eq(&tenant, &change->task.tenant);
        memset(change->known_hash, 0, sizeof(change->known_hash));
        if (rec_decode(&wire_msg_rec, sqlite_str(known, 1), &header, NULL) == OM_OK &&
            WIRE_HAS(&header, hash))
            memcpy(change->known_hash, header.hash.data, sizeof(change->known_hash));
        code = SQLITE_DONE;
    } else if (code == SQLITE_DONE) {
        code = SQLITE_CORRUPT; // the index says it is there
    }
    sqlite3_reset(known);
    return code;
}

static int
write_task(struct sqlite_store *self, struct change *change)
{
    struct change_task *task = &change->task;
    sqlite3_stmt *stmt = self->writes[WRITER_ADD_TASK];
    sqlite3_bind_int64(stmt, 1, task->seq);
    sqlite_bind_uuid(stmt, 2, &task->id);
    sqlite_bind_uuid(stmt, 3, &task->tenant);
    sqlite3_bind_int64(stmt, 4, task->created_ms);
    sqlite_bind_str(stmt, 5, task->queue);
    sqlite_bind_str(stmt, 6, task->kind);
    sqlite_bind_blob(stmt, 7, task->header);
    sqlite_bind_blob(stmt, 8,
                     task->payload ? task->payload->bytes : (struct om_str){ 0 });
    change->duplicate = false;
    int code = sqlite_run(stmt);
    if (code == SQLITE_DONE && sqlite3_changes(self->writer) == 0)
        code = find_known(self, change);
    return code;
}

static int
write_mark(struct sqlite_store *self, const struct change_mark *mark)
{
    // The epoch makes the number rise over restarts too; 2^40 marks are a start's.
    int64_t n = (int64_t)((uint64_t)self->base.epoch << 40 | self->marks++);
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

static int
write_result(struct sqlite_store *self, const struct change_result *result)
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

static int
drop_result(struct sqlite_store *self, int64_t task_seq)
{
    sqlite3_stmt *stmt = self->writes[WRITER_DROP_RESULT];
    sqlite3_bind_int64(stmt, 1, task_seq);
    return sqlite_run(stmt);
}

static int
write_event(struct sqlite_store *self, const struct change_event *event)
{
    sqlite3_stmt *stmt = self->writes[WRITER_ADD_EVENT];
    sqlite3_bind_int64(stmt, 1, event->shard);
    sqlite_bind_str(stmt, 2, event->topic);
    sqlite3_bind_int64(stmt, 3, event->seq);
    sqlite_bind_str(stmt, 4, event->id);
    sqlite_bind_uuid(stmt, 5, &event->tenant);
    sqlite3_bind_int64(stmt, 6, event->at_ms);
    sqlite_bind_str(stmt, 7, event->traceparent);
    sqlite_bind_blob(stmt, 8, event->body.data ? event->body : OM_LIT(""));
    return sqlite_run(stmt);
}

static int
write_cursor(struct sqlite_store *self, const struct change_cursor *cursor)
{
    enum queue queue = subscriptions[cursor->subscription].queue;
    sqlite3_stmt *stmt = self->writes[WRITER_SET_CURSOR];
    sqlite_bind_str(stmt, 1, om_str(queues[queue].name));
    sqlite3_bind_int64(stmt, 2, cursor->shard);
    sqlite3_bind_int64(stmt, 3, cursor->seq);
    return sqlite_run(stmt);
}

// Was this task refused as a duplicate, earlier in the batch?
static bool
refused(const struct batch *batch, size_t before, int64_t task_seq)
{
    for (size_t i = 0; i < before; i++) {
        const struct change *change = &batch->changes[i];
        if (change->kind == CHANGE_TASK && change->duplicate &&
            change->task.seq == task_seq)
            return true;
    }
    return false;
}

static int
write_change(struct sqlite_store *self, struct change *change)
{
    switch (change->kind) {
    case CHANGE_NONE:
        return SQLITE_DONE;
    case CHANGE_TASK:
        return write_task(self, change);
    case CHANGE_MARK:
        return write_mark(self, &change->mark);
    case CHANGE_RESULT:
        return write_result(self, &change->result);
    case CHANGE_REOPEN:
        return drop_result(self, change->reopen_seq);
    case CHANGE_EVENT:
        return write_event(self, &change->event);
    case CHANGE_CURSOR:
        return write_cursor(self, &change->cursor);
    case CHANGE_SETTING:
    case CHANGE_START:
    case CHANGE_CHUNK:
        break; // the core makes none yet
    }
    return SQLITE_MISUSE;
}

enum om_rc
sqlite_commit(struct store *store, struct batch *batch)
{
    struct sqlite_store *self = (struct sqlite_store *)store;
    enum om_rc rc = sqlite_begin(self);
    if (rc != OM_OK)
        return rc;

    int code = SQLITE_DONE;
    bool duplicates = false;
    for (size_t i = 0; i < batch->count && code == SQLITE_DONE; i++) {
        struct change *change = &batch->changes[i];
        int64_t task_seq = change->kind == CHANGE_MARK     ? change->mark.task_seq
                           : change->kind == CHANGE_RESULT ? change->result.task_seq
                                                           : 0;
        if (duplicates && task_seq && refused(batch, i, task_seq))
            continue;
        code = write_change(self, change);
        duplicates = duplicates || (change->kind == CHANGE_TASK && change->duplicate);
    }
    return sqlite_end(self, code);
}

// ---- the log

void
sqlite_checkpoint(struct store *store)
{
    struct sqlite_store *self = (struct sqlite_store *)store;
    if (self->wal_frames < WAL_FRAMES)
        self->checkpoint_at = WAL_FRAMES; // the log was begun anew
    if (self->broken || self->wal_frames < self->checkpoint_at)
        return;

    // A log whose end a reader still needs is not begun anew but grows: wait for the
    // reader.
    bool much = self->wal_frames >= WAL_FRAMES_MUCH;
    if (much)
        pthread_mutex_lock(&self->reading);
    int code = sqlite3_wal_checkpoint_v2(self->writer, NULL, SQLITE_CHECKPOINT_PASSIVE,
                                         NULL, NULL);
    if (much)
        pthread_mutex_unlock(&self->reading);

    // Pages that fsync refused may be lost though a later fsync succeeds.
    self->broken = code == SQLITE_IOERR_FSYNC;
    self->checkpoint_at = self->wal_frames + WAL_FRAMES;
}
