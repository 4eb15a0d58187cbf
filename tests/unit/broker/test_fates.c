// What becomes of each task in a window is found by the task's number.
#include <criterion/criterion.h>

#include "fates.h"

enum { RUN = 5000 };

TestSuite(fates);

static void
add(struct fates *fates, int64_t seq)
{
    cr_assert(fates_reserve(fates));
    fates_of(fates, seq)->item = (uint32_t)seq;
}

Test(fates, each_is_found_among_runs_of_neighbours_and_numbers_far_away)
{
    struct fates fates = { 0 };
    for (int64_t i = 1; i <= RUN; i++) {
        add(&fates, i);
        add(&fates, (INT64_C(1) << 40) + i * 1024);
    }
    cr_expect_eq(fates.count, 2 * RUN);
    for (int64_t i = 1; i <= RUN; i++) {
        const struct fate *near = fates_find(&fates, i);
        cr_assert(near && near->seq == i && near->item == (uint32_t)i);
        const struct fate *far = fates_find(&fates, (INT64_C(1) << 40) + i * 1024);
        cr_assert(far && far->seq == (INT64_C(1) << 40) + i * 1024);
    }
    cr_expect_null(fates_find(&fates, RUN + 1));
    fates_finish(&fates);
}

Test(fates, none_is_left_when_it_was_cleared)
{
    struct fates fates = { 0 };
    cr_expect_null(fates_find(&fates, 1));
    add(&fates, 1);
    add(&fates, 1);
    cr_expect_eq(fates.count, 1);
    fates_clear(&fates);
    cr_expect(fates.count == 0 && !fates_find(&fates, 1));
    fates_finish(&fates);
}
