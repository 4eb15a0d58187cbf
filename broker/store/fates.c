#include <stdlib.h>
#include <string.h>

#include "fates.h"

enum { FIRST_PLACES = 1024, NEIGHBOURS = 16 };

void
fates_finish(struct fates *self)
{
    free(self->places);
    *self = (struct fates){ 0 };
}

void
fates_clear(struct fates *self)
{
    if (self->count > 0)
        memset(self->places, 0, (self->mask + 1) * sizeof(*self->places));
    self->count = 0;
}

// The task's place, or the free one where it would be. Numbers that follow each other are
// neighbours, as they are in the journal, and groups of them are spread by Fibonacci
// hashing.
static struct fate *
place_of(const struct fates *self, int64_t seq)
{
    uint64_t group = (uint64_t)seq / NEIGHBOURS * 0x9e3779b97f4a7c15u >> 20;
    size_t at = (size_t)(group * NEIGHBOURS + (uint64_t)seq % NEIGHBOURS) & self->mask;
    while (self->places[at].seq && self->places[at].seq != seq)
        at = (at + 1) & self->mask;
    return &self->places[at];
}

bool
fates_reserve(struct fates *self)
{
    size_t size = self->places ? self->mask + 1 : 0;
    if (2 * self->count < size)
        return true;
    struct fates larger = { .mask = (size ? 2 * size : FIRST_PLACES) - 1 };
    larger.places = calloc(larger.mask + 1, sizeof(*larger.places));
    if (!larger.places)
        return false;
    for (size_t i = 0; i < size; i++)
        if (self->places[i].seq)
            *place_of(&larger, self->places[i].seq) = self->places[i];
    larger.count = self->count;
    free(self->places);
    *self = larger;
    return true;
}

struct fate *
fates_of(struct fates *self, int64_t seq)
{
    struct fate *fate = place_of(self, seq);
    self->count += fate->seq == 0;
    fate->seq = seq;
    return fate;
}

struct fate *
fates_find(const struct fates *self, int64_t seq)
{
    struct fate *fate = self->places ? place_of(self, seq) : NULL;
    return fate && fate->seq ? fate : NULL;
}
