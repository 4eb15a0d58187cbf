#include <stdlib.h>

#include "pool.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(SANITIZED)
enum { KEPT = 0 };
#else
enum { KEPT = POOL_KEPT };
#endif

// What stands in front of the memory that is given out.
struct pool_block {
    union {
        struct pool *pool;       // while it is out
        struct pool_block *next; // while it is kept
    };
    size_t class;
    _Alignas(max_align_t) char memory[];
};

void
pool_finish(struct pool *self)
{
    for (size_t i = 0; i < POOL_CLASSES; i++)
        for (struct pool_block *block; (block = self->blocks[i]);) {
            self->blocks[i] = block->next;
            free(block);
        }
    *self = (struct pool){ 0 };
}

void *
pool_take(struct pool *self, size_t size)
{
    size_t class = size / POOL_STEP;
    struct pool_block *block = class < POOL_CLASSES ? self->blocks[class] : NULL;
    if (block) {
        self->blocks[class] = block->next;
        self->kept[class]--;
    } else {
        size_t room = class < POOL_CLASSES ? (class + 1) * POOL_STEP : size;
        block = malloc(sizeof(*block) + (KEPT ? room : size));
        if (!block)
            abort();
        block->class = class;
    }
    block->pool = self;
    return memset(block->memory, 0, size);
}

void
pool_give(void *memory)
{
    if (!memory)
        return;
    struct pool_block *block =
        (struct pool_block *)(void *)((char *)memory -
                                      offsetof(struct pool_block, memory));
    struct pool *pool = block->pool;
    size_t class = block->class;
    if (class >= POOL_CLASSES || pool->kept[class] + 1 > KEPT) {
        free(block);
        return;
    }
    block->next = pool->blocks[class];
    pool->blocks[class] = block;
    pool->kept[class]++;
}
