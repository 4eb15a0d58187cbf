#include <criterion/criterion.h>
#include <stdlib.h>

#include "pool.h"

Test(pool, gives_zeroed_memory_of_any_size_again_and_again)
{
    enum { BLOCKS = 300 };
    struct pool pool = { 0 };
    for (int round = 0; round < 3; round++) {
        char *blocks[BLOCKS];
        for (size_t i = 0; i < BLOCKS; i++) {
            size_t size = i * 13;
            blocks[i] = pool_take(&pool, size);
            cr_assert_eq((uintptr_t)blocks[i] % _Alignof(max_align_t), 0);
            for (size_t k = 0; k < size; k++)
                cr_assert_eq(blocks[i][k], 0, "byte %zu of %zu", k, size);
            memset(blocks[i], (int)i, size); // blocks do not overlap
        }
        for (size_t i = 0; i < BLOCKS; i++) {
            for (size_t k = 0; k < i * 13; k++)
                cr_assert_eq((uint8_t)blocks[i][k], (uint8_t)i);
            pool_give(blocks[i]);
        }
    }
    pool_give(NULL);
    pool_finish(&pool);
}

Test(pool, keeps_no_more_than_it_says)
{
    struct pool pool = { 0 };
    enum { BLOCKS = POOL_KEPT + 10 };
    void **blocks = calloc(BLOCKS, sizeof(*blocks));
    cr_assert(blocks);
    for (size_t i = 0; i < BLOCKS; i++)
        blocks[i] = pool_take(&pool, 100);
    for (size_t i = 0; i < BLOCKS; i++)
        pool_give(blocks[i]);
    for (size_t i = 0; i < POOL_CLASSES; i++)
        cr_expect_leq(pool.kept[i], POOL_KEPT);
    free(blocks);
    pool_finish(&pool);
}
