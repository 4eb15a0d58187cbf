#include <assert.h>
#include <stdlib.h>

#include "recent.h"

enum { SLOTS = 2 * RECENT_MAX };

static_assert((SLOTS & (SLOTS - 1)) == 0 && SLOTS <= UINT16_MAX + 1, "slots are masked");

struct recent_slot {
    uint16_t hash;
    uint16_t place; // in the ring, plus one; 0: empty
};

// Leases are numbered one after the other; this spreads them.
static uint16_t
hash_of(const struct wire_token *token)
{
    return (uint16_t)(token->lease * 0x9e3779b97f4a7c15u >> 48);
}

static size_t
home_of(uint16_t hash)
{
    return hash & (SLOTS - 1);
}

static size_t
after(size_t slot)
{
    return (slot + 1) & (SLOTS - 1);
}

static void
open_ring(struct recents *self)
{
    self->ring = malloc(RECENT_MAX * sizeof(*self->ring));
    self->slots = calloc(SLOTS, sizeof(*self->slots));
    if (!self->ring || !self->slots)
        abort();
}

static void
put(struct recents *self, size_t place)
{
    uint16_t hash = hash_of(&self->ring[place].token);
    size_t slot = home_of(hash);
    while (self->slots[slot].place)
        slot = after(slot);
    self->slots[slot] = (struct recent_slot){ hash, (uint16_t)(place + 1) };
}

// Empty the slot of a place, and move up those behind it that would not be found over the
// gap.
static void
drop(struct recents *self, size_t place)
{
    size_t gap = home_of(hash_of(&self->ring[place].token));
    while (self->slots[gap].place != place + 1)
        gap = after(gap);
    for (size_t at = after(gap); self->slots[at].place; at = after(at)) {
        size_t home = home_of(self->slots[at].hash);
        if (((at - home) & (SLOTS - 1)) < ((at - gap) & (SLOTS - 1)))
            continue;
        self->slots[gap] = self->slots[at];
        gap = at;
    }
    self->slots[gap].place = 0;
}

void
recents_add(struct recents *self, const struct wire_token *token, core_conn conn)
{
    if (!self->ring)
        open_ring(self);
    size_t place = self->next;
    self->next = (place + 1) % RECENT_MAX;
    if (self->count == RECENT_MAX)
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
    uint16_t hash = hash_of(token);
    for (size_t slot = home_of(hash); self->slots[slot].place; slot = after(slot)) {
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
