// The blocks that the threads of a process share.
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "id.h"
#include "quota_table.h"

enum { THREADS = 4, TAKES = 20000, POOL = 30000 };

static struct quota_table *table;
static struct om_uuid tenant;
static atomic_int pool;                    // what billing has left
static atomic_int_fast64_t taken, settled; // in all

static void
begin(void)
{
    table = quota_table_create();
    tenant = om_id_new(1);
    atomic_store(&pool, POOL);
}

static void
end(void)
{
    quota_table_destroy(&table);
}

TestSuite(quota_table, .init = begin, .fini = end, .timeout = 60);

static void
settle(struct quota_dues *dues)
{
    for (size_t i = 0; i < dues->count; i++) {
        const struct quota_grant *grant = &dues->items[i].grant;
        cr_assert(grant->spent <= grant->granted);
        atomic_fetch_add(&settled, grant->spent);
        atomic_fetch_add(&pool, (int)(grant->granted - grant->spent));
    }
    dues->count = 0;
}

// Billing's answer: no more than it has.
static struct quota_answer
grant(int64_t wanted)
{
    struct quota_answer answer = { .name = "lease",
                                   .lasts_ms = 60000,
                                   .window_ms = INT64_MAX,
                                   .limited = true,
                                   .leased = true };
    int left = atomic_load(&pool), give;
    do
        give = wanted < left ? (int)wanted : left;
    while (!atomic_compare_exchange_weak(&pool, &left, left - give));
    answer.granted = give;
    return answer;
}

static void *
spend(void *context)
{
    struct quota_dues dues = { 0 };
    int64_t now_ms = 1000;
    for (int i = 0; i < TAKES; i++) {
        struct quota_spot spot = { .tenant = tenant, .quota = QUOTA_API_CALLS };
        now_ms += i % 16 == 0;
        if (quota_table_take(table, &spot, "free", 1, now_ms, &dues) == QUOTA_TAKEN)
            atomic_fetch_add(&taken, 1);
        if (spot.wanted > 0) {
            struct quota_answer answer = grant(spot.wanted);
            quota_table_answer(table, &spot, now_ms, now_ms, &answer, &dues);
        }
        if (i % 5000 == 4999)
            quota_table_forget(table, &tenant, &dues);
        settle(&dues);
    }
    return context;
}

Test(quota_table, is_spent_by_all_threads_and_never_beyond_what_was_granted)
{
    pthread_t threads[THREADS];
    struct quota_dues dues = { 0 };
    for (int i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, spend, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    quota_table_forget(table, &tenant, &dues);
    settle(&dues);
    cr_expect_eq(atomic_load(&taken), atomic_load(&settled));
    cr_expect_leq(atomic_load(&taken), POOL);
    cr_expect_eq(atomic_load(&taken) + atomic_load(&pool), POOL, "nothing is lost");
    cr_expect_gt(atomic_load(&taken), 1000);
}

// Have a tenant hold a block.
static void
hold(struct om_uuid id, const char *plan, int64_t now_ms, struct quota_dues *dues)
{
    struct quota_spot spot = { .tenant = id, .quota = QUOTA_API_CALLS };
    quota_table_take(table, &spot, plan, 1, now_ms, dues);
    cr_assert_gt(spot.wanted, 0);
    struct quota_answer answer = grant(1);
    cr_assert(quota_table_answer(table, &spot, now_ms, now_ms, &answer, dues));
}

Test(quota_table, gives_back_what_it_has_of_tenants_it_has_no_room_for)
{
    enum { TENANTS = 2 * QUOTA_TENANTS_MAX };
    struct quota_dues dues = { 0 };
    size_t back = 0;
    for (int i = 0; i < TENANTS; i++) {
        hold(om_id_new((uint8_t)i), "free", 1000 + i, &dues);
        back += dues.count;
        settle(&dues);
    }
    for (size_t i = 0; i < QUOTA_BUCKETS; i++)
        for (bool more = true; more;) {
            more = quota_table_forget_all(table, i, &dues);
            back += dues.count;
            settle(&dues);
        }
    cr_expect_eq(back, TENANTS);
    cr_expect_eq(atomic_load(&pool), POOL);
}

Test(quota_table, gives_back_what_a_tenant_held_under_another_plan)
{
    struct quota_dues dues = { 0 };
    hold(tenant, "free", 1000, &dues);
    cr_expect_eq(dues.count, 0);
    struct quota_spot spot = { .tenant = tenant, .quota = QUOTA_API_CALLS };
    cr_expect_eq(quota_table_take(table, &spot, "pro", 1, 1000, &dues), QUOTA_WAIT);
    cr_expect_eq(dues.count, 1);
    cr_expect_gt(spot.wanted, 0);
}

Test(quota_table, forgets_who_is_gone_and_says_so_of_a_late_answer)
{
    struct quota_dues dues = { 0 };
    int64_t now_ms = 1000;
    hold(tenant, "free", now_ms, &dues);
    for (size_t i = 0; i < QUOTA_BUCKETS; i++)
        quota_table_rest(table, i, now_ms + QUOTA_IDLE_MS, &dues);
    cr_expect_eq(dues.count, 1);
    for (size_t i = 0; i < QUOTA_BUCKETS; i++)
        quota_table_rest(table, i, now_ms + QUOTA_USED_UP_MS, &dues);
    struct quota_spot spot = { .tenant = tenant, .quota = QUOTA_API_CALLS };
    struct quota_answer answer = grant(1);
    cr_expect(!quota_table_answer(table, &spot, now_ms, now_ms, &answer, &dues));
}
