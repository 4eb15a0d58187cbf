// Records come back as they were appended: after a torn write, over recycled segments,
// and not at all when one of them was damaged.
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "driver.h"
#include "journal.h"
#include "store_fixture.h"

enum { SEGMENT = 4096, BODY = 300 }; // 7 records a segment

static char directory[32], folder[48];
static struct journal *journal;
static struct journal_conf conf;

static void
begin(void)
{
    snprintf(directory, sizeof(directory), "/tmp/omni-journal-XXXXXX");
    cr_assert(mkdtemp(directory));
    snprintf(folder, sizeof(folder), "%s/journal", directory);
    conf = (struct journal_conf){ &journal_io_files, 77, SEGMENT };
    cr_assert_eq(journal_open(folder, &conf, &journal), OM_OK, "%s", store_why());
}

// The files of the journal, or only how many there are.
static size_t
list(char paths[][80], size_t max)
{
    size_t count = 0;
    DIR *dir = opendir(folder);
    cr_assert(dir);
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (entry->d_name[0] == '.' || strcmp(entry->d_name, "mark") == 0)
            continue;
        if (count < max)
            snprintf(paths[count], 80, "%s/%.20s", folder, entry->d_name);
        count++;
    }
    closedir(dir);
    return count;
}

static void
end(void)
{
    journal_close(&journal);
    char paths[64][80];
    for (size_t i = list(paths, 64); i > 0; i--)
        unlink(paths[i - 1]);
    char mark[80];
    snprintf(mark, sizeof(mark), "%s/mark", folder);
    unlink(mark);
    rmdir(folder);
    rmdir(directory);
}

TestSuite(journal, .init = begin, .fini = end);

static void
append(int64_t number, size_t body_bytes)
{
    char *record = aligned_alloc(JOURNAL_ALIGN, journal_record_bytes(body_bytes));
    cr_assert(record);
    memset(record + JOURNAL_HEAD_BYTES, (int)(number % 100), body_bytes);
    cr_assert_eq(journal_append(journal, number, record, body_bytes), OM_OK);
    free(record);
}

struct seen {
    int64_t first, last;
    size_t bytes;
};

static enum om_rc
visit(void *context, int64_t number, struct om_str body)
{
    struct seen *seen = context;
    if (seen->last)
        cr_assert_eq(number, seen->last + 1);
    else
        seen->first = number;
    for (size_t i = 0; i < body.size; i++)
        cr_assert_eq(body.data[i], (char)(number % 100));
    seen->last = number;
    seen->bytes += body.size;
    return OM_OK;
}

static enum om_rc
recover(int64_t applied, struct seen *seen)
{
    journal_close(&journal);
    memset(seen, 0, sizeof(*seen));
    enum om_rc rc = journal_open(folder, &conf, &journal);
    int64_t last;
    return rc == OM_OK ? journal_recover(journal, applied, visit, seen, &last) : rc;
}

// Change bytes of the file that has the record, which lies at `at` of it.
static void
damage(const char *path, off_t at, const char *bytes, size_t size)
{
    int fd = open(path, O_RDWR);
    cr_assert(fd >= 0 && pwrite(fd, bytes, size, at) == (ssize_t)size);
    close(fd);
}

Test(journal, records_come_back_in_order_and_only_those_not_applied)
{
    for (int64_t number = 1; number <= 20; number++)
        append(number, BODY);
    struct seen seen;
    cr_assert_eq(recover(0, &seen), OM_OK, "%s", store_why());
    cr_expect(seen.first == 1 && seen.last == 20 && seen.bytes == 20 * BODY);
    cr_assert_eq(recover(15, &seen), OM_OK);
    cr_expect(seen.first == 16 && seen.last == 20);
    cr_assert_eq(recover(20, &seen), OM_OK);
    cr_expect_eq(seen.last, 0);
}

Test(journal, a_record_larger_than_a_segment_has_one_of_its_own_that_goes_again)
{
    append(1, BODY);
    append(2, 3 << 20);
    append(3, BODY);
    struct seen seen;
    cr_assert_eq(recover(0, &seen), OM_OK, "%s", store_why());
    cr_expect_eq(seen.bytes, (3 << 20) + 2 * BODY);
    journal_release(journal, 3);
    char paths[8][80];
    size_t count = list(paths, 8);
    for (size_t i = 0; i < count; i++) {
        int fd = open(paths[i], O_RDONLY);
        cr_expect_eq(lseek(fd, 0, SEEK_END), SEGMENT);
        close(fd);
    }
}

Test(journal, a_torn_last_record_is_none)
{
    static const off_t places[] = { 0, 8, 16, JOURNAL_HEAD_BYTES, 200, 323 };
    for (size_t i = 0; i < OM_COUNT(places); i++) {
        int64_t base = (int64_t)i * 3;
        for (int64_t number = base + 1; number <= base + 3; number++)
            append(number, BODY);
        char path[1][80];
        cr_assert_eq(list(path, 1), 1);
        damage(path[0], 512 * 3 + places[i], "\xff", 1);
        struct seen seen;
        cr_assert_eq(recover(base, &seen), OM_OK, "%s", store_why());
        cr_expect_eq(seen.last, base + 2, "byte %d", (int)places[i]);
        journal_release(journal, base + 2);
        append(base + 3, BODY); // in its place
        cr_assert_eq(recover(base + 2, &seen), OM_OK, "%s", store_why());
        cr_expect_eq(seen.last, base + 3);
        journal_release(journal, base + 3);
    }
}

Test(journal, a_damaged_record_before_a_whole_one_is_refused)
{
    for (int64_t number = 1; number <= 12; number++)
        append(number, BODY);
    char path[80];
    snprintf(path, sizeof(path), "%s/00000000", folder);
    damage(path, 512 * 4 + 100, "\xff", 1); // record 4
    struct seen seen;
    cr_assert_eq(recover(0, &seen), OM_EDB);
    cr_expect(strstr(store_why(), "record 4 is damaged or missing"), "%s", store_why());
    cr_expect(strstr(store_why(), folder), "%s", store_why());
    cr_expect_eq(seen.last, 0, "nothing was applied");
    cr_assert_eq(recover(4, &seen), OM_OK, "it is not needed");
    cr_expect(seen.first == 5 && seen.last == 12);
}

// Whatever byte of it: its magic, size, number or checksum, or its body.
Test(journal, a_bit_that_flipped_is_found_anywhere_but_in_the_last_record)
{
    enum { COUNT = 5 };
    static const off_t places[] = { 0, 4, 8, 15, 16, 23, JOURNAL_HEAD_BYTES, 200, 323 };
    char path[1][80], byte;
    struct seen seen;
    for (int64_t number = 1; number <= COUNT; number++)
        append(number, BODY);
    cr_assert_eq(list(path, 1), 1);
    for (int number = 1; number <= COUNT; number++)
        for (size_t i = 0; i < OM_COUNT(places); i++) {
            off_t at = 512 * number + places[i];
            int fd = open(path[0], O_RDONLY);
            cr_assert(fd >= 0 && pread(fd, &byte, 1, at) == 1);
            close(fd);
            damage(path[0], at, (char[1]){ (char)(byte ^ 0x10) }, 1);
            bool last = number == COUNT;
            cr_expect_eq(recover(0, &seen), last ? OM_OK : OM_EDB, "record %d, byte %d",
                         number, (int)places[i]);
            cr_expect_eq(seen.last, last ? COUNT - 1 : 0);
            if (!last)
                cr_expect(strstr(store_why(), "needs a restore"), "%s", store_why());
            damage(path[0], at, &byte, 1);
        }
    cr_assert_eq(recover(0, &seen), OM_OK, "%s", store_why());
    cr_expect_eq(seen.last, COUNT);
}

Test(journal, a_missing_segment_is_refused)
{
    for (int64_t number = 1; number <= 20; number++)
        append(number, BODY);
    char path[80];
    snprintf(path, sizeof(path), "%s/00000001", folder);
    unlink(path);
    struct seen seen;
    cr_assert_eq(recover(0, &seen), OM_EDB);
    cr_expect(strstr(store_why(), "record 8 is damaged or missing"), "%s", store_why());
}

Test(journal, segments_are_used_again_and_their_old_records_do_not_count)
{
    for (int64_t number = 1; number <= 500; number++) {
        append(number, BODY + (size_t)(number * 37 % 700));
        journal_release(journal, number - 10);
        journal_maintain(journal);
    }
    cr_expect_leq(list(NULL, 0), 8, "%zu files", list(NULL, 0));
    struct seen seen;
    cr_assert_eq(recover(490, &seen), OM_OK, "%s", store_why());
    cr_expect(seen.first == 491 && seen.last == 500);
}

Test(journal, what_is_not_this_journals_is_refused)
{
    static const struct {
        off_t at;
        const char *bytes;
        size_t size;
        enum om_rc rc;
        const char *why;
    } rows[] = {
        { 0, "x", 1, OM_EDB, "no segment of a journal" },
        { 8, "\x09", 1, OM_ECONFLICT, "newer omni-broker" },
        { 16, "\x09", 1, OM_ECONFLICT, "another database" },
    };
    append(1, BODY);
    char path[1][80];
    cr_assert_eq(list(path, 1), 1);
    for (size_t i = 0; i < OM_COUNT(rows); i++) {
        char head[32];
        int fd = open(path[0], O_RDONLY);
        cr_assert_eq(read(fd, head, sizeof(head)), (ssize_t)sizeof(head));
        close(fd);
        damage(path[0], rows[i].at, rows[i].bytes, rows[i].size);
        struct seen seen;
        cr_expect_eq(recover(0, &seen), rows[i].rc, "row %zu", i);
        cr_expect(strstr(store_why(), rows[i].why), "%s", store_why());
        damage(path[0], 0, head, sizeof(head));
    }
    struct seen seen;
    cr_expect_eq(recover(0, &seen), OM_OK);
}

Test(journal, what_is_left_of_a_segment_that_was_not_finished_goes)
{
    char path[80];
    snprintf(path, sizeof(path), "%s/00000007.new", folder);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    struct seen seen;
    cr_assert_eq(recover(0, &seen), OM_OK);
    cr_expect_eq(list(NULL, 0), 0);
    append(1, BODY);
    cr_assert_eq(list(NULL, 0), 1);
}
