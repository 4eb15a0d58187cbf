// db.h - a service's own database: SQLite, by URL, with the same meaning on other
// engines.
//
// One om_db is one connection and belongs to one thread. Every statement runs in a
// transaction. A statement that fails, a unique violation too, spoils its transaction:
// further statements do nothing and the commit rolls back and returns that first failure
// (as PostgreSQL does it). So a run of statements is checked once, at the commit; where a
// duplicate is normal, write ON CONFLICT DO NOTHING and look at om_db_changes().
//
// Parameters are $1, $2, ... in the SQL of any engine. Prepared statements are cached by
// the address of their om_sql, which is static. Its name is for logs and metrics.
//
//   OM_SQL(key_find, "SELECT id FROM api_key WHERE hash = $1");
//
//   OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin(db);
//   if (!txn)
//       return OM_EDB;
//   om_db_exec(txn, &sql_key_insert, DB_UUID(&id), DB_STR(name), DB_I64(now_ms));
//   return om_db_commit(&txn); // takes txn: nothing is left to roll back
#pragma once
#include "uuid.h"

struct om_db;
struct om_txn;
struct om_rows;

struct om_sql {
    const char *name;
    const char *text;
};

#define OM_SQL(name, text) static const struct om_sql sql_##name = { #name, text }

// One step of a schema. Numbers rise from 1; steps are never changed once released.
struct om_migration {
    int number; // 0 ends a table
    const char *name;
    const char *sql; // any number of statements
};

enum om_value_type {
    DB_TYPE_END,
    DB_TYPE_NULL,
    DB_TYPE_I64,
    DB_TYPE_F64,
    DB_TYPE_STR,
    DB_TYPE_BIN
};

struct om_value {
    enum om_value_type type;
    int64_t i64;
    double f64;
    struct om_str bytes; // with data == NULL the value is NULL
};

// The values of $1, $2, ... in order.
// clang-format off
#define DB_NULL        { DB_TYPE_NULL, 0, 0, { 0 } }
#define DB_I64(value)  { DB_TYPE_I64, value, 0, { 0 } }
#define DB_F64(value)  { DB_TYPE_F64, 0, value, { 0 } }
#define DB_STR(str)    { DB_TYPE_STR, 0, 0, str }
#define DB_BIN(str)    { DB_TYPE_BIN, 0, 0, str }
#define DB_UUID(id)    { DB_TYPE_BIN, 0, 0, { (const char *)(id)->bytes, 16 } }
#define DB_HASH(hash)  { DB_TYPE_BIN, 0, 0, { (const char *)(hash), 32 } }
// clang-format on

// Open the database of `service` at `url`, bring its schema up to date, and keep others
// out. "sqlite:DIR" is the file DIR/<service>.db; the folder is made if its parent
// exists.
//   OM_ECONFLICT     another process has it open
//   OM_EUNSUPPORTED  its schema is newer than, or not that of, this program
//   OM_EINVAL        the URL is not one this program knows
//   OM_EDB, OM_ENOSPACE
// On failure the reason, for people, has been written to `why`.
OM_MUST_CHECK enum om_rc om_db_open(const char *url, const char *service,
                                    const struct om_migration *migrations,
                                    struct om_db **out, char *why, size_t why_size);

// Roll back what is open, and close. Sets *self_p to NULL.
void om_db_close(struct om_db **self_p);

// What the engine said of the last failure, with the statement's name; "" if none failed.
const char *om_db_error(const struct om_db *self);

// Begin a transaction that writes, or one that sees one moment and only reads. A
// connection has one at a time. NULL: OM_EDB. Ends by om_db_commit() or om_db_rollback(),
// which set *txn_p to NULL and reset the rows that are still open.
struct om_txn *om_db_begin(struct om_db *self);
struct om_txn *om_db_begin_read(struct om_db *self);

//   OM_OK        durable
//   OM_EDUP      a statement met a unique violation; rolled back
//   OM_ENOSPACE  the disk is full; rolled back
//   OM_EDB       anything else; rolled back, or, if the commit itself failed, perhaps not
OM_MUST_CHECK enum om_rc om_db_commit(struct om_txn **txn_p);
void om_db_rollback(struct om_txn **txn_p);

// Make one of all transactions until om_db_close_span(): each of them is a part of it,
// whose commit says how the part went but makes nothing durable, and whose rollback
// undoes that part alone. Spans do not nest. OM_EDB, with nothing open.
OM_MUST_CHECK enum om_rc om_db_open_span(struct om_db *self);

// End it: commit the parts, or undo them all. The results are those of om_db_commit().
OM_MUST_CHECK enum om_rc om_db_close_span(struct om_db *self, bool keep);

// The first failure of the transaction so far; OM_OK if none.
enum om_rc om_db_rc(const struct om_txn *txn);

// Run a statement to its end; rows it gives are dropped. Returns om_db_rc().
#define om_db_exec(txn, sql, ...)                                                        \
    om_db_exec_values(txn, sql,                                                          \
                      (const struct om_value[]){ __VA_ARGS__ __VA_OPT__(, ){ 0 } })
enum om_rc om_db_exec_values(struct om_txn *txn, const struct om_sql *sql,
                             const struct om_value *values);

// Rows the last om_db_exec() inserted, updated or deleted.
int64_t om_db_changes(const struct om_txn *txn);

// Start a query. Never NULL on success; NULL if it or the transaction failed. A statement
// has one set of open rows at a time.
//   OM_AUTO(om_rows_close) struct om_rows *rows = om_db_query(txn, &sql_keys, DB_I64(n));
//   while (om_rows_next(rows)) ...
//   if (om_db_rc(txn)) ...
#define om_db_query(txn, sql, ...)                                                       \
    om_db_query_values(txn, sql,                                                         \
                       (const struct om_value[]){ __VA_ARGS__ __VA_OPT__(, ){ 0 } })
struct om_rows *om_db_query_values(struct om_txn *txn, const struct om_sql *sql,
                                   const struct om_value *values);

// Go to the next row. False at the end, on failure, and for NULL.
bool om_rows_next(struct om_rows *rows);

// Close and set *rows_p to NULL; harmless for NULL and after the end of the transaction.
void om_rows_close(struct om_rows **rows_p);

// A column of the current row, from 0. NULL reads as 0, as an absent om_str, as false.
// Bytes are borrowed until the next om_rows_next() or the close.
int64_t om_row_i64(struct om_rows *rows, int column);
double om_row_f64(struct om_rows *rows, int column);
struct om_str om_row_str(struct om_rows *rows, int column); // text or bytes
bool om_row_is_null(struct om_rows *rows, int column);

// Copy a column that must hold exactly 16 or 32 bytes; zeroes if it does not.
struct om_uuid om_row_uuid(struct om_rows *rows, int column);
void om_row_hash(struct om_rows *rows, int column, uint8_t out[32]);
