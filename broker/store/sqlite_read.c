#include <stdlib.h>

#include "sqlite.h"

enum { RUN_BYTES_MAX = 900 * 1024 }; // of an event run, below WIRE_PAYLOAD_MAX

// ---- rows

void
sqlite_task(sqlite3_stmt *row, struct stored_task *task)
{
    *task = (struct stored_task){
        .seq = sqlite3_column_int64(row, 0),
        .id = sqlite_uuid(row, 1),
        .tenant = sqlite_uuid(row, 2),
        .queue = sqlite_str(row, 3),
        .kind = sqlite_str(row, 4),
        .header = sqlite_str(row, 5),
        .created_ms = sqlite3_column_int64(row, 6),
        .state = (enum task_state)sqlite3_column_int64(row, 7), // NULL reads as 0
        .attempts = sqlite3_column_int64(row, 8),
        .lost = sqlite3_column_int64(row, 9),
        .started_ms = sqlite3_column_int64(row, 10),
        .finished_ms = sqlite3_column_int64(row, 11),
        .code = sqlite_str(row, 12),
        .text = sqlite_str(row, 13),
        .ctype = sqlite_str(row, 14),
    };
}

static void
read_mark(sqlite3_stmt *row, const struct stored_task *task, struct change_mark *mark)
{
    *mark = (struct change_mark){
        .task_seq = task->seq,
        .kind = (enum mark_kind)sqlite3_column_int64(row, 0),
        .at_ms = sqlite3_column_int64(row, 1),
        .due_ms = sqlite3_column_int64(row, 2),
        .token = { task->id, (uint32_t)sqlite3_column_int64(row, 3),
                   (uint32_t)sqlite3_column_int64(row, 4),
                   (uint64_t)sqlite3_column_int64(row, 5) },
        .node = sqlite_str(row, 6),
        .code = sqlite_str(row, 7),
        .text = sqlite_str(row, 8),
    };
}

enum om_rc
sqlite_fold(sqlite3_stmt *marks, struct read *keeper, struct stored_task *task)
{
    if (task->state != STATE_NONE)
        return OM_OK;
    sqlite3_bind_int64(marks, 1, task->seq);
    bool kept = true;
    int code;
    while (kept && (code = sqlite3_step(marks)) == SQLITE_ROW) {
        struct change_mark mark;
        read_mark(marks, task, &mark);
        kept = read_keep(keeper, &mark.node) && read_keep(keeper, &mark.code) &&
               read_keep(keeper, &mark.text);
        stored_task_mark(task, &mark);
    }
    sqlite3_reset(marks);
    return kept && code == SQLITE_DONE ? OM_OK : OM_EDB;
}

// ---- loading

static enum om_rc
load_seq(struct sqlite_store *self, const struct store_loader *loader)
{
    int64_t seq = 0;
    sqlite3_stmt *meta = self->writes[WRITER_LOAD_META];
    sqlite_bind_str(meta, 1, OM_LIT("task_seq"));
    if (sqlite3_step(meta) == SQLITE_ROW)
        seq = sqlite3_column_int64(meta, 0);
    sqlite3_reset(meta);
    sqlite3_stmt *last = self->writes[WRITER_LOAD_TASK_SEQ];
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
    sqlite3_stmt *last = self->writes[WRITER_LAST_OF_LANE];
    sqlite3_bind_int64(last, 1, shard);
    sqlite_bind_str(last, 2, topic);
    int code = sqlite3_step(last);
    if (code == SQLITE_ROW && sqlite3_column_int64(last, 0) > *seq)
        *seq = sqlite3_column_int64(last, 0);
    sqlite3_reset(last);
    return code;
}

static enum om_rc
load_shards(struct sqlite_store *self, const struct store_loader *loader)
{
    int64_t newest[OM_SHARD_COUNT] = { 0 };
    sqlite3_stmt *floors = self->writes[WRITER_LOAD_SHARDS];
    int code;
    while ((code = sqlite3_step(floors)) == SQLITE_ROW)
        newest[sqlite3_column_int(floors, 0) & 0xff] = sqlite3_column_int64(floors, 1);
    sqlite3_reset(floors);

    int64_t shard = -1;
    char topic[64];
    size_t topic_size = 0;
    sqlite3_stmt *next = self->writes[WRITER_NEXT_LANE];
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
    sqlite3_stmt *cursors = self->writes[WRITER_LOAD_CURSORS];
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
load_task(struct sqlite_store *self, sqlite3_stmt *row, const struct store_loader *loader)
{
    struct stored_task task;
    sqlite_task(row, &task);
    OM_AUTO(read_destroy) struct read *keeper = calloc(1, sizeof(*keeper));
    if (!keeper)
        return OM_EDB;
    enum om_rc rc = sqlite_fold(self->writes[WRITER_LOAD_MARKS], keeper, &task);
    return rc == OM_OK ? loader->task(loader->context, &task) : rc;
}

enum om_rc
sqlite_load(struct store *store, const struct store_loader *loader)
{
    struct sqlite_store *self = (struct sqlite_store *)store;
    enum om_rc rc = load_seq(self, loader);
    if (rc == OM_OK)
        rc = load_shards(self, loader);
    if (rc == OM_OK)
        rc = load_cursors(self, loader);

    sqlite3_stmt *tasks = self->writes[WRITER_LOAD_TASKS];
    int code = SQLITE_DONE;
    while (rc == OM_OK && (code = sqlite3_step(tasks)) == SQLITE_ROW)
        rc = load_task(self, tasks, loader);
    sqlite3_reset(tasks);
    return rc == OM_OK && code != SQLITE_DONE ? OM_EDB : rc;
}

// ---- reads

// Finish a task of an answer: fold its marks and take its strings out of the row.
static enum om_rc
keep_task(struct sqlite_store *self, struct read *read, struct stored_task *task)
{
    bool kept = read_keep(read, &task->queue) && read_keep(read, &task->kind) &&
                read_keep(read, &task->header) && read_keep(read, &task->code) &&
                read_keep(read, &task->text) && read_keep(read, &task->ctype);
    return kept ? sqlite_fold(self->reads[READER_MARKS], read, task) : OM_EDB;
}

static enum om_rc
answer_task(struct sqlite_store *self, struct read *read)
{
    read->tasks = calloc(1, sizeof(*read->tasks));
    if (!read->tasks)
        return OM_EDB;
    sqlite3_stmt *row = self->reads[READER_TASK];
    sqlite_bind_uuid(row, 1, &read->id);
    sqlite_bind_uuid(row, 2, &read->tenant);
    int code = sqlite3_step(row);
    enum om_rc rc = code == SQLITE_DONE ? OM_ENOTFOUND : OM_EDB;
    if (code == SQLITE_ROW) {
        sqlite_task(row, read->tasks);
        rc = keep_task(self, read, read->tasks);
        struct om_str payload = sqlite_str(row, 15);
        if (rc == OM_OK && payload.data) {
            read->payload = payload_copy(payload);
            rc = read->payload ? OM_OK : OM_EDB;
        }
        read->count = 1;
    }
    sqlite3_reset(row);
    return rc;
}

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
    return code == SQLITE_ROW ? OM_OK : code == SQLITE_DONE ? OM_ENOTFOUND : OM_EDB;
}

static enum om_rc
answer_list(struct sqlite_store *self, struct read *read)
{
    int64_t before;
    enum om_rc rc = find_after(self, read, &before);
    if (rc != OM_OK)
        return rc;
    read->tasks = calloc(read->limit + 1, sizeof(*read->tasks));
    if (!read->tasks)
        return OM_EDB;
    sqlite3_stmt *rows =
        self->reads[read->state == STATE_NONE        ? READER_LIST_ALL
                    : read->state == STATE_SUCCEEDED ? READER_LIST_SUCCEEDED
                                                     : READER_LIST_STATE];
    sqlite_bind_uuid(rows, 1, &read->tenant);
    sqlite3_bind_int64(rows, 2, before);
    sqlite3_bind_int64(rows, 3, (int64_t)read->limit);
    if (sqlite3_bind_parameter_count(rows) == 4)
        sqlite3_bind_int64(rows, 4, read->state);

    int code = SQLITE_DONE;
    while (rc == OM_OK && (code = sqlite3_step(rows)) == SQLITE_ROW) {
        sqlite_task(rows, &read->tasks[read->count]);
        rc = keep_task(self, read, &read->tasks[read->count++]);
    }
    sqlite3_reset(rows);
    return rc == OM_OK && code != SQLITE_DONE ? OM_EDB : rc;
}

static enum om_rc
answer_payload(struct sqlite_store *self, struct read *read)
{
    sqlite3_stmt *row = self->reads[READER_PAYLOAD];
    sqlite3_bind_int64(row, 1, read->seq);
    int code = sqlite3_step(row);
    enum om_rc rc = code == SQLITE_DONE ? OM_ENOTFOUND : OM_EDB;
    if (code == SQLITE_ROW) {
        struct om_str payload = sqlite_str(row, 0);
        read->payload = payload_copy(payload);
        rc = read->payload ? OM_OK : OM_EDB;
    }
    sqlite3_reset(row);
    return rc;
}

static void
encode_event(sqlite3_stmt *row, struct om_str topic, struct om_buf *buf)
{
    char tenant[OM_TYPEID_MAX];
    struct om_uuid id = sqlite_uuid(row, 2);
    size_t tenant_size = om_typeid_encode(OM_ID_TENANT, &id, tenant);
    struct wire_logged event = { 0 };
    REC_SET(&event, wire_logged, seq, sqlite3_column_int64(row, 0));
    REC_SET(&event, wire_logged, topic, topic);
    REC_SET(&event, wire_logged, id, sqlite_str(row, 1));
    REC_SET(&event, wire_logged, tenant, ((struct om_str){ tenant, tenant_size }));
    REC_SET(&event, wire_logged, at, sqlite3_column_int64(row, 3));
    REC_SET(&event, wire_logged, body, sqlite_str(row, 4));
    struct om_str traceparent = sqlite_str(row, 5);
    if (traceparent.data)
        REC_SET(&event, wire_logged, traceparent, traceparent);
    rec_encode(&wire_logged_rec, &event, buf);
}

static enum om_rc
answer_events(struct sqlite_store *self, struct read *read)
{
    OM_AUTO(om_buf_finish) struct om_buf events = { 0 };
    OM_AUTO(om_buf_finish) struct om_buf run = { 0 };
    sqlite3_stmt *rows = self->reads[READER_EVENTS];
    sqlite3_bind_int64(rows, 1, read->shard);
    sqlite_bind_str(rows, 2, om_str(read->topic));
    sqlite3_bind_int64(rows, 3, read->seq);
    sqlite3_bind_int64(rows, 4, (int64_t)read->limit);
    read->last_seq = read->seq;
    int code;
    while ((code = sqlite3_step(rows)) == SQLITE_ROW) {
        size_t before = events.size;
        encode_event(rows, om_str(read->topic), &events);
        if (events.size > RUN_BYTES_MAX && read->count > 0) {
            events.size = before;
            code = SQLITE_DONE;
            break;
        }
        read->last_seq = sqlite3_column_int64(rows, 0);
        read->count++;
    }
    sqlite3_reset(rows);
    om_pack_array(&run, read->count);
    om_buf_put(&run, events.data, events.size);
    if (code != SQLITE_DONE || events.failed || run.failed)
        return OM_EDB;
    read->payload = payload_copy(om_buf_str(&run));
    return read->payload ? OM_OK : OM_EDB;
}

void
sqlite_read(struct store *store, struct read *read)
{
    struct sqlite_store *self = (struct sqlite_store *)store;
    static enum om_rc (*const answers[])(struct sqlite_store *, struct read *) = {
        [READ_TASK] = answer_task,
        [READ_LIST] = answer_list,
        [READ_PAYLOAD] = answer_payload,
        [READ_EVENTS] = answer_events,
    };
    pthread_mutex_lock(&self->reading);
    read->rc = OM_EDB;
    if (sqlite_run(self->reads[READER_BEGIN]) == SQLITE_DONE) {
        read->rc = answers[read->kind](self, read);
        sqlite_run(self->reads[READER_END]);
    }
    pthread_mutex_unlock(&self->reading);
}
