// The file of the newest spans: bounded, read meanwhile, and never believed blindly.
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "span_file.h"

enum { RECORDS = 64, KEEP_MS = 3600 * 1000 };

static char dir[] = "/tmp/omni-spans-XXXXXX";
static char why[256];

static void
begin(void)
{
    cr_assert(mkdtemp(dir));
}

static void
end(void)
{
    static const char *const names[] = { "a.spans", "a.2.spans", "b.spans" };
    char path[64];
    for (size_t i = 0; i < OM_COUNT(names); i++) {
        snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        unlink(path);
    }
    rmdir(dir);
}

TestSuite(span_file, .init = begin, .fini = end);

static struct om_span_file *
open_file(const char *node)
{
    struct om_span_file *file =
        om_span_file_open(dir, node, RECORDS, KEEP_MS, why, sizeof(why));
    cr_assert(file, "%s", why);
    return file;
}

static void
put(struct om_span_file *file, int64_t number, int64_t end_us)
{
    struct om_span span = { .start_us = number, .end_us = end_us, .text_used = 1 };
    om_span_file_put(file, &span);
}

struct seen {
    int count;
    int64_t least, most;
    char nodes[64];
};

static void
see(void *context, const struct om_span_line *line)
{
    struct seen *seen = context;
    int64_t number = line->span.start_us;
    seen->least = seen->count == 0 || number < seen->least ? number : seen->least;
    seen->most = number > seen->most ? number : seen->most;
    seen->count++;
    if (!strstr(seen->nodes, line->node))
        strncat(seen->nodes, line->node, sizeof(seen->nodes) - strlen(seen->nodes) - 1);
}

static struct seen
read_all(void)
{
    struct seen seen = { 0 };
    cr_assert_eq(om_span_file_read(dir, see, &seen), OM_OK);
    return seen;
}

Test(span_file, holds_the_newest_and_goes_on_when_it_is_opened_again)
{
    struct om_span_file *file = open_file("a");
    for (int64_t i = 0; i < 3 * RECORDS / 2; i++)
        put(file, i, i);
    om_span_file_close(&file);
    struct seen seen = read_all();
    cr_expect_eq(seen.count, RECORDS);
    cr_expect(seen.least == RECORDS / 2 && seen.most == 3 * RECORDS / 2 - 1);
    file = open_file("a");
    put(file, 1000, 1000);
    om_span_file_flush(file);
    seen = read_all();
    cr_expect_eq(seen.count, RECORDS, "it took the oldest one's place");
    cr_expect(seen.least == RECORDS / 2 + 1 && seen.most == 1000);
    om_span_file_close(&file);
}

Test(span_file, belongs_to_one_process_and_another_gets_one_of_its_own)
{
    struct om_span_file *one = open_file("a"), *two = open_file("a"),
                        *other = open_file("b");
    put(one, 1, 1);
    put(two, 2, 2);
    put(other, 3, 3);
    om_span_file_close(&one);
    om_span_file_close(&two);
    om_span_file_close(&other);
    struct seen seen = read_all();
    cr_expect_eq(seen.count, 3);
    cr_expect_str_eq(seen.nodes[0] == 'a' ? "ab" : "ba", seen.nodes);
}

Test(span_file, forgets_what_is_too_old)
{
    struct om_span_file *file = open_file("a");
    int64_t now_us = INT64_C(1800000000000000);
    put(file, 1, now_us - KEEP_MS * INT64_C(1000) - 1);
    put(file, 2, now_us - KEEP_MS * INT64_C(1000) + 1000000);
    om_span_file_sweep(file, now_us);
    struct seen seen = read_all();
    cr_expect(seen.count == 1 && seen.most == 2);
    om_span_file_sweep(file, now_us + 2000000);
    cr_expect_eq(read_all().count, 0);
    put(file, 3, now_us);
    om_span_file_close(&file);
    cr_expect_eq(read_all().count, 1);
}

Test(span_file, what_is_damaged_or_of_another_version_is_passed_over)
{
    char path[64], byte = 0x55;
    struct stat stat;
    struct om_span_file *file = open_file("a");
    for (int64_t i = 0; i < 10; i++)
        put(file, i, i);
    om_span_file_close(&file);
    snprintf(path, sizeof(path), "%s/a.spans", dir);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    cr_assert(fd >= 0 && fstat(fd, &stat) == 0);
    off_t record = (stat.st_size - 88) / RECORDS; // behind the header
    cr_assert_eq(pwrite(fd, &byte, 1, 88 + 3 * record + 40), 1);
    cr_expect_eq(read_all().count, 9);
    cr_assert_eq(pwrite(fd, &byte, 1, 9), 1); // the layout
    cr_expect_eq(read_all().count, 0);
    close(fd);
    file = open_file("a");
    put(file, 1, 1);
    om_span_file_close(&file);
    cr_expect_eq(read_all().count, 1, "it was begun anew");
}

Test(span_file, a_folder_that_is_not_there_is_said)
{
    struct seen seen = { 0 };
    cr_expect_eq(om_span_file_read("/nowhere/at/all", see, &seen), OM_ENOTFOUND);
    cr_expect_null(
        om_span_file_open("/nowhere/at/all", "a", RECORDS, KEEP_MS, why, sizeof(why)));
    cr_expect(strstr(why, "/nowhere"));
}
