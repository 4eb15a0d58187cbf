// The cluster of a seed: who is in it, and how bad its world is.
#include <stdio.h>

#include "judge.h"
#include "shell.h"

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
    if (pauses) {
        faults->actor_pause = 1e-4 * (double)sim_random(self, 200);
        faults->broker_pause = 1e-5 * (double)sim_random(self, 40);
    }
    self->jumps = sim_chance(self, 0.2);
    if (self->jumps)
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
    if (sim_chance(self, 0.7)) {
        conf->window_flow = 2 + (size_t)sim_random(self, 7);
        conf->window_total = 2 + (size_t)sim_random(self, 15);
        conf->window_ahead_ms = sim_random(self, 10 * 1000);
    }
    if (sim_chance(self, 0.2))
        conf->max_open_tasks = 6 + (size_t)sim_random(self, 6);
    if (sim_chance(self, 0.2))
        conf->max_open_per_tenant = 4 + (size_t)sim_random(self, 4);
    if (sim_chance(self, 0.2))
        conf->max_chunks = sim_random(self, 8);
    if (sim_chance(self, 0.2))
        conf->max_calls = 1 + (size_t)sim_random(self, 8);
    if (sim_chance(self, 0.5))
        conf->max_tail_bytes = (size_t)sim_random(self, 2000);
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
    sim_start_actor(self, actor);
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
    shell_start(self);
    add_actor(self, &client_type, NULL);
    add_actor(self, &client_type, NULL);
    add_actor(self, &inference_type, NULL);
    add_actor(self, &inference_type, NULL);
    add_actor(self, &tenant_worker_type, SIM_KEY);
    add_actor(self, &identity_type, NULL);
    add_actor(self, &billing_type, NULL);
    add_actor(self, &billing_type, NULL);
    add_actor(self, &compliance_type, NULL);
    add_actor(self, &scheduler_type, NULL);
}

bool
sim_run(struct sim *self, uint64_t seed, bool trace)
{
    *self = (struct sim){ .seed = seed, .random = seed * 7919 + 17, .trace = trace };
    self->mono_ms = 1000;
    draw_faults(self);
    draw_conf(self);
    build(self);
    sim_happen(self);
    if (!self->failure[0])
        judge_finish(self->judge);

    shell_stop(self);
    for (int i = 0; i < self->actor_count; i++)
        self->actors[i].type->destroy(&self->actors[i]);
    sim_queue_destroy(&self->queue);
    judge_destroy(&self->judge);
    disk_destroy(&self->disk);
    return !self->failure[0];
}
