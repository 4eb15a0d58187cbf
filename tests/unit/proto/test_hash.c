#include <criterion/criterion.h>

#include "hash.h"

Test(hash, spreads_numbers_over_the_buckets_of_a_table)
{
    enum { KEYS = 4096, BUCKETS = 1024, MOST = 24 };
    static unsigned counts[BUCKETS];
    for (uint64_t key = 1; key <= KEYS; key++)
        counts[om_hash(&key, sizeof(key)) % BUCKETS]++;
    for (size_t i = 0; i < BUCKETS; i++)
        cr_expect_leq(counts[i], MOST, "bucket %zu", i);
}

Test(hash, sees_every_byte_of_a_key)
{
    char key[83] = { 0 };
    uint32_t zeros = om_hash(key, sizeof(key));
    for (size_t i = 0; i < sizeof(key); i++) {
        key[i] = 1;
        cr_expect_neq(om_hash(key, sizeof(key)), zeros, "byte %zu", i);
        key[i] = 0;
    }
    cr_expect_neq(om_hash(key, sizeof(key) - 1), zeros);
}
