#include <stdlib.h>

#include "payload.h"

static void
release_copy(struct payload *self)
{
    free(self);
}

static void
release_pooled(struct payload *self)
{
    pool_give(self);
}

// Have the payload hold a copy of `bytes`, behind itself.
static void
fill(struct payload *self, struct om_str bytes, void (*release)(struct payload *))
{
    char *memory = (char *)(self + 1);
    if (bytes.size)
        memcpy(memory, bytes.data, bytes.size);
    *self = (struct payload){ 1, { memory, bytes.size }, release };
}

struct payload *
payload_copy(struct om_str bytes)
{
    struct payload *self = malloc(sizeof(*self) + bytes.size);
    if (self)
        fill(self, bytes, release_copy);
    return self;
}

struct payload *
payload_pooled(struct pool *pool, struct om_str bytes)
{
    struct payload *self = pool_take(pool, sizeof(*self) + bytes.size);
    fill(self, bytes, release_pooled);
    return self;
}

struct payload *
payload_ref(struct payload *self)
{
    if (self)
        self->refs++;
    return self;
}

void
payload_unref(struct payload **self_p)
{
    struct payload *self = *self_p;
    *self_p = NULL;
    if (self && --self->refs == 0)
        self->release(self);
}
