// What is committed is found again, by a load and by each kind of read.
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "store_suite.h"

static struct loaded loaded;

TestSuite(store, .init = store_begin, .fini = store_end);

static void
commit(struct batch *batch)
{
    cr_assert_eq(store_commit(fx.store, batch), OM_OK);
}

Test(store, a_task_is_loaded_as_it_was_submitted)
{
    OM_AUTO(batch_destroy) struct batch *batch = batch_create();
    struct change *change = batch_task(batch, 5, 1);
    change->task.payload = payload_copy(OM_LIT("bytes \0 with a zero"));
    commit(batch);
    fixture_reopen(&fx);
    fixture_load(&fx, &loaded);

    cr_assert_eq(loaded.count, 1);
    cr_expect_eq(loaded.task_seq, 5);
    const struct stored_task *task = &loaded.tasks[0].task;
    cr_expect_eq(task->seq, 5);
    cr_expect(om_uuid_eq(&task->id, &change->task.id));
    cr_expect(om_uuid_eq(&task->tenant, &change->task.tenant));
    cr_expect_eq(task->created_ms, 1005);
    cr_expect_eq(task->state, STATE_NONE);

    OM_AUTO(read_destroy) struct read *read = read_task(&fx, 1, 5);
    cr_assert_eq(read->rc, OM_OK);
    cr_expect(om_str_eq(read->tasks->queue, OM_LIT("reports")));
    cr_expect(om_str_eq(read->tasks->kind, OM_LIT("monthly")));
    cr_expect_null(read->payload, "it has no result yet");
}

Test(store, an_ended_task_is_read_with_its_result_and_not_loaded)
{
    OM_AUTO(batch_destroy) struct batch *batch = batch_create();
    batch_task(batch, 1, 1);
    struct change_result *result = &batch_result(batch, 1, STATE_FAILED)->result;
    result->attempts = 3;
    result->lost = 1;
    result->started_ms = 10;
    result->finished_ms = 20;
    result->code = OM_LIT("timeout");
    result->text = OM_LIT("took too long");
    result->ctype = OM_LIT("text/plain");
    result->payload = payload_copy(OM_LIT("partial"));
    commit(batch);
    fixture_reopen(&fx);
    fixture_load(&fx, &loaded);
    cr_expect_eq(loaded.count, 0);
    cr_expect_eq(loaded.task_seq, 1);

    OM_AUTO(read_destroy) struct read *read = read_task(&fx, 1, 1);
    cr_assert_eq(read->rc, OM_OK);
    const struct stored_task *task = read->tasks;
    cr_expect_eq(task->state, STATE_FAILED);
    cr_expect_eq(task->attempts, 3);
    cr_expect_eq(task->lost, 1);
    cr_expect_eq(task->started_ms, 10);
    cr_expect_eq(task->finished_ms, 20);
    cr_expect(om_str_eq(task->code, OM_LIT("timeout")));
    cr_expect(om_str_eq(task->text, OM_LIT("took too long")));
    cr_expect(om_str_eq(task->ctype, OM_LIT("text/plain")));
    cr_expect(om_str_eq(payload_bytes(read->payload), OM_LIT("partial")));
}

Test(store, the_first_result_of_a_task_stays)
{
    OM_AUTO(batch_destroy) struct batch *batch = batch_create();
    batch_task(batch, 1, 1);
    batch_result(batch, 1, STATE_SUCCEEDED);
    batch_result(batch, 1, STATE_FAILED);
    commit(batch);
    OM_AUTO(read_destroy) struct read *read = read_task(&fx, 1, 1);
    cr_assert_eq(read->rc, OM_OK);
    cr_expect_eq(read->tasks->state, STATE_SUCCEEDED);
}

Test(store, another_tenants_task_is_not_found)
{
    OM_AUTO(batch_destroy) struct batch *batch = batch_create();
    batch_task(batch, 1, 1);
    commit(batch);
    OM_AUTO(read_destroy) struct read *other = read_task(&fx, 2, 1);
    cr_expect_eq(other->rc, OM_ENOTFOUND);
    OM_AUTO(read_destroy) struct read *page = read_list(&fx, 2, STATE_NONE, 1, 10);
    cr_expect_eq(page->rc, OM_ENOTFOUND, "nor does it mark a page's place");
}

// ---- marks

struct fold_row {
    const char *marks; // L lease, R release, F fail, X lost, C cancel, O reopen
    int64_t attempts, lost, due_ms;
    bool leased, cancel;
};

static const struct fold_row fold_rows[] = {
    { "", 0, 0, 0, false, false },       { "L", 1, 0, 0, true, false },
    { "LR", 0, 0, 0, false, false },     { "LF", 1, 0, 77, false, false },
    { "LX", 1, 1, 77, false, false },    { "LFL", 2, 0, 0, true, false },
    { "LXLXL", 3, 2, 0, true, false },   { "LC", 1, 0, 0, true, true },
    { "LFC", 1, 0, 0, false, true },     { "LCO", 0, 0, 0, false, false },
    { "LFLXO", 0, 0, 0, false, false },  { "LFLFOL", 1, 0, 0, true, false },
    { "LRLRLR", 0, 0, 0, false, false }, { "LFOLF", 1, 0, 77, false, false },
};

static void
add_mark(struct batch *batch, int64_t seq, char letter, uint64_t lease)
{
    static const char letters[] = "LRFXCO";
    enum mark_kind kind = (enum mark_kind)(strchr(letters, letter) - letters + 1);
    struct change_mark *mark = &batch_mark(batch, seq, kind)->mark;
    mark->due_ms = 77;
    if (kind == MARK_LEASE) {
        mark->token = (struct wire_token){ fixture_id(seq), 2, 3, lease };
        mark->node = OM_LIT("worker#1");
    }
    if (kind == MARK_FAIL || kind == MARK_LOST)
        mark->code = OM_LIT("boom");
}

Test(store, marks_are_folded_in_order)
{
    for (size_t row = 0; row < OM_COUNT(fold_rows); row++) {
        OM_AUTO(batch_destroy) struct batch *batch = batch_create();
        int64_t seq = (int64_t)row + 1;
        batch_task(batch, seq, 1);
        for (const char *at = fold_rows[row].marks; *at; at++)
            add_mark(batch, seq, *at, UINT64_MAX - row);
        commit(batch);
    }
    fixture_reopen(&fx);
    fixture_load(&fx, &loaded);
    cr_assert_eq(loaded.count, OM_COUNT(fold_rows));
    for (size_t row = 0; row < OM_COUNT(fold_rows); row++) {
        const struct fold_row *want = &fold_rows[row];
        const struct stored_task *task = &loaded.tasks[row].task;
        cr_expect_eq(task->attempts, want->attempts, "%s", want->marks);
        cr_expect_eq(task->lost, want->lost, "%s", want->marks);
        cr_expect_eq(task->due_ms, want->due_ms, "%s", want->marks);
        cr_expect_eq(task->leased, want->leased, "%s", want->marks);
        cr_expect_eq(task->cancel, want->cancel, "%s", want->marks);
        if (want->leased) {
            cr_expect(om_uuid_eq(&task->token.task, &task->id));
            cr_expect_eq(task->token.attempt, 2);
            cr_expect_eq(task->token.epoch, 3);
            cr_expect_eq(task->token.lease, UINT64_MAX - row);
            cr_expect_str_eq(loaded.tasks[row].node, "worker#1");
        }
        if (want->due_ms)
            cr_expect_str_eq(loaded.tasks[row].code, "boom");
    }
}

Test(store, marks_keep_their_order_over_restarts)
{
    for (const char *at = "TLFLX"; *at; at++) {
        OM_AUTO(batch_destroy) struct batch *batch = batch_create();
        if (*at == 'T')
            batch_task(batch, 1, 1);
        else
            add_mark(batch, 1, *at, 1);
        commit(batch);
        fixture_reopen(&fx);
    }
    fixture_load(&fx, &loaded);
    cr_assert_eq(loaded.count, 1);
    cr_expect_eq(loaded.tasks[0].task.attempts, 2);
    cr_expect_eq(loaded.tasks[0].task.lost, 1);
    cr_expect_not(loaded.tasks[0].task.leased);
}

Test(store, a_reopened_task_is_open_again_and_starts_anew)
{
    OM_AUTO(batch_destroy) struct batch *first = batch_create();
    batch_task(first, 1, 1);
    add_mark(first, 1, 'L', 1);
    batch_result(first, 1, STATE_FAILED);
    commit(first);
    OM_AUTO(batch_destroy) struct batch *second = batch_create();
    second->changes[second->count++] =
        (struct change){ .kind = CHANGE_REOPEN, .reopen_seq = 1 };
    batch_mark(second, 1, MARK_REOPEN);
    commit(second);
    fixture_load(&fx, &loaded);
    cr_assert_eq(loaded.count, 1);
    cr_expect_eq(loaded.tasks[0].task.attempts, 0);
    cr_expect_not(loaded.tasks[0].task.leased);

    OM_AUTO(batch_destroy) struct batch *third = batch_create();
    batch_result(third, 1, STATE_SUCCEEDED);
    commit(third);
    OM_AUTO(read_destroy) struct read *read = read_task(&fx, 1, 1);
    cr_assert_eq(read->rc, OM_OK);
    cr_expect_eq(read->tasks->state, STATE_SUCCEEDED);
}

// ---- duplicates

Test(store, a_known_id_is_reported_with_its_hash_and_changes_nothing)
{
    char hash[32];
    memset(hash, 'h', sizeof(hash));
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, hash, ((struct om_str){ hash, sizeof(hash) }));
    OM_AUTO(om_buf_finish) struct om_buf header = { 0 };
    wire_encode(WIRE_SUBMIT, &msg, &header);

    OM_AUTO(batch_destroy) struct batch *first = batch_create();
    batch_task(first, 1, 1)->task.header = om_buf_str(&header);
    batch_task(first, 2, 1);
    commit(first);

    OM_AUTO(batch_destroy) struct batch *second = batch_create();
    struct change *hashed = batch_task(second, 3, 1);
    hashed->task.id = fixture_id(1);
    batch_result(second, 3, STATE_FAILED); // of the refused one: left out
    add_mark(second, 3, 'L', 1);
    struct change *plain = batch_task(second, 4, 2);
    plain->task.id = fixture_id(2);
    struct change *fresh = batch_task(second, 5, 1);
    struct change *twice = batch_task(second, 6, 1); // of the same batch
    twice->task.id = fixture_id(5);
    commit(second);

    static const char zero[32];
    cr_expect(hashed->duplicate);
    cr_expect_eq(hashed->known_seq, 1);
    cr_expect_eq(memcmp(hashed->known_hash, hash, 32), 0, "%02x", hashed->known_hash[0]);
    cr_expect_not(hashed->known_foreign);
    cr_expect(plain->duplicate);
    cr_expect(plain->known_foreign);
    cr_expect_eq(plain->known_seq, 2);
    cr_expect_eq(memcmp(plain->known_hash, zero, 32), 0);
    cr_expect_not(fresh->duplicate);
    cr_expect(twice->duplicate);
    cr_expect_eq(twice->known_seq, 5);

    fixture_reopen(&fx);
    fixture_load(&fx, &loaded);
    cr_assert_eq(loaded.count, 3);
    cr_expect_eq(loaded.task_seq, 5);
    OM_AUTO(batch_destroy) struct batch *third = batch_create();
    batch_task(third, 6, 1);
    batch_task(third, 3, 1); // a seq that was refused is free
    commit(third);
    fixture_load(&fx, &loaded);
    cr_expect_eq(loaded.count, 5, "the refused result did not end task 3");
}

Test(store, a_set_is_added_only_if_all_its_tasks_are_new)
{
    OM_AUTO(batch_destroy) struct batch *first = batch_create();
    for (int64_t seq = 1; seq <= 2; seq++)
        batch_task(first, seq, 1)->task.set = 1;
    commit(first);

    OM_AUTO(batch_destroy) struct batch *second = batch_create();
    struct change *fresh = batch_task(second, 3, 1), *known = batch_task(second, 4, 1);
    struct change *alone = batch_task(second, 5, 1), *third = batch_task(second, 6, 1);
    fresh->task.set = known->task.set = 2;
    known->task.id = fixture_id(1);
    third->task.set = 3;
    third->task.set_known = true;
    batch_result(second, 3, STATE_FAILED); // of one that was left out
    commit(second);
    cr_expect(known->duplicate && !known->left_out);
    cr_expect(fresh->left_out && !fresh->duplicate);
    cr_expect(third->left_out && !third->duplicate);
    cr_expect(!alone->left_out && !alone->duplicate);

    fixture_reopen(&fx);
    fixture_load(&fx, &loaded);
    cr_assert_eq(loaded.count, 3);
    static const int64_t seqs[] = { 1, 2, 5 };
    for (size_t i = 0; i < loaded.count; i++)
        cr_expect_eq(loaded.tasks[i].task.seq, seqs[i]);
}

// ---- lists

Test(store, a_list_is_newest_first_by_page_and_by_state)
{
    OM_AUTO(batch_destroy) struct batch *batch = batch_create();
    for (int64_t seq = 1; seq <= 12; seq++) {
        batch_task(batch, seq, seq % 2 + 1); // tenant 1 has the even ones
        if (seq % 3 == 0)
            batch_result(batch, seq, STATE_SUCCEEDED);
        if (seq % 4 == 0 && seq % 3)
            batch_result(batch, seq, STATE_FAILED);
    }
    commit(batch);

    static const struct {
        enum task_state state;
        int64_t after;
        size_t limit, count;
        int64_t seqs[6];
    } rows[] = {
        { STATE_NONE, 0, 10, 6, { 12, 10, 8, 6, 4, 2 } },
        { STATE_NONE, 0, 2, 2, { 12, 10 } },
        { STATE_NONE, 10, 2, 2, { 8, 6 } },
        { STATE_NONE, 2, 2, 0, { 0 } },
        { STATE_SUCCEEDED, 0, 10, 2, { 12, 6 } },
        { STATE_SUCCEEDED, 12, 10, 1, { 6 } },
        { STATE_FAILED, 0, 10, 2, { 8, 4 } },
        { STATE_FAILED, 0, 1, 1, { 8 } },
        { STATE_FAILED, 8, 10, 1, { 4 } },
        { STATE_CANCELLED, 0, 10, 0, { 0 } },
    };
    for (size_t row = 0; row < OM_COUNT(rows); row++) {
        OM_AUTO(read_destroy)
        struct read *read =
            read_list(&fx, 1, rows[row].state, rows[row].after, rows[row].limit);
        cr_assert_eq(read->rc, OM_OK, "row %zu", row);
        cr_assert_eq(read->count, rows[row].count, "row %zu: %zu", row, read->count);
        for (size_t i = 0; i < read->count; i++)
            cr_expect_eq(read->tasks[i].seq, rows[row].seqs[i], "row %zu", row);
    }
}

// ---- payloads and events

Test(store, a_payload_of_a_mebibyte_comes_back)
{
    OM_AUTO(batch_destroy) struct batch *batch = batch_create();
    struct change *change = batch_task(batch, 1, 1);
    char *bytes = calloc(1, WIRE_PAYLOAD_MAX);
    bytes[WIRE_PAYLOAD_MAX - 1] = 'x';
    change->task.payload = payload_copy((struct om_str){ bytes, WIRE_PAYLOAD_MAX });
    free(bytes);
    commit(batch);
    OM_AUTO(read_destroy) struct read *read = calloc(1, sizeof(*read));
    read->kind = READ_PAYLOAD;
    read->seq = 1;
    store_read(fx.store, read);
    cr_assert_eq(read->rc, OM_OK);
    cr_expect(
        om_str_eq(payload_bytes(read->payload), payload_bytes(change->task.payload)));
}

Test(store, a_run_has_one_topics_events_in_order)
{
    OM_AUTO(batch_destroy) struct batch *batch = batch_create();
    for (int64_t seq = 1; seq <= 9; seq++)
        batch_event(batch, 3, seq, seq % 3 ? "usage" : "audit")->event.context =
            seq == 1 ? OM_LIT("00-trace;a=b") : (struct om_str){ 0 };
    batch_event(batch, 4, 1, "usage");
    commit(batch);

    OM_AUTO(read_destroy) struct read *read = read_events(&fx, 3, "usage", 0, 4);
    cr_assert_eq(read->rc, OM_OK);
    cr_expect_eq(read->count, 4);
    cr_expect_eq(read->last_seq, 5);
    static const int64_t seqs[] = { 1, 2, 4, 5 };
    struct rec_iter iter = rec_iter(payload_bytes(read->payload));
    struct om_str raw;
    for (size_t i = 0; i < OM_COUNT(seqs); i++) {
        struct wire_logged event;
        cr_assert(rec_next_raw(&iter, &raw));
        cr_assert_eq(rec_decode(&wire_logged_rec, raw, &event, NULL), OM_OK);
        cr_expect_eq(event.seq, seqs[i]);
        cr_expect_eq(event.at, 5000 + seqs[i]);
        cr_expect(om_str_eq(event.topic, OM_LIT("usage")));
        cr_expect_eq(REC_HAS(&event, wire_logged, traceparent), i == 0);
        cr_expect(i > 0 || (om_str_eq(event.traceparent, OM_LIT("00-trace")) &&
                            om_str_eq(event.tracestate, OM_LIT("a=b"))));
        struct om_uuid tenant, want = fixture_id(3);
        cr_assert_eq(om_typeid_decode(OM_ID_TENANT, event.tenant, &tenant), OM_OK);
        cr_expect(om_uuid_eq(&tenant, &want));
    }
    cr_expect_not(rec_next_raw(&iter, &raw));

    OM_AUTO(read_destroy) struct read *none = read_events(&fx, 3, "usage", 8, 4);
    cr_expect_eq(none->rc, OM_OK);
    cr_expect_eq(none->count, 0);
    cr_expect_eq(none->last_seq, 8);
}

Test(store, a_run_of_large_events_fits_a_message)
{
    static char body[8192];
    OM_AUTO(batch_destroy) struct batch *batch = batch_create();
    for (int64_t seq = 1; seq <= 300; seq++)
        batch_event(batch, 3, seq, "usage")->event.body =
            (struct om_str){ body, sizeof(body) };
    commit(batch);
    size_t seen = 0;
    int64_t last = 0;
    for (int runs = 0; seen < 300 && runs < 10; runs++) {
        OM_AUTO(read_destroy) struct read *read = read_events(&fx, 3, "usage", last, 512);
        cr_assert_eq(read->rc, OM_OK);
        cr_assert_gt(read->count, 0);
        cr_expect_leq(read->payload->bytes.size, WIRE_PAYLOAD_MAX);
        seen += read->count;
        last = read->last_seq;
    }
    cr_expect_eq(seen, 300);
}

Test(store, counters_survive_and_cursors_never_go_back)
{
    OM_AUTO(batch_destroy) struct batch *batch = batch_create();
    batch_event(batch, 0, 1, "usage");
    batch_event(batch, 255, 8, "usage");
    batch_event(batch, 255, 9, "audit");
    batch_cursor(batch, SUBSCRIPTION_BILLING_EVENTS, 255, 8);
    batch_cursor(batch, SUBSCRIPTION_BILLING_EVENTS, 255, 7);
    batch_cursor(batch, SUBSCRIPTION_COMPLIANCE_EVENTS, 255, 9);
    commit(batch);
    uint32_t epoch = store_epoch(fx.store);
    fixture_reopen(&fx);
    cr_expect_eq(store_epoch(fx.store), epoch + 1);
    fixture_load(&fx, &loaded);
    cr_expect_eq(loaded.shards[0], 1);
    cr_expect_eq(loaded.shards[255], 9);
    cr_expect_eq(loaded.shards[7], 0);
    cr_expect_eq(loaded.cursors[SUBSCRIPTION_BILLING_EVENTS][255], 8);
    cr_expect_eq(loaded.cursors[SUBSCRIPTION_COMPLIANCE_EVENTS][255], 9);
}

// ---- reads beside commits

static atomic_bool committing;

static void *
read_all_the_time(void *context)
{
    size_t *reads = context;
    while (committing || *reads == 0) {
        OM_AUTO(read_destroy) struct read *read = read_list(&fx, 1, STATE_NONE, 0, 100);
        cr_assert_eq(read->rc, OM_OK);
        cr_assert_eq(read->count % 2, 0, "a batch is seen whole or not at all");
        (*reads)++;
    }
    return NULL;
}

Test(store, reads_run_beside_commits_and_see_whole_batches)
{
    size_t reads = 0;
    committing = true;
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, read_all_the_time, &reads), 0);
    for (int64_t seq = 1; seq < 90; seq += 2) {
        OM_AUTO(batch_destroy) struct batch *batch = batch_create();
        batch_task(batch, seq, 1);
        batch_task(batch, seq + 1, 1);
        commit(batch);
    }
    committing = false;
    pthread_join(thread, NULL);
    cr_expect_gt(reads, 0);
}

Test(store, the_log_is_reused_when_it_has_grown)
{
    static char body[8192];
    int64_t seq = 0;
    for (int commits = 0; commits < 80; commits++) {
        OM_AUTO(batch_destroy) struct batch *batch = batch_create();
        for (int i = 0; i < 100; i++)
            batch_event(batch, 1, ++seq, "usage")->event.body =
                (struct om_str){ body, sizeof(body) };
        commit(batch);
    }
    char path[128];
    snprintf(path, sizeof(path), "%s-wal", fx.path);
    FILE *wal = fopen(path, "r");
    cr_assert(wal);
    fseek(wal, 0, SEEK_END);
    long bytes = ftell(wal);
    fclose(wal);
    cr_expect_lt(bytes, 48L << 20, "64 MiB were written, the log has %ld bytes", bytes);
}

// How many rows of the table there are, seen by another connection.
static int
count_rows(const char *table)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *stmt = NULL;
    char sql[64];
    snprintf(sql, sizeof(sql), "SELECT count(*) FROM %s", table);
    cr_assert_eq(sqlite3_open(fx.path, &db), SQLITE_OK);
    cr_assert_eq(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
    cr_assert_eq(sqlite3_step(stmt), SQLITE_ROW);
    int count = sqlite3_column_int(stmt, 0);
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    return count;
}

Test(store, a_job_released_over_and_over_keeps_two_marks_and_its_attempts_number)
{
    enum { ROUNDS = 50 };
    for (uint32_t round = 0; round <= ROUNDS; round++) {
        OM_AUTO(batch_destroy) struct batch *batch = batch_create();
        if (round == 0) {
            batch_task(batch, 1, 1);
        } else {
            struct change_mark *lease = &batch_mark(batch, 1, MARK_LEASE)->mark;
            lease->token = (struct wire_token){ fixture_id(1), round, 1, round };
            lease->node = OM_LIT("w#1");
            batch_mark(batch, 1, MARK_RELEASE);
        }
        commit(batch);
    }
    fixture_reopen(&fx);
    fixture_load(&fx, &loaded);
    cr_assert_eq(loaded.count, 1);
    cr_expect_eq(loaded.tasks[0].task.attempts, 0);
    cr_expect_not(loaded.tasks[0].task.leased);
    cr_expect_eq(loaded.tasks[0].task.token.attempt, ROUNDS);
    cr_expect_eq(count_rows("mark"), 2);
}

Test(store, chunks_are_read_from_any_number_on_and_counted_with_their_task)
{
    OM_AUTO(batch_destroy) struct batch *batch = batch_create();
    batch_task(batch, 1, 1);
    batch_task(batch, 2, 1);
    batch_mark(batch, 1, MARK_LEASE)->mark.node = OM_LIT("w#1");
    for (int64_t i = 1; i <= 5; i++) {
        struct change *change = &batch->changes[batch->count++];
        *change = (struct change){ .kind = CHANGE_CHUNK };
        change->chunk = (struct change_chunk){ .task_seq = 1,
                                               .seq = 10 * i,
                                               .attempt = 1 + i / 5,
                                               .ctype = OM_LIT("text/plain"),
                                               .payload = payload_copy(OM_LIT("abc")),
                                               .worker_seq = i };
    }
    commit(batch);
    OM_AUTO(read_destroy) struct read *read = calloc(1, sizeof(*read));
    cr_assert(read);
    read->kind = READ_CHUNKS;
    read->seq = 1;
    read->after_seq = 20;
    read->limit = 2;
    store_read(fx.store, read);
    cr_assert_eq(read->rc, OM_OK);
    cr_assert_eq(read->count, 2);
    cr_expect_eq(read->chunks[0].seq, 30);
    cr_expect_eq(read->chunks[1].seq, 40);
    cr_expect(om_str_eq(payload_bytes(read->chunks[1].payload), OM_LIT("abc")));

    OM_AUTO(read_destroy) struct read *task = read_task(&fx, 1, 1);
    cr_assert_eq(task->rc, OM_OK);
    cr_expect_eq(task->tasks[0].chunk_count, 5);
    fixture_reopen(&fx);
    fixture_load(&fx, &loaded);
    cr_assert_eq(loaded.count, 2);
    cr_expect_eq(loaded.tasks[0].task.chunk_count, 5);
    cr_expect_eq(loaded.tasks[0].task.chunk_bytes, 15);
    cr_expect_eq(loaded.tasks[0].task.chunk_seq, 50);
    cr_expect_eq(loaded.tasks[0].task.chunk_attempt, 2);
    cr_expect_eq(loaded.tasks[0].task.chunk_worker_seq, 5);
    cr_expect_eq(loaded.tasks[1].task.chunk_count, 0);
}
