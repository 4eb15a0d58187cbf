#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "db_driver.h"

struct statement {
    struct om_rows rows; // first: an om_rows of this driver is a statement
    sqlite3_stmt *stmt;
    struct statement *next;
};

struct conn {
    sqlite3 *db;
    int lock_fd; // FILE.lock, locked for as long as the connection lives
    struct statement *statements;
};

static const struct om_sql begin_write = { "begin", "BEGIN IMMEDIATE" };
static const struct om_sql begin_read = { "begin_read", "BEGIN" };
static const struct om_sql commit = { "commit", "COMMIT" };
static const struct om_sql rollback = { "rollback", "ROLLBACK" };

static enum om_rc
rc_of(int code)
{
    if (code == SQLITE_CONSTRAINT_UNIQUE || code == SQLITE_CONSTRAINT_PRIMARYKEY)
        return OM_EDUP;
    return (code & 0xff) == SQLITE_FULL ? OM_ENOSPACE : OM_EDB;
}

// ---- opening

// Make the folder and an empty file that only this user can read; SQLite gives its other
// files the same mode. Then lock it against other processes.
static enum om_rc
claim(struct conn *conn, const char *dir, const char *path, char *why, size_t why_size)
{
    if (mkdir(dir, 0700) && errno != EEXIST) {
        snprintf(why, why_size, "cannot make folder %s: %s", dir, strerror(errno));
        return OM_EDB;
    }
    char lock[PATH_MAX];
    snprintf(lock, sizeof(lock), "%s.lock", path);
    conn->lock_fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (conn->lock_fd < 0) {
        snprintf(why, why_size, "cannot open %s: %s", lock, strerror(errno));
        return errno == ENOSPC ? OM_ENOSPACE : OM_EDB;
    }
    if (flock(conn->lock_fd, LOCK_EX | LOCK_NB)) {
        snprintf(why, why_size, "%s is in use by another process", path);
        return OM_ECONFLICT;
    }
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        snprintf(why, why_size, "cannot open %s: %s", path, strerror(errno));
        return errno == ENOSPC ? OM_ENOSPACE : OM_EDB;
    }
    close(fd);
    return OM_OK;
}

static enum om_rc
configure(struct conn *conn, const char *path, char *why, size_t why_size)
{
    int code = sqlite3_open_v2(
        path, &conn->db,
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
    if (!code)
        code = sqlite3_busy_timeout(conn->db,
                                    5000); // a backup or sqlite3 may read beside us
    if (!code)
        code = sqlite3_exec(conn->db,
                            "PRAGMA journal_mode=WAL;"
                            "PRAGMA synchronous=FULL;" // a commit survives power loss
                            "PRAGMA foreign_keys=ON;"
                            "PRAGMA trusted_schema=OFF",
                            NULL, NULL, NULL);
    if (code) {
        snprintf(why, why_size, "cannot use %s: %s", path,
                 conn->db ? sqlite3_errmsg(conn->db) : sqlite3_errstr(code));
        return rc_of(code);
    }
    return OM_OK;
}

static void
on_close(void *self)
{
    struct conn *conn = self;
    while (conn->statements) {
        struct statement *statement = conn->statements;
        conn->statements = statement->next;
        sqlite3_finalize(statement->stmt);
        free(statement);
    }
    sqlite3_close(conn->db);
    if (conn->lock_fd >= 0)
        close(conn->lock_fd);
    free(conn);
}

static enum om_rc
on_open(const char *location, const char *service, void **out, char *why, size_t why_size)
{
    char path[PATH_MAX - 8]; // room for ".lock" and SQLite's "-wal"
    int size = snprintf(path, sizeof(path), "%s/%s.db", location, service);
    if (!*location || size >= (int)sizeof(path)) {
        snprintf(why, why_size, "no folder, or a path that is too long");
        return OM_EINVAL;
    }
    struct conn *conn = calloc(1, sizeof(*conn));
    if (!conn)
        return OM_EINTERNAL;
    conn->lock_fd = -1;
    enum om_rc rc = claim(conn, location, path, why, why_size);
    if (!rc)
        rc = configure(conn, path, why, why_size);
    if (rc) {
        on_close(conn);
        return rc;
    }
    *out = conn;
    return OM_OK;
}

// ---- statements

static struct statement *
prepare(struct conn *conn, const struct om_sql *sql)
{
    for (struct statement *at = conn->statements; at; at = at->next)
        if (at->rows.sql == sql)
            return at;
    struct statement *statement = calloc(1, sizeof(*statement));
    if (!statement)
        return NULL;
    if (sqlite3_prepare_v3(conn->db, sql->text, -1, SQLITE_PREPARE_PERSISTENT,
                           &statement->stmt, NULL)) {
        free(statement);
        return NULL;
    }
    statement->rows.sql = sql;
    statement->next = conn->statements;
    conn->statements = statement;
    return statement;
}

static int
bind_one(sqlite3_stmt *stmt, int index, const struct om_value *value, bool copy)
{
    sqlite3_destructor_type keep = copy ? SQLITE_TRANSIENT : SQLITE_STATIC;
    switch (value->type) {
    case DB_TYPE_I64:
        return sqlite3_bind_int64(stmt, index, value->i64);
    case DB_TYPE_F64:
        return sqlite3_bind_double(stmt, index, value->f64);
    case DB_TYPE_STR:
        return sqlite3_bind_text64(stmt, index, value->bytes.data, value->bytes.size,
                                   keep, SQLITE_UTF8);
    case DB_TYPE_BIN:
        return sqlite3_bind_blob64(stmt, index, value->bytes.data, value->bytes.size,
                                   keep);
    case DB_TYPE_NULL:
    case DB_TYPE_END:
        break;
    }
    return sqlite3_bind_null(stmt, index);
}

// SQLite numbers parameters in the order they appear, so $2 before $1 has index 1: the
// name says which value is meant.
static int
bind_all(sqlite3_stmt *stmt, const struct om_value *values, bool copy)
{
    int count = 0;
    while (values[count].type != DB_TYPE_END)
        count++;
    assert(sqlite3_bind_parameter_count(stmt) == count && "a value for every parameter");
    int code = SQLITE_OK;
    for (int index = 1; index <= count && !code; index++) {
        int number = atoi(sqlite3_bind_parameter_name(stmt, index) + 1);
        assert(number >= 1 && number <= count);
        code = bind_one(stmt, index, &values[number - 1], copy);
    }
    return code;
}

static enum om_rc
on_start(void *self, const struct om_sql *sql, const struct om_value *values, bool copy,
         struct om_rows **out)
{
    struct conn *conn = self;
    struct statement *statement = prepare(conn, sql);
    if (!statement)
        return rc_of(sqlite3_extended_errcode(conn->db));
    assert(!statement->rows.txn && "one set of open rows a statement");
    int code = bind_all(statement->stmt, values, copy);
    if (code) {
        sqlite3_clear_bindings(statement->stmt);
        return rc_of(code);
    }
    *out = &statement->rows;
    return OM_OK;
}

static enum om_rc
on_step(struct om_rows *rows)
{
    int code = sqlite3_step(((struct statement *)rows)->stmt);
    if (code == SQLITE_ROW)
        return OM_OK;
    return code == SQLITE_DONE ? OM_ENOTFOUND : rc_of(code);
}

static void
on_reset(struct om_rows *rows)
{
    sqlite3_stmt *stmt = ((struct statement *)rows)->stmt;
    sqlite3_reset(stmt); // repeats the failure of the last step, which is known
    sqlite3_clear_bindings(stmt);
}

static struct om_value
on_get(struct om_rows *rows, int column)
{
    sqlite3_stmt *stmt = ((struct statement *)rows)->stmt;
    struct om_value value = { 0 };
    assert(column < sqlite3_column_count(stmt));
    switch (sqlite3_column_type(stmt, column)) {
    case SQLITE_INTEGER:
        value.type = DB_TYPE_I64;
        value.i64 = sqlite3_column_int64(stmt, column);
        return value;
    case SQLITE_FLOAT:
        value.type = DB_TYPE_F64;
        value.f64 = sqlite3_column_double(stmt, column);
        return value;
    case SQLITE_NULL:
        value.type = DB_TYPE_NULL;
        return value;
    case SQLITE_TEXT:
        value.type = DB_TYPE_STR;
        value.bytes.data = (const char *)sqlite3_column_text(stmt, column);
        break;
    default:
        value.type = DB_TYPE_BIN;
        value.bytes.data = sqlite3_column_blob(stmt, column);
        break;
    }
    value.bytes.size = (size_t)sqlite3_column_bytes(stmt, column);
    if (!value.bytes.data)
        value.bytes = OM_LIT(""); // present and empty
    return value;
}

// ---- transactions

static enum om_rc
run(struct conn *conn, const struct om_sql *sql)
{
    struct statement *statement = prepare(conn, sql);
    if (!statement)
        return OM_EDB;
    int code = sqlite3_step(statement->stmt);
    sqlite3_reset(statement->stmt);
    return code == SQLITE_DONE ? OM_OK : rc_of(code);
}

static enum om_rc
on_begin(void *self, bool write)
{
    return run(self, write ? &begin_write : &begin_read);
}

static enum om_rc
on_commit(void *self)
{
    return run(self, &commit);
}

// After a commit, and where SQLite rolled back by itself (a full disk), none is open.
static void
on_rollback(void *self)
{
    struct conn *conn = self;
    if (!sqlite3_get_autocommit(conn->db))
        (void)run(conn, &rollback);
}

static enum om_rc
on_script(void *self, const char *sql)
{
    int code = sqlite3_exec(((struct conn *)self)->db, sql, NULL, NULL, NULL);
    return code ? rc_of(code) : OM_OK;
}

static int64_t
on_changes(void *self)
{
    return sqlite3_changes64(((struct conn *)self)->db);
}

static const char *
on_error(void *self)
{
    return sqlite3_errmsg(((struct conn *)self)->db);
}

const struct db_driver db_sqlite = {
    .scheme = "sqlite:",
    .open = on_open,
    .close = on_close,
    .begin = on_begin,
    .commit = on_commit,
    .rollback = on_rollback,
    .script = on_script,
    .start = on_start,
    .step = on_step,
    .reset = on_reset,
    .get = on_get,
    .changes = on_changes,
    .error = on_error,
};
