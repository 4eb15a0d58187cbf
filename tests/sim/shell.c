// The simulated broker: what broker/shell and the program around the core do.
#include "shell.h"
#include "judge.h"
#include "judge_wake.h"
#include "loader.h"

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
give_batch(struct sim *self, struct batch *batch)
{
    self->committing = batch;
    hash_batch(batch, self->committing_hash);
    int64_t delay_ms = sim_random(self, 5);
    if (sim_chance(self, self->faults.commit_slow))
        delay_ms += sim_random(self, 5000);
    sim_later(self, SIM_COMMITTED, delay_ms, 0, self->broker_generation);
}

static void
start_commit(struct sim *self)
{
    struct batch *batch = self->committing ? NULL : core_take_batch(self->core);
    if (batch)
        give_batch(self, batch);
}

// Sometimes the disk goes on at once, before the core does what the last batch allows.
static void
follow_commit(struct sim *self)
{
    if (sim_chance(self, 0.5))
        return;
    struct batch *next =
        core_follow_batch(self->core, sim_now(self), (size_t)sim_random(self, 4));
    if (next)
        give_batch(self, next);
}

static void
deliver_sends(struct sim *self)
{
    struct core_send send;
    core_group_sends(self->core);
    while (core_next_send(self->core, &send)) {
        struct wire_msg msg;
        int actor = (int)(send.conn % SIM_ACTORS_MAX);
        int64_t generation = (int64_t)(send.conn / SIM_ACTORS_MAX) - 1;
        if (wire_decode(send.header, &msg) != OM_OK) {
            sim_fail(self, "the broker sent what cannot be decoded");
            return;
        }
        self->messages++;
        sim_trace_message(self, "broker", self->actors[actor].name, &msg);
        struct om_str payload = { 0 };
        if (send.payload)
            payload = send.payload->bytes;
        judge_sent(self->judge, actor, generation, &msg, payload);
        sim_transmit(self, SIM_TO_ACTOR, actor, generation, send.header, payload);
    }
}

// Do what the core asks for.
void
shell_pump(struct sim *self)
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
        sim_later(self, SIM_BROKER_TICK, delay_ms, 0, self->broker_generation);
    }
    judge_wakes(self);
}

static void
load_core(struct sim *self)
{
    const struct store_loader loader = core_loader(self->core);
    if (sim_chance(self, 0.5))
        disk_purge(self->disk, sim_now(self).wall_ms);
    if (disk_load(self->disk, &loader) != OM_OK)
        sim_fail(self, "what is stored could not be loaded");
}

void
shell_load(struct sim *self)
{
    self->broker_generation++;
    self->conf.epoch = ++self->disk->epoch;
    self->conf.seed = (uint64_t)sim_random(self, INT64_MAX);
    self->core = core_create(&self->conf);
    sim_trace(self, "the broker starts, epoch %u", self->conf.epoch);
    judge_started(self->judge);
    load_core(self);
    core_serve(self->core, sim_now(self));
}

void
shell_start(struct sim *self)
{
    self->tick_at_ms = 0;
    shell_load(self);
    shell_pump(self);
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
    sum->recalled += stats->recalled;
    sum->dead_events += stats->dead_events;
}

void
shell_stop(struct sim *self)
{
    if (!self->core)
        return;
    struct core_stats stats = core_stats(self->core);
    sim_add_stats(&self->totals, &stats);
    core_destroy(&self->core);
}

// What was being committed may have reached the disk, or not.
void
shell_crash(struct sim *self)
{
    bool written = self->committing && sim_chance(self, 0.5);
    sim_trace(self, "the broker crashes%s", written ? ", its commit was written" : "");
    if (written)
        write_batch(self);
    self->committing = NULL;
    shell_stop(self);
    self->crashes++;
    sim_later(self, SIM_BROKER_START, 1 + sim_random(self, 5000), 0, 0);
}

void
shell_committed(struct sim *self)
{
    enum om_rc rc = OM_OK;
    if (sim_chance(self, self->faults.commit_fails))
        rc = sim_chance(self, 0.5) ? OM_ENOSPACE : OM_EDB;
    else
        write_batch(self);
    sim_trace(self, "commit of %zu changes: %s", self->committing->count,
              om_rc_info(rc)->code);
    struct batch *done = self->committing;
    self->committing = NULL;
    if (rc == OM_OK)
        follow_commit(self);
    core_committed(self->core, sim_now(self), &done, rc);
    shell_pump(self);
}

void
shell_receive(struct sim *self, const struct sim_event *event)
{
    struct wire_msg msg;
    struct actor *actor = &self->actors[event->actor];
    struct om_str header = om_buf_str(&event->header);
    if (!self->core || wire_decode(header, &msg) != OM_OK)
        return;
    sim_trace_message(self, actor->name, "broker", &msg);
    self->messages++;
    struct core_peer peer = { actor->credential ? TRUST_NOTHING : TRUST_LOCAL,
                              ROLE_NONE };
    struct payload *payload =
        event->has_payload ? payload_copy(om_buf_str(&event->payload)) : NULL;
    judge_received(self->judge, event->actor, event->generation, &msg,
                   payload_bytes(payload));
    core_receive(self->core, sim_now(self), sim_conn(event->actor, event->generation),
                 &peer, header, payload);
    payload_unref(&payload);
    shell_pump(self);
    judge_answered(self->judge);
}
