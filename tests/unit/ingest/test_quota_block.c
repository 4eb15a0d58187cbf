// What a process holds of a quota: whatever happens, no more is spent than was granted.
#include <criterion/criterion.h>
#include <stdio.h>

#include "quota_block.h"

static struct quota_block block;
static int64_t now_ms;

static void
start(void)
{
    block = (struct quota_block){ 0 };
    now_ms = 1000000;
}

TestSuite(quota_block, .init = start);

static struct quota_answer
grant(const char *name, int64_t granted)
{
    struct quota_answer answer = { .granted = granted,
                                   .lasts_ms = 60000,
                                   .resets_wall_ms = 7,
                                   .window_ms = 3600000,
                                   .limited = true,
                                   .limit = 1000 };
    snprintf(answer.name, sizeof(answer.name), "%s", name);
    return answer;
}

static void
give(const char *name, int64_t granted)
{
    struct quota_answer answer = grant(name, granted);
    quota_block_answer(&block, now_ms, block.epoch, now_ms, &answer);
}

static bool
asks(bool wanting)
{
    int64_t amount;
    return quota_block_ask(&block, now_ms, wanting, &amount);
}

static void
expect_due(const char *name, int64_t spent)
{
    struct quota_grant due;
    cr_assert(quota_block_due(&block, &due), "%s is not due", name);
    cr_expect_str_eq(due.name, name);
    cr_expect_eq(due.spent, spent);
}

Test(quota_block, asks_once_and_waits_for_the_answer)
{
    cr_expect_eq(quota_block_take(&block, now_ms, 1), QUOTA_WAIT);
    cr_expect(asks(true));
    cr_expect_eq(quota_block_take(&block, now_ms, 1), QUOTA_WAIT);
    cr_expect(!asks(true));
    give("a", 2);
    cr_expect_eq(quota_block_take(&block, now_ms, 1), QUOTA_TAKEN);
    cr_expect_eq(quota_block_take(&block, now_ms, 1), QUOTA_TAKEN);
    cr_expect_eq(quota_block_take(&block, now_ms, 1), QUOTA_WAIT);
}

Test(quota_block, asks_for_the_next_block_before_this_one_is_used_up)
{
    quota_block_take(&block, now_ms, 1);
    cr_assert(asks(true));
    give("a", 16);
    for (int i = 0; i < 11; i++) {
        cr_expect_eq(quota_block_take(&block, now_ms, 1), QUOTA_TAKEN);
        cr_expect(!asks(false), "%d", i);
    }
    cr_expect_eq(quota_block_take(&block, now_ms, 1), QUOTA_TAKEN);
    cr_expect(asks(false));
    give("b", 16);
    for (int i = 0; i < 20; i++)
        cr_expect_eq(quota_block_take(&block, now_ms, 1), QUOTA_TAKEN);
    expect_due("a", 16);
}

Test(quota_block, remembers_that_it_is_used_up_until_the_window_ends)
{
    struct quota_answer none = grant("", 0);
    none.window_ms = 10000;
    quota_block_take(&block, now_ms, 1);
    cr_assert(asks(true));
    quota_block_answer(&block, now_ms, block.epoch, now_ms, &none);
    cr_expect_eq(quota_block_take(&block, now_ms, 1), QUOTA_REFUSED);
    cr_expect(!asks(true));
    now_ms += 10000;
    cr_expect_eq(quota_block_take(&block, now_ms, 1), QUOTA_WAIT);
    cr_expect(asks(true));
}

Test(quota_block, asks_again_soon_when_blocks_of_others_may_come_back)
{
    struct quota_answer none = grant("", 0);
    none.leased = true;
    quota_block_take(&block, now_ms, 1);
    cr_assert(asks(true));
    quota_block_answer(&block, now_ms, block.epoch, now_ms, &none);
    cr_expect_eq(quota_block_take(&block, now_ms, 1), QUOTA_REFUSED);
    now_ms += QUOTA_AGAIN_MS;
    cr_expect_eq(quota_block_take(&block, now_ms, 1), QUOTA_WAIT);
    cr_expect(asks(true));
}

Test(quota_block, spends_nothing_of_a_block_that_is_over)
{
    quota_block_take(&block, now_ms, 1);
    cr_assert(asks(true));
    give("a", 16);
    cr_expect_eq(quota_block_take(&block, now_ms, 1), QUOTA_TAKEN);
    now_ms += QUOTA_HOLD_MS;
    cr_expect_eq(quota_block_take(&block, now_ms, 1), QUOTA_WAIT);
    expect_due("a", 1);
}

Test(quota_block, tells_that_billing_is_silent)
{
    quota_block_take(&block, now_ms, 1);
    cr_assert(asks(true));
    now_ms += QUOTA_PARK_MS;
    cr_expect_eq(quota_block_take(&block, now_ms, 1), QUOTA_SILENT);
    quota_block_answer(&block, now_ms, block.epoch, now_ms, NULL);
    cr_expect_eq(quota_block_take(&block, now_ms, 1), QUOTA_SILENT);
    now_ms += QUOTA_AGAIN_MS;
    cr_expect(asks(true));
    give("a", 1);
    cr_expect_eq(quota_block_take(&block, now_ms, 1), QUOTA_TAKEN);
}

Test(quota_block, remembers_since_when_billing_is_silent)
{
    int64_t first_ms = now_ms;
    for (int i = 0; i < 3; i++) {
        quota_block_take(&block, now_ms, 1);
        cr_assert(asks(true), "%d", i);
        quota_block_answer(&block, now_ms + 2000, block.epoch, now_ms, NULL);
        cr_expect_eq(block.silent_ms, first_ms, "%d", i);
        now_ms += 3000;
    }
    quota_block_take(&block, now_ms, 1);
    cr_assert(asks(true));
    give("a", 1);
    quota_block_take(&block, now_ms, 1);
    cr_assert(asks(true));
    quota_block_answer(&block, now_ms + 2000, block.epoch, now_ms, NULL);
    cr_expect_eq(block.silent_ms, now_ms);
}

Test(quota_block, goes_on_refusing_what_was_used_up_when_billing_falls_silent)
{
    struct quota_answer none = grant("", 0);
    quota_block_take(&block, now_ms, 1);
    cr_assert(asks(true));
    quota_block_answer(&block, now_ms, block.epoch, now_ms, &none);
    now_ms += QUOTA_USED_UP_MS;
    cr_expect_eq(quota_block_take(&block, now_ms, 1), QUOTA_WAIT);
    cr_assert(asks(true));
    quota_block_answer(&block, now_ms, block.epoch, now_ms, NULL);
    cr_expect_eq(quota_block_take(&block, now_ms, 1), QUOTA_REFUSED);
}

Test(quota_block, does_not_count_where_there_is_no_limit)
{
    struct quota_answer any = grant("x", 5);
    any.limited = false;
    quota_block_take(&block, now_ms, 1);
    cr_assert(asks(true));
    quota_block_answer(&block, now_ms, block.epoch, now_ms, &any);
    for (int i = 0; i < 100; i++)
        cr_expect_eq(quota_block_take(&block, now_ms, 1), QUOTA_TAKEN);
    cr_expect(!asks(false));
    now_ms += QUOTA_FREE_MS;
    cr_expect_eq(quota_block_take(&block, now_ms, 1), QUOTA_TAKEN);
    cr_expect(asks(false), "limits may have come");
}

Test(quota_block, gives_back_what_it_holds_when_limits_change)
{
    struct quota_answer late = grant("late", 16);
    struct quota_grant due;
    quota_block_take(&block, now_ms, 1);
    cr_assert(asks(true));
    give("a", 4);
    for (int i = 0; i < 3; i++)
        quota_block_take(&block, now_ms, 1);
    cr_assert(asks(false));
    unsigned epoch = block.epoch;
    quota_block_forget(&block);
    expect_due("a", 3);
    cr_expect_eq(quota_block_take(&block, now_ms, 1), QUOTA_WAIT);
    cr_expect(asks(true), "at once");
    quota_block_answer(&block, now_ms, epoch, now_ms, &late);
    expect_due("late", 0);
    cr_expect(!quota_block_due(&block, &due));
    cr_expect_eq(quota_block_take(&block, now_ms, 1), QUOTA_WAIT, "it is stale");
}

Test(quota_block, gives_back_what_nobody_spends)
{
    quota_block_take(&block, now_ms, 1);
    cr_assert(asks(true));
    give("a", 16);
    quota_block_take(&block, now_ms, 1);
    cr_expect(quota_block_rest(&block, now_ms));
    now_ms += QUOTA_IDLE_MS;
    cr_expect(quota_block_rest(&block, now_ms));
    expect_due("a", 1);
    now_ms += QUOTA_USED_UP_MS;
    cr_expect(!quota_block_rest(&block, now_ms));
}

Test(quota_block, takes_back_only_what_is_of_the_same_window)
{
    quota_block_take(&block, now_ms, 1);
    cr_assert(asks(true));
    give("a", 1);
    cr_expect_eq(quota_block_take(&block, now_ms, 1), QUOTA_TAKEN);
    quota_block_put_back(&block, 1, 6);
    cr_expect_eq(quota_block_take(&block, now_ms, 1), QUOTA_WAIT);
    quota_block_put_back(&block, 1, 7);
    cr_expect_eq(quota_block_take(&block, now_ms, 1), QUOTA_TAKEN);
}

Test(quota_block, asks_for_a_few_seconds_of_use)
{
    int64_t amount = 0;
    quota_block_take(&block, now_ms, 1);
    cr_assert(quota_block_ask(&block, now_ms, true, &amount));
    cr_expect_geq(amount, QUOTA_LEAST);
    give("a", 1000);
    for (int i = 0; i < 1000; i++) { // 1,000 a second
        quota_block_take(&block, now_ms, 1);
        now_ms += 1;
    }
    cr_assert(quota_block_ask(&block, now_ms, true, &amount));
    cr_expect(amount >= QUOTA_SECONDS * 450 && amount <= QUOTA_SECONDS * 1100, "%d",
              (int)amount);
}

// ---- whatever happens

static uint64_t seed;

static unsigned
draw(unsigned below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed >> 33) % below;
}

// Billing and a crowd of requests, under a seed: what was granted in all, what was taken
// in all, and what was settled.
struct world {
    int64_t granted, taken, settled, back;
    unsigned asked_epoch, leases;
    int64_t asked_ms;
    bool asked;
};

static void
settle(struct world *world)
{
    struct quota_grant due;
    while (quota_block_due(&block, &due)) {
        cr_assert(due.spent <= due.granted && due.spent >= 0);
        world->settled += due.spent;
        world->granted -= due.granted - due.spent; // the rest is given back
    }
}

static void
answer(struct world *world)
{
    char name[16];
    snprintf(name, sizeof(name), "lease-%u", world->leases++);
    struct quota_answer one = grant(name, draw(4) ? draw(40) : 0);
    one.leased = draw(2);
    one.lasts_ms = draw(30000);
    bool heard = draw(8) > 0;
    if (heard && one.granted > 0)
        world->granted += one.granted;
    quota_block_answer(&block, now_ms, world->asked_epoch, world->asked_ms,
                       heard ? &one : NULL);
    world->asked = false;
}

static void
step(struct world *world)
{
    int64_t amount;
    enum quota_verdict verdict;
    now_ms += draw(300);
    switch (draw(12)) {
    case 0:
        if (world->asked)
            answer(world);
        break;
    case 1:
        quota_block_forget(&block);
        break;
    case 2:
        quota_block_rest(&block, now_ms);
        break;
    case 3:
        if (world->taken > world->settled && block.now.spent > 0) {
            quota_block_put_back(&block, 1, 7);
            world->taken--;
        }
        break;
    default:
        verdict = quota_block_take(&block, now_ms, 1);
        world->taken += verdict == QUOTA_TAKEN;
        if (quota_block_ask(&block, now_ms, verdict != QUOTA_TAKEN, &amount)) {
            world->asked = true;
            world->asked_epoch = block.epoch;
            world->asked_ms = now_ms;
        }
    }
    settle(world);
    cr_assert_leq(world->taken, world->granted, "seed %llu", (unsigned long long)seed);
    cr_assert_eq(world->taken, world->settled + block.now.spent + block.next.spent);
}

Test(quota_block, never_spends_more_than_was_granted)
{
    for (unsigned run = 1; run <= 500; run++) {
        struct world world = { 0 };
        start();
        seed = run;
        for (int i = 0; i < 400; i++)
            step(&world);
        quota_block_forget(&block);
        settle(&world);
        cr_assert_eq(world.taken, world.settled, "run %u", run);
    }
}
