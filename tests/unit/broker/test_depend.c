#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"

#define QUEUE "own"

static void
open_bench(struct bench *bench)
{
    bench_init(bench);
    bench_hello(bench, BENCH_CLIENT, "ingest", "i1");
}

// A list of task ids; the caller frees it.
static struct om_buf
list_of(const struct om_uuid *ids, size_t count)
{
    struct om_buf list = { 0 };
    om_pack_array(&list, count);
    for (size_t i = 0; i < count; i++)
        om_pack_str(&list, bench_task_text(&ids[i]));
    return list;
}

static struct om_uuid
submit_after(struct bench *bench, const struct om_uuid *parents, size_t count,
             bool run_anyway)
{
    struct om_uuid id = bench_task(bench, 1);
    struct om_buf list = list_of(parents, count);
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, id, OM_LIT("child"));
    WIRE_SET(&msg, task, bench_task_text(&id));
    WIRE_SET(&msg, tenant, BENCH_TENANT);
    WIRE_SET(&msg, queue, OM_LIT(QUEUE));
    WIRE_SET(&msg, kind, OM_LIT("test"));
    WIRE_SET(&msg, depends_on, om_buf_str(&list));
    if (run_anyway)
        WIRE_SET(&msg, run_anyway, true);
    bench_send(bench, BENCH_CLIENT, &bench_local, WIRE_SUBMIT, &msg, "x");
    om_buf_finish(&list);
    return id;
}

// A committed child of committed parents in memory.
static struct om_uuid
submitted_after(struct bench *bench, const struct om_uuid *parents, size_t count,
                bool run_anyway)
{
    struct om_uuid id = submit_after(bench, parents, count, run_anyway);
    cr_assert(bench_commit(bench, OM_OK));
    bench_expect(bench, BENCH_CLIENT, WIRE_SUBMITTED);
    return id;
}

// Cancel it, and commit that and what follows.
static void
cancel(struct bench *bench, const struct om_uuid *id)
{
    bench_ask(bench, WIRE_CANCEL, id);
    bench_settle(bench);
}

static void
expect_refused(struct bench *bench, const char *code, const char *words)
{
    const struct wire_msg *msg = bench_expect(bench, BENCH_CLIENT, WIRE_REJECT);
    cr_expect(om_str_eq(msg->code, om_str(code)), "%.*s", (int)msg->code.size,
              msg->code.data);
    cr_expect(memmem(msg->text.data, msg->text.size, words, strlen(words)), "%.*s",
              (int)msg->text.size, msg->text.data);
}

// The record GET shows; its strings live until the next message is taken.
static struct wire_task
get(struct bench *bench, const struct om_uuid *id)
{
    struct wire_task task;
    bench_drop(bench);
    bench_ask(bench, WIRE_GET, id);
    const struct wire_msg *msg = bench_expect(bench, BENCH_CLIENT, WIRE_TASK);
    cr_assert_eq(rec_decode(&wire_task_rec, msg->info, &task, NULL), OM_OK);
    return task;
}

// Has the task left memory? Then GET asks the store.
static bool
is_gone(struct bench *bench, const struct om_uuid *id)
{
    bench_drop(bench);
    bench_ask(bench, WIRE_GET, id);
    bool gone = !core_next_send(bench->core, &bench->sent);
    if (gone)
        bench_answer_task(bench, OM_ENOTFOUND, NULL);
    bench_drop(bench);
    return gone;
}

Test(depend, blocks_a_task_until_all_its_parents_have_ended)
{
    struct bench bench;
    open_bench(&bench);
    struct om_uuid parents[] = { bench_submitted(&bench, QUEUE),
                                 bench_submitted(&bench, QUEUE) };
    struct om_uuid child = submitted_after(&bench, parents, 2, true);
    struct wire_task task = get(&bench, &child);
    cr_expect_eq(task.state, STATE_BLOCKED);
    cr_expect_eq(task.waits_for, 2);
    cr_expect_eq(rec_iter(task.depends_on).left, 2);

    cancel(&bench, &parents[0]);
    cr_expect_eq(get(&bench, &child).waits_for, 1);
    cancel(&bench, &parents[1]);
    task = get(&bench, &child);
    cr_expect_eq(task.state, STATE_READY, "it runs anyway");
    cr_expect_not(REC_HAS(&task, wire_task, waits_for));
    cr_expect_eq(rec_iter(task.depends_on).left, 2);
    bench_finish(&bench);
}

Test(depend, releases_a_task_when_its_parents_result_is_durable_and_not_before)
{
    struct bench bench;
    char token[WIRE_TOKEN_BYTES];
    open_bench(&bench);
    bench_hello(&bench, BENCH_WORKER, "inference", "w1");
    struct om_uuid parent = bench_submit(&bench, "omni.inference", "x");
    bench_settle(&bench);
    struct om_uuid child = submitted_after(&bench, &parent, 1, false);
    bench_credit(&bench, BENCH_WORKER, "omni.inference", 1);
    bench_take_job(&bench, BENCH_WORKER, token);
    bench_settle(&bench);
    bench_say(&bench, BENCH_WORKER, WIRE_DONE, token);
    cr_expect_eq(bench_get_state(&bench, &child), STATE_BLOCKED);
    cr_assert(bench_commit(&bench, OM_OK));
    cr_expect_eq(bench_get_state(&bench, &child), STATE_READY);
    bench_finish(&bench);
}

Test(depend, cancels_whatever_waits_for_a_task_that_did_not_succeed)
{
    struct bench bench;
    open_bench(&bench);
    struct om_uuid parent = bench_submitted(&bench, QUEUE);
    struct om_uuid other = bench_submitted(&bench, QUEUE);
    struct om_uuid both[] = { parent, other };
    struct om_uuid child = submitted_after(&bench, both, 2, false);
    struct om_uuid grandchild = submitted_after(&bench, &child, 1, false);
    struct om_uuid anyway = submitted_after(&bench, &grandchild, 1, true);
    bench_ask(&bench, WIRE_WATCH, &child);
    cancel(&bench, &parent);
    cr_expect(is_gone(&bench, &child), "though another parent has not ended");
    cr_expect(is_gone(&bench, &grandchild));
    cr_expect_eq(bench_get_state(&bench, &anyway), STATE_READY);
    cr_expect_eq(bench_get_state(&bench, &other), STATE_READY);
    cr_expect_eq(core_stats(bench.core).cancelled, 3);
    bench_finish(&bench);
}

Test(depend, cancels_a_child_in_its_parents_commit_and_says_why)
{
    struct bench bench;
    open_bench(&bench);
    struct om_uuid parent = bench_submitted(&bench, QUEUE);
    submitted_after(&bench, &parent, 1, false);
    bench_ask(&bench, WIRE_CANCEL, &parent);
    struct batch *batch = core_take_batch(bench.core);
    cr_assert(batch);
    cr_assert_eq(batch->count, 2, "the child's end is in its parent's commit");
    cr_expect_eq(batch->changes[1].kind, CHANGE_RESULT);
    cr_expect_eq(batch->changes[1].result.state, STATE_CANCELLED);
    cr_expect(om_str_eq(batch->changes[1].result.code, OM_LIT("parent_failed")));
    core_committed(bench.core, bench.now, &batch, OM_OK);
    bench_finish(&bench);
}

Test(depend, expires_while_it_waits)
{
    struct bench bench;
    open_bench(&bench);
    struct om_uuid parent = bench_submitted(&bench, QUEUE), id = bench_task(&bench, 1);
    struct om_buf list = list_of(&parent, 1);
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, id, OM_LIT("child"));
    WIRE_SET(&msg, task, bench_task_text(&id));
    WIRE_SET(&msg, tenant, BENCH_TENANT);
    WIRE_SET(&msg, queue, OM_LIT(QUEUE));
    WIRE_SET(&msg, kind, OM_LIT("test"));
    WIRE_SET(&msg, depends_on, om_buf_str(&list));
    WIRE_SET(&msg, expires_ms, bench.now.wall_ms + 500);
    bench_send(&bench, BENCH_CLIENT, &bench_local, WIRE_SUBMIT, &msg, "x");
    bench_settle(&bench);
    bench_pass(&bench, 500);
    bench_settle(&bench);
    cr_expect_eq(core_stats(bench.core).expired, 1);
    om_buf_finish(&list);
    bench_finish(&bench);
}

Test(depend, cancels_a_task_that_waits)
{
    struct bench bench;
    open_bench(&bench);
    struct om_uuid parent = bench_submitted(&bench, QUEUE);
    struct om_uuid child = submitted_after(&bench, &parent, 1, false);
    cancel(&bench, &child);
    cr_expect(is_gone(&bench, &child));
    cancel(&bench, &parent); // nobody waits for it any more
    cr_expect_eq(core_stats(bench.core).cancelled, 2);
    bench_finish(&bench);
}

// ---- parents that are not in memory

static struct stored_task
stored_parent(const struct om_uuid *id, enum task_state state)
{
    struct om_uuid tenant;
    cr_assert_eq(om_typeid_decode(OM_ID_TENANT, BENCH_TENANT, &tenant), OM_OK);
    return (struct stored_task){ .seq = 77,
                                 .id = *id,
                                 .tenant = tenant,
                                 .queue = OM_LIT(QUEUE),
                                 .kind = OM_LIT("test"),
                                 .state = state };
}

Test(depend, asks_the_store_about_parents_it_does_not_know)
{
    static const struct {
        enum task_state parent;
        bool run_anyway;
        enum task_state child; // STATE_NONE: it is cancelled
    } cases[] = {
        { STATE_SUCCEEDED, false, STATE_READY }, { STATE_FAILED, false, STATE_NONE },
        { STATE_FAILED, true, STATE_READY },     { STATE_CANCELLED, false, STATE_NONE },
        { STATE_NONE, false, STATE_BLOCKED }, // it is open, and spilled
    };
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        struct bench bench;
        open_bench(&bench);
        struct om_uuid parent = bench_task(&bench, 1);
        struct stored_task stored = stored_parent(&parent, cases[i].parent);
        struct om_uuid child = submit_after(&bench, &parent, 1, cases[i].run_anyway);
        cr_assert_not(bench_commit(&bench, OM_OK), "taken before the answer");
        bench_answer_task(&bench, OM_OK, &stored);
        cr_assert(bench_commit(&bench, OM_OK));
        bench_expect(&bench, BENCH_CLIENT, WIRE_SUBMITTED);
        bench_settle(&bench);
        if (cases[i].child == STATE_NONE)
            cr_expect(is_gone(&bench, &child), "case %zu", i);
        else
            cr_expect_eq(bench_get_state(&bench, &child), cases[i].child, "case %zu", i);
        bench_finish(&bench);
    }
}

Test(depend, refuses_a_parent_that_cannot_be)
{
    struct bench bench;
    open_bench(&bench);
    struct om_uuid unknown = bench_task(&bench, 1);
    submit_after(&bench, &unknown, 1, false);
    submit_after(&bench, &unknown, 1, false); // the answer is for both
    bench_answer_task(&bench, OM_ENOTFOUND, NULL);
    cr_expect_null(core_next_read(bench.core), "it was asked for twice");
    char id[OM_TYPEID_MAX];
    om_typeid_encode(OM_ID_TASK, &unknown, id);
    for (int i = 0; i < 2; i++)
        expect_refused(&bench, "invalid_request", id);

    submit_after(&bench, &unknown, 1, false);
    bench_answer_task(&bench, OM_EDB, NULL);
    expect_refused(&bench, "storage_error", "cannot be read now");

    struct om_uuid young = bench_submit(&bench, QUEUE, "x");
    submit_after(&bench, &young, 1, false);
    expect_refused(&bench, "unavailable", "not acknowledged");

    struct om_uuid own = bench_task(&bench, 1);
    bench.next_id--; // the next id is the same
    submit_after(&bench, &own, 1, false);
    expect_refused(&bench, "invalid_request", "itself");
    cr_expect_eq(core_stats(bench.core).open_tasks, 1);
    bench_finish(&bench);
}

Test(depend, knows_that_a_parent_has_ended_though_it_is_submitted_again)
{
    struct bench bench;
    open_bench(&bench);
    struct om_uuid parent = bench_task(&bench, 1);
    struct om_uuid child = submit_after(&bench, &parent, 1, false);
    uint8_t next_id = bench.next_id;
    bench.next_id = (uint8_t)(next_id - 2);
    struct om_uuid again = bench_submit(&bench, QUEUE, "x");
    bench.next_id = next_id;
    cr_assert(om_uuid_eq(&again, &parent));
    struct stored_task stored = { .seq = 1, .id = parent, .state = STATE_SUCCEEDED };
    bench_answer_task(&bench, OM_OK, &stored);
    struct batch *batch = core_take_batch(bench.core);
    cr_assert(batch);
    batch->changes[0].duplicate = true; // as the store says
    core_committed(bench.core, bench.now, &batch, OM_OK);
    bench_settle(&bench);
    cr_expect_eq(bench_get_state(&bench, &child), STATE_READY);
    bench_finish(&bench);
}

Test(depend, refuses_a_parent_of_another_tenant)
{
    struct bench bench;
    open_bench(&bench);
    struct om_uuid foreign = bench_task(&bench, 2);
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, id, OM_LIT("m1"));
    WIRE_SET(&msg, task, bench_task_text(&foreign));
    WIRE_SET(&msg, tenant, BENCH_STRANGER);
    WIRE_SET(&msg, queue, OM_LIT(QUEUE));
    WIRE_SET(&msg, kind, OM_LIT("test"));
    bench_send(&bench, BENCH_CLIENT, &bench_local, WIRE_SUBMIT, &msg, "x");
    bench_settle(&bench);
    submit_after(&bench, &foreign, 1, false);
    expect_refused(&bench, "invalid_request", "does not exist");
    bench_finish(&bench);
}

Test(depend, refuses_when_too_many_wait)
{
    struct bench bench;
    struct core_conf conf = bench_conf();
    conf.max_blocked = 1;
    bench_init_conf(&bench, &conf);
    bench_hello(&bench, BENCH_CLIENT, "ingest", "i1");
    struct om_uuid parent = bench_submitted(&bench, QUEUE);
    struct om_uuid child = submitted_after(&bench, &parent, 1, false);
    submit_after(&bench, &parent, 1, false);
    expect_refused(&bench, "queue_full", "wait for others");
    cancel(&bench, &child);
    submitted_after(&bench, &parent, 1, false);
    bench_finish(&bench);
}

// A spilled parent may come back, run and end while the child's submit asks for it.
Test(depend, notices_that_a_parent_ended_while_it_was_asked_for)
{
    struct bench bench;
    open_bench(&bench);
    struct om_uuid parent = bench_submitted(&bench, QUEUE);
    struct om_uuid gone = bench_task(&bench, 1);
    struct om_uuid both[] = { parent, gone };
    struct om_uuid child = submit_after(&bench, both, 2, false);
    cancel(&bench, &parent); // the child is held, and not yet in any batch
    struct stored_task stored = stored_parent(&gone, STATE_SUCCEEDED);
    bench_answer_task(&bench, OM_OK, &stored);
    cr_assert(bench_commit(&bench, OM_OK));
    bench_expect(&bench, BENCH_CLIENT, WIRE_SUBMITTED);
    bench_settle(&bench);
    cr_expect(is_gone(&bench, &child));
    bench_finish(&bench);
}

// ---- restart

static void
load(struct bench *bench, const struct om_uuid *id, int64_t seq,
     const struct om_uuid *parents, size_t count, bool parent_failed)
{
    struct om_buf header = { 0 }, list = list_of(parents, count);
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, id, OM_LIT("m"));
    WIRE_SET(&msg, task, bench_task_text(id));
    WIRE_SET(&msg, queue, OM_LIT(QUEUE));
    WIRE_SET(&msg, kind, OM_LIT("test"));
    if (count)
        WIRE_SET(&msg, depends_on, om_buf_str(&list));
    wire_encode(WIRE_SUBMIT, &msg, &header);
    struct stored_task stored = stored_parent(id, STATE_NONE);
    stored.seq = seq;
    stored.header = om_buf_str(&header);
    stored.parents_open[0] = count && !parent_failed ? 1 : 0; // the first one
    stored.parent_failed = parent_failed;
    cr_assert_eq(core_load_task(bench->core, &stored), OM_OK);
    om_buf_finish(&header);
    om_buf_finish(&list);
}

Test(depend, goes_on_after_a_restart_in_the_middle_of_a_workflow)
{
    struct bench bench = { .now = { 1000, INT64_C(1800000000000) } };
    struct core_conf conf = bench_conf();
    bench.core = core_create(&conf);
    struct om_uuid ended = bench_task(&bench, 1), open = bench_task(&bench, 1);
    struct om_uuid parents[] = { open, ended };
    struct om_uuid child = bench_task(&bench, 1), doomed = bench_task(&bench, 1);
    load(&bench, &child, 1, parents, 2, false); // before its parent: one atomic batch
    load(&bench, &open, 2, NULL, 0, false);
    load(&bench, &doomed, 3, &ended, 1, true);
    core_serve(bench.core, bench.now);
    bench_hello(&bench, BENCH_CLIENT, "ingest", "i1");
    cr_expect_eq(bench_get_state(&bench, &child), STATE_BLOCKED);
    cr_expect_eq(get(&bench, &child).waits_for, 1);
    bench_settle(&bench);
    cr_expect(is_gone(&bench, &doomed), "its cancel was not durable before the restart");
    cancel(&bench, &open);
    cr_expect(is_gone(&bench, &child));
    bench_finish(&bench);
}

// Tasks that come later have greater numbers than the reopening of any other, also after
// a restart: by that the store tells who waits for it.
Test(depend, numbers_a_retry_among_the_tasks)
{
    struct bench bench = { .now = { 1000, INT64_C(1800000000000) } };
    struct core_conf conf = bench_conf();
    bench.core = core_create(&conf);
    struct om_uuid open = bench_task(&bench, 1), failed = bench_task(&bench, 1);
    struct om_buf header = { 0 };
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, id, OM_LIT("m"));
    WIRE_SET(&msg, task, bench_task_text(&open));
    WIRE_SET(&msg, queue, OM_LIT(QUEUE));
    WIRE_SET(&msg, kind, OM_LIT("test"));
    wire_encode(WIRE_SUBMIT, &msg, &header);
    struct stored_task stored = stored_parent(&open, STATE_NONE);
    stored.header = om_buf_str(&header);
    stored.reopened = true;
    stored.reopen_seq = 500;
    cr_assert_eq(core_load_task(bench.core, &stored), OM_OK);
    core_serve(bench.core, bench.now);
    bench_hello(&bench, BENCH_CLIENT, "ingest", "i1");

    stored = stored_parent(&failed, STATE_FAILED);
    stored.header = om_buf_str(&header);
    bench_ask(&bench, WIRE_RETRY, &failed);
    bench_answer_task(&bench, OM_OK, &stored);
    bench_submit(&bench, QUEUE, "x");
    struct batch *batch = core_take_batch(bench.core);
    cr_assert(batch);
    cr_assert_eq(batch->count, 3);
    cr_assert_eq(batch->changes[1].mark.kind, MARK_REOPEN);
    cr_expect_eq(batch->changes[1].mark.token.lease, 501);
    cr_expect_eq(batch->changes[2].task.seq, 502);
    core_committed(bench.core, bench.now, &batch, OM_OK);
    om_buf_finish(&header);
    bench_finish(&bench);
}

// ---- size

enum { CHAIN = 100000 };

Test(depend, ends_a_chain_of_100000_without_a_deep_stack)
{
    struct bench bench = { .now = { 1000, INT64_C(1800000000000) } };
    struct core_conf conf = bench_conf();
    conf.max_open_tasks = conf.max_open_per_tenant = 2 * CHAIN;
    conf.max_blocked = conf.max_blocked_per_tenant = 2 * CHAIN;
    bench.core = core_create(&conf);
    struct om_uuid *ids = calloc(CHAIN, sizeof(*ids));
    for (int i = 0; i < CHAIN; i++) {
        uint8_t entropy[10] = { 0 };
        memcpy(entropy + 4, &i, sizeof(i));
        ids[i] = om_uuid_make(bench.now.wall_ms, entropy, 1);
        load(&bench, &ids[i], i + 1, i ? &ids[i - 1] : NULL, i ? 1 : 0, false);
    }
    core_serve(bench.core, bench.now);
    bench_hello(&bench, BENCH_CLIENT, "ingest", "i1");
    bench_ask(&bench, WIRE_CANCEL, &ids[0]);
    while (core_stats(bench.core).cancelled < CHAIN) {
        bench_settle(&bench);
        bench_pass(&bench, 1);
    }
    cr_expect_eq(core_stats(bench.core).open_tasks, 0);
    free(ids);
    bench_finish(&bench);
}

// ---- a parent's result

static void
ask_parent(struct bench *bench, const char *token, const struct om_uuid *parent)
{
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, id, OM_LIT("p1"));
    WIRE_SET(&msg, token, ((struct om_str){ token, WIRE_TOKEN_BYTES }));
    WIRE_SET(&msg, task, bench_task_text(parent));
    bench_send(bench, BENCH_WORKER, &bench_local, WIRE_PARENT, &msg, NULL);
}

Test(depend, gives_a_worker_the_results_its_job_depends_on_and_no_others)
{
    struct bench bench;
    char token[WIRE_TOKEN_BYTES];
    open_bench(&bench);
    bench_hello(&bench, BENCH_WORKER, "inference", "w1");
    struct om_uuid parent = bench_task(&bench, 1), other = bench_submitted(&bench, QUEUE);
    struct stored_task stored = stored_parent(&parent, STATE_SUCCEEDED);
    struct om_uuid id = bench_task(&bench, 1);
    struct om_buf list = list_of(&parent, 1);
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, id, OM_LIT("m1"));
    WIRE_SET(&msg, task, bench_task_text(&id));
    WIRE_SET(&msg, tenant, BENCH_TENANT);
    WIRE_SET(&msg, queue, OM_LIT("omni.inference"));
    WIRE_SET(&msg, kind, OM_LIT("test"));
    WIRE_SET(&msg, depends_on, om_buf_str(&list));
    bench_send(&bench, BENCH_CLIENT, &bench_local, WIRE_SUBMIT, &msg, "x");
    bench_answer_task(&bench, OM_OK, &stored);
    bench_settle(&bench);
    bench_credit(&bench, BENCH_WORKER, "omni.inference", 1);
    const struct wire_msg *job = bench_expect(&bench, BENCH_WORKER, WIRE_JOB);
    cr_expect_eq(rec_iter(job->depends_on).left, 1);
    memcpy(token, job->token.data, sizeof(token));

    ask_parent(&bench, token, &other);
    cr_expect(
        om_str_eq(bench_refusal(&bench, BENCH_WORKER, WIRE_ERROR), OM_LIT("not_found")));
    ask_parent(&bench, token, &parent);
    bench_answer_task(&bench, OM_OK, &stored);
    const struct wire_msg *is = bench_expect(&bench, BENCH_WORKER, WIRE_PARENT_IS);
    cr_expect(om_str_eq(is->id, OM_LIT("p1")));
    cr_expect(om_str_eq(is->task, bench_task_text(&parent)));
    cr_expect_eq(bench_state(is), STATE_SUCCEEDED);
    token[31] ^= 1;
    ask_parent(&bench, token, &parent);
    bench_expect(&bench, BENCH_WORKER, WIRE_STALE);
    om_buf_finish(&list);
    bench_finish(&bench);
}
