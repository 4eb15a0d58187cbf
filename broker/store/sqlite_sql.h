// sqlite_sql.h - every statement of the SQLite store, by connection. Private to
// sqlite*.c.
#pragma once

// clang-format off
#define SQLITE_TASK_COLUMNS                                                              \
    "t.seq, t.id, t.tenant, t.queue, t.kind, t.header, t.created_ms, r.state, r.attempts,"\
    " r.lost, r.started_ms, r.finished_ms, r.code, r.text, r.ctype"
#define SQLITE_MARKS                                                                     \
    "SELECT kind, at_ms, due_ms, attempt, epoch, lease, node, code, text FROM mark"      \
    " WHERE task_seq = ?1 ORDER BY n"

#define SQLITE_WRITER_LIST(X)                                                            \
    X(BEGIN, "BEGIN IMMEDIATE")                                                          \
    X(COMMIT, "COMMIT")                                                                  \
    X(ROLLBACK, "ROLLBACK")                                                              \
    X(ADD_TASK,                                                                          \
      "INSERT INTO task (seq, id, tenant, created_ms, queue, kind, header, payload)"     \
      " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (id) DO NOTHING")            \
    X(KNOWN_TASK, "SELECT seq, header, tenant FROM task WHERE id = ?1")                  \
    X(ADD_MARK,                                                                          \
      "INSERT INTO mark (task_seq, n, kind, at_ms, due_ms, attempt, epoch, lease, node," \
      " code, text) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)")              \
    X(ADD_RESULT,                                                                        \
      "INSERT INTO result (seq, state, attempts, lost, started_ms, finished_ms, code,"   \
      " text, ctype, payload, tenant) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10,"  \
      " CASE WHEN ?2 <> 8 THEN (SELECT tenant FROM task WHERE seq = ?1) END)"            \
      " ON CONFLICT (seq) DO NOTHING")                                                   \
    X(DROP_RESULT, "DELETE FROM result WHERE seq = ?1")                                  \
    X(ADD_EVENT,                                                                         \
      "INSERT INTO event (shard, topic, seq, id, tenant, at_ms, traceparent, body)"      \
      " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")                                        \
    X(SET_CURSOR,                                                                        \
      "INSERT INTO cursor (queue, shard, seq) VALUES (?1, ?2, ?3)"                       \
      " ON CONFLICT (queue, shard) DO UPDATE SET seq = max(seq, excluded.seq)")          \
    X(ENDED_TASKS,                                                                       \
      "SELECT t.seq, t.created_ms, r.finished_ms FROM task t"                            \
      " LEFT JOIN result r ON r.seq = t.seq WHERE t.seq > ?1 ORDER BY t.seq LIMIT ?2")   \
    X(DROP_TASK, "DELETE FROM task WHERE seq = ?1")                                      \
    X(DROP_MARKS, "DELETE FROM mark WHERE task_seq = ?1")                                \
    X(KEEP_TASK_SEQ,                                                                     \
      "UPDATE meta SET value = max(value, ?1) WHERE name = 'task_seq'")                  \
    X(NEXT_LANE,                                                                         \
      "SELECT shard, topic FROM event WHERE (shard, topic) > (?1, ?2)"                   \
      " ORDER BY shard, topic LIMIT 1")                                                  \
    X(LAST_OF_LANE, "SELECT max(seq) FROM event WHERE shard = ?1 AND topic = ?2")        \
    X(CURSOR, "SELECT seq FROM cursor WHERE queue = ?1 AND shard = ?2")                  \
    X(APPLIED_EVENTS,                                                                    \
      "SELECT seq, at_ms FROM event WHERE shard = ?1 AND topic = ?2 AND seq <= ?3"       \
      " ORDER BY seq LIMIT ?4")                                                          \
    X(DROP_EVENTS,                                                                       \
      "DELETE FROM event WHERE shard = ?1 AND topic = ?2 AND seq <= ?3")                 \
    X(KEEP_SHARD_SEQ,                                                                    \
      "INSERT INTO shard (shard, seq) VALUES (?1, ?2)"                                   \
      " ON CONFLICT (shard) DO UPDATE SET seq = max(seq, excluded.seq)")                 \
    X(LOAD_META, "SELECT value FROM meta WHERE name = ?1")                               \
    X(LOAD_TASK_SEQ, "SELECT max(seq) FROM task")                                        \
    X(LOAD_SHARDS, "SELECT shard, seq FROM shard")                                       \
    X(LOAD_CURSORS, "SELECT queue, shard, seq FROM cursor")                              \
    X(LOAD_TASKS,                                                                        \
      "SELECT " SQLITE_TASK_COLUMNS " FROM task t LEFT JOIN result r ON r.seq = t.seq"   \
      " WHERE r.seq IS NULL ORDER BY t.seq")                                             \
    X(LOAD_MARKS, SQLITE_MARKS)

// The partial index on results that did not succeed makes rare states quick to list; the
// many that succeeded are found on the way through the tenant's tasks.
#define SQLITE_READER_LIST(X)                                                            \
    X(BEGIN, "BEGIN")                                                                    \
    X(END, "COMMIT")                                                                     \
    X(MARKS, SQLITE_MARKS)                                                               \
    X(TASK,                                                                              \
      "SELECT " SQLITE_TASK_COLUMNS ", r.payload FROM task t"                            \
      " LEFT JOIN result r ON r.seq = t.seq WHERE t.id = ?1 AND t.tenant = ?2")          \
    X(SEQ, "SELECT seq FROM task WHERE id = ?1 AND tenant = ?2")                         \
    X(LIST_ALL,                                                                          \
      "SELECT " SQLITE_TASK_COLUMNS " FROM task t INDEXED BY task_tenant"                \
      " LEFT JOIN result r ON r.seq = t.seq WHERE t.tenant = ?1 AND t.seq < ?2"          \
      " ORDER BY t.seq DESC LIMIT ?3")                                                   \
    X(LIST_SUCCEEDED,                                                                    \
      "SELECT " SQLITE_TASK_COLUMNS " FROM task t INDEXED BY task_tenant"                \
      " CROSS JOIN result r ON r.seq = t.seq WHERE t.tenant = ?1 AND t.seq < ?2"         \
      " AND r.state = 8 ORDER BY t.seq DESC LIMIT ?3")                                   \
    X(LIST_STATE,                                                                        \
      "SELECT " SQLITE_TASK_COLUMNS " FROM result r INDEXED BY result_tenant"            \
      " CROSS JOIN task t ON t.seq = r.seq WHERE r.tenant = ?1 AND r.seq < ?2"           \
      " AND r.state = ?4 ORDER BY r.seq DESC LIMIT ?3")                                  \
    X(PAYLOAD, "SELECT payload FROM task WHERE seq = ?1")                                \
    X(EVENTS,                                                                            \
      "SELECT seq, id, tenant, at_ms, body, traceparent FROM event"                      \
      " WHERE shard = ?1 AND topic = ?2 AND seq > ?3 ORDER BY seq LIMIT ?4")
// clang-format on
