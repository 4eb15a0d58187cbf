#include <criterion/criterion.h>
#include <stdlib.h>

#include "bench.h"

static void
open_bench(struct bench *bench)
{
    bench_init(bench);
    bench_hello(bench, BENCH_CLIENT, "ingest", "i1");
}

static void
list(struct bench *bench, const char *status, const struct om_uuid *after, int64_t limit)
{
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, id, OM_LIT("l1"));
    WIRE_SET(&msg, tenant, BENCH_TENANT);
    WIRE_SET(&msg, limit, limit);
    if (status)
        WIRE_SET(&msg, status, om_str(status));
    if (after)
        WIRE_SET(&msg, after, bench_task_text(after));
    bench_send(bench, BENCH_CLIENT, &bench_local, WIRE_LIST, &msg, NULL);
}

// What a user who submitted a job looks for in it, in memory and from the store.
static void
expect_options(struct bench *bench, const struct wire_task *task, bool waits)
{
    cr_expect_eq(task->priority, 2);
    cr_expect_eq(task->max_attempts, 7);
    cr_expect(om_str_eq(task->limit_key, OM_LIT("acme")));
    cr_expect(om_str_eq(task->unique_key, OM_LIT("nightly")));
    cr_expect_eq(task->expires_ms, bench->now.wall_ms + 9000);
    cr_expect_eq(REC_HAS(task, wire_task, due_ms), waits);
    cr_expect_eq(task->due_ms, waits ? bench->now.wall_ms + 5000 : 0);
}

static void
submit_with_options(struct bench *bench, const struct om_uuid *id, struct om_buf *header)
{
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, id, OM_LIT("s1"));
    WIRE_SET(&msg, task, bench_task_text(id));
    WIRE_SET(&msg, tenant, BENCH_TENANT);
    WIRE_SET(&msg, queue, OM_LIT("own"));
    WIRE_SET(&msg, kind, OM_LIT("k"));
    WIRE_SET(&msg, priority, 2);
    WIRE_SET(&msg, max_attempts, 7);
    WIRE_SET(&msg, limit_key, OM_LIT("acme"));
    WIRE_SET(&msg, unique_key, OM_LIT("nightly"));
    WIRE_SET(&msg, due_ms, bench->now.wall_ms + 5000);
    WIRE_SET(&msg, expires_ms, bench->now.wall_ms + 9000);
    bench_send(bench, BENCH_CLIENT, &bench_local, WIRE_SUBMIT, &msg, "x");
    wire_encode(WIRE_SUBMIT, &msg, header);
}

Test(get, shows_the_options_a_job_was_submitted_with)
{
    struct bench bench;
    struct wire_task task;
    struct om_uuid tenant;
    OM_AUTO(om_buf_finish) struct om_buf header = { 0 };
    open_bench(&bench);
    struct om_uuid id = bench_task(&bench, 1), ended = bench_task(&bench, 1);
    submit_with_options(&bench, &id, &header);
    cr_assert(bench_commit(&bench, OM_OK));
    const struct wire_msg *msg = bench_expect(&bench, BENCH_CLIENT, WIRE_SUBMITTED);
    cr_expect(om_str_eq(msg->status, OM_LIT("scheduled")));
    bench_ask(&bench, WIRE_GET, &id);
    msg = bench_expect(&bench, BENCH_CLIENT, WIRE_TASK);
    cr_assert_eq(rec_decode(&wire_task_rec, msg->info, &task, NULL), OM_OK);
    expect_options(&bench, &task, true);

    cr_assert_eq(om_typeid_decode(OM_ID_TENANT, BENCH_TENANT, &tenant), OM_OK);
    struct stored_task stored = { .id = ended,
                                  .tenant = tenant,
                                  .queue = OM_LIT("own"),
                                  .kind = OM_LIT("k"),
                                  .header = om_buf_str(&header),
                                  .state = STATE_EXPIRED };
    bench_ask(&bench, WIRE_GET, &ended);
    bench_answer_task(&bench, OM_OK, &stored);
    msg = bench_expect(&bench, BENCH_CLIENT, WIRE_TASK);
    cr_assert_eq(rec_decode(&wire_task_rec, msg->info, &task, NULL), OM_OK);
    expect_options(&bench, &task, false);
    bench_finish(&bench);
}

// The tasks of the page that was sent, in order; returns how many.
static size_t
page(struct bench *bench, struct om_uuid ids[8], enum task_state states[8])
{
    bench_expect(bench, BENCH_CLIENT, WIRE_TASKS);
    struct rec_iter iter = rec_iter(payload_bytes(bench->sent.payload));
    size_t count = iter.left;
    struct om_str bytes;
    for (size_t i = 0; rec_next_raw(&iter, &bytes); i++) {
        struct wire_task task;
        cr_assert_eq(rec_decode(&wire_task_rec, bytes, &task, NULL), OM_OK);
        cr_assert_eq(om_typeid_decode(OM_ID_TASK, task.task, &ids[i]), OM_OK);
        states[i] = (enum task_state)task.state;
    }
    return count;
}

Test(list, of_open_tasks_comes_from_memory_newest_first)
{
    struct bench bench;
    struct om_uuid ids[8];
    enum task_state states[8];
    open_bench(&bench);
    struct om_uuid first = bench_submitted(&bench, "own");
    struct om_uuid second = bench_submitted(&bench, "own");
    struct om_uuid third = bench_submitted(&bench, "own");
    bench_submit(&bench, "own", "not durable");
    list(&bench, "submitted", NULL, 2);
    cr_assert_eq(page(&bench, ids, states), 2);
    cr_expect(om_uuid_eq(&ids[0], &third));
    cr_expect(om_uuid_eq(&ids[1], &second));
    list(&bench, "submitted", &second, 2);
    cr_assert_eq(page(&bench, ids, states), 1);
    cr_expect(om_uuid_eq(&ids[0], &first));
    list(&bench, "running", NULL, 2);
    cr_expect_eq(page(&bench, ids, states), 0);
    bench_finish(&bench);
}

Test(list, of_all_tasks_shows_what_open_ones_do_now)
{
    struct bench bench;
    struct om_uuid ids[8], tenant;
    enum task_state states[8];
    open_bench(&bench);
    struct om_uuid open = bench_submitted(&bench, "own");
    struct om_uuid ended = bench_task(&bench, 1);
    cr_assert_eq(om_typeid_decode(OM_ID_TENANT, BENCH_TENANT, &tenant), OM_OK);
    list(&bench, NULL, NULL, 5);
    struct read *read = core_next_read(bench.core);
    cr_assert(read);
    cr_expect_eq(read->kind, READ_LIST);
    cr_expect_eq(read->limit, 5);
    read->tasks = calloc(2, sizeof(*read->tasks));
    cr_assert(read->tasks);
    read->tasks[0] = (struct stored_task){
        .id = open, .tenant = tenant, .queue = OM_LIT("own"), .kind = OM_LIT("k")
    };
    read->tasks[1] = (struct stored_task){ .id = ended,
                                           .tenant = tenant,
                                           .queue = OM_LIT("own"),
                                           .kind = OM_LIT("k"),
                                           .state = STATE_SUCCEEDED };
    read->count = 2;
    core_read_done(bench.core, bench.now, &read);
    cr_assert_eq(page(&bench, ids, states), 2);
    cr_expect_eq(states[0], STATE_READY);
    cr_expect_eq(states[1], STATE_SUCCEEDED);
    bench_finish(&bench);
}

Test(list, of_ended_tasks_is_asked_of_the_store)
{
    struct bench bench;
    open_bench(&bench);
    list(&bench, "failed", NULL, 5);
    struct read *read = core_next_read(bench.core);
    cr_assert(read);
    cr_expect_eq(read->state, STATE_FAILED);
    read->rc = OM_EDB;
    core_read_done(bench.core, bench.now, &read);
    cr_expect(om_str_eq(bench_refusal(&bench, BENCH_CLIENT, WIRE_ERROR),
                        OM_LIT("storage_error")));
    list(&bench, "sleeping", NULL, 5);
    cr_expect(om_str_eq(bench_refusal(&bench, BENCH_CLIENT, WIRE_ERROR),
                        OM_LIT("invalid_request")));
    bench_finish(&bench);
}

Test(get, of_an_ended_task_brings_its_result)
{
    struct bench bench;
    struct om_uuid tenant;
    open_bench(&bench);
    struct om_uuid id = bench_task(&bench, 1);
    cr_assert_eq(om_typeid_decode(OM_ID_TENANT, BENCH_TENANT, &tenant), OM_OK);
    bench_ask(&bench, WIRE_GET, &id);
    struct read *read = core_next_read(bench.core);
    cr_assert(read);
    read->tasks = calloc(1, sizeof(*read->tasks));
    cr_assert(read->tasks);
    *read->tasks = (struct stored_task){ .id = id,
                                         .tenant = tenant,
                                         .queue = OM_LIT("own"),
                                         .kind = OM_LIT("k"),
                                         .state = STATE_SUCCEEDED,
                                         .ctype = OM_LIT("text/plain") };
    read->payload = payload_copy(OM_LIT("result"));
    core_read_done(bench.core, bench.now, &read);
    const struct wire_msg *msg = bench_expect(&bench, BENCH_CLIENT, WIRE_TASK);
    cr_expect_eq(bench_state(msg), STATE_SUCCEEDED);
    cr_expect(om_str_eq(msg->ctype, OM_LIT("text/plain")));
    cr_expect(om_str_eq(payload_bytes(bench.sent.payload), OM_LIT("result")));
    bench_finish(&bench);
}

// The record of GET, which is sent next.
static struct wire_task
shown(struct bench *bench)
{
    struct wire_task task;
    const struct wire_msg *msg = bench_expect(bench, BENCH_CLIENT, WIRE_TASK);
    cr_assert_eq(rec_decode(&wire_task_rec, msg->info, &task, NULL), OM_OK);
    cr_expect(om_str_eq(task.limit_key, OM_LIT("gpu")));
    cr_expect_eq(task.priority, 2);
    return task;
}

Test(get, shows_what_the_job_was_submitted_with_from_memory_and_from_the_store)
{
    struct bench bench;
    struct om_buf header = { 0 };
    struct wire_msg msg = { 0 };
    open_bench(&bench);
    struct om_uuid id = bench_task(&bench, 1);
    WIRE_SET(&msg, id, OM_LIT("m1"));
    WIRE_SET(&msg, task, bench_task_text(&id));
    WIRE_SET(&msg, tenant, BENCH_TENANT);
    WIRE_SET(&msg, queue, OM_LIT("omni.inference"));
    WIRE_SET(&msg, kind, OM_LIT("k"));
    WIRE_SET(&msg, limit_key, OM_LIT("gpu"));
    WIRE_SET(&msg, priority, 2);
    WIRE_SET(&msg, expires_ms, bench.now.wall_ms + 9000);
    wire_encode(WIRE_SUBMIT, &msg, &header);
    bench_send(&bench, BENCH_CLIENT, &bench_local, WIRE_SUBMIT, &msg, NULL);
    bench_settle(&bench);
    bench_hello(&bench, BENCH_WORKER, "inference", "w1");
    bench_credit(&bench, BENCH_WORKER, "omni.inference", 1);
    bench_expect(&bench, BENCH_WORKER, WIRE_JOB);
    bench_ask(&bench, WIRE_GET, &id);
    struct wire_task task = shown(&bench);
    cr_expect_eq(task.expires_ms, msg.expires_ms);
    cr_expect(om_str_eq(task.node, OM_LIT("w1")));

    struct om_uuid other = bench_task(&bench, 1);
    bench_ask(&bench, WIRE_GET, &other);
    struct stored_task stored = { .id = other,
                                  .queue = OM_LIT("omni.inference"),
                                  .kind = OM_LIT("k"),
                                  .header = om_buf_str(&header),
                                  .state = STATE_SUCCEEDED };
    bench_answer_task(&bench, OM_OK, &stored);
    cr_expect_eq(shown(&bench).expires_ms, msg.expires_ms);
    om_buf_finish(&header);
    bench_finish(&bench);
}

Test(watch, tells_each_change_and_the_end)
{
    struct bench bench;
    char token[WIRE_TOKEN_BYTES];
    open_bench(&bench);
    struct om_uuid id = bench_submitted(&bench, "omni.inference");
    bench_ask(&bench, WIRE_WATCH, &id);
    const struct wire_msg *event = bench_expect(&bench, BENCH_CLIENT, WIRE_EVENT);
    cr_expect_eq(bench_state(event), STATE_READY);
    cr_expect_eq(event->seq, 1);

    bench_hello(&bench, BENCH_WORKER, "inference", "w1");
    bench_credit(&bench, BENCH_WORKER, "omni.inference", 1);
    bench_take_job(&bench, BENCH_WORKER, token);
    event = bench_expect(&bench, BENCH_CLIENT, WIRE_EVENT);
    cr_expect_eq(bench_state(event), STATE_LEASED);
    bench_say(&bench, BENCH_WORKER, WIRE_START, token);
    event = bench_expect(&bench, BENCH_CLIENT, WIRE_EVENT);
    cr_expect_eq(bench_state(event), STATE_RUNNING);
    cr_expect_eq(event->seq, 3);
    cr_assert(bench_commit(&bench, OM_OK));
    bench_say(&bench, BENCH_WORKER, WIRE_DONE, token);
    bench_expect_nothing(&bench);
    cr_assert(bench_commit(&bench, OM_OK));
    event = bench_expect(&bench, BENCH_CLIENT, WIRE_EVENT);
    cr_expect_eq(bench_state(event), STATE_SUCCEEDED);
    cr_expect(event->drain);
    bench_finish(&bench);
}

Test(watch, ends_with_its_time)
{
    struct bench bench;
    open_bench(&bench);
    struct om_uuid id = bench_submitted(&bench, "own");
    bench_ask(&bench, WIRE_WATCH, &id);
    bench_expect(&bench, BENCH_CLIENT, WIRE_EVENT);
    bench_pass(&bench, 5000);
    const struct wire_msg *event = bench_expect(&bench, BENCH_CLIENT, WIRE_EVENT);
    cr_expect_eq(bench_state(event), STATE_READY);
    cr_expect(event->drain);
    bench_pass(&bench, 5000);
    bench_expect_nothing(&bench);
    bench_finish(&bench);
}
