// What is committed and not in the tables yet: it is read, found again after a death, and
// bounded.
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store_suite.h"

static struct loaded loaded;

static void
begin(void)
{
    store_begin();
    store_close(&fx.store);
    fx.conf.window_ms = 3600 * 1000; // only what somebody waits for is applied
    fixture_open(&fx);
}

TestSuite(backlog, .init = begin, .fini = store_end);

static enum om_rc
commit_task(int64_t seq, size_t payload_bytes)
{
    OM_AUTO(batch_destroy) struct batch *batch = batch_create();
    struct change *change = batch_task(batch, seq, 1);
    char *bytes = calloc(1, payload_bytes + 1);
    change->task.payload = payload_copy((struct om_str){ bytes, payload_bytes });
    free(bytes);
    return store_commit(fx.store, batch);
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

Test(backlog, a_read_sees_what_was_committed_before_it)
{
    for (int64_t seq = 1; seq <= 20; seq++) {
        cr_assert_eq(commit_task(seq, 100), OM_OK);
        OM_AUTO(read_destroy) struct read *read = read_task(&fx, 1, seq);
        cr_expect_eq(read->rc, OM_OK);
    }
}

Test(backlog, a_process_that_dies_leaves_it_to_the_next)
{
    store_close(&fx.store);
    pid_t child = fork();
    if (child == 0) {
        fixture_open(&fx);
        bool done = true;
        for (int64_t seq = 1; seq <= 50; seq++)
            done = done && commit_task(seq, 1000) == OM_OK;
        _exit(done && query("SELECT count(*) FROM task") == 0 ? 0 : 1);
    }
    int status = 0;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert_eq(status, 0);
    fixture_open(&fx);
    cr_expect_eq(query("SELECT count(*) FROM task"), 50);
    fixture_load(&fx, &loaded);
    cr_expect_eq(loaded.count, 50);
    cr_expect_eq(commit_task(51, 0), OM_OK);
}

Test(backlog, it_is_applied_before_it_is_too_large)
{
    store_close(&fx.store);
    fx.conf.window_bytes = 64 * 1024;
    fx.conf.backlog_bytes = 256 * 1024;
    fixture_open(&fx);
    for (int64_t seq = 1; seq <= 100; seq++)
        cr_assert_eq(commit_task(seq, 20000), OM_OK);
    cr_expect_gt(query("SELECT count(*) FROM task"), 80);
}

Test(backlog, while_the_tables_cannot_be_written_commits_go_on_until_it_is_full)
{
    store_close(&fx.store);
    fx.conf.backlog_bytes = 100 * 1000;
    fixture_open(&fx);
    fx.io.write = journal_io_files.write; // the journal's disk has room
    disk_fail(SQLITE_FULL, SQLITE_OK);
    int64_t stored = 0;
    while (stored < 100 && commit_task(stored + 1, 5000) == OM_OK)
        stored++;
    cr_assert(stored > 15 && stored < 30, "%lld", (long long)stored);
    cr_expect_eq(commit_task(stored + 1, 10), OM_ENOSPACE);
    OM_AUTO(read_destroy) struct read *early = read_task(&fx, 1, 1);
    cr_expect_eq(early->rc, OM_EDB, "it cannot be known");

    disk_fail(SQLITE_OK, SQLITE_OK);
    for (int tries = 0; store_settle(fx.store) != OM_OK && tries < 100; tries++)
        usleep(50 * 1000); // it tries again by itself
    cr_expect_eq(commit_task(stored + 1, 10), OM_OK);
    OM_AUTO(read_destroy) struct read *read = read_list(&fx, 1, STATE_NONE, 0, 100);
    cr_expect_eq((int64_t)read->count, stored + 1);
}

Test(backlog, a_task_that_ends_within_a_window_leaves_no_marks_and_is_not_open)
{
    OM_AUTO(batch_destroy) struct batch *batch = batch_create();
    for (int64_t seq = 1; seq <= 10; seq++) {
        batch_task(batch, seq, 1);
        batch_mark(batch, seq, MARK_LEASE);
        batch_result(batch, seq, STATE_SUCCEEDED);
    }
    batch_task(batch, 11, 1);
    batch_task(batch, 12, 1);
    batch_mark(batch, 12, MARK_LEASE);
    cr_assert_eq(store_commit(fx.store, batch), OM_OK);
    cr_assert_eq(store_settle(fx.store), OM_OK);
    cr_expect_eq(query("SELECT count(*) FROM result"), 0, "they are packed");
    cr_expect_eq(query("SELECT last FROM pack"), 10);
    cr_expect_eq(query("SELECT count(*) FROM mark"), 1);
    cr_expect_eq(query("SELECT count(*) FROM open"), 2);
    cr_expect_eq(query("SELECT seq FROM open WHERE flags = 1"), 11);
}

Test(backlog, a_retried_task_never_repeats_a_token)
{
    OM_AUTO(batch_destroy) struct batch *batch = batch_create();
    batch_task(batch, 1, 1);
    batch_mark(batch, 1, MARK_LEASE)->mark.token =
        (struct wire_token){ fixture_id(1), 7, 1, 1 };
    batch_result(batch, 1, STATE_FAILED)->result.attempts = 1;
    cr_assert_eq(store_commit(fx.store, batch), OM_OK);
    OM_AUTO(read_destroy) struct read *read = read_task(&fx, 1, 1);
    cr_assert_eq(read->rc, OM_OK);
    cr_expect_eq(read->tasks->token.attempt, 7);
    cr_expect_eq(read->tasks->attempts, 1);
}

// ---- keys

struct key_row {
    const char *idem, *unique;
    int64_t until_ms, created_ms;
    int64_t ends;  // this task first
    int64_t known; // as which it is known; 0: new
    enum known_by by;
};

static const struct key_row key_rows[] = {
    { "a", NULL, 0, 0, 0, 0, 0 },
    { "a", NULL, 0, 0, 0, 1, KNOWN_IDEM },
    { NULL, "u", 0, 0, 0, 0, 0 }, // 3
    { NULL, "u", 0, 0, 0, 3, KNOWN_UNIQUE },
    { "u", "a", 0, 0, 0, 0, 0 },  // 5: keys of another kind
    { NULL, "u", 0, 0, 3, 0, 0 }, // 6: 3 has ended
    { NULL, "u", 0, 0, 0, 6, KNOWN_UNIQUE },
    { NULL, "t", 500, 100, 0, 0, 0 }, // 8
    { NULL, "t", 900, 499, 8, 8, KNOWN_UNIQUE },
    { NULL, "t", 900, 500, 0, 0, 0 }, // 10
    { "a", "t", 0, 600, 0, 1, KNOWN_IDEM },
};

static void
expect_keys(bool settle)
{
    for (size_t i = 0; i < OM_COUNT(key_rows); i++) {
        const struct key_row *row = &key_rows[i];
        OM_AUTO(batch_destroy) struct batch *batch = batch_create();
        if (row->ends)
            batch_result(batch, row->ends, STATE_SUCCEEDED);
        struct change *change = batch_task(batch, (int64_t)i + 1, 1);
        change->task.created_ms = row->created_ms;
        change->task.idem_key = om_str(row->idem);
        change->task.unique_key = om_str(row->unique);
        change->task.unique_until_ms = row->until_ms;
        cr_assert_eq(store_commit(fx.store, batch), OM_OK);
        cr_expect_eq(change->duplicate, row->known != 0, "row %zu", i + 1);
        if (row->known) {
            struct om_uuid id = fixture_id(row->known);
            cr_expect_eq(change->known_seq, row->known, "row %zu", i + 1);
            cr_expect_eq(change->known_by, row->by, "row %zu", i + 1);
            cr_expect(om_uuid_eq(&change->known_id, &id), "row %zu", i + 1);
        }
        if (settle)
            cr_assert_eq(store_settle(fx.store), OM_OK);
    }
}

Test(backlog, keys_are_known_while_they_wait)
{
    expect_keys(false);
}

Test(backlog, keys_are_known_from_the_tables)
{
    expect_keys(true);
}

Test(backlog, a_key_of_another_tenant_is_another_key)
{
    for (int64_t seq = 1; seq <= 2; seq++) {
        OM_AUTO(batch_destroy) struct batch *batch = batch_create();
        struct change *change = batch_task(batch, seq, seq);
        change->task.idem_key = change->task.unique_key = OM_LIT("key");
        cr_assert_eq(store_commit(fx.store, batch), OM_OK);
        cr_expect_not(change->duplicate);
    }
}

// ---- databases of the first version

Test(backlog, a_database_of_the_first_schema_is_brought_over)
{
    store_close(&fx.store);
    char command[128];
    snprintf(command, sizeof(command), "rm -r %s/*", fx.directory);
    cr_assert_eq(system(command), 0);
    sqlite3 *db;
    cr_assert_eq(sqlite3_open(fx.path, &db), SQLITE_OK);
    static const char sql[] =
#include "store_schema1.h"
        "INSERT INTO meta VALUES ('epoch', 7), ('task_seq', 0);"
        "INSERT INTO task VALUES"
        " (1, randomblob(16), zeroblob(16), 5, 'q', 'k', NULL, 'one'),"
        " (2, randomblob(16), zeroblob(16), 6, 'q', 'k', NULL, NULL),"
        " (3, randomblob(16), zeroblob(16), 7, 'q', 'k', NULL, NULL);"
        "INSERT INTO mark VALUES (3, 1, 1, 5, 0, 4, 7, 9, 'node', NULL, NULL);"
        "INSERT INTO result VALUES (2, 8, NULL, 1, 0, 1, 2, NULL, NULL, NULL, 'r');"
        "INSERT INTO event VALUES (4, 'usage', 11, 'e', zeroblob(16), 5, NULL, x'80');"
        "PRAGMA user_version = 1";
    cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK, "%s",
                 sqlite3_errmsg(db));
    sqlite3_close(db);

    fixture_open(&fx);
    cr_expect_eq(store_epoch(fx.store), 8);
    fixture_load(&fx, &loaded);
    cr_expect_eq(loaded.task_seq, 3);
    cr_expect_eq(loaded.shards[4], 11);
    cr_assert_eq(loaded.count, 2);
    cr_expect_eq(loaded.tasks[0].task.seq, 1);
    cr_expect_eq(loaded.tasks[1].task.seq, 3);
    cr_expect_eq(loaded.tasks[1].task.token.attempt, 4);
    cr_expect_eq(commit_task(4, 10), OM_OK);
    fixture_reopen(&fx);
    fixture_load(&fx, &loaded);
    cr_expect_eq(loaded.count, 3);

    // Its pages are smaller than a block of packed tasks.
    OM_AUTO(batch_destroy) struct batch *batch = batch_create();
    for (int64_t seq = 5; seq <= 400; seq++) {
        batch_task(batch, seq, 1);
        batch_result(batch, seq, STATE_SUCCEEDED);
    }
    cr_assert_eq(store_commit(fx.store, batch), OM_OK);
    OM_AUTO(read_destroy) struct read *read = read_list(&fx, 1, STATE_SUCCEEDED, 0, 500);
    cr_expect_eq(read->count, 396);
    cr_expect_eq(query("SELECT sum(last - seq + 1) FROM pack"), 396);
}

// ---- applied events

static void
move_cursor(uint8_t shard, int64_t seq)
{
    OM_AUTO(batch_destroy) struct batch *batch = batch_create();
    batch_cursor(batch, SUBSCRIPTION_BILLING_EVENTS, shard, seq);
    cr_assert_eq(store_commit(fx.store, batch), OM_OK);
}

Test(backlog, events_applied_before_they_are_written_leave_only_their_numbers)
{
    OM_AUTO(batch_destroy) struct batch *batch = batch_create();
    for (int64_t seq = 1; seq <= 90; seq++)
        batch_event(batch, 3, seq, seq % 3 ? seq % 3 == 1 ? "usage" : "audit" : "dead");
    batch_event(batch, 4, 1, "usage");
    cr_assert_eq(store_commit(fx.store, batch), OM_OK);
    move_cursor(3, 61);
    cr_assert_eq(store_settle(fx.store), OM_OK);

    static const struct {
        uint8_t shard;
        const char *topic;
        size_t count;
    } left[] = {
        { 3, "usage", 9 }, { 3, "audit", 30 }, { 3, "dead", 30 }, { 4, "usage", 1 }
    };
    for (size_t i = 0; i < OM_COUNT(left); i++) {
        OM_AUTO(read_destroy)
        struct read *read = read_events(&fx, left[i].shard, left[i].topic, 0, 512);
        cr_expect_eq(read->rc, OM_OK);
        cr_expect_eq(read->count, left[i].count, "%s: %zu", left[i].topic, read->count);
    }
    OM_AUTO(read_destroy) struct read *next = read_events(&fx, 3, "usage", 61, 1);
    cr_expect_eq(next->last_seq, 64);
}

Test(backlog, a_shard_all_of_whose_events_were_left_out_keeps_its_number)
{
    OM_AUTO(batch_destroy) struct batch *batch = batch_create();
    for (int64_t seq = 1; seq <= 7; seq++)
        batch_event(batch, 3, seq, "usage");
    cr_assert_eq(store_commit(fx.store, batch), OM_OK);
    move_cursor(3, 7);
    fixture_reopen(&fx);
    cr_expect_eq(query("SELECT count(*) FROM event"), 0);
    fixture_load(&fx, &loaded);
    cr_expect_eq(loaded.shards[3], 7);
    cr_expect_eq(loaded.cursors[SUBSCRIPTION_BILLING_EVENTS][3], 7);
    OM_AUTO(batch_destroy) struct batch *again = batch_create();
    batch_event(again, 3, 7, "usage");
    cr_expect_eq(store_commit(fx.store, again), OM_EDB, "a number was used twice");
    again->changes[0].event.seq = 8;
    cr_assert_eq(store_commit(fx.store, again), OM_OK);
    OM_AUTO(read_destroy) struct read *read = read_events(&fx, 3, "usage", 7, 512);
    cr_expect_eq(read->count, 1);
}
