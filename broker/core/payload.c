#include <stdlib.h>

#include "payload.h"

static void
release_copy(struct payload *self)
{
    free(self);
}

struct payload *
payload_copy(struct om_str bytes)
{
    struct payload *self = malloc(sizeof(*self) + bytes.size);
    if (!self)
        return NULL;
    char *memory = (char *)(self + 1);
    if (bytes.size)
        memcpy(memory, bytes.data, bytes.size);
    *self = (struct payload){ 1, { memory, bytes.size }, release_copy };
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
