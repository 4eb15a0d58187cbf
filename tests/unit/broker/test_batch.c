// Batches of jobs, taken one by one or all or none.
#include <criterion/criterion.h>
#include <stdlib.h>

#include "bench_jobs.h"

enum { JOBS_MAX = 8 };

// What the store does with a set of which something is known.
static void
leave_out(struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        batch->changes[i].left_out = !batch->changes[i].duplicate;
}

Test(batch, answers_for_each_job_when_all_are_decided)
{
    struct bench bench;
    struct job jobs[3];
    jobs_open(&bench);
    for (size_t i = 0; i < OM_COUNT(jobs); i++)
        job_init(&bench, &jobs[i]);
    WIRE_SET(&jobs[1].msg, queue, OM_LIT("omni.nothing"));
    batch_send(&bench, false, jobs, OM_COUNT(jobs));
    bench_expect_nothing(&bench);
    cr_assert(bench_commit(&bench, OM_OK));
    EXPECT_ITEMS(&bench, "ok", "invalid_request", "ok");
    cr_expect_eq(core_stats(bench.core).open_tasks, 2);

    batch_send(&bench, false, jobs, OM_COUNT(jobs)); // said again
    EXPECT_ITEMS(&bench, "dup", "invalid_request", "dup");
    bench_finish(&bench);
}

Test(batch, answers_once_when_it_is_said_again_before_it_is_durable)
{
    struct bench bench;
    struct job jobs[2];
    jobs_open(&bench);
    for (size_t i = 0; i < OM_COUNT(jobs); i++)
        job_init(&bench, &jobs[i]);
    batch_send(&bench, false, jobs, OM_COUNT(jobs));
    batch_send(&bench, false, jobs, OM_COUNT(jobs));
    bench_hello(&bench, BENCH_OTHER, "ingest", "i2");
    cr_assert(bench_commit(&bench, OM_OK));
    EXPECT_ITEMS(&bench, "ok", "ok");
    bench_expect_nothing(&bench);
    bench_finish(&bench);
}

Test(batch, is_refused_whole_when_it_is_none)
{
    static const struct {
        struct om_str payload;
        const char *code;
    } cases[] = {
        { OM_LIT(""), "invalid_request" },
        { OM_LIT("\x90"), "invalid_request" },
        { OM_LIT("\x91\x01"), "malformed" },
        { OM_LIT("\x91\x80"), "malformed" },
        { OM_LIT("\x92\x81\xa6header\xc4\x01x"), "malformed" },
        { OM_LIT("\xdd\xff\xff\xff\xff"), "invalid_request" },
        { OM_LIT("\xdc\x03\xe9"), "invalid_request" },
        { OM_LIT("nonsense"), "invalid_request" },
    };
    struct bench bench;
    jobs_open(&bench);
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        batch_send_payload(&bench, i % 2, cases[i].payload);
        struct om_str code = bench_refusal(&bench, BENCH_CLIENT, WIRE_ERROR);
        cr_expect(om_str_eq(code, om_str(cases[i].code)), "case %zu: %.*s", i,
                  (int)code.size, code.data);
    }
    cr_expect_eq(core_stats(bench.core).open_tasks, 0);
    bench_finish(&bench);
}

Test(batch, refuses_a_job_whose_header_is_no_submit)
{
    struct bench bench;
    jobs_open(&bench);
    batch_send_payload(&bench, false, OM_LIT("\x91\x81\xa6header\xc4\x01x"));
    EXPECT_ITEMS(&bench, "malformed");
    bench_finish(&bench);
}

Test(batch, refuses_all_when_the_commit_fails)
{
    struct bench bench;
    struct job jobs[2];
    jobs_open(&bench);
    for (size_t i = 0; i < OM_COUNT(jobs); i++)
        job_init(&bench, &jobs[i]);
    for (int atomic = 0; atomic < 2; atomic++) {
        batch_send(&bench, atomic, jobs, OM_COUNT(jobs));
        cr_assert(bench_commit(&bench, OM_ENOSPACE));
        EXPECT_ITEMS(&bench, "storage_full", "storage_full");
    }
    cr_expect_eq(core_stats(bench.core).open_tasks, 0);
    bench_finish(&bench);
}

Test(batch, takes_an_atomic_one_in_one_set_of_one_commit)
{
    struct bench bench;
    struct job jobs[3];
    jobs_open(&bench);
    for (size_t i = 0; i < OM_COUNT(jobs); i++)
        job_init(&bench, &jobs[i]);
    job_depend(&jobs[0], &jobs[2]); // in any order
    batch_send(&bench, true, jobs, OM_COUNT(jobs));
    struct batch *batch = core_take_batch(bench.core);
    cr_assert(batch);
    cr_assert_eq(batch->count, 3);
    for (size_t i = 0; i < batch->count; i++) {
        cr_expect_eq(batch->changes[i].task.set, batch->changes[0].task.set);
        cr_expect_not(batch->changes[i].task.set_known);
    }
    cr_expect_neq(batch->changes[0].task.set, 0);
    cr_expect(batch->changes[0].task.depends);
    core_committed(bench.core, bench.now, &batch, OM_OK);
    EXPECT_ITEMS(&bench, "ok", "ok", "ok");
    cr_expect_eq(bench_get_state(&bench, &jobs[0].id), STATE_BLOCKED);
    cr_expect_eq(bench_get_state(&bench, &jobs[1].id), STATE_READY);
    jobs_free(jobs, OM_COUNT(jobs));
    bench_finish(&bench);
}

Test(batch, takes_nothing_of_an_atomic_one_when_a_job_is_refused)
{
    struct bench bench;
    struct job jobs[3];
    jobs_open(&bench);
    for (size_t i = 0; i < OM_COUNT(jobs); i++)
        job_init(&bench, &jobs[i]);
    WIRE_SET(&jobs[2].msg, queue, OM_LIT("NO"));
    batch_send(&bench, true, jobs, OM_COUNT(jobs));
    EXPECT_ITEMS(&bench, "conflict", "conflict", "invalid_request");
    cr_expect_eq(core_stats(bench.core).open_tasks, 0);

    WIRE_SET(&jobs[2].msg, queue, OM_LIT("own"));
    WIRE_SET(&jobs[1].msg, tenant, BENCH_STRANGER);
    batch_send(&bench, true, jobs, OM_COUNT(jobs));
    EXPECT_ITEMS(&bench, "conflict", "invalid_request", "conflict");
    cr_expect_eq(core_stats(bench.core).open_tasks, 0);
    bench_finish(&bench);
}

Test(batch, takes_nothing_of_an_atomic_one_with_a_cycle)
{
    struct bench bench;
    struct job jobs[4];
    jobs_open(&bench);
    for (size_t i = 0; i < OM_COUNT(jobs); i++)
        job_init(&bench, &jobs[i]);
    job_depend(&jobs[0], &jobs[1]);
    job_depend(&jobs[1], &jobs[2]);
    job_depend(&jobs[2], &jobs[0]);
    batch_send(&bench, true, jobs, OM_COUNT(jobs));
    EXPECT_ITEMS(&bench, "invalid_request", "conflict", "conflict", "conflict");
    cr_expect_eq(core_stats(bench.core).open_tasks, 0);
    jobs_free(jobs, OM_COUNT(jobs));
    bench_finish(&bench);
}

Test(batch, waits_with_an_atomic_one_until_all_parents_were_read)
{
    struct bench bench;
    struct job jobs[3], outside;
    jobs_open(&bench);
    job_init(&bench, &outside);
    for (size_t i = 0; i < OM_COUNT(jobs); i++)
        job_init(&bench, &jobs[i]);
    job_depend(&jobs[1], &outside);
    batch_send(&bench, true, jobs, OM_COUNT(jobs));
    cr_expect_not(bench_commit(&bench, OM_OK));
    bench_answer_task(&bench, OM_ENOTFOUND, NULL);
    EXPECT_ITEMS(&bench, "conflict", "invalid_request", "conflict");
    cr_expect_eq(core_stats(bench.core).open_tasks, 0);

    batch_send(&bench, true, jobs, OM_COUNT(jobs));
    struct stored_task stored = { .seq = 1, .id = outside.id, .state = STATE_SUCCEEDED };
    bench_answer_task(&bench, OM_OK, &stored);
    cr_assert(bench_commit(&bench, OM_OK));
    EXPECT_ITEMS(&bench, "ok", "ok", "ok");
    cr_expect_eq(bench_get_state(&bench, &jobs[1].id), STATE_READY);
    jobs_free(jobs, OM_COUNT(jobs));
    bench_finish(&bench);
}

Test(batch, hears_from_the_store_that_an_atomic_one_was_known_in_part_or_whole)
{
    struct bench bench;
    struct job jobs[2];
    jobs_open(&bench);
    for (size_t i = 0; i < OM_COUNT(jobs); i++)
        job_init(&bench, &jobs[i]);
    job_depend(&jobs[1], &jobs[0]);
    for (size_t known = 1; known <= 2; known++) {
        batch_send(&bench, true, jobs, OM_COUNT(jobs));
        struct batch *batch = core_take_batch(bench.core);
        cr_assert(batch);
        for (size_t i = 0; i < known; i++)
            batch_know(batch, i, KNOWN_ID, &jobs[i]);
        leave_out(batch);
        core_committed(bench.core, bench.now, &batch, OM_OK);
        if (known == 1)
            EXPECT_ITEMS(&bench, "dup", "conflict");
        else
            EXPECT_ITEMS(&bench, "dup", "dup");
        cr_expect_eq(core_stats(bench.core).open_tasks, 0);
    }
    jobs_free(jobs, OM_COUNT(jobs));
    bench_finish(&bench);
}

Test(batch, tells_the_store_that_a_job_of_an_atomic_one_is_known_in_memory)
{
    struct bench bench;
    struct job jobs[2];
    jobs_open(&bench);
    for (size_t i = 0; i < OM_COUNT(jobs); i++)
        job_init(&bench, &jobs[i]);
    batch_send(&bench, false, jobs, 1);
    bench_settle(&bench);
    batch_send(&bench, true, jobs, 2);
    struct batch *batch = core_take_batch(bench.core);
    cr_assert(batch);
    cr_assert_eq(batch->count, 1);
    cr_expect(batch->changes[0].task.set_known);
    leave_out(batch);
    core_committed(bench.core, bench.now, &batch, OM_OK);
    EXPECT_ITEMS(&bench, "dup", "conflict");
    bench_finish(&bench);
}

Test(batch, holds_as_many_jobs_as_it_says)
{
    struct bench bench;
    struct job job;
    struct om_buf array = { 0 };
    jobs_open(&bench);
    om_pack_array(&array, 1000);
    for (int i = 0; i < 1000; i++) {
        struct om_buf header = { 0 };
        struct wire_batch_job item = { 0 };
        uint8_t entropy[10] = { [5] = (uint8_t)i, [6] = (uint8_t)(i >> 8) };
        job_init(&bench, &job);
        struct om_uuid id = om_uuid_make(bench.now.wall_ms, entropy, 1);
        om_typeid_encode(OM_ID_TASK, &id, job.text);
        wire_encode(WIRE_SUBMIT, &job.msg, &header);
        REC_SET(&item, wire_batch_job, header, om_buf_str(&header));
        rec_encode(&wire_batch_job_rec, &item, &array);
        om_buf_finish(&header);
    }
    batch_send_payload(&bench, true, om_buf_str(&array));
    struct batch *batch = core_take_batch(bench.core);
    cr_assert(batch);
    cr_expect_eq(batch->count, 1000);
    core_committed(bench.core, bench.now, &batch, OM_OK);
    bench_expect(&bench, BENCH_CLIENT, WIRE_BATCH);
    cr_expect_eq(core_stats(bench.core).submitted, 1000);
    om_buf_finish(&array);
    bench_finish(&bench);
}
