// arena.h - scratch memory that is freed all at once.
//
// An arena belongs to one thread. It never gives out NULL: memory that cannot be had ends
// the program, because every size put in here was bounded before.
#pragma once
#include "base.h"

struct om_arena {
    struct arena_block *blocks; // newest first
};

// Free everything; the arena is empty and can be used again.
void om_arena_finish(struct om_arena *arena);

// Give back everything but one block, for reuse.
void om_arena_reset(struct om_arena *arena);

// Zeroed memory, aligned for any type.
void *om_arena_alloc(struct om_arena *arena, size_t size);

// A copy with a final zero behind it.
char *om_arena_strdup(struct om_arena *arena, struct om_str text);

char *om_arena_printf(struct om_arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
