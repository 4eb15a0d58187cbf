// What names a job beside its id, and ids that are old.
#include <criterion/criterion.h>
#include <stdlib.h>

#include "bench_jobs.h"

static void
submit(struct bench *bench, core_conn conn, const struct job *job, const char *id)
{
    struct wire_msg msg = job->msg;
    WIRE_SET(&msg, tenant, BENCH_TENANT);
    WIRE_SET(&msg, id, om_str(id));
    bench_send(bench, conn, &bench_local, WIRE_SUBMIT, &msg, "x");
}

static void
expect_submitted(struct bench *bench, core_conn conn, const struct job *job,
                 const char *param)
{
    const struct wire_msg *msg = bench_find(bench, conn, WIRE_SUBMITTED);
    cr_expect(om_str_eq(msg->task, om_str(job->text)), "%.*s", (int)msg->task.size,
              msg->task.data);
    cr_expect_eq(msg->duplicate, param != NULL);
    cr_expect(om_str_eq(msg->param, om_str(param)), "%.*s", (int)msg->param.size,
              msg->param.data);
}

Test(key, makes_two_submits_one_job_before_either_is_durable)
{
    struct bench bench;
    struct job first, second;
    jobs_open(&bench);
    bench_hello(&bench, BENCH_OTHER, "ingest", "i2");
    for (int unique = 0; unique < 2; unique++) {
        job_init(&bench, &first);
        job_init(&bench, &second);
        for (struct job *job = &first; job; job = job == &first ? &second : NULL) {
            if (unique)
                WIRE_SET(&job->msg, unique_key, OM_LIT("k"));
            else
                WIRE_SET(&job->msg, idem_key, OM_LIT("k"));
        }
        submit(&bench, BENCH_CLIENT, &first, "a");
        submit(&bench, BENCH_OTHER, &second, "b");
        submit(&bench, BENCH_OTHER, &second, "b"); // again
        struct batch *batch = core_take_batch(bench.core);
        cr_assert(batch);
        cr_expect_eq(batch->count, 1);
        core_committed(bench.core, bench.now, &batch, OM_OK);
        expect_submitted(&bench, BENCH_CLIENT, &first, NULL);
        expect_submitted(&bench, BENCH_OTHER, &first, unique ? "unique_key" : "idem_key");
        bench_expect_nothing(&bench);
    }
    bench_finish(&bench);
}

Test(key, of_other_content_is_refused_unless_it_is_a_unique_one)
{
    struct bench bench;
    struct job first, second;
    jobs_open(&bench);
    job_init(&bench, &first);
    job_init(&bench, &second);
    WIRE_SET(&first.msg, idem_key, OM_LIT("k"));
    WIRE_SET(&first.msg, unique_key, OM_LIT("u"));
    WIRE_SET(&second.msg, idem_key, OM_LIT("k"));
    WIRE_SET(&second.msg, hash, OM_LIT("another content of the same size"));
    submit(&bench, BENCH_CLIENT, &first, "a");
    submit(&bench, BENCH_CLIENT, &second, "b");
    cr_expect(
        om_str_eq(bench_refusal(&bench, BENCH_CLIENT, WIRE_REJECT), OM_LIT("id_reused")));
    second.msg.has &= ~W(idem_key);
    second.msg.idem_key = (struct om_str){ 0 };
    WIRE_SET(&second.msg, unique_key, OM_LIT("u"));
    submit(&bench, BENCH_CLIENT, &second, "c");
    cr_assert(bench_commit(&bench, OM_OK));
    expect_submitted(&bench, BENCH_CLIENT, &first, NULL);
    expect_submitted(&bench, BENCH_CLIENT, &first, "unique_key");
    bench_finish(&bench);
}

Test(key, of_a_refused_job_keeps_another_of_its_batch_from_being_taken_and_says_so)
{
    struct bench bench;
    struct job jobs[2], known;
    jobs_open(&bench);
    job_init(&bench, &known);
    for (size_t i = 0; i < OM_COUNT(jobs); i++) {
        job_init(&bench, &jobs[i]);
        WIRE_SET(&jobs[i].msg, unique_key, OM_LIT("k"));
    }
    WIRE_SET(&jobs[0].msg, hash, OM_LIT("another content of the same size"));
    batch_send(&bench, false, jobs, OM_COUNT(jobs));
    struct batch *batch = core_take_batch(bench.core);
    cr_assert(batch);
    batch_know(batch, 0, KNOWN_ID, &known);
    core_committed(bench.core, bench.now, &batch, OM_OK);
    EXPECT_ITEMS(&bench, "id_reused", "conflict");
    bench_finish(&bench);
}

Test(key, of_one_tenant_is_not_anothers)
{
    struct bench bench;
    struct job first;
    jobs_open(&bench);
    job_init(&bench, &first);
    WIRE_SET(&first.msg, idem_key, OM_LIT("k"));
    submit(&bench, BENCH_CLIENT, &first, "a");
    struct om_uuid id = bench_task(&bench, 2);
    struct wire_msg msg = first.msg;
    WIRE_SET(&msg, tenant, BENCH_STRANGER);
    WIRE_SET(&msg, task, bench_task_text(&id));
    bench_send(&bench, BENCH_CLIENT, &bench_local, WIRE_SUBMIT, &msg, "x");
    cr_assert(bench_commit(&bench, OM_OK));
    cr_expect_eq(core_stats(bench.core).submitted, 2);
    bench_finish(&bench);
}

Test(key, is_answered_with_the_job_the_store_knows_by_it)
{
    static const struct {
        enum known_by by;
        bool other;
        const char *word;
    } cases[] = {
        { KNOWN_IDEM, false, "idem_key" },
        { KNOWN_IDEM, true, NULL },
        { KNOWN_UNIQUE, false, "unique_key" },
        { KNOWN_UNIQUE, true, "unique_key" },
    };
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        struct bench bench;
        struct job job, known;
        jobs_open(&bench);
        job_init(&bench, &job);
        job_init(&bench, &known);
        WIRE_SET(&job.msg, idem_key, OM_LIT("k"));
        WIRE_SET(&job.msg, unique_key, OM_LIT("u"));
        WIRE_SET(&job.msg, unique_ms, 5000);
        if (cases[i].other)
            WIRE_SET(&known.msg, hash, OM_LIT("another content of the same size"));
        submit(&bench, BENCH_CLIENT, &job, "a");
        struct batch *batch = core_take_batch(bench.core);
        cr_assert(batch);
        const struct change_task *task = &batch->changes[0].task;
        cr_expect(om_str_eq(task->idem_key, OM_LIT("k")));
        cr_expect(om_str_eq(task->unique_key, OM_LIT("u")));
        cr_expect_eq(task->unique_until_ms, bench.now.wall_ms + 5000);
        batch_know(batch, 0, cases[i].by, &known);
        core_committed(bench.core, bench.now, &batch, OM_OK);
        if (cases[i].word)
            expect_submitted(&bench, BENCH_CLIENT, &known, cases[i].word);
        else
            cr_expect(om_str_eq(bench_refusal(&bench, BENCH_CLIENT, WIRE_REJECT),
                                OM_LIT("id_reused")));
        cr_expect_eq(core_stats(bench.core).open_tasks, 0);
        bench_finish(&bench);
    }
}

Test(key, is_free_again_when_its_job_was_refused)
{
    struct bench bench;
    struct job first, second;
    jobs_open(&bench);
    bench_hello(&bench, BENCH_OTHER, "ingest", "i2");
    job_init(&bench, &first);
    job_init(&bench, &second);
    WIRE_SET(&first.msg, idem_key, OM_LIT("k"));
    WIRE_SET(&second.msg, idem_key, OM_LIT("k"));
    submit(&bench, BENCH_CLIENT, &first, "a");
    submit(&bench, BENCH_OTHER, &second, "b");
    cr_assert(bench_commit(&bench, OM_ENOSPACE));
    cr_expect(om_str_eq(bench_refusal(&bench, BENCH_CLIENT, WIRE_REJECT),
                        OM_LIT("storage_full")));
    cr_expect(om_str_eq(bench_refusal(&bench, BENCH_OTHER, WIRE_REJECT),
                        OM_LIT("storage_full")));
    submit(&bench, BENCH_OTHER, &second, "b");
    cr_assert(bench_commit(&bench, OM_OK));
    expect_submitted(&bench, BENCH_OTHER, &second, NULL);
    bench_finish(&bench);
}

Test(id, older_than_what_is_remembered_is_taken_only_if_it_is_known)
{
    static const struct {
        enum om_rc rc;
        const char *hash, *code;
    } cases[] = {
        { OM_ENOTFOUND, NULL, "expired" },
        { OM_EDB, NULL, "storage_error" },
        { OM_OK, "0123456789abcdef0123456789abcdef", NULL },
        { OM_OK, "another content of the same size", "id_reused" },
    };
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        struct bench bench;
        struct job job;
        struct om_buf header = { 0 };
        jobs_open(&bench);
        job_init(&bench, &job);
        bench.now.wall_ms += 24 * 3600 * 1000 + 1;
        submit(&bench, BENCH_CLIENT, &job, "a");
        cr_assert_not(bench_commit(&bench, OM_OK));
        struct wire_msg msg = job.msg;
        WIRE_SET(&msg, hash, om_str(cases[i].hash));
        wire_encode(WIRE_SUBMIT, &msg, &header);
        struct stored_task stored = { .id = job.id, .header = om_buf_str(&header) };
        bench_answer_task(&bench, cases[i].rc, cases[i].rc == OM_OK ? &stored : NULL);
        if (cases[i].code)
            cr_expect(om_str_eq(bench_refusal(&bench, BENCH_CLIENT, WIRE_REJECT),
                                om_str(cases[i].code)),
                      "case %zu", i);
        else
            cr_expect(bench_expect(&bench, BENCH_CLIENT, WIRE_SUBMITTED)->duplicate);
        cr_expect_eq(core_stats(bench.core).open_tasks, 0);
        om_buf_finish(&header);
        bench_finish(&bench);
    }
}

Test(id, of_a_time_to_come_is_refused)
{
    struct bench bench;
    struct job job;
    jobs_open(&bench);
    job_init(&bench, &job);
    bench.now.wall_ms -= 24 * 3600 * 1000 + 1;
    submit(&bench, BENCH_CLIENT, &job, "a");
    cr_expect(om_str_eq(bench_refusal(&bench, BENCH_CLIENT, WIRE_REJECT),
                        OM_LIT("invalid_request")));
    bench_finish(&bench);
}
