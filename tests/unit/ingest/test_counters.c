#include <criterion/criterion.h>
#include <pthread.h>

#include "counters.h"
#include "limiter.h"

static struct counter_want
want(int tenant, int subject, enum counter_kind kind, int64_t limit, int64_t amount)
{
    struct counter_want out = { .limit = limit, .amount = amount };
    memcpy(out.key.tenant.bytes, &tenant, sizeof(tenant));
    memcpy(out.key.subject, &subject, sizeof(subject));
    out.key.kind = (uint8_t)kind;
    return out;
}

static enum om_rc
take_one(struct counters *counters, int64_t now_ms, struct counter_want wanted)
{
    struct counter_state state;
    int64_t at_ms;
    return counters_take(counters, now_ms, &wanted, 1, &state, &at_ms);
}

Test(counters, take_all_or_nothing)
{
    struct counters *counters = counters_create(1024);
    struct counter_want wants[] = {
        want(1, 1, COUNTER_REQUESTS, 10, 1),
        want(1, 2, COUNTER_REQUESTS, 3, 1),
        want(1, 1, COUNTER_CONCURRENT, 100, 1),
    };
    struct counter_state states[3];
    int64_t at_ms;
    for (int i = 0; i < 3; i++)
        cr_assert_eq(counters_take(counters, 1000, wants, 3, states, &at_ms), OM_OK);
    cr_expect_eq(states[0].remaining, 7);
    cr_expect_eq(states[1].remaining, 0);
    cr_expect_eq(states[2].remaining, 97);
    for (int i = 0; i < 50; i++)
        cr_assert_eq(counters_take(counters, 2000, wants, 3, states, &at_ms), OM_ERATE);
    cr_expect_eq(states[0].remaining, 7, "a refusal takes nothing");
    cr_expect_eq(states[0].wait_ms, 0);
    cr_expect_eq(states[1].wait_ms, LIMITER_WINDOW_MS - 1000);
    cr_expect_eq(states[2].remaining, 97);
    counters_give(counters, 1000, wants, 3);
    cr_assert_eq(counters_take(counters, 2000, wants, 3, states, &at_ms), OM_OK);
    cr_expect_eq(states[1].remaining, 0);
    counters_destroy(&counters);
}

Test(counters, have_the_tenant_in_every_key)
{
    struct counters *counters = counters_create(1024);
    cr_expect_eq(take_one(counters, 1, want(1, 5, COUNTER_REQUESTS, 1, 1)), OM_OK);
    cr_expect_eq(take_one(counters, 1, want(1, 5, COUNTER_REQUESTS, 1, 1)), OM_ERATE);
    cr_expect_eq(take_one(counters, 1, want(2, 5, COUNTER_REQUESTS, 1, 1)), OM_OK);
    cr_expect_eq(take_one(counters, 1, want(1, 5, COUNTER_TOKENS, 1, 1)), OM_OK);
    counters_destroy(&counters);
}

Test(counters, only_look_when_nothing_is_wanted)
{
    struct counters *counters = counters_create(1024);
    struct counter_want look = want(1, 1, COUNTER_TOKENS, 50, 0);
    struct counter_state state;
    int64_t at_ms;
    cr_expect_eq(counters_take(counters, 9, &look, 1, &state, &at_ms), OM_OK);
    cr_expect_eq(state.remaining, 50);
    cr_expect_eq(counters_count(counters), 0);
    counters_destroy(&counters);
}

Test(counters, are_bounded_and_none_in_use_is_forgotten)
{
    enum { TENANT = 7 };
    struct counters *counters = counters_create(1024); // 64 of each bucket
    for (int i = 0; i < 64; i++)
        cr_assert_eq(take_one(counters, 1000, want(TENANT, i, COUNTER_REQUESTS, 1, 1)),
                     OM_OK);
    cr_expect_eq(take_one(counters, 1000, want(TENANT, 64, COUNTER_REQUESTS, 1, 1)),
                 OM_EFULL, "all are in use");
    for (int i = 0; i < 64; i++)
        cr_expect_eq(take_one(counters, 2000, want(TENANT, i, COUNTER_REQUESTS, 1, 1)),
                     OM_ERATE, "%d was reset", i);
    // A minute later all are idle, and the longest unused goes.
    for (int i = 64; i < 200; i++)
        cr_assert_eq(take_one(counters, 1000 + LIMITER_WINDOW_MS + 1000 * i,
                              want(TENANT, i, COUNTER_REQUESTS, 1, 1)),
                     OM_OK);
    cr_expect_eq(counters_count(counters), 64);
    counters_destroy(&counters);
}

Test(counters, keep_what_is_in_flight_however_long)
{
    enum { TENANT = 7 };
    struct counters *counters = counters_create(1024);
    struct counter_want held = want(TENANT, 1000, COUNTER_CONCURRENT, 1, 1);
    cr_assert_eq(take_one(counters, 1, held), OM_OK);
    for (int i = 0; i < 500; i++)
        cr_assert_eq(take_one(counters, INT64_C(100000) * (i + 1),
                              want(TENANT, i, COUNTER_REQUESTS, 1, 1)),
                     OM_OK);
    cr_expect_eq(take_one(counters, 1, held), OM_ERATE);
    counters_give(counters, 1, &held, 1);
    cr_expect_eq(take_one(counters, 1, held), OM_OK);
    counters_destroy(&counters);
}

// ---- threads

enum { THREADS = 4, TURNS = 20000, LIMIT = 5000 };

struct racer {
    struct counters *counters;
    int64_t taken;
};

static void *
race(void *argument)
{
    struct racer *self = argument;
    struct counter_want wants[] = {
        want(3, 1, COUNTER_REQUESTS, LIMIT, 1),
        want(3, 2, COUNTER_REQUESTS, 2 * LIMIT, 1),
        want(3, 3, COUNTER_CONCURRENT, 2, 1),
    };
    struct counter_state states[3];
    int64_t at_ms;
    for (int i = 0; i < TURNS; i++) {
        if (counters_take(self->counters, 1 + i, wants, 3, states, &at_ms) != OM_OK)
            continue;
        self->taken++;
        counters_give(self->counters, at_ms, &wants[2], 1);
    }
    return NULL;
}

Test(counters, of_one_limit_many_threads_take_no_more_than_it)
{
    struct counters *counters = counters_create(1024);
    struct racer racers[THREADS] = { 0 };
    pthread_t ids[THREADS];
    int64_t taken = 0;
    for (int i = 0; i < THREADS; i++) {
        racers[i].counters = counters;
        cr_assert_eq(pthread_create(&ids[i], NULL, race, &racers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(ids[i], NULL);
        taken += racers[i].taken;
    }
    cr_expect_eq(taken, LIMIT);
    counters_destroy(&counters);
}
