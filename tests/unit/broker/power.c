#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "power.h"

enum { SECTOR = 512, FILES_MAX = 256, PATH_BYTES = 256 };

// A write that was not synced; size 0: the file was cut off at `at`.
struct pending {
    size_t at, size;
    char *data;
};

struct file {
    char path[PATH_BYTES];    // as the process sees it; empty: removed
    char durable[PATH_BYTES]; // as the disk has it; empty: not there
    char *bytes;              // durable
    size_t size;
    struct pending *pending;
    size_t pending_count;
};

static struct disk {
    pthread_mutex_t mutex;
    struct file files[FILES_MAX];
    size_t count;
    uint64_t random, operations, at;
    enum power_fault fault;
    bool happened, off;
    bool direct;              // files can be written past the cache
    struct file *interrupted; // by the cut, during a write
    const char *lie;
} disk = { .mutex = PTHREAD_MUTEX_INITIALIZER };

static struct file *by_fd[4096];
static bool synced_fd[4096]; // each write is synced

// SplitMix64.
static uint64_t
draw(uint64_t below)
{
    uint64_t z = disk.random += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (z ^ z >> 31) % below;
}

uint64_t
power_draw(uint64_t below)
{
    pthread_mutex_lock(&disk.mutex);
    uint64_t drawn = draw(below);
    pthread_mutex_unlock(&disk.mutex);
    return drawn;
}

// ---- files

static void
forget_pending(struct file *file)
{
    for (size_t i = 0; i < file->pending_count; i++)
        free(file->pending[i].data);
    free(file->pending);
    file->pending = NULL;
    file->pending_count = 0;
}

static struct file *
file_of(const char *path)
{
    struct file *file = NULL, *gone = NULL;
    for (size_t i = 0; i < disk.count && !file; i++) {
        struct file *at = &disk.files[i];
        if (strcmp(at->path, path) == 0)
            file = at;
        else if (!at->path[0] && !at->durable[0])
            gone = at;
    }
    if (file)
        return file;
    if (!gone && disk.count == FILES_MAX)
        abort();
    if (gone) {
        forget_pending(gone);
        free(gone->bytes);
    }
    file = gone ? gone : &disk.files[disk.count++];
    memset(file, 0, sizeof(*file));
    snprintf(file->path, sizeof(file->path), "%s", path);
    return file;
}

static void
set_size(struct file *file, size_t size)
{
    file->bytes = realloc(file->bytes, size + 1);
    if (!file->bytes)
        abort();
    if (size > file->size)
        memset(file->bytes + file->size, 0, size - file->size);
    file->size = size;
}

static void
add_pending(struct file *file, size_t at, const void *data, size_t size)
{
    file->pending =
        realloc(file->pending, (file->pending_count + 1) * sizeof(*file->pending));
    struct pending *pending = &file->pending[file->pending_count++];
    *pending = (struct pending){ at, size, NULL };
    if (size == 0)
        return;
    pending->data = malloc(size);
    if (!pending->data)
        abort();
    memcpy(pending->data, data, size);
}

static void
apply_part(struct file *file, const struct pending *pending, size_t from, size_t size)
{
    size_t end = pending->at + from + size;
    if (end > file->size)
        set_size(file, end);
    memcpy(file->bytes + pending->at + from, pending->data + from, size);
}

// Bring a write to the disk: whole, or by whole sectors that a coin chooses.
static void
apply_pending(struct file *file, const struct pending *pending, bool torn)
{
    if (pending->size == 0) {
        if (!torn || draw(2))
            set_size(file, pending->at);
        return;
    }
    for (size_t from = 0; from < pending->size;) {
        size_t size = SECTOR - (pending->at + from) % SECTOR;
        if (size > pending->size - from)
            size = pending->size - from;
        if (!torn || draw(2))
            apply_part(file, pending, from, size);
        from += size;
    }
}

static void
lose_pending(struct file *file)
{
    for (size_t i = 0; i < file->pending_count; i++) {
        uint64_t outcome = draw(3); // dropped, kept, torn
        if (outcome > 0)
            apply_pending(file, &file->pending[i], outcome == 2);
    }
    forget_pending(file);
}

static void
keep_pending(struct file *file)
{
    for (size_t i = 0; i < file->pending_count; i++)
        apply_pending(file, &file->pending[i], false);
    forget_pending(file);
}

static bool
is_in(const char *path, const char *folder, size_t size)
{
    return strncmp(path, folder, size) == 0 && path[size] == '/' &&
           !strchr(path + size + 1, '/');
}

// The names of the files in a folder are durable.
static void
keep_names(const char *folder, size_t size)
{
    for (size_t i = 0; i < disk.count; i++) {
        struct file *file = &disk.files[i];
        if (is_in(file->path, folder, size) || is_in(file->durable, folder, size))
            memcpy(file->durable, file->path, sizeof(file->durable));
    }
}

// ---- faults

// One more operation: may it be done? Else errno.
static bool
operate(bool write, bool sync)
{
    bool due = ++disk.operations >= disk.at;
    if (disk.off || (due && disk.fault == POWER_CUT)) {
        disk.off = disk.happened = true;
        errno = EIO;
        return false;
    }
    if (due && write && disk.fault == POWER_FULL) {
        disk.happened = true;
        errno = ENOSPC;
        return false;
    }
    if (due && sync && disk.fault == POWER_SYNC_FAILS) {
        disk.happened = true;
        disk.fault = POWER_NONE;
        errno = EIO;
        return false;
    }
    return true;
}

void
power_plan(enum power_fault fault, uint64_t operation)
{
    pthread_mutex_lock(&disk.mutex);
    disk.fault = fault;
    disk.operations = 0;
    disk.at = operation;
    disk.happened = false;
    pthread_mutex_unlock(&disk.mutex);
}

void
power_heal(void)
{
    power_plan(POWER_NONE, 0);
}

bool
power_failed(void)
{
    pthread_mutex_lock(&disk.mutex);
    bool happened = disk.happened;
    pthread_mutex_unlock(&disk.mutex);
    return happened;
}

void
power_lie(const char *part)
{
    disk.lie = part;
}

// A write; when the power goes during it, it is one more that was not synced.
static bool
on_write(struct file *file, const void *data, size_t size, size_t at)
{
    pthread_mutex_lock(&disk.mutex);
    bool off = disk.off, done = operate(true, false);
    if (done || (!off && disk.off))
        add_pending(file, at, data, size);
    if (!done && !off && disk.off)
        disk.interrupted = file;
    pthread_mutex_unlock(&disk.mutex);
    return done;
}

static bool
on_sync(struct file *file)
{
    pthread_mutex_lock(&disk.mutex);
    bool done = operate(false, true);
    if (done && !(disk.lie && strstr(file->path, disk.lie)))
        keep_pending(file);
    else if (!done && !disk.off)
        lose_pending(file); // and a later sync does not bring it back
    pthread_mutex_unlock(&disk.mutex);
    return done;
}

// ---- the journal's files

static int
power_open(const char *path, int flags)
{
    if (flags & O_DIRECT && !disk.direct) {
        errno = EINVAL;
        return -1;
    }
    int fd = open(path, (flags & ~(O_DIRECT | O_DSYNC)) | O_CLOEXEC, 0600);
    if (fd < 0)
        return fd;
    pthread_mutex_lock(&disk.mutex);
    synced_fd[fd] = flags & O_DSYNC;
    by_fd[fd] = file_of(path);
    if (flags & O_TRUNC)
        add_pending(by_fd[fd], 0, NULL, 0);
    pthread_mutex_unlock(&disk.mutex);
    return fd;
}

static void
power_close(int fd)
{
    close(fd);
}

static ssize_t
power_write(int fd, const void *data, size_t size, off_t at)
{
    if (!on_write(by_fd[fd], data, size, (size_t)at))
        return -1;
    ssize_t written = pwrite(fd, data, size, at);
    return synced_fd[fd] && !on_sync(by_fd[fd]) ? -1 : written;
}

static int
power_sync(int fd)
{
    return on_sync(by_fd[fd]) ? 0 : -1;
}

static int
power_rename(const char *from, const char *to)
{
    pthread_mutex_lock(&disk.mutex);
    bool done = operate(true, false);
    if (done) {
        struct file *file = file_of(from);
        snprintf(file->path, sizeof(file->path), "%s", to);
    }
    pthread_mutex_unlock(&disk.mutex);
    return done ? rename(from, to) : -1;
}

static int
power_remove(const char *path)
{
    pthread_mutex_lock(&disk.mutex);
    bool done = operate(false, false);
    if (done)
        file_of(path)->path[0] = '\0';
    pthread_mutex_unlock(&disk.mutex);
    return done ? unlink(path) : -1;
}

static int
power_sync_folder(const char *folder)
{
    pthread_mutex_lock(&disk.mutex);
    bool done = operate(false, true);
    if (done)
        keep_names(folder, strlen(folder));
    pthread_mutex_unlock(&disk.mutex);
    return done ? 0 : -1;
}

const struct journal_io power_io = {
    power_open, power_close,  pread,        power_write,
    power_sync, power_rename, power_remove, power_sync_folder,
};

// ---- SQLite's files: its own file system with some methods replaced

static const sqlite3_io_methods *real; // these methods are the same for all files
static size_t real_bytes;

// Behind SQLite's own struct of a file stands which one it is.
static struct file **
slot(sqlite3_file *file)
{
    return (struct file **)(void *)((char *)file + real_bytes);
}

static int
vfs_write(sqlite3_file *file, const void *data, int size, sqlite3_int64 at)
{
    if (on_write(*slot(file), data, (size_t)size, (size_t)at))
        return real->xWrite(file, data, size, at);
    return errno == ENOSPC ? SQLITE_FULL : SQLITE_IOERR_WRITE;
}

static int
vfs_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    if (on_write(*slot(file), NULL, 0, (size_t)size))
        return real->xTruncate(file, size);
    return SQLITE_IOERR_TRUNCATE;
}

// The first sync of a file it made syncs the folder too, as SQLite's own does.
static int
vfs_sync(sqlite3_file *file, int flags)
{
    (void)flags;
    struct file *synced = *slot(file);
    if (!on_sync(synced))
        return SQLITE_IOERR_FSYNC;
    pthread_mutex_lock(&disk.mutex);
    if (!synced->durable[0])
        keep_names(synced->path, (size_t)(strrchr(synced->path, '/') - synced->path));
    pthread_mutex_unlock(&disk.mutex);
    return SQLITE_OK;
}

static int
vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out)
{
    static sqlite3_io_methods database, others; // which differ in locks
    sqlite3_vfs *below = vfs->pAppData;
    int code = below->xOpen(below, name, file, flags, out);
    if (code != SQLITE_OK || !file->pMethods || !name)
        return code;
    real = file->pMethods;
    sqlite3_io_methods *methods = flags & SQLITE_OPEN_MAIN_DB ? &database : &others;
    *methods = *real;
    methods->xWrite = vfs_write;
    methods->xTruncate = vfs_truncate;
    methods->xSync = vfs_sync;
    file->pMethods = methods;

    pthread_mutex_lock(&disk.mutex);
    struct file *opened = *slot(file) = file_of(name);
    if (flags & SQLITE_OPEN_MAIN_DB) // the store made it, and synced the folder
        memcpy(opened->durable, opened->path, sizeof(opened->path));
    pthread_mutex_unlock(&disk.mutex);
    return SQLITE_OK;
}

static int
vfs_delete(sqlite3_vfs *vfs, const char *name, int sync_folder)
{
    sqlite3_vfs *below = vfs->pAppData;
    pthread_mutex_lock(&disk.mutex);
    bool done = operate(false, false);
    if (done) {
        struct file *file = file_of(name);
        file->path[0] = '\0';
        if (sync_folder)
            file->durable[0] = '\0';
    }
    pthread_mutex_unlock(&disk.mutex);
    return done ? below->xDelete(below, name, 0) : SQLITE_IOERR_DELETE;
}

static void
register_vfs(void)
{
    static sqlite3_vfs vfs;
    if (vfs.xOpen)
        return;
    sqlite3_vfs *below = sqlite3_vfs_find(NULL);
    vfs = *below;
    real_bytes = ((size_t)below->szOsFile + 15) & ~(size_t)15;
    vfs.szOsFile = (int)(real_bytes + sizeof(struct file *));
    vfs.zName = POWER_VFS;
    vfs.pNext = NULL;
    vfs.pAppData = below;
    vfs.xOpen = vfs_open;
    vfs.xDelete = vfs_delete;
    if (sqlite3_vfs_register(&vfs, 0) != SQLITE_OK)
        abort();
}

// ---- life

void
power_init(uint64_t seed)
{
    register_vfs();
    power_finish();
    disk.random = seed;
    disk.direct = draw(2);
    disk.fault = POWER_NONE;
    disk.happened = disk.off = false;
}

void
power_finish(void)
{
    for (size_t i = 0; i < disk.count; i++) {
        forget_pending(&disk.files[i]);
        free(disk.files[i].bytes);
    }
    memset(disk.files, 0, sizeof(disk.files));
    disk.count = 0;
}

static void
write_file(const struct file *file)
{
    int fd = open(file->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || pwrite(fd, file->bytes, file->size, 0) != (ssize_t)file->size)
        abort();
    close(fd);
}

static void
start_anew(void)
{
    disk.off = disk.happened = false;
    disk.fault = POWER_NONE;
    disk.interrupted = NULL;
}

// What the disk kept of a file, beside the `count` others that are back. A change of its
// name that was not synced happened or not.
static bool
survive(struct file *file, size_t count)
{
    lose_pending(file);
    if (draw(2))
        memcpy(file->path, file->durable, sizeof(file->path));
    for (size_t i = 0; i < count && file->path[0]; i++)
        if (strcmp(disk.files[i].path, file->path) == 0)
            file->path[0] = '\0'; // the name was given to another file
    if (!file->path[0]) {
        free(file->bytes);
        return false;
    }
    if (!file->bytes)
        set_size(file, 0);
    memcpy(file->durable, file->path, sizeof(file->path));
    write_file(file);
    return true;
}

void
power_on(void)
{
    size_t kept = 0;
    for (size_t i = 0; i < disk.count; i++)
        if (disk.files[i].path[0])
            unlink(disk.files[i].path);
    for (size_t i = 0; i < disk.count; i++) {
        struct file file = disk.files[i];
        if (survive(&file, kept))
            disk.files[kept++] = file;
    }
    disk.count = kept;
    start_anew();
}

void
power_kept(void)
{
    struct file *file = disk.interrupted;
    if (file)
        free(file->pending[--file->pending_count].data);
    start_anew();
}
