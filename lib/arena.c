#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "arena.h"

enum { BLOCK_BYTES = 8192 };

struct arena_block {
    struct arena_block *next;
    size_t used, size;
    _Alignas(max_align_t) char data[];
};

static void
free_blocks(struct arena_block *block)
{
    while (block) {
        struct arena_block *next = block->next;
        free(block);
        block = next;
    }
}

void
om_arena_finish(struct om_arena *arena)
{
    free_blocks(arena->blocks);
    arena->blocks = NULL;
}

void
om_arena_reset(struct om_arena *arena)
{
    struct arena_block *kept = arena->blocks;
    if (!kept)
        return;
    free_blocks(kept->next);
    kept->next = NULL;
    kept->used = 0;
    if (kept->size > 64 * BLOCK_BYTES)
        om_arena_finish(arena);
}

void *
om_arena_alloc(struct om_arena *arena, size_t size)
{
    const size_t align = _Alignof(max_align_t);
    size = (size + align - 1) & ~(align - 1);
    struct arena_block *block = arena->blocks;
    if (!block || block->size - block->used < size) {
        size_t bytes = size > BLOCK_BYTES ? size : BLOCK_BYTES;
        block = malloc(sizeof(*block) + bytes);
        if (!block)
            abort();
        block->next = arena->blocks;
        block->used = 0;
        block->size = bytes;
        arena->blocks = block;
    }
    void *at = block->data + block->used;
    block->used += size;
    return memset(at, 0, size);
}

char *
om_arena_strdup(struct om_arena *arena, struct om_str text)
{
    char *copy = om_arena_alloc(arena, text.size + 1);
    if (text.size)
        memcpy(copy, text.data, text.size);
    return copy;
}

char *
om_arena_printf(struct om_arena *arena, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (size < 0)
        abort();
    char *text = om_arena_alloc(arena, (size_t)size + 1);
    va_start(args, format);
    vsnprintf(text, (size_t)size + 1, format, args);
    va_end(args);
    return text;
}
