#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "driver.h"
#include "journal_segment.h"

enum {
    SEGMENT_VERSION = 2, // 1: records without a seal, with a magic for a head's check
    RECORD_MAGIC = 0x4a724f6d, // "mOrJ", of version 1
    ZEROS_BYTES = 256 * 1024,
    ZEROS_ALIGN = 4096,
    PATH_BYTES = 4200,
};

static const char segment_magic[8] = "omnijrnl";

struct segment_head {
    char magic[8];
    uint64_t version, id, bytes;
};

struct seal {
    uint64_t number, check;
};

static_assert(sizeof(struct record_head) == JOURNAL_HEAD_BYTES, "no padding");
static_assert(sizeof(struct seal) == JOURNAL_SEAL_BYTES, "no padding");

enum om_rc
journal_rc(int error)
{
    return error == ENOSPC || error == EDQUOT ? OM_ENOSPACE : OM_EDB;
}

// ---- records

// Over the head, but for the checksum itself, and the body.
static uint64_t
checksum(const struct record_head *head, const char *body, size_t body_bytes, uint64_t id)
{
    uint64_t seed = XXH3_64bits_withSeed(head, offsetof(struct record_head, check), id);
    return XXH3_64bits_withSeed(body, body_bytes, seed);
}

static uint32_t
head_check(const struct record_head *head, uint64_t id)
{
    size_t from = offsetof(struct record_head, body_bytes);
    uint64_t check = XXH3_64bits_withSeed(&head->body_bytes,
                                          offsetof(struct record_head, check) - from, id);
    return htole32((uint32_t)check);
}

static void
put_seal(char *at, int64_t number, uint64_t id)
{
    struct seal seal = { .number = htole64((uint64_t)number) };
    seal.check = htole64(XXH3_64bits_withSeed(&seal.number, sizeof(seal.number), id));
    memcpy(at, &seal, sizeof(seal));
}

// Its number, or 0.
static int64_t
take_seal(const char *at, uint64_t id)
{
    struct seal seal;
    memcpy(&seal, at, sizeof(seal));
    uint64_t check = XXH3_64bits_withSeed(&seal.number, sizeof(seal.number), id);
    return check == le64toh(seal.check) ? (int64_t)le64toh(seal.number) : 0;
}

void
record_seal(char *record, size_t body_bytes, int64_t number, uint64_t id)
{
    struct record_head head = { 0, htole32((uint32_t)body_bytes),
                                htole64((uint64_t)number), 0 };
    head.head_check = head_check(&head, id);
    head.check = htole64(checksum(&head, record + sizeof(head), body_bytes, id));
    memcpy(record, &head, sizeof(head));
    put_seal(record + journal_record_bytes(body_bytes) - JOURNAL_SEAL_BYTES, number, id);
}

int64_t
record_trace(const char sector[JOURNAL_ALIGN], uint64_t id)
{
    struct record_head head;
    memcpy(&head, sector, sizeof(head));
    if (head.head_check == head_check(&head, id))
        return (int64_t)le64toh(head.number);
    return take_seal(sector + JOURNAL_ALIGN - JOURNAL_SEAL_BYTES, id);
}

bool
record_open(struct om_str bytes, int64_t after, uint64_t id, int64_t *number,
            struct om_str *body)
{
    struct record_head head;
    if (bytes.size < sizeof(head))
        return false;
    memcpy(&head, bytes.data, sizeof(head));
    size_t size = le32toh(head.body_bytes);
    *number = (int64_t)le64toh(head.number);
    if (*number <= after || size > bytes.size - sizeof(head))
        return false;
    if (head.head_check != head_check(&head, id) &&
        head.head_check != htole32(RECORD_MAGIC))
        return false;
    *body = (struct om_str){ bytes.data + sizeof(head), size };
    return checksum(&head, body->data, size, id) == le64toh(head.check);
}

// ---- files

static void
segment_path(const char *folder, unsigned name, const char *ending, char out[PATH_BYTES])
{
    snprintf(out, PATH_BYTES, "%s/%08u%s", folder, name, ending);
}

static int
write_all(const struct journal_conf *conf, int fd, const void *data, size_t size,
          size_t at)
{
    while (size > 0) {
        ssize_t written = conf->io->write(fd, data, size, (off_t)at);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return -1;
        data = (const char *)data + written;
        size -= (size_t)written;
        at += (size_t)written;
    }
    return 0;
}

// Not every file system can, and some only larger blocks.
static void
open_direct(const struct journal_conf *conf, const char *path, struct segment *self)
{
    self->direct_fd = conf->io->open(path, O_WRONLY | O_DIRECT | O_DSYNC);
}

int
segment_append(const struct journal_conf *conf, struct segment *self, const char *record,
               size_t size, size_t at, bool *written)
{
    *written = false;
    if (self->direct_fd >= 0) {
        if (write_all(conf, self->direct_fd, record, size, at) == 0) {
            *written = true;
            return 0;
        }
        if (errno != EINVAL)
            return -1;
        conf->io->close(self->direct_fd);
        self->direct_fd = -1;
    }
    if (write_all(conf, self->fd, record, size, at) != 0)
        return -1;
    *written = true;
    return conf->io->sync(self->fd);
}

ssize_t
segment_read(const struct journal_conf *conf, const struct segment *self, void *data,
             size_t size, size_t at)
{
    size_t done = 0;
    while (done < size) {
        ssize_t got = conf->io->read(self->fd, (char *)data + done, size - done,
                                     (off_t)(at + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        done += (size_t)got;
    }
    return (ssize_t)done;
}

static struct segment *
segment_alloc(unsigned name, size_t bytes)
{
    struct segment *self = calloc(1, sizeof(*self));
    if (self)
        *self =
            (struct segment){ .fd = -1, .direct_fd = -1, .name = name, .bytes = bytes };
    return self;
}

void
segment_destroy(const struct journal_conf *conf, struct segment **self_p)
{
    struct segment *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    if (self->fd >= 0)
        conf->io->close(self->fd);
    if (self->direct_fd >= 0)
        conf->io->close(self->direct_fd);
    free(self);
}

void
segment_remove(const struct journal_conf *conf, const char *folder,
               struct segment **self_p)
{
    char path[PATH_BYTES];
    segment_path(folder, (*self_p)->name, "", path);
    segment_destroy(conf, self_p);
    conf->io->remove(path); // what stays is found again at the next start
}

// Write a file's `size` bytes of zeros but for the head, past the page cache where that
// works: what is left for the sync to write at once is what commits wait for meanwhile.
static int
write_zeros(const struct journal_conf *conf, int fd, char *piece, size_t size)
{
    struct segment_head head = { .version = htole64(SEGMENT_VERSION),
                                 .id = htole64(conf->id),
                                 .bytes = htole64(size) };
    memcpy(head.magic, segment_magic, sizeof(head.magic));
    memset(piece, 0, ZEROS_BYTES);
    memcpy(piece, &head, sizeof(head));
    int failed = 0;
    for (size_t at = 0; at < size && failed == 0; at += ZEROS_BYTES) {
        size_t left = size - at;
        failed = write_all(conf, fd, piece,
                           left < ZEROS_BYTES ? left : (size_t)ZEROS_BYTES, at);
        memset(piece, 0, sizeof(head));
    }
    return failed;
}

// Write every block once, and have the file durable before it gets its name: a segment
// that can be seen is whole.
static int
fill(const struct journal_conf *conf, const struct segment *self, const char *path)
{
    char *piece = aligned_alloc(ZEROS_ALIGN, ZEROS_BYTES);
    if (!piece) {
        errno = ENOMEM;
        return -1;
    }
    int direct_fd = conf->io->open(path, O_WRONLY | O_DIRECT), failed = -1;
    if (direct_fd >= 0) {
        failed = write_zeros(conf, direct_fd, piece, self->bytes);
        conf->io->close(direct_fd);
    }
    if (direct_fd < 0 || (failed != 0 && errno == EINVAL))
        failed = write_zeros(conf, self->fd, piece, self->bytes);
    free(piece);
    return failed == 0 ? conf->io->sync(self->fd) : failed;
}

enum om_rc
segment_create(const struct journal_conf *conf, const char *folder, unsigned name,
               size_t bytes, struct segment **out)
{
    char temporary[PATH_BYTES], path[PATH_BYTES];
    segment_path(folder, name, ".new", temporary);
    segment_path(folder, name, "", path);
    struct segment *self = segment_alloc(name, bytes);
    if (!self)
        return store_refuse(OM_EDB, "no memory");
    self->fd = conf->io->open(temporary, O_RDWR | O_CREAT | O_TRUNC);
    if (self->fd >= 0 && fill(conf, self, temporary) == 0 &&
        conf->io->rename(temporary, path) == 0 && conf->io->sync_folder(folder) == 0) {
        open_direct(conf, path, self);
        *out = self;
        return OM_OK;
    }
    enum om_rc rc = store_refuse(journal_rc(errno), "%.400s: %s", path, strerror(errno));
    segment_destroy(conf, &self);
    conf->io->remove(temporary);
    return rc;
}

enum om_rc
segment_open(const struct journal_conf *conf, const char *folder, unsigned name,
             struct segment **out)
{
    char path[PATH_BYTES];
    segment_path(folder, name, "", path);
    struct segment *self = segment_alloc(name, 0);
    if (!self)
        return store_refuse(OM_EDB, "no memory");
    struct segment_head head = { 0 };
    enum om_rc rc = OM_OK;
    self->fd = conf->io->open(path, O_RDWR);
    if (self->fd < 0 || segment_read(conf, self, &head, sizeof(head), 0) < 0)
        rc = store_refuse(journal_rc(errno), "%.400s: %s", path, strerror(errno));
    else if (memcmp(head.magic, segment_magic, sizeof(head.magic)) != 0)
        rc = store_refuse(OM_EDB, "%.400s is damaged: it is no segment of a journal",
                          path);
    else if (le64toh(head.version) > SEGMENT_VERSION)
        rc = store_refuse(OM_ECONFLICT,
                          "%.400s was made by a newer omni-broker: install that version",
                          path);
    else if (le64toh(head.id) != conf->id)
        rc = store_refuse(OM_ECONFLICT,
                          "%.400s belongs to another database: restore both together, "
                          "or move the folder away to start without it",
                          path);
    if (rc != OM_OK) {
        segment_destroy(conf, &self);
        return rc;
    }
    self->bytes = le64toh(head.bytes);
    self->old = le64toh(head.version) < SEGMENT_VERSION;
    open_direct(conf, path, self);
    *out = self;
    return OM_OK;
}

// ---- the mark

struct journal_mark
mark_open(const struct journal_conf *conf, const char *folder)
{
    char path[PATH_BYTES], bytes[JOURNAL_SEAL_BYTES];
    snprintf(path, sizeof(path), "%s/mark", folder);
    struct journal_mark self = { .fd = conf->io->open(path, O_RDWR | O_CREAT) };
    if (self.fd >= 0 &&
        conf->io->read(self.fd, bytes, sizeof(bytes), 0) == (ssize_t)sizeof(bytes))
        self.number = take_seal(bytes, conf->id);
    return self;
}

void
mark_write(const struct journal_conf *conf, struct journal_mark *self, int64_t number)
{
    if (self->fd < 0 || number <= self->number)
        return;
    char bytes[JOURNAL_SEAL_BYTES];
    put_seal(bytes, number, conf->id);
    if (conf->io->write(self->fd, bytes, sizeof(bytes), 0) == (ssize_t)sizeof(bytes))
        self->number = number;
}
