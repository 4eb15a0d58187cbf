#include <criterion/criterion.h>

#include "bench.h"

// A SUBMIT that is fine; tests spoil it.
static struct wire_msg
good_submit(struct om_uuid *id, struct bench *bench)
{
    *id = bench_task(bench, 1);
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, id, OM_LIT("m1"));
    WIRE_SET(&msg, task, bench_task_text(id));
    WIRE_SET(&msg, tenant, BENCH_TENANT);
    WIRE_SET(&msg, queue, OM_LIT("own"));
    WIRE_SET(&msg, kind, OM_LIT("test"));
    WIRE_SET(&msg, hash, OM_LIT("0123456789abcdef0123456789abcdef"));
    return msg;
}

static void
submit(struct bench *bench, const struct wire_msg *msg)
{
    bench_send(bench, BENCH_CLIENT, &bench_local, WIRE_SUBMIT, msg, "x");
}

static void
expect_reject(struct bench *bench, const char *code)
{
    struct om_str got = bench_refusal(bench, BENCH_CLIENT, WIRE_REJECT);
    cr_expect(om_str_eq(got, om_str(code)), "%.*s instead of %s", (int)got.size, got.data,
              code);
}

static void
open_bench(struct bench *bench, const struct core_conf *conf)
{
    struct core_conf defaults = bench_conf();
    bench_init_conf(bench, conf ? conf : &defaults);
    bench_hello(bench, BENCH_CLIENT, "ingest", "i1");
}

Test(submit, refuses_what_cannot_be_run)
{
    struct bench bench;
    struct om_uuid id;
    open_bench(&bench, NULL);
    struct wire_msg good = good_submit(&id, &bench), msg = good;
    struct om_uuid other_shard = bench_task(&bench, 9);

    WIRE_SET(&msg, task, bench_task_text(&other_shard));
    submit(&bench, &msg);
    expect_reject(&bench, "invalid_request");
    WIRE_SET(&msg, task, OM_LIT("task_nonsense"));
    submit(&bench, &msg);
    expect_reject(&bench, "invalid_request");

    good = good_submit(&id, &bench);
    msg = good;
    msg.has &= ~W(tenant);
    submit(&bench, &msg);
    expect_reject(&bench, "invalid_request");

    static const char *const bad_queues[] = { "omni.nothing", "omni.", "Own", "a b",
                                              "9" };
    for (size_t i = 0; i < OM_COUNT(bad_queues); i++) {
        msg = good;
        WIRE_SET(&msg, queue, om_str(bad_queues[i]));
        submit(&bench, &msg);
        expect_reject(&bench, "invalid_request");
    }
    msg = good;
    WIRE_SET(&msg, events, OM_LIT("\x91\x80"));
    submit(&bench, &msg);
    expect_reject(&bench, "invalid_request");
    cr_expect_eq(core_stats(bench.core).open_tasks, 0);
    bench_finish(&bench);
}

Test(submit, refuses_a_tenant_that_is_none)
{
    struct bench bench;
    struct om_uuid id;
    open_bench(&bench, NULL);
    struct wire_msg msg = good_submit(&id, &bench);
    WIRE_SET(&msg, tenant, OM_LIT("acme"));
    submit(&bench, &msg);
    cr_expect(om_str_eq(bench_refusal(&bench, BENCH_CLIENT, WIRE_ERROR),
                        OM_LIT("invalid_request")));
    bench_finish(&bench);
}

Test(submit, refuses_when_there_is_no_room)
{
    struct bench bench;
    struct om_uuid id;
    struct core_conf conf = bench_conf();
    conf.max_open_per_tenant = 1;
    open_bench(&bench, &conf);
    bench_submitted(&bench, "own");
    struct wire_msg msg = good_submit(&id, &bench);
    submit(&bench, &msg);
    expect_reject(&bench, "queue_full");
    cr_expect(WIRE_HAS(&bench.msg, retry_ms));

    core_set_disk_free(bench.core, 0.09);
    submit(&bench, &msg);
    expect_reject(&bench, "storage_full");
    bench_finish(&bench);
}

Test(submit, says_the_same_job_is_a_duplicate_and_another_under_its_id_reused)
{
    struct bench bench;
    struct om_uuid id;
    open_bench(&bench, NULL);
    struct wire_msg msg = good_submit(&id, &bench);
    submit(&bench, &msg);
    submit(&bench, &msg); // before it is durable: one answer, not yet
    bench_expect_nothing(&bench);
    cr_assert(bench_commit(&bench, OM_OK));
    cr_expect_not(
        WIRE_HAS(bench_expect(&bench, BENCH_CLIENT, WIRE_SUBMITTED), duplicate));
    bench_expect_nothing(&bench);
    submit(&bench, &msg);
    cr_expect(bench_expect(&bench, BENCH_CLIENT, WIRE_SUBMITTED)->duplicate);
    WIRE_SET(&msg, hash, OM_LIT("another job under the same id..."));
    submit(&bench, &msg);
    expect_reject(&bench, "id_reused");
    bench_finish(&bench);
}

Test(submit, hears_from_the_store_that_an_id_is_known)
{
    struct bench bench;
    struct om_uuid id;
    open_bench(&bench, NULL);
    struct wire_msg msg = good_submit(&id, &bench);
    for (int same = 0; same < 2; same++) {
        submit(&bench, &msg);
        struct batch *batch = core_take_batch(bench.core);
        cr_assert(batch);
        batch->changes[0].duplicate = true;
        memcpy(batch->changes[0].known_hash, same ? msg.hash.data : "another", 7);
        if (same)
            memcpy(batch->changes[0].known_hash, msg.hash.data, 32);
        core_committed(bench.core, bench.now, &batch, OM_OK);
        if (same)
            cr_expect(bench_expect(&bench, BENCH_CLIENT, WIRE_SUBMITTED)->duplicate);
        else
            expect_reject(&bench, "id_reused");
    }
    cr_expect_eq(core_stats(bench.core).open_tasks, 0);
    bench_finish(&bench);
}

Test(submit, is_refused_when_the_commit_fails_while_the_rest_is_kept)
{
    struct bench bench;
    char token[WIRE_TOKEN_BYTES];
    open_bench(&bench, NULL);
    bench_hello(&bench, BENCH_WORKER, "inference", "w1");
    bench_credit(&bench, BENCH_WORKER, "omni.inference", 1);
    bench_submitted(&bench, "omni.inference");
    bench_take_job(&bench, BENCH_WORKER, token);
    cr_assert(bench_commit(&bench, OM_OK));
    bench_say(&bench, BENCH_WORKER, WIRE_DONE, token);
    bench_submit(&bench, "own", "x");
    cr_assert(bench_commit(&bench, OM_ENOSPACE));
    expect_reject(&bench, "storage_full");
    bench_expect_nothing(&bench);

    cr_assert_not(bench_commit(&bench, OM_OK), "it is tried again at once");
    bench_pass(&bench, 2000);
    cr_assert(bench_commit(&bench, OM_OK));
    bench_expect(&bench, BENCH_WORKER, WIRE_DONE_ACK);
    bench_finish(&bench);
}

Test(submit, waits_until_it_is_due)
{
    struct bench bench;
    struct om_uuid id;
    open_bench(&bench, NULL);
    bench_hello(&bench, BENCH_WORKER, "inference", "w1");
    struct wire_msg msg = good_submit(&id, &bench);
    WIRE_SET(&msg, queue, OM_LIT("omni.inference"));
    WIRE_SET(&msg, due_ms, bench.now.wall_ms + 3000);
    submit(&bench, &msg);
    bench_settle(&bench);
    cr_expect_eq(bench_get_state(&bench, &id), STATE_SCHEDULED);
    bench_credit(&bench, BENCH_WORKER, "omni.inference", 1);
    bench_pass(&bench, 2999);
    bench_expect_nothing(&bench);
    cr_expect_leq(core_next_timer(bench.core), bench.now.mono_ms + 1);
    bench_pass(&bench, 1);
    bench_find(&bench, BENCH_WORKER, WIRE_JOB);
    bench_finish(&bench);
}

Test(submit, expires_when_it_is_not_started_in_time)
{
    struct bench bench;
    struct om_uuid id;
    open_bench(&bench, NULL);
    struct wire_msg msg = good_submit(&id, &bench);
    WIRE_SET(&msg, expires_ms, bench.now.wall_ms + 3000);
    submit(&bench, &msg);
    bench_settle(&bench);
    bench_pass(&bench, 3000);
    bench_settle(&bench);
    cr_expect_eq(core_stats(bench.core).expired, 1);
    cr_expect_eq(core_stats(bench.core).open_tasks, 0);
    bench_finish(&bench);
}

// Submit a job of a tenant with a priority; the worker has no credit yet.
static void
submit_for(struct bench *bench, uint8_t tenant, int64_t priority)
{
    struct om_uuid id = bench_task(bench, tenant);
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, id, OM_LIT("m"));
    WIRE_SET(&msg, task, bench_task_text(&id));
    WIRE_SET(&msg, tenant, bench_tenant(tenant));
    WIRE_SET(&msg, queue, OM_LIT("omni.inference"));
    WIRE_SET(&msg, kind, OM_LIT("k"));
    WIRE_SET(&msg, priority, priority);
    submit(bench, &msg);
}

Test(submit, is_served_by_priority)
{
    struct bench bench;
    open_bench(&bench, NULL);
    bench_hello(&bench, BENCH_WORKER, "inference", "w1");
    submit_for(&bench, 1, 9);
    submit_for(&bench, 1, 5);
    submit_for(&bench, 2, 0);
    bench_settle(&bench);
    bench_credit(&bench, BENCH_WORKER, "omni.inference", 1);
    cr_expect(
        om_str_eq(bench_find(&bench, BENCH_WORKER, WIRE_JOB)->tenant, BENCH_STRANGER));
    bench_finish(&bench);
}

Test(submit, of_one_tenants_flood_does_not_delay_another_tenant)
{
    struct bench bench;
    open_bench(&bench, NULL);
    bench_hello(&bench, BENCH_WORKER, "inference", "w1");
    for (int i = 0; i < 100; i++)
        submit_for(&bench, 1, 5);
    for (int i = 0; i < 5; i++)
        submit_for(&bench, 2, 5);
    bench_settle(&bench);
    bench_credit(&bench, BENCH_WORKER, "omni.inference", 12);
    int strangers = 0;
    for (int i = 0; i < 12; i++)
        strangers += om_str_eq(bench_expect(&bench, BENCH_WORKER, WIRE_JOB)->tenant,
                               BENCH_STRANGER);
    cr_expect_eq(strangers, 5);
    bench_finish(&bench);
}
