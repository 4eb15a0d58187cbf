#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "clock.h"
#include "db_driver.h"
#include "db_stats.h"

struct om_db {
    const struct db_driver *driver;
    void *conn;
    struct om_txn txn;
    bool spanned;       // transactions are parts of a longer one
    enum om_rc span_rc; // a part failed in a way that may have ended the whole
    char error[256];
    struct db_stats stats;
};

static const struct db_driver *const drivers[] = { &db_sqlite };

// ---- transactions

static void
note_error(struct om_db *self, const char *where)
{
    snprintf(self->error, sizeof(self->error), "%s: %s", where,
             self->driver->error(self->conn));
}

static struct om_txn *
begin(struct om_db *self, bool write)
{
    assert(!self->txn.open && "one transaction at a time");
    if (self->span_rc)
        return NULL;
    if (self->spanned ? self->driver->script(self->conn, "SAVEPOINT part")
                      : self->driver->begin(self->conn, write)) {
        note_error(self, "begin");
        db_stats_refuse();
        return NULL;
    }
    if (!self->spanned)
        db_stats_begin(&self->stats);
    self->txn = (struct om_txn){ .db = self, .open = true };
    return &self->txn;
}

struct om_txn *
om_db_begin(struct om_db *self)
{
    return begin(self, true);
}

struct om_txn *
om_db_begin_read(struct om_db *self)
{
    return begin(self, false);
}

// Keep the first failure; its text is the engine's.
static enum om_rc
spoil(struct om_txn *txn, enum om_rc rc, const char *where)
{
    note_error(txn->db, where);
    return txn->rc = rc;
}

static void
close_rows(struct om_txn *txn)
{
    while (txn->rows) {
        struct om_rows *rows = txn->rows;
        om_rows_close(&rows);
    }
}

// Engines roll back the whole by themselves after some failures, so that nothing may
// follow any but a unique violation.
static void
end_part(struct om_txn *txn, bool undo)
{
    struct om_db *db = txn->db;
    enum om_rc rc = txn->rc == OM_EDUP ? OM_OK : txn->rc;
    if (!rc && (undo || txn->rc))
        rc = db->driver->script(db->conn, "ROLLBACK TO part");
    if (!rc)
        rc = db->driver->script(db->conn, "RELEASE part");
    db->span_rc = rc;
}

static enum om_rc
commit(struct om_db *self)
{
    static const struct om_sql sql_commit = { "commit", "" };
    int64_t began_us = om_clock_mono_us();
    enum om_rc rc = self->driver->commit(self->conn);
    db_stats_statement(&self->stats, &sql_commit, began_us);
    return rc;
}

enum om_rc
om_db_commit(struct om_txn **txn_p)
{
    struct om_txn *txn = *txn_p;
    struct om_db *db = txn->db;
    close_rows(txn);
    if (db->spanned) {
        end_part(txn, false);
    } else if (!txn->rc) {
        enum om_rc rc = commit(db);
        if (rc)
            spoil(txn, rc, "commit");
    }
    enum om_rc rc = txn->rc ? txn->rc : db->span_rc;
    if (!db->spanned) {
        db->driver->rollback(db->conn);
        db_stats_end(&db->stats, rc ? DB_FAILED : DB_COMMITTED);
    }
    txn->open = false;
    *txn_p = NULL;
    return rc;
}

void
om_db_rollback(struct om_txn **txn_p)
{
    struct om_txn *txn = *txn_p;
    if (!txn)
        return;
    close_rows(txn);
    if (txn->db->spanned) {
        end_part(txn, true);
    } else {
        txn->db->driver->rollback(txn->db->conn);
        db_stats_end(&txn->db->stats, DB_ROLLED_BACK);
    }
    txn->open = false;
    *txn_p = NULL;
}

enum om_rc
om_db_open_span(struct om_db *self)
{
    assert(!self->spanned && !self->txn.open);
    enum om_rc rc = self->driver->begin(self->conn, true);
    if (rc) {
        note_error(self, "begin");
        db_stats_refuse();
        return OM_EDB;
    }
    db_stats_begin(&self->stats);
    self->spanned = true;
    return OM_OK;
}

enum om_rc
om_db_close_span(struct om_db *self, bool keep)
{
    assert(self->spanned && !self->txn.open);
    enum om_rc rc = self->span_rc;
    if (keep && !rc && (rc = commit(self)))
        note_error(self, "commit");
    self->driver->rollback(self->conn);
    db_stats_end(&self->stats, rc ? DB_FAILED : keep ? DB_COMMITTED : DB_ROLLED_BACK);
    self->spanned = false;
    self->span_rc = OM_OK;
    return keep ? rc : OM_OK;
}

enum om_rc
om_db_rc(const struct om_txn *txn)
{
    return txn->rc;
}

// ---- statements

static struct om_rows *
start(struct om_txn *txn, const struct om_sql *sql, const struct om_value *values,
      bool copy)
{
    if (txn->rc)
        return NULL;
    struct om_db *db = txn->db;
    struct om_rows *rows = NULL;
    int64_t began_us = om_clock_mono_us();
    enum om_rc rc = db->driver->start(db->conn, sql, values, copy, &rows);
    if (rc) {
        spoil(txn, rc, sql->name);
        return NULL;
    }
    rows->txn = txn;
    rows->ended = false;
    rows->began_us = began_us;
    rows->next = txn->rows;
    txn->rows = rows;
    return rows;
}

enum om_rc
om_db_exec_values(struct om_txn *txn, const struct om_sql *sql,
                  const struct om_value *values)
{
    OM_AUTO(om_rows_close) struct om_rows *rows = start(txn, sql, values, false);
    while (om_rows_next(rows))
        continue;
    return txn->rc;
}

int64_t
om_db_changes(const struct om_txn *txn)
{
    return txn->rc ? 0 : txn->db->driver->changes(txn->db->conn);
}

struct om_rows *
om_db_query_values(struct om_txn *txn, const struct om_sql *sql,
                   const struct om_value *values)
{
    return start(txn, sql, values, true);
}

bool
om_rows_next(struct om_rows *rows)
{
    if (!rows || rows->ended || rows->txn->rc)
        return false;
    enum om_rc rc = rows->txn->db->driver->step(rows);
    rows->ended = rc;
    if (rc && rc != OM_ENOTFOUND)
        spoil(rows->txn, rc, rows->sql->name);
    return !rc;
}

void
om_rows_close(struct om_rows **rows_p)
{
    struct om_rows *rows = *rows_p;
    *rows_p = NULL;
    if (!rows || !rows->txn)
        return;
    struct om_rows **link = &rows->txn->rows;
    while (*link != rows)
        link = &(*link)->next;
    *link = rows->next;
    db_stats_statement(&rows->txn->db->stats, rows->sql, rows->began_us);
    rows->txn->db->driver->reset(rows);
    rows->txn = NULL;
}

// ---- columns

static struct om_value
get(struct om_rows *rows, int column)
{
    return rows->txn->db->driver->get(rows, column);
}

int64_t
om_row_i64(struct om_rows *rows, int column)
{
    return get(rows, column).i64;
}

double
om_row_f64(struct om_rows *rows, int column)
{
    struct om_value value = get(rows, column);
    return value.type == DB_TYPE_I64 ? (double)value.i64 : value.f64;
}

struct om_str
om_row_str(struct om_rows *rows, int column)
{
    return get(rows, column).bytes;
}

bool
om_row_is_null(struct om_rows *rows, int column)
{
    return get(rows, column).type == DB_TYPE_NULL;
}

struct om_uuid
om_row_uuid(struct om_rows *rows, int column)
{
    struct om_str bytes = om_row_str(rows, column);
    struct om_uuid id = { 0 };
    if (bytes.size == sizeof(id.bytes))
        memcpy(id.bytes, bytes.data, sizeof(id.bytes));
    return id;
}

void
om_row_hash(struct om_rows *rows, int column, uint8_t out[32])
{
    struct om_str bytes = om_row_str(rows, column);
    memset(out, 0, 32);
    if (bytes.size == 32)
        memcpy(out, bytes.data, 32);
}

// ---- the schema

OM_SQL(migration_create, "CREATE TABLE IF NOT EXISTS schema_migrations ("
                         "number BIGINT PRIMARY KEY, name TEXT NOT NULL, "
                         "applied_ms BIGINT NOT NULL)");
OM_SQL(migration_list, "SELECT number, name FROM schema_migrations ORDER BY number");
OM_SQL(migration_insert,
       "INSERT INTO schema_migrations (number, name, applied_ms) VALUES ($1, $2, $3)");

// Which steps were applied? They must be the first of `migrations`; *next is set to the
// first that was not.
static enum om_rc
check_schema(struct om_db *self, const struct om_migration *migrations,
             const struct om_migration **next, char *why, size_t why_size)
{
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin(self);
    if (!txn || om_db_exec(txn, &sql_migration_create)) {
        snprintf(why, why_size, "%s", self->error);
        return txn ? om_db_rc(txn) : OM_EDB;
    }
    *next = migrations;
    OM_AUTO(om_rows_close) struct om_rows *rows = om_db_query(txn, &sql_migration_list);
    for (; om_rows_next(rows); ++*next) {
        int number = (int)om_row_i64(rows, 0);
        struct om_str name = om_row_str(rows, 1);
        if (!(*next)->number) {
            snprintf(
                why, why_size,
                "its schema is at step %d, \"%.*s\", and this program knows %d steps: "
                "it was written by a newer version of Omni",
                number, (int)name.size, name.data, (int)(*next - migrations));
            return OM_EUNSUPPORTED;
        }
        if (number != (*next)->number || !om_str_eq(name, om_str((*next)->name))) {
            snprintf(
                why, why_size,
                "step %d of its schema is \"%.*s\" where this program has \"%s\": it "
                "belongs to another program",
                number, (int)name.size, name.data, (*next)->name);
            return OM_EUNSUPPORTED;
        }
    }
    enum om_rc rc = om_db_commit(&txn);
    if (rc)
        snprintf(why, why_size, "%s", self->error);
    return rc;
}

static enum om_rc
migrate(struct om_db *self, const struct om_migration *step, char *why, size_t why_size)
{
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin(self);
    enum om_rc rc = OM_EDB;
    if (txn) {
        rc = self->driver->script(self->conn, step->sql);
        if (rc)
            spoil(txn, rc, step->name);
        om_db_exec(txn, &sql_migration_insert, DB_I64(step->number),
                   DB_STR(om_str(step->name)), DB_I64(om_clock_wall_ms()));
        rc = om_db_commit(&txn);
    }
    if (rc)
        snprintf(why, why_size, "schema step %d: %s", step->number, self->error);
    return rc;
}

static enum om_rc
update_schema(struct om_db *self, const struct om_migration *migrations, char *why,
              size_t why_size)
{
    const struct om_migration *step = migrations;
    enum om_rc rc = check_schema(self, migrations, &step, why, why_size);
    for (; !rc && step->number; step++)
        rc = migrate(self, step, why, why_size);
    return rc;
}

// ---- the connection

static const struct db_driver *
driver_find(const char *url)
{
    for (size_t i = 0; i < OM_COUNT(drivers); i++)
        if (strncmp(url, drivers[i]->scheme, strlen(drivers[i]->scheme)) == 0)
            return drivers[i];
    return NULL;
}

enum om_rc
om_db_open(const char *url, const char *service, const struct om_migration *migrations,
           struct om_db **out, char *why, size_t why_size)
{
    *out = NULL;
    const struct db_driver *driver = driver_find(url);
    if (!driver) {
        snprintf(why, why_size, "database \"%s\": must be sqlite:DIR", url);
        return OM_EINVAL;
    }
    struct om_db *self = calloc(1, sizeof(*self));
    if (!self) {
        snprintf(why, why_size, "no memory");
        return OM_EINTERNAL;
    }
    self->driver = driver;
    db_stats_open();

    char reason[512] = "";
    enum om_rc rc = driver->open(url + strlen(driver->scheme), service, &self->conn,
                                 reason, sizeof(reason));
    if (!rc)
        rc = update_schema(self, migrations, reason, sizeof(reason));
    if (rc) {
        snprintf(why, why_size, "database %s of %s: %s", url, service, reason);
        om_db_close(&self);
        return rc;
    }
    *out = self;
    return OM_OK;
}

void
om_db_close(struct om_db **self_p)
{
    struct om_db *self = *self_p;
    if (!self)
        return;
    if (self->txn.open) {
        struct om_txn *txn = &self->txn;
        om_db_rollback(&txn);
    }
    if (self->conn)
        self->driver->close(self->conn);
    db_stats_close();
    free(self);
    *self_p = NULL;
}

const char *
om_db_error(const struct om_db *self)
{
    return self->error;
}
