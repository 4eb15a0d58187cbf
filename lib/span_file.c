#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hash.h"
#include "span_file.h"

#define SUFFIX ".spans"

enum { NODE_MAX = 64, FILES_MAX = 32, GATHERED = 64, SWEEP_RECORDS = 256 };

static const char magic[8] = "OMNISPAN";

struct header {
    char magic[8];
    uint64_t layout; // of the records: a hash of their size and of the attributes' names
    uint64_t records;
    char node[NODE_MAX];
};

struct record {
    uint64_t check;  // of all that follows; a record of zeros is empty
    uint64_t number; // rising
    struct om_span span;
};

struct om_span_file {
    int fd;
    uint64_t records, next; // the next record's number, from 1
    uint64_t swept;         // records up to this number are gone
    int64_t keep_us;
    size_t count;
    struct record gathered[GATHERED]; // written together
};

static uint64_t
layout(void)
{
    uint64_t hash = sizeof(struct record);
    for (size_t i = 0; i < OM_ATTR_COUNT; i++)
        hash = om_hash(om_span_infos[i].name, strlen(om_span_infos[i].name)) ^ hash * 31;
    return hash;
}

static uint64_t
check_of(const struct record *record)
{
    return om_hash(&record->number, sizeof(*record) - sizeof(record->check)) | 1;
}

static off_t
place_of(const struct om_span_file *self, uint64_t number)
{
    return (off_t)(sizeof(struct header) +
                   (number % self->records) * sizeof(struct record));
}

// ---- opening

// A file of that name that is ours: -1 if another process has it, -2 for other failures.
static int
open_locked(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -2;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        return fd;
    int failure = errno == EWOULDBLOCK ? -1 : -2;
    close(fd);
    return failure;
}

// Go on behind the newest record.
static void
find_end(struct om_span_file *self)
{
    struct record record;
    self->next = 1;
    for (uint64_t i = 0; i < self->records; i++)
        if (pread(self->fd, &record, sizeof(record), place_of(self, i)) ==
                sizeof(record) &&
            record.check == check_of(&record) && record.number >= self->next)
            self->next = record.number + 1;
    self->swept = self->next > self->records ? self->next - self->records - 1 : 0;
}

static bool
prepare(struct om_span_file *self, const char *node)
{
    struct header wanted = { .layout = layout(), .records = self->records }, found;
    memcpy(wanted.magic, magic, sizeof(magic));
    snprintf(wanted.node, sizeof(wanted.node), "%s", node);
    if (pread(self->fd, &found, sizeof(found), 0) == sizeof(found) &&
        memcmp(&found, &wanted, sizeof(found)) == 0) {
        find_end(self);
        return true;
    }
    self->next = 1;
    return ftruncate(self->fd, 0) == 0 &&
           pwrite(self->fd, &wanted, sizeof(wanted), 0) == sizeof(wanted) &&
           ftruncate(self->fd, place_of(self, self->records - 1) +
                                   (off_t)sizeof(struct record)) == 0;
}

struct om_span_file *
om_span_file_open(const char *dir, const char *node, size_t spans, int64_t keep_ms,
                  char *why, size_t why_size)
{
    char path[PATH_MAX];
    int fd = -1;
    struct om_span_file *self = calloc(1, sizeof(*self));
    mkdir(dir, 0700);
    for (int i = 1; self && fd == -1 && i <= FILES_MAX; i++) {
        char number[16] = "";
        if (i > 1)
            snprintf(number, sizeof(number), ".%d", i);
        snprintf(path, sizeof(path), "%s/%.48s%s" SUFFIX, dir, node, number);
        fd = open_locked(path);
    }
    if (self && fd >= 0) {
        self->fd = fd;
        self->records = spans;
        self->keep_us = keep_ms * 1000;
        if (prepare(self, node))
            return self;
    }
    snprintf(why, why_size, "%s: %s", dir, strerror(errno));
    if (fd >= 0)
        close(fd);
    free(self);
    return NULL;
}

void
om_span_file_close(struct om_span_file **self_p)
{
    struct om_span_file *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    om_span_file_flush(self);
    close(self->fd);
    free(self);
}

// ---- writing

void
om_span_file_put(struct om_span_file *self, const struct om_span *span)
{
    if (self->count == GATHERED || (self->count && self->next % self->records == 0))
        om_span_file_flush(self);
    struct record *record = &self->gathered[self->count++];
    *record = (struct record){ .number = self->next++ };
    memcpy(&record->span, span, offsetof(struct om_span, text) + span->text_used);
    record->check = check_of(record);
}

void
om_span_file_flush(struct om_span_file *self)
{
    size_t size = self->count * sizeof(struct record);
    // A full disk costs what `omni trace` would have shown.
    if (size)
        (void)!pwrite(self->fd, self->gathered, size,
                      place_of(self, self->next - self->count));
    self->count = 0;
}

void
om_span_file_sweep(struct om_span_file *self, int64_t now_us)
{
    static const struct record empty;
    struct record record;
    om_span_file_flush(self);
    if (self->next > self->records && self->swept < self->next - self->records - 1)
        self->swept = self->next - self->records - 1;
    for (int i = 0; i < SWEEP_RECORDS && self->swept + 1 < self->next; i++) {
        off_t at = place_of(self, self->swept + 1);
        if (pread(self->fd, &record, sizeof(record), at) != sizeof(record) ||
            (record.check && record.span.end_us >= now_us - self->keep_us))
            return;
        if (record.check && pwrite(self->fd, &empty, sizeof(empty), at) < 0)
            return;
        self->swept++;
    }
}

// ---- reading

// May its texts be read?
static bool
is_whole(const struct om_span *span)
{
    const struct om_span_text own[] = { span->name, span->state, span->why };
    bool good = span->text_used <= OM_SPAN_TEXT && span->attr_count <= OM_SPAN_ATTRS_MAX;
    for (size_t i = 0; good && i < OM_COUNT(own); i++)
        good = own[i].at + own[i].size <= OM_SPAN_TEXT;
    for (size_t i = 0; good && i < span->attr_count; i++) {
        struct om_span_text value = span->attrs[i].value;
        good =
            span->attrs[i].key < OM_ATTR_COUNT && value.at + value.size <= OM_SPAN_TEXT &&
            (!om_span_infos[span->attrs[i].key].is_int || value.size == sizeof(int64_t));
    }
    return good;
}

static void
read_file(int fd, om_span_file_fn *fn, void *context)
{
    struct header header;
    struct record *records = malloc(GATHERED * sizeof(*records));
    bool good = records && read(fd, &header, sizeof(header)) == sizeof(header) &&
                memcmp(header.magic, magic, sizeof(magic)) == 0 &&
                header.layout == layout() && memchr(header.node, 0, sizeof(header.node));
    ssize_t got = 0;
    while (good && (got = read(fd, records, GATHERED * sizeof(*records))) >=
                       (ssize_t)sizeof(*records))
        for (size_t i = 0; i < (size_t)got / sizeof(*records); i++) {
            const struct record *record = &records[i];
            if (!record->check || record->check != check_of(record) ||
                !is_whole(&record->span))
                continue;
            struct om_span_line line = { header.node, record->span };
            fn(context, &line);
        }
    free(records);
}

enum om_rc
om_span_file_read(const char *dir, om_span_file_fn *fn, void *context)
{
    DIR *folder = opendir(dir);
    if (!folder)
        return OM_ENOTFOUND;
    for (struct dirent *entry; (entry = readdir(folder));) {
        size_t size = strlen(entry->d_name), tail = strlen(SUFFIX);
        if (size <= tail || strcmp(entry->d_name + size - tail, SUFFIX) != 0)
            continue;
        int fd = openat(dirfd(folder), entry->d_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
            continue;
        read_file(fd, fn, context);
        close(fd);
    }
    closedir(folder);
    return OM_OK;
}
