#include <criterion/criterion.h>

#include "crew.h"

Test(crew, waits_longer_after_each_failure_but_never_more_than_five_seconds)
{
    cr_assert_eq(crew_backoff_ms(1, 0), 100);
    cr_assert_eq(crew_backoff_ms(2, 0), 200);
    cr_assert_eq(crew_backoff_ms(6, 0), 3200);
    cr_assert_eq(crew_backoff_ms(7, 0), 5000);
    cr_assert_eq(crew_backoff_ms(1000000, 0), 5000);
}

Test(crew, takes_away_at_most_a_quarter_by_chance)
{
    for (uint32_t random = 0; random < 100000; random++) {
        int64_t wait_ms = crew_backoff_ms(4, random);
        cr_assert(wait_ms >= 600 && wait_ms <= 800, "%lld", (long long)wait_ms);
    }
}

Test(crew, a_program_that_is_missing_is_named)
{
    static const struct crew_member members[] = {
        { "x", "omni-missing", { NULL }, 0, "off" }
    };
    char why[512];
    cr_assert_null(crew_create(members, 1, why, sizeof(why)));
    cr_assert(strstr(why, "omni-missing"), "%s", why);
}
