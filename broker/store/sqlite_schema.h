// sqlite_schema.h - how the tables are made. Private to sqlite.c.
#pragma once

// Migration N brings a database from schema N to N + 1; user_version holds the schema. A
// row is never changed once it was released.
static const char *const migrations[] = {
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
    "INSERT INTO meta VALUES ('epoch', 0), ('task_seq', 0);"

    "CREATE TABLE task (seq INTEGER PRIMARY KEY, id BLOB NOT NULL, tenant BLOB NOT NULL,"
    " created_ms INTEGER NOT NULL, queue TEXT NOT NULL, kind TEXT NOT NULL, header BLOB,"
    " payload BLOB);"
    "CREATE UNIQUE INDEX task_id ON task (id);"
    "CREATE INDEX task_tenant ON task (tenant, seq);"

    // `n` orders a task's marks.
    "CREATE TABLE mark (task_seq INTEGER NOT NULL, n INTEGER NOT NULL,"
    " kind INTEGER NOT NULL, at_ms INTEGER NOT NULL, due_ms INTEGER NOT NULL,"
    " attempt INTEGER NOT NULL, epoch INTEGER NOT NULL, lease INTEGER NOT NULL,"
    " node TEXT, code TEXT, text TEXT, PRIMARY KEY (task_seq, n)) WITHOUT ROWID;"

    // `tenant` is NULL for the many that succeeded, which keeps the index small.
    "CREATE TABLE result (seq INTEGER PRIMARY KEY, state INTEGER NOT NULL, tenant BLOB,"
    " attempts INTEGER NOT NULL, lost INTEGER NOT NULL, started_ms INTEGER NOT NULL,"
    " finished_ms INTEGER NOT NULL, code TEXT, text TEXT, ctype TEXT, payload BLOB);"
    "CREATE INDEX result_tenant ON result (tenant, state, seq) WHERE tenant IS NOT NULL;"

    // The topic stands in the key so that a subscriber's run is read without a search
    // among the events of others.
    "CREATE TABLE event (shard INTEGER NOT NULL, topic TEXT NOT NULL, seq INTEGER NOT "
    "NULL,"
    " id TEXT NOT NULL, tenant BLOB NOT NULL, at_ms INTEGER NOT NULL, traceparent TEXT,"
    " body BLOB NOT NULL, PRIMARY KEY (shard, topic, seq)) WITHOUT ROWID;"

    // The newest event that was purged: a shard's numbers are never used again.
    "CREATE TABLE shard (shard INTEGER PRIMARY KEY, seq INTEGER NOT NULL);"

    "CREATE TABLE cursor (queue TEXT NOT NULL, shard INTEGER NOT NULL,"
    " seq INTEGER NOT NULL, PRIMARY KEY (queue, shard)) WITHOUT ROWID;",

    // The last record of the journal that is in the tables, and whose journal it is.
    "INSERT INTO meta VALUES ('applied', 0), ('journal', random());"

    // What store_load() goes through: tasks without a result, so that a start costs what
    // is open and not the history. `flags`: 1 = waiting for its first start, with nothing
    // but this row to be known of it.
    "CREATE TABLE open (seq INTEGER PRIMARY KEY, tenant BLOB NOT NULL,"
    " queue TEXT NOT NULL, priority INTEGER NOT NULL, created_ms INTEGER NOT NULL,"
    " due_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL, limit_key TEXT,"
    " flags INTEGER NOT NULL);"
    "CREATE INDEX open_tenant ON open (tenant, seq);"
    "INSERT INTO open (seq, tenant, queue, priority, created_ms, due_ms, expires_ms,"
    " flags) SELECT t.seq, t.tenant, t.queue, 5, t.created_ms, 0, 0, 0 FROM task t"
    " LEFT JOIN result r ON r.seq = t.seq WHERE r.seq IS NULL;"

    "ALTER TABLE task ADD COLUMN idem_key TEXT;"
    "CREATE UNIQUE INDEX task_idem ON task (tenant, idem_key)"
    " WHERE idem_key IS NOT NULL;"

    // Who holds a unique key; `until_ms` 0: while the task is open.
    "CREATE TABLE held (tenant BLOB NOT NULL, key TEXT NOT NULL, seq INTEGER NOT NULL,"
    " until_ms INTEGER NOT NULL, PRIMARY KEY (tenant, key)) WITHOUT ROWID;"
    "CREATE INDEX held_seq ON held (seq);"

    // Tasks with a retention of their own.
    "CREATE TABLE retain (seq INTEGER PRIMARY KEY, retain_ms INTEGER NOT NULL);"

    "CREATE TABLE setting (tenant BLOB NOT NULL, scope INTEGER NOT NULL,"
    " name TEXT NOT NULL, weight INTEGER NOT NULL, concurrency INTEGER NOT NULL,"
    " rate INTEGER NOT NULL, rate_ms INTEGER NOT NULL, paused INTEGER NOT NULL,"
    " purge_seq INTEGER NOT NULL, PRIMARY KEY (tenant, scope, name)) WITHOUT ROWID;"

    "CREATE TABLE start (tenant BLOB NOT NULL, scope INTEGER NOT NULL,"
    " name TEXT NOT NULL, at_ms INTEGER NOT NULL, count INTEGER NOT NULL,"
    " until_ms INTEGER NOT NULL);"
    "CREATE INDEX start_until ON start (until_ms);"

    "CREATE TABLE chunk (task_seq INTEGER NOT NULL, seq INTEGER NOT NULL,"
    " attempt INTEGER NOT NULL, ctype TEXT, payload BLOB,"
    " PRIMARY KEY (task_seq, seq)) WITHOUT ROWID;",

    // Names of tasks that were purged less than a day after their end.
    "CREATE TABLE gone (id BLOB PRIMARY KEY, tenant BLOB NOT NULL, seq INTEGER NOT NULL,"
    " hash BLOB NOT NULL, idem_key TEXT, until_ms INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX gone_idem ON gone (tenant, idem_key) WHERE idem_key IS NOT NULL;"
    "CREATE INDEX gone_until ON gone (until_ms);",

    // Headers from here on lack what stands in other columns: an older program must not
    // read them.
    "SELECT 1",

    "ALTER TABLE chunk ADD COLUMN worker_seq INTEGER NOT NULL DEFAULT 0",

    // Many tasks in a row; sqlite_pack.h says which. `seq` is its first, `window_last`
    // the last one that was packed together with it.
    "CREATE TABLE pack (seq INTEGER PRIMARY KEY, tenant BLOB NOT NULL,"
    " last INTEGER NOT NULL, window_last INTEGER NOT NULL, created_ms INTEGER NOT NULL,"
    " finished_ms INTEGER NOT NULL, tasks BLOB NOT NULL);"
    "CREATE INDEX pack_tenant ON pack (tenant, seq);"
    "CREATE TABLE pack_id (n INTEGER PRIMARY KEY, bucket INTEGER NOT NULL,"
    " finished_ms INTEGER NOT NULL, ids BLOB NOT NULL);"
    "CREATE INDEX pack_id_bucket ON pack_id (bucket);",

    // Blocks in files (pack_file.h): where one is, `tasks` being empty then, and how many
    // of a file's are needed.
    "ALTER TABLE pack ADD COLUMN file INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE pack ADD COLUMN at INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE pack ADD COLUMN size INTEGER NOT NULL DEFAULT 0;"
    "CREATE TABLE pack_file (file INTEGER PRIMARY KEY, blocks INTEGER NOT NULL);",
};
