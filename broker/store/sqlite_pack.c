#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>

#include "sqlite.h"

enum {
    BLOCK_BYTES = 16 * 1024 - 256, // a block and the head of its row fill a page
    FILE_BLOCK_BYTES = 32 * 1024,  // in a file
    TASK_BYTES = BLOCK_BYTES / 4,  // one that is larger has rows of its own
    BUCKET_MS = 4,                 // at 100,000 a second 400 ids are searched
    SKEW_MS = 2000,                // of a client's clock
};

static_assert(sizeof(struct pack_place) == 24, "it is stored as it is");

static int64_t
time_of(const struct om_uuid *id)
{
    uint64_t time_ms = 0;
    for (size_t i = 0; i < 6; i++)
        time_ms = time_ms << 8 | id->bytes[i];
    return (int64_t)time_ms;
}

int64_t
pack_bucket(const struct om_uuid *id)
{
    return time_of(id) / BUCKET_MS;
}

bool
pack_takes(const struct change_task *task)
{
    int64_t skew_ms = task->created_ms - time_of(&task->id);
    return !task->idem_key.data && !task->unique_key.data && !task->retain_ms &&
           skew_ms >= -SKEW_MS && skew_ms <= SKEW_MS;
}

// ---- writing

static size_t
bytes_of(const struct pack_item *item)
{
    return item->task.size + item->result.size;
}

bool
pack_fits(const struct pack_item *item)
{
    return bytes_of(item) <= TASK_BYTES;
}

static int
by_tenant_and_seq(const void *a, const void *b)
{
    const struct pack_item *left = a, *right = b;
    int order = memcmp(&left->tenant, &right->tenant, sizeof(left->tenant));
    return order ? order : (left->seq > right->seq) - (left->seq < right->seq);
}

static int
by_id(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct om_uuid));
}

// Sort, unless it is: the tasks of one tenant come in order.
static void
sort(void *items, size_t count, size_t size, int (*order)(const void *, const void *))
{
    for (size_t i = 1; i < count; i++) {
        const char *item = (const char *)items + i * size;
        if (order(item - size, item) > 0) {
            qsort(items, count, size, order);
            return;
        }
    }
}

// How many of the items, from the first, are one block.
static size_t
block_count(const struct pack_item *items, size_t count, size_t block_bytes)
{
    size_t bytes = 0, at = 0;
    while (at < count && at < PACK_TASKS &&
           om_uuid_eq(&items[at].tenant, &items->tenant) &&
           bytes + bytes_of(&items[at]) <= block_bytes)
        bytes += bytes_of(&items[at++]);
    return at;
}

// What of SQLite's codes the failure of a file's operation is.
static int
file_code(void)
{
    return errno == ENOSPC || errno == EDQUOT ? SQLITE_FULL : SQLITE_IOERR_WRITE;
}

// The tasks as one piece of bytes in the row.
static struct om_str
copy_block(char bytes[BLOCK_BYTES], const struct pack_item *items, size_t count)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        const struct pack_item *item = &items[i];
        memcpy(bytes + size, item->task.data, item->task.size);
        memcpy(bytes + size + item->task.size, item->result.data, item->result.size);
        size += bytes_of(item);
    }
    return (struct om_str){ bytes, size };
}

// The same in a file.
static bool
file_block(struct pack_files *files, const struct pack_item *items, size_t count,
           struct pack_spot *spot)
{
    *spot = pack_files_spot(files);
    for (size_t i = 0; i < count; i++) {
        if (pack_files_put(files, items[i].task) != 0 ||
            pack_files_put(files, items[i].result) != 0)
            return false;
        spot->size += (int64_t)bytes_of(&items[i]);
    }
    return true;
}

static int
write_block(struct sqlite_store *self, const struct pack_item *items, size_t count,
            int64_t window_last, bool filed)
{
    char bytes[BLOCK_BYTES];
    struct om_str tasks = OM_LIT("");
    struct pack_spot spot = { 0 };
    if (!filed)
        tasks = copy_block(bytes, items, count);
    else if (!file_block(self->packs, items, count, &spot))
        return file_code();
    int64_t finished_ms = 0;
    for (size_t i = 0; i < count; i++)
        if (finished_ms < items[i].finished_ms)
            finished_ms = items[i].finished_ms;
    sqlite3_stmt *stmt = self->writes[WRITER_ADD_PACK];
    sqlite3_bind_int64(stmt, 1, items->seq);
    sqlite_bind_uuid(stmt, 2, &items->tenant);
    sqlite3_bind_int64(stmt, 3, items[count - 1].seq);
    sqlite3_bind_int64(stmt, 4, window_last);
    sqlite3_bind_int64(stmt, 5, items->created_ms);
    sqlite3_bind_int64(stmt, 6, finished_ms);
    sqlite_bind_blob(stmt, 7, tasks);
    sqlite3_bind_int64(stmt, 8, spot.file);
    sqlite3_bind_int64(stmt, 9, spot.at);
    sqlite3_bind_int64(stmt, 10, spot.size);
    return sqlite_run(stmt);
}

static int
write_blocks(struct sqlite_store *self, const struct pack_item *items, size_t count,
             int64_t window_last, bool filed, struct pack_place *places)
{
    int64_t blocks = 0;
    int code = SQLITE_DONE;
    if (filed && pack_files_begin(self->packs, self->pack_file_bytes) != 0)
        return file_code();
    for (size_t at = 0; at < count && code == SQLITE_DONE; blocks++) {
        size_t size =
            block_count(items + at, count - at, filed ? FILE_BLOCK_BYTES : BLOCK_BYTES);
        code = write_block(self, items + at, size, window_last, filed);
        for (size_t i = at; i < at + size; i++)
            places[i] =
                (struct pack_place){ items[i].id, htole64((uint64_t)items[at].seq) };
        at += size;
    }
    if (code != SQLITE_DONE || !filed)
        return code;
    int64_t file = pack_files_current(self->packs);
    if (pack_files_end(self->packs) != 0)
        return file_code();
    sqlite3_stmt *stmt = self->writes[WRITER_ADD_FILE_BLOCKS];
    sqlite3_bind_int64(stmt, 1, file);
    sqlite3_bind_int64(stmt, 2, blocks);
    return sqlite_run(stmt);
}

static int
write_ids(struct sqlite_store *self, const struct pack_place *places, size_t count,
          int64_t finished_ms)
{
    sqlite3_stmt *stmt = self->writes[WRITER_ADD_PACK_IDS];
    int code = SQLITE_DONE;
    for (size_t at = 0, end; at < count && code == SQLITE_DONE; at = end) {
        int64_t bucket = pack_bucket(&places[at].id);
        for (end = at + 1; end < count && pack_bucket(&places[end].id) == bucket;)
            end++;
        sqlite3_bind_int64(stmt, 1, bucket);
        sqlite3_bind_int64(stmt, 2, finished_ms);
        sqlite_bind_blob(
            stmt, 3,
            (struct om_str){ (const char *)(places + at), (end - at) * sizeof(*places) });
        code = sqlite_run(stmt);
    }
    return code;
}

int
pack_write(struct sqlite_store *self, struct pack_item *items, size_t count)
{
    struct pack_place *places = count ? malloc(count * sizeof(*places)) : NULL;
    if (!places)
        return count ? SQLITE_NOMEM : SQLITE_DONE;
    int64_t last = 0, finished_ms = 0;
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        bytes += bytes_of(&items[i]);
        if (last < items[i].seq)
            last = items[i].seq;
        if (finished_ms < items[i].finished_ms)
            finished_ms = items[i].finished_ms;
    }
    sort(items, count, sizeof(*items), by_tenant_and_seq);
    bool filed = bytes >= self->pack_least_bytes;
    int code = write_blocks(self, items, count, last, filed, places);
    sort(places, count, sizeof(*places), by_id);
    if (code == SQLITE_DONE)
        code = write_ids(self, places, count, finished_ms);
    if (code == SQLITE_DONE)
        code = sqlite_write_seq(self, WRITER_KEEP_TASK_SEQ, last);
    free(places);
    return code;
}
