// Tasks that began and succeeded within a window lie together in a few rows, and are
// found by every question as if each had its own.
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

#include "store_suite.h"

static struct loaded loaded;

TestSuite(store_pack, .init = store_begin, .fini = store_end);

// Commit, and have it applied as a window of its own.
static void
apply(struct batch *batch)
{
    cr_assert_eq(store_commit(fx.store, batch), OM_OK);
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

// Whole tasks from `first` to `last`, of two tenants in turns.
static void
add_whole(struct batch *batch, int64_t first, int64_t last)
{
    for (int64_t seq = first; seq <= last; seq++) {
        batch_task(batch, seq, seq % 2 + 1)->task.payload =
            payload_copy(OM_LIT("question"));
        batch_mark(batch, seq, MARK_LEASE);
        struct change_result *result = &batch_result(batch, seq, STATE_SUCCEEDED)->result;
        result->attempts = 1;
        result->finished_ms = 5000 + seq;
        result->ctype = OM_LIT("text/plain");
        result->payload = payload_copy(OM_LIT("answer"));
    }
}

Test(store_pack, a_task_is_found_by_its_id_and_its_tenant)
{
    OM_AUTO(batch_destroy) struct batch *batch = batch_create();
    add_whole(batch, 1, 300);
    apply(batch);
    cr_expect_eq(query("SELECT count(*) FROM task"), 0);
    for (int64_t seq = 1; seq <= 300; seq += 13) {
        OM_AUTO(read_destroy) struct read *read = read_task(&fx, seq % 2 + 1, seq);
        cr_assert_eq(read->rc, OM_OK);
        const struct stored_task *task = read->tasks;
        cr_expect(task->seq == seq && task->state == STATE_SUCCEEDED);
        cr_expect(task->attempts == 1 && task->finished_ms == 5000 + seq);
        cr_expect(task->created_ms == 1000 + seq);
        cr_expect(om_str_eq(task->queue, OM_LIT("reports")));
        cr_expect(om_str_eq(task->kind, OM_LIT("monthly")));
        cr_expect(om_str_eq(task->ctype, OM_LIT("text/plain")));
        cr_expect(om_str_eq(payload_bytes(read->payload), OM_LIT("answer")));
    }
    OM_AUTO(read_destroy) struct read *foreign = read_task(&fx, 1, 1);
    cr_expect_eq(foreign->rc, OM_ENOTFOUND, "it is tenant 2's");
    OM_AUTO(read_destroy) struct read *unknown = read_task(&fx, 1, 301);
    cr_expect_eq(unknown->rc, OM_ENOTFOUND);
}

static struct read *
ask_seq(enum read_kind kind, int64_t seq)
{
    struct read *read = calloc(1, sizeof(*read));
    cr_assert(read);
    read->kind = kind;
    read->seq = seq;
    read->seqs = malloc(sizeof(seq));
    cr_assert(read->seqs);
    *read->seqs = seq;
    read->seq_count = 1;
    store_read(fx.store, read);
    return read;
}

Test(store_pack, a_task_is_found_by_its_number_among_those_of_other_tenants)
{
    for (int64_t first = 1; first < 400; first += 200) {
        OM_AUTO(batch_destroy) struct batch *batch = batch_create();
        add_whole(batch, first, first + 150); // and then a gap
        apply(batch);
    }
    for (int64_t seq = 1; seq <= 400; seq++) {
        bool there = seq % 200 >= 1 && seq % 200 <= 151;
        OM_AUTO(read_destroy) struct read *payload = ask_seq(READ_PAYLOAD, seq);
        cr_expect_eq(payload->rc, there ? OM_OK : OM_ENOTFOUND, "%lld", (long long)seq);
        if (there)
            cr_expect(om_str_eq(payload_bytes(payload->payload), OM_LIT("question")));
        OM_AUTO(read_destroy) struct read *tasks = ask_seq(READ_TASKS, seq);
        cr_assert_eq(tasks->count, there ? 1 : 0);
        if (there)
            cr_expect(tasks->tasks->seq == seq);
    }
}

// Pages of a tenant's list, and that each task comes once, by falling seq.
static void
expect_list(int64_t tenant, enum task_state state, const int64_t *seqs, size_t count)
{
    int64_t after = 0;
    size_t at = 0;
    for (;;) {
        OM_AUTO(read_destroy) struct read *read = read_list(&fx, tenant, state, after, 7);
        cr_assert_eq(read->rc, OM_OK);
        for (size_t i = 0; i < read->count; i++, at++) {
            cr_assert_lt(at, count);
            cr_expect_eq(read->tasks[i].seq, seqs[at], "%zu: %lld", at,
                         (long long)read->tasks[i].seq);
        }
        if (read->count < 7)
            break;
        after = read->tasks[6].seq;
    }
    cr_expect_eq(at, count);
}

Test(store_pack, a_list_has_them_between_those_with_rows)
{
    enum { COUNT = 120 };
    int64_t all[COUNT], succeeded[COUNT];
    size_t all_count = 0, succeeded_count = 0;
    for (int64_t first = 1; first <= COUNT; first += 30) {
        OM_AUTO(batch_destroy) struct batch *batch = batch_create();
        for (int64_t seq = first; seq < first + 30; seq++) {
            if (seq % 5 == 0) {
                batch_task(batch, seq, 1);
                batch_result(batch, seq, STATE_FAILED);
            } else if (seq % 7 == 0) {
                batch_task(batch, seq, 1); // it stays open
            } else {
                batch_task(batch, seq, seq % 3 + 1);
                batch_result(batch, seq, STATE_SUCCEEDED);
            }
        }
        apply(batch);
    }
    for (int64_t seq = COUNT; seq > 0; seq--) {
        bool row = seq % 5 == 0 || seq % 7 == 0;
        if (row || seq % 3 == 0)
            all[all_count++] = seq;
        if (!row && seq % 3 == 0)
            succeeded[succeeded_count++] = seq;
    }
    expect_list(1, STATE_NONE, all, all_count);
    expect_list(1, STATE_SUCCEEDED, succeeded, succeeded_count);
    expect_list(4, STATE_NONE, NULL, 0);
}

Test(store_pack, a_list_of_a_kind_leaves_out_the_others)
{
    OM_AUTO(batch_destroy) struct batch *batch = batch_create();
    for (int64_t seq = 1; seq <= 20; seq++) {
        if (seq % 4 == 0)
            batch_task(batch, seq, 1)->task.kind = OM_LIT("rare");
        else
            batch_task(batch, seq, 1);
        batch_result(batch, seq, STATE_SUCCEEDED);
    }
    apply(batch);
    OM_AUTO(read_destroy) struct read *read = calloc(1, sizeof(*read));
    read->kind = READ_LIST;
    read->tenant = fixture_id(1);
    read->limit = 100;
    read->task_kind = OM_LIT("rare");
    store_read(fx.store, read);
    cr_assert_eq(read->count, 5);
    cr_expect(read->tasks[0].seq == 20 && read->tasks[4].seq == 4);
}

Test(store_pack, an_id_is_known_as_long_as_its_task_and_a_day_after_its_end)
{
    enum { DAY_MS = 24 * 3600 * 1000 };
    char hash[32];
    memset(hash, 'h', sizeof(hash));
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, hash, ((struct om_str){ hash, sizeof(hash) }));
    OM_AUTO(om_buf_finish) struct om_buf header = { 0 };
    wire_encode(WIRE_SUBMIT, &msg, &header);
    OM_AUTO(batch_destroy) struct batch *first = batch_create();
    add_whole(first, 1, 9);
    first->changes[12].task.header = om_buf_str(&header); // of task 5
    apply(first);
    for (int64_t now_ms = 0; now_ms <= DAY_MS; now_ms += DAY_MS / 2) {
        if (now_ms > 0) {
            store_purge(fx.store, now_ms, 1000);
            cr_assert_eq(store_settle(fx.store), OM_OK);
            cr_expect_eq(query("SELECT count(*) FROM pack"), 0);
            cr_expect_eq(query("SELECT count(*) FROM pack_id"), 0);
        }
        fixture_reopen(&fx);
        OM_AUTO(batch_destroy) struct batch *again = batch_create();
        struct change *task = batch_task(again, 10 + now_ms / DAY_MS, 1);
        task->task.id = fixture_id(5);
        cr_assert_eq(store_commit(fx.store, again), OM_OK);
        cr_expect(task->duplicate && task->known_by == KNOWN_ID && task->known_seq == 5);
        cr_expect(task->known_foreign == (5 % 2 + 1 != 1));
        cr_expect_eq(memcmp(task->known_hash, hash, sizeof(hash)), 0);
    }
    store_purge(fx.store, DAY_MS + 6000, 1000);
    cr_assert_eq(store_settle(fx.store), OM_OK);
    OM_AUTO(batch_destroy) struct batch *late = batch_create();
    struct change *task = batch_task(late, 20, 1);
    task->task.id = fixture_id(5);
    cr_assert_eq(store_commit(fx.store, late), OM_OK);
    cr_expect_not(task->duplicate);
}

Test(store_pack, the_purge_takes_a_block_when_the_last_of_it_is_old)
{
    OM_AUTO(batch_destroy) struct batch *old = batch_create();
    add_whole(old, 1, 10); // the last ended at 5010
    apply(old);
    OM_AUTO(batch_destroy) struct batch *young = batch_create();
    add_whole(young, 11, 20);
    apply(young);
    store_purge(fx.store, 6010, 1000);
    cr_assert_eq(store_settle(fx.store), OM_OK);
    cr_expect_eq(query("SELECT count(*) FROM pack"), 3, "tenant 2's ended at 5009");
    store_purge(fx.store, 6011, 1000);
    cr_assert_eq(store_settle(fx.store), OM_OK);
    cr_expect_eq(query("SELECT count(*) FROM pack"), 2);
    cr_expect_eq(query("SELECT count(*) FROM pack_id"), 1);
    OM_AUTO(read_destroy) struct read *read = read_task(&fx, 2, 9);
    cr_expect_eq(read->rc, OM_ENOTFOUND);
    store_purge(fx.store, 9000, 1000);
    cr_assert_eq(store_settle(fx.store), OM_OK);
    fixture_reopen(&fx);
    fixture_load(&fx, &loaded);
    cr_expect_eq(loaded.task_seq, 20, "no number is used again");
}

Test(store_pack, what_has_more_than_an_id_or_may_come_back_has_rows_of_its_own)
{
    char large[8192];
    memset(large, 'x', sizeof(large));
    OM_AUTO(batch_destroy) struct batch *batch = batch_create();
    batch_task(batch, 1, 1)->task.idem_key = OM_LIT("key");
    batch_task(batch, 2, 1)->task.unique_key = OM_LIT("key");
    batch_task(batch, 3, 1)->task.retain_ms = 77;
    batch_task(batch, 4, 1); // it fails, and may be retried
    batch_task(batch, 5, 1); // it has a partial result
    batch_task(batch, 6, 1)->task.payload =
        payload_copy((struct om_str){ large, sizeof(large) });
    batch_task(batch, 7, 1)->task.created_ms = 3600 * 1000; // its id is of an hour ago
    batch_task(batch, 8, 1);
    batch->changes[batch->count++] =
        (struct change){ .kind = CHANGE_CHUNK, .chunk = { .task_seq = 5, .seq = 1 } };
    for (int64_t seq = 1; seq <= 8; seq++)
        batch_result(batch, seq, seq == 4 ? STATE_FAILED : STATE_SUCCEEDED);
    apply(batch);
    cr_expect_eq(query("SELECT count(*) FROM task"), 7);
    cr_expect_eq(query("SELECT count(*) FROM result"), 7);
    cr_expect_eq(query("SELECT count(*) FROM pack WHERE seq = 8 AND last = 8"), 1);
    for (int64_t seq = 1; seq <= 8; seq++) {
        OM_AUTO(read_destroy) struct read *read = read_task(&fx, 1, seq);
        cr_expect_eq(read->rc, OM_OK);
    }
}

Test(store_pack, a_task_that_ends_in_a_later_window_has_rows)
{
    OM_AUTO(batch_destroy) struct batch *first = batch_create();
    batch_task(first, 1, 1);
    apply(first);
    OM_AUTO(batch_destroy) struct batch *second = batch_create();
    batch_result(second, 1, STATE_SUCCEEDED);
    apply(second);
    cr_expect_eq(query("SELECT count(*) FROM pack"), 0);
    OM_AUTO(read_destroy) struct read *read = read_task(&fx, 1, 1);
    cr_assert_eq(read->rc, OM_OK);
    cr_expect_eq(read->tasks->state, STATE_SUCCEEDED);
}
