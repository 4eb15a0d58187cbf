#include <stdlib.h>

#include "context.h"
#include "sqlite.h"

enum {
    RUN_BYTES_MAX = 900 * 1024,   // of an event run, below WIRE_PAYLOAD_MAX
    PARENTS_MAX = 256,            // bits of stored_task.parents_open
    SMALL_BYTES = 8 * 1024,       // a payload that comes with its task
    SMALL_BYTES_MAX = 512 * 1024, // all of them
};

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

// Of an ended task only the tokens count: it may be opened again, and their attempts
// never repeat.
static void
fold_mark(struct stored_task *task, const struct change_mark *mark)
{
    if (task->state == STATE_NONE)
        stored_task_mark(task, mark);
    else if (mark->kind == MARK_LEASE)
        task->token = mark->token;
}

enum om_rc
sqlite_fold(struct sqlite_store *self, struct read *keeper, struct stored_task *task)
{
    if (task->state != STATE_NONE && task->state != STATE_FAILED)
        return OM_OK;
    sqlite3_stmt *marks = self->reads[READER_MARKS];
    sqlite3_bind_int64(marks, 1, task->seq);
    bool kept = true;
    int code;
    while (kept && (code = sqlite3_step(marks)) == SQLITE_ROW) {
        struct change_mark mark;
        read_mark(marks, task, &mark);
        kept = read_keep(keeper, &mark.node) && read_keep(keeper, &mark.code) &&
               read_keep(keeper, &mark.text);
        fold_mark(task, &mark);
    }
    sqlite3_reset(marks);
    return kept && code == SQLITE_DONE ? OM_OK : OM_EDB;
}

// Was the open parent opened again after the task was added? Then it had ended before, as
// far as the task goes: without success.
static enum om_rc
fold_open_parent(struct sqlite_store *self, struct stored_task *task, size_t place,
                 int64_t parent_seq)
{
    sqlite3_stmt *row = self->reads[READER_REOPEN_OF];
    sqlite3_bind_int64(row, 1, parent_seq);
    int code = sqlite3_step(row);
    if (code == SQLITE_ROW && sqlite3_column_int64(row, 0) > task->seq)
        task->parent_failed = true;
    else
        task->parents_open[place / 64] |= UINT64_C(1) << place % 64;
    sqlite3_reset(row);
    return code == SQLITE_ROW || code == SQLITE_DONE ? OM_OK : OM_EDB;
}

// A parent that is not there was purged: it has ended, nobody knows how.
static enum om_rc
fold_parent(struct sqlite_store *self, struct stored_task *task, size_t place,
            const struct om_uuid *parent)
{
    sqlite3_stmt *row = self->reads[READER_STATE_OF];
    sqlite_bind_uuid(row, 1, parent);
    sqlite_bind_uuid(row, 2, &task->tenant);
    int code = sqlite3_step(row);
    enum om_rc rc = code == SQLITE_ROW || code == SQLITE_DONE ? OM_OK : OM_EDB;
    if (code == SQLITE_ROW) {
        enum task_state state = (enum task_state)sqlite3_column_int64(row, 1);
        if (state == STATE_NONE)
            rc = fold_open_parent(self, task, place, sqlite3_column_int64(row, 0));
        else if (state != STATE_SUCCEEDED)
            task->parent_failed = true;
    }
    sqlite3_reset(row);
    return rc;
}

enum om_rc
sqlite_fold_parents(struct sqlite_store *self, struct stored_task *task)
{
    struct wire_msg msg;
    if (task->state != STATE_NONE ||
        rec_decode(&wire_msg_rec, task->header, &msg, NULL) != OM_OK ||
        !WIRE_HAS(&msg, depends_on))
        return OM_OK;
    struct rec_iter iter = rec_iter(msg.depends_on);
    struct om_str text;
    enum om_rc rc = OM_OK;
    for (size_t place = 0;
         rc == OM_OK && place < PARENTS_MAX && rec_next_str(&iter, &text); place++) {
        struct om_uuid parent;
        if (om_typeid_decode(OM_ID_TASK, text, &parent) == OM_OK)
            rc = fold_parent(self, task, place, &parent);
    }
    return rc;
}

enum om_rc
sqlite_fold_chunks(struct sqlite_store *self, struct stored_task *task)
{
    sqlite3_stmt *row = self->reads[READER_CHUNK_TOTALS];
    sqlite3_bind_int64(row, 1, task->seq);
    int code = sqlite3_step(row);
    if (code == SQLITE_ROW) {
        task->chunk_count = sqlite3_column_int64(row, 0);
        task->chunk_bytes = sqlite3_column_int64(row, 1); // NULL reads as 0
        task->chunk_seq = sqlite3_column_int64(row, 2);
        task->chunk_attempt = sqlite3_column_int64(row, 3);
        task->chunk_worker_seq = sqlite3_column_int64(row, 4);
    }
    sqlite3_reset(row);
    return code == SQLITE_ROW ? OM_OK : OM_EDB;
}

// ---- reads

bool
sqlite_keep_strings(struct read *read, struct stored_task *task)
{
    return read_keep(read, &task->queue) && read_keep(read, &task->kind) &&
           read_keep(read, &task->header) && read_keep(read, &task->code) &&
           read_keep(read, &task->text) && read_keep(read, &task->ctype);
}

enum om_rc
sqlite_keep_task(struct sqlite_store *self, struct read *read, struct stored_task *task)
{
    enum om_rc rc =
        sqlite_keep_strings(read, task) ? sqlite_fold(self, read, task) : OM_EDB;
    return rc == OM_OK ? sqlite_fold_chunks(self, task) : rc;
}

static enum om_rc
copy_payload(struct read *read, struct om_str payload)
{
    if (payload.data)
        read->payload = payload_copy(payload);
    return !payload.data || read->payload ? OM_OK : OM_EDB;
}

static enum om_rc
answer_packed(struct sqlite_store *self, struct read *read)
{
    sqlite3_stmt *block = self->reads[READER_BLOCK];
    struct packed packed;
    enum om_rc rc =
        pack_find(self->reads[READER_IDS_OF_BUCKET], block, &read->id, &packed);
    if (rc == OM_OK && !om_uuid_eq(&packed.task.change.task.tenant, &read->tenant))
        rc = OM_ENOTFOUND;
    if (rc == OM_OK) {
        pack_task(&packed, read->tasks);
        read->count = 1;
        const struct payload *result = packed.result.change.result.payload;
        rc = sqlite_keep_strings(read, read->tasks) ? OM_OK : OM_EDB;
        if (rc == OM_OK && result)
            rc = copy_payload(read, result->bytes);
    }
    sqlite3_reset(block);
    return rc;
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
    enum om_rc rc = OM_EDB;
    if (code == SQLITE_ROW) {
        sqlite_task(row, read->tasks);
        rc = sqlite_keep_task(self, read, read->tasks);
        if (rc == OM_OK)
            rc = copy_payload(read, sqlite_str(row, 15));
        read->count = 1;
    }
    sqlite3_reset(row);
    return code == SQLITE_DONE ? answer_packed(self, read) : rc;
}

// Add the task of a row to an answer. One that waits for its first start has nothing else
// to be known of it.
static enum om_rc
add_task(struct sqlite_store *self, struct read *read, sqlite3_stmt *row, size_t *bytes)
{
    struct stored_task *task = &read->tasks[read->count++];
    sqlite_task(row, task);
    struct om_str payload = sqlite_str(row, 16);
    if (payload.data) {
        task->payload = payload_copy(payload);
        *bytes += payload.size;
        if (!task->payload)
            return OM_EDB;
    }
    if (sqlite3_column_int64(row, 15) & SQLITE_OPEN_WAITING)
        return sqlite_keep_strings(read, task) ? OM_OK : OM_EDB;
    enum om_rc rc = sqlite_keep_task(self, read, task);
    return rc == OM_OK ? sqlite_fold_parents(self, task) : rc;
}

static enum om_rc
add_packed(struct sqlite_store *self, struct read *read, int64_t seq)
{
    sqlite3_stmt *blocks = self->reads[READER_BLOCKS_BEFORE];
    struct packed packed;
    enum om_rc rc = pack_find_seq(blocks, seq, &packed);
    if (rc == OM_OK) {
        struct stored_task *task = &read->tasks[read->count++];
        pack_task(&packed, task);
        rc = sqlite_keep_strings(read, task) ? OM_OK : OM_EDB;
    }
    sqlite3_reset(blocks);
    return rc == OM_ENOTFOUND ? OM_OK : rc;
}

static enum om_rc
answer_tasks(struct sqlite_store *self, struct read *read)
{
    read->tasks = calloc(read->seq_count + 1, sizeof(*read->tasks));
    if (!read->tasks)
        return OM_EDB;
    sqlite3_stmt *row = self->reads[READER_TASK_AND_PAYLOAD];
    size_t bytes = 0;
    enum om_rc rc = OM_OK;
    for (size_t i = 0; i < read->seq_count && rc == OM_OK; i++) {
        sqlite3_bind_int64(row, 1, read->seqs[i]);
        sqlite3_bind_int64(row, 2, bytes < SMALL_BYTES_MAX ? SMALL_BYTES : -1);
        int code = sqlite3_step(row);
        if (code == SQLITE_ROW)
            rc = add_task(self, read, row, &bytes);
        else
            rc = code == SQLITE_DONE ? add_packed(self, read, read->seqs[i]) : OM_EDB;
        sqlite3_reset(row);
    }
    return rc;
}

static enum om_rc
answer_chunks(struct sqlite_store *self, struct read *read)
{
    read->chunks = calloc(read->limit + 1, sizeof(*read->chunks));
    if (!read->chunks)
        return OM_EDB;
    sqlite3_stmt *rows = self->reads[READER_CHUNKS];
    sqlite3_bind_int64(rows, 1, read->seq);
    sqlite3_bind_int64(rows, 2, read->after_seq);
    sqlite3_bind_int64(rows, 3, (int64_t)read->limit);
    size_t bytes = 0;
    enum om_rc rc = OM_OK;
    int code = SQLITE_DONE;
    while (rc == OM_OK && bytes < RUN_BYTES_MAX &&
           (code = sqlite3_step(rows)) == SQLITE_ROW) {
        struct change_chunk *chunk = &read->chunks[read->count++];
        *chunk = (struct change_chunk){ .task_seq = read->seq,
                                        .seq = sqlite3_column_int64(rows, 0),
                                        .attempt = sqlite3_column_int64(rows, 1),
                                        .ctype = sqlite_str(rows, 2) };
        struct om_str payload = sqlite_str(rows, 3);
        bytes += payload.size;
        chunk->payload = payload.data ? payload_copy(payload) : NULL;
        if (!read_keep(read, &chunk->ctype) || (payload.data && !chunk->payload))
            rc = OM_EDB;
    }
    sqlite3_reset(rows);
    return rc == OM_OK && code != SQLITE_DONE && code != SQLITE_ROW ? OM_EDB : rc;
}

static enum om_rc
answer_packed_payload(struct sqlite_store *self, struct read *read)
{
    sqlite3_stmt *blocks = self->reads[READER_BLOCKS_BEFORE];
    struct packed packed;
    enum om_rc rc = pack_find_seq(blocks, read->seq, &packed);
    if (rc == OM_OK) {
        const struct payload *payload = packed.task.change.task.payload;
        read->payload = payload_copy(payload ? payload->bytes : (struct om_str){ 0 });
        rc = read->payload ? OM_OK : OM_EDB;
    }
    sqlite3_reset(blocks);
    return rc;
}

static enum om_rc
answer_payload(struct sqlite_store *self, struct read *read)
{
    sqlite3_stmt *row = self->reads[READER_PAYLOAD];
    sqlite3_bind_int64(row, 1, read->seq);
    int code = sqlite3_step(row);
    enum om_rc rc = OM_EDB;
    if (code == SQLITE_ROW) {
        read->payload = payload_copy(sqlite_str(row, 0));
        rc = read->payload ? OM_OK : OM_EDB;
    }
    sqlite3_reset(row);
    return code == SQLITE_DONE ? answer_packed_payload(self, read) : rc;
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
    context_split(sqlite_str(row, 5), &event);
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
sqlite_read(struct sqlite_store *self, struct read *read)
{
    static enum om_rc (*const answers[])(struct sqlite_store *, struct read *) = {
        [READ_TASK] = answer_task,       [READ_LIST] = sqlite_list,
        [READ_PAYLOAD] = answer_payload, [READ_EVENTS] = answer_events,
        [READ_TASKS] = answer_tasks,     [READ_OPEN] = sqlite_list,
        [READ_CHUNKS] = answer_chunks,
    };
    pthread_mutex_lock(&self->reading);
    read->rc = OM_EDB;
    if (sqlite_run(self->reads[READER_BEGIN]) == SQLITE_DONE) {
        read->rc = answers[read->kind](self, read);
        sqlite_run(self->reads[READER_END]);
    }
    pthread_mutex_unlock(&self->reading);
}
