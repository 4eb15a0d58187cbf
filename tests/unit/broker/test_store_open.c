// Open tasks: told at a start by what there is to know of them, and read in bulk.
#include <stdio.h>
#include <stdlib.h>

#include "store_suite.h"

TestSuite(store_open, .init = store_begin, .fini = store_end);

static void
commit(struct batch *batch)
{
    cr_assert_eq(store_commit(fx.store, batch), OM_OK);
}

// ---- what a start is told

struct told {
    size_t tasks, waiting;
    int64_t task_seqs[8];
    struct stored_waiting last;
    char queue[16], limit_key[16];
    uint64_t parents_open;
    bool parent_failed;
};

static void
ignore_seq(void *context, int64_t seq)
{
    (void)context, (void)seq;
}

static void
ignore_shard(void *context, uint8_t shard, int64_t seq)
{
    (void)context, (void)shard, (void)seq;
}

static void
ignore_cursor(void *context, unsigned subscription, uint8_t shard, int64_t seq)
{
    (void)context, (void)subscription, (void)shard, (void)seq;
}

static enum om_rc
on_task(void *context, const struct stored_task *task)
{
    struct told *told = context;
    cr_assert_lt(told->tasks, OM_COUNT(told->task_seqs));
    told->task_seqs[told->tasks++] = task->seq;
    told->parents_open = task->parents_open[0];
    told->parent_failed = task->parent_failed;
    return OM_OK;
}

static enum om_rc
on_waiting(void *context, const struct stored_waiting *task)
{
    struct told *told = context;
    told->waiting++;
    told->last = *task;
    snprintf(told->queue, sizeof(told->queue), "%.*s", (int)task->queue.size,
             task->queue.data);
    snprintf(told->limit_key, sizeof(told->limit_key), "%.*s", (int)task->limit_key.size,
             task->limit_key.data ? task->limit_key.data : "");
    return OM_OK;
}

static void
load(struct told *told)
{
    memset(told, 0, sizeof(*told));
    struct store_loader loader = { .context = told,
                                   .task_seq = ignore_seq,
                                   .shard = ignore_shard,
                                   .cursor = ignore_cursor,
                                   .task = on_task,
                                   .waiting = on_waiting };
    cr_assert_eq(store_load(fx.store, &loader), OM_OK);
}

Test(store_open, one_that_waits_for_its_first_start_is_told_without_its_header)
{
    OM_AUTO(batch_destroy) struct batch *batch = batch_create();
    struct change_task *task = &batch_task(batch, 1, 9)->task;
    task->priority = 3;
    task->due_ms = 70;
    task->expires_ms = 90;
    task->limit_key = OM_LIT("gpu");
    commit(batch);
    fixture_reopen(&fx);
    struct told told;
    load(&told);
    cr_assert(told.waiting == 1 && told.tasks == 0);
    struct om_uuid tenant = fixture_id(9);
    cr_expect_eq(told.last.seq, 1);
    cr_expect(om_uuid_eq(&told.last.tenant, &tenant));
    cr_expect_str_eq(told.queue, "reports");
    cr_expect_str_eq(told.limit_key, "gpu");
    cr_expect(told.last.priority == 3 && told.last.created_ms == 1001);
    cr_expect(told.last.due_ms == 70 && told.last.expires_ms == 90);
}

Test(store_open, one_with_a_mark_is_told_whole_whenever_the_mark_came)
{
    OM_AUTO(batch_destroy) struct batch *first = batch_create();
    for (int64_t seq = 1; seq <= 5; seq++)
        batch_task(first, seq, 1);
    batch_mark(first, 2, MARK_LEASE);
    batch_result(first, 3, STATE_FAILED);
    commit(first);
    struct told told;
    load(&told);
    cr_expect(told.waiting == 3 && told.tasks == 1 && told.task_seqs[0] == 2);

    OM_AUTO(batch_destroy) struct batch *second = batch_create();
    batch_mark(second, 4, MARK_CANCEL);
    batch_result(second, 5, STATE_SUCCEEDED);
    second->changes[second->count++] =
        (struct change){ .kind = CHANGE_REOPEN, .reopen_seq = 3 };
    batch_mark(second, 3, MARK_REOPEN);
    commit(second);
    load(&told);
    cr_expect(told.waiting == 1 && told.last.seq == 1);
    cr_assert_eq(told.tasks, 3);
    for (size_t i = 0; i < 3; i++)
        cr_expect_eq(told.task_seqs[i], (int64_t)i + 2);
}

// ---- tasks that depend on others

static void
depend_on(struct change_task *task, const int64_t *parents, size_t count,
          struct om_buf *header)
{
    struct om_buf list = { 0 };
    om_pack_array(&list, count);
    for (size_t i = 0; i < count; i++) {
        char text[OM_TYPEID_MAX];
        struct om_uuid id = fixture_id(parents[i]);
        size_t size = om_typeid_encode(OM_ID_TASK, &id, text);
        om_pack_str(&list, (struct om_str){ text, size });
    }
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, depends_on, om_buf_str(&list));
    wire_encode(WIRE_SUBMIT, &msg, header);
    om_buf_finish(&list);
    task->header = om_buf_str(header);
    task->depends = true;
}

Test(store_open, one_that_depends_is_told_with_what_became_of_those)
{
    static const int64_t parents[] = { 1, 2, 3, 99 };
    OM_AUTO(om_buf_finish) struct om_buf header = { 0 };
    OM_AUTO(batch_destroy) struct batch *batch = batch_create();
    for (int64_t seq = 1; seq <= 3; seq++)
        batch_task(batch, seq, 1);
    depend_on(&batch_task(batch, 4, 1)->task, parents, OM_COUNT(parents), &header);
    batch_result(batch, 1, STATE_SUCCEEDED);
    commit(batch);
    struct told told;
    load(&told);
    cr_assert(told.tasks == 1 && told.task_seqs[0] == 4);
    cr_expect_eq(told.parents_open, 6);
    cr_expect_not(told.parent_failed);

    OM_AUTO(batch_destroy) struct batch *second = batch_create();
    batch_result(second, 3, STATE_CANCELLED);
    commit(second);
    load(&told);
    cr_expect_eq(told.parents_open, 2);
    cr_expect(told.parent_failed);
}

// What a failed parent's end set free is not held again when the parent is retried.
Test(store_open, one_that_was_there_before_its_parent_was_retried_does_not_wait_for_it)
{
    static const int64_t parents[] = { 1 };
    OM_AUTO(om_buf_finish) struct om_buf header = { 0 }, again = { 0 };
    OM_AUTO(batch_destroy) struct batch *batch = batch_create();
    batch_task(batch, 1, 1);
    batch_result(batch, 1, STATE_FAILED);
    depend_on(&batch_task(batch, 2, 1)->task, parents, 1, &header);
    commit(batch);

    OM_AUTO(batch_destroy) struct batch *second = batch_create();
    second->changes[second->count++] =
        (struct change){ .kind = CHANGE_REOPEN, .reopen_seq = 1 };
    batch_mark(second, 1, MARK_REOPEN)->mark.token.lease = 3;
    depend_on(&batch_task(second, 4, 1)->task, parents, 1, &again);
    commit(second);
    struct loaded *loaded = calloc(1, sizeof(*loaded));
    cr_assert(loaded);
    fixture_load(&fx, loaded);
    cr_assert_eq(loaded->count, 3);
    cr_expect_eq(loaded->tasks[0].task.reopen_seq, 3);
    cr_expect_eq(loaded->tasks[1].task.parents_open[0], 0, "it was set free");
    cr_expect(loaded->tasks[1].task.parent_failed);
    cr_expect_eq(loaded->tasks[2].task.parents_open[0], 1, "it came after the retry");
    cr_expect_not(loaded->tasks[2].task.parent_failed);
    free(loaded);
}

// ---- reads

static struct read *
ask(enum read_kind kind)
{
    struct read *read = calloc(1, sizeof(*read));
    cr_assert(read);
    read->kind = kind;
    return read;
}

Test(store_open, tasks_are_read_in_the_order_they_are_asked_for)
{
    OM_AUTO(batch_destroy) struct batch *batch = batch_create();
    for (int64_t seq = 1; seq <= 5; seq++)
        batch_task(batch, seq, 1);
    batch_mark(batch, 2, MARK_LEASE);
    batch_result(batch, 3, STATE_SUCCEEDED);
    commit(batch);
    static const int64_t seqs[] = { 5, 77, 2, 3 };
    OM_AUTO(read_destroy) struct read *read = ask(READ_TASKS);
    read->seqs = malloc(sizeof(seqs));
    memcpy(read->seqs, seqs, sizeof(seqs));
    read->seq_count = OM_COUNT(seqs);
    store_read(fx.store, read);
    cr_assert_eq(read->rc, OM_OK);
    cr_assert_eq(read->count, 3);
    cr_expect_eq(read->tasks[0].seq, 5);
    cr_expect_eq(read->tasks[1].seq, 2);
    cr_expect_eq(read->tasks[1].attempts, 1);
    cr_expect_eq(read->tasks[2].state, STATE_SUCCEEDED);
}

Test(store_open, small_payloads_come_with_their_tasks_up_to_a_bound)
{
    enum { COUNT = 100, SMALL = 8 * 1024, ALL = 512 * 1024 };
    OM_AUTO(batch_destroy) struct batch *batch = batch_create();
    static char bytes[SMALL + 1];
    for (int64_t seq = 1; seq <= COUNT; seq++)
        batch_task(batch, seq, 1)->task.payload =
            payload_copy((struct om_str){ bytes, SMALL + (seq == 2) });
    batch_mark(batch, 1, MARK_LEASE);
    commit(batch);
    OM_AUTO(read_destroy) struct read *read = ask(READ_TASKS);
    read->seqs = malloc(COUNT * sizeof(*read->seqs));
    read->seq_count = COUNT;
    for (int64_t i = 0; i < COUNT; i++)
        read->seqs[i] = i + 1;
    store_read(fx.store, read);
    cr_assert_eq(read->rc, OM_OK);
    cr_assert_eq(read->count, COUNT);
    cr_expect_eq(read->tasks[0].attempts, 1);
    cr_expect_null(read->tasks[1].payload, "it is too large");
    for (size_t i = 0; i < COUNT; i++)
        if (i != 1)
            cr_expect_eq(payload_bytes(read->tasks[i].payload).size,
                         i <= ALL / SMALL ? SMALL : 0, "of the task at %zu", i);
}

Test(store_open, a_tenants_open_tasks_are_listed_newest_first)
{
    OM_AUTO(batch_destroy) struct batch *batch = batch_create();
    for (int64_t seq = 1; seq <= 9; seq++) {
        batch_task(batch, seq, seq % 2 + 1);
        if (seq == 4 || seq == 8)
            batch_result(batch, seq, STATE_FAILED);
    }
    commit(batch);
    OM_AUTO(read_destroy) struct read *read = ask(READ_OPEN);
    read->tenant = fixture_id(1);
    read->limit = 10;
    store_read(fx.store, read);
    cr_assert_eq(read->rc, OM_OK);
    cr_assert_eq(read->count, 2);
    cr_expect(read->tasks[0].seq == 6 && read->tasks[1].seq == 2);
}

// ---- retention

static bool
is_there(int64_t seq)
{
    OM_AUTO(read_destroy) struct read *read = read_task(&fx, 1, seq);
    return read->rc == OM_OK;
}

Test(store_open, a_retention_of_its_own_keeps_a_task_longer_or_less_long)
{
    static const int64_t retain_ms[] = { 0, 10, 100000 };
    OM_AUTO(batch_destroy) struct batch *batch = batch_create();
    for (int64_t seq = 1; seq <= 3; seq++) {
        batch_task(batch, seq, 1)->task.retain_ms = retain_ms[seq - 1];
        batch_result(batch, seq, STATE_SUCCEEDED)->result.finished_ms = 2000;
    }
    batch_task(batch, 4, 1)->task.retain_ms = 1; // open
    commit(batch);
    cr_assert_eq(store_settle(fx.store), OM_OK);
    static const struct {
        int64_t now_ms;
        bool there[4];
    } rows[] = {
        { 2005, { true, true, true, true } },
        { 2500, { true, false, true, true } },
        { 50000, { false, false, true, true } },
        { 200000, { false, false, false, true } },
    };
    for (size_t i = 0; i < OM_COUNT(rows); i++) {
        store_purge(fx.store, rows[i].now_ms, 1000);
        cr_assert_eq(store_settle(fx.store), OM_OK);
        for (int64_t seq = 1; seq <= 4; seq++)
            cr_expect_eq(is_there(seq), rows[i].there[seq - 1], "row %zu, task %lld", i,
                         (long long)seq);
    }
}
