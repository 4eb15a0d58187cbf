// rng.h - a small random number generator whose state is the caller's: the same seed
// gives the same numbers on every machine (splitmix64; Steele, Lea, Flood 2014).
#pragma once
#include "base.h"

struct rng {
    uint64_t state;
};

static inline uint64_t
rng_next(struct rng *rng)
{
    uint64_t z = rng->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

// Uniform in [low, high).
static inline double
rng_uniform(struct rng *rng, double low, double high)
{
    return low + (high - low) * ((double)(rng_next(rng) >> 11) * 0x1p-53);
}

// Uniform in [0, count). The bias is below count / 2^64.
static inline size_t
rng_below(struct rng *rng, size_t count)
{
    return (size_t)(rng_next(rng) % count);
}
