// payload.h - bytes the broker moves and never reads.
//
// Counted references, touched by the core's thread only. Another thread may read `bytes`
// while the core holds a reference for it.
#pragma once
#include "pool.h"

struct payload {
    int refs;
    struct om_str bytes;
    void (*release)(struct payload *self); // called when the last reference goes
};

// A copy of `bytes` in memory of its own, with one reference; NULL when there is no
// memory.
struct payload *payload_copy(struct om_str bytes);

// A copy in memory of a pool, to which it goes back with its last reference.
struct payload *payload_pooled(struct pool *pool, struct om_str bytes);

// One more reference; NULL stays NULL. Returns its argument.
struct payload *payload_ref(struct payload *self);

// Give a reference back and set the pointer to NULL. NULL is allowed.
void payload_unref(struct payload **self_p);

static inline struct om_str
payload_bytes(const struct payload *self)
{
    return self ? self->bytes : (struct om_str){ "", 0 };
}
