#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "store_fixture.h"

static atomic_int write_result = SQLITE_OK, sync_result = SQLITE_OK;

// ---- the journal's files, which fail with SQLite's

// Every write needs a sync then.
static int
journal_open_cached(const char *path, int flags)
{
    if (!(flags & O_DIRECT))
        return open(path, flags | O_CLOEXEC, 0600);
    errno = EINVAL;
    return -1;
}

static ssize_t
journal_write(int fd, const void *data, size_t size, off_t at)
{
    if (!write_result)
        return pwrite(fd, data, size, at);
    errno = write_result == SQLITE_FULL ? ENOSPC : EIO;
    return -1;
}

static int
journal_sync(int fd)
{
    if (!sync_result)
        return fdatasync(fd);
    errno = EIO;
    return -1;
}

// ---- the store

void
fixture_open(struct fixture *self)
{
    enum om_rc rc = journal_store_open(self->path, &self->conf, &self->store);
    cr_assert_eq(rc, OM_OK, "%s", store_why());
}

void
fixture_init(struct fixture *self)
{
    snprintf(self->directory, sizeof(self->directory), "/tmp/omni-store-XXXXXX");
    cr_assert(mkdtemp(self->directory));
    snprintf(self->path, sizeof(self->path), "%s/broker.db", self->directory);
    snprintf(self->url, sizeof(self->url), "sqlite:%s", self->path);
    self->io = journal_io_files;
    self->io.open = journal_open_cached;
    self->io.write = journal_write;
    self->io.sync = journal_sync;
    self->conf = journal_store_default;
    self->conf.io = &self->io;
    fixture_open(self);
}

void
fixture_reopen(struct fixture *self)
{
    store_close(&self->store);
    fixture_open(self);
}

static int
remove_one(const char *path, const struct stat *status, int type, struct FTW *place)
{
    (void)status, (void)type, (void)place;
    return remove(path);
}

void
fixture_finish(struct fixture *self)
{
    store_close(&self->store);
    nftw(self->directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

struct om_uuid
fixture_id(int64_t number)
{
    struct om_uuid id = { 0 };
    for (int i = 0; i < 8; i++)
        id.bytes[14 - i] = (uint8_t)(number >> 8 * i);
    id.bytes[15] = 7;
    return id;
}

// ---- batches

struct batch *
batch_create(void)
{
    struct batch *self = calloc(1, sizeof(*self));
    cr_assert(self);
    return self;
}

void
batch_destroy(struct batch **self_p)
{
    struct batch *self = *self_p;
    *self_p = NULL;
    for (size_t i = 0; self && i < self->count; i++) {
        struct change *change = &self->changes[i];
        if (change->kind == CHANGE_TASK)
            payload_unref(&change->task.payload);
        else if (change->kind == CHANGE_RESULT)
            payload_unref(&change->result.payload);
        else if (change->kind == CHANGE_CHUNK)
            payload_unref(&change->chunk.payload);
    }
    free(self);
}

static struct change *
add(struct batch *self, enum change_kind kind)
{
    cr_assert_lt(self->count, BATCH_MAX);
    struct change *change = &self->changes[self->count++];
    *change = (struct change){ .kind = kind };
    return change;
}

struct change *
batch_task(struct batch *self, int64_t seq, int64_t tenant)
{
    struct change *change = add(self, CHANGE_TASK);
    change->task = (struct change_task){
        .seq = seq,
        .id = fixture_id(seq),
        .tenant = fixture_id(tenant),
        .queue = OM_LIT("reports"),
        .kind = OM_LIT("monthly"),
        .created_ms = 1000 + seq,
    };
    return change;
}

struct change *
batch_mark(struct batch *self, int64_t seq, enum mark_kind kind)
{
    struct change *change = add(self, CHANGE_MARK);
    change->mark =
        (struct change_mark){ .task_seq = seq, .kind = kind, .at_ms = 2000 + seq };
    return change;
}

struct change *
batch_result(struct batch *self, int64_t seq, enum task_state state)
{
    struct change *change = add(self, CHANGE_RESULT);
    change->result = (struct change_result){ .task_seq = seq, .state = state };
    return change;
}

struct change *
batch_event(struct batch *self, uint8_t shard, int64_t seq, const char *topic)
{
    struct change *change = add(self, CHANGE_EVENT);
    change->event = (struct change_event){
        .shard = shard,
        .seq = seq,
        .topic = om_str(topic),
        .id = OM_LIT("event"),
        .body = OM_LIT("\x80"),
        .tenant = fixture_id(shard),
        .at_ms = 5000 + seq,
    };
    return change;
}

struct change *
batch_cursor(struct batch *self, unsigned subscription, uint8_t shard, int64_t seq)
{
    struct change *change = add(self, CHANGE_CURSOR);
    change->cursor = (struct change_cursor){ subscription, shard, seq };
    return change;
}

// ---- loading

static void
on_task_seq(void *context, int64_t seq)
{
    ((struct loaded *)context)->task_seq = seq;
}

static void
on_shard(void *context, uint8_t shard, int64_t seq)
{
    ((struct loaded *)context)->shards[shard] = seq;
}

static void
on_cursor(void *context, unsigned subscription, uint8_t shard, int64_t seq)
{
    ((struct loaded *)context)->cursors[subscription][shard] = seq;
}

static struct om_str
keep(struct om_str text, char out[64])
{
    snprintf(out, 64, "%.*s", (int)text.size, text.data ? text.data : "");
    return om_str(out);
}

static enum om_rc
on_task(void *context, const struct stored_task *task)
{
    struct loaded *self = context;
    cr_assert_lt(self->count, OM_COUNT(self->tasks));
    struct loaded_task *kept = &self->tasks[self->count++];
    kept->task = *task;
    kept->task.code = keep(task->code, kept->code);
    kept->task.text = keep(task->text, kept->text);
    kept->task.node = keep(task->node, kept->node);
    kept->task.queue = kept->task.kind = kept->task.header = (struct om_str){ 0 };
    return OM_OK;
}

void
fixture_load(struct fixture *self, struct loaded *out)
{
    memset(out, 0, sizeof(*out));
    struct store_loader loader = { .context = out,
                                   .task_seq = on_task_seq,
                                   .shard = on_shard,
                                   .cursor = on_cursor,
                                   .task = on_task };
    cr_assert_eq(store_load(self->store, &loader), OM_OK);
}

// ---- reads

static struct read *
read_create(enum read_kind kind)
{
    struct read *read = calloc(1, sizeof(*read));
    cr_assert(read);
    read->kind = kind;
    return read;
}

struct read *
read_task(struct fixture *self, int64_t tenant, int64_t seq)
{
    struct read *read = read_create(READ_TASK);
    read->tenant = fixture_id(tenant);
    read->id = fixture_id(seq);
    store_read(self->store, read);
    return read;
}

struct read *
read_list(struct fixture *self, int64_t tenant, enum task_state state, int64_t after_seq,
          size_t limit)
{
    struct read *read = read_create(READ_LIST);
    read->tenant = fixture_id(tenant);
    if (after_seq)
        read->id = fixture_id(after_seq);
    read->state = state;
    read->limit = limit;
    store_read(self->store, read);
    return read;
}

struct read *
read_events(struct fixture *self, uint8_t shard, const char *topic, int64_t after,
            size_t limit)
{
    struct read *read = read_create(READ_EVENTS);
    read->shard = shard;
    read->topic = topic;
    read->seq = after;
    read->limit = limit;
    store_read(self->store, read);
    return read;
}

// ---- the disk: SQLite's own file system with two methods replaced

static const sqlite3_io_methods *real; // write and sync are the same for all files

static int
failing_write(sqlite3_file *file, const void *data, int size, sqlite3_int64 at)
{
    return write_result ? write_result : real->xWrite(file, data, size, at);
}

static int
failing_sync(sqlite3_file *file, int flags)
{
    return sync_result ? sync_result : real->xSync(file, flags);
}

static int
failing_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out)
{
    static sqlite3_io_methods database, others; // which differ in locks
    sqlite3_vfs *below = vfs->pAppData;
    int code = below->xOpen(below, name, file, flags, out);
    if (code == SQLITE_OK && file->pMethods) {
        real = file->pMethods;
        sqlite3_io_methods *methods = flags & SQLITE_OPEN_MAIN_DB ? &database : &others;
        *methods = *real;
        methods->xWrite = failing_write;
        methods->xSync = failing_sync;
        file->pMethods = methods;
    }
    return code;
}

void
disk_fail(int write_code, int sync_code)
{
    static sqlite3_vfs vfs;
    if (!vfs.xOpen) {
        sqlite3_vfs *below = sqlite3_vfs_find(NULL);
        vfs = *below;
        vfs.zName = "failing";
        vfs.pNext = NULL;
        vfs.pAppData = below;
        vfs.xOpen = failing_open;
        cr_assert_eq(sqlite3_vfs_register(&vfs, 1), SQLITE_OK);
    }
    write_result = write_code;
    sync_result = sync_code;
}
