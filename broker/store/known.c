#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "known.h"

enum {
    FIRST_CAPACITY = 1024,
    FORGET_AHEAD = 8, // slots that are fetched before their turn
};

struct entry {
    uint64_t hash;
    int64_t number;
    struct om_str change;
};

struct slot {
    uint32_t hash;  // its lower half
    uint32_t place; // in the ring, plus one; 0: empty
};

// The entries are a ring; `slots` has, by open addressing, their places in it.
struct known {
    uint64_t seed;
    struct entry *ring;
    size_t capacity, first, count; // the capacity is a power of two
    struct slot *slots;            // twice the capacity
};

struct known *
known_create(uint64_t seed)
{
    struct known *self = calloc(1, sizeof(*self));
    if (self)
        self->seed = seed;
    return self;
}

void
known_destroy(struct known **self_p)
{
    struct known *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    free(self->ring);
    free(self->slots);
    free(self);
}

uint64_t
known_hash_id(const struct known *self, const struct om_uuid *id)
{
    return XXH3_64bits_withSeed(id, sizeof(*id), self->seed);
}

uint64_t
known_hash_key(const struct known *self, enum known_by by, const struct om_uuid *tenant,
               struct om_str key)
{
    uint64_t seed = XXH3_64bits_withSeed(tenant, sizeof(*tenant), self->seed + by);
    return XXH3_64bits_withSeed(key.data, key.size, seed);
}

uint64_t
known_hash_seq(const struct known *self, int64_t seq)
{
    return XXH3_64bits_withSeed(&seq, sizeof(seq), self->seed);
}

// ---- slots

static size_t
slot_mask(const struct known *self)
{
    return self->capacity * 2 - 1;
}

static void
put_slot(struct known *self, size_t place)
{
    uint64_t hash = self->ring[place].hash;
    size_t at = hash & slot_mask(self);
    while (self->slots[at].place)
        at = (at + 1) & slot_mask(self);
    self->slots[at] = (struct slot){ (uint32_t)hash, (uint32_t)place + 1 };
}

// Empty a slot, and move up those behind it that would not be found over the gap.
static void
clear_slot(struct known *self, size_t gap)
{
    size_t mask = slot_mask(self);
    for (size_t at = (gap + 1) & mask; self->slots[at].place; at = (at + 1) & mask) {
        size_t home = self->slots[at].hash & mask;
        if (((at - home) & mask) < ((at - gap) & mask))
            continue;
        self->slots[gap] = self->slots[at];
        gap = at;
    }
    self->slots[gap].place = 0;
}

static void
remove_slot(struct known *self, size_t place)
{
    size_t at = self->ring[place].hash & slot_mask(self);
    while (self->slots[at].place != (uint32_t)place + 1)
        at = (at + 1) & slot_mask(self);
    clear_slot(self, at);
}

static bool
grow(struct known *self)
{
    size_t capacity = self->capacity ? self->capacity * 2 : FIRST_CAPACITY;
    struct entry *ring = malloc(capacity * sizeof(*ring));
    struct slot *slots = calloc(capacity * 2, sizeof(*slots));
    if (!ring || !slots || capacity > UINT32_MAX / 2) {
        free(ring);
        free(slots);
        return false;
    }
    for (size_t i = 0; i < self->count; i++)
        ring[i] = self->ring[(self->first + i) & (self->capacity - 1)];
    free(self->ring);
    free(self->slots);
    self->ring = ring;
    self->slots = slots;
    self->capacity = capacity;
    self->first = 0;
    for (size_t i = 0; i < self->count; i++)
        put_slot(self, i);
    return true;
}

// ---- entries

bool
known_add(struct known *self, uint64_t hash, int64_t number, struct om_str change)
{
    if (self->count == self->capacity && !grow(self))
        return false;
    size_t place = (self->first + self->count++) & (self->capacity - 1);
    self->ring[place] = (struct entry){ hash, number, change };
    put_slot(self, place);
    return true;
}

struct om_str
known_find(const struct known *self, uint64_t hash, known_matches *matches,
           const void *context)
{
    struct om_str newest = { 0 };
    size_t newest_age = 0;
    if (self->count == 0)
        return newest;
    size_t mask = slot_mask(self);
    for (size_t at = hash & mask; self->slots[at].place; at = (at + 1) & mask) {
        if (self->slots[at].hash != (uint32_t)hash)
            continue;
        size_t place = self->slots[at].place - 1;
        const struct entry *entry = &self->ring[place];
        size_t age = (place - self->first) & (self->capacity - 1);
        if (entry->hash != hash || (newest.data && age < newest_age) ||
            !matches(context, entry->change))
            continue;
        newest = entry->change;
        newest_age = age;
    }
    return newest;
}

void
known_expect(const struct known *self, uint64_t hash)
{
    if (self->count > 0)
        __builtin_prefetch(&self->slots[hash & slot_mask(self)]);
}

void
known_forget(struct known *self, int64_t number)
{
    while (self->count > 0 && self->ring[self->first].number <= number) {
        size_t soon = (self->first + FORGET_AHEAD) & (self->capacity - 1);
        if (self->count > FORGET_AHEAD)
            known_expect(self, self->ring[soon].hash);
        remove_slot(self, self->first);
        self->first = (self->first + 1) & (self->capacity - 1);
        self->count--;
    }
}

void
known_take_back(struct known *self, int64_t number)
{
    while (self->count > 0) {
        size_t last = (self->first + self->count - 1) & (self->capacity - 1);
        if (self->ring[last].number < number)
            break;
        remove_slot(self, last);
        self->count--;
    }
}
