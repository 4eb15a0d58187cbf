#include <assert.h>
#include <stdlib.h>

#include "recent.h"

static_assert((RECENT_MAX & (RECENT_MAX - 1)) == 0, "slots are masked");

struct recent_slot {
    uint32_t hash;
    uint32_t place; // in the ring, plus one; 0: empty
};

// Leases are numbered one after the other; this spreads them.
static uint32_t
hash_of(const struct wire_token *token)
{
    return (uint32_t)(token->lease * 0x9e3779b97f4a7c15u >> 32);
}

// Half of the slots are empty.
static size_t
mask_of(const struct recents *self)
{
    return 2 * self->capacity - 1;
}

static size_t
home_of(const struct recents *self, uint32_t hash)
{
    return hash & mask_of(self);
}

static size_t
after(const struct recents *self, size_t slot)
{
    return (slot + 1) & mask_of(self);
}

static void
put(struct recents *self, size_t place)
{
    uint32_t hash = hash_of(&self->ring[place].token);
    size_t slot = home_of(self, hash);
    while (self->slots[slot].place)
        slot = after(self, slot);
    self->slots[slot] = (struct recent_slot){ hash, (uint32_t)(place + 1) };
}

// Room for twice as many, the oldest first.
static void
grow(struct recents *self)
{
    struct recents old = *self;
    self->capacity = old.capacity ? 2 * old.capacity : RECENT_MAX;
    self->ring = malloc(self->capacity * sizeof(*self->ring));
    self->slots = calloc(2 * self->capacity, sizeof(*self->slots));
    if (!self->ring || !self->slots)
        abort();
    for (size_t i = 0; i < old.count; i++) {
        self->ring[i] = old.ring[(old.next + i) % old.capacity];
        put(self, i);
    }
    self->next = old.count;
    recents_finish(&old);
}

// Empty the slot of a place, and move up those behind it that would not be found over the
// gap.
static void
drop(struct recents *self, size_t place)
{
    size_t mask = mask_of(self), gap = home_of(self, hash_of(&self->ring[place].token));
    while (self->slots[gap].place != place + 1)
        gap = after(self, gap);
    for (size_t at = after(self, gap); self->slots[at].place; at = after(self, at)) {
        size_t home = home_of(self, self->slots[at].hash);
        if (((at - home) & mask) < ((at - gap) & mask))
            continue;
        self->slots[gap] = self->slots[at];
        gap = at;
    }
    self->slots[gap].place = 0;
}

void
recents_add(struct recents *self, const struct wire_token *token, core_conn conn)
{
    if (self->count == self->capacity && (!self->ring || !self->ring[self->next].durable))
        grow(self);
    size_t place = self->next;
    self->next = (place + 1) % self->capacity;
    if (self->count == self->capacity)
        drop(self, place);
    else
        self->count++;
    self->ring[place] = (struct recent){ .token = *token, .conn = conn };
    put(self, place);
}

struct recent *
recents_find(const struct recents *self, const struct wire_token *token)
{
    if (self->count == 0)
        return NULL;
    uint32_t hash = hash_of(token);
    size_t slot = home_of(self, hash);
    for (; self->slots[slot].place; slot = after(self, slot)) {
        if (self->slots[slot].hash != hash)
            continue;
        struct recent *recent = &self->ring[self->slots[slot].place - 1];
        if (memcmp(&recent->token, token, sizeof(*token)) == 0)
            return recent;
    }
    return NULL;
}

void
recents_finish(struct recents *self)
{
    free(self->ring);
    free(self->slots);
    *self = (struct recents){ 0 };
}
