#include <stdlib.h>

#include "inner.h"
#include "seqs.h"

// ---- first in, first out

enum { CHUNK_LEAST = 14, CHUNK_MOST = 510 }; // seqs; a chunk is up to 4 KiB

struct seq_chunk {
    struct seq_chunk *next;
    uint32_t first, end;
    uint32_t capacity;
    int64_t seqs[];
};

static struct seq_chunk *
chunk_create(size_t capacity)
{
    struct seq_chunk *chunk =
        core_realloc(NULL, sizeof(*chunk) + capacity * sizeof(chunk->seqs[0]));
    *chunk = (struct seq_chunk){ .capacity = (uint32_t)capacity };
    return chunk;
}

void
seq_deque_finish(struct seq_deque *self)
{
    for (struct seq_chunk *chunk = self->first, *next; chunk; chunk = next) {
        next = chunk->next;
        free(chunk);
    }
    *self = (struct seq_deque){ 0 };
}

void
seq_deque_push(struct seq_deque *self, int64_t seq)
{
    struct seq_chunk *last = self->last;
    if (!last || last->end == last->capacity) {
        size_t more = last ? last->capacity * (size_t)4 : CHUNK_LEAST;
        struct seq_chunk *chunk = chunk_create(more < CHUNK_MOST ? more : CHUNK_MOST);
        if (last)
            last->next = chunk;
        else
            self->first = chunk;
        self->last = last = chunk;
        if (self->first == last)
            seq_deque_walk(self);
    }
    last->seqs[last->end++] = seq;
    self->count++;
}

void
seq_deque_push_front(struct seq_deque *self, const int64_t *seqs, size_t count)
{
    if (count == 0)
        return;
    struct seq_chunk *chunk = chunk_create(count);
    memcpy(chunk->seqs, seqs, count * sizeof(*seqs));
    chunk->end = (uint32_t)count;
    chunk->next = self->first;
    self->first = chunk;
    if (!self->last)
        self->last = chunk;
    self->count += count;
    seq_deque_walk(self);
}

int64_t
seq_deque_take(struct seq_deque *self)
{
    struct seq_chunk *chunk = self->first;
    if (!chunk)
        return 0;
    int64_t seq = chunk->seqs[chunk->first++];
    self->count--;
    if (self->walk == chunk && self->walked < chunk->first)
        self->walked = chunk->first;
    if (chunk->first == chunk->end) {
        self->first = chunk->next;
        if (self->walk == chunk)
            seq_deque_walk(self);
        if (!self->first)
            self->last = NULL;
        free(chunk);
    }
    return seq;
}

int64_t
seq_deque_first(const struct seq_deque *self)
{
    return self->first ? self->first->seqs[self->first->first] : 0;
}

void
seq_deque_walk(struct seq_deque *self)
{
    self->walk = self->first;
    self->walked = self->first ? self->first->first : 0;
}

int64_t
seq_deque_next(struct seq_deque *self)
{
    struct seq_chunk *chunk = self->walk;
    if (chunk && self->walked == chunk->end && chunk->next) {
        chunk = self->walk = chunk->next;
        self->walked = chunk->first;
    }
    return chunk && self->walked < chunk->end ? chunk->seqs[self->walked++] : 0;
}

// ---- a set

enum { PAGE_SEQS = 4096 };

struct seq_page {
    int64_t number; // seq / PAGE_SEQS
    size_t count;
    UT_hash_handle hh;
    uint64_t bits[PAGE_SEQS / 64];
};

static struct seq_page *
page_find(const struct seq_set *self, int64_t seq)
{
    int64_t number = seq / PAGE_SEQS;
    struct seq_page *page = NULL;
    HASH_FIND(hh, self->pages, &number, sizeof(number), page);
    return page;
}

static uint64_t *
word_of(struct seq_page *page, int64_t seq)
{
    return &page->bits[seq % PAGE_SEQS / 64];
}

static uint64_t
bit_of(int64_t seq)
{
    return UINT64_C(1) << seq % 64;
}

static void
page_destroy(struct seq_set *self, struct seq_page *page)
{
    HASH_DEL(self->pages, page);
    free(page);
}

void
seq_set_finish(struct seq_set *self)
{
    struct seq_page *page, *next;
    HASH_ITER (hh, self->pages, page, next)
        page_destroy(self, page);
    self->count = 0;
}

bool
seq_set_add(struct seq_set *self, int64_t seq)
{
    struct seq_page *page = page_find(self, seq);
    if (!page) {
        page = core_alloc(sizeof(*page));
        page->number = seq / PAGE_SEQS;
        HASH_ADD(hh, self->pages, number, sizeof(page->number), page);
    }
    if (*word_of(page, seq) & bit_of(seq))
        return false;
    *word_of(page, seq) |= bit_of(seq);
    page->count++;
    self->count++;
    return true;
}

bool
seq_set_remove(struct seq_set *self, int64_t seq)
{
    struct seq_page *page = page_find(self, seq);
    if (!page || !(*word_of(page, seq) & bit_of(seq)))
        return false;
    *word_of(page, seq) &= ~bit_of(seq);
    self->count--;
    if (--page->count == 0)
        page_destroy(self, page);
    return true;
}

bool
seq_set_has(const struct seq_set *self, int64_t seq)
{
    struct seq_page *page = page_find(self, seq);
    return page && *word_of(page, seq) & bit_of(seq);
}

// ---- by time

void
seq_heap_finish(struct seq_heap *self)
{
    free(self->wakes);
    *self = (struct seq_heap){ 0 };
}

static void
sift_up(struct seq_heap *self, size_t place)
{
    struct seq_wake wake = self->wakes[place];
    for (; place > 0; place = (place - 1) / 2) {
        const struct seq_wake *parent = &self->wakes[(place - 1) / 2];
        if (parent->at_ms <= wake.at_ms)
            break;
        self->wakes[place] = *parent;
    }
    self->wakes[place] = wake;
}

static void
sift_down(struct seq_heap *self, size_t place)
{
    struct seq_wake wake = self->wakes[place];
    for (size_t child; (child = 2 * place + 1) < self->count; place = child) {
        if (child + 1 < self->count &&
            self->wakes[child + 1].at_ms < self->wakes[child].at_ms)
            child++;
        if (self->wakes[child].at_ms >= wake.at_ms)
            break;
        self->wakes[place] = self->wakes[child];
    }
    self->wakes[place] = wake;
}

// Grow, or give back what is no longer needed.
static void
resize(struct seq_heap *self, size_t capacity)
{
    self->capacity = capacity;
    self->wakes = core_realloc(self->wakes, capacity * sizeof(*self->wakes));
}

void
seq_heap_push(struct seq_heap *self, int64_t at_ms, int64_t seq, enum wake kind)
{
    if (self->count == self->capacity)
        resize(self, self->capacity ? self->capacity * 2 : 4);
    self->wakes[self->count] = (struct seq_wake){ at_ms, seq << WAKE_BITS | (int)kind };
    sift_up(self, self->count++);
}

bool
seq_heap_take(struct seq_heap *self, int64_t now_ms, int64_t *seq, enum wake *kind)
{
    if (seq_heap_next(self) > now_ms)
        return false;
    int64_t seq_kind = self->wakes[0].seq_kind;
    *seq = seq_kind >> WAKE_BITS;
    *kind = (enum wake)(seq_kind & ((1 << WAKE_BITS) - 1));
    self->wakes[0] = self->wakes[--self->count];
    if (self->count == 0)
        seq_heap_finish(self);
    else
        sift_down(self, 0);
    return true;
}

int64_t
seq_heap_next(const struct seq_heap *self)
{
    return self->count ? self->wakes[0].at_ms : INT64_MAX;
}

void
seq_heap_rush(struct seq_heap *self, int64_t at_ms, enum wake kind)
{
    for (size_t i = 0; i < self->count; i++) { // in which the order stays
        struct seq_wake *wake = &self->wakes[i];
        wake->at_ms = wake->at_ms < at_ms ? wake->at_ms : at_ms;
        wake->seq_kind = (wake->seq_kind >> WAKE_BITS << WAKE_BITS) | (int)kind;
    }
}

void
seq_heap_filter(struct seq_heap *self, const void *context,
                bool (*keep)(const void *context, int64_t seq, enum wake kind))
{
    size_t kept = 0;
    for (size_t i = 0; i < self->count; i++) {
        int64_t seq_kind = self->wakes[i].seq_kind;
        enum wake kind = (enum wake)(seq_kind & ((1 << WAKE_BITS) - 1));
        if (keep(context, seq_kind >> WAKE_BITS, kind))
            self->wakes[kept++] = self->wakes[i];
    }
    self->count = kept;
    if (kept == 0) {
        seq_heap_finish(self);
        return;
    }
    resize(self, kept);
    for (size_t i = kept / 2; i-- > 0;)
        sift_down(self, i);
}
