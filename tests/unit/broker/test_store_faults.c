// What the store refuses, and what it does when the disk is full or fails.
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store_suite.h"

TestSuite(store_faults, .init = store_begin, .fini = store_end);

static enum om_rc
try_open(const char *url, const char **why)
{
    struct store *store = NULL;
    enum om_rc rc = store_open(url, &store, why);
    store_close(&store);
    return rc;
}

Test(store_faults, a_second_process_is_refused)
{
    const char *why = "";
    cr_expect_eq(try_open(fx.url, &why), OM_ECONFLICT);
    cr_expect(strstr(why, "in use by another process"), "%s", why);
    cr_expect(strstr(why, fx.path), "%s", why);
}

Test(store_faults, a_database_of_a_newer_program_is_refused_and_left_alone)
{
    store_close(&fx.store);
    sqlite3 *db;
    cr_assert_eq(sqlite3_open(fx.path, &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db, "PRAGMA user_version = 99", NULL, NULL, NULL),
                 SQLITE_OK);
    sqlite3_close(db);
    const char *why = "";
    cr_expect_eq(try_open(fx.url, &why), OM_ECONFLICT);
    cr_expect(strstr(why, "newer omni-broker"), "%s", why);
    cr_expect(strstr(why, "install that version"), "%s", why);

    int64_t version = 0;
    sqlite3_stmt *stmt;
    cr_assert_eq(sqlite3_open(fx.path, &db), SQLITE_OK);
    sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &stmt, NULL);
    if (sqlite3_step(stmt) == SQLITE_ROW)
        version = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    cr_expect_eq(version, 99);
}

Test(store_faults, what_is_no_database_is_refused)
{
    store_close(&fx.store);
    FILE *file = fopen(fx.path, "w");
    for (int i = 0; i < 1000; i++)
        fputs("this is no database ", file);
    fclose(file);
    static const struct {
        const char *url;
        enum om_rc rc;
    } rows[] = {
        { "postgres://localhost/omni", OM_EINVAL },
        { "", OM_EINVAL },
        { "sqlite:/nowhere/at/all/broker.db", OM_EDB },
        { NULL, OM_EDB },
    };
    for (size_t i = 0; i < OM_COUNT(rows); i++) {
        const char *why = NULL;
        cr_expect_eq(try_open(rows[i].url ? rows[i].url : fx.url, &why), rows[i].rc,
                     "row %zu: %s", i, why ? why : "");
        cr_expect(why && *why);
    }
}

static enum om_rc
commit_task(int64_t seq, size_t payload_bytes)
{
    OM_AUTO(batch_destroy) struct batch *batch = batch_create();
    struct change *change = batch_task(batch, seq, 1);
    if (payload_bytes) {
        char *bytes = calloc(1, payload_bytes);
        change->task.payload = payload_copy((struct om_str){ bytes, payload_bytes });
        free(bytes);
    }
    return store_commit(fx.store, batch);
}

Test(store_faults, a_full_disk_rolls_back_and_the_next_commit_works)
{
    cr_assert_eq(commit_task(1, 0), OM_OK);
    disk_fail(SQLITE_FULL, SQLITE_OK);
    cr_expect_eq(commit_task(2, 0), OM_ENOSPACE);
    cr_expect_eq(commit_task(3, 1 << 20), OM_ENOSPACE);
    disk_fail(SQLITE_OK, SQLITE_OK);
    cr_expect_eq(commit_task(4, 0), OM_OK);
    fixture_reopen(&fx);
    OM_AUTO(read_destroy) struct read *read = read_list(&fx, 1, STATE_NONE, 0, 10);
    cr_assert_eq(read->count, 2);
    cr_expect_eq(read->tasks[0].seq, 4);
    cr_expect_eq(read->tasks[1].seq, 1);
}

Test(store_faults, a_full_disk_does_not_stop_reads_and_purges)
{
    OM_AUTO(batch_destroy) struct batch *batch = batch_create();
    batch_task(batch, 1, 1);
    batch_result(batch, 1, STATE_SUCCEEDED);
    cr_assert_eq(store_commit(fx.store, batch), OM_OK);
    cr_assert_eq(store_settle(fx.store), OM_OK);
    disk_fail(SQLITE_FULL, SQLITE_OK);
    store_purge(fx.store, 100000, 1000);
    cr_expect_eq(store_settle(fx.store), OM_OK, "it gives up until the next time");
    OM_AUTO(read_destroy) struct read *read = read_task(&fx, 1, 1);
    cr_expect_eq(read->rc, OM_OK);
    disk_fail(SQLITE_OK, SQLITE_OK);
    store_purge(fx.store, 100000, 1000);
    cr_assert_eq(store_settle(fx.store), OM_OK);
    OM_AUTO(read_destroy) struct read *gone = read_task(&fx, 1, 1);
    cr_expect_eq(gone->rc, OM_ENOTFOUND);
}

Test(store_faults, after_a_failed_sync_nothing_is_written_any_more)
{
    cr_assert_eq(commit_task(1, 0), OM_OK);
    disk_fail(SQLITE_OK, SQLITE_IOERR_FSYNC);
    cr_expect_eq(commit_task(2, 0), OM_EINTERNAL);
    disk_fail(SQLITE_OK, SQLITE_OK);
    cr_expect_eq(commit_task(3, 0), OM_EINTERNAL, "its outcome is unknown as well");
    fixture_reopen(&fx);
    cr_expect_eq(commit_task(4, 0), OM_OK);
}

Test(store_faults, a_failed_write_inside_a_batch_is_rolled_back)
{
    cr_assert_eq(commit_task(1, 0), OM_OK);
    OM_AUTO(batch_destroy) struct batch *batch = batch_create();
    batch_task(batch, 2, 1);
    batch_event(batch, 1, 1, "usage");
    batch_event(batch, 1, 1, "usage"); // the same place: refused by the key
    cr_expect_eq(store_commit(fx.store, batch), OM_EDB);
    OM_AUTO(read_destroy) struct read *read = read_task(&fx, 1, 2);
    cr_expect_eq(read->rc, OM_ENOTFOUND);
    cr_expect_eq(commit_task(2, 0), OM_OK);
}

Test(store_faults, what_was_committed_survives_a_process_that_dies)
{
    store_close(&fx.store);
    pid_t child = fork();
    if (child == 0) {
        fixture_open(&fx);
        bool done = commit_task(1, 100000) == OM_OK && commit_task(2, 0) == OM_OK;
        _exit(done ? 0 : 1); // nothing is closed
    }
    int status = 0;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert_eq(status, 0);
    fixture_open(&fx);
    OM_AUTO(read_destroy) struct read *read = read_list(&fx, 1, STATE_NONE, 0, 10);
    cr_expect_eq(read->count, 2);
}
