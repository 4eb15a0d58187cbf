// The small parts every program has: clocks, ids, scratch memory, characters.
#include <criterion/criterion.h>
#include <stdlib.h>
#include <time.h>

#include "arena.h"
#include "clock.h"
#include "id.h"
#include "utf8.h"

// ---- clock

Test(clock, writes_a_time_as_rfc_3339)
{
    static const struct {
        int64_t ms;
        const char *text;
    } rows[] = {
        { 0, "1970-01-01T00:00:00.000Z" },
        { 1, "1970-01-01T00:00:00.001Z" },
        { 1709210096789, "2024-02-29T12:34:56.789Z" },
        { 1795233906789, "2026-11-21T04:05:06.789Z" },
        { 253402300799999, "9999-12-31T23:59:59.999Z" },
    };
    for (size_t i = 0; i < OM_COUNT(rows); i++) {
        char text[OM_CLOCK_TEXT_MAX];
        om_clock_format(rows[i].ms, text);
        cr_expect_str_eq(text, rows[i].text);
    }
}

Test(clock, mono_never_goes_back)
{
    int64_t last_us = om_clock_mono_us();
    for (int i = 0; i < 10000; i++) {
        int64_t now_us = om_clock_mono_us();
        cr_assert_geq(now_us, last_us);
        last_us = now_us;
    }
    int64_t before_ms = om_clock_mono_us() / 1000, ms = om_clock_mono_ms();
    cr_expect(before_ms <= ms && ms <= om_clock_mono_us() / 1000);
}

Test(clock, wall_moves_by_the_offset_and_mono_does_not)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t real_ms = (int64_t)now.tv_sec * 1000, mono_ms = om_clock_mono_ms();
    setenv("OMNI_CLOCK_OFFSET_MS", "86400000", 1);
    int64_t ahead_ms = om_clock_wall_ms() - real_ms;
    cr_expect(ahead_ms >= 86400000 && ahead_ms < 86400000 + 60000);
    cr_expect_lt(om_clock_mono_ms() - mono_ms, 60000);
    // An offset that changed while the process runs would be a jump.
    setenv("OMNI_CLOCK_OFFSET_MS", "0", 1);
    cr_expect_geq(om_clock_wall_ms() - real_ms, 86400000);
}

// ---- id

Test(id, is_new_each_time_and_lies_in_its_shard)
{
    struct om_uuid ids[1000];
    int64_t start_ms = om_clock_wall_ms();
    for (size_t i = 0; i < OM_COUNT(ids); i++) {
        ids[i] = om_id_new((uint8_t)i);
        cr_expect_eq(om_uuid_shard(&ids[i]), (uint8_t)i);
        int64_t made_ms = om_uuid_time_ms(&ids[i]);
        cr_expect(made_ms >= start_ms && made_ms <= om_clock_wall_ms());
    }
    for (size_t i = 0; i < OM_COUNT(ids); i++)
        for (size_t j = 0; j < i; j++)
            cr_expect_not(om_uuid_eq(&ids[i], &ids[j]));
}

Test(id, has_its_text)
{
    char text[OM_TYPEID_MAX];
    struct om_uuid id;
    om_id_text(OM_ID_TASK, 200, text);
    cr_assert_eq(om_typeid_decode(OM_ID_TASK, om_str(text), &id), OM_OK);
    cr_expect_eq(om_uuid_shard(&id), 200);
    cr_expect_eq(om_typeid_decode(OM_ID_FILE, om_str(text), &id), OM_EINVAL);
}

// FIPS 180-4.
Test(id, sha256_is_that_of_the_standard)
{
    static const struct {
        const char *text, *hex;
    } rows[] = {
        { "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
        { "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
    };
    for (size_t i = 0; i < OM_COUNT(rows); i++) {
        uint8_t digest[32];
        char hex[65];
        om_sha256(om_str(rows[i].text), digest);
        om_hex(digest, sizeof(digest), hex);
        cr_expect_str_eq(hex, rows[i].hex);
    }
}

Test(id, random_bytes_fill_all_of_the_buffer)
{
    uint8_t seen[300] = { 0 }, bytes[300];
    for (int round = 0; round < 20; round++) {
        om_random(bytes, sizeof(bytes));
        for (size_t i = 0; i < sizeof(bytes); i++)
            seen[i] |= bytes[i];
    }
    for (size_t i = 0; i < sizeof(seen); i++)
        cr_expect(seen[i], "byte %zu stayed 0 twenty times", i);
}

// ---- arena

Test(arena, memory_is_zeroed_aligned_and_apart)
{
    OM_AUTO(om_arena_finish) struct om_arena arena = { 0 };
    char *blocks[2000];
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < OM_COUNT(blocks); i++) {
            size_t size = i * 37 % 1000 + 1;
            blocks[i] = om_arena_alloc(&arena, size);
            cr_assert_eq((uintptr_t)blocks[i] % _Alignof(max_align_t), 0);
            for (size_t at = 0; at < size; at++)
                cr_assert_eq(blocks[i][at], 0);
            memset(blocks[i], (int)(i % 255 + 1), size);
        }
        for (size_t i = 0; i < OM_COUNT(blocks); i++)
            for (size_t at = 0; at < i * 37 % 1000 + 1; at++)
                cr_assert_eq((uint8_t)blocks[i][at], i % 255 + 1);
        om_arena_reset(&arena);
    }
}

Test(arena, holds_what_is_larger_than_a_block)
{
    OM_AUTO(om_arena_finish) struct om_arena arena = { 0 };
    char *large = om_arena_alloc(&arena, 1 << 20);
    memset(large, 1, 1 << 20);
    char *small = om_arena_alloc(&arena, 1);
    cr_expect_eq(*small, 0);
    om_arena_reset(&arena);
    om_arena_reset(&arena);
    cr_expect(om_arena_alloc(&arena, 0));
}

Test(arena, keeps_memory_for_reuse_but_not_much)
{
    OM_AUTO(om_arena_finish) struct om_arena arena = { 0 };
    void *first = om_arena_alloc(&arena, 100);
    om_arena_reset(&arena);
    cr_expect_eq(om_arena_alloc(&arena, 100), first);
    om_arena_alloc(&arena, 1 << 20);
    om_arena_reset(&arena);
    cr_expect_null(arena.blocks);
}

Test(arena, copies_texts)
{
    OM_AUTO(om_arena_finish) struct om_arena arena = { 0 };
    cr_expect_str_eq(om_arena_strdup(&arena, (struct om_str){ "abcdef", 3 }), "abc");
    cr_expect_str_eq(om_arena_strdup(&arena, (struct om_str){ 0 }), "");
    cr_expect_str_eq(om_arena_printf(&arena, "%d %s", 5, "x"), "5 x");
    char *wide = om_arena_printf(&arena, "%20000d", 1);
    cr_expect_eq(strlen(wide), 20000);
}

// ---- utf8

Test(utf8, characters_have_the_size_of_the_standard)
{
    static const struct {
        const char *text;
        size_t size;
    } rows[] = {
        { "a", 1 },
        { "\x7f", 1 },
        { "\xc2\x80", 2 },
        { "\xdf\xbf", 2 },
        { "\xe0\xa0\x80", 3 },
        { "\xed\x9f\xbf", 3 },
        { "\xee\x80\x80", 3 },
        { "\xef\xbf\xbf", 3 },
        { "\xf0\x90\x80\x80", 4 },
        { "\xf4\x8f\xbf\xbf", 4 },
        { "\x80", 0 },
        { "\xbf", 0 },
        { "\xc0\x80", 0 },
        { "\xc1\xbf", 0 },
        { "\xc2", 0 },
        { "\xc2"
          "a",
          0 },
        { "\xe0\x9f\xbf", 0 },
        { "\xed\xa0\x80", 0 },
        { "\xe2\x82", 0 },
        { "\xe2\x82"
          "a",
          0 },
        { "\xf0\x8f\xbf\xbf", 0 },
        { "\xf4\x90\x80\x80", 0 },
        { "\xf5\x80\x80\x80", 0 },
        { "\xff", 0 },
    };
    for (size_t i = 0; i < OM_COUNT(rows); i++)
        cr_expect_eq(om_utf8_size(rows[i].text, strlen(rows[i].text)), rows[i].size,
                     "row %zu", i);
    cr_expect_eq(om_utf8_size("\0", 1), 1);
    cr_expect_eq(om_utf8_size("", 0), 0);
}
