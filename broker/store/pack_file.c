#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "driver.h"
#include "pack_file.h"

enum {
    BUFFER_BYTES = 512 * 1024, // written at a time: commits sync in between
    ALIGN = 4096,              // of direct writes
    BLOCK_MAX = 1 << 20,       // a spot beyond it is damaged
    PATH_BYTES = 4200,
};

struct pack_files {
    const struct journal_io *io; // borrowed
    char *folder;
    int64_t last; // the greatest name given
    int64_t file; // 0: none
    int fd, direct_fd;
    int64_t kept; // the file's bytes up to here are named by rows
    int64_t at;   // of the buffer's first byte in the file
    char *buffer; // aligned
    size_t used;
};

static void
path_of(const struct pack_files *self, int64_t file, char out[PATH_BYTES])
{
    snprintf(out, PATH_BYTES, "%s/%08lld", self->folder, (long long)file);
}

// ---- life

static enum om_rc
refuse(const char *path)
{
    bool full = errno == ENOSPC || errno == EDQUOT;
    return store_refuse(full ? OM_ENOSPACE : OM_EDB, "%.400s: %s", path, strerror(errno));
}

static enum om_rc
make_folder(const struct pack_files *self)
{
    if (mkdir(self->folder, 0700) != 0)
        return errno == EEXIST ? OM_OK : refuse(self->folder);
    char parent[PATH_BYTES];
    snprintf(parent, sizeof(parent), "%.4090s/..", self->folder);
    return self->io->sync_folder(parent) == 0 ? OM_OK : refuse(parent);
}

static enum om_rc
sweep(struct pack_files *self, bool (*named)(void *context, int64_t file), void *context)
{
    DIR *folder = opendir(self->folder);
    if (!folder)
        return refuse(self->folder);
    for (struct dirent *entry; (entry = readdir(folder));) {
        char *end;
        int64_t file = strtoll(entry->d_name, &end, 10);
        if (end - entry->d_name < 8 || *end || file <= 0)
            continue; // it is none of ours
        if (self->last < file)
            self->last = file;
        if (!named(context, file))
            pack_files_remove(self, file);
    }
    closedir(folder);
    return OM_OK;
}

enum om_rc
pack_files_open(const char *folder, const struct journal_io *io,
                bool (*named)(void *context, int64_t file), void *context,
                struct pack_files **out)
{
    struct pack_files *self = calloc(1, sizeof(*self));
    if (!self)
        return store_refuse(OM_EDB, "no memory");
    *self = (struct pack_files){ .io = io, .fd = -1, .direct_fd = -1 };
    self->folder = strdup(folder);
    enum om_rc rc = self->folder ? make_folder(self) : store_refuse(OM_EDB, "no memory");
    if (rc == OM_OK)
        rc = sweep(self, named, context);
    if (rc == OM_OK)
        *out = self;
    else
        pack_files_close(&self);
    return rc;
}

// Write to this file no more.
static void
leave(struct pack_files *self)
{
    if (self->fd >= 0)
        self->io->close(self->fd);
    if (self->direct_fd >= 0)
        self->io->close(self->direct_fd);
    self->fd = self->direct_fd = -1;
    self->file = self->kept = 0;
}

void
pack_files_close(struct pack_files **self_p)
{
    struct pack_files *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    leave(self);
    free(self->buffer);
    free(self->folder);
    free(self);
}

int64_t
pack_files_current(const struct pack_files *self)
{
    return self->file;
}

// ---- writing

static int
next_file(struct pack_files *self)
{
    char path[PATH_BYTES];
    leave(self);
    if (!self->buffer)
        self->buffer = aligned_alloc(ALIGN, BUFFER_BYTES);
    if (!self->buffer)
        return -1;
    path_of(self, self->last + 1, path);
    self->fd = self->io->open(path, O_RDWR | O_CREAT | O_TRUNC);
    if (self->fd < 0)
        return -1;
    self->last++;
    if (self->io->sync_folder(self->folder) != 0) {
        int error = errno;
        leave(self);
        pack_files_remove(self, self->last);
        errno = error;
        return -1;
    }
    self->direct_fd = self->io->open(path, O_WRONLY | O_DIRECT); // not everywhere
    self->file = self->last;
    return 0;
}

int
pack_files_begin(struct pack_files *self, size_t file_bytes)
{
    self->used = 0;
    if ((self->file == 0 || (size_t)self->kept >= file_bytes) && next_file(self) != 0)
        return -1;
    self->at = self->kept;
    return 0;
}

struct pack_spot
pack_files_spot(const struct pack_files *self)
{
    return (struct pack_spot){ .file = self->file, .at = self->at + (int64_t)self->used };
}

static int
write_all(const struct pack_files *self, int fd, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t written = self->io->write(fd, self->buffer + done, size - done,
                                          (off_t)self->at + (off_t)done);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return -1;
        done += (size_t)written;
    }
    return 0;
}

static int
flush(struct pack_files *self)
{
    size_t padded = (self->used + ALIGN - 1) / ALIGN * ALIGN;
    memset(self->buffer + self->used, 0, padded - self->used);
    bool direct = self->direct_fd >= 0;
    if (direct && write_all(self, self->direct_fd, padded) != 0) {
        if (errno != EINVAL)
            return -1;
        self->io->close(self->direct_fd);
        self->direct_fd = -1;
        direct = false;
    }
    if (!direct && write_all(self, self->fd, padded) != 0)
        return -1;
    self->at += (int64_t)padded;
    self->used = 0;
    return 0;
}

int
pack_files_put(struct pack_files *self, struct om_str bytes)
{
    while (bytes.size > 0) {
        size_t room = BUFFER_BYTES - self->used;
        size_t size = bytes.size < room ? bytes.size : room;
        memcpy(self->buffer + self->used, bytes.data, size);
        self->used += size;
        bytes.data += size;
        bytes.size -= size;
        if (self->used == BUFFER_BYTES && flush(self) != 0)
            return -1;
    }
    return 0;
}

int
pack_files_end(struct pack_files *self)
{
    if (self->used > 0 && flush(self) != 0)
        return -1;
    if (self->io->sync(self->fd) == 0)
        return 0;
    // Nobody knows what of the file a later sync would bring to the disk.
    int error = errno;
    leave(self);
    errno = error;
    return -1;
}

void
pack_files_keep(struct pack_files *self)
{
    self->kept = self->at;
}

// ---- reading

static bool
read_all(const struct pack_files *self, int fd, const struct pack_spot *spot, char *out)
{
    for (int64_t done = 0; done < spot->size;) {
        ssize_t got = self->io->read(fd, out + done, (size_t)(spot->size - done),
                                     (off_t)(spot->at + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got == 0)
            errno = EIO; // the file is shorter than it was
        if (got <= 0)
            return false;
        done += got;
    }
    return true;
}

char *
pack_files_read(const struct pack_files *self, const struct pack_spot *spot)
{
    if (spot->size <= 0 || spot->size > BLOCK_MAX) {
        errno = EIO;
        return NULL;
    }
    char path[PATH_BYTES];
    path_of(self, spot->file, path);
    char *bytes = malloc((size_t)spot->size);
    int fd = bytes ? self->io->open(path, O_RDONLY) : -1;
    bool whole = fd >= 0 && read_all(self, fd, spot, bytes);
    int error = errno;
    if (fd >= 0)
        self->io->close(fd);
    if (!whole) {
        free(bytes);
        bytes = NULL;
        errno = error;
    }
    return bytes;
}

void
pack_files_remove(const struct pack_files *self, int64_t file)
{
    char path[PATH_BYTES];
    path_of(self, file, path);
    self->io->remove(path); // what stays is found again at the next start
}
