// The purge takes what is old enough, and forgets no more than it may.
#include <stdio.h>

#include "store_suite.h"

static struct loaded loaded;

TestSuite(store_purge, .init = store_begin, .fini = store_end);

static void
commit(struct batch *batch)
{
    cr_assert_eq(store_commit(fx.store, batch), OM_OK);
}

static void
purge(int64_t now_ms)
{
    cr_assert_eq(store_settle(fx.store), OM_OK);
    store_purge(fx.store, now_ms, 1000);
    cr_assert_eq(store_settle(fx.store), OM_OK);
}

Test(store_purge,
     the_purge_takes_what_ended_before_the_retention_and_no_number_is_used_again)
{
    OM_AUTO(batch_destroy) struct batch *batch = batch_create();
    char texts[70][4];
    struct om_str keys[70];
    for (size_t i = 0; i < 70; i++)
        keys[i] = (struct om_str){ texts[i], (size_t)snprintf(texts[i], sizeof(texts[i]),
                                                              "%zu", i) };
    for (int64_t seq = 1; seq <= 200; seq++) {
        struct change *task = batch_task(batch, seq, 1);
        if (seq % 3 == 0)
            task->task.idem_key = keys[seq / 3]; // it has a row of its own
        batch_mark(batch, seq, MARK_LEASE);
        if (seq != 2) // 2 is open, 3 ended late
            batch_result(batch, seq, STATE_SUCCEEDED)->result.finished_ms =
                seq == 3 ? 9000 : 3000;
    }
    commit(batch);
    purge(4000); // retention begins at 3000: nothing is older
    OM_AUTO(read_destroy) struct read *before = read_list(&fx, 1, STATE_NONE, 0, 256);
    cr_expect_eq(before->count, 200);
    purge(4001);
    OM_AUTO(read_destroy) struct read *after = read_list(&fx, 1, STATE_NONE, 0, 256);
    cr_assert_eq(after->count, 2);
    cr_expect_eq(after->tasks[0].seq, 3);
    cr_expect_eq(after->tasks[1].seq, 2);
    cr_expect_eq(after->tasks[1].attempts, 1, "its mark stays");
    fixture_reopen(&fx);
    fixture_load(&fx, &loaded);
    cr_expect_eq(loaded.task_seq, 200);
}

Test(store_purge, the_names_of_a_purged_task_are_known_for_a_day_after_its_end)
{
    enum { DAY_MS = 24 * 3600 * 1000 };
    char hash[32];
    memset(hash, 'h', sizeof(hash));
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, hash, ((struct om_str){ hash, sizeof(hash) }));
    OM_AUTO(om_buf_finish) struct om_buf header = { 0 };
    wire_encode(WIRE_SUBMIT, &msg, &header);
    OM_AUTO(batch_destroy) struct batch *first = batch_create();
    struct change *task = batch_task(first, 1, 1);
    task->task.header = om_buf_str(&header);
    task->task.idem_key = OM_LIT("key");
    batch_result(first, 1, STATE_SUCCEEDED)->result.finished_ms = 3000;
    commit(first);
    purge(4001);
    OM_AUTO(read_destroy) struct read *read = read_task(&fx, 1, 1);
    cr_expect_eq(read->rc, OM_ENOTFOUND);
    fixture_reopen(&fx);

    OM_AUTO(batch_destroy) struct batch *again = batch_create();
    struct change *by_id = batch_task(again, 2, 1), *by_key = batch_task(again, 3, 1);
    by_id->task.id = fixture_id(1);
    by_key->task.idem_key = OM_LIT("key");
    commit(again);
    cr_expect(by_id->duplicate && by_id->known_by == KNOWN_ID);
    cr_expect(by_key->duplicate && by_key->known_by == KNOWN_IDEM);
    struct om_uuid id = fixture_id(1);
    cr_expect(om_uuid_eq(&by_key->known_id, &id));
    cr_expect_eq(memcmp(by_key->known_hash, hash, sizeof(hash)), 0);

    purge(3000 + DAY_MS + 1);
    OM_AUTO(batch_destroy) struct batch *late = batch_create();
    struct change *forgotten = batch_task(late, 4, 1);
    forgotten->task.id = fixture_id(1);
    commit(late);
    cr_expect_not(forgotten->duplicate);
}

static void
move_cursor(uint8_t shard, int64_t seq)
{
    OM_AUTO(batch_destroy) struct batch *batch = batch_create();
    batch_cursor(batch, SUBSCRIPTION_BILLING_EVENTS, shard, seq);
    commit(batch);
}

Test(store_purge, the_purge_takes_applied_events_only)
{
    OM_AUTO(batch_destroy) struct batch *batch = batch_create();
    for (int64_t seq = 1; seq <= 900; seq++)
        batch_event(batch, 3, seq, seq % 3 ? seq % 3 == 1 ? "usage" : "audit" : "dead");
    commit(batch);
    cr_assert_eq(store_settle(fx.store), OM_OK); // they are written, and applied then
    move_cursor(3, 800);
    purge(10000);
    OM_AUTO(read_destroy) struct read *usage = read_events(&fx, 3, "usage", 0, 512);
    cr_expect_eq(usage->count, 33, "those behind the cursor stay: %zu", usage->count);
    OM_AUTO(read_destroy) struct read *audit = read_events(&fx, 3, "audit", 0, 512);
    cr_expect_eq(audit->count, 300, "its subscriber has applied none");
    OM_AUTO(read_destroy) struct read *dead = read_events(&fx, 3, "dead", 0, 512);
    cr_expect_eq(dead->count, 300, "dead letters stay");

    OM_AUTO(batch_destroy) struct batch *rest = batch_create();
    batch_event(rest, 9, 1, "usage");
    batch_cursor(rest, SUBSCRIPTION_BILLING_EVENTS, 9, 1);
    commit(rest);
    purge(100000);
    fixture_reopen(&fx);
    fixture_load(&fx, &loaded);
    cr_expect_eq(loaded.shards[9], 1, "an empty shard keeps its number");
}
