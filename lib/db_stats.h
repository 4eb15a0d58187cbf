// db_stats.h - what is counted of databases: connections, transactions, and how long each
// statement took. Private to db.c.
#pragma once
#include "db.h"

enum { DB_STATS_STATEMENTS = 512 }; // a power of two; more are counted as "other"

enum db_outcome { DB_COMMITTED, DB_ROLLED_BACK, DB_FAILED, DB_OUTCOMES };

// Of one connection.
struct db_stats {
    int64_t began_us; // its transaction
    struct {
        const struct om_sql *sql;
        uint32_t cell;
    } statements[DB_STATS_STATEMENTS];
};

// The connection is there, and goes.
void db_stats_open(void);
void db_stats_close(void);

// A transaction begins, could not begin, and ends.
void db_stats_begin(struct db_stats *self);
void db_stats_refuse(void);
void db_stats_end(struct db_stats *self, enum db_outcome outcome);

// A statement began then, and has ended.
void db_stats_statement(struct db_stats *self, const struct om_sql *sql,
                        int64_t began_us);
