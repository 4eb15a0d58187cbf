// Random batches, refusals of the disk and restarts: what is loaded equals a model.
#include <sqlite3.h>
#include <stdlib.h>

#include "store_suite.h"

enum { TASKS = 400, ROUNDS = 120, SHARDS = 4 };

struct model {
    struct model_task {
        bool stored;
        enum task_state state;
        struct stored_task folded;
    } tasks[TASKS + 1]; // by seq
    int64_t task_seq, shards[SHARDS], cursors[SHARDS];
};

static struct model model, next;
static uint64_t random_state;
static int refusals;

TestSuite(store_model, .init = store_begin, .fini = store_end);

// SplitMix64.
static uint64_t
draw(uint64_t below)
{
    uint64_t z = random_state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (z ^ z >> 31) % below;
}

static void
add_task(struct batch *batch)
{
    if (next.task_seq >= TASKS)
        return;
    int64_t seq = ++next.task_seq;
    struct change *change = batch_task(batch, seq, 1);
    if (draw(3) == 0)
        change->task.payload = payload_copy(OM_LIT("payload"));
    struct model_task *task = &next.tasks[seq];
    task->stored = true;
    task->folded = (struct stored_task){ .seq = seq, .id = fixture_id(seq) };
}

static void
add_mark(struct batch *batch, int64_t seq)
{
    static const enum mark_kind kinds[] = { MARK_LEASE, MARK_RELEASE, MARK_FAIL,
                                            MARK_LOST, MARK_CANCEL };
    struct change_mark *mark =
        &batch_mark(batch, seq, kinds[draw(OM_COUNT(kinds))])->mark;
    mark->at_ms = (int64_t)draw(1000000);
    if (mark->kind == MARK_LEASE)
        mark->token =
            (struct wire_token){ fixture_id(seq), 1, (uint32_t)draw(9), draw(99) };
    if (mark->kind == MARK_FAIL || mark->kind == MARK_LOST)
        mark->due_ms = (int64_t)draw(1000000);
    stored_task_mark(&next.tasks[seq].folded, mark);
}

static void
add_end_or_reopening(struct batch *batch, int64_t seq)
{
    struct model_task *task = &next.tasks[seq];
    if (task->state == STATE_NONE) {
        task->state = draw(2) ? STATE_SUCCEEDED : STATE_FAILED;
        batch_result(batch, seq, task->state);
    } else if (task->state == STATE_FAILED) {
        task->state = STATE_NONE;
        batch->changes[batch->count++] =
            (struct change){ .kind = CHANGE_REOPEN, .reopen_seq = seq };
        stored_task_mark(&task->folded, &batch_mark(batch, seq, MARK_REOPEN)->mark);
    }
}

static void
add_change(struct batch *batch)
{
    uint8_t shard = (uint8_t)draw(SHARDS);
    int64_t seq = next.task_seq ? (int64_t)draw((uint64_t)next.task_seq) + 1 : 0;
    bool known = seq && next.tasks[seq].stored;
    switch (draw(5)) {
    case 0:
        add_task(batch);
        break;
    case 1:
        if (known && next.tasks[seq].state == STATE_NONE)
            add_mark(batch, seq);
        break;
    case 2:
        if (known)
            add_end_or_reopening(batch, seq);
        break;
    case 3:
        batch_event(batch, shard, ++next.shards[shard], draw(2) ? "usage" : "audit");
        break;
    default:
        if (next.cursors[shard] < next.shards[shard])
            next.cursors[shard] = next.shards[shard];
        batch_cursor(batch, SUBSCRIPTION_BILLING_EVENTS, shard, next.cursors[shard]);
    }
}

static void
expect_loaded(void)
{
    static struct loaded loaded;
    fixture_load(&fx, &loaded);
    cr_assert_eq(loaded.task_seq, model.task_seq);
    for (size_t i = 0; i < SHARDS; i++) {
        cr_assert_eq(loaded.shards[i], model.shards[i]);
        cr_assert_eq(loaded.cursors[SUBSCRIPTION_BILLING_EVENTS][i], model.cursors[i]);
    }
    size_t at = 0;
    for (int64_t seq = 1; seq <= model.task_seq; seq++) {
        if (!model.tasks[seq].stored || model.tasks[seq].state != STATE_NONE)
            continue;
        cr_assert_lt(at, loaded.count);
        const struct stored_task *is = &loaded.tasks[at++].task;
        const struct stored_task *want = &model.tasks[seq].folded;
        cr_assert_eq(is->seq, seq);
        cr_assert_eq(is->attempts, want->attempts);
        cr_assert_eq(is->lost, want->lost);
        cr_assert_eq(is->due_ms, want->due_ms);
        cr_assert_eq(is->started_ms, want->started_ms);
        cr_assert_eq(is->leased, want->leased);
        cr_assert_eq(is->cancel, want->cancel);
        cr_assert_eq(is->token.lease, want->token.lease);
    }
    cr_assert_eq(at, loaded.count);
}

static void
one_round(void)
{
    OM_AUTO(batch_destroy) struct batch *batch = batch_create();
    next = model;
    for (uint64_t left = draw(40) + 1; left > 0; left--)
        add_change(batch);
    bool full = draw(6) == 0 && batch->count > 0;
    disk_fail(full ? SQLITE_FULL : SQLITE_OK, SQLITE_OK);
    enum om_rc rc = store_commit(fx.store, batch);
    disk_fail(SQLITE_OK, SQLITE_OK);
    // A batch that changes no page needs no write.
    cr_assert(rc == OM_OK || (full && rc == OM_ENOSPACE));
    refusals += rc == OM_ENOSPACE;
    if (rc == OM_OK)
        model = next;
    if (draw(10) == 0) {
        fixture_reopen(&fx);
        expect_loaded();
    }
}

Test(store_model, whatever_is_committed_is_loaded_and_nothing_else)
{
    for (uint64_t seed = 1; seed <= 5; seed++) {
        random_state = seed;
        memset(&model, 0, sizeof(model));
        for (int round = 0; round < ROUNDS; round++)
            one_round();
        fixture_reopen(&fx);
        expect_loaded();
        fixture_finish(&fx);
        fixture_init(&fx);
    }
    cr_expect_gt(refusals, ROUNDS / 2);
}
