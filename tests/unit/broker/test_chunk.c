#include <criterion/criterion.h>
#include <stdlib.h>

#include "bench.h"

struct fixture {
    struct bench bench;
    struct om_uuid task;
    char token[WIRE_TOKEN_BYTES];
};

// A running task; nothing waits to be sent or committed.
static void
open_fixture(struct fixture *self, const struct core_conf *conf)
{
    if (conf)
        bench_init_conf(&self->bench, conf);
    else
        bench_init(&self->bench);
    bench_hello(&self->bench, BENCH_CLIENT, "ingest", "i1");
    self->task = bench_submitted(&self->bench, "omni.inference");
    bench_hello(&self->bench, BENCH_WORKER, "inference", "w1");
    bench_credit(&self->bench, BENCH_WORKER, "omni.inference", 1);
    bench_take_job(&self->bench, BENCH_WORKER, self->token);
    bench_say(&self->bench, BENCH_WORKER, WIRE_START, self->token);
    bench_settle(&self->bench);
}

// CHUNK number `seq` of the worker; 0: without a number.
static void
emit(struct fixture *self, int64_t seq, const char *payload)
{
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, token, ((struct om_str){ self->token, sizeof(self->token) }));
    WIRE_SET(&msg, id, OM_LIT("c1"));
    if (seq)
        WIRE_SET(&msg, seq, seq);
    bench_send(&self->bench, BENCH_WORKER, &bench_local, WIRE_CHUNK, &msg, payload);
}

static void
watch_for(struct fixture *self, const char *id, int64_t after, int64_t ttl_ms)
{
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, id, om_str(id));
    WIRE_SET(&msg, tenant, BENCH_TENANT);
    WIRE_SET(&msg, task, bench_task_text(&self->task));
    WIRE_SET(&msg, ttl_ms, ttl_ms);
    if (after >= 0)
        WIRE_SET(&msg, seq, after);
    bench_send(&self->bench, BENCH_CLIENT, &bench_local, WIRE_WATCH, &msg, NULL);
}

static void
watch(struct fixture *self, const char *id, int64_t after)
{
    watch_for(self, id, after, 60000);
}

// The next message for the client is a chunk with this payload; returns its number.
static int64_t
expect_chunk(struct fixture *self, const char *payload)
{
    const struct wire_msg *msg = bench_expect(&self->bench, BENCH_CLIENT, WIRE_CHUNK);
    struct om_str bytes = payload_bytes(self->bench.sent.payload);
    cr_expect(om_str_eq(bytes, om_str(payload)), "%.*s came, not %s", (int)bytes.size,
              bytes.data, payload);
    return msg->seq;
}

static int64_t
expect_event(struct fixture *self, enum task_state state, bool last)
{
    const struct wire_msg *msg = bench_expect(&self->bench, BENCH_CLIENT, WIRE_EVENT);
    cr_expect_eq(bench_state(msg), state);
    cr_expect_eq(msg->drain, last);
    return msg->seq;
}

// Answer the read of chunks with those of `payloads` from number `first` on.
static void
answer_read(struct fixture *self, int64_t after, int64_t first, size_t count,
            const char *const *payloads)
{
    struct read *read = core_next_read(self->bench.core);
    cr_assert(read, "no read was asked for");
    cr_assert_eq(read->kind, READ_CHUNKS);
    cr_expect_eq(read->after_seq, after);
    read->chunks = calloc(count + 1, sizeof(*read->chunks));
    cr_assert(read->chunks);
    for (size_t i = 0; i < count; i++)
        read->chunks[i] =
            (struct change_chunk){ .seq = first + (int64_t)i,
                                   .attempt = 1,
                                   .payload = payload_copy(om_str(payloads[i])) };
    read->count = count;
    core_read_done(self->bench.core, self->bench.now, &read);
}

Test(chunk, reaches_who_watches_before_it_is_stored)
{
    struct fixture f;
    open_fixture(&f, NULL);
    watch(&f, "w1", 0);
    int64_t state_seq = expect_event(&f, STATE_RUNNING, false);
    emit(&f, 1, "one");
    emit(&f, 2, "two");
    int64_t first = expect_chunk(&f, "one");
    cr_expect_gt(first, state_seq);
    cr_expect_gt(expect_chunk(&f, "two"), first);
    struct batch *batch = core_take_batch(f.bench.core);
    cr_assert(batch);
    cr_assert_eq(batch->count, 2);
    cr_expect_eq(batch->changes[0].kind, CHANGE_CHUNK);
    cr_expect_eq(batch->changes[0].chunk.seq, first);
    cr_expect_eq(batch->changes[0].chunk.attempt, 1);
    core_committed(f.bench.core, f.bench.now, &batch, OM_OK);
    bench_expect_nothing(&f.bench);
    bench_finish(&f.bench);
}

Test(chunk, is_not_sent_to_a_watch_without_a_number)
{
    struct fixture f;
    open_fixture(&f, NULL);
    watch(&f, "w1", -1);
    expect_event(&f, STATE_RUNNING, false);
    emit(&f, 1, "one");
    bench_expect_nothing(&f.bench);
    bench_finish(&f.bench);
}

Test(chunk, sent_again_counts_once)
{
    struct fixture f;
    open_fixture(&f, NULL);
    watch(&f, "w1", 0);
    expect_event(&f, STATE_RUNNING, false);
    emit(&f, 1, "one");
    emit(&f, 1, "one");
    emit(&f, 2, "two");
    emit(&f, 1, "one");
    expect_chunk(&f, "one");
    expect_chunk(&f, "two");
    bench_expect_nothing(&f.bench);
    bench_finish(&f.bench);
}

Test(chunk, of_a_lease_that_is_over_is_answered_stale)
{
    struct fixture f;
    open_fixture(&f, NULL);
    watch(&f, "w1", 0);
    expect_event(&f, STATE_RUNNING, false);
    f.token[31] ^= 1;
    emit(&f, 1, "old");
    bench_expect(&f.bench, BENCH_WORKER, WIRE_STALE);
    bench_expect_nothing(&f.bench);
    bench_finish(&f.bench);
}

Test(chunk, that_is_not_stored_yet_is_replayed_from_memory)
{
    struct fixture f;
    open_fixture(&f, NULL);
    emit(&f, 1, "one");
    emit(&f, 2, "two");
    watch(&f, "w1", 0);
    int64_t first = expect_chunk(&f, "one");
    int64_t second = expect_chunk(&f, "two");
    cr_expect_geq(expect_event(&f, STATE_RUNNING, false), second);
    watch(&f, "w2", first);
    expect_chunk(&f, "two");
    expect_event(&f, STATE_RUNNING, false);
    bench_finish(&f.bench);
}

Test(chunk, replay_joins_what_is_stored_and_what_is_not)
{
    struct fixture f;
    open_fixture(&f, NULL);
    emit(&f, 1, "one");
    watch(&f, "w1", 0);
    int64_t first = expect_chunk(&f, "one");
    expect_event(&f, STATE_RUNNING, false);
    cr_assert(bench_commit(&f.bench, OM_OK));

    watch(&f, "w2", 0);
    emit(&f, 2, "two"); // comes while the store is read
    cr_expect_eq(expect_chunk(&f, "two"), first + 1);
    bench_expect_nothing(&f.bench);
    answer_read(&f, 0, first, 1, (const char *[]){ "one" });
    expect_chunk(&f, "one");
    expect_chunk(&f, "two");
    expect_event(&f, STATE_RUNNING, false);
    bench_expect_nothing(&f.bench);
    bench_finish(&f.bench);
}

Test(chunk, made_durable_during_a_read_is_read_once_more)
{
    struct fixture f;
    open_fixture(&f, NULL);
    emit(&f, 1, "one");
    cr_assert(bench_commit(&f.bench, OM_OK));
    watch(&f, "w1", 0);
    emit(&f, 2, "two");
    cr_assert(bench_commit(&f.bench, OM_OK)); // after the read was handed out
    answer_read(&f, 0, 4, 1, (const char *[]){ "one" });
    expect_chunk(&f, "one");
    bench_expect_nothing(&f.bench);
    answer_read(&f, 4, 5, 1, (const char *[]){ "two" });
    expect_chunk(&f, "two");
    expect_event(&f, STATE_RUNNING, false);
    bench_finish(&f.bench);
}

Test(chunk, comes_before_the_end_of_a_task_that_ends_during_the_replay)
{
    struct fixture f;
    open_fixture(&f, NULL);
    emit(&f, 1, "one");
    cr_assert(bench_commit(&f.bench, OM_OK));
    watch(&f, "w1", 0);
    bench_say(&f.bench, BENCH_WORKER, WIRE_DONE, f.token);
    cr_assert(bench_commit(&f.bench, OM_OK));
    bench_expect(&f.bench, BENCH_WORKER, WIRE_DONE_ACK);
    bench_expect_nothing(&f.bench);
    answer_read(&f, 0, 4, 1, (const char *[]){ "one" });
    int64_t chunk = expect_chunk(&f, "one");
    cr_expect_gt(expect_event(&f, STATE_SUCCEEDED, true), chunk);
    bench_expect_nothing(&f.bench);
    bench_finish(&f.bench);
}

Test(chunk, stored_when_its_watch_is_over_is_not_told)
{
    struct fixture f;
    open_fixture(&f, NULL);
    watch(&f, "w1", 0);
    bench_drop(&f.bench);
    emit(&f, 1, "one");
    int64_t number = expect_chunk(&f, "one");
    bench_settle(&f.bench);
    watch_for(&f, "w2", 0, 3000);
    bench_pass_beating(&f.bench, BENCH_WORKER, f.token, 3000);
    answer_read(&f, 0, number, 2, (const char *[]){ "one", "late" });
    cr_expect_eq(expect_chunk(&f, "one"), number);
    cr_expect_eq(expect_event(&f, STATE_RUNNING, true), number);
    bench_expect_nothing(&f.bench);
    bench_finish(&f.bench);
}

Test(chunk, of_an_ended_task_is_read_from_the_store)
{
    struct fixture f;
    struct om_uuid tenant;
    open_fixture(&f, NULL);
    cr_assert_eq(om_typeid_decode(OM_ID_TENANT, BENCH_TENANT, &tenant), OM_OK);
    f.task = bench_task(&f.bench, 1);
    struct stored_task stored = { .seq = 77,
                                  .id = f.task,
                                  .tenant = tenant,
                                  .queue = OM_LIT("own"),
                                  .kind = OM_LIT("k"),
                                  .state = STATE_FAILED };
    watch(&f, "w1", 7);
    bench_answer_task(&f.bench, OM_OK, &stored);
    bench_expect_nothing(&f.bench);
    answer_read(&f, 7, 9, 2, (const char *[]){ "nine", "ten" });
    cr_expect_eq(expect_chunk(&f, "nine"), 9);
    cr_expect_eq(expect_chunk(&f, "ten"), 10);
    cr_expect_eq(expect_event(&f, STATE_FAILED, true), 11);
    bench_finish(&f.bench);
}

// The broker begins anew, its clock set back, with the running task and the last of its
// chunks as they are stored.
static void
begin_anew(struct fixture *self, const struct change_chunk *last)
{
    struct core_conf conf = bench_conf();
    conf.epoch = 2;
    struct bench bench = { .now = { 5, self->bench.now.wall_ms - 3600 * 1000 } };
    bench.core = core_create(&conf);
    struct wire_msg header = { 0 };
    struct om_buf buf = { 0 };
    struct wire_token token;
    WIRE_SET(&header, id, OM_LIT("s"));
    WIRE_SET(&header, task, bench_task_text(&self->task));
    WIRE_SET(&header, queue, OM_LIT("omni.inference"));
    WIRE_SET(&header, kind, OM_LIT("k"));
    wire_encode(WIRE_SUBMIT, &header, &buf);
    cr_assert_eq(wire_token_decode((struct om_str){ self->token, 32 }, &token), OM_OK);
    struct stored_task stored = { .seq = 1,
                                  .id = self->task,
                                  .queue = OM_LIT("omni.inference"),
                                  .kind = OM_LIT("k"),
                                  .header = om_buf_str(&buf),
                                  .created_ms = self->bench.now.wall_ms,
                                  .attempts = 1,
                                  .leased = true,
                                  .token = token,
                                  .node = OM_LIT("w1#1"),
                                  .chunk_count = last->seq > 0,
                                  .chunk_seq = last->seq,
                                  .chunk_attempt = last->attempt,
                                  .chunk_worker_seq = last->worker_seq };
    cr_assert_eq(om_typeid_decode(OM_ID_TENANT, BENCH_TENANT, &stored.tenant), OM_OK);
    cr_assert_eq(core_load_task(bench.core, &stored), OM_OK);
    core_serve(bench.core, bench.now);
    om_buf_finish(&buf);
    bench_finish(&self->bench);
    self->bench = bench;
    bench_hello(&self->bench, BENCH_CLIENT, "ingest", "i1");
    bench_hello(&self->bench, BENCH_WORKER, "inference", "w1");
}

Test(chunk, numbers_go_on_rising_when_a_task_is_loaded_and_the_clock_set_back)
{
    struct fixture f;
    open_fixture(&f, NULL);
    emit(&f, 1, "one");
    watch(&f, "w1", 0);
    int64_t before = expect_chunk(&f, "one");
    bench_drop(&f.bench);
    begin_anew(&f, &(struct change_chunk){ 0 });
    emit(&f, 2, "two");
    watch(&f, "w1", before);
    answer_read(&f, before, 0, 0, NULL); // "one" was lost with the crash
    cr_expect_gt(expect_chunk(&f, "two"), before);
    expect_event(&f, STATE_RUNNING, false);
    bench_finish(&f.bench);
}

// How many chunks are to be stored; the last has this number of its worker.
static size_t
count_stored(struct fixture *self, int64_t worker_seq)
{
    int64_t last = 0;
    size_t count = 0;
    struct batch *batch = core_take_batch(self->bench.core);
    for (size_t i = 0; batch && i < batch->count; i++)
        if (batch->changes[i].kind == CHANGE_CHUNK) {
            last = batch->changes[i].chunk.worker_seq;
            count++;
        }
    cr_expect_eq(last, worker_seq);
    if (batch)
        core_committed(self->bench.core, self->bench.now, &batch, OM_OK);
    return count;
}

Test(chunk, said_again_to_the_next_start_of_the_broker_counts_once)
{
    struct fixture f;
    open_fixture(&f, NULL);
    emit(&f, 1, "one");
    emit(&f, 2, "two");
    cr_expect_eq(count_stored(&f, 2), 2);
    begin_anew(&f, &(struct change_chunk){ .seq = 9, .attempt = 1, .worker_seq = 2 });
    emit(&f, 1, "one");
    emit(&f, 2, "two");
    emit(&f, 3, "three");
    cr_expect_eq(count_stored(&f, 3), 1);
    bench_finish(&f.bench);
}

Test(chunk, of_the_next_attempt_is_numbered_anew_whatever_marks_the_last_one_left)
{
    struct fixture f;
    open_fixture(&f, NULL);
    begin_anew(&f, &(struct change_chunk){ .seq = 9, .attempt = 2, .worker_seq = 2 });
    bench_say(&f.bench, BENCH_WORKER, WIRE_RELEASE, f.token);
    bench_settle(&f.bench);
    bench_credit(&f.bench, BENCH_WORKER, "omni.inference", 1);
    struct read *payload = core_next_read(f.bench.core);
    cr_assert(payload && payload->kind == READ_PAYLOAD);
    payload->rc = OM_OK;
    core_read_done(f.bench.core, f.bench.now, &payload);
    bench_take_job(&f.bench, BENCH_WORKER, f.token);
    emit(&f, 1, "one");
    cr_expect_eq(count_stored(&f, 1), 1);
    bench_finish(&f.bench);
}

Test(chunk, that_was_refused_may_be_said_again)
{
    struct fixture f;
    open_fixture(&f, NULL);
    core_set_disk_free(f.bench.core, 0.01);
    emit(&f, 1, "one");
    bench_refusal(&f.bench, BENCH_WORKER, WIRE_ERROR);
    core_set_disk_free(f.bench.core, 1);
    emit(&f, 1, "one");
    cr_expect_eq(count_stored(&f, 1), 1);
    bench_finish(&f.bench);
}

Test(chunk, beyond_the_bounds_of_a_task_is_refused_and_the_first_stay)
{
    struct core_conf conf = bench_conf();
    conf.max_chunks = 3;
    conf.max_chunk_bytes = 6;
    struct fixture f;
    open_fixture(&f, &conf);
    watch(&f, "w1", 0);
    expect_event(&f, STATE_RUNNING, false);
    emit(&f, 1, "four");
    emit(&f, 2, "too many");
    emit(&f, 3, "5");
    emit(&f, 4, "6");
    emit(&f, 5, "");
    expect_chunk(&f, "four");
    const struct wire_msg *error = bench_expect(&f.bench, BENCH_WORKER, WIRE_ERROR);
    cr_expect(om_str_eq(error->code, OM_LIT("too_large")), "%.*s", (int)error->code.size,
              error->code.data);
    expect_chunk(&f, "5");
    expect_chunk(&f, "6");
    bench_expect(&f.bench, BENCH_WORKER, WIRE_ERROR);
    bench_finish(&f.bench);
}

Test(chunk, is_refused_while_the_disk_is_full)
{
    struct fixture f;
    open_fixture(&f, NULL);
    core_set_disk_free(f.bench.core, 0.05);
    emit(&f, 1, "one");
    const struct wire_msg *error = bench_expect(&f.bench, BENCH_WORKER, WIRE_ERROR);
    cr_expect(om_str_eq(error->code, OM_LIT("storage_full")));
    bench_finish(&f.bench);
}

Test(chunk, survives_a_commit_that_fails_and_the_end_of_its_task)
{
    struct fixture f;
    open_fixture(&f, NULL);
    emit(&f, 1, "one");
    bench_say(&f.bench, BENCH_WORKER, WIRE_DONE, f.token);
    cr_assert(bench_commit(&f.bench, OM_EDB));
    bench_pass(&f.bench, 2000);
    struct batch *batch = core_take_batch(f.bench.core);
    cr_assert(batch);
    cr_expect_eq(batch->changes[0].kind, CHANGE_CHUNK);
    core_committed(f.bench.core, f.bench.now, &batch, OM_OK);
    bench_expect(&f.bench, BENCH_WORKER, WIRE_DONE_ACK);
    bench_finish(&f.bench);
}

Test(unwatch, ends_a_watch_also_one_that_waits_for_the_store)
{
    struct fixture f;
    struct wire_msg msg = { 0 };
    open_fixture(&f, NULL);
    emit(&f, 1, "one");
    cr_assert(bench_commit(&f.bench, OM_OK));
    watch(&f, "w1", 0);
    watch(&f, "w2", 1000);
    expect_event(&f, STATE_RUNNING, false);
    WIRE_SET(&msg, id, OM_LIT("w1"));
    bench_send(&f.bench, BENCH_CLIENT, &bench_local, WIRE_UNWATCH, &msg, NULL);
    WIRE_SET(&msg, id, OM_LIT("w2"));
    bench_send(&f.bench, BENCH_CLIENT, &bench_local, WIRE_UNWATCH, &msg, NULL);
    bench_send(&f.bench, BENCH_CLIENT, &bench_local, WIRE_UNWATCH, &msg, NULL);
    answer_read(&f, 0, 4, 1, (const char *[]){ "one" });
    emit(&f, 2, "two");
    bench_expect_nothing(&f.bench);
    bench_finish(&f.bench);
}
