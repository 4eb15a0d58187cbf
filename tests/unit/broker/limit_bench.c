#include <criterion/criterion.h>

#include "limit_bench.h"

void
limit_steer(struct bench *bench, const char *action, const char *queue, const char *key,
            const struct wire_setting *setting)
{
    struct om_buf settings = { 0 };
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, id, OM_LIT("q"));
    WIRE_SET(&msg, action, om_str(action));
    WIRE_SET(&msg, tenant, BENCH_TENANT);
    if (queue)
        WIRE_SET(&msg, queue, om_str(queue));
    if (key)
        WIRE_SET(&msg, limit_key, om_str(key));
    if (setting) {
        rec_encode(&wire_setting_rec, setting, &settings);
        WIRE_SET(&msg, settings, om_buf_str(&settings));
    }
    bench_send(bench, BENCH_CLIENT, &bench_local, WIRE_QUEUE, &msg, NULL);
    om_buf_finish(&settings);
}

void
limit_set(struct bench *bench, const char *queue, const char *key,
          const struct wire_setting *setting)
{
    limit_steer(bench, "set", queue, key, setting);
    while (bench_commit(bench, OM_OK))
        ;
    bench_find(bench, BENCH_CLIENT, WIRE_QUEUES);
}

struct wire_setting
setting_concurrency(int64_t count)
{
    struct wire_setting setting = { 0 };
    REC_SET(&setting, wire_setting, concurrency, count);
    return setting;
}

struct wire_setting
setting_rate(int64_t count, int64_t ms)
{
    struct wire_setting setting = { 0 };
    REC_SET(&setting, wire_setting, rate, count);
    REC_SET(&setting, wire_setting, rate_ms, ms);
    return setting;
}

static void
submit_key(struct bench *bench, const char *queue, const char *key)
{
    struct om_uuid id = bench_task(bench, 1);
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, id, OM_LIT("m"));
    WIRE_SET(&msg, task, bench_task_text(&id));
    WIRE_SET(&msg, tenant, BENCH_TENANT);
    WIRE_SET(&msg, queue, om_str(queue));
    WIRE_SET(&msg, kind, OM_LIT("test"));
    if (key)
        WIRE_SET(&msg, limit_key, om_str(key));
    bench_send(bench, BENCH_CLIENT, &bench_local, WIRE_SUBMIT, &msg, "x");
}

void
limit_submit(struct bench *bench, const char *queue, const char *key, int count)
{
    for (int i = 0; i < count; i++)
        submit_key(bench, queue, key);
    bench_settle(bench);
    bench_pass(bench, 1); // the next ids are of another time
}

void
limit_pass(struct bench *bench, int64_t ms)
{
    struct wire_msg msg = { 0 };
    for (int64_t step_ms; ms > 0; ms -= step_ms) {
        step_ms = ms < 3000 ? ms : 3000;
        bench_send(bench, BENCH_WORKER, &bench_local, WIRE_PING, &msg, NULL);
        bench_send(bench, BENCH_CLIENT, &bench_local, WIRE_PING, &msg, NULL);
        bench_pass(bench, step_ms);
    }
}

int
limit_jobs_sent(struct bench *bench, char (*tokens)[WIRE_TOKEN_BYTES], int most)
{
    int count = 0;
    do
        while (core_next_send(bench->core, &bench->sent)) {
            cr_assert_eq(wire_decode(bench->sent.header, &bench->msg), OM_OK);
            if (bench->msg.type != WIRE_JOB)
                continue;
            if (tokens && count < most)
                memcpy(tokens[count], bench->msg.token.data, WIRE_TOKEN_BYTES);
            count++;
        }
    while (bench_commit(bench, OM_OK));
    return count;
}

void
limit_bench(struct bench *bench)
{
    bench_init(bench);
    bench_hello(bench, BENCH_CLIENT, "ingest", "i1");
    bench_hello(bench, BENCH_WORKER, "inference", "w1");
}

struct wire_queue
limit_queue_row(struct bench *bench, const char *queue)
{
    struct wire_queue row;
    limit_steer(bench, "list", queue, NULL, NULL);
    bench_find(bench, BENCH_CLIENT, WIRE_QUEUES);
    struct rec_iter iter = rec_iter(payload_bytes(bench->sent.payload));
    struct om_str bytes;
    cr_assert(rec_next_raw(&iter, &bytes), "no row of %s", queue);
    cr_assert_eq(rec_decode(&wire_queue_rec, bytes, &row, NULL), OM_OK);
    return row;
}
