#include <stdlib.h>

#include "sqlite.h"

// ---- counters

static enum om_rc
load_seq(struct sqlite_store *self, const struct store_loader *loader)
{
    int64_t seq = 0;
    sqlite3_stmt *meta = self->reads[READER_LOAD_META];
    sqlite_bind_str(meta, 1, OM_LIT("task_seq"));
    if (sqlite3_step(meta) == SQLITE_ROW)
        seq = sqlite3_column_int64(meta, 0);
    sqlite3_reset(meta);
    sqlite3_stmt *last = self->reads[READER_LOAD_TASK_SEQ];
    int code = sqlite3_step(last);
    if (code == SQLITE_ROW && sqlite3_column_int64(last, 0) > seq)
        seq = sqlite3_column_int64(last, 0);
    sqlite3_reset(last);
    loader->task_seq(loader->context, seq);
    return code == SQLITE_ROW ? OM_OK : OM_EDB;
}

// A lane is the events of one topic in one shard.
static int
newest_of_lane(struct sqlite_store *self, int64_t shard, struct om_str topic,
               int64_t *seq)
{
    sqlite3_stmt *last = self->reads[READER_LAST_OF_LANE];
    sqlite3_bind_int64(last, 1, shard);
    sqlite_bind_str(last, 2, topic);
    int code = sqlite3_step(last);
    if (code == SQLITE_ROW && sqlite3_column_int64(last, 0) > *seq)
        *seq = sqlite3_column_int64(last, 0);
    sqlite3_reset(last);
    return code;
}

enum om_rc
sqlite_load_shards(struct sqlite_store *self, const struct store_loader *loader)
{
    int64_t newest[OM_SHARD_COUNT] = { 0 };
    sqlite3_stmt *floors = self->reads[READER_LOAD_SHARDS];
    int code;
    while ((code = sqlite3_step(floors)) == SQLITE_ROW)
        newest[sqlite3_column_int(floors, 0) & 0xff] = sqlite3_column_int64(floors, 1);
    sqlite3_reset(floors);

    int64_t shard = -1;
    char topic[64];
    size_t topic_size = 0;
    sqlite3_stmt *next = self->reads[READER_NEXT_LANE];
    while (code == SQLITE_DONE || code == SQLITE_ROW) {
        sqlite3_bind_int64(next, 1, shard);
        sqlite_bind_str(next, 2, (struct om_str){ topic, topic_size });
        code = sqlite3_step(next);
        if (code != SQLITE_ROW)
            break;
        shard = sqlite3_column_int64(next, 0);
        struct om_str found = sqlite_str(next, 1);
        if (found.size > sizeof(topic)) {
            code = SQLITE_CORRUPT;
            break;
        }
        topic_size = found.size;
        memcpy(topic, found.data, topic_size);
        sqlite3_reset(next);
        code = newest_of_lane(self, shard, (struct om_str){ topic, topic_size },
                              &newest[shard & 0xff]);
    }
    sqlite3_reset(next);
    for (int i = 0; i < OM_SHARD_COUNT; i++)
        if (newest[i])
            loader->shard(loader->context, (uint8_t)i, newest[i]);
    return code == SQLITE_DONE ? OM_OK : OM_EDB;
}

static enum om_rc
load_cursors(struct sqlite_store *self, const struct store_loader *loader)
{
    sqlite3_stmt *cursors = self->reads[READER_LOAD_CURSORS];
    int code;
    while ((code = sqlite3_step(cursors)) == SQLITE_ROW) {
        const struct queue_info *queue = queue_find(sqlite_str(cursors, 0));
        for (unsigned i = 0; queue && i < SUBSCRIPTION_COUNT; i++)
            if (&queues[subscriptions[i].queue] == queue)
                loader->cursor(loader->context, i,
                               (uint8_t)sqlite3_column_int(cursors, 1),
                               sqlite3_column_int64(cursors, 2));
    }
    sqlite3_reset(cursors);
    return code == SQLITE_DONE ? OM_OK : OM_EDB;
}

static enum om_rc
load_settings(struct sqlite_store *self, const struct store_loader *loader)
{
    if (!loader->setting)
        return OM_OK;
    sqlite3_stmt *row = self->reads[READER_LOAD_SETTINGS];
    int code;
    while ((code = sqlite3_step(row)) == SQLITE_ROW) {
        struct change_setting setting = {
            .tenant = sqlite_uuid(row, 0),
            .scope = (enum setting_scope)sqlite3_column_int64(row, 1),
            .name = sqlite_str(row, 2),
            .weight = sqlite3_column_int64(row, 3),
            .concurrency = sqlite3_column_int64(row, 4),
            .rate = sqlite3_column_int64(row, 5),
            .rate_ms = sqlite3_column_int64(row, 6),
            .paused = sqlite3_column_int64(row, 7) != 0,
            .purge_seq = sqlite3_column_int64(row, 8),
        };
        loader->setting(loader->context, &setting);
    }
    sqlite3_reset(row);
    return code == SQLITE_DONE ? OM_OK : OM_EDB;
}

static enum om_rc
load_starts(struct sqlite_store *self, const struct store_loader *loader)
{
    if (!loader->start)
        return OM_OK;
    sqlite3_stmt *row = self->reads[READER_LOAD_STARTS];
    int code;
    while ((code = sqlite3_step(row)) == SQLITE_ROW) {
        struct change_start start = {
            .tenant = sqlite_uuid(row, 0),
            .scope = (enum setting_scope)sqlite3_column_int64(row, 1),
            .name = sqlite_str(row, 2),
            .at_ms = sqlite3_column_int64(row, 3),
            .count = sqlite3_column_int64(row, 4),
            .until_ms = sqlite3_column_int64(row, 5),
        };
        loader->start(loader->context, &start);
    }
    sqlite3_reset(row);
    return code == SQLITE_DONE ? OM_OK : OM_EDB;
}

// ---- open tasks

static enum om_rc
load_task(struct sqlite_store *self, int64_t seq, const struct store_loader *loader)
{
    OM_AUTO(read_destroy) struct read *keeper = calloc(1, sizeof(*keeper));
    if (!keeper)
        return OM_EDB;
    struct stored_task task;
    sqlite3_stmt *row = self->reads[READER_TASK_OF_SEQ];
    sqlite3_bind_int64(row, 1, seq);
    enum om_rc rc = OM_EDB;
    if (sqlite3_step(row) == SQLITE_ROW) {
        sqlite_task(row, &task);
        rc = sqlite_fold(self, keeper, &task);
        if (rc == OM_OK)
            rc = sqlite_fold_parents(self, &task);
        if (rc == OM_OK)
            rc = sqlite_fold_chunks(self, &task);
        if (rc == OM_OK)
            rc = loader->task(loader->context, &task);
    }
    sqlite3_reset(row);
    return rc;
}

static enum om_rc
load_waiting(sqlite3_stmt *row, const struct store_loader *loader)
{
    struct stored_waiting task = {
        .seq = sqlite3_column_int64(row, 0),
        .tenant = sqlite_uuid(row, 1),
        .queue = sqlite_str(row, 2),
        .limit_key = sqlite_str(row, 3),
        .priority = (uint8_t)sqlite3_column_int64(row, 4),
        .created_ms = sqlite3_column_int64(row, 5),
        .due_ms = sqlite3_column_int64(row, 6),
        .expires_ms = sqlite3_column_int64(row, 7),
    };
    return loader->waiting(loader->context, &task);
}

static enum om_rc
load_open(struct sqlite_store *self, const struct store_loader *loader)
{
    sqlite3_stmt *row = self->reads[READER_LOAD_OPEN];
    enum om_rc rc = OM_OK;
    int code = SQLITE_DONE;
    while (rc == OM_OK && (code = sqlite3_step(row)) == SQLITE_ROW) {
        bool waiting = sqlite3_column_int64(row, 8) & SQLITE_OPEN_WAITING;
        rc = waiting && loader->waiting
                 ? load_waiting(row, loader)
                 : load_task(self, sqlite3_column_int64(row, 0), loader);
    }
    sqlite3_reset(row);
    return rc == OM_OK && code != SQLITE_DONE ? OM_EDB : rc;
}

enum om_rc
sqlite_load(struct sqlite_store *self, const struct store_loader *loader)
{
    static enum om_rc (*const steps[])(struct sqlite_store *,
                                       const struct store_loader *) = {
        load_seq, sqlite_load_shards, load_cursors, load_settings, load_starts, load_open,
    };
    pthread_mutex_lock(&self->reading);
    enum om_rc rc = sqlite_run(self->reads[READER_BEGIN]) == SQLITE_DONE ? OM_OK : OM_EDB;
    for (size_t i = 0; i < OM_COUNT(steps) && rc == OM_OK; i++)
        rc = steps[i](self, loader);
    sqlite_run(self->reads[READER_END]);
    pthread_mutex_unlock(&self->reading);
    return rc;
}
