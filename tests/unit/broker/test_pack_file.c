// Finished tasks of a window with much to pack lie in files beside the tables.
#include <dirent.h>
#include <errno.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "clock.h"
#include "store_fixture.h"

static struct fixture fx;
static struct loaded loaded;

static void
begin(void)
{
    fixture_init(&fx);
    store_close(&fx.store);
    fx.io = journal_io_files; // past the cache, where that is possible
    fx.conf.pack_least_bytes = 4096;
    fx.conf.pack_file_bytes = 64 * 1024;
    fixture_open(&fx);
}

static void
end(void)
{
    fixture_finish(&fx);
}

TestSuite(pack_file, .init = begin, .fini = end);

static struct om_str
payload_of(int64_t seq)
{
    static char bytes[1500];
    memset(bytes, (int)('a' + seq % 26), sizeof(bytes));
    return (struct om_str){ bytes, sizeof(bytes) };
}

// Whole tasks of two tenants, in one window.
static void
add_window(int64_t first, int64_t last)
{
    OM_AUTO(batch_destroy) struct batch *batch = batch_create();
    for (int64_t seq = first; seq <= last; seq++) {
        batch_task(batch, seq, seq % 2 + 1)->task.payload = payload_copy(payload_of(seq));
        struct change_result *result = &batch_result(batch, seq, STATE_SUCCEEDED)->result;
        result->finished_ms = 5000 + seq;
        result->payload = payload_copy(OM_LIT("answer"));
    }
    cr_assert_eq(store_commit(fx.store, batch), OM_OK);
}

static void
settle(void)
{
    cr_assert_eq(store_settle(fx.store), OM_OK);
}

static int64_t
query(const char *sql)
{
    int64_t value = -1;
    sqlite3 *db;
    sqlite3_stmt *stmt;
    cr_assert_eq(sqlite3_open(fx.path, &db), SQLITE_OK);
    cr_assert_eq(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK, "%s",
                 sqlite3_errmsg(db));
    if (sqlite3_step(stmt) == SQLITE_ROW)
        value = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    return value;
}

static const char *
pack_path(const char *name)
{
    static char path[80];
    snprintf(path, sizeof(path), "%s/packs/%s", fx.directory, name);
    return path;
}

static size_t
count_files(void)
{
    size_t count = 0;
    DIR *folder = opendir(pack_path(""));
    cr_assert(folder);
    for (struct dirent *entry; (entry = readdir(folder));)
        count += entry->d_name[0] != '.';
    closedir(folder);
    return count;
}

static void
expect_tasks(int64_t first, int64_t last, enum om_rc rc)
{
    for (int64_t seq = first; seq <= last; seq++) {
        OM_AUTO(read_destroy) struct read *read = read_task(&fx, seq % 2 + 1, seq);
        cr_assert_eq(read->rc, rc, "%lld", (long long)seq);
        if (rc != OM_OK)
            continue;
        cr_expect(read->tasks->seq == seq && read->tasks->state == STATE_SUCCEEDED);
        cr_expect(om_str_eq(payload_bytes(read->payload), OM_LIT("answer")));
        OM_AUTO(read_destroy) struct read *payload = calloc(1, sizeof(*payload));
        payload->kind = READ_PAYLOAD;
        payload->seq = seq;
        store_read(fx.store, payload);
        cr_assert_eq(payload->rc, OM_OK);
        cr_expect(om_str_eq(payload_bytes(payload->payload), payload_of(seq)));
    }
}

Test(pack_file, tasks_are_found_in_files_also_after_a_restart)
{
    for (int64_t first = 1; first < 400; first += 100) {
        add_window(first, first + 99); // more than the writer's buffer in all
        settle();
    }
    cr_expect_eq(query("SELECT count(*) FROM task"), 0);
    cr_expect_eq(query("SELECT sum(length(tasks)) FROM pack"), 0);
    cr_expect_eq(query("SELECT sum(blocks) FROM pack_file"),
                 query("SELECT count(*) FROM pack"));
    cr_expect_eq(count_files(), 4, "each window was more than a file is to have");
    expect_tasks(1, 400, OM_OK);
    fixture_reopen(&fx);
    cr_expect_eq(count_files(), 4);
    expect_tasks(1, 400, OM_OK);
    OM_AUTO(read_destroy) struct read *list = read_list(&fx, 1, STATE_NONE, 0, 100);
    cr_assert_eq(list->rc, OM_OK);
    cr_assert_eq(list->count, 100);
    for (size_t i = 0; i < list->count; i++)
        cr_expect_eq(list->tasks[i].seq, 400 - 2 * (int64_t)i);
}

Test(pack_file, a_window_larger_than_the_buffer_of_the_writer_is_whole)
{
    for (int64_t first = 1; first < 2000; first += 400)
        add_window(first, first + 399);
    settle();
    expect_tasks(1, 2000, OM_OK);
}

Test(pack_file, little_goes_to_rows)
{
    add_window(1, 2);
    settle();
    cr_expect_eq(count_files(), 0);
    expect_tasks(1, 2, OM_OK);
}

Test(pack_file, the_purge_removes_a_file_with_its_last_block)
{
    for (int64_t first = 1; first < 400; first += 100) {
        add_window(first, first + 99);
        settle();
    }
    store_purge(fx.store, 6150, 1000); // what ended before 5150
    settle();
    cr_expect_eq(count_files(), 3);
    expect_tasks(1, 100, OM_ENOTFOUND);
    expect_tasks(201, 400, OM_OK);
    store_purge(fx.store, 7000, 1000);
    settle();
    cr_expect_eq(count_files(), 1, "the one that is written to");
    cr_expect_eq(query("SELECT count(*) FROM pack_file"), 1);
    fixture_reopen(&fx);
    cr_expect_eq(count_files(), 0);
    add_window(401, 500);
    settle();
    expect_tasks(401, 500, OM_OK);
    fixture_load(&fx, &loaded);
    cr_expect_eq(loaded.task_seq, 500);
}

Test(pack_file, a_file_nobody_names_is_removed_and_no_other)
{
    add_window(1, 100);
    settle();
    store_close(&fx.store);
    static const char *const names[] = { "00000007", "00000009.kept", "notes" };
    for (size_t i = 0; i < OM_COUNT(names); i++) {
        FILE *file = fopen(pack_path(names[i]), "w");
        cr_assert(file);
        fclose(file);
    }
    fixture_open(&fx);
    cr_expect_eq(access(pack_path("00000001"), F_OK), 0);
    cr_expect_neq(access(pack_path("00000007"), F_OK), 0);
    cr_expect_eq(access(pack_path("00000009.kept"), F_OK), 0);
    cr_expect_eq(access(pack_path("notes"), F_OK), 0);
    add_window(101, 200);
    settle();
    cr_expect_eq(access(pack_path("00000008"), F_OK), 0, "no name is given again");
    expect_tasks(1, 200, OM_OK);
}

Test(pack_file, a_task_whose_block_cannot_be_read_is_an_error_and_not_unknown)
{
    add_window(1, 100);
    settle();
    cr_assert_eq(truncate(pack_path("00000001"), 4096), 0);
    OM_AUTO(read_destroy) struct read *cut = read_task(&fx, 1, 100);
    cr_expect_eq(cut->rc, OM_EDB);
    cr_assert_eq(unlink(pack_path("00000001")), 0);
    OM_AUTO(read_destroy) struct read *gone = read_task(&fx, 1, 100);
    cr_expect_eq(gone->rc, OM_EDB);
    OM_AUTO(read_destroy) struct read *list = read_list(&fx, 1, STATE_NONE, 0, 10);
    cr_expect_eq(list->rc, OM_EDB);
}

// ---- a disk that fails

static atomic_int failures;

static ssize_t
full_write(int fd, const void *data, size_t size, off_t at)
{
    if (failures > 0) {
        failures--;
        errno = ENOSPC;
        return -1;
    }
    return pwrite(fd, data, size, at);
}

static int
failing_sync(int fd)
{
    if (failures > 0) {
        failures--;
        errno = EIO;
        return -1;
    }
    return fdatasync(fd);
}

// The journal has its record when the failures begin.
static void
expect_that_it_is_tried_again(void)
{
    fixture_reopen(&fx);
    add_window(1, 100);
    failures = 2;
    int64_t end_ms = om_clock_mono_ms() + 10000;
    while (store_settle(fx.store) != OM_OK)
        cr_assert_lt(om_clock_mono_ms(), end_ms);
    cr_expect_eq(failures, 0);
    expect_tasks(1, 100, OM_OK);
    cr_expect_eq(query("SELECT count(*) FROM task"), 0);
    fixture_reopen(&fx);
    expect_tasks(1, 100, OM_OK);
}

Test(pack_file, a_window_is_written_again_after_a_full_disk)
{
    fx.io.write = full_write;
    expect_that_it_is_tried_again();
    cr_expect_eq(count_files(), 1);
}

Test(pack_file, a_window_is_written_to_another_file_after_a_sync_that_failed)
{
    fx.io.sync = failing_sync;
    expect_that_it_is_tried_again();
    cr_expect_eq(count_files(), 1, "those that were left are gone at a start");
}
