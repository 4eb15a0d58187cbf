#include <stdio.h>

#include "real.h"

#include "judge.h"
#include "shell.h"

enum { RESTS_MAX = 10000 };

static const struct core_peer local = { TRUST_LOCAL, ROLE_NONE };

// ---- what the broker says

static int
find_job(const struct real *self, const struct om_uuid *id)
{
    for (int i = 0; i < MODEL_JOBS; i++)
        if (om_uuid_eq(&self->ids[i], id))
            return i;
    return -1;
}

static struct real_worker *
find_worker(struct real *self, core_conn conn)
{
    for (int i = 0; i < MODEL_WORKERS; i++)
        if (self->workers[i].conn == conn)
            return &self->workers[i];
    return NULL;
}

static struct real_lease *
find_lease(struct real *self, struct om_str token)
{
    for (int job = 0; job < MODEL_JOBS; job++)
        for (int i = 0; i < self->lease_count[job]; i++) {
            struct real_lease *lease = &self->leases[job][i];
            if (om_str_eq(token, (struct om_str){ lease->token, WIRE_TOKEN_BYTES }))
                return lease;
        }
    return NULL;
}

static void
on_job(struct real *self, struct real_worker *worker, const struct wire_msg *msg)
{
    struct om_uuid id = { 0 };
    int job =
        om_typeid_decode(OM_ID_TASK, msg->task, &id) == OM_OK ? find_job(self, &id) : -1;
    if (job < 0 || find_lease(self, msg->token)) {
        sim_fail(&self->sim, "a worker was sent what is no new job");
        return;
    }
    for (int i = 0; i < MODEL_QUEUES; i++)
        worker->sent[i] += om_str_eq(msg->queue, om_str(model_queues[i].name));
    struct real_lease *lease = &self->leases[job][self->lease_count[job]++];
    memcpy(lease->token, msg->token.data, WIRE_TOKEN_BYTES);
    lease->worker = (int)(worker - self->workers);
    lease->held = true;
    self->on_job(self->context, job, lease->worker);
}

static void
on_stale(struct real *self, struct om_str list)
{
    struct om_str token;
    struct rec_iter iter = rec_iter(list);
    while (rec_next_str(&iter, &token)) {
        struct real_lease *lease = find_lease(self, token);
        if (lease)
            lease->held = false;
    }
}

static void
to_worker(struct real *self, struct real_worker *worker, const struct wire_msg *msg)
{
    struct real_lease *lease = WIRE_HAS(msg, token) ? find_lease(self, msg->token) : NULL;
    switch (msg->type) {
    case WIRE_WELCOME:
        worker->welcome = true;
        break;
    case WIRE_RESET:
        worker->welcome = false;
        break;
    case WIRE_JOB:
        on_job(self, worker, msg);
        break;
    case WIRE_BEAT_ACK:
        on_stale(self, msg->stale);
        break;
    case WIRE_STALE:
    case WIRE_DONE_ACK:
        if (lease)
            lease->held = false;
        snprintf(self->answer, sizeof(self->answer), "%s", wire_find(msg->type)->name);
        break;
    default:
        break;
    }
}

static void
to_client(struct real *self, const struct wire_msg *msg)
{
    char id[32];
    snprintf(id, sizeof(id), "%lld", (long long)self->last_id);
    if (!om_str_eq(msg->id, om_str(id)))
        return;
    snprintf(self->answer, sizeof(self->answer), "%s%s%s%.*s", wire_find(msg->type)->name,
             msg->duplicate ? " duplicate" : "", msg->code.size ? " " : "",
             (int)msg->code.size, msg->code.data ? msg->code.data : "");
    if (msg->type != WIRE_TASK)
        return;
    if (rec_decode(&wire_task_rec, msg->info, &self->info, NULL) != OM_OK)
        sim_fail(&self->sim, "a task was shown that cannot be decoded");
    snprintf(self->code, sizeof(self->code), "%.*s", (int)self->info.code.size,
             self->info.code.data ? self->info.code.data : "");
}

static void
note_list(struct real *self, struct om_str payload)
{
    struct wire_task info;
    struct om_uuid id;
    struct om_str bytes;
    struct rec_iter iter = rec_iter(payload);
    self->listed_count = 0;
    while (self->listed_count < MODEL_JOBS &&
           rec_next_rec(&iter, &wire_task_rec, &info, &bytes))
        if (om_typeid_decode(OM_ID_TASK, info.task, &id) == OM_OK)
            self->listed[self->listed_count++] = find_job(self, &id);
    if (iter.left > 0)
        sim_fail(&self->sim, "a list has more jobs than there are");
}

static bool
deliver_sends(struct real *self)
{
    struct core_send send;
    bool any = false;
    while (core_next_send(self->sim.core, &send)) {
        struct wire_msg msg;
        any = true;
        if (wire_decode(send.header, &msg) != OM_OK) {
            sim_fail(&self->sim, "the broker sent what cannot be decoded");
            continue;
        }
        judge_sent(self->sim.judge, 0, 0, &msg, payload_bytes(send.payload));
        struct real_worker *worker = find_worker(self, send.conn);
        if (worker)
            to_worker(self, worker, &msg);
        else if (send.conn == self->client)
            to_client(self, &msg);
        if (msg.type == WIRE_TASKS)
            note_list(self, payload_bytes(send.payload));
    }
    return any;
}

// ---- letting it work

static bool
do_reads(struct real *self)
{
    bool any = false;
    for (struct read *read; (read = core_next_read(self->sim.core)); any = true) {
        disk_read(self->sim.disk, read);
        core_read_done(self->sim.core, sim_now(&self->sim), &read);
    }
    return any;
}

static bool
do_commit(struct real *self)
{
    struct batch *batch = core_take_batch(self->sim.core);
    if (!batch)
        return false;
    disk_commit(self->sim.disk, batch);
    core_committed(self->sim.core, sim_now(&self->sim), &batch, OM_OK);
    self->commits++;
    return true;
}

static bool
do_timers(struct real *self)
{
    if (core_next_timer(self->sim.core) > self->sim.mono_ms)
        return false;
    self->on_time(self->context, self->sim.mono_ms);
    core_tick(self->sim.core, sim_now(&self->sim));
    return true;
}

// Until there is nothing left to do at this time.
static void
come_to_rest(struct real *self)
{
    for (int i = 0; i < RESTS_MAX && !self->sim.failure[0]; i++)
        if (!do_commit(self) && !deliver_sends(self) && !do_reads(self) &&
            !do_timers(self))
            return;
    sim_fail(&self->sim, "the broker does not come to rest");
}

void
real_give(struct real *self, core_conn conn, enum wire_type type,
          const struct wire_msg *msg, struct om_str bytes)
{
    struct om_buf header = { 0 };
    struct payload *payload = bytes.data ? payload_copy(bytes) : NULL;
    wire_encode(type, msg, &header);
    core_receive(self->sim.core, sim_now(&self->sim), conn, &local, om_buf_str(&header),
                 payload);
    payload_unref(&payload);
    om_buf_finish(&header);
    come_to_rest(self);
}

// ---- sessions

// What the worker holds, as HELLO and BEAT list it.
static void
pack_held(const struct real *self, int worker, struct om_buf *out)
{
    struct om_buf items = { 0 };
    size_t count = 0;
    for (int job = 0; job < MODEL_JOBS; job++)
        for (int i = 0; i < self->lease_count[job]; i++) {
            const struct real_lease *lease = &self->leases[job][i];
            if (!lease->held || lease->worker != worker)
                continue;
            struct wire_held held = { 0 };
            REC_SET(&held, wire_held, token,
                    ((struct om_str){ lease->token, WIRE_TOKEN_BYTES }));
            rec_encode(&wire_held_rec, &held, &items);
            count++;
        }
    om_pack_array(out, count);
    om_buf_put(out, items.data, items.size);
    om_buf_finish(&items);
}

void
real_hello(struct real *self, int number)
{
    struct real_worker *worker = &self->workers[number];
    char node[16];
    struct om_buf held = { 0 };
    struct wire_msg msg = { 0 };
    snprintf(node, sizeof(node), "worker-%d", number);
    pack_held(self, number, &held);
    WIRE_SET(&msg, role, OM_LIT("inference"));
    WIRE_SET(&msg, node, om_str(node));
    WIRE_SET(&msg, incarnation, worker->incarnation);
    WIRE_SET(&msg, held, om_buf_str(&held));
    worker->conn = ++self->last_conn;
    worker->heard_ms = self->sim.mono_ms;
    memset(worker->limit, 0, sizeof(worker->limit));
    memset(worker->sent, 0, sizeof(worker->sent));
    self->on_beat(self->context, number);
    real_give(self, worker->conn, WIRE_HELLO, &msg, (struct om_str){ 0 });
    om_buf_finish(&held);
}

void
real_client_hello(struct real *self)
{
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, role, OM_LIT("ingest"));
    WIRE_SET(&msg, node, OM_LIT("client"));
    WIRE_SET(&msg, incarnation, 1);
    self->client = ++self->last_conn;
    self->client_heard_ms = self->sim.mono_ms;
    real_give(self, self->client, WIRE_HELLO, &msg, (struct om_str){ 0 });
}

static void
beat(struct real *self, int number)
{
    struct real_worker *worker = &self->workers[number];
    struct om_buf held = { 0 };
    struct wire_msg msg = { 0 };
    pack_held(self, number, &held);
    WIRE_SET(&msg, held, om_buf_str(&held));
    worker->heard_ms = self->sim.mono_ms;
    if (worker->welcome)
        self->on_beat(self->context, number);
    real_give(self, worker->conn, WIRE_BEAT, &msg, (struct om_str){ 0 });
    om_buf_finish(&held);
    if (!worker->welcome)
        real_hello(self, number); // it was told so
}

// ---- life

void
real_start(struct real *self)
{
    shell_load(&self->sim);
    come_to_rest(self);
    real_client_hello(self);
    for (int i = 0; i < MODEL_WORKERS; i++)
        if (!real_is_frozen(self, i))
            real_hello(self, i);
}

void
real_stop(struct real *self)
{
    int64_t soon_ms = self->sim.conf.lazy_ms + self->sim.conf.gather_ms;
    size_t before;
    do { // what a timer changes at the end of a wait is yet to be written
        before = self->commits;
        real_advance(self, self->sim.mono_ms + soon_ms);
    } while (self->commits != before ||
             core_next_timer(self->sim.core) <= self->sim.mono_ms + soon_ms);
    shell_stop(&self->sim);
    for (int i = 0; i < MODEL_WORKERS; i++)
        self->workers[i].welcome = false;
}

void
real_create(struct real *self, const struct core_conf *conf)
{
    self->sim.conf = *conf;
    self->sim.mono_ms = 1000;
    self->sim.disk = disk_create(&self->sim);
    self->sim.judge = judge_create(&self->sim);
    for (int i = 0; i < SIM_TENANTS; i++)
        self->sim.tenants[i] =
            om_uuid_make(1000 + i, (uint8_t[10]){ (uint8_t)i }, (uint8_t)(7 + i));
    for (int i = 0; i < MODEL_WORKERS; i++)
        self->workers[i].incarnation = 1;
    real_start(self);
}

void
real_destroy(struct real *self)
{
    shell_stop(&self->sim);
    judge_destroy(&self->sim.judge);
    disk_destroy(&self->sim.disk);
}

// ---- workers

void
real_worker_dies(struct real *self, int worker)
{
    for (int job = 0; job < MODEL_JOBS; job++)
        for (int i = 0; i < self->lease_count[job]; i++)
            if (self->leases[job][i].worker == worker)
                self->leases[job][i].held = false;
    self->workers[worker].incarnation++;
    self->workers[worker].frozen_until_ms = 0;
    real_hello(self, worker);
}

void
real_freeze(struct real *self, int worker, int64_t until_ms)
{
    self->workers[worker].frozen_until_ms = until_ms;
}

bool
real_is_frozen(const struct real *self, int worker)
{
    return self->workers[worker].frozen_until_ms > self->sim.mono_ms;
}

bool
real_has_taker(const struct real *self, int queue)
{
    for (int i = 0; i < MODEL_WORKERS; i++) {
        const struct real_worker *worker = &self->workers[i];
        bool live = worker->welcome &&
                    self->sim.mono_ms - worker->heard_ms <= self->sim.conf.silent_ms;
        if (live && worker->limit[queue] > worker->sent[queue])
            return true;
    }
    return false;
}

// ---- time

// When the next worker has something to say.
static int64_t
next_word_ms(const struct real *self)
{
    int64_t next_ms = INT64_MAX;
    for (int i = 0; i < MODEL_WORKERS; i++) {
        const struct real_worker *worker = &self->workers[i];
        int64_t ms = worker->heard_ms + REAL_BEAT_MS;
        if (real_is_frozen(self, i) || ms < worker->frozen_until_ms)
            ms = worker->frozen_until_ms;
        next_ms = ms < next_ms ? ms : next_ms;
    }
    return next_ms;
}

static void
pass_to(struct real *self, int64_t ms)
{
    self->sim.mono_ms = ms > self->sim.mono_ms ? ms : self->sim.mono_ms;
    self->on_time(self->context, self->sim.mono_ms);
    come_to_rest(self);
}

void
real_advance(struct real *self, int64_t to_ms)
{
    while (!self->sim.failure[0]) {
        int64_t next_ms = core_next_timer(self->sim.core), word_ms = next_word_ms(self);
        next_ms = word_ms < next_ms ? word_ms : next_ms;
        if (next_ms > to_ms)
            break;
        pass_to(self, next_ms);
        for (int i = 0; i < MODEL_WORKERS; i++)
            if (!real_is_frozen(self, i) &&
                self->workers[i].heard_ms + REAL_BEAT_MS <= self->sim.mono_ms)
                beat(self, i);
    }
    pass_to(self, to_ms);
}
