// sqlite_sql.h - every statement of the tables, by connection. Private to sqlite*.c.
#pragma once

// clang-format off
#define SQLITE_TASK_COLUMNS                                                              \
    "t.seq, t.id, t.tenant, t.queue, t.kind, t.header, t.created_ms, r.state, r.attempts,"\
    " r.lost, r.started_ms, r.finished_ms, r.code, r.text, r.ctype"
#define SQLITE_MARKS                                                                     \
    "SELECT kind, at_ms, due_ms, attempt, epoch, lease, node, code, text FROM mark"      \
    " WHERE task_seq = ?1 ORDER BY n"
#define SQLITE_NEXT_LANE                                                                 \
    "SELECT shard, topic FROM event WHERE (shard, topic) > (?1, ?2)"                     \
    " ORDER BY shard, topic LIMIT 1"
#define SQLITE_IDS_OF_BUCKET                                                             \
    "SELECT ids FROM pack_id INDEXED BY pack_id_bucket WHERE bucket = ?1"
#define SQLITE_TASKS                                                                     \
    "CASE WHEN file <> 0 THEN pack_block(file, at, size) ELSE tasks END"
#define SQLITE_BLOCK "SELECT " SQLITE_TASKS " FROM pack WHERE seq = ?1"
#define SQLITE_KNOWN_COLUMNS "t.seq, t.id, t.tenant, t.header"
#define SQLITE_MATCHES                                                                   \
    " AND (?5 IS NULL OR t.queue = ?5) AND (?6 IS NULL OR t.kind = ?6)"                  \
    " AND (?7 IS NULL OR r.code = ?7)"

// The applying thread's.
#define SQLITE_WRITER_LIST(X)                                                            \
    X(BEGIN, "BEGIN IMMEDIATE")                                                          \
    X(COMMIT, "COMMIT")                                                                  \
    X(ROLLBACK, "ROLLBACK")                                                              \
    X(SET_APPLIED, "UPDATE meta SET value = ?1 WHERE name = 'applied'")                  \
    X(ADD_TASKS,                                                                         \
      "INSERT OR IGNORE INTO task (seq, id, tenant, created_ms, queue, kind, header,"    \
      " payload, idem_key) SELECT * FROM window_task")                                   \
    X(ADD_RESULTS,                                                                       \
      "INSERT OR IGNORE INTO result (seq, state, attempts, lost, started_ms,"            \
      " finished_ms, code, text, ctype, payload, tenant) SELECT w.*, CASE WHEN"          \
      " w.state <> 8 THEN (SELECT tenant FROM task t WHERE t.seq = w.seq) END"           \
      " FROM window_result w")                                                           \
    X(ADD_PACK,                                                                          \
      "INSERT INTO pack (seq, tenant, last, window_last, created_ms, finished_ms, tasks,"\
      " file, at, size) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)")               \
    X(ADD_FILE_BLOCKS,                                                                   \
      "INSERT INTO pack_file (file, blocks) VALUES (?1, ?2)"                             \
      " ON CONFLICT (file) DO UPDATE SET blocks = blocks + ?2")                          \
    X(ADD_PACK_IDS,                                                                      \
      "INSERT INTO pack_id (bucket, finished_ms, ids) VALUES (?1, ?2, ?3)")              \
    X(ADD_EVENTS,                                                                        \
      "INSERT OR IGNORE INTO event (shard, topic, seq, id, tenant, at_ms, traceparent,"  \
      " body) SELECT * FROM window_event")                                               \
    X(ADD_OPEN,                                                                          \
      "INSERT OR REPLACE INTO open (seq, tenant, queue, priority, created_ms, due_ms,"   \
      " expires_ms, limit_key, flags) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")      \
    X(OPEN_AGAIN,                                                                        \
      "INSERT OR REPLACE INTO open (seq, tenant, queue, priority, created_ms, due_ms,"   \
      " expires_ms, flags) SELECT seq, tenant, queue, 5, created_ms, 0, 0, 0 FROM task"  \
      " WHERE seq = ?1")                                                                 \
    X(MARK_OPEN, "UPDATE open SET flags = 0 WHERE seq = ?1 AND flags <> 0")              \
    X(DROP_OPEN, "DELETE FROM open WHERE seq = ?1")                                      \
    X(ADD_RETAIN, "INSERT OR REPLACE INTO retain (seq, retain_ms) VALUES (?1, ?2)")      \
    X(HOLD_KEY,                                                                          \
      "INSERT OR REPLACE INTO held (tenant, key, seq, until_ms) VALUES (?1, ?2, ?3, ?4)")\
    X(ADD_MARK,                                                                          \
      "INSERT INTO mark (task_seq, n, kind, at_ms, due_ms, attempt, epoch, lease, node," \
      " code, text) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)")              \
    X(DROP_RELEASED,                                                                     \
      "DELETE FROM mark WHERE task_seq = ?1 AND n IN"                                    \
      " (SELECT n FROM mark WHERE task_seq = ?1 ORDER BY n DESC LIMIT 2 OFFSET 1)"       \
      " AND (SELECT group_concat(kind) FROM (SELECT kind FROM mark WHERE task_seq = ?1"  \
      " ORDER BY n DESC LIMIT 3)) = '1,2,1'")                                            \
    X(ADD_RESULT,                                                                        \
      "INSERT INTO result (seq, state, attempts, lost, started_ms, finished_ms, code,"   \
      " text, ctype, payload, tenant) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10,"  \
      " CASE WHEN ?2 <> 8 THEN (SELECT tenant FROM task WHERE seq = ?1) END)"            \
      " ON CONFLICT (seq) DO NOTHING")                                                   \
    X(DROP_RESULT, "DELETE FROM result WHERE seq = ?1")                                  \
    X(SET_CURSOR,                                                                        \
      "INSERT INTO cursor (queue, shard, seq) VALUES (?1, ?2, ?3)"                       \
      " ON CONFLICT (queue, shard) DO UPDATE SET seq = max(seq, excluded.seq)")          \
    X(SET_SETTING,                                                                       \
      "INSERT OR REPLACE INTO setting (tenant, scope, name, weight, concurrency, rate,"  \
      " rate_ms, paused, purge_seq) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")        \
    X(DROP_SETTING,                                                                      \
      "DELETE FROM setting WHERE tenant = ?1 AND scope = ?2 AND name = ?3")              \
    X(ADD_START,                                                                         \
      "INSERT INTO start (tenant, scope, name, at_ms, count, until_ms)"                  \
      " VALUES (?1, ?2, ?3, ?4, ?5, ?6)")                                                \
    X(ADD_CHUNK,                                                                         \
      "INSERT OR REPLACE INTO chunk (task_seq, seq, attempt, ctype, payload, worker_seq)"\
      " VALUES (?1, ?2, ?3, ?4, ?5, ?6)")                                                \
    X(ENDED_TASKS,                                                                       \
      "SELECT t.seq, t.created_ms, r.finished_ms FROM task t"                            \
      " LEFT JOIN result r ON r.seq = t.seq WHERE t.seq > ?1 ORDER BY t.seq LIMIT ?2")   \
    X(ENDED_PACKS,                                                                       \
      "SELECT seq, created_ms, finished_ms FROM pack WHERE seq > ?1 ORDER BY seq"        \
      " LIMIT ?2")                                                                       \
    X(ENDED_PACK_IDS,                                                                    \
      "SELECT n, finished_ms, finished_ms FROM pack_id WHERE n > ?1 ORDER BY n LIMIT ?2")\
    X(PACKED_LATELY,                                                                     \
      "SELECT " SQLITE_TASKS " FROM pack WHERE seq = ?1 AND finished_ms > ?2")           \
    X(DROP_FILE_BLOCK,                                                                   \
      "UPDATE pack_file SET blocks = blocks - 1"                                         \
      " WHERE file = (SELECT file FROM pack WHERE seq = ?1) RETURNING blocks")           \
    X(DROP_PACK, "DELETE FROM pack WHERE seq = ?1")                                      \
    X(EMPTY_FILE,                                                                        \
      "SELECT file FROM pack_file WHERE blocks = 0 AND file <> ?1 LIMIT 1")              \
    X(DROP_FILE, "DELETE FROM pack_file WHERE file = ?1")                                \
    X(DROP_PACK_IDS, "DELETE FROM pack_id WHERE n = ?1")                                 \
    X(RETAINED, "SELECT 1 FROM retain WHERE seq = ?1")                                   \
    X(RETAINED_ENDED,                                                                    \
      "SELECT k.seq, r.finished_ms + k.retain_ms FROM retain k"                          \
      " LEFT JOIN result r ON r.seq = k.seq WHERE k.seq > ?1 ORDER BY k.seq LIMIT ?2")   \
    X(ENDED_HEADER,                                                                      \
      "SELECT t.header FROM task t JOIN result r ON r.seq = t.seq"                       \
      " WHERE t.seq = ?1 AND r.finished_ms > ?2")                                        \
    X(KEEP_NAMES,                                                                        \
      "INSERT OR REPLACE INTO gone (id, tenant, seq, hash, idem_key, until_ms)"          \
      " SELECT t.id, t.tenant, t.seq, ?2, t.idem_key, r.finished_ms + ?3"                \
      " FROM task t JOIN result r ON r.seq = t.seq WHERE t.seq = ?1")                    \
    X(KEEP_PACKED_NAMES,                                                                 \
      "INSERT OR REPLACE INTO gone (id, tenant, seq, hash, until_ms)"                    \
      " VALUES (?1, ?2, ?3, ?4, ?5)")                                                    \
    X(DROP_NAMES,                                                                        \
      "DELETE FROM gone WHERE id IN"                                                     \
      " (SELECT id FROM gone WHERE until_ms < ?1 LIMIT ?2)")                             \
    X(DROP_TASK, "DELETE FROM task WHERE seq = ?1")                                      \
    X(DROP_MARKS, "DELETE FROM mark WHERE task_seq = ?1")                                \
    X(DROP_CHUNKS, "DELETE FROM chunk WHERE task_seq = ?1")                              \
    X(DROP_HELD, "DELETE FROM held WHERE seq = ?1")                                      \
    X(DROP_RETAIN, "DELETE FROM retain WHERE seq = ?1")                                  \
    X(DROP_STARTS,                                                                       \
      "DELETE FROM start WHERE rowid IN"                                                 \
      " (SELECT rowid FROM start WHERE until_ms < ?1 LIMIT ?2)")                         \
    X(KEEP_TASK_SEQ,                                                                     \
      "UPDATE meta SET value = max(value, ?1) WHERE name = 'task_seq'")                  \
    X(NEXT_LANE, SQLITE_NEXT_LANE)                                                       \
    X(CURSOR, "SELECT seq FROM cursor WHERE queue = ?1 AND shard = ?2")                  \
    X(APPLIED_EVENTS,                                                                    \
      "SELECT seq, at_ms FROM event WHERE shard = ?1 AND topic = ?2 AND seq <= ?3"       \
      " ORDER BY seq LIMIT ?4")                                                          \
    X(DROP_EVENTS,                                                                       \
      "DELETE FROM event WHERE shard = ?1 AND topic = ?2 AND seq <= ?3")                 \
    X(KEEP_SHARD_SEQ,                                                                    \
      "INSERT INTO shard (shard, seq) VALUES (?1, ?2)"                                   \
      " ON CONFLICT (shard) DO UPDATE SET seq = max(seq, excluded.seq)")

// The committing thread's: is a task known?
#define SQLITE_FINDER_LIST(X)                                                            \
    X(BEGIN, "BEGIN")                                                                    \
    X(END, "COMMIT")                                                                     \
    X(BY_ID, "SELECT " SQLITE_KNOWN_COLUMNS " FROM task t WHERE t.id = ?1")              \
    X(BY_IDEM,                                                                           \
      "SELECT " SQLITE_KNOWN_COLUMNS " FROM task t WHERE t.tenant = ?1"                  \
      " AND t.idem_key = ?2 AND t.idem_key IS NOT NULL")                                 \
    X(HELD, "SELECT 1 FROM held LIMIT 1")                                                \
    X(IDS_OF_BUCKET, SQLITE_IDS_OF_BUCKET)                                               \
    X(BLOCK, SQLITE_BLOCK)                                                               \
    X(GONE_BY_ID, "SELECT seq, id, tenant, hash FROM gone WHERE id = ?1")                \
    X(GONE_BY_IDEM,                                                                      \
      "SELECT seq, id, tenant, hash FROM gone WHERE tenant = ?1 AND idem_key = ?2"       \
      " AND idem_key IS NOT NULL")                                                       \
    X(BY_UNIQUE,                                                                         \
      "SELECT " SQLITE_KNOWN_COLUMNS ", h.until_ms, o.seq FROM held h"                   \
      " CROSS JOIN task t ON t.seq = h.seq LEFT JOIN open o ON o.seq = h.seq"            \
      " WHERE h.tenant = ?1 AND h.key = ?2")

// The reading thread's, and what is loaded at the start. The partial index on results
// that did not succeed makes rare states quick to list; the many that succeeded are found
// on the way through the tenant's tasks. Beside max(seq), what is no aggregate is of its
// row (sqlite.org/lang_select.html#bareagg).
#define SQLITE_READER_LIST(X)                                                            \
    X(BEGIN, "BEGIN")                                                                    \
    X(END, "COMMIT")                                                                     \
    X(MARKS, SQLITE_MARKS)                                                               \
    X(TASK,                                                                              \
      "SELECT " SQLITE_TASK_COLUMNS ", r.payload FROM task t"                            \
      " LEFT JOIN result r ON r.seq = t.seq WHERE t.id = ?1 AND t.tenant = ?2")          \
    X(TASK_OF_SEQ,                                                                       \
      "SELECT " SQLITE_TASK_COLUMNS " FROM task t"                                       \
      " LEFT JOIN result r ON r.seq = t.seq WHERE t.seq = ?1")                           \
    X(TASK_AND_PAYLOAD,                                                                  \
      "SELECT " SQLITE_TASK_COLUMNS ", o.flags,"                                         \
      " CASE WHEN length(t.payload) <= ?2 THEN t.payload END FROM task t"                \
      " LEFT JOIN result r ON r.seq = t.seq LEFT JOIN open o ON o.seq = t.seq"           \
      " WHERE t.seq = ?1")                                                               \
    X(STATE_OF,                                                                          \
      "SELECT t.seq, r.state FROM task t LEFT JOIN result r ON r.seq = t.seq"            \
      " WHERE t.id = ?1 AND t.tenant = ?2")                                              \
    X(REOPEN_OF,                                                                         \
      "SELECT lease FROM mark WHERE task_seq = ?1 AND kind = 6 ORDER BY n DESC LIMIT 1") \
    X(SEQ, "SELECT seq FROM task WHERE id = ?1 AND tenant = ?2")                         \
    X(LIST_ALL,                                                                          \
      "SELECT " SQLITE_TASK_COLUMNS " FROM task t INDEXED BY task_tenant"                \
      " LEFT JOIN result r ON r.seq = t.seq WHERE t.tenant = ?1 AND t.seq < ?2"          \
      " AND t.seq >= ?8" SQLITE_MATCHES " ORDER BY t.seq DESC LIMIT ?3")                 \
    X(LIST_SUCCEEDED,                                                                    \
      "SELECT " SQLITE_TASK_COLUMNS " FROM task t INDEXED BY task_tenant"                \
      " CROSS JOIN result r ON r.seq = t.seq WHERE t.tenant = ?1 AND t.seq < ?2"         \
      " AND t.seq >= ?8 AND r.state = 8" SQLITE_MATCHES " ORDER BY t.seq DESC LIMIT ?3") \
    X(LIST_STATE,                                                                        \
      "SELECT " SQLITE_TASK_COLUMNS " FROM result r INDEXED BY result_tenant"            \
      " CROSS JOIN task t ON t.seq = r.seq WHERE r.tenant = ?1 AND r.seq < ?2"           \
      " AND r.seq >= ?8 AND r.state = ?4" SQLITE_MATCHES " ORDER BY r.seq DESC LIMIT ?3")\
    X(LIST_OPEN,                                                                         \
      "SELECT " SQLITE_TASK_COLUMNS " FROM open o INDEXED BY open_tenant"                \
      " CROSS JOIN task t ON t.seq = o.seq LEFT JOIN result r ON r.seq = t.seq"          \
      " WHERE o.tenant = ?1 AND o.seq < ?2 AND o.seq >= ?8" SQLITE_MATCHES               \
      " ORDER BY o.seq DESC LIMIT ?3")                                                   \
    X(FLOOR_TASKS,                                                                       \
      "SELECT l.seq, (SELECT id FROM task WHERE seq = l.seq)"                            \
      " FROM task l INDEXED BY task_tenant WHERE l.tenant = ?1 AND l.seq < ?2"           \
      " ORDER BY l.seq DESC LIMIT 1 OFFSET ?3")                                          \
    X(FLOOR_STATE,                                                                       \
      "SELECT l.seq, (SELECT id FROM task WHERE seq = l.seq)"                            \
      " FROM result l INDEXED BY result_tenant WHERE l.tenant = ?1 AND l.seq < ?2"       \
      " AND l.state = ?4 ORDER BY l.seq DESC LIMIT 1 OFFSET ?3")                         \
    X(FLOOR_OPEN,                                                                        \
      "SELECT l.seq, (SELECT id FROM task WHERE seq = l.seq)"                            \
      " FROM open l INDEXED BY open_tenant WHERE l.tenant = ?1 AND l.seq < ?2"           \
      " ORDER BY l.seq DESC LIMIT 1 OFFSET ?3")                                          \
    X(FLOOR_BLOCKS,                                                                      \
      "SELECT seq FROM pack INDEXED BY pack_tenant WHERE tenant = ?1 AND seq < ?2"       \
      " ORDER BY seq DESC LIMIT 1 OFFSET ?3")                                            \
    X(IDS_OF_BUCKET, SQLITE_IDS_OF_BUCKET)                                               \
    X(BLOCK, SQLITE_BLOCK)                                                               \
    X(BLOCKS_BEFORE,                                                                     \
      "SELECT last, window_last, CASE WHEN last >= ?1 THEN " SQLITE_TASKS " END"         \
      " FROM pack WHERE seq <= ?1 ORDER BY seq DESC")                                    \
    X(BLOCKS_OF_TENANT,                                                                  \
      "SELECT " SQLITE_TASKS " FROM pack INDEXED BY pack_tenant"                         \
      " WHERE tenant = ?1 AND seq < ?2 ORDER BY seq DESC")                               \
    X(PAYLOAD, "SELECT payload FROM task WHERE seq = ?1")                                \
    X(EVENTS,                                                                            \
      "SELECT seq, id, tenant, at_ms, body, traceparent FROM event"                      \
      " WHERE shard = ?1 AND topic = ?2 AND seq > ?3 ORDER BY seq LIMIT ?4")             \
    X(CHUNKS,                                                                            \
      "SELECT seq, attempt, ctype, payload FROM chunk"                                   \
      " WHERE task_seq = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3")                         \
    X(CHUNK_TOTALS,                                                                      \
      "SELECT count(*), sum(length(payload)), max(seq), attempt, worker_seq FROM chunk"  \
      " WHERE task_seq = ?1")                                                            \
    X(NEXT_LANE, SQLITE_NEXT_LANE)                                                       \
    X(LAST_OF_LANE, "SELECT max(seq) FROM event WHERE shard = ?1 AND topic = ?2")        \
    X(LOAD_META, "SELECT value FROM meta WHERE name = ?1")                               \
    X(LOAD_TASK_SEQ, "SELECT max(seq) FROM task")                                        \
    X(LOAD_SHARDS, "SELECT shard, seq FROM shard")                                       \
    X(LOAD_CURSORS, "SELECT queue, shard, seq FROM cursor")                              \
    X(LOAD_SETTINGS,                                                                     \
      "SELECT tenant, scope, name, weight, concurrency, rate, rate_ms, paused, purge_seq"\
      " FROM setting")                                                                   \
    X(LOAD_STARTS,                                                                       \
      "SELECT tenant, scope, name, at_ms, count, until_ms FROM start ORDER BY at_ms")    \
    X(LOAD_OPEN,                                                                         \
      "SELECT seq, tenant, queue, limit_key, priority, created_ms, due_ms, expires_ms,"  \
      " flags FROM open ORDER BY seq")
// clang-format on
