// Batches of jobs, and keys that name a job beside its id.
#include <criterion/criterion.h>
#include <stdlib.h>

#include "bench.h"

enum { JOBS_MAX = 8 };

static void
open_bench(struct bench *bench)
{
    bench_init(bench);
    bench_hello(bench, BENCH_CLIENT, "ingest", "i1");
}

// A job that is fine; tests spoil it. The id's text is kept in `text`.
struct job {
    struct om_uuid id;
    char text[OM_TYPEID_MAX];
    struct wire_msg msg;
    struct om_buf list;
};

static void
job_init(struct bench *bench, struct job *job)
{
    *job = (struct job){ .id = bench_task(bench, 1) };
    om_typeid_encode(OM_ID_TASK, &job->id, job->text);
    WIRE_SET(&job->msg, id, OM_LIT("j"));
    WIRE_SET(&job->msg, task, om_str(job->text));
    WIRE_SET(&job->msg, queue, OM_LIT("own"));
    WIRE_SET(&job->msg, kind, OM_LIT("test"));
    WIRE_SET(&job->msg, hash, OM_LIT("0123456789abcdef0123456789abcdef"));
}

static void
depend_on(struct job *job, const struct job *parent)
{
    om_pack_array(&job->list, 1);
    om_pack_str(&job->list, om_str(parent->text));
    WIRE_SET(&job->msg, depends_on, om_buf_str(&job->list));
}

static void
free_jobs(struct job *jobs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        om_buf_finish(&jobs[i].list);
}

static void
send_payload(struct bench *bench, bool atomic, struct om_str bytes)
{
    struct wire_msg msg = { 0 };
    struct om_buf header = { 0 };
    WIRE_SET(&msg, id, OM_LIT("b1"));
    WIRE_SET(&msg, tenant, BENCH_TENANT);
    WIRE_SET(&msg, atomic, atomic);
    wire_encode(WIRE_SUBMIT_BATCH, &msg, &header);
    struct payload *payload = payload_copy(bytes);
    core_receive(bench->core, bench->now, BENCH_CLIENT, &bench_local, om_buf_str(&header),
                 payload);
    payload_unref(&payload);
    om_buf_finish(&header);
}

static void
send_batch(struct bench *bench, bool atomic, const struct job *jobs, size_t count)
{
    struct om_buf array = { 0 };
    om_pack_array(&array, count);
    for (size_t i = 0; i < count; i++) {
        struct om_buf header = { 0 };
        struct wire_batch_job job = { 0 };
        wire_encode(WIRE_SUBMIT, &jobs[i].msg, &header);
        REC_SET(&job, wire_batch_job, header, om_buf_str(&header));
        REC_SET(&job, wire_batch_job, payload, OM_LIT("x"));
        rec_encode(&wire_batch_job_rec, &job, &array);
        om_buf_finish(&header);
    }
    send_payload(bench, atomic, om_buf_str(&array));
    om_buf_finish(&array);
}

// What BATCH says of each job, as one word: ok, dup, or the code.
static void
expect_items(struct bench *bench, const char *const *words, size_t count)
{
    bench_expect(bench, BENCH_CLIENT, WIRE_BATCH);
    cr_expect(om_str_eq(bench->msg.id, OM_LIT("b1")));
    struct rec_iter iter = rec_iter(payload_bytes(bench->sent.payload));
    cr_assert_eq(iter.left, count);
    struct wire_batch_item item;
    struct om_str bytes;
    for (size_t i = 0; rec_next_rec(&iter, &wire_batch_item_rec, &item, &bytes); i++) {
        struct om_str word = item.code.data   ? item.code
                             : item.duplicate ? OM_LIT("dup")
                                              : OM_LIT("ok");
        cr_expect(om_str_eq(word, om_str(words[i])), "job %zu: %.*s %.*s", i,
                  (int)word.size, word.data, (int)item.text.size, item.text.data);
    }
}

#define EXPECT_ITEMS(bench, ...)                                                         \
    expect_items(bench, (const char *const[]){ __VA_ARGS__ },                            \
                 OM_COUNT(((const char *const[]){ __VA_ARGS__ })))

// The store knows the job at this place of the batch, by that.
static void
know(struct batch *batch, size_t place, enum known_by by, const struct job *known)
{
    struct change *change = &batch->changes[place];
    change->duplicate = true;
    change->known_by = by;
    change->known_id = known->id;
    memcpy(change->known_hash, known->msg.hash.data, sizeof(change->known_hash));
}

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
    open_bench(&bench);
    for (size_t i = 0; i < OM_COUNT(jobs); i++)
        job_init(&bench, &jobs[i]);
    WIRE_SET(&jobs[1].msg, queue, OM_LIT("omni.nothing"));
    send_batch(&bench, false, jobs, OM_COUNT(jobs));
    bench_expect_nothing(&bench);
    cr_assert(bench_commit(&bench, OM_OK));
    EXPECT_ITEMS(&bench, "ok", "invalid_request", "ok");
    cr_expect_eq(core_stats(bench.core).open_tasks, 2);

    send_batch(&bench, false, jobs, OM_COUNT(jobs)); // said again
    EXPECT_ITEMS(&bench, "dup", "invalid_request", "dup");
    bench_finish(&bench);
}

Test(batch, answers_once_when_it_is_said_again_before_it_is_durable)
{
    struct bench bench;
    struct job jobs[2];
    open_bench(&bench);
    for (size_t i = 0; i < OM_COUNT(jobs); i++)
        job_init(&bench, &jobs[i]);
    send_batch(&bench, false, jobs, OM_COUNT(jobs));
    send_batch(&bench, false, jobs, OM_COUNT(jobs));
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
    open_bench(&bench);
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        send_payload(&bench, i % 2, cases[i].payload);
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
    open_bench(&bench);
    send_payload(&bench, false, OM_LIT("\x91\x81\xa6header\xc4\x01x"));
    EXPECT_ITEMS(&bench, "malformed");
    bench_finish(&bench);
}

Test(batch, refuses_all_when_the_commit_fails)
{
    struct bench bench;
    struct job jobs[2];
    open_bench(&bench);
    for (size_t i = 0; i < OM_COUNT(jobs); i++)
        job_init(&bench, &jobs[i]);
    for (int atomic = 0; atomic < 2; atomic++) {
        send_batch(&bench, atomic, jobs, OM_COUNT(jobs));
        cr_assert(bench_commit(&bench, OM_ENOSPACE));
        EXPECT_ITEMS(&bench, "storage_full", "storage_full");
    }
    cr_expect_eq(core_stats(bench.core).open_tasks, 0);
    bench_finish(&bench);
}

// ---- all or none

Test(batch, takes_an_atomic_one_in_one_set_of_one_commit)
{
    struct bench bench;
    struct job jobs[3];
    open_bench(&bench);
    for (size_t i = 0; i < OM_COUNT(jobs); i++)
        job_init(&bench, &jobs[i]);
    depend_on(&jobs[0], &jobs[2]); // in any order
    send_batch(&bench, true, jobs, OM_COUNT(jobs));
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
    free_jobs(jobs, OM_COUNT(jobs));
    bench_finish(&bench);
}

Test(batch, takes_nothing_of_an_atomic_one_when_a_job_is_refused)
{
    struct bench bench;
    struct job jobs[3];
    open_bench(&bench);
    for (size_t i = 0; i < OM_COUNT(jobs); i++)
        job_init(&bench, &jobs[i]);
    WIRE_SET(&jobs[2].msg, queue, OM_LIT("NO"));
    send_batch(&bench, true, jobs, OM_COUNT(jobs));
    EXPECT_ITEMS(&bench, "conflict", "conflict", "invalid_request");
    cr_expect_eq(core_stats(bench.core).open_tasks, 0);

    WIRE_SET(&jobs[2].msg, queue, OM_LIT("own"));
    WIRE_SET(&jobs[1].msg, tenant, BENCH_STRANGER);
    send_batch(&bench, true, jobs, OM_COUNT(jobs));
    EXPECT_ITEMS(&bench, "conflict", "invalid_request", "conflict");
    cr_expect_eq(core_stats(bench.core).open_tasks, 0);
    bench_finish(&bench);
}

Test(batch, takes_nothing_of_an_atomic_one_with_a_cycle)
{
    struct bench bench;
    struct job jobs[4];
    open_bench(&bench);
    for (size_t i = 0; i < OM_COUNT(jobs); i++)
        job_init(&bench, &jobs[i]);
    depend_on(&jobs[0], &jobs[1]);
    depend_on(&jobs[1], &jobs[2]);
    depend_on(&jobs[2], &jobs[0]);
    send_batch(&bench, true, jobs, OM_COUNT(jobs));
    EXPECT_ITEMS(&bench, "invalid_request", "conflict", "conflict", "conflict");
    cr_expect_eq(core_stats(bench.core).open_tasks, 0);
    free_jobs(jobs, OM_COUNT(jobs));
    bench_finish(&bench);
}

Test(batch, waits_with_an_atomic_one_until_all_parents_were_read)
{
    struct bench bench;
    struct job jobs[3], outside;
    open_bench(&bench);
    job_init(&bench, &outside);
    for (size_t i = 0; i < OM_COUNT(jobs); i++)
        job_init(&bench, &jobs[i]);
    depend_on(&jobs[1], &outside);
    send_batch(&bench, true, jobs, OM_COUNT(jobs));
    cr_expect_not(bench_commit(&bench, OM_OK));
    bench_answer_task(&bench, OM_ENOTFOUND, NULL);
    EXPECT_ITEMS(&bench, "conflict", "invalid_request", "conflict");
    cr_expect_eq(core_stats(bench.core).open_tasks, 0);

    send_batch(&bench, true, jobs, OM_COUNT(jobs));
    struct stored_task stored = { .seq = 1, .id = outside.id, .state = STATE_SUCCEEDED };
    bench_answer_task(&bench, OM_OK, &stored);
    cr_assert(bench_commit(&bench, OM_OK));
    EXPECT_ITEMS(&bench, "ok", "ok", "ok");
    cr_expect_eq(bench_get_state(&bench, &jobs[1].id), STATE_READY);
    free_jobs(jobs, OM_COUNT(jobs));
    bench_finish(&bench);
}

Test(batch, hears_from_the_store_that_an_atomic_one_was_known_in_part_or_whole)
{
    struct bench bench;
    struct job jobs[2];
    open_bench(&bench);
    for (size_t i = 0; i < OM_COUNT(jobs); i++)
        job_init(&bench, &jobs[i]);
    depend_on(&jobs[1], &jobs[0]);
    for (size_t known = 1; known <= 2; known++) {
        send_batch(&bench, true, jobs, OM_COUNT(jobs));
        struct batch *batch = core_take_batch(bench.core);
        cr_assert(batch);
        for (size_t i = 0; i < known; i++)
            know(batch, i, KNOWN_ID, &jobs[i]);
        leave_out(batch);
        core_committed(bench.core, bench.now, &batch, OM_OK);
        if (known == 1)
            EXPECT_ITEMS(&bench, "dup", "conflict");
        else
            EXPECT_ITEMS(&bench, "dup", "dup");
        cr_expect_eq(core_stats(bench.core).open_tasks, 0);
    }
    free_jobs(jobs, OM_COUNT(jobs));
    bench_finish(&bench);
}

Test(batch, tells_the_store_that_a_job_of_an_atomic_one_is_known_in_memory)
{
    struct bench bench;
    struct job jobs[2];
    open_bench(&bench);
    for (size_t i = 0; i < OM_COUNT(jobs); i++)
        job_init(&bench, &jobs[i]);
    send_batch(&bench, false, jobs, 1);
    bench_settle(&bench);
    send_batch(&bench, true, jobs, 2);
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
    open_bench(&bench);
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
    send_payload(&bench, true, om_buf_str(&array));
    struct batch *batch = core_take_batch(bench.core);
    cr_assert(batch);
    cr_expect_eq(batch->count, 1000);
    core_committed(bench.core, bench.now, &batch, OM_OK);
    bench_expect(&bench, BENCH_CLIENT, WIRE_BATCH);
    cr_expect_eq(core_stats(bench.core).submitted, 1000);
    om_buf_finish(&array);
    bench_finish(&bench);
}

// ---- keys

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
    open_bench(&bench);
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
    open_bench(&bench);
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
    open_bench(&bench);
    job_init(&bench, &known);
    for (size_t i = 0; i < OM_COUNT(jobs); i++) {
        job_init(&bench, &jobs[i]);
        WIRE_SET(&jobs[i].msg, unique_key, OM_LIT("k"));
    }
    WIRE_SET(&jobs[0].msg, hash, OM_LIT("another content of the same size"));
    send_batch(&bench, false, jobs, OM_COUNT(jobs));
    struct batch *batch = core_take_batch(bench.core);
    cr_assert(batch);
    know(batch, 0, KNOWN_ID, &known);
    core_committed(bench.core, bench.now, &batch, OM_OK);
    EXPECT_ITEMS(&bench, "id_reused", "conflict");
    bench_finish(&bench);
}

Test(key, of_one_tenant_is_not_anothers)
{
    struct bench bench;
    struct job first;
    open_bench(&bench);
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
        open_bench(&bench);
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
        know(batch, 0, cases[i].by, &known);
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
    open_bench(&bench);
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

// ---- old ids

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
        open_bench(&bench);
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
    open_bench(&bench);
    job_init(&bench, &job);
    bench.now.wall_ms -= 24 * 3600 * 1000 + 1;
    submit(&bench, BENCH_CLIENT, &job, "a");
    cr_expect(om_str_eq(bench_refusal(&bench, BENCH_CLIENT, WIRE_REJECT),
                        OM_LIT("invalid_request")));
    bench_finish(&bench);
}
