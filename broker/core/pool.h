// pool.h - memory of small sizes that is used again and again: what is given back is kept
// for the next who takes a block of about that size.
//
// A pool belongs to one thread. It never gives out NULL: memory that cannot be had ends
// the program, because every size put in here was bounded before. Under the address
// sanitizer each block is a malloc() of its own.
#pragma once
#include "base.h"

enum {
    POOL_STEP = 64,    // sizes of a class differ by less
    POOL_CLASSES = 24, // larger blocks are not kept
    POOL_KEPT = 4096,  // blocks of a class that are kept
};

struct pool {
    struct pool_block *blocks[POOL_CLASSES];
    size_t kept[POOL_CLASSES];
};

// Free what is kept. Blocks that are out must have come back.
void pool_finish(struct pool *self);

// Zeroed memory.
void *pool_take(struct pool *self, size_t size);

// Give a block back to the pool it is of. NULL is allowed.
void pool_give(void *memory);
