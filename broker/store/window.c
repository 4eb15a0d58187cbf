#include <stdlib.h>

#include "fates.h"
#include "journal_codec.h"
#include "window.h"

struct window {
    struct sqlite_row *rows;
    size_t count, capacity;
    struct fates fates;
    bool reopens; // results are to be added and removed in their order
    struct om_uuid greatest_id;
    struct pack_item *items; // as many as rows
    size_t item_count;
    const struct event_cursors *cursors;
    int64_t left_out[OM_SHARD_COUNT]; // the last event that was
};

struct window *
window_create(void)
{
    return calloc(1, sizeof(struct window));
}

void
window_destroy(struct window **self_p)
{
    struct window *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    free(self->rows);
    fates_finish(&self->fates);
    free(self->items);
    free(self);
}

void
window_reset(struct window *self, const struct event_cursors *cursors)
{
    fates_clear(&self->fates);
    memset(self->left_out, 0, sizeof(self->left_out));
    memset(&self->greatest_id, 0, sizeof(self->greatest_id));
    self->count = self->item_count = 0;
    self->reopens = false;
    self->cursors = cursors;
}

// ---- fates

// Make room for one more row.
static bool
grow(struct window *self)
{
    if (!fates_reserve(&self->fates))
        return false;
    if (self->count < self->capacity)
        return true;
    size_t capacity = self->capacity ? self->capacity * 2 : 1024;
    struct sqlite_row *rows = realloc(self->rows, capacity * sizeof(*rows));
    if (rows)
        self->rows = rows;
    struct pack_item *items = realloc(self->items, capacity * sizeof(*items));
    if (items)
        self->items = items;
    if (!rows || !items)
        return false;
    self->capacity = capacity;
    return true;
}

static void
foresee_task(struct window *self, const struct change_task *task)
{
    struct fate *fate = fates_of(&self->fates, task->seq);
    fate->added = true;
    if (pack_takes(task)) {
        self->items[self->item_count] =
            (struct pack_item){ .tenant = task->tenant,
                                .id = task->id,
                                .seq = task->seq,
                                .created_ms = task->created_ms,
                                .task_row = (uint32_t)self->count - 1 };
        fate->item = (uint32_t)++self->item_count;
    }
    fate->named = task->unique_key.data || task->retain_ms;
    if (memcmp(&task->id, &self->greatest_id, sizeof(task->id)) > 0)
        self->greatest_id = task->id;
}

static void
foresee_result(struct window *self, const struct change_result *result)
{
    struct fate *fate = fates_of(&self->fates, result->task_seq);
    if (!fate->ended)
        fate->state = (uint8_t)result->state;
    if (!fate->ended && fate->item && result->state == STATE_SUCCEEDED) {
        struct pack_item *item = &self->items[fate->item - 1];
        item->result_row = (uint32_t)self->count - 1;
        item->result = self->rows[item->result_row].change;
        item->finished_ms = result->finished_ms;
    }
    fate->ended = true;
}

// A task with partial results has rows elsewhere, which are purged with its own.
static void
foresee_chunk(struct window *self, int64_t seq)
{
    struct fate *fate = fates_find(&self->fates, seq);
    if (fate)
        fate->item = 0;
}

static void
foresee_reopening(struct window *self, int64_t seq)
{
    struct fate *fate = fates_of(&self->fates, seq);
    fate->ended = false;
    fate->reopened = true;
    self->reopens = true;
}

// Has everybody applied the event who is to? One without a subscriber waits for one.
static bool
is_applied(const struct window *self, const struct change_event *event)
{
    bool subscribed = false;
    for (size_t i = 0; i < SUBSCRIPTION_COUNT; i++) {
        if (!om_str_eq(event->topic, om_str(subscriptions[i].topic)))
            continue;
        if (event->seq > self->cursors->seqs[i][event->shard])
            return false;
        subscribed = true;
    }
    return subscribed;
}

static bool
foresee_event(struct window *self, const struct change_event *event)
{
    if (!is_applied(self, event))
        return false;
    self->left_out[event->shard] = event->seq; // they rise
    return true;
}

static enum om_rc
foresee_row(struct window *self, struct sqlite_row *row)
{
    enum change_kind kind = row->kind;
    if (kind != CHANGE_TASK && kind != CHANGE_MARK && kind != CHANGE_RESULT &&
        kind != CHANGE_REOPEN && kind != CHANGE_EVENT && kind != CHANGE_CHUNK)
        return OM_OK;
    struct journal_change decoded;
    if (journal_decode(row->change, &decoded) != OM_OK)
        return OM_EPROTO;
    const struct change *change = &decoded.change;
    if (kind == CHANGE_TASK) {
        row->seq = change->task.seq;
        foresee_task(self, &change->task);
    } else if (kind == CHANGE_RESULT) {
        row->seq = change->result.task_seq;
        foresee_result(self, &change->result);
    } else if (kind == CHANGE_MARK) {
        row->seq = change->mark.task_seq;
        fates_of(&self->fates, row->seq)->marked = true;
    } else if (kind == CHANGE_CHUNK) {
        row->seq = change->chunk.task_seq;
        foresee_chunk(self, row->seq);
    } else if (kind == CHANGE_EVENT) {
        row->left_out = foresee_event(self, &change->event);
    } else {
        row->seq = change->reopen_seq;
        foresee_reopening(self, row->seq);
    }
    return OM_OK;
}

enum om_rc
window_add(struct window *self, struct om_str body)
{
    struct om_str change;
    enum om_rc rc = OM_OK;
    while (rc == OM_OK && journal_next(&body, &change)) {
        if (!grow(self))
            return OM_EDB;
        struct sqlite_row *row = &self->rows[self->count++];
        *row = (struct sqlite_row){ .change = change, .kind = journal_kind(change) };
        rc = foresee_row(self, row); // now that it was touched
    }
    return rc != OM_OK || body.size == 0 ? rc : OM_EPROTO;
}

// ---- writing

// Can the row be left to the statements that add many, or left out?
static bool
is_done(struct window *self, const struct sqlite_row *row)
{
    const struct fate *fate;
    switch (row->kind) {
    case CHANGE_TASK:
        fate = fates_of(&self->fates, row->seq);
        return fate->ended && !fate->named;
    case CHANGE_MARK:
        // Only a failed task is opened again and needs the marks of its past.
        fate = fates_of(&self->fates, row->seq);
        return fate->ended && fate->state != STATE_FAILED;
    case CHANGE_RESULT:
        return !self->reopens;
    case CHANGE_EVENT:
        return true;
    default:
        return false;
    }
}

static int
write_task(struct window *self, struct sqlite_store *tables,
           const struct change_task *task)
{
    const struct fate *fate = fates_of(&self->fates, task->seq);
    int code = fate->named ? sqlite_write_names(tables, task) : SQLITE_DONE;
    if (code == SQLITE_DONE && !fate->ended)
        code = sqlite_write_open(tables, task, fate->marked || fate->reopened);
    return code;
}

static int
write_change(struct window *self, struct sqlite_store *tables,
             const struct change *change)
{
    switch (change->kind) {
    case CHANGE_TASK:
        return write_task(self, tables, &change->task);
    case CHANGE_MARK:
        return sqlite_write_mark(tables, &change->mark);
    case CHANGE_RESULT:
        return sqlite_write_result(tables, &change->result);
    case CHANGE_REOPEN:
        return sqlite_write_seq(tables, WRITER_DROP_RESULT, change->reopen_seq);
    case CHANGE_CURSOR:
        return sqlite_write_cursor(tables, &change->cursor);
    case CHANGE_SETTING:
        return sqlite_write_setting(tables, &change->setting);
    case CHANGE_START:
        return sqlite_write_start(tables, &change->start);
    case CHANGE_CHUNK:
        return sqlite_write_chunk(tables, &change->chunk);
    case CHANGE_NONE:
    case CHANGE_EVENT:
        break;
    }
    return SQLITE_MISUSE;
}

// Write the tasks that may be packed, and leave out their rows. Where tasks are opened
// again, results come and go in their order.
static int
write_packs(struct window *self, struct sqlite_store *tables)
{
    size_t count = 0;
    for (size_t i = 0; i < self->item_count && !self->reopens; i++) {
        struct pack_item *item = &self->items[i];
        struct sqlite_row *task = &self->rows[item->task_row];
        item->task = task->change;
        if (!item->result.data || !pack_fits(item))
            continue;
        task->left_out = self->rows[item->result_row].left_out = true;
        self->items[count++] = *item;
    }
    return pack_write(tables, self->items, count);
}

static int
write_rows(struct window *self, struct sqlite_store *tables)
{
    tables->rows = (struct sqlite_rows){ self->rows, self->count };
    int code = sqlite_run(tables->writes[WRITER_ADD_TASKS]);
    if (code == SQLITE_DONE && !self->reopens)
        code = sqlite_run(tables->writes[WRITER_ADD_RESULTS]);
    if (code == SQLITE_DONE)
        code = sqlite_run(tables->writes[WRITER_ADD_EVENTS]);
    for (size_t i = 0; i < self->count && code == SQLITE_DONE; i++) {
        if (self->rows[i].left_out || is_done(self, &self->rows[i]))
            continue;
        struct journal_change decoded;
        code = journal_decode(self->rows[i].change, &decoded) == OM_OK
                   ? write_change(self, tables, &decoded.change)
                   : SQLITE_CORRUPT;
    }
    return code;
}

// Bring the rows among the open tasks of tasks of earlier windows up to date.
static int
settle(struct window *self, struct sqlite_store *tables)
{
    int code = SQLITE_DONE;
    for (size_t i = 0;
         self->fates.count > 0 && i <= self->fates.mask && code == SQLITE_DONE; i++) {
        const struct fate *fate = &self->fates.places[i];
        if (fate->seq == 0 || fate->added)
            continue;
        code = sqlite_write_seq(tables,
                                fate->ended      ? WRITER_DROP_OPEN
                                : fate->reopened ? WRITER_OPEN_AGAIN
                                                 : WRITER_MARK_OPEN,
                                fate->seq);
    }
    return code;
}

// An event without a row keeps its number from being used again.
static int
keep_numbers(const struct window *self, struct sqlite_store *tables)
{
    int code = SQLITE_DONE;
    for (int shard = 0; shard < OM_SHARD_COUNT && code == SQLITE_DONE; shard++)
        if (self->left_out[shard])
            code = sqlite_write_shard(tables, shard, self->left_out[shard]);
    return code;
}

enum om_rc
window_apply(struct window *self, struct sqlite_store *tables, int64_t number)
{
    enum om_rc rc = sqlite_begin(tables);
    if (rc != OM_OK)
        return rc;
    int code = write_packs(self, tables);
    if (code == SQLITE_DONE)
        code = write_rows(self, tables);
    if (code == SQLITE_DONE)
        code = settle(self, tables);
    if (code == SQLITE_DONE)
        code = keep_numbers(self, tables);
    if (code == SQLITE_DONE)
        code = sqlite_write_seq(tables, WRITER_SET_APPLIED, number);
    rc = sqlite_end(tables, code);
    if (rc == OM_OK) {
        pack_files_keep(tables->packs);
        tables->applied = number;
        if (memcmp(&self->greatest_id, &tables->greatest_id, sizeof(struct om_uuid)) > 0)
            tables->greatest_id = self->greatest_id;
    }
    return rc;
}
