#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "cache.h"

enum { SMALL = 16 * 8192 };

static struct cache_answer
answer_of(int tenant, int key, const char *body)
{
    struct cache_answer out = { .expires_ms = 1000,
                                .check_ms = INT64_MAX,
                                .body = om_str(body) };
    memcpy(out.id.tenant.bytes, &tenant, sizeof(tenant));
    memcpy(out.id.key, &key, sizeof(key));
    return out;
}

static void
put(struct cache *cache, const struct cache_answer *answer)
{
    cache_put(cache, cache_mark(cache, &answer->id.tenant), answer);
}

// Is that what the cache has under the id? A body of NULL: nothing.
static bool
has(struct cache *cache, const struct cache_id *id, int64_t now_ms, const char *body)
{
    const struct cache_answer *found = cache_get(cache, id, now_ms);
    bool same = found ? body && om_str_eq(found->body, om_str(body)) : !body;
    cache_release(&found);
    return same;
}

Test(cache, gives_what_was_put_until_it_expires)
{
    struct cache *cache = cache_create(1 << 20);
    struct cache_answer answer = answer_of(1, 1, "one");
    cr_expect(has(cache, &answer.id, 0, NULL));
    put(cache, &answer);
    cr_expect(has(cache, &answer.id, 999, "one"));
    cr_expect(has(cache, &answer.id, 1000, NULL));
    cr_expect(has(cache, &answer.id, 0, NULL), "what has expired does not come back");
    answer.body = OM_LIT("another");
    put(cache, &answer);
    answer.body = OM_LIT("the last");
    put(cache, &answer);
    cr_expect(has(cache, &answer.id, 0, "the last"));
    cr_expect_eq(cache_count(cache).answers, 1);
    cache_destroy(&cache);
}

Test(cache, does_not_believe_a_clock_that_was_set_back)
{
    struct cache *cache = cache_create(1 << 20);
    struct cache_answer answer = answer_of(1, 1, "one");
    answer.made_ms = 100000;
    answer.expires_ms = 200000;
    put(cache, &answer);
    cr_expect(has(cache, &answer.id, 100000 - CACHE_SLACK_MS, "one"));
    cr_expect(has(cache, &answer.id, 100000 - CACHE_SLACK_MS - 1, NULL));
    cache_destroy(&cache);
}

Test(cache, holds_no_longer_than_it_may_unchecked)
{
    struct cache *cache = cache_create(1 << 20);
    struct cache_answer answer = answer_of(1, 1, "one");
    answer.check_ms = 10;
    put(cache, &answer);
    cr_expect(has(cache, &answer.id, 9, "one"));
    cr_expect(has(cache, &answer.id, 10, NULL));
    cache_destroy(&cache);
}

Test(cache, keeps_tenants_apart_though_their_keys_are_the_same)
{
    struct cache *cache = cache_create(1 << 20);
    struct cache_answer one = answer_of(1, 7, "one"), two = answer_of(2, 7, "two"),
                        nobody = answer_of(3, 7, "");
    const uint8_t alias[CACHE_KEY] = { 9 };
    put(cache, &one);
    put(cache, &two);
    cache_put_alias(cache, alias, &one);
    cr_expect(has(cache, &one.id, 0, "one"));
    cr_expect(has(cache, &two.id, 0, "two"));
    cr_expect(has(cache, &nobody.id, 0, NULL));
    memcpy(one.id.key, alias, CACHE_KEY);
    memcpy(two.id.key, alias, CACHE_KEY);
    cr_expect(has(cache, &one.id, 0, "one"));
    cr_expect(has(cache, &two.id, 0, NULL));
    cache_destroy(&cache);
}

Test(cache, an_alias_finds_nothing_when_its_answer_is_gone)
{
    struct cache *cache = cache_create(1 << 20);
    struct cache_answer one = answer_of(1, 7, "one");
    struct cache_id by_alias = { .tenant = one.id.tenant, .key = { 9 } };
    put(cache, &one);
    cache_put_alias(cache, by_alias.key, &one);
    cr_expect_eq(cache_purge(cache, &one.id.tenant, 0, one.id.key), 1);
    cr_expect(has(cache, &by_alias, 0, NULL));
    put(cache, &one);
    cr_expect(has(cache, &by_alias, 0, "one"));
    cache_destroy(&cache);
}

Test(cache, forgets_what_a_purge_names_and_nothing_else)
{
    struct cache *cache = cache_create(1 << 20);
    struct cache_answer answers[4] = { answer_of(1, 1, "a"), answer_of(1, 2, "b"),
                                       answer_of(1, 3, "c"), answer_of(2, 1, "d") };
    uint64_t naive = cache_tag(OM_LIT("naive")), version = cache_tag(OM_LIT("model_1"));
    answers[0].tags[0] = answers[1].tags[0] = answers[3].tags[0] = naive;
    answers[1].tags[1] = version;
    for (int i = 0; i < 4; i++)
        put(cache, &answers[i]);
    const struct om_uuid *tenant = &answers[0].id.tenant;
    cr_expect_eq(cache_purge(cache, tenant, cache_tag(OM_LIT("other")), NULL), 0);
    cr_expect_eq(cache_purge(cache, tenant, version, answers[0].id.key), 0);
    cr_expect_eq(cache_purge(cache, tenant, version, NULL), 1);
    cr_expect(has(cache, &answers[1].id, 0, NULL));
    cr_expect(has(cache, &answers[0].id, 0, "a"));
    cr_expect_eq(cache_purge(cache, tenant, naive, NULL), 1);
    cr_expect_eq(cache_purge(cache, tenant, 0, NULL), 1);
    cr_expect(has(cache, &answers[3].id, 0, "d"), "another tenant's");
    cr_expect_eq(cache_count(cache).answers, 1);
    cache_destroy(&cache);
}

Test(cache, does_not_keep_what_was_asked_for_before_a_purge)
{
    struct cache *cache = cache_create(1 << 20);
    struct cache_answer answer = answer_of(1, 1, "old");
    uint64_t mark = cache_mark(cache, &answer.id.tenant);
    cache_purge(cache, &answer.id.tenant, 0, NULL);
    cache_put(cache, mark, &answer);
    cr_expect(has(cache, &answer.id, 0, NULL));
    put(cache, &answer);
    cr_expect(has(cache, &answer.id, 0, "old"));
    cache_destroy(&cache);
}

Test(cache, keeps_what_is_held_readable)
{
    struct cache *cache = cache_create(1 << 20);
    struct cache_answer answer = answer_of(1, 1, "held");
    put(cache, &answer);
    const struct cache_answer *held = cache_get(cache, &answer.id, 0);
    cache_purge(cache, &answer.id.tenant, 0, NULL);
    cr_expect(has(cache, &answer.id, 0, NULL));
    cr_expect(om_str_eq(held->body, OM_LIT("held")));
    cache_destroy(&cache);
    cr_expect(om_str_eq(held->body, OM_LIT("held")));
    cache_release(&held);
}

Test(cache, without_bytes_keeps_nothing)
{
    struct cache *cache = cache_create(0);
    struct cache_answer answer = answer_of(1, 1, "");
    put(cache, &answer);
    cr_expect(has(cache, &answer.id, 0, NULL));
    cache_destroy(&cache);
}

Test(cache, forgets_what_was_used_longest_ago)
{
    struct cache *cache = cache_create(SMALL);
    static char body[1024 + 1];
    memset(body, 'x', sizeof(body) - 1);
    struct cache_answer often = answer_of(1, 16, "often");
    put(cache, &often);
    for (int i = 2; i < 1000; i++) { // all of one bucket: keys are multiples of 16
        struct cache_answer answer = answer_of(1, i * 16, body);
        put(cache, &answer);
        cr_assert(has(cache, &often.id, 0, "often"), "%d", i);
        cr_assert_leq(cache_count(cache).bytes, SMALL / 16);
    }
    cr_expect(has(cache, &(struct cache_id){ .tenant = often.id.tenant, .key = { 32 } },
                  0, NULL));
    cr_expect_gt(cache_count(cache).pushed_out, 900);
    cache_destroy(&cache);
}

// Of tenant `tenant` the answers numbered from..to, all of one bucket.
static void
put_many(struct cache *cache, int tenant, int from, int to, const char *body)
{
    for (int i = from; i <= to; i++) {
        struct cache_answer answer = answer_of(tenant, i * 16, body);
        put(cache, &answer);
    }
}

static int
count_of(struct cache *cache, int tenant, int from, int to, const char *body)
{
    int count = 0;
    for (int i = from; i <= to; i++) {
        struct cache_answer wanted = answer_of(tenant, i * 16, body);
        count += has(cache, &wanted.id, 0, body);
    }
    return count;
}

Test(cache, no_tenant_pushes_out_all_that_others_have)
{
    static char body[512 + 1];
    memset(body, 'x', sizeof(body) - 1);
    struct cache *cache = cache_create(SMALL);
    put_many(cache, 1, 1, 2, body);
    put_many(cache, 2, 1, 1000, body);
    cr_expect_eq(count_of(cache, 1, 1, 2, body), 2, "what was there before it came");
    cr_expect_gt(count_of(cache, 2, 1, 1000, body), 3, "it has what is left");
    put_many(cache, 3, 1, 2, body);
    put_many(cache, 2, 1001, 2000, body);
    cr_expect_eq(count_of(cache, 1, 1, 2, body), 2);
    cr_expect_eq(count_of(cache, 3, 1, 2, body), 2, "what came after it");
    cr_expect_gt(count_of(cache, 2, 1001, 2000, body), 0);
    cache_destroy(&cache);
}

Test(cache, one_tenant_alone_has_all_of_it)
{
    static char body[512 + 1];
    memset(body, 'x', sizeof(body) - 1);
    struct cache *cache = cache_create(SMALL);
    put_many(cache, 1, 1, 1000, body);
    cr_expect_gt(cache_count(cache).bytes, SMALL / 16 * 3 / 4);
    cache_destroy(&cache);
}

// ---- whatever is done, and in which order

enum { TENANTS = 3, KEYS = 40, BODY = 2000 };

// What the cache may say at most of a key.
struct truth {
    int body; // number it is made of; 0: nothing
    int64_t made_ms, expires_ms;
    uint64_t tag;
};

static struct cache_answer
random_answer(unsigned *seed, int tenant, int key, int number, int64_t now_ms, char *body)
{
    size_t size = (size_t)rand_r(seed) % BODY;
    memset(body, 'x', size + 16);
    snprintf(body + size, 16, "%d", number);
    struct cache_answer answer = answer_of(tenant, key, body);
    answer.tags[rand_r(seed) % CACHE_TAGS] = 1 + (uint64_t)rand_r(seed) % 3;
    answer.made_ms = now_ms;
    answer.expires_ms = now_ms + rand_r(seed) % 50;
    return answer;
}

static int
number_of(struct om_str body)
{
    while (body.size > 0 && body.data[0] == 'x')
        body.data++, body.size--;
    char text[16] = "";
    memcpy(text, body.data, body.size);
    return atoi(text);
}

static void
expect_true(struct cache *cache, const struct truth *truth, const struct cache_id *id,
            int64_t now_ms, unsigned seed)
{
    const struct cache_answer *found = cache_get(cache, id, now_ms);
    if (found) {
        cr_assert_eq(memcmp(&found->id, id, sizeof(*id)), 0, "seed %u", seed);
        cr_assert_eq(number_of(found->body), truth->body, "seed %u", seed);
        cr_assert_lt(now_ms, truth->expires_ms, "seed %u", seed);
    }
    cache_release(&found);
}

static void
forget(struct truth truths[KEYS], uint64_t tag)
{
    for (int i = 0; i < KEYS; i++)
        if (tag == 0 || truths[i].tag == tag)
            truths[i] = (struct truth){ 0 };
}

static void
play(unsigned seed)
{
    struct cache *cache = cache_create(SMALL);
    struct truth truths[TENANTS][KEYS] = { 0 };
    unsigned state = seed;
    static char body[BODY + 32];
    int64_t now_ms = 1000000;
    for (int step = 1; step < 2000; step++) {
        int tenant = rand_r(&state) % TENANTS, key = rand_r(&state) % KEYS;
        struct cache_answer answer =
            random_answer(&state, tenant, key, step, now_ms, body);
        int what = rand_r(&state) % 100;
        if (what < 40) {
            put(cache, &answer);
            truths[tenant][key] = (struct truth){ step, now_ms, answer.expires_ms,
                                                  answer.tags[0] | answer.tags[1] };
        } else if (what < 95) {
            expect_true(cache, &truths[tenant][key], &answer.id, now_ms, seed);
        } else {
            uint64_t tag = (uint64_t)rand_r(&state) % 4;
            cache_purge(cache, &answer.id.tenant, tag, NULL);
            forget(truths[tenant], tag);
        }
        now_ms += rand_r(&state) % 3;
        cr_assert_leq(cache_count(cache).bytes, SMALL, "seed %u", seed);
    }
    cache_destroy(&cache);
}

Test(cache, never_gives_what_is_anothers_or_expired_nor_takes_more_than_it_may)
{
    for (unsigned seed = 1; seed <= 100; seed++)
        play(seed);
}

// ---- many threads

enum { THREADS = 4, ROUNDS = 20000 };

static void *
race(void *context)
{
    struct cache *cache = context;
    static atomic_uint numbers;
    unsigned state = atomic_fetch_add(&numbers, 1) + 1;
    char body[32];
    for (int i = 0; i < ROUNDS; i++) {
        int tenant = rand_r(&state) % TENANTS, key = rand_r(&state) % KEYS * 16;
        snprintf(body, sizeof(body), "%d %d", tenant, key);
        struct cache_answer answer = answer_of(tenant, key, body);
        const struct cache_answer *found = cache_get(cache, &answer.id, 0);
        if (found)
            cr_assert(om_str_eq(found->body, om_str(body)));
        else
            put(cache, &answer);
        if (i % 500 == 0)
            cache_purge(cache, &answer.id.tenant, 0, NULL);
        cache_release(&found);
    }
    return NULL;
}

Test(cache, is_shared_by_threads)
{
    struct cache *cache = cache_create(16 * 1024);
    pthread_t ids[THREADS];
    for (int i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&ids[i], NULL, race, cache), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(ids[i], NULL);
    cr_expect_leq(cache_count(cache).bytes, 16 * 1024);
    cache_destroy(&cache);
}
