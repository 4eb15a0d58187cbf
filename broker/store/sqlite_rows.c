#include <stdlib.h>

#include "journal_codec.h"
#include "sqlite_rows.h"

struct kind {
    enum change_kind kind;
    const char *name, *schema;
    void (*column)(sqlite3_context *context, const struct change *change, int column);
};

struct table {
    sqlite3_vtab base;
    const struct kind *kind;
    const struct sqlite_rows *rows;
};

struct cursor {
    sqlite3_vtab_cursor base;
    size_t at;
    struct journal_change decoded;
};

// ---- columns

static void
put_str(sqlite3_context *context, struct om_str text)
{
    if (text.data)
        sqlite3_result_text64(context, text.data, text.size, SQLITE_STATIC, SQLITE_UTF8);
}

static void
put_blob(sqlite3_context *context, struct om_str bytes)
{
    if (bytes.data)
        sqlite3_result_blob64(context, bytes.data, bytes.size, SQLITE_STATIC);
}

static void
put_uuid(sqlite3_context *context, const struct om_uuid *id)
{
    sqlite3_result_blob(context, id->bytes, sizeof(id->bytes), SQLITE_STATIC);
}

static void
put_payload(sqlite3_context *context, const struct payload *payload)
{
    if (payload)
        put_blob(context, payload->bytes);
}

// A column that may not be NULL.
static struct om_str
present(struct om_str text)
{
    return text.data ? text : OM_LIT("");
}

static void
task_column(sqlite3_context *context, const struct change *change, int column)
{
    const struct change_task *task = &change->task;
    switch (column) {
    case 0:
        return sqlite3_result_int64(context, task->seq);
    case 1:
        return put_uuid(context, &task->id);
    case 2:
        return put_uuid(context, &task->tenant);
    case 3:
        return sqlite3_result_int64(context, task->created_ms);
    case 4:
        return put_str(context, present(task->queue));
    case 5:
        return put_str(context, present(task->kind));
    case 6:
        return put_blob(context, task->header);
    case 7:
        return put_payload(context, task->payload);
    default:
        return put_str(context, task->idem_key);
    }
}

static void
result_column(sqlite3_context *context, const struct change *change, int column)
{
    const struct change_result *result = &change->result;
    switch (column) {
    case 0:
        return sqlite3_result_int64(context, result->task_seq);
    case 1:
        return sqlite3_result_int64(context, result->state);
    case 2:
        return sqlite3_result_int64(context, result->attempts);
    case 3:
        return sqlite3_result_int64(context, result->lost);
    case 4:
        return sqlite3_result_int64(context, result->started_ms);
    case 5:
        return sqlite3_result_int64(context, result->finished_ms);
    case 6:
        return put_str(context, result->code);
    case 7:
        return put_str(context, result->text);
    case 8:
        return put_str(context, result->ctype);
    default:
        return put_payload(context, result->payload);
    }
}

static void
event_column(sqlite3_context *context, const struct change *change, int column)
{
    const struct change_event *event = &change->event;
    switch (column) {
    case 0:
        return sqlite3_result_int64(context, event->shard);
    case 1:
        return put_str(context, present(event->topic));
    case 2:
        return sqlite3_result_int64(context, event->seq);
    case 3:
        return put_str(context, present(event->id));
    case 4:
        return put_uuid(context, &event->tenant);
    case 5:
        return sqlite3_result_int64(context, event->at_ms);
    case 6:
        return put_str(context, event->context);
    default:
        return put_blob(context, present(event->body));
    }
}

// clang-format off
static const struct kind kinds[] = {
    { CHANGE_TASK, "window_task",
      "CREATE TABLE x (seq, id, tenant, created_ms, queue, kind, header, payload, idem_key)",
      task_column },
    { CHANGE_RESULT, "window_result",
      "CREATE TABLE x (seq, state, attempts, lost, started_ms, finished_ms, code, text,"
      " ctype, payload)",
      result_column },
    { CHANGE_EVENT, "window_event",
      "CREATE TABLE x (shard, topic, seq, id, tenant, at_ms, traceparent, body)",
      event_column },
};
// clang-format on

// ---- the module

static const struct kind *
kind_of(const char *name)
{
    size_t at = 0;
    while (at + 1 < OM_COUNT(kinds) && strcmp(kinds[at].name, name) != 0)
        at++;
    return &kinds[at];
}

static int
connect_table(sqlite3 *db, void *rows, int argc, const char *const *argv,
              sqlite3_vtab **out, char **error)
{
    (void)argc, (void)error;
    struct table *self = calloc(1, sizeof(*self));
    if (!self)
        return SQLITE_NOMEM;
    self->kind = kind_of(argv[0]); // the module's name
    self->rows = rows;
    *out = &self->base;
    return sqlite3_declare_vtab(db, self->kind->schema);
}

static int
disconnect_table(sqlite3_vtab *self)
{
    free(self);
    return SQLITE_OK;
}

static int
best_index(sqlite3_vtab *self, sqlite3_index_info *info)
{
    (void)self;
    info->estimatedCost = 1e6; // always from the first row to the last
    return SQLITE_OK;
}

static int
open_cursor(sqlite3_vtab *table, sqlite3_vtab_cursor **out)
{
    (void)table;
    struct cursor *self = calloc(1, sizeof(*self));
    if (!self)
        return SQLITE_NOMEM;
    *out = &self->base;
    return SQLITE_OK;
}

static int
close_cursor(sqlite3_vtab_cursor *self)
{
    free(self);
    return SQLITE_OK;
}

// Find the next change of the kind, from `at` on.
static int
seek(struct cursor *self)
{
    const struct table *table = (const struct table *)self->base.pVtab;
    const struct sqlite_rows *rows = table->rows;
    while (self->at < rows->count && (rows->rows[self->at].kind != table->kind->kind ||
                                      rows->rows[self->at].left_out))
        self->at++;
    if (self->at == rows->count)
        return SQLITE_OK;
    return journal_decode(rows->rows[self->at].change, &self->decoded) == OM_OK
               ? SQLITE_OK
               : SQLITE_CORRUPT;
}

static int
filter(sqlite3_vtab_cursor *cursor, int number, const char *text, int argc,
       sqlite3_value **argv)
{
    (void)number, (void)text, (void)argc, (void)argv;
    struct cursor *self = (struct cursor *)cursor;
    self->at = 0;
    return seek(self);
}

static int
next(sqlite3_vtab_cursor *cursor)
{
    struct cursor *self = (struct cursor *)cursor;
    self->at++;
    return seek(self);
}

static int
at_end(sqlite3_vtab_cursor *cursor)
{
    const struct table *table = (const struct table *)cursor->pVtab;
    return ((struct cursor *)cursor)->at == table->rows->count;
}

static int
column(sqlite3_vtab_cursor *cursor, sqlite3_context *context, int number)
{
    const struct table *table = (const struct table *)cursor->pVtab;
    table->kind->column(context, &((struct cursor *)cursor)->decoded.change, number);
    return SQLITE_OK;
}

static int
row_id(sqlite3_vtab_cursor *cursor, sqlite3_int64 *out)
{
    *out = (sqlite3_int64)((struct cursor *)cursor)->at;
    return SQLITE_OK;
}

int
sqlite_rows_register(sqlite3 *db, const struct sqlite_rows *rows)
{
    static const sqlite3_module module = {
        .xConnect = connect_table,
        .xBestIndex = best_index,
        .xDisconnect = disconnect_table,
        .xOpen = open_cursor,
        .xClose = close_cursor,
        .xFilter = filter,
        .xNext = next,
        .xEof = at_end,
        .xColumn = column,
        .xRowid = row_id,
    };
    int code = SQLITE_OK;
    for (size_t i = 0; i < OM_COUNT(kinds) && code == SQLITE_OK; i++)
        code = sqlite3_create_module(db, kinds[i].name, &module, (void *)rows);
    return code;
}
