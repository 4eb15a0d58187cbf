#include <criterion/criterion.h>

#include "limiter.h"

// Numbers that are the same in every run of a seed (splitmix64).
static uint64_t
next(uint64_t *seed)
{
    uint64_t z = *seed += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static int64_t
between(uint64_t *seed, int64_t low, int64_t high)
{
    return low + (int64_t)(next(seed) % (uint64_t)(high - low + 1));
}

static bool
try_take(struct limiter *limiter, int64_t *now_ms, int64_t limit, int64_t amount)
{
    *now_ms = limiter_advance(limiter, *now_ms);
    if (limiter_wait_ms(limiter, *now_ms, limit, amount) > 0)
        return false;
    limiter_take(limiter, *now_ms, limit, amount);
    return true;
}

enum { TAKES_MAX = 20000 };

// What was taken, and when: the truth the limiter is held against.
struct history {
    int64_t at_ms[TAKES_MAX], amount[TAKES_MAX];
    size_t count, oldest;
    int64_t used;
};

static int64_t
used_of(struct history *history, int64_t now_ms)
{
    while (history->oldest < history->count &&
           history->at_ms[history->oldest] <= now_ms - LIMITER_WINDOW_MS)
        history->used -= history->amount[history->oldest++];
    return history->used;
}

static void
note(struct history *history, int64_t at_ms, int64_t amount)
{
    history->at_ms[history->count] = at_ms;
    history->amount[history->count++] = amount;
    history->used += amount;
}

// Steps of arrival: bursts, a steady stream, edges of windows, long silence, and a clock
// of another thread that is a little behind.
static int64_t
step_ms(uint64_t *seed)
{
    switch (next(seed) % 12) {
    case 0:
        return between(seed, 1, 2000);
    case 1:
        return between(seed, 900, 1000);
    case 2:
        return next(seed) % 40 == 0 ? LIMITER_WINDOW_MS - between(seed, -2, 2) : 1;
    case 3:
        return -between(seed, 0, 3);
    case 4:
        return next(seed) % 100 == 0 ? INT64_C(5000000000) : 0;
    case 5:
        return between(seed, 1, 100);
    default:
        return between(seed, 0, 1);
    }
}

static void
check_seed(uint64_t seed)
{
    static const int64_t limits[] = { 0, 1, 2, 10, 63, 64, 100, 600, 5000, 1000000 };
    static struct history history;
    uint64_t random = seed;
    int64_t limit = limits[next(&random) % OM_COUNT(limits)];
    int64_t amount_max = next(&random) % 2 ? 1 : limit / 3 + 1;
    int64_t now_ms = between(&random, 0, INT64_C(1) << 40);
    struct limiter limiter = { 0 };
    memset(&history, 0, sizeof(history));
    for (int i = 0; i < TAKES_MAX; i++) {
        int64_t amount = between(&random, 1, amount_max), at_ms;
        now_ms += step_ms(&random);
        at_ms = now_ms;
        bool taken = try_take(&limiter, &at_ms, limit, amount);
        if (taken)
            note(&history, at_ms, amount);
        cr_assert_leq(used_of(&history, at_ms), limit, "seed %llu, take %d",
                      (unsigned long long)seed, i);
        cr_assert_geq(limiter.used, history.used, "seed %llu", (unsigned long long)seed);
        // To the millisecond: what is refused does not fit.
        if (!taken && limit < LIMITER_ENTRIES)
            cr_assert_gt(history.used + amount, limit,
                         "seed %llu: refused, and would fit", (unsigned long long)seed);
        cr_assert_leq(limiter.count, LIMITER_ENTRIES);
    }
}

Test(limiter, never_allows_more_than_the_limit_in_any_window_whatever_the_times)
{
    for (uint64_t seed = 1; seed <= 150; seed++)
        check_seed(seed);
}

Test(limiter, has_no_burst_at_the_edge_of_a_window)
{
    struct limiter limiter = { 0 };
    int64_t taken = 0;
    // All of the limit at the end of a minute, and again after it.
    for (int64_t ms = 59000; ms < 61000; ms++)
        for (int i = 0; i < 2; i++) {
            int64_t now_ms = ms;
            taken += try_take(&limiter, &now_ms, 100, 1);
        }
    cr_expect_eq(taken, 100);
}

Test(limiter, gives_back_to_the_millisecond_below_64)
{
    struct limiter limiter = { 0 };
    for (int64_t i = 0; i < 10; i++) {
        int64_t now_ms = 1000 + 7 * i;
        cr_assert(try_take(&limiter, &now_ms, 10, 1));
    }
    int64_t now_ms = 1000 + LIMITER_WINDOW_MS - 1;
    cr_expect_not(try_take(&limiter, &now_ms, 10, 1));
    cr_expect_eq(limiter_wait_ms(&limiter, now_ms, 10, 1), 1);
    cr_expect_eq(limiter_wait_ms(&limiter, now_ms, 10, 2), 8);
    cr_expect_eq(limiter_reset_ms(&limiter, now_ms), 1);
    now_ms++;
    cr_expect(try_take(&limiter, &now_ms, 10, 1));
    cr_expect_not(try_take(&limiter, &now_ms, 10, 1));
}

Test(limiter, is_late_by_less_than_a_63rd_of_the_window_above)
{
    struct limiter limiter = { 0 };
    int64_t late_ms = 0, owed = 0, taken = 0;
    // As fast as it may: after the first minute what it allows is what left the window.
    for (int64_t ms = 0; ms < 10 * LIMITER_WINDOW_MS; ms++) {
        int64_t now_ms = 1 + ms;
        taken += try_take(&limiter, &now_ms, 600, 1);
    }
    owed = 10 * 600 - taken;
    late_ms = owed * LIMITER_WINDOW_MS / 600 / 9;
    cr_expect_leq(taken, 6000);
    cr_expect_leq(late_ms, LIMITER_JOIN_MS, "late by %lld ms a minute",
                  (long long)late_ms);
}

Test(limiter, waits_as_long_as_it_says)
{
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct limiter limiter = { 0 };
        uint64_t random = seed;
        int64_t limit = between(&random, 1, 2000), now_ms = 5;
        for (int i = 0; i < 3000; i++) {
            int64_t amount = between(&random, 1, limit);
            now_ms += between(&random, 0, 50);
            int64_t at_ms = now_ms;
            if (try_take(&limiter, &at_ms, limit, amount))
                continue;
            int64_t wait_ms = limiter_wait_ms(&limiter, now_ms, limit, amount);
            struct limiter copy = limiter;
            at_ms = now_ms + wait_ms - 1;
            cr_assert_not(try_take(&copy, &at_ms, limit, amount), "seed %d", (int)seed);
            at_ms = now_ms + wait_ms;
            cr_assert(try_take(&copy, &at_ms, limit, amount), "seed %d", (int)seed);
        }
    }
}

Test(limiter, gives_back_what_was_not_used)
{
    struct limiter limiter = { 0 };
    int64_t now_ms = 1000;
    cr_assert(try_take(&limiter, &now_ms, 100, 60));
    now_ms = 3000;
    cr_assert(try_take(&limiter, &now_ms, 100, 40));
    limiter_give(&limiter, 1000, 50);
    cr_expect_eq(limiter.used, 50);
    limiter_give(&limiter, 2000, 10); // nothing was taken then
    cr_expect_eq(limiter.used, 50);
    now_ms = 1000 + LIMITER_WINDOW_MS;
    limiter_advance(&limiter, now_ms);
    cr_expect_eq(limiter.used, 40);
    limiter_give(&limiter, 1000, 10); // what it was taken from has left
    cr_expect_eq(limiter.used, 40);
}

Test(limiter, a_limit_that_is_lowered_or_raised_holds_at_once)
{
    struct limiter limiter = { 0 };
    int64_t now_ms = 0;
    for (int i = 0; i < 50; i++, now_ms += 5)
        cr_assert(try_take(&limiter, &now_ms, 60, 1));
    cr_expect_not(try_take(&limiter, &now_ms, 10, 1));
    for (int i = 0; i < 950; i++, now_ms += 5)
        cr_assert(try_take(&limiter, &now_ms, 1000, 1));
    cr_expect_not(try_take(&limiter, &now_ms, 1000, 1));
    cr_expect_leq(limiter.count, LIMITER_ENTRIES);
}
