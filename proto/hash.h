// hash.h - a hash for uthash's tables. Keys are ids, numbers and short names: a few
// words, which are mixed one by one. To be included before uthash.h.
#pragma once
#include "base.h"

#define HASH_FUNCTION(key, size, hash) ((hash) = om_hash((key), (size)))

static inline uint32_t
om_hash(const void *key, size_t size)
{
    const char *bytes = key;
    uint64_t hash = size;
    for (uint64_t word; size > 0; bytes += sizeof(word)) {
        size_t taken = size < sizeof(word) ? size : sizeof(word);
        word = 0;
        memcpy(&word, bytes, taken);
        hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 32;
        size -= taken;
    }
    return (uint32_t)hash;
}
