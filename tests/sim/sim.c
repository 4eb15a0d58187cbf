#include <stdarg.h>
#include <stdio.h>

#include "judge.h"

enum {
    FAULTS_MS = 60 * 1000, // at least so long
    // All is done so long after the last fault, or a rule is broken. What was to be
    // retried at a time of a wall clock an hour ahead is.
    DRAIN_MS = 2 * 60 * 60 * 1000,
    TICK_MS = 500, // of actors
};

// ---- chance, time, words

int64_t
sim_random(struct sim *self, int64_t below)
{
    uint64_t z = self->random += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    z ^= z >> 31;
    return below > 0 ? (int64_t)(z % (uint64_t)below) : 0;
}

bool
sim_chance(struct sim *self, double probability)
{
    return probability > 0 && (double)sim_random(self, 1000000) < probability * 1e6;
}

struct core_now
sim_now(const struct sim *self)
{
    return (struct core_now){ self->mono_ms, INT64_C(1800000000000) + self->mono_ms +
                                                 self->wall_offset_ms };
}

void
sim_fail(struct sim *self, const char *format, ...)
{
    if (self->failure[0])
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(self->failure, sizeof(self->failure), format, args);
    va_end(args);
    sim_trace(self, "BROKEN: %s", self->failure);
}

void
sim_trace(struct sim *self, const char *format, ...)
{
    if (!self->trace)
        return;
    va_list args;
    va_start(args, format);
    printf("%9.3f  ", (double)self->mono_ms / 1000);
    vprintf(format, args);
    putchar('\n');
    va_end(args);
}

static void
trace_message(struct sim *self, const char *from, const char *to,
              const struct wire_msg *msg)
{
    if (!self->trace)
        return;
    struct wire_token token = { 0 };
    char lease[48] = "";
    if (WIRE_HAS(msg, token) && wire_token_decode(msg->token, &token) == OM_OK)
        snprintf(lease, sizeof(lease), " lease %u.%llu", token.epoch,
                 (unsigned long long)token.lease);
    struct om_str task = msg->task;
    if (!task.size && token.task.bytes[0])
        task = sim_task_text(&token.task);
    sim_trace(self, "%-10s -> %-10s %-10s %.*s%s %.*s", from, to,
              wire_find(msg->type)->name, (int)task.size, task.data ? task.data : "",
              lease, (int)msg->code.size, msg->code.data ? msg->code.data : "");
}

struct om_str
sim_task_text(const struct om_uuid *id)
{
    static char text[OM_TYPEID_MAX];
    return (struct om_str){ text, om_typeid_encode(OM_ID_TASK, id, text) };
}

struct om_str
sim_tenant_text(const struct sim *self, int tenant)
{
    static char text[OM_TYPEID_MAX];
    return (struct om_str){ text, om_typeid_encode(OM_ID_TENANT, &self->tenants[tenant],
                                                   text) };
}

// FNV-1a, in place of SHA-256: nobody here attacks it.
void
sim_hash(struct om_str bytes, uint8_t out[32])
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < bytes.size; i++)
        hash = (hash ^ (uint8_t)bytes.data[i]) * UINT64_C(0x100000001b3);
    for (int i = 0; i < 32; i++)
        out[i] = (uint8_t)(hash >> (i % 8 * 8));
}

// ---- the network

// A connection's number: the actor's place and its link.
static core_conn
conn_of(int actor, int64_t link)
{
    return (core_conn)(link * SIM_ACTORS_MAX + actor + SIM_ACTORS_MAX);
}

static void
copy_into(struct om_buf *buf, struct om_str bytes)
{
    om_buf_put(buf, bytes.data, bytes.size);
}

static void
put_message(struct sim *self, enum sim_event_kind kind, int actor, int64_t generation,
            struct om_str header, struct om_str payload)
{
    int64_t delay_ms = 1 + sim_random(self, 10);
    if (sim_chance(self, self->faults.late))
        delay_ms += sim_random(self, 4000);
    struct sim_event event = { .at_ms = self->mono_ms + delay_ms,
                               .kind = kind,
                               .actor = actor,
                               .generation = generation,
                               .has_payload = payload.data != NULL };
    copy_into(&event.header, header);
    copy_into(&event.payload, payload);
    sim_queue_put(self->queue, &event);
}

static void
transmit(struct sim *self, enum sim_event_kind kind, int actor, int64_t generation,
         struct om_str header, struct om_str payload)
{
    if (!sim_chance(self, self->faults.drop))
        put_message(self, kind, actor, generation, header, payload);
    if (sim_chance(self, self->faults.duplicate))
        put_message(self, kind, actor, generation, header, payload);
}

void
actor_send(struct actor *self, enum wire_type type, const struct wire_msg *msg,
           struct om_str payload)
{
    struct om_buf header = { 0 };
    wire_encode(type, msg, &header);
    transmit(self->sim, SIM_TO_BROKER, self->index, self->link, om_buf_str(&header),
             payload);
    om_buf_finish(&header);
}

// ---- the broker

static void
put_later(struct sim *self, enum sim_event_kind kind, int64_t delay_ms, int actor,
          int64_t generation)
{
    struct sim_event event = { .at_ms = self->mono_ms + delay_ms,
                               .kind = kind,
                               .actor = actor,
                               .generation = generation };
    sim_queue_put(self->queue, &event);
}

static void
hash_batch(const struct batch *batch, uint8_t out[32])
{
    size_t size = batch->count * sizeof(batch->changes[0]);
    sim_hash((struct om_str){ (const char *)batch->changes, size }, out);
}

// The disk takes a batch as it went out: another thread reads it meanwhile.
static void
write_batch(struct sim *self)
{
    uint8_t hash[32];
    hash_batch(self->committing, hash);
    if (memcmp(hash, self->committing_hash, sizeof(hash)) != 0)
        sim_fail(self, "a batch was changed while it was out");
    disk_commit(self->disk, self->committing);
}

static void
start_commit(struct sim *self)
{
    struct batch *batch = self->committing ? NULL : core_take_batch(self->core);
    if (!batch)
        return;
    self->committing = batch;
    hash_batch(batch, self->committing_hash);
    int64_t delay_ms = sim_random(self, 5);
    if (sim_chance(self, self->faults.commit_slow))
        delay_ms += sim_random(self, 5000);
    put_later(self, SIM_COMMITTED, delay_ms, 0, self->broker_generation);
}

static void
deliver_sends(struct sim *self)
{
    struct core_send send;
    while (core_next_send(self->core, &send)) {
        struct wire_msg msg;
        int actor = (int)(send.conn % SIM_ACTORS_MAX);
        int64_t generation = (int64_t)(send.conn / SIM_ACTORS_MAX) - 1;
        if (wire_decode(send.header, &msg) != OM_OK) {
            sim_fail(self, "the broker sent what cannot be decoded");
            return;
        }
        self->messages++;
        trace_message(self, "broker", self->actors[actor].name, &msg);
        judge_sent(self->judge, actor, &msg);
        struct om_str payload = { 0 };
        if (send.payload)
            payload = send.payload->bytes;
        transmit(self, SIM_TO_ACTOR, actor, generation, send.header, payload);
    }
}

// Do what the core asks for.
static void
pump(struct sim *self)
{
    start_commit(self);
    deliver_sends(self);
    for (struct read *read; (read = core_next_read(self->core));) {
        struct sim_event event = { .at_ms = self->mono_ms + sim_random(self, 20),
                                   .kind = SIM_READ,
                                   .generation = self->broker_generation,
                                   .read = read };
        sim_queue_put(self->queue, &event);
    }
    int64_t next_ms = core_next_timer(self->core);
    if (next_ms != INT64_MAX && (!self->tick_at_ms || next_ms < self->tick_at_ms)) {
        int64_t delay_ms = next_ms > self->mono_ms ? next_ms - self->mono_ms : 1;
        self->tick_at_ms = self->mono_ms + delay_ms;
        put_later(self, SIM_BROKER_TICK, delay_ms, 0, self->broker_generation);
    }
}

static void
start_broker(struct sim *self)
{
    self->broker_generation++;
    self->conf.epoch = ++self->disk->epoch;
    self->conf.seed = (uint64_t)sim_random(self, INT64_MAX);
    self->core = core_create(&self->conf);
    self->tick_at_ms = 0;
    sim_trace(self, "the broker starts, epoch %u", self->conf.epoch);
    judge_started(self->judge);
    disk_load(self->disk, self->core);
    core_serve(self->core, sim_now(self));
    pump(self);
}

void
sim_add_stats(struct core_stats *sum, const struct core_stats *stats)
{
    sum->submitted += stats->submitted;
    sum->completed += stats->completed;
    sum->failed += stats->failed;
    sum->cancelled += stats->cancelled;
    sum->expired += stats->expired;
    sum->lost += stats->lost;
    sum->stale += stats->stale;
    sum->dead_events += stats->dead_events;
}

static void
stop_broker(struct sim *self)
{
    if (!self->core)
        return;
    struct core_stats stats = core_stats(self->core);
    sim_add_stats(&self->totals, &stats);
    core_destroy(&self->core);
}

// What was being committed may have reached the disk, or not.
static void
crash_broker(struct sim *self)
{
    bool written = self->committing && sim_chance(self, 0.5);
    sim_trace(self, "the broker crashes%s", written ? ", its commit was written" : "");
    if (written)
        write_batch(self);
    self->committing = NULL;
    stop_broker(self);
    self->crashes++;
    put_later(self, SIM_BROKER_START, 1 + sim_random(self, 5000), 0, 0);
}

static void
finish_commit(struct sim *self)
{
    enum om_rc rc = OM_OK;
    if (sim_chance(self, self->faults.commit_fails))
        rc = sim_chance(self, 0.5) ? OM_ENOSPACE : OM_EDB;
    else
        write_batch(self);
    sim_trace(self, "commit of %zu changes: %s", self->committing->count,
              om_rc_info(rc)->code);
    core_committed(self->core, sim_now(self), &self->committing, rc);
    pump(self);
}

static void
to_broker(struct sim *self, const struct sim_event *event)
{
    struct wire_msg msg;
    struct actor *actor = &self->actors[event->actor];
    struct om_str header = om_buf_str(&event->header);
    if (!self->core || wire_decode(header, &msg) != OM_OK)
        return;
    trace_message(self, actor->name, "broker", &msg);
    self->messages++;
    struct core_peer peer = { actor->credential ? TRUST_NOTHING : TRUST_LOCAL,
                              ROLE_NONE };
    struct payload *payload =
        event->has_payload ? payload_copy(om_buf_str(&event->payload)) : NULL;
    judge_received(self->judge, event->actor, &msg);
    core_receive(self->core, sim_now(self), conn_of(event->actor, event->generation),
                 &peer, header, payload);
    payload_unref(&payload);
    pump(self);
    judge_answered(self->judge);
}

// ---- actors

static void
start_actor(struct sim *self, struct actor *actor)
{
    actor->generation++;
    actor->link++;
    actor->up = true;
    actor->paused_until_ms = 0;
    sim_trace(self, "%s starts", actor->name);
    actor->type->start(actor);
    put_later(self, SIM_ACTOR_TICK, sim_random(self, TICK_MS), actor->index,
              actor->generation);
}

static void
tick_actor(struct sim *self, struct actor *actor)
{
    if (sim_chance(self, self->faults.actor_crash)) {
        sim_trace(self, "%s crashes", actor->name);
        actor->up = false;
        put_later(self, SIM_ACTOR_START, 1 + sim_random(self, 15000), actor->index, 0);
        return;
    }
    if (sim_chance(self, self->faults.actor_pause)) {
        actor->paused_until_ms = self->mono_ms + sim_random(self, 45000);
        sim_trace(self, "%s pauses", actor->name);
    }
    if (sim_chance(self, self->faults.reconnect)) {
        sim_trace(self, "%s connects anew", actor->name);
        actor->link++; // which it does not notice before the broker says RESET
    }
    actor->type->tick(actor);
    put_later(self, SIM_ACTOR_TICK, TICK_MS / 2 + sim_random(self, TICK_MS), actor->index,
              actor->generation);
}

static void
to_actor(struct sim *self, struct actor *actor, struct sim_event *event)
{
    struct wire_msg msg;
    if (!actor->up || event->generation != actor->link) {
        if (self->core && sim_chance(self, 0.5))
            core_suspect(self->core, sim_now(self),
                         conn_of(event->actor, event->generation));
        return;
    }
    if (wire_decode(om_buf_str(&event->header), &msg) == OM_OK)
        actor->type->receive(actor, &msg, om_buf_str(&event->payload));
}

// ---- what happens next

static void
dispatch(struct sim *self, struct sim_event *event)
{
    struct actor *actor = &self->actors[event->actor];
    bool same_broker = self->core && event->generation == self->broker_generation;
    switch (event->kind) {
    case SIM_TO_BROKER:
        to_broker(self, event);
        break;
    case SIM_TO_ACTOR:
        to_actor(self, actor, event);
        break;
    case SIM_ACTOR_TICK:
        if (actor->up && event->generation == actor->generation)
            tick_actor(self, actor);
        break;
    case SIM_ACTOR_START:
        if (!actor->up)
            start_actor(self, actor);
        break;
    case SIM_BROKER_START:
        if (!self->core)
            start_broker(self);
        break;
    case SIM_BROKER_TICK:
        if (same_broker) {
            self->tick_at_ms = 0;
            core_tick(self->core, sim_now(self));
            pump(self);
        }
        break;
    case SIM_COMMITTED:
        if (same_broker)
            finish_commit(self);
        break;
    case SIM_READ:
        if (same_broker) {
            disk_read(self->disk, event->read);
            if (sim_chance(self, self->faults.commit_fails))
                event->read->rc = OM_EDB;
            core_read_done(self->core, sim_now(self), &event->read);
            pump(self);
        }
        break;
    }
}

// Chance strikes between two events, that is, at any step.
static void
strike(struct sim *self)
{
    if (self->core && sim_chance(self, self->faults.broker_crash))
        crash_broker(self);
    if (sim_chance(self, self->faults.wall_jump)) {
        self->wall_offset_ms = sim_random(self, 2 * 3600 * 1000) - 3600 * 1000;
        sim_trace(self, "the wall clock jumps");
    }
}

static bool
is_over(const struct sim *self)
{
    if (self->committing || !self->core || !judge_is_complete(self->judge))
        return false;
    for (int i = 0; i < self->actor_count; i++)
        if (!self->actors[i].up || !self->actors[i].type->idle(&self->actors[i]))
            return false;
    return true;
}

static bool
is_paused(const struct sim *self, const struct sim_event *event)
{
    bool to_actor_kind = event->kind == SIM_TO_ACTOR || event->kind == SIM_ACTOR_TICK;
    return to_actor_kind && self->actors[event->actor].paused_until_ms > self->mono_ms;
}

static void
run(struct sim *self)
{
    int64_t calm_ms = FAULTS_MS + sim_random(self, FAULTS_MS);
    struct sim_event event;
    while (!self->failure[0] && sim_queue_take(self->queue, &event)) {
        self->mono_ms = event.at_ms > self->mono_ms ? event.at_ms : self->mono_ms;
        if (!self->calm && self->mono_ms >= calm_ms) {
            self->calm = true;
            self->faults = (struct sim_faults){ 0 };
            self->wall_offset_ms = 0;
            sim_trace(self, "no more faults from here on");
        }
        if (is_paused(self, &event)) {
            event.at_ms = self->actors[event.actor].paused_until_ms;
            sim_queue_put(self->queue, &event);
            continue;
        }
        strike(self);
        dispatch(self, &event);
        bool ticked = event.kind == SIM_ACTOR_TICK;
        sim_event_finish(&event);
        if (self->calm && ticked && is_over(self))
            return;
        if (self->mono_ms > calm_ms + DRAIN_MS) {
            judge_finish(self->judge);
            sim_fail(self, "two hours after the last fault not all is done");
        }
    }
}

// ---- the cluster

static void
draw_faults(struct sim *self)
{
    struct sim_faults *faults = &self->faults;
    bool network = sim_chance(self, 0.7), disk = sim_chance(self, 0.5);
    bool crashes = sim_chance(self, 0.7), pauses = sim_chance(self, 0.5);
    if (network)
        *faults = (struct sim_faults){ .drop = 0.001 * (double)sim_random(self, 100),
                                       .duplicate = 0.001 * (double)sim_random(self, 60),
                                       .late = 0.001 * (double)sim_random(self, 150) };
    if (disk) {
        faults->commit_fails = 0.001 * (double)sim_random(self, 100);
        faults->commit_slow = 0.001 * (double)sim_random(self, 60);
    }
    if (crashes) {
        faults->broker_crash = 1e-4 * (double)sim_random(self, 40);
        faults->actor_crash = 1e-4 * (double)sim_random(self, 200);
        faults->reconnect = 1e-4 * (double)sim_random(self, 200);
    }
    if (pauses)
        faults->actor_pause = 1e-4 * (double)sim_random(self, 200);
    if (sim_chance(self, 0.2))
        faults->wall_jump = 0.002;
}

static void
draw_conf(struct sim *self)
{
    struct core_conf *conf = &self->conf;
    *conf = core_conf_default();
    conf->sha256 = sim_hash;
    conf->retry_base_ms = 500;
    conf->retry_cap_ms = 20 * 1000;
    if (sim_chance(self, 0.3))
        conf->payload_cache_bytes = (size_t)sim_random(self, 200);
    if (sim_chance(self, 0.2))
        conf->max_open_tasks = 2 + (size_t)sim_random(self, 6);
    if (sim_chance(self, 0.2))
        conf->max_open_per_tenant = 1 + (size_t)sim_random(self, 4);
    if (sim_chance(self, 0.2))
        conf->max_calls = 1 + (size_t)sim_random(self, 8);
}

static void
add_actor(struct sim *self, const struct actor_type *type, const char *credential)
{
    struct actor *actor = &self->actors[self->actor_count];
    *actor = (struct actor){
        .sim = self, .type = type, .index = self->actor_count++, .credential = credential
    };
    snprintf(actor->name, sizeof(actor->name), "%s-%d", type->role, actor->index);
    actor->type->create(actor);
    start_actor(self, actor);
}

static void
build(struct sim *self)
{
    for (int i = 0; i < SIM_TENANTS; i++) {
        uint8_t entropy[10] = { 0, 0, 0, 0, (uint8_t)i };
        // Two tenants share a shard.
        self->tenants[i] = om_uuid_make(1000 + i, entropy, i == 2 ? 7 : (uint8_t)(7 + i));
    }
    self->queue = sim_queue_create();
    self->disk = disk_create(self);
    self->judge = judge_create(self);
    start_broker(self);
    add_actor(self, &client_type, NULL);
    add_actor(self, &client_type, NULL);
    add_actor(self, &inference_type, NULL);
    add_actor(self, &inference_type, NULL);
    add_actor(self, &tenant_worker_type, SIM_KEY);
    add_actor(self, &identity_type, NULL);
    add_actor(self, &billing_type, NULL);
    add_actor(self, &billing_type, NULL);
    add_actor(self, &compliance_type, NULL);
}

bool
sim_run(struct sim *self, uint64_t seed, bool trace)
{
    *self = (struct sim){ .seed = seed, .random = seed * 7919 + 17, .trace = trace };
    self->mono_ms = 1000;
    draw_faults(self);
    draw_conf(self);
    build(self);
    run(self);
    if (!self->failure[0])
        judge_finish(self->judge);

    stop_broker(self);
    for (int i = 0; i < self->actor_count; i++)
        self->actors[i].type->destroy(&self->actors[i]);
    sim_queue_destroy(&self->queue);
    judge_destroy(&self->judge);
    disk_destroy(&self->disk);
    return !self->failure[0];
}
