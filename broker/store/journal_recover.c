#include <errno.h>
#include <stdlib.h>

#include "driver.h"
#include "journal_list.h"

// A record that was found.
struct found {
    int64_t number;
    struct segment *segment;
    size_t at, body_bytes;
};

struct search {
    int64_t after;   // only records behind this one
    int64_t durable; // records up to here were, as what follows them says
    struct found *found;
    size_t count, capacity;
};

static bool
add_found(struct search *self, const struct found *found)
{
    if (self->count == self->capacity) {
        size_t capacity = self->capacity ? self->capacity * 2 : 256;
        struct found *grown = realloc(self->found, capacity * sizeof(*grown));
        if (!grown)
            return false;
        self->found = grown;
        self->capacity = capacity;
    }
    self->found[self->count++] = *found;
    return true;
}

// What the record takes, of either version: without its seal, which may have a sector of
// its own.
static size_t
record_sectors(size_t body_bytes)
{
    size_t bytes = JOURNAL_HEAD_BYTES + body_bytes;
    return (bytes + JOURNAL_ALIGN - 1) / JOURNAL_ALIGN * JOURNAL_ALIGN;
}

// Look at every sector for a record: what is between them may be damaged.
static bool
search_bytes(struct search *self, const struct journal *journal, struct segment *segment,
             struct om_str bytes)
{
    size_t at = SEGMENT_HEAD_BYTES;
    while (at < bytes.size) {
        struct om_str rest = { bytes.data + at, bytes.size - at }, body;
        int64_t number;
        size_t step = JOURNAL_ALIGN;
        if (record_open(rest, self->after, journal->conf.id, &number, &body)) {
            struct found found = { number, segment, at, body.size };
            if (!add_found(self, &found))
                return false;
            step = record_sectors(body.size);
        } else if (rest.size >= JOURNAL_ALIGN) {
            number = record_trace(rest.data, journal->conf.id);
            if (number - 1 > self->durable)
                self->durable = number - 1;
        }
        at += step;
    }
    return true;
}

static enum om_rc
search_segment(struct search *self, const struct journal *journal,
               struct segment *segment)
{
    char *bytes = malloc(segment->bytes);
    if (!bytes)
        return store_refuse(OM_EDB, "no memory for a segment of the journal");
    ssize_t size = segment_read(&journal->conf, segment, bytes, segment->bytes, 0);
    size_t before = self->count;
    enum om_rc rc = OM_OK;
    if (size < 0)
        rc = store_refuse(OM_EDB, "%.300s/%08u: %s", journal->folder, segment->name,
                          strerror(errno));
    else if (!search_bytes(self, journal, segment,
                           (struct om_str){ bytes, (size_t)size }))
        rc = store_refuse(OM_EDB, "no memory");
    // A process that died may have left them in memory only.
    else if (self->count > before && journal->conf.io->sync(segment->fd) != 0)
        rc = store_refuse(OM_EDB, "%.300s/%08u: %s", journal->folder, segment->name,
                          strerror(errno));
    free(bytes);
    return rc;
}

static int
compare_found(const void *a, const void *b)
{
    const struct found *first = a, *second = b;
    return (first->number > second->number) - (first->number < second->number);
}

// The records must go on from one to the next, up to the last that was durable.
static enum om_rc
check_numbers(const struct search *self, const struct journal *journal)
{
    int64_t expected = self->after + 1, durable = self->durable;
    for (size_t i = 0; i < self->count && self->found[i].number == expected; i++)
        expected++;
    if (self->count > 0 && self->found[self->count - 1].number > durable)
        durable = self->found[self->count - 1].number;
    if (expected > durable)
        return OM_OK;
    return store_refuse(OM_EDB,
                        "%.200s: record %lld is damaged or missing, though all were "
                        "durable up to record %lld: what it held was acknowledged, so "
                        "this needs a restore, or move the folder away to go on without "
                        "what only the journal has",
                        journal->folder, (long long)expected, (long long)durable);
}

static enum om_rc
visit_found(const struct journal *self, const struct found *found, journal_visit *visit,
            void *context)
{
    size_t size = JOURNAL_HEAD_BYTES + found->body_bytes;
    char *bytes = malloc(size);
    if (!bytes)
        return store_refuse(OM_EDB, "no memory for a record of the journal");
    int64_t number;
    struct om_str body;
    enum om_rc rc = OM_OK;
    ssize_t got = segment_read(&self->conf, found->segment, bytes, size, found->at);
    if (got != (ssize_t)size ||
        !record_open((struct om_str){ bytes, size }, 0, self->conf.id, &number, &body))
        rc = store_refuse(OM_EDB, "%.300s/%08u cannot be read twice", self->folder,
                          found->segment->name);
    else
        rc = visit(context, number, body);
    free(bytes);
    return rc;
}

enum om_rc
journal_recover(struct journal *self, int64_t applied, journal_visit *visit,
                void *context, int64_t *last)
{
    struct search search = { .after = applied, .durable = self->mark.number - 1 };
    enum om_rc rc = OM_OK;
    for (struct segment *segment = self->full.first; segment && rc == OM_OK;
         segment = segment->next)
        rc = search_segment(&search, self, segment);
    if (search.count > 0)
        qsort(search.found, search.count, sizeof(*search.found), compare_found);
    if (rc == OM_OK)
        rc = check_numbers(&search, self);
    for (size_t i = 0; i < search.count && rc == OM_OK; i++)
        rc = visit_found(self, &search.found[i], visit, context);
    *last = applied + (int64_t)search.count;
    free(search.found);
    return rc;
}
