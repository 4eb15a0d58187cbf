#include "sqlite.h"

enum {
    TASK_ROWS = 64, // deleted a call: a payload may be 256 pages
    EVENT_ROWS = 512,
    NAMES_MS = 24 * 3600 * 1000, // a task's names are known so long after its end
};

static void
next_stage(struct sqlite_store *self)
{
    self->sweep.stage++;
    self->sweep.task_seq = 0;
}

// ---- ended tasks

// The names of a task that ended less than a day ago outlive it.
static int
keep_names(struct sqlite_store *self, int64_t seq, int64_t now_ms)
{
    uint8_t hash[32];
    sqlite3_stmt *row = self->writes[WRITER_ENDED_HEADER];
    sqlite3_bind_int64(row, 1, seq);
    sqlite3_bind_int64(row, 2, now_ms - NAMES_MS);
    int code = sqlite3_step(row);
    if (code == SQLITE_ROW)
        sqlite_header_hash(sqlite_str(row, 0), hash);
    sqlite3_reset(row);
    if (code != SQLITE_ROW)
        return code;
    sqlite3_stmt *keep = self->writes[WRITER_KEEP_NAMES];
    sqlite3_bind_int64(keep, 1, seq);
    sqlite_bind_blob(keep, 2, (struct om_str){ (const char *)hash, sizeof(hash) });
    sqlite3_bind_int64(keep, 3, NAMES_MS);
    return sqlite_run(keep);
}

static int
drop_task(struct sqlite_store *self, int64_t seq, int64_t now_ms)
{
    static const enum sqlite_writer drops[] = {
        WRITER_DROP_TASK, WRITER_DROP_RESULT, WRITER_DROP_MARKS,    WRITER_DROP_CHUNKS,
        WRITER_DROP_HELD, WRITER_DROP_RETAIN, WRITER_KEEP_TASK_SEQ,
    };
    int code = keep_names(self, seq, now_ms);
    for (size_t i = 0; i < OM_COUNT(drops) && code == SQLITE_DONE; i++)
        code = sqlite_write_seq(self, drops[i], seq);
    return code;
}

// Has the task a retention of its own?
static bool
is_retained(struct sqlite_store *self, int64_t seq)
{
    sqlite3_stmt *stmt = self->writes[WRITER_RETAINED];
    sqlite3_bind_int64(stmt, 1, seq);
    int code = sqlite3_step(stmt);
    sqlite3_reset(stmt);
    return code != SQLITE_DONE;
}

// The next tasks, or rows of packed ones, that ended before `cutoff`. A task made after
// it cannot have ended before it, so the search ends there and never goes through the
// whole table.
static size_t
find_ended(struct sqlite_store *self, enum sqlite_writer statement, int64_t cutoff,
           int64_t found[TASK_ROWS])
{
    sqlite3_stmt *rows = self->writes[statement];
    sqlite3_bind_int64(rows, 1, self->sweep.task_seq);
    sqlite3_bind_int64(rows, 2, TASK_ROWS);
    size_t count = 0, seen = 0;
    bool young = false;
    while (!young && sqlite3_step(rows) == SQLITE_ROW) {
        seen++;
        self->sweep.task_seq = sqlite3_column_int64(rows, 0);
        young = sqlite3_column_int64(rows, 1) >= cutoff;
        if (sqlite3_column_type(rows, 2) != SQLITE_NULL &&
            sqlite3_column_int64(rows, 2) < cutoff &&
            (statement != WRITER_ENDED_TASKS || !is_retained(self, self->sweep.task_seq)))
            found[count++] = self->sweep.task_seq;
    }
    sqlite3_reset(rows);
    if (young || seen < TASK_ROWS)
        next_stage(self);
    return count;
}

// The next tasks whose own retention is over.
static size_t
find_retained(struct sqlite_store *self, int64_t now_ms, int64_t found[TASK_ROWS])
{
    sqlite3_stmt *rows = self->writes[WRITER_RETAINED_ENDED];
    sqlite3_bind_int64(rows, 1, self->sweep.task_seq);
    sqlite3_bind_int64(rows, 2, TASK_ROWS);
    size_t count = 0, seen = 0;
    for (; sqlite3_step(rows) == SQLITE_ROW; seen++) {
        self->sweep.task_seq = sqlite3_column_int64(rows, 0);
        if (sqlite3_column_type(rows, 1) != SQLITE_NULL &&
            sqlite3_column_int64(rows, 1) < now_ms)
            found[count++] = self->sweep.task_seq;
    }
    sqlite3_reset(rows);
    if (seen < TASK_ROWS)
        next_stage(self);
    return count;
}

// Drop a row of what was found.
typedef int dropper(struct sqlite_store *self, int64_t seq, int64_t now_ms);

static enum om_rc
drop_each(struct sqlite_store *self, dropper *drop, int64_t now_ms, const int64_t *found,
          size_t count)
{
    if (count == 0)
        return OM_OK;
    enum om_rc rc = sqlite_begin(self);
    if (rc != OM_OK)
        return rc;
    int code = SQLITE_DONE;
    for (size_t i = 0; i < count && code == SQLITE_DONE; i++)
        code = drop(self, found[i], now_ms);
    return sqlite_end(self, code);
}

// ---- packed tasks

static int
keep_packed_names(struct sqlite_store *self, const struct packed *packed)
{
    const struct change_task *task = &packed->task.change.task;
    uint8_t hash[32];
    sqlite_header_hash(task->header, hash);
    sqlite3_stmt *keep = self->writes[WRITER_KEEP_PACKED_NAMES];
    sqlite_bind_uuid(keep, 1, &task->id);
    sqlite_bind_uuid(keep, 2, &task->tenant);
    sqlite3_bind_int64(keep, 3, task->seq);
    sqlite_bind_blob(keep, 4, (struct om_str){ (const char *)hash, sizeof(hash) });
    sqlite3_bind_int64(keep, 5, packed->result.change.result.finished_ms + NAMES_MS);
    return sqlite_run(keep);
}

// One block less of a file is needed.
static int
count_off(struct sqlite_store *self, int64_t seq)
{
    sqlite3_stmt *stmt = self->writes[WRITER_DROP_FILE_BLOCK];
    sqlite3_bind_int64(stmt, 1, seq);
    int code = sqlite3_step(stmt);
    if (code == SQLITE_ROW && sqlite3_column_int64(stmt, 0) == 0)
        self->packs_emptied = true;
    if (code == SQLITE_ROW)
        code = sqlite3_step(stmt);
    sqlite3_reset(stmt);
    return code;
}

static int
drop_pack(struct sqlite_store *self, int64_t seq, int64_t now_ms)
{
    sqlite3_stmt *row = self->writes[WRITER_PACKED_LATELY];
    sqlite3_bind_int64(row, 1, seq);
    sqlite3_bind_int64(row, 2, now_ms - NAMES_MS);
    int code = sqlite3_step(row);
    struct om_str block = code == SQLITE_ROW ? sqlite_str(row, 0) : (struct om_str){ 0 };
    struct packed packed;
    if (code == SQLITE_ROW)
        code = SQLITE_DONE;
    while (code == SQLITE_DONE && pack_next(&block, &packed))
        code = keep_packed_names(self, &packed);
    if (code == SQLITE_DONE && block.size > 0)
        code = SQLITE_CORRUPT;
    sqlite3_reset(row);
    if (code == SQLITE_DONE)
        code = count_off(self, seq);
    return code == SQLITE_DONE ? sqlite_write_seq(self, WRITER_DROP_PACK, seq) : code;
}

static int
drop_pack_ids(struct sqlite_store *self, int64_t n, int64_t now_ms)
{
    (void)now_ms;
    return sqlite_write_seq(self, WRITER_DROP_PACK_IDS, n);
}

// ---- applied events

// Step to the next (shard, topic) there is. False behind the last.
static bool
next_lane(struct sqlite_store *self)
{
    struct sqlite_sweep *sweep = &self->sweep;
    sqlite3_stmt *next = self->writes[WRITER_NEXT_LANE];
    sqlite3_bind_int64(next, 1, sweep->shard);
    sqlite_bind_str(next, 2, (struct om_str){ sweep->topic, sweep->topic_size });
    bool found = sqlite3_step(next) == SQLITE_ROW;
    struct om_str topic = found ? sqlite_str(next, 1) : (struct om_str){ 0 };
    found = found && topic.size <= sizeof(sweep->topic);
    if (found) {
        sweep->shard = sqlite3_column_int64(next, 0);
        sweep->topic_size = topic.size;
        memcpy(sweep->topic, topic.data, topic.size);
    }
    sqlite3_reset(next);
    return found;
}

// How far the lane's subscriber is; 0 if it has none.
static int64_t
applied_seq(struct sqlite_store *self, struct om_str topic)
{
    for (size_t i = 0; i < SUBSCRIPTION_COUNT; i++) {
        if (!om_str_eq(om_str(subscriptions[i].topic), topic))
            continue;
        sqlite3_stmt *cursor = self->writes[WRITER_CURSOR];
        sqlite_bind_str(cursor, 1, om_str(queues[subscriptions[i].queue].name));
        sqlite3_bind_int64(cursor, 2, self->sweep.shard);
        int64_t seq =
            sqlite3_step(cursor) == SQLITE_ROW ? sqlite3_column_int64(cursor, 0) : 0;
        sqlite3_reset(cursor);
        return seq;
    }
    return 0;
}

// The last of the lane's first events that are applied and old; 0 if there are none.
static int64_t
find_applied(struct sqlite_store *self, struct om_str topic, int64_t cutoff)
{
    int64_t applied = applied_seq(self, topic);
    if (applied == 0)
        return 0;
    sqlite3_stmt *rows = self->writes[WRITER_APPLIED_EVENTS];
    sqlite3_bind_int64(rows, 1, self->sweep.shard);
    sqlite_bind_str(rows, 2, topic);
    sqlite3_bind_int64(rows, 3, applied);
    sqlite3_bind_int64(rows, 4, EVENT_ROWS);
    int64_t last = 0;
    while (sqlite3_step(rows) == SQLITE_ROW && sqlite3_column_int64(rows, 1) < cutoff)
        last = sqlite3_column_int64(rows, 0);
    sqlite3_reset(rows);
    return last;
}

static enum om_rc
drop_events(struct sqlite_store *self, struct om_str topic, int64_t last)
{
    enum om_rc rc = sqlite_begin(self);
    if (rc != OM_OK)
        return rc;
    int code = sqlite_write_shard(self, self->sweep.shard, last);
    if (code == SQLITE_DONE) {
        sqlite3_stmt *drop = self->writes[WRITER_DROP_EVENTS];
        sqlite3_bind_int64(drop, 1, self->sweep.shard);
        sqlite_bind_str(drop, 2, topic);
        sqlite3_bind_int64(drop, 3, last);
        code = sqlite_run(drop);
    }
    return sqlite_end(self, code);
}

// True when events were dropped, so that a lane is gone through to its end by call after
// call; at the end of the sweep false.
static bool
purge_events(struct sqlite_store *self, int64_t cutoff, enum om_rc *rc)
{
    struct sqlite_sweep *sweep = &self->sweep;
    for (;;) {
        struct om_str topic = { sweep->topic, sweep->topic_size };
        int64_t last = sweep->shard < 0 ? 0 : find_applied(self, topic, cutoff);
        if (last > 0) {
            *rc = drop_events(self, topic, last);
            return *rc == OM_OK;
        }
        if (!next_lane(self))
            return false;
    }
}

// ---- starts that count no more, names that are old

static enum om_rc
purge_rows(struct sqlite_store *self, enum sqlite_writer statement, int64_t now_ms)
{
    enum om_rc rc = sqlite_begin(self);
    if (rc != OM_OK)
        return rc;
    sqlite3_stmt *drop = self->writes[statement];
    sqlite3_bind_int64(drop, 1, now_ms);
    sqlite3_bind_int64(drop, 2, EVENT_ROWS);
    int code = sqlite_run(drop);
    if (sqlite3_changes(self->writer) < EVENT_ROWS)
        next_stage(self);
    return sqlite_end(self, code);
}

bool
sqlite_purge(struct sqlite_store *self, int64_t now_ms, int64_t retention_ms)
{
    static const struct {
        enum sqlite_writer find;
        dropper *drop;
    } ended[] = {
        [SWEEP_TASKS] = { WRITER_ENDED_TASKS, drop_task },
        [SWEEP_PACKS] = { WRITER_ENDED_PACKS, drop_pack },
        [SWEEP_PACK_IDS] = { WRITER_ENDED_PACK_IDS, drop_pack_ids },
    };
    int64_t cutoff = now_ms - retention_ms, found[TASK_ROWS];
    unsigned stage = self->sweep.stage;
    size_t count;
    enum om_rc rc = OM_OK;
    bool more = true;
    switch (self->sweep.stage) {
    case SWEEP_TASKS:
    case SWEEP_PACKS:
    case SWEEP_PACK_IDS:
        count = find_ended(self, ended[stage].find, cutoff, found);
        rc = drop_each(self, ended[stage].drop, now_ms, found, count);
        break;
    case SWEEP_RETAINED:
        count = find_retained(self, now_ms, found);
        rc = drop_each(self, drop_task, now_ms, found, count);
        break;
    case SWEEP_STARTS:
        rc = purge_rows(self, WRITER_DROP_STARTS, now_ms);
        break;
    case SWEEP_NAMES:
        rc = purge_rows(self, WRITER_DROP_NAMES, now_ms);
        break;
    case SWEEP_EVENTS:
        more = purge_events(self, cutoff, &rc);
        break;
    }
    if (rc != OM_OK || !more) {
        self->sweep = (struct sqlite_sweep){ .shard = -1 };
        return false;
    }
    return true;
}
