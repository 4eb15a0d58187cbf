#include <criterion/criterion.h>
#include <stdlib.h>

#include "timers.h"

enum { TIMERS = 500 };

static int64_t fired[TIMERS];
static size_t fired_count;

static void
record(void *context)
{
    fired[fired_count++] = ((struct om_timer *)context)->at_ms;
}

Test(timers, fire_in_order_whatever_was_set_moved_and_cleared)
{
    struct om_timers timers = { 0 };
    struct om_timer set[TIMERS] = { 0 };
    srand(1);
    for (size_t i = 0; i < TIMERS; i++) {
        set[i].fire = record;
        set[i].context = &set[i];
        cr_assert(om_timers_set(&timers, &set[i], rand() % 1000));
    }
    for (size_t i = 0; i < TIMERS; i += 2)
        cr_assert(om_timers_set(&timers, &set[i], rand() % 1000));
    for (size_t i = 0; i < TIMERS; i += 5)
        om_timers_clear(&timers, &set[i]);

    om_timers_run(&timers, 500);
    size_t early = fired_count;
    cr_expect_gt(om_timers_next_ms(&timers), 500);
    om_timers_run(&timers, 1000);
    cr_expect_eq(fired_count, TIMERS - TIMERS / 5);
    for (size_t i = 1; i < fired_count; i++)
        cr_expect_leq(fired[i - 1], fired[i]);
    cr_expect_leq(fired[early - 1], 500);
    cr_expect_eq(om_timers_next_ms(&timers), INT64_MAX);
    om_timers_finish(&timers);
}

static struct om_timers endless;

static void
set_again(void *context)
{
    fired_count++;
    cr_assert(om_timers_set(&endless, context, 0));
}

Test(timers, one_that_sets_itself_again_does_not_hold_up_the_rest)
{
    struct om_timer timer = { .fire = set_again, .context = &timer };
    cr_assert(om_timers_set(&endless, &timer, 0));
    om_timers_run(&endless, 10);
    cr_expect_eq(fired_count, 1);
    om_timers_finish(&endless);
    cr_expect_eq(timer.place, 0);
}
