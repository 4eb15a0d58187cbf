// The last leases that ended are remembered, and no older ones but those whose end is not
// durable.
#include <criterion/criterion.h>

#include "recent.h"

static struct wire_token
token_of(uint64_t lease)
{
    struct wire_token token = { .attempt = 1, .epoch = 7, .lease = lease };
    memcpy(token.task.bytes, &lease, sizeof(lease));
    return token;
}

static void
expect(const struct recents *recents, uint64_t lease, bool there)
{
    struct wire_token token = token_of(lease);
    const struct recent *recent = recents_find(recents, &token);
    cr_assert_eq(recent != NULL, there, "%llu", (unsigned long long)lease);
    if (there)
        cr_assert_eq(recent->conn, lease + 1);
    token.attempt = 2;
    cr_assert_null(recents_find(recents, &token));
}

// Lease numbers that rise by `step`, so that many share what the search goes by.
static void
fill(uint64_t step)
{
    struct recents recents = { 0 };
    expect(&recents, step, false);
    for (uint64_t i = 1; i <= 3 * RECENT_MAX + 7; i++) {
        struct wire_token token = token_of(i * step);
        recents_add(&recents, &token, i * step + 1);
        recents_find(&recents, &token)->durable = true;
        expect(&recents, i * step, true);
        if (i > RECENT_MAX) {
            expect(&recents, (i - RECENT_MAX) * step, false);
            expect(&recents, (i - RECENT_MAX + 1) * step, true);
        }
    }
    for (uint64_t i = 2 * RECENT_MAX + 8; i <= 3 * RECENT_MAX + 7; i++)
        expect(&recents, i * step, true);
    recents_finish(&recents);
}

Test(recent, the_last_are_found)
{
    fill(1);
    fill(UINT64_C(1) << 30);
}

// Add the leases `first` to `last`, none of which is durable.
static void
add(struct recents *recents, uint64_t first, uint64_t last)
{
    for (uint64_t i = first; i <= last; i++) {
        struct wire_token token = token_of(i);
        recents_add(recents, &token, i + 1);
        cr_assert_not(recents_find(recents, &token)->durable);
    }
}

static void
expect_all(const struct recents *recents, uint64_t first, uint64_t last, bool there)
{
    for (uint64_t i = first; i <= last; i++)
        expect(recents, i, there);
}

Test(recent, none_goes_before_it_is_durable)
{
    enum { MANY = 3 * RECENT_MAX + 7 };
    struct recents recents = { 0 };
    add(&recents, 1, MANY); // while a commit takes its time
    expect_all(&recents, 1, MANY, true);
    for (uint64_t i = 1; i <= MANY; i++) {
        struct wire_token token = token_of(i);
        recents_find(&recents, &token)->durable = true;
    }
    size_t capacity = recents.capacity;
    for (uint64_t i = MANY + 1; i <= 3 * MANY; i++) {
        struct wire_token token = token_of(i);
        recents_add(&recents, &token, i + 1);
        recents_find(&recents, &token)->durable = true;
    }
    cr_expect_eq(recents.capacity, capacity, "there was room");
    expect_all(&recents, 1, 3 * MANY - capacity, false);
    expect_all(&recents, 3 * MANY - capacity + 1, 3 * MANY, true);
    recents_finish(&recents);
}
