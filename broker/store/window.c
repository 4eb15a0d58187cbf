#include <stdlib.h>

#include "journal_codec.h"
#include "window.h"

// What becomes of a task in this window. seq 0: a free place.
struct fate {
    int64_t seq;
    bool added, ended, marked, reopened;
    bool settled; // its row among the open tasks is as it will be
    uint8_t state;
};

struct window {
    struct om_str *changes;
    size_t count, capacity;
    struct fate *fates; // open addressing; at least twice the changes
    size_t fate_mask;
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
    free(self->changes);
    free(self->fates);
    free(self);
}

void
window_reset(struct window *self)
{
    self->count = 0;
}

static bool
grow(struct window *self)
{
    if (self->count < self->capacity)
        return true;
    size_t capacity = self->capacity ? self->capacity * 2 : 1024;
    struct om_str *changes = realloc(self->changes, capacity * sizeof(*changes));
    if (changes)
        self->changes = changes;
    struct fate *fates = malloc(2 * capacity * sizeof(*fates));
    if (!changes || !fates) {
        free(fates);
        return false;
    }
    free(self->fates);
    self->fates = fates;
    self->fate_mask = 2 * capacity - 1;
    self->capacity = capacity;
    return true;
}

enum om_rc
window_add(struct window *self, struct om_str body)
{
    struct om_str change;
    while (journal_next(&body, &change)) {
        if (!grow(self))
            return OM_EDB;
        self->changes[self->count++] = change;
    }
    return body.size == 0 ? OM_OK : OM_EPROTO;
}

// ---- fates

static struct fate *
fate_of(struct window *self, int64_t seq)
{
    // Fibonacci hashing: numbers that follow each other are spread.
    size_t at = (size_t)((uint64_t)seq * 0x9e3779b97f4a7c15u >> 20) & self->fate_mask;
    while (self->fates[at].seq && self->fates[at].seq != seq)
        at = (at + 1) & self->fate_mask;
    self->fates[at].seq = seq;
    return &self->fates[at];
}

static void
foresee_change(struct window *self, const struct change *change)
{
    struct fate *fate;
    switch (change->kind) {
    case CHANGE_TASK:
        fate_of(self, change->task.seq)->added = true;
        break;
    case CHANGE_MARK:
        fate_of(self, change->mark.task_seq)->marked = true;
        break;
    case CHANGE_RESULT:
        fate = fate_of(self, change->result.task_seq);
        if (!fate->ended)
            fate->state = (uint8_t)change->result.state;
        fate->ended = true;
        break;
    case CHANGE_REOPEN:
        fate = fate_of(self, change->reopen_seq);
        fate->ended = false;
        fate->reopened = true;
        break;
    default:
        break;
    }
}

static enum om_rc
foresee(struct window *self)
{
    if (self->count > 0)
        memset(self->fates, 0, (self->fate_mask + 1) * sizeof(*self->fates));
    for (size_t i = 0; i < self->count; i++) {
        enum change_kind kind = journal_kind(self->changes[i]);
        if (kind != CHANGE_TASK && kind != CHANGE_MARK && kind != CHANGE_RESULT &&
            kind != CHANGE_REOPEN)
            continue;
        struct journal_change decoded;
        if (journal_decode(self->changes[i], &decoded) != OM_OK)
            return OM_EPROTO;
        foresee_change(self, &decoded.change);
    }
    return OM_OK;
}

// ---- writing

// Bring the row among the open tasks of a task of an earlier window up to date.
static int
settle(struct sqlite_store *tables, struct fate *fate)
{
    if (fate->added || fate->settled)
        return SQLITE_DONE;
    fate->settled = true;
    if (fate->ended)
        return sqlite_write_seq(tables, WRITER_DROP_OPEN, fate->seq);
    return sqlite_write_seq(tables, fate->reopened ? WRITER_OPEN_AGAIN : WRITER_MARK_OPEN,
                            fate->seq);
}

static int
write_task(struct window *self, struct sqlite_store *tables,
           const struct change_task *task)
{
    const struct fate *fate = fate_of(self, task->seq);
    int code = sqlite_write_task(tables, task);
    if (code == SQLITE_DONE && !fate->ended)
        code = sqlite_write_open(tables, task, fate->marked || fate->reopened);
    return code;
}

// Only a failed task is opened again and needs the marks of its past.
static int
write_mark(struct window *self, struct sqlite_store *tables,
           const struct change_mark *mark)
{
    struct fate *fate = fate_of(self, mark->task_seq);
    if (fate->ended && fate->state != STATE_FAILED)
        return SQLITE_DONE;
    int code = sqlite_write_mark(tables, mark);
    return code == SQLITE_DONE ? settle(tables, fate) : code;
}

static int
write_change(struct window *self, struct sqlite_store *tables,
             const struct change *change)
{
    int code;
    switch (change->kind) {
    case CHANGE_NONE:
        return SQLITE_DONE;
    case CHANGE_TASK:
        return write_task(self, tables, &change->task);
    case CHANGE_MARK:
        return write_mark(self, tables, &change->mark);
    case CHANGE_RESULT:
        code = sqlite_write_result(tables, &change->result);
        return code == SQLITE_DONE
                   ? settle(tables, fate_of(self, change->result.task_seq))
                   : code;
    case CHANGE_REOPEN:
        code = sqlite_write_seq(tables, WRITER_DROP_RESULT, change->reopen_seq);
        return code == SQLITE_DONE ? settle(tables, fate_of(self, change->reopen_seq))
                                   : code;
    case CHANGE_EVENT:
        return sqlite_write_event(tables, &change->event);
    case CHANGE_CURSOR:
        return sqlite_write_cursor(tables, &change->cursor);
    case CHANGE_SETTING:
        return sqlite_write_setting(tables, &change->setting);
    case CHANGE_START:
        return sqlite_write_start(tables, &change->start);
    case CHANGE_CHUNK:
        return sqlite_write_chunk(tables, &change->chunk);
    }
    return SQLITE_MISUSE;
}

enum om_rc
window_apply(struct window *self, struct sqlite_store *tables, int64_t number)
{
    enum om_rc rc = foresee(self);
    if (rc == OM_OK)
        rc = sqlite_begin(tables);
    if (rc != OM_OK)
        return rc;

    struct om_uuid greatest = tables->greatest_id;
    int code = SQLITE_DONE;
    for (size_t i = 0; i < self->count && code == SQLITE_DONE; i++) {
        struct journal_change decoded;
        if (journal_decode(self->changes[i], &decoded) != OM_OK) {
            code = SQLITE_CORRUPT;
            break;
        }
        const struct change *change = &decoded.change;
        if (change->kind == CHANGE_TASK &&
            memcmp(&change->task.id, &greatest, sizeof(greatest)) > 0)
            greatest = change->task.id;
        code = write_change(self, tables, change);
    }
    if (code == SQLITE_DONE)
        code = sqlite_write_seq(tables, WRITER_SET_APPLIED, number);
    rc = sqlite_end(tables, code);
    if (rc == OM_OK) {
        tables->applied = number;
        tables->greatest_id = greatest;
    }
    return rc;
}
