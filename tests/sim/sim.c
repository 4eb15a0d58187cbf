#include <stdarg.h>
#include <stdio.h>

#include "judge.h"
#include "shell.h"

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
    int64_t wall_ms = INT64_C(1800000000000) + self->mono_ms + self->wall_offset_ms;
    return (struct core_now){ self->mono_ms, wall_ms, 1000 * wall_ms };
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

void
sim_trace_message(struct sim *self, const char *from, const char *to,
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

core_conn
sim_conn(int actor, int64_t link)
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
        delay_ms += sim_random(self, SIM_LATE_MS - 1000);
    struct sim_event event = { .at_ms = self->mono_ms + delay_ms,
                               .kind = kind,
                               .actor = actor,
                               .generation = generation,
                               .has_payload = payload.data != NULL };
    copy_into(&event.header, header);
    copy_into(&event.payload, payload);
    sim_queue_put(self->queue, &event);
}

void
sim_transmit(struct sim *self, enum sim_event_kind kind, int actor, int64_t generation,
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
    sim_transmit(self->sim, SIM_TO_BROKER, self->index, self->link, om_buf_str(&header),
                 payload);
    om_buf_finish(&header);
}

void
sim_later(struct sim *self, enum sim_event_kind kind, int64_t delay_ms, int actor,
          int64_t generation)
{
    struct sim_event event = { .at_ms = self->mono_ms + delay_ms,
                               .kind = kind,
                               .actor = actor,
                               .generation = generation };
    sim_queue_put(self->queue, &event);
}

// ---- actors

void
sim_start_actor(struct sim *self, struct actor *actor)
{
    actor->generation++;
    actor->link++;
    actor->up = true;
    actor->paused_until_ms = 0;
    sim_trace(self, "%s starts", actor->name);
    actor->type->start(actor);
    sim_later(self, SIM_ACTOR_TICK, sim_random(self, TICK_MS), actor->index,
              actor->generation);
}

static void
tick_actor(struct sim *self, struct actor *actor)
{
    if (sim_chance(self, self->faults.actor_crash)) {
        sim_trace(self, "%s crashes", actor->name);
        actor->up = false;
        sim_later(self, SIM_ACTOR_START, 1 + sim_random(self, 15000), actor->index, 0);
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
    sim_later(self, SIM_ACTOR_TICK, TICK_MS / 2 + sim_random(self, TICK_MS), actor->index,
              actor->generation);
}

static void
to_actor(struct sim *self, struct actor *actor, struct sim_event *event)
{
    struct wire_msg msg;
    if (!actor->up || event->generation != actor->link) {
        if (self->core && sim_chance(self, 0.5))
            core_suspect(self->core, sim_now(self),
                         sim_conn(event->actor, event->generation));
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
        shell_receive(self, event);
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
            sim_start_actor(self, actor);
        break;
    case SIM_BROKER_START:
        if (!self->core)
            shell_start(self);
        break;
    case SIM_BROKER_TICK:
        if (same_broker) {
            self->tick_at_ms = 0;
            core_tick(self->core, sim_now(self));
            shell_pump(self);
        }
        break;
    case SIM_COMMITTED:
        if (same_broker)
            shell_committed(self);
        break;
    case SIM_READ:
        if (same_broker) {
            disk_read(self->disk, event->read);
            if (sim_chance(self, self->faults.commit_fails))
                event->read->rc = OM_EDB;
            core_read_done(self->core, sim_now(self), &event->read);
            shell_pump(self);
        }
        break;
    }
}

// Chance strikes between two events, that is, at any step.
static void
strike(struct sim *self)
{
    if (self->core && sim_chance(self, self->faults.broker_crash))
        shell_crash(self);
    if (self->core && sim_chance(self, self->faults.broker_pause)) {
        self->broker_paused_until_ms = self->mono_ms + sim_random(self, 45000);
        sim_trace(self, "the broker pauses");
    }
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

// When its process goes on, if it stands still.
static int64_t
paused_until_ms(const struct sim *self, const struct sim_event *event)
{
    switch (event->kind) {
    case SIM_TO_ACTOR:
    case SIM_ACTOR_TICK:
        return self->actors[event->actor].paused_until_ms;
    case SIM_TO_BROKER:
    case SIM_BROKER_TICK:
    case SIM_COMMITTED:
    case SIM_READ:
        return self->core ? self->broker_paused_until_ms : 0;
    default:
        return 0;
    }
}

// No more faults, once those that stand still have gone on: what they were sent before
// waits for them until then.
static void
calm_down(struct sim *self)
{
    self->calm = true;
    self->faults = (struct sim_faults){ 0 };
    self->wall_offset_ms = 0;
    if (self->core && self->broker_paused_until_ms > self->calm_ms)
        self->calm_ms = self->broker_paused_until_ms;
    for (int i = 0; i < self->actor_count; i++)
        if (self->actors[i].paused_until_ms > self->calm_ms)
            self->calm_ms = self->actors[i].paused_until_ms;
    sim_trace(self, "no more faults from here on");
}

void
sim_happen(struct sim *self)
{
    self->calm_ms = FAULTS_MS + sim_random(self, FAULTS_MS);
    struct sim_event event;
    while (!self->failure[0] && sim_queue_take(self->queue, &event)) {
        self->mono_ms = event.at_ms > self->mono_ms ? event.at_ms : self->mono_ms;
        if (!self->calm && self->mono_ms >= self->calm_ms)
            calm_down(self);
        if (paused_until_ms(self, &event) > self->mono_ms) {
            event.at_ms = paused_until_ms(self, &event);
            sim_queue_put(self->queue, &event);
            continue;
        }
        strike(self);
        dispatch(self, &event);
        bool ticked = event.kind == SIM_ACTOR_TICK;
        sim_event_finish(&event);
        if (self->calm && ticked && is_over(self))
            return;
        if (self->mono_ms > self->calm_ms + DRAIN_MS) {
            judge_finish(self->judge);
            sim_fail(self, "two hours after the last fault not all is done");
        }
    }
}
