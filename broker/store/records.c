#include <assert.h>
#include <sys/mman.h>

#include "records.h"

enum {
    SLAB_BYTES = 1 << 20, // or what one record takes
    SPARE_MAX = 4,
};

struct slab {
    struct slab *next;
    size_t bytes, used; // with this head
    size_t count;       // of its records that are not forgotten
};

static_assert(sizeof(struct slab) <= JOURNAL_ALIGN, "a head takes that");

static struct slab *
slab_create(size_t memory)
{
    size_t need = JOURNAL_ALIGN + memory, bytes = need < SLAB_BYTES ? SLAB_BYTES : need;
    struct slab *self =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (self == MAP_FAILED)
        return NULL;
    *self = (struct slab){ .bytes = bytes, .used = JOURNAL_ALIGN };
    return self;
}

static void
slabs_destroy(struct slab *self)
{
    while (self) {
        struct slab *next = self->next;
        munmap(self, self->bytes);
        self = next;
    }
}

void
records_init(struct records *self)
{
    *self = (struct records){ .end = &self->oldest };
}

void
records_finish(struct records *self)
{
    slabs_destroy(self->first);
    slabs_destroy(self->spare);
    records_init(self);
}

// A slab with room, made the last one. NULL when there is no memory.
static struct slab *
next_slab(struct records *self, size_t memory)
{
    struct slab *slab = self->spare;
    if (slab && slab->bytes - slab->used >= memory) {
        self->spare = slab->next;
        self->spare_count--;
    } else {
        slab = slab_create(memory);
    }
    if (!slab)
        return NULL;
    slab->next = NULL;
    if (self->last)
        self->last->next = slab;
    else
        self->first = slab;
    self->last = slab;
    return slab;
}

struct record *
records_create(struct records *self, int64_t number, size_t body_bytes)
{
    size_t memory = sizeof(struct record) + journal_record_bytes(body_bytes);
    struct slab *slab = self->last;
    if (!slab || slab->bytes - slab->used < memory)
        slab = next_slab(self, memory);
    if (!slab)
        return NULL;
    struct record *record = (struct record *)(void *)((char *)slab + slab->used);
    *record = (struct record){ .number = number, .memory = memory };
    slab->used += memory;
    slab->count++;
    return record;
}

void
records_keep(struct records *self, struct record *record)
{
    *self->end = record;
    self->end = &record->kept;
}

void
records_take_back(struct records *self, struct record **record_p)
{
    self->last->used -= (*record_p)->memory;
    self->last->count--;
    *record_p = NULL;
}

static void
recycle(struct records *self, struct slab *slab)
{
    if (slab->bytes > SLAB_BYTES || self->spare_count == SPARE_MAX) {
        munmap(slab, slab->bytes);
        return;
    }
    slab->used = JOURNAL_ALIGN;
    slab->next = self->spare;
    self->spare = slab;
    self->spare_count++;
}

// The slab of the oldest record is the first that has any.
static void
drop_empty(struct records *self)
{
    for (struct slab *slab; (slab = self->first) && slab->count == 0;) {
        self->first = slab->next;
        if (!self->first)
            self->last = NULL;
        recycle(self, slab);
    }
}

void
records_forget(struct records *self, int64_t number)
{
    while (self->oldest && self->oldest->number <= number) {
        drop_empty(self);
        self->oldest = self->oldest->kept;
        self->first->count--;
    }
    drop_empty(self);
    if (!self->oldest)
        self->end = &self->oldest;
}
