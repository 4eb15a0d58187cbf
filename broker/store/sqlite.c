#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "sqlite.h"
#include "sqlite_schema.h"

enum {
    SCHEMA = OM_COUNT(migrations),
    WRITER_CACHE_KIB = 16 * 1024,
    READER_CACHE_KIB = 8 * 1024, // each
    BUSY_MS = 2000,              // somebody reads the file with a tool
};

// ---- opening

static enum om_rc
refuse_db(sqlite3 *db, const char *path)
{
    int code = sqlite3_errcode(db);
    return store_refuse(sqlite_rc(db, code), "%s: %s", path, sqlite3_errmsg(db));
}

// Hold the file for this process. A lock file of its own, because SQLite's locks on the
// database come and go.
static enum om_rc
lock_file(struct sqlite_store *self, const char *path)
{
    char lock_path[4096];
    int size = snprintf(lock_path, sizeof(lock_path), "%s.lock", path);
    if (size < 0 || (size_t)size >= sizeof(lock_path))
        return store_refuse(OM_EDB, "%s: the path is too long", path);
    self->lock_fd = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (self->lock_fd < 0)
        return store_refuse(errno == ENOSPC ? OM_ENOSPACE : OM_EDB, "%s: %s", lock_path,
                            strerror(errno));
    if (flock(self->lock_fd, LOCK_EX | LOCK_NB) != 0)
        return store_refuse(OM_ECONFLICT, "%s is in use by another process", path);

    const char *slash = strrchr(path, '/');
    size_t length = slash == path ? 1 : (size_t)(slash ? slash - path : 0);
    self->directory = slash ? strndup(path, length) : strdup(".");
    if (!self->directory)
        return store_refuse(OM_EDB, "no memory");

    // SQLite gives its own files the mode of this one.
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return store_refuse(errno == ENOSPC ? OM_ENOSPACE : OM_EDB, "%s: %s", path,
                            strerror(errno));
    close(fd);
    return OM_OK;
}

// Write the log that an earlier process left once more. A failed fsync loses what it was
// to write and the next one says nothing of it, so what can be read may not be on the
// disk; with frames missing from its middle the log would undo a part of a later
// checkpoint.
static enum om_rc
refresh_log(const char *path, const struct journal_io *io)
{
    enum { PIECE = 1 << 20 };
    char log_path[4200];
    snprintf(log_path, sizeof(log_path), "%s-wal", path);
    int fd = io->open(log_path, O_RDWR);
    if (fd < 0 && errno == ENOENT)
        return OM_OK;
    char *piece = malloc(PIECE);
    ssize_t got = fd >= 0 && piece ? 1 : -1;
    for (off_t at = 0; got > 0; at += got) {
        got = io->read(fd, piece, PIECE, at);
        if (got > 0 && io->write(fd, piece, (size_t)got, at) != got)
            got = -1;
    }
    if (got == 0 && io->sync(fd) != 0)
        got = -1;
    enum om_rc rc = OM_OK;
    if (got < 0)
        rc = store_refuse(errno == ENOSPC ? OM_ENOSPACE : OM_EDB, "%s: %s", log_path,
                          strerror(errno));
    free(piece);
    if (fd >= 0)
        io->close(fd);
    return rc;
}

static int
connect_file(const char *path, const char *vfs, sqlite3 **out)
{
    int code =
        sqlite3_open_v2(path, out, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, vfs);
    if (code == SQLITE_OK)
        code = sqlite3_extended_result_codes(*out, 1);
    if (code == SQLITE_OK)
        code = sqlite3_busy_timeout(*out, BUSY_MS);
    return code;
}

static int
query_i64(sqlite3 *db, const char *sql, int64_t *value)
{
    sqlite3_stmt *stmt = NULL;
    int code = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);
    if (code == SQLITE_OK && (code = sqlite3_step(stmt)) == SQLITE_ROW) {
        *value = sqlite3_column_int64(stmt, 0);
        code = sqlite3_step(stmt); // an UPDATE commits behind its row
        code = code == SQLITE_DONE ? SQLITE_OK : code;
    }
    sqlite3_finalize(stmt);
    return code;
}

static enum om_rc
migrate(sqlite3 *db, const char *path)
{
    int64_t schema = 0;
    if (query_i64(db, "PRAGMA user_version", &schema) != SQLITE_OK)
        return refuse_db(db, path);
    if (schema > SCHEMA)
        return store_refuse(
            OM_ECONFLICT,
            "%s was made by a newer omni-broker (schema %lld; this one knows up to "
            "%d): install that version, or restore a backup made before it",
            path, (long long)schema, (int)SCHEMA);
    if (sqlite3_exec(db,
                     "PRAGMA page_size = 16384; PRAGMA journal_mode = WAL;"
                     "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;"
                     "PRAGMA temp_store = MEMORY",
                     NULL, NULL, NULL) != SQLITE_OK)
        return refuse_db(db, path);

    for (; schema < SCHEMA; schema++) {
        char *sql =
            sqlite3_mprintf("BEGIN IMMEDIATE; %s; PRAGMA user_version = %d; COMMIT",
                            migrations[schema], (int)schema + 1);
        int code = sql ? sqlite3_exec(db, sql, NULL, NULL, NULL) : SQLITE_NOMEM;
        sqlite3_free(sql);
        if (code != SQLITE_OK)
            return refuse_db(db, path);
    }
    return OM_OK;
}

// SQLite's locks are not on the log, so another descriptor of it is no harm.
static void
open_log(struct sqlite_store *self, const char *path)
{
    char log_path[4200];
    snprintf(log_path, sizeof(log_path), "%s-wal", path);
    self->log_fd = open(log_path, O_RDONLY | O_CLOEXEC);
}

static enum om_rc
bump_epoch(struct sqlite_store *self, const char *path)
{
    int64_t epoch = 0, journal = 0, applied = 0, page_bytes = 0;
    if (query_i64(
            self->writer,
            "UPDATE meta SET value = value + 1 WHERE name = 'epoch' RETURNING value",
            &epoch) != SQLITE_OK ||
        query_i64(self->writer, "SELECT value FROM meta WHERE name = 'journal'",
                  &journal) != SQLITE_OK ||
        query_i64(self->writer, "SELECT value FROM meta WHERE name = 'applied'",
                  &applied) != SQLITE_OK ||
        query_i64(self->writer, "PRAGMA page_size", &page_bytes) != SQLITE_OK)
        return refuse_db(self->writer, path);
    self->epoch = (uint32_t)epoch;
    self->journal_id = (uint64_t)journal;
    self->page_bytes = (size_t)page_bytes;
    self->applied = self->synced = applied;
    return OM_OK;
}

static void
raise_id(struct om_uuid *greatest, struct om_uuid id)
{
    if (memcmp(&id, greatest, sizeof(id)) > 0)
        *greatest = id;
}

static enum om_rc
find_greatest_id(struct sqlite_store *self, const char *path)
{
    sqlite3_stmt *stmt = NULL;
    int code = sqlite3_prepare_v2(self->writer,
                                  "SELECT max(id) FROM"
                                  " (SELECT max(id) AS id FROM task"
                                  " UNION ALL SELECT max(id) FROM gone)",
                                  -1, &stmt, NULL);
    if (code == SQLITE_OK && (code = sqlite3_step(stmt)) == SQLITE_ROW)
        self->greatest_id = sqlite_uuid(stmt, 0);
    sqlite3_finalize(stmt);
    if (code != SQLITE_ROW)
        return refuse_db(self->writer, path);
    code = sqlite3_prepare_v2(self->writer,
                              "SELECT ids FROM pack_id WHERE bucket ="
                              " (SELECT max(bucket) FROM pack_id)",
                              -1, &stmt, NULL);
    while (code == SQLITE_OK || code == SQLITE_ROW) {
        code = sqlite3_step(stmt);
        if (code == SQLITE_ROW)
            raise_id(&self->greatest_id, pack_greatest(sqlite_str(stmt, 0)));
    }
    sqlite3_finalize(stmt);
    return code == SQLITE_DONE ? OM_OK : refuse_db(self->writer, path);
}

// Does a row name a block in the file? It is asked when the log is on the disk.
static bool
is_named(void *context, int64_t file)
{
    sqlite3_stmt *stmt = NULL;
    int code = sqlite3_prepare_v2(
        context, "SELECT 1 FROM pack_file WHERE file = ?1 AND blocks > 0", -1, &stmt,
        NULL);
    if (code == SQLITE_OK) {
        sqlite3_bind_int64(stmt, 1, file);
        code = sqlite3_step(stmt);
    }
    sqlite3_finalize(stmt);
    return code != SQLITE_DONE;
}

static enum om_rc
open_packs(struct sqlite_store *self, const struct journal_io *io)
{
    char folder[4200];
    snprintf(folder, sizeof(folder), "%s/packs", self->directory);
    return pack_files_open(folder, io, is_named, self->writer, &self->packs);
}

static int
note_frames(void *context, sqlite3 *db, const char *name, int frames)
{
    (void)db, (void)name;
    struct sqlite_store *self = context;
    self->wal_frames = frames;
    return SQLITE_OK;
}

static int
prepare(sqlite3 *db, int cache_kib, const char *const *sql, size_t count,
        sqlite3_stmt **out)
{
    char pragma[64];
    snprintf(pragma, sizeof(pragma), "PRAGMA cache_size = -%d", cache_kib);
    int code = sqlite3_exec(db, pragma, NULL, NULL, NULL);
    for (size_t i = 0; i < count && code == SQLITE_OK; i++)
        code =
            sqlite3_prepare_v3(db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &out[i], NULL);
    return code;
}

// A connection that only reads. The last one to close would checkpoint; that is the
// writer's to do.
static int
connect_reader(const char *path, const char *vfs, sqlite3 **out)
{
    int code = connect_file(path, vfs, out);
    if (code == SQLITE_OK)
        code = sqlite3_db_config(*out, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_exec(*out, "PRAGMA query_only = 1; PRAGMA wal_autocheckpoint = 0",
                            NULL, NULL, NULL);
    return code;
}

static enum om_rc
prepare_all(struct sqlite_store *self, const char *path, const char *vfs)
{
#define SQL_TEXT(name, sql) sql,
    static const char *const writes[] = { SQLITE_WRITER_LIST(SQL_TEXT) };
    static const char *const finds[] = { SQLITE_FINDER_LIST(SQL_TEXT) };
    static const char *const reads[] = { SQLITE_READER_LIST(SQL_TEXT) };
#undef SQL_TEXT
    if (sqlite_rows_register(self->writer, &self->rows) != SQLITE_OK ||
        pack_register(self->writer, self->packs) != SQLITE_OK ||
        prepare(self->writer, WRITER_CACHE_KIB, writes, WRITER_COUNT, self->writes) !=
            SQLITE_OK)
        return refuse_db(self->writer, path);
    sqlite3_wal_hook(self->writer, note_frames, self);
    if (connect_reader(path, vfs, &self->finder) != SQLITE_OK ||
        pack_register(self->finder, self->packs) != SQLITE_OK ||
        prepare(self->finder, READER_CACHE_KIB, finds, FINDER_COUNT, self->finds) !=
            SQLITE_OK)
        return refuse_db(self->finder, path);
    if (connect_reader(path, vfs, &self->reader) != SQLITE_OK ||
        pack_register(self->reader, self->packs) != SQLITE_OK ||
        prepare(self->reader, READER_CACHE_KIB, reads, READER_COUNT, self->reads) !=
            SQLITE_OK)
        return refuse_db(self->reader, path);
    return OM_OK;
}

static void
disconnect(sqlite3 *db, sqlite3_stmt **statements, size_t count)
{
    for (size_t i = 0; i < count; i++)
        sqlite3_finalize(statements[i]);
    sqlite3_close(db);
}

void
sqlite_close(struct sqlite_store **self_p)
{
    struct sqlite_store *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    // After a failure nobody knows what of the log is on the disk: do not tidy it away.
    if (self->broken)
        sqlite3_db_config(self->writer, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    disconnect(self->finder, self->finds, FINDER_COUNT);
    disconnect(self->reader, self->reads, READER_COUNT);
    disconnect(self->writer, self->writes, WRITER_COUNT);
    pack_files_close(&self->packs);
    pthread_mutex_destroy(&self->reading);
    if (self->log_fd >= 0)
        close(self->log_fd);
    if (self->lock_fd >= 0)
        close(self->lock_fd);
    free(self->directory);
    free(self);
}

enum om_rc
sqlite_open(const char *path, const char *vfs, const struct journal_io *io,
            struct sqlite_store **out)
{
    struct sqlite_store *self = calloc(1, sizeof(*self));
    if (!self)
        return store_refuse(OM_EDB, "no memory");
    self->lock_fd = self->log_fd = -1;
    self->sweep.shard = -1;
    pthread_mutex_init(&self->reading, NULL);

    // Counting memory costs a lock at each allocation. Too late is no harm.
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);

    enum om_rc rc = lock_file(self, path);
    if (rc == OM_OK)
        rc = refresh_log(path, io);
    if (rc == OM_OK && connect_file(path, vfs, &self->writer) != SQLITE_OK)
        rc = refuse_db(self->writer, path);
    if (rc == OM_OK)
        rc = migrate(self->writer, path);
    // Also that SQLite's rollback journal is gone: back again, it would undo everything.
    if (rc == OM_OK && io->sync_folder(self->directory) != 0)
        rc = store_refuse(OM_EDB, "%s: %s", self->directory, strerror(errno));
    if (rc == OM_OK)
        rc = bump_epoch(self, path);
    if (rc == OM_OK)
        rc = find_greatest_id(self, path);
    if (rc == OM_OK)
        rc = open_packs(self, io);
    if (rc == OM_OK)
        rc = prepare_all(self, path, vfs);
    if (rc != OM_OK) {
        sqlite_close(&self);
        return rc;
    }
    open_log(self, path);
    *out = self;
    return OM_OK;
}

double
sqlite_disk_free(const struct sqlite_store *self)
{
    struct statvfs disk;
    if (statvfs(self->directory, &disk) != 0 || disk.f_blocks == 0)
        return 1;
    return (double)disk.f_bavail / (double)disk.f_blocks;
}

// ---- statements

void
sqlite_bind_str(sqlite3_stmt *stmt, int at, struct om_str value)
{
    sqlite3_bind_text64(stmt, at, value.data, value.size, SQLITE_STATIC, SQLITE_UTF8);
}

void
sqlite_bind_blob(sqlite3_stmt *stmt, int at, struct om_str value)
{
    sqlite3_bind_blob64(stmt, at, value.data, value.size, SQLITE_STATIC);
}

void
sqlite_bind_uuid(sqlite3_stmt *stmt, int at, const struct om_uuid *value)
{
    sqlite3_bind_blob(stmt, at, value->bytes, sizeof(value->bytes), SQLITE_STATIC);
}

struct om_str
sqlite_str(sqlite3_stmt *stmt, int column)
{
    if (sqlite3_column_type(stmt, column) == SQLITE_NULL)
        return (struct om_str){ 0 };
    const char *data = sqlite3_column_blob(stmt, column);
    size_t size = (size_t)sqlite3_column_bytes(stmt, column);
    return (struct om_str){ data ? data : "", size };
}

struct om_uuid
sqlite_uuid(sqlite3_stmt *stmt, int column)
{
    struct om_uuid id = { 0 };
    struct om_str bytes = sqlite_str(stmt, column);
    if (bytes.size == sizeof(id.bytes))
        memcpy(id.bytes, bytes.data, sizeof(id.bytes));
    return id;
}

int
sqlite_run(sqlite3_stmt *stmt)
{
    int code = sqlite3_step(stmt);
    sqlite3_reset(stmt);
    return code;
}

enum om_rc
sqlite_rc(sqlite3 *db, int code)
{
    bool full = (code & 0xff) == SQLITE_FULL || sqlite3_system_errno(db) == ENOSPC;
    return full ? OM_ENOSPACE : OM_EDB;
}
