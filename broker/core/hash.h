// hash.h - the hash of the core's tables. Keys are ids, numbers and names padded with
// zeros: a few words, which are mixed one by one.
#pragma once
#include "base.h"

static inline uint32_t
core_hash(const void *key, size_t size)
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
