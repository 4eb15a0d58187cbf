// db_driver.h - what an engine does for db.c. Only db*.c includes it.
//
// Names, rules of transactions, migrations and error stickiness stand once, in db.c; a
// driver connects, runs statements and translates results to om_rc.
#pragma once
#include "db.h"

struct om_txn {
    struct om_db *db;
    enum om_rc rc;
    bool open;
    struct om_rows *rows; // that are open
};

// A running statement. A driver's own struct begins with it.
struct om_rows {
    struct om_txn *txn; // NULL: closed
    bool ended;
    struct om_rows *next;
    const struct om_sql *sql;
    int64_t began_us;
};

struct db_driver {
    const char *scheme; // of the URL, with the colon

    // Connect to the database of `service` at `location`, the URL without the scheme.
    enum om_rc (*open)(const char *location, const char *service, void **conn, char *why,
                       size_t why_size);
    void (*close)(void *conn);

    enum om_rc (*begin)(void *conn, bool write);
    enum om_rc (*commit)(void *conn);
    void (*rollback)(void *conn);

    // Run statements without parameters, inside a transaction.
    enum om_rc (*script)(void *conn, const char *sql);

    // Find or prepare `sql` and bind `values`, copying them if `copy`.
    enum om_rc (*start)(void *conn, const struct om_sql *sql,
                        const struct om_value *values, bool copy, struct om_rows **out);
    // OM_OK: a row; OM_ENOTFOUND: the end.
    enum om_rc (*step)(struct om_rows *rows);
    void (*reset)(struct om_rows *rows);

    struct om_value (*get)(struct om_rows *rows, int column);
    int64_t (*changes)(void *conn);
    const char *(*error)(void *conn);
};

extern const struct db_driver db_sqlite;
