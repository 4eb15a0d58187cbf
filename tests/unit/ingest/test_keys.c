#include <criterion/criterion.h>
#include <stdio.h>

#include "clock.h"
#include "id.h"
#include "ingest.h"

Test(keys, takes_only_what_could_be_a_key_out_of_the_header)
{
    static const struct {
        const char *header;
        bool good;
    } cases[] = {
        { "Bearer omni_live_0123456789abcdef0123456789abcdef", true },
        { "Bearer omni_test_0123456789abcdef0123456789abcdef", true },
        { "Bearer omni_none_0123456789abcdef0123456789abcdef", false },
        { "bearer  omni_live_0123456789abcdef0123456789abcdef", true },
        { "omni_live_0123456789abcdef0123456789abcdef", false },
        { "Basic omni_live_0123456789abcdef0123456789abcdef", false },
        { "Bearer omni_live_0123", false },
        { "Bearer sk-0123456789abcdef0123456789abcdef0123456789", false },
        { "Bearer ", false },
        { "", false },
    };
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        uint8_t hash[KEY_HASH], wanted[KEY_HASH];
        bool good = keys_read(om_str(cases[i].header), hash);
        cr_expect_eq(good, cases[i].good, "%s", cases[i].header);
        if (!good)
            continue;
        om_sha256(om_str(strstr(cases[i].header, "omni_")), wanted);
        cr_expect_arr_eq(hash, wanted, sizeof(hash));
    }
    char *long_key = calloc(1, 400);
    memset(long_key, 'a', 399);
    memcpy(long_key, "Bearer omni_live_", 17);
    uint8_t hash[KEY_HASH];
    cr_expect_not(keys_read(om_str(long_key), hash), "longer than any key");
    free(long_key);
}

static struct caller
someone(int number)
{
    struct caller caller = { .expires_ms = INT64_MAX };
    snprintf(caller.key, sizeof(caller.key), "key_%d", number);
    return caller;
}

static void
hash_of(int number, uint8_t hash[KEY_HASH])
{
    om_sha256((struct om_str){ (const char *)&number, sizeof(number) }, hash);
}

Test(keys, remembers_a_bounded_number_and_forgets_the_oldest)
{
    struct key_cache cache = { 0 };
    uint8_t hash[KEY_HASH];
    for (int i = 0; i < KEYS_MAX + 10; i++) {
        struct caller caller = someone(i);
        hash_of(i, hash);
        keys_put(&cache, hash, &caller, 0);
        keys_put(&cache, hash, &caller, 0); // answered twice: one entry
    }
    cr_expect_eq(HASH_COUNT(cache.entries), KEYS_MAX);
    hash_of(9, hash);
    cr_expect_null(keys_find(&cache, hash));
    hash_of(10, hash);
    cr_expect_str_eq(keys_find(&cache, hash)->key, "key_10");
    keys_finish(&cache);
}

Test(keys, forgets_what_the_feed_says_has_changed)
{
    struct key_cache cache = { 0 };
    struct om_buf list = { 0 };
    uint8_t hashes[3][KEY_HASH];
    for (int i = 0; i < 3; i++) {
        struct caller caller = someone(i);
        hash_of(i, hashes[i]);
        keys_put(&cache, hashes[i], &caller, 0);
    }
    om_pack_array(&list, 2);
    for (int i = 0; i < 2; i++) {
        struct key_change_item change = { 0 };
        REC_SET(&change, key_change_item, seq, 40 + i);
        REC_SET(&change, key_change_item, hash,
                ((struct om_str){ (const char *)hashes[i], KEY_HASH }));
        rec_encode(&key_change_item_rec, &change, &list);
    }
    struct key_changes_reply reply = { 0 };
    REC_SET(&reply, key_changes_reply, data, om_buf_str(&list));
    REC_SET(&reply, key_changes_reply, last, 50);
    cr_expect(keys_apply(&cache, &reply), "there are more");
    cr_expect_eq(cache.seq, 41);
    cr_expect_null(keys_find(&cache, hashes[0]));
    cr_expect_null(keys_find(&cache, hashes[1]));
    cr_expect_not_null(keys_find(&cache, hashes[2]));
    reply.last = 41;
    cr_expect_not(keys_apply(&cache, &reply));
    om_buf_finish(&list);
    keys_finish(&cache);
}

Test(keys, forgets_all_of_a_tenant_that_changed)
{
    struct key_cache cache = { 0 };
    struct om_buf list = { 0 };
    struct om_uuid tenants[2] = { om_id_new(1), om_id_new(2) };
    char text[OM_TYPEID_MAX];
    uint8_t hash[KEY_HASH];
    for (int i = 0; i < 6; i++) {
        struct caller caller = someone(i);
        caller.tenant = tenants[i % 2];
        hash_of(i, hash);
        keys_put(&cache, hash, &caller, 0);
    }
    static const char zeros[KEY_HASH];
    struct key_change_item change = { 0 };
    om_typeid_encode(OM_ID_TENANT, &tenants[1], text);
    REC_SET(&change, key_change_item, seq, 7);
    REC_SET(&change, key_change_item, hash, ((struct om_str){ zeros, KEY_HASH }));
    REC_SET(&change, key_change_item, tenant, om_str(text));
    om_pack_array(&list, 1);
    rec_encode(&key_change_item_rec, &change, &list);
    struct key_changes_reply reply = { 0 };
    REC_SET(&reply, key_changes_reply, data, om_buf_str(&list));
    REC_SET(&reply, key_changes_reply, last, 7);
    cr_expect_not(keys_apply(&cache, &reply));
    for (int i = 0; i < 6; i++) {
        hash_of(i, hash);
        cr_expect_eq(keys_find(&cache, hash) != NULL, i % 2 == 0, "key %d", i);
    }
    om_buf_finish(&list);
    keys_finish(&cache);
}

Test(keys, an_answer_that_a_change_may_have_overtaken_is_not_remembered)
{
    struct key_cache cache = { .seq = 41 };
    struct caller caller = someone(1);
    uint8_t hash[KEY_HASH];
    hash_of(1, hash);
    keys_put(&cache, hash, &caller, 40);
    cr_expect_null(keys_find(&cache, hash));
    keys_put(&cache, hash, &caller, 41);
    cr_expect_not_null(keys_find(&cache, hash));
    keys_finish(&cache);
}

Test(keys, are_served_for_half_a_minute_without_identity)
{
    int64_t now_ms = om_clock_mono_ms();
    static const struct {
        int64_t began_ms, feed_ms;
        bool hold;
    } cases[] = { { 0, 0, true },
                  { -31000, 0, false },
                  { -90000, -1000, true },
                  { -90000, -29000, true },
                  { -90000, -31000, false } };
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        struct edge edge = { .began_ms = now_ms + cases[i].began_ms,
                             .feed_ms =
                                 cases[i].feed_ms ? now_ms + cases[i].feed_ms : 0 };
        cr_expect_eq(edge_keys_hold(&edge), cases[i].hold, "case %zu", i);
    }
}

Test(keys, tells_once_of_each_that_was_used)
{
    struct key_cache cache = { 0 };
    OM_AUTO(om_buf_finish) struct om_buf first = { 0 };
    OM_AUTO(om_buf_finish) struct om_buf second = { 0 };
    OM_AUTO(om_buf_finish) struct om_buf third = { 0 };
    uint8_t hash[KEY_HASH];
    struct om_str id;
    for (int i = 0; i < 3; i++) {
        struct caller caller = someone(i);
        hash_of(i, hash);
        keys_put(&cache, hash, &caller, 0);
    }
    cr_expect_eq(keys_take_used(&cache, 2, &first), 2, "no more than fit");
    cr_expect_eq(keys_take_used(&cache, 2, &second), 1, "the rest comes later");
    hash_of(1, hash);
    cr_assert(keys_find(&cache, hash));
    cr_expect_eq(keys_take_used(&cache, 2, &third), 1);
    struct rec_iter iter = rec_iter(om_buf_str(&third));
    cr_assert(rec_next_str(&iter, &id) && iter.left == 0);
    cr_expect(om_str_eq(id, OM_LIT("key_1")));
    keys_finish(&cache);
}
