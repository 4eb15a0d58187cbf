#include <criterion/criterion.h>
#include <stdlib.h>

#include "rate.h"

Test(rate, without_a_limit_lets_everything_start)
{
    struct rate rate = { 0 };
    for (int i = 0; i < 100; i++) {
        cr_expect(rate_allows(&rate, 5));
        rate_reserve(&rate);
        rate_start(&rate, 5);
    }
    cr_expect_eq(rate.capacity, 0);
    rate_finish(&rate);
}

Test(rate, opens_when_the_first_start_has_left_the_window)
{
    struct rate rate = { 0 };
    rate_set(&rate, 2, 1000);
    rate_add(&rate, 100, 1);
    rate_add(&rate, 300, 1);
    cr_expect_not(rate_allows(&rate, 300));
    cr_expect_eq(rate_next_ms(&rate, 300), 1101);
    cr_expect_not(rate_allows(&rate, 1100), "the window is closed at both ends");
    cr_expect(rate_allows(&rate, 1101));
    rate_finish(&rate);
}

Test(rate, keeps_a_place_for_what_was_decided_until_it_happens_or_not)
{
    struct rate rate = { 0 };
    rate_set(&rate, 2, 1000);
    rate_reserve(&rate);
    rate_reserve(&rate);
    cr_expect_not(rate_allows(&rate, 0));
    cr_expect_eq(rate_next_ms(&rate, 0), INT64_MAX, "nobody knows when they start");
    rate_start(&rate, 500);
    cr_expect_eq(rate_next_ms(&rate, 500), 1501);
    rate_give_back(&rate);
    cr_expect(rate_allows(&rate, 500));
    rate_finish(&rate);
}

Test(rate, counts_places_taken_before_it_was_set)
{
    struct rate rate = { 0 };
    rate_reserve(&rate);
    rate_set(&rate, 1, 1000);
    cr_expect_not(rate_allows(&rate, 0));
    rate_start(&rate, 10);
    cr_expect_not(rate_allows(&rate, 1010));
    cr_expect(rate_allows(&rate, 1011));
    rate_finish(&rate);
}

Test(rate, lowered_waits_until_so_many_have_left)
{
    struct rate rate = { 0 };
    rate_set(&rate, 10, 1000);
    for (int i = 0; i < 10; i++)
        rate_add(&rate, i * 10, 1);
    rate_set(&rate, 3, 1000);
    cr_expect_eq(rate_next_ms(&rate, 100), 70 + 1001);
    rate_finish(&rate);
}

Test(rate, takes_a_time_before_the_last_for_the_last)
{
    struct rate rate = { 0 };
    rate_set(&rate, 3, 1000);
    rate_add(&rate, 5000, 1);
    rate_add(&rate, 3000, 2);
    cr_expect_eq(rate.count, 1);
    cr_expect_not(rate_allows(&rate, 6000));
    cr_expect(rate_allows(&rate, 6001));
    rate_finish(&rate);
}

Test(rate, shifted_has_no_start_in_the_future)
{
    struct rate rate = { 0 };
    rate_set(&rate, 2, 1000);
    rate_add(&rate, 90000, 1);
    rate_add(&rate, 90900, 1);
    rate_shift(&rate, -85500, 5000); // 4500, and 5400, which was yet to come
    cr_expect_eq(rate_next_ms(&rate, 5000), 5501);
    rate_add(&rate, 5501, 1);
    cr_expect_eq(rate_next_ms(&rate, 5501), 6001);
    rate_finish(&rate);
}

Test(rate, keeps_no_more_than_its_limit_of_marks)
{
    struct rate rate = { 0 };
    rate_set(&rate, 100, 1000);
    for (int64_t now = 0; now < 100000; now++)
        if (rate_allows(&rate, now))
            rate_add(&rate, now, 1);
    cr_expect_leq(rate.count, 100);
    cr_expect_leq(rate.capacity, 128);
    rate_finish(&rate);
}

// Every window of a history, closed at both ends, against the count of the starts in it.
static size_t
worst_window(const int64_t *starts, size_t count, int64_t window_ms)
{
    size_t worst = 0;
    for (size_t i = 0; i < count; i++) {
        size_t in = 0;
        for (size_t j = i; j < count && starts[j] <= starts[i] + window_ms; j++)
            in++;
        worst = in > worst ? in : worst;
    }
    return worst;
}

// Arrivals come in bursts and gaps, some decided on and sent later, some never sent.
// The rule: no window has more than n, and whenever one was refused it would have.
static void
run(unsigned seed, int64_t n, int64_t window_ms)
{
    enum { STEPS = 3000 };
    static int64_t starts[STEPS];
    struct rate rate = { 0 };
    size_t count = 0;
    int64_t now = 0, held = 0;
    srand(seed);
    rate_set(&rate, n, window_ms);
    for (int step = 0; step < STEPS; step++) {
        now += rand() % 3 ? 0 : rand() % (1 + 2 * window_ms / n);
        size_t in = 0;
        for (size_t i = count; i > 0 && starts[i - 1] >= now - window_ms; i--)
            in++;
        bool room = (int64_t)in + held < n;
        cr_assert_eq(rate_allows(&rate, now), room, "seed %u at %lld: %zu of %lld", seed,
                     (long long)now, in, (long long)n);
        if (held > 0 && rand() % 2) {
            held--;
            if (rand() % 4) {
                rate_start(&rate, now);
                starts[count++] = now;
            } else {
                rate_give_back(&rate);
            }
        } else if (room) {
            rate_reserve(&rate);
            held++;
        } else if (held == 0) {
            int64_t next = rate_next_ms(&rate, now);
            cr_assert_gt(next, now);
            cr_assert_not(rate_allows(&rate, next - 1));
            cr_assert(rate_allows(&rate, next));
            now = next;
        }
    }
    cr_assert_leq(worst_window(starts, count, window_ms), (size_t)n);
    cr_assert_gt(count, 100);
    rate_finish(&rate);
}

Test(rate, never_lets_more_than_n_start_in_any_window_and_never_fewer_than_it_could)
{
    static const struct {
        int64_t n, window_ms;
    } cases[] = { { 1, 1 },   { 1, 1000 },   { 2, 10 },
                  { 5, 100 }, { 100, 1000 }, { 10, 60000 } };
    for (size_t i = 0; i < OM_COUNT(cases); i++)
        for (unsigned seed = 1; seed <= 20; seed++)
            run(seed, cases[i].n, cases[i].window_ms);
}
