#include <criterion/criterion.h>

#include "bench_jobs.h"

void
jobs_open(struct bench *bench)
{
    bench_init(bench);
    bench_hello(bench, BENCH_CLIENT, "ingest", "i1");
}

void
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

void
job_depend(struct job *job, const struct job *parent)
{
    om_pack_array(&job->list, 1);
    om_pack_str(&job->list, om_str(parent->text));
    WIRE_SET(&job->msg, depends_on, om_buf_str(&job->list));
}

void
jobs_free(struct job *jobs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        om_buf_finish(&jobs[i].list);
}

void
batch_send_payload(struct bench *bench, bool atomic, struct om_str bytes)
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

void
batch_send(struct bench *bench, bool atomic, const struct job *jobs, size_t count)
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
    batch_send_payload(bench, atomic, om_buf_str(&array));
    om_buf_finish(&array);
}

void
batch_expect(struct bench *bench, const char *const *words, size_t count)
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

void
batch_know(struct batch *batch, size_t place, enum known_by by, const struct job *known)
{
    struct change *change = &batch->changes[place];
    change->duplicate = true;
    change->known_by = by;
    change->known_id = known->id;
    memcpy(change->known_hash, known->msg.hash.data, sizeof(change->known_hash));
}
