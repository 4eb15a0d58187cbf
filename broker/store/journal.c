#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "clock.h"
#include "driver.h"
#include "journal_list.h"
#include "metrics.h"
#include "store_stats.h"

enum {
    SPARE_MIN = 4,  // ready in advance: making one takes as long as many commits
    SPARE_MAX = 24, // kept, as a checkpoint releases many at once; more are removed
};

// ---- opening

static enum om_rc
refuse_folder(const char *folder)
{
    return store_refuse(journal_rc(errno), "%.400s: %s", folder, strerror(errno));
}

static enum om_rc
make_folder(struct journal *self)
{
    if (mkdir(self->folder, 0700) != 0)
        return errno == EEXIST ? OM_OK : refuse_folder(self->folder);
    char parent[4200];
    snprintf(parent, sizeof(parent), "%s/..", self->folder);
    return self->conf.io->sync_folder(parent) == 0 ? OM_OK : refuse_folder(parent);
}

// A segment, or what is left of the making of one; any other file is not the journal's.
static enum om_rc
take_file(struct journal *self, const char *file)
{
    char *end;
    unsigned long name = strtoul(file, &end, 10);
    if (end - file != 8 || name >= UINT32_MAX)
        return OM_OK;
    if (name >= self->next_name)
        self->next_name = (unsigned)name + 1;
    if (strcmp(end, ".new") == 0) {
        char path[4600];
        snprintf(path, sizeof(path), "%s/%.255s", self->folder, file);
        self->conf.io->remove(path);
        return OM_OK;
    }
    if (*end != '\0')
        return OM_OK;
    struct segment *segment;
    enum om_rc rc = segment_open(&self->conf, self->folder, (unsigned)name, &segment);
    if (rc == OM_OK)
        segments_push(&self->full, segment);
    return rc;
}

static enum om_rc
take_files(struct journal *self)
{
    DIR *folder = opendir(self->folder);
    if (!folder)
        return refuse_folder(self->folder);
    enum om_rc rc = OM_OK;
    for (struct dirent *entry; rc == OM_OK && (entry = readdir(folder));)
        rc = take_file(self, entry->d_name);
    closedir(folder);
    if (rc != OM_OK)
        return rc;

    // A process that died may have named a segment and not made that durable.
    return self->conf.io->sync_folder(self->folder) == 0 ? OM_OK
                                                         : refuse_folder(self->folder);
}

enum om_rc
journal_open(const char *folder, const struct journal_conf *conf, struct journal **out)
{
    struct journal *self = calloc(1, sizeof(*self));
    if (!self)
        return store_refuse(OM_EDB, "no memory");
    self->conf = *conf;
    pthread_mutex_init(&self->mutex, NULL);
    self->folder = strdup(folder);
    enum om_rc rc = self->folder ? make_folder(self) : store_refuse(OM_EDB, "no memory");
    self->mark.fd = -1;
    if (rc == OM_OK)
        rc = take_files(self);
    if (rc == OM_OK) {
        self->mark = mark_open(conf, folder);
        *out = self;
    } else {
        journal_close(&self);
    }
    return rc;
}

void
journal_close(struct journal **self_p)
{
    struct journal *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    for (struct segment *segment; (segment = segments_pop(&self->full));)
        segment_destroy(&self->conf, &segment);
    for (struct segment *segment; (segment = segments_pop(&self->spare));)
        segment_destroy(&self->conf, &segment);
    segment_destroy(&self->conf, &self->active);
    if (self->mark.fd >= 0)
        self->conf.io->close(self->mark.fd);
    pthread_mutex_destroy(&self->mutex);
    free(self->folder);
    free(self);
}

// ---- appending

size_t
journal_record_bytes(size_t body_bytes)
{
    size_t bytes = JOURNAL_HEAD_BYTES + body_bytes + JOURNAL_SEAL_BYTES;
    return (bytes + JOURNAL_ALIGN - 1) / JOURNAL_ALIGN * JOURNAL_ALIGN;
}

static enum om_rc
create(struct journal *self, size_t bytes, struct segment **out)
{
    pthread_mutex_lock(&self->mutex);
    unsigned name = self->next_name++;
    pthread_mutex_unlock(&self->mutex);
    return segment_create(&self->conf, self->folder, name, bytes, out);
}

// Go on in a spare segment with room for `bytes`, or else in a new one.
static enum om_rc
next_segment(struct journal *self, size_t bytes)
{
    pthread_mutex_lock(&self->mutex);
    if (self->active)
        segments_push(&self->full, self->active);
    self->active = segments_take(&self->spare, SEGMENT_HEAD_BYTES + bytes);
    self->tail = SEGMENT_HEAD_BYTES;
    bool found = self->active != NULL;
    pthread_mutex_unlock(&self->mutex);
    if (found)
        return OM_OK;
    size_t need = SEGMENT_HEAD_BYTES + bytes;
    struct segment *segment = NULL;
    enum om_rc rc =
        create(self, need > self->conf.segment_bytes ? need : self->conf.segment_bytes,
               &segment);
    pthread_mutex_lock(&self->mutex);
    self->active = segment;
    pthread_mutex_unlock(&self->mutex);
    return rc;
}

// Is the record at the tail, though writing it failed? A direct write may fail after it.
static bool
is_there(struct journal *self, int64_t number, size_t body_bytes)
{
    size_t size = JOURNAL_HEAD_BYTES + body_bytes;
    char *bytes = malloc(size);
    if (!bytes)
        return true;
    int64_t found;
    struct om_str body;
    ssize_t got = segment_read(&self->conf, self->active, bytes, size, self->tail);
    bool there = got < 0 || record_open((struct om_str){ bytes, (size_t)got }, number - 1,
                                        self->conf.id, &found, &body);
    free(bytes);
    return there;
}

enum om_rc
journal_append(struct journal *self, int64_t number, char *record, size_t body_bytes)
{
    if (self->broken)
        return OM_EINTERNAL;
    size_t bytes = journal_record_bytes(body_bytes);
    if (!self->active || self->active->bytes - self->tail < bytes) {
        enum om_rc rc = next_segment(self, bytes);
        if (rc != OM_OK)
            return rc;
    }
    memset(record + JOURNAL_HEAD_BYTES + body_bytes, 0,
           bytes - JOURNAL_HEAD_BYTES - body_bytes);
    record_seal(record, body_bytes, number, self->conf.id);
    bool written;
    int64_t began_us = om_clock_mono_us();
    if (segment_append(&self->conf, self->active, record, bytes, self->tail, &written) !=
        0) {
        // The disk was full before the last byte: a part of a record is none.
        if (!written && journal_rc(errno) == OM_ENOSPACE &&
            !is_there(self, number, body_bytes))
            return OM_ENOSPACE;
        self->broken = true;
        return OM_EINTERNAL;
    }
    om_metric_observe(store_stats.synced, om_clock_mono_us() - began_us, NULL);
    om_metric_add(store_stats.written, bytes);
    pthread_mutex_lock(&self->mutex);
    self->active->last = self->last = number;
    self->tail += bytes;
    pthread_mutex_unlock(&self->mutex);
    return OM_OK;
}

// ---- maintaining

void
journal_release(struct journal *self, int64_t number)
{
    struct segment *surplus = NULL;
    pthread_mutex_lock(&self->mutex);
    while (self->full.first && self->full.first->last <= number) {
        struct segment *segment = segments_pop(&self->full);
        bool usual = segment->bytes == self->conf.segment_bytes && !segment->old;
        if (usual && self->spare.count < SPARE_MAX) {
            segments_push(&self->spare, segment);
        } else {
            segment->next = surplus;
            surplus = segment;
        }
    }
    pthread_mutex_unlock(&self->mutex);
    while (surplus) {
        struct segment *segment = surplus;
        surplus = segment->next;
        segment_remove(&self->conf, self->folder, &segment);
    }
}

size_t
journal_kept_bytes(struct journal *self)
{
    pthread_mutex_lock(&self->mutex);
    size_t bytes = self->full.count * self->conf.segment_bytes;
    pthread_mutex_unlock(&self->mutex);
    return bytes;
}

// Is there so much to append that the next segments will be needed soon?
static bool
is_busy(const struct journal *self)
{
    return self->full.first || (self->active && self->tail > self->active->bytes / 16);
}

void
journal_mark(struct journal *self)
{
    pthread_mutex_lock(&self->mutex);
    int64_t last = self->last;
    pthread_mutex_unlock(&self->mutex);
    if (last > 0)
        mark_write(&self->conf, &self->mark, last + 1);
}

bool
journal_maintain(struct journal *self)
{
    pthread_mutex_lock(&self->mutex);
    bool needed = is_busy(self) && self->spare.count < SPARE_MIN;
    pthread_mutex_unlock(&self->mutex);
    struct segment *segment;
    if (!needed || create(self, self->conf.segment_bytes, &segment) != OM_OK)
        return false; // the appending thread will try, and say why
    pthread_mutex_lock(&self->mutex);
    segments_push(&self->spare, segment);
    pthread_mutex_unlock(&self->mutex);
    return true;
}
