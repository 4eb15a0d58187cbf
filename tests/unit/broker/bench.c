#include <criterion/criterion.h>
#include <stdlib.h>

#include "bench.h"

const struct core_peer bench_local = { TRUST_LOCAL, ROLE_NONE };
const struct core_peer bench_nobody = { TRUST_NOTHING, ROLE_NONE };

void
bench_init_conf(struct bench *self, const struct core_conf *conf)
{
    *self = (struct bench){ .now = { 1000, INT64_C(1800000000000) } };
    self->core = core_create(conf);
    core_serve(self->core, self->now);
}

struct core_conf
bench_conf(void)
{
    struct core_conf conf = core_conf_default();
    conf.gather_ms = conf.lazy_ms = 0; // each change is seen when it is made
    conf.window_flow = conf.window_total = SIZE_MAX / 2; // and all is in memory
    conf.max_tail_bytes = 0;                             // but for events, which are read
    return conf;
}

void
bench_init(struct bench *self)
{
    struct core_conf conf = bench_conf();
    bench_init_conf(self, &conf);
}

void
bench_finish(struct bench *self)
{
    core_destroy(&self->core);
}

struct om_str
bench_tenant(uint8_t number)
{
    static char texts[8][OM_TYPEID_MAX];
    struct om_uuid id = { { 1, 2, 3, 4, 5, 6, 0x71, 8, 0x81, [15] = number } };
    size_t size = om_typeid_encode(OM_ID_TENANT, &id, texts[number]);
    return (struct om_str){ texts[number], size };
}

struct om_uuid
bench_task(struct bench *self, uint8_t shard)
{
    uint8_t entropy[10] = { 0, [9] = 0 };
    entropy[5] = ++self->next_id;
    return om_uuid_make(self->now.wall_ms, entropy, shard);
}

struct om_str
bench_task_text(const struct om_uuid *id)
{
    static char text[OM_TYPEID_MAX];
    return (struct om_str){ text, om_typeid_encode(OM_ID_TASK, id, text) };
}

void
bench_send(struct bench *self, core_conn conn, const struct core_peer *peer,
           enum wire_type type, const struct wire_msg *msg, const char *payload)
{
    struct om_buf header = { 0 };
    wire_encode(type, msg, &header);
    struct payload *body = payload ? payload_copy(om_str(payload)) : NULL;
    core_receive(self->core, self->now, conn, peer, om_buf_str(&header), body);
    payload_unref(&body);
    om_buf_finish(&header);
}

bool
bench_commit(struct bench *self, enum om_rc rc)
{
    struct batch *batch = core_take_batch(self->core);
    if (!batch)
        return false;
    core_committed(self->core, self->now, &batch, rc);
    return true;
}

void
bench_pass(struct bench *self, int64_t ms)
{
    // A broker that is not asked for longer than this would take it for its own pause.
    enum { STEP_MS = 500 };
    for (; ms > STEP_MS; ms -= STEP_MS)
        bench_stall(self, STEP_MS);
    bench_stall(self, ms);
}

void
bench_stall(struct bench *self, int64_t ms)
{
    self->now.mono_ms += ms;
    self->now.wall_ms += ms;
    core_tick(self->core, self->now);
}

const struct wire_msg *
bench_expect(struct bench *self, core_conn conn, enum wire_type type)
{
    cr_assert(core_next_send(self->core, &self->sent), "nothing was sent, %s expected",
              wire_find(type)->name);
    cr_assert_eq(wire_decode(self->sent.header, &self->msg), OM_OK);
    cr_assert_eq(self->msg.type, (int64_t)type, "%s was sent, %s expected: %.*s",
                 wire_find(self->msg.type)->name, wire_find(type)->name,
                 (int)self->msg.text.size, self->msg.text.data);
    cr_assert_eq(self->sent.conn, conn);
    return &self->msg;
}

const struct wire_msg *
bench_find(struct bench *self, core_conn conn, enum wire_type type)
{
    while (core_next_send(self->core, &self->sent)) {
        cr_assert_eq(wire_decode(self->sent.header, &self->msg), OM_OK);
        if (self->sent.conn == conn && self->msg.type == (int64_t)type)
            return &self->msg;
    }
    cr_assert_fail("no %s was sent", wire_find(type)->name);
    return NULL;
}

void
bench_drop(struct bench *self)
{
    while (core_next_send(self->core, &self->sent))
        ;
}

void
bench_settle(struct bench *self)
{
    do
        bench_drop(self);
    while (bench_commit(self, OM_OK));
}

void
bench_expect_nothing(struct bench *self)
{
    bool any = core_next_send(self->core, &self->sent);
    if (any)
        cr_assert_eq(wire_decode(self->sent.header, &self->msg), OM_OK);
    cr_assert_not(any, "%s was sent", wire_find(self->msg.type)->name);
}

void
bench_hello(struct bench *self, core_conn conn, const char *role, const char *node)
{
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, role, om_str(role));
    WIRE_SET(&msg, node, om_str(node));
    WIRE_SET(&msg, incarnation, 1);
    bench_send(self, conn, &bench_local, WIRE_HELLO, &msg, NULL);
    bench_expect(self, conn, WIRE_WELCOME);
}

struct om_uuid
bench_submit(struct bench *self, const char *queue, const char *payload)
{
    struct om_uuid id = bench_task(self, 1);
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, id, OM_LIT("m1"));
    WIRE_SET(&msg, task, bench_task_text(&id));
    WIRE_SET(&msg, tenant, BENCH_TENANT);
    WIRE_SET(&msg, queue, om_str(queue));
    WIRE_SET(&msg, kind, OM_LIT("test"));
    bench_send(self, BENCH_CLIENT, &bench_local, WIRE_SUBMIT, &msg, payload);
    return id;
}

struct om_uuid
bench_submitted(struct bench *self, const char *queue)
{
    struct om_uuid id = bench_submit(self, queue, "payload");
    cr_assert(bench_commit(self, OM_OK));
    bench_expect(self, BENCH_CLIENT, WIRE_SUBMITTED);
    return id;
}

void
bench_credit(struct bench *self, core_conn conn, const char *queue, int64_t limit)
{
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, queue, om_str(queue));
    WIRE_SET(&msg, limit, limit);
    bench_send(self, conn, &bench_local, WIRE_CREDIT, &msg, NULL);
    bench_expect(self, conn, WIRE_CREDIT_OK);
}

void
bench_say(struct bench *self, core_conn conn, enum wire_type type,
          const char token[WIRE_TOKEN_BYTES])
{
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, token, ((struct om_str){ token, WIRE_TOKEN_BYTES }));
    if (type == WIRE_FAIL)
        WIRE_SET(&msg, code, OM_LIT("unavailable"));
    bench_send(self, conn, &bench_local, type, &msg, type == WIRE_DONE ? "result" : NULL);
}

void
bench_take_job(struct bench *self, core_conn conn, char token[WIRE_TOKEN_BYTES])
{
    const struct wire_msg *job = bench_expect(self, conn, WIRE_JOB);
    memcpy(token, job->token.data, WIRE_TOKEN_BYTES);
}

enum task_state
bench_state(const struct wire_msg *msg)
{
    struct wire_task task;
    cr_assert_eq(rec_decode(&wire_task_rec, msg->info, &task, NULL), OM_OK);
    return (enum task_state)task.state;
}

void
bench_hold(struct om_buf *list, const char *token)
{
    struct wire_held held = { 0 };
    REC_SET(&held, wire_held, token, ((struct om_str){ token, WIRE_TOKEN_BYTES }));
    om_pack_array(list, 1);
    rec_encode(&wire_held_rec, &held, list);
}

void
bench_pass_beating(struct bench *self, core_conn conn, const char *token, int64_t ms)
{
    struct om_buf list = { 0 };
    bench_hold(&list, token);
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, held, om_buf_str(&list));
    for (int64_t left_ms = ms; left_ms > 0; left_ms -= 1000) {
        bench_pass(self, left_ms < 1000 ? left_ms : 1000);
        bench_send(self, conn, &bench_local, WIRE_BEAT, &msg, NULL);
        bench_drop(self);
    }
    om_buf_finish(&list);
}

void
bench_answer_task(struct bench *self, enum om_rc rc, const struct stored_task *task)
{
    struct read *read = core_next_read(self->core);
    cr_assert(read, "nothing was read");
    cr_assert_eq(read->kind, READ_TASK);
    read->rc = rc;
    if (task) {
        read->tasks = malloc(sizeof(*task));
        cr_assert(read->tasks);
        *read->tasks = *task;
        read->count = 1;
    }
    core_read_done(self->core, self->now, &read);
}

struct om_str
bench_refusal(struct bench *self, core_conn conn, enum wire_type type)
{
    return bench_expect(self, conn, type)->code;
}

void
bench_ask(struct bench *self, enum wire_type type, const struct om_uuid *task)
{
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, id, OM_LIT("ask"));
    WIRE_SET(&msg, task, bench_task_text(task));
    WIRE_SET(&msg, tenant, BENCH_TENANT);
    WIRE_SET(&msg, ttl_ms, 5000);
    bench_send(self, BENCH_CLIENT, &bench_local, type, &msg, NULL);
}

enum task_state
bench_get_state(struct bench *self, const struct om_uuid *task)
{
    bench_drop(self);
    bench_ask(self, WIRE_GET, task);
    return bench_state(bench_expect(self, BENCH_CLIENT, WIRE_TASK));
}

struct om_uuid
bench_running(struct bench *self, const char *queue, char token[WIRE_TOKEN_BYTES])
{
    bench_init(self);
    bench_hello(self, BENCH_CLIENT, "ingest", "i1");
    bench_hello(self, BENCH_WORKER, "inference", "w1");
    bench_credit(self, BENCH_WORKER, queue, 1);
    struct om_uuid id = bench_submitted(self, queue);
    cr_assert(bench_commit(self, OM_OK));
    bench_take_job(self, BENCH_WORKER, token);
    bench_say(self, BENCH_WORKER, WIRE_START, token);
    bench_expect_nothing(self);
    return id;
}

struct change_mark
bench_next_mark(struct bench *self)
{
    struct batch *batch = core_take_batch(self->core);
    cr_assert(batch, "nothing is committed");
    cr_assert_eq(batch->changes[0].kind, CHANGE_MARK);
    struct change_mark mark = batch->changes[0].mark;
    core_committed(self->core, self->now, &batch, OM_OK);
    return mark;
}
