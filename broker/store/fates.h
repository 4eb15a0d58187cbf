// fates.h - what becomes of each task in a window. One thread.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base.h"

struct fate {
    int64_t seq; // of the task; 0: a free place
    bool added, ended, marked, reopened;
    bool named;    // it has keys or a retention of its own
    uint8_t state; // of its result
    uint32_t item; // its place among those that may be packed, plus one; 0: it may not
};

// A hash table with open addressing, at most half full.
struct fates {
    struct fate *places;
    size_t mask, count;
};

void fates_finish(struct fates *self);
void fates_clear(struct fates *self);

// Make room for one more. False when there is no memory.
OM_MUST_CHECK bool fates_reserve(struct fates *self);

// The task's fate, added if there is none: then there is room for it. Borrowed until the
// next fates_reserve().
struct fate *fates_of(struct fates *self, int64_t seq);

// NULL: there is none.
struct fate *fates_find(const struct fates *self, int64_t seq);
