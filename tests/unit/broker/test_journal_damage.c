// A torn record that nobody was told of is left out at the start; a record that was
// durable is not, however little is left of it and of what followed it.
#include <endian.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "driver.h"
#include "journal.h"
#include "store_fixture.h"

enum { ID = 77, SEGMENT = 8192, SMALL = 300, LARGE = 1200 }; // of 1 sector, and of 3

static char directory[32], folder[48], first_path[80], mark_path[80];
static struct journal *journal;
static const struct journal_conf conf = { &journal_io_files, ID, SEGMENT };

static void
begin(void)
{
    snprintf(directory, sizeof(directory), "/tmp/omni-damage-XXXXXX");
    cr_assert(mkdtemp(directory));
    snprintf(folder, sizeof(folder), "%s/journal", directory);
    snprintf(first_path, sizeof(first_path), "%s/00000000", folder);
    snprintf(mark_path, sizeof(mark_path), "%s/mark", folder);
    cr_assert_eq(journal_open(folder, &conf, &journal), OM_OK, "%s", store_why());
}

static int
remove_one(const char *path, const struct stat *stat, int kind, struct FTW *walk)
{
    (void)stat, (void)kind, (void)walk;
    return remove(path);
}

static void
end(void)
{
    journal_close(&journal);
    nftw(directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

TestSuite(journal_damage, .init = begin, .fini = end);

static void
append(int64_t number, size_t body_bytes)
{
    char *record = aligned_alloc(JOURNAL_ALIGN, journal_record_bytes(body_bytes));
    cr_assert(record);
    memset(record + JOURNAL_HEAD_BYTES, 'a' + (int)(number % 20), body_bytes);
    cr_assert_eq(journal_append(journal, number, record, body_bytes), OM_OK);
    free(record);
}

static enum om_rc
visit(void *context, int64_t number, struct om_str body)
{
    (void)body;
    *(int64_t *)context = number;
    return OM_OK;
}

// Start again with the tables at `applied`: the last record that came back, or -1.
static int64_t
recover(int64_t applied)
{
    int64_t seen = 0, last;
    journal_close(&journal);
    cr_assert_eq(journal_open(folder, &conf, &journal), OM_OK, "%s", store_why());
    enum om_rc rc = journal_recover(journal, applied, visit, &seen, &last);
    cr_assert(rc == OM_OK || rc == OM_EDB);
    cr_expect(rc == OM_OK || strstr(store_why(), "needs a restore"), "%s", store_why());
    cr_expect(rc == OM_OK || seen == 0, "nothing was applied");
    return rc == OM_OK ? seen : -1;
}

static void
put_bytes(const char *path, off_t at, const void *bytes, size_t size)
{
    int fd = open(path, O_RDWR);
    cr_assert(fd >= 0 && pwrite(fd, bytes, size, at) == (ssize_t)size);
    close(fd);
}

static void
take_bytes(const char *path, off_t at, void *bytes, size_t size)
{
    int fd = open(path, O_RDONLY);
    cr_assert(fd >= 0 && pread(fd, bytes, size, at) == (ssize_t)size);
    close(fd);
}

static void
flip(const char *path, off_t at)
{
    char byte;
    take_bytes(path, at, &byte, 1);
    byte = (char)(byte ^ 0x10);
    put_bytes(path, at, &byte, 1);
}

static void
lose_sectors(off_t at, size_t count)
{
    static const char zeros[8 * JOURNAL_ALIGN];
    put_bytes(first_path, at, zeros, count * JOURNAL_ALIGN);
}

// Any byte that counts, of the last but one and of the last: head, body and seal.
Test(journal_damage, of_both_last_records_is_refused_wherever_it_is)
{
    static const off_t places[] = { 0, 3, 4, 7, 8, 15, 16, 23, 24, 200, 323 };
    for (int64_t number = 1; number <= 4; number++)
        append(number, SMALL);
    off_t third = 3 * JOURNAL_ALIGN, fourth = 4 * JOURNAL_ALIGN;
    for (size_t i = 0; i < OM_COUNT(places); i++)
        for (size_t j = 0; j < OM_COUNT(places); j++) {
            flip(first_path, third + places[i]);
            flip(first_path, fourth + places[j]);
            cr_expect_eq(recover(0), -1, "bytes %d and %d", (int)places[i],
                         (int)places[j]);
            cr_expect_eq(recover(3), 0, "a torn one");
            flip(first_path, third + places[i]);
            flip(first_path, fourth + places[j]);
        }
    cr_expect_eq(recover(0), 4);
}

Test(journal_damage, a_seal_alone_or_padding_is_not_missed)
{
    for (int64_t number = 1; number <= 3; number++)
        append(number, SMALL);
    for (int64_t number = 1; number <= 3; number++) {
        flip(first_path, number * JOURNAL_ALIGN + JOURNAL_ALIGN - 1);
        flip(first_path, number * JOURNAL_ALIGN + 400);
    }
    cr_expect_eq(recover(0), 3);
}

// The record before is gone to the last bit; of the last one some sectors are.
Test(journal_damage, of_whole_sectors_is_refused_while_one_end_of_the_last_is_there)
{
    enum { FIRST = 1 << 0, MIDDLE = 1 << 1, LAST = 1 << 2 };
    append(1, LARGE);
    append(2, LARGE);
    append(3, LARGE);
    char whole[SEGMENT];
    take_bytes(first_path, 0, whole, sizeof(whole));
    for (int gone = 1; gone <= (FIRST | MIDDLE | LAST); gone++) {
        for (int i = 0; i < 3; i++)
            if (gone & 1 << i)
                lose_sectors((7 + i) * JOURNAL_ALIGN, 1);
        cr_expect_eq(recover(0), 2, "torn: sectors %d", gone);
        lose_sectors(4 * JOURNAL_ALIGN, 3);
        bool trace = (gone & (FIRST | LAST)) != (FIRST | LAST);
        cr_expect_eq(recover(0), trace ? -1 : 1, "sectors %d", gone);
        put_bytes(first_path, 0, whole, sizeof(whole));
    }
}

// Where nothing of the last records is left, the mark knows them.
Test(journal_damage, before_the_mark_is_refused_and_behind_it_may_be_torn)
{
    for (int64_t number = 1; number <= 4; number++)
        append(number, SMALL);
    journal_mark(journal);
    append(5, SMALL);
    append(6, SMALL);
    lose_sectors(6 * JOURNAL_ALIGN, 1);
    cr_expect_eq(recover(0), 5, "one that is torn");
    lose_sectors(5 * JOURNAL_ALIGN, 1);
    cr_expect_eq(recover(0), 4);
    lose_sectors(4 * JOURNAL_ALIGN, 1);
    cr_expect_eq(recover(0), -1);
    cr_expect(strstr(store_why(), "record 4 is damaged or missing"), "%s", store_why());
    lose_sectors(1 * JOURNAL_ALIGN, 3);
    cr_expect_eq(recover(0), -1, "nothing at all is left");
    cr_expect_eq(recover(3), -1);
    cr_expect_eq(recover(4), 0, "the tables have it");
    unlink(first_path);
    cr_expect_eq(recover(0), -1, "the segment is not there");
    cr_expect_eq(recover(4), 0);
}

Test(journal_damage, of_the_mark_is_none_of_the_journals)
{
    append(1, SMALL);
    append(2, SMALL);
    journal_mark(journal);
    for (off_t at = 0; at < JOURNAL_SEAL_BYTES; at++) {
        flip(mark_path, at);
        cr_expect_eq(recover(0), 2);
        flip(mark_path, at);
    }
    cr_assert_eq(truncate(mark_path, 5), 0);
    cr_expect_eq(recover(0), 2);
    journal_release(journal, 2);
    append(3, SMALL);
    journal_mark(journal);
    lose_sectors(1 * JOURNAL_ALIGN, 1);
    cr_expect_eq(recover(2), -1, "the mark is written again");
}

// A torn record's number is given to the next one, elsewhere: what is left of it says
// nothing of that.
Test(journal_damage, what_a_torn_record_left_is_no_trace_of_its_follower)
{
    append(1, LARGE);
    append(2, LARGE);
    flip(first_path, 5 * JOURNAL_ALIGN);
    cr_assert_eq(recover(0), 1);
    journal_release(journal, 1);
    append(2, SMALL); // over the first
    cr_expect_eq(recover(1), 2);
    lose_sectors(1 * JOURNAL_ALIGN, 1);
    cr_expect_eq(recover(1), 0, "torn again");
}

// ---- the form before: a magic for the head's check, and no seal

static void
put_old_record(off_t at, int64_t number, size_t body_bytes)
{
    struct {
        uint32_t magic, body_bytes;
        uint64_t number, check;
    } head = { htole32(0x4a724f6d), htole32((uint32_t)body_bytes),
               htole64((uint64_t)number), 0 };
    char body[JOURNAL_ALIGN];
    memset(body, 'x', body_bytes);
    uint64_t seed = XXH3_64bits_withSeed(&head, 16, ID);
    head.check = htole64(XXH3_64bits_withSeed(body, body_bytes, seed));
    put_bytes(first_path, at, &head, sizeof(head));
    put_bytes(first_path, at + (off_t)sizeof(head), body, body_bytes);
}

Test(journal_damage, segments_of_the_form_before_are_read_and_not_used_again)
{
    enum { FULL = JOURNAL_ALIGN - JOURNAL_HEAD_BYTES }; // no room for a seal
    append(1, SMALL);
    put_bytes(first_path, 8, "\x01", 1);
    for (int64_t number = 1; number <= 3; number++)
        put_old_record(number * JOURNAL_ALIGN, number, FULL);
    cr_expect_eq(recover(0), 3);
    flip(first_path, 2 * JOURNAL_ALIGN + 100);
    cr_expect_eq(recover(0), -1);
    flip(first_path, 2 * JOURNAL_ALIGN + 100);
    cr_expect_eq(recover(0), 3);
    journal_release(journal, 3);
    cr_expect_neq(access(first_path, F_OK), 0, "an older program would miss our records");
    append(4, SMALL);
    cr_expect_eq(recover(3), 4);
}
