// Records stay as they were until they are forgotten, whatever comes and goes around
// them.
#include <criterion/criterion.h>

#include "records.h"

enum { LIVE_MAX = 64 };

static uint64_t
draw(uint64_t *random, uint64_t below)
{
    *random = *random * 6364136223846793005u + 1442695040888963407u;
    return (*random >> 33) % below;
}

static char
mark(int64_t number)
{
    return (char)(number * 31 % 127);
}

static bool
is_whole(const struct record *record)
{
    for (size_t i = 0; i < record->body_bytes; i++)
        if (record->bytes[JOURNAL_HEAD_BYTES + i] != mark(record->number))
            return false;
    return true;
}

// Sizes from some bytes to more than a slab.
static size_t
draw_size(uint64_t *random)
{
    size_t most = draw(random, 8) == 0 ? 3 << 20 : draw(random, 2) ? 200000 : 900;
    return draw(random, most);
}

Test(records, stay_whole_until_they_are_forgotten)
{
    struct records records;
    records_init(&records);
    uint64_t random = 7;
    int64_t number = 0, forgotten = 0;
    for (int i = 0; i < 500; i++) {
        size_t size = draw_size(&random);
        struct record *record = records_create(&records, number + 1, size);
        cr_assert(record && (uintptr_t)record->bytes % JOURNAL_ALIGN == 0);
        cr_assert(record->number == number + 1 && record->body_bytes == 0);
        record->body_bytes = size;
        memset(record->bytes + JOURNAL_HEAD_BYTES, mark(number + 1), size);
        if (draw(&random, 4) == 0) {
            records_take_back(&records, &record);
            cr_assert_null(record);
        } else {
            records_keep(&records, record);
            number++;
        }
        if (number - forgotten > LIVE_MAX || draw(&random, 20) == 0)
            forgotten += (int64_t)draw(&random, (uint64_t)(number - forgotten) + 1);
        records_forget(&records, forgotten);
        int64_t expected = forgotten;
        for (const struct record *at = records.oldest; at; at = at->kept) {
            cr_assert_eq(at->number, ++expected);
            cr_assert(is_whole(at), "record %d", (int)at->number);
        }
        cr_assert_eq(expected, number);
    }
    records_finish(&records);
}

Test(records, memory_goes_back_when_they_are_forgotten)
{
    struct records records;
    records_init(&records);
    for (int64_t number = 1; number <= 200; number++) {
        struct record *record = records_create(&records, number, 300000);
        cr_assert_not_null(record);
        records_keep(&records, record);
    }
    records_forget(&records, 200);
    cr_expect_null(records.first);
    cr_expect_null(records.oldest);
    cr_expect_leq(records.spare_count, 4);
    records_finish(&records);
}

// What was begun for a record that was not kept is passed over.
Test(records, one_that_was_taken_back_leaves_nothing)
{
    struct records records;
    records_init(&records);
    struct record *record = records_create(&records, 1, 100);
    records_take_back(&records, &record);
    record = records_create(&records, 1, 2 << 20);
    records_keep(&records, record);
    records_forget(&records, 1);
    cr_expect_null(records.first);
    cr_expect_null(records.last);
    records_finish(&records);
}
