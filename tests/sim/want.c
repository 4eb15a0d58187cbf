// What a client wants, drawn from the seed.
#include "client.h"

static const char *const queue_names[] = { "omni.inference", "omni.training", "own" };

// ---- jobs

static void
draw_names(struct sim *sim, struct want *want)
{
    static const char *const limit_keys[] = { "k0", "k1" };
    static const char *const idem_keys[] = { "i0", "i1", "i2" };
    static const char *const unique_keys[] = { "u0", "u1" };
    if (sim_chance(sim, 0.3))
        WIRE_SET(&want->options, limit_key, om_str(limit_keys[sim_random(sim, 2)]));
    if (sim_chance(sim, 0.1)) {
        int64_t key = sim_random(sim, 3);
        WIRE_SET(&want->options, idem_key, om_str(idem_keys[key]));
        // Mostly the same job under the key.
        if (sim_chance(sim, 0.8))
            memset(want->hash, (int)key + 1, sizeof(want->hash));
    }
    if (sim_chance(sim, 0.1))
        WIRE_SET(&want->options, unique_key, om_str(unique_keys[sim_random(sim, 2)]));
    if (WIRE_HAS(&want->options, unique_key) && sim_chance(sim, 0.5))
        WIRE_SET(&want->options, unique_ms, 1 + sim_random(sim, 20000));
}

static void
draw_job(struct sim *sim, struct want *want)
{
    uint8_t entropy[10];
    for (size_t i = 0; i < sizeof(entropy); i++)
        entropy[i] = (uint8_t)sim_random(sim, 256);
    // Only the first tenant has workers of its own.
    want->queue = queue_names[sim_random(sim, want->tenant == 0 ? 3 : 2)];
    want->id = om_uuid_make(sim_now(sim).wall_ms + want->start_ms, entropy,
                            om_uuid_shard(&sim->tenants[want->tenant]));
    want->task = want->id;
    for (size_t i = 0; i < sizeof(want->hash); i++)
        want->hash[i] = (uint8_t)sim_random(sim, 256);
    int64_t wall_ms = sim_now(sim).wall_ms;
    if (sim_chance(sim, 0.5))
        WIRE_SET(&want->options, priority, sim_random(sim, 10));
    if (sim_chance(sim, 0.2))
        WIRE_SET(&want->options, due_ms, wall_ms + sim_random(sim, 60000));
    if (sim_chance(sim, 0.1))
        WIRE_SET(&want->options, expires_ms, wall_ms + sim_random(sim, 60000));
    if (sim_chance(sim, 0.3))
        WIRE_SET(&want->options, max_attempts, 1 + sim_random(sim, 5));
    if (sim_chance(sim, 0.2))
        WIRE_SET(&want->options, hard_ms, 1000 + sim_random(sim, 10000));
    want->cancel_ms = INT64_MAX;
    if (sim_chance(sim, 0.3))
        want->cancel_ms = want->start_ms + sim_random(sim, 10000);
    want->retries = sim_chance(sim, 0.5);
    draw_names(sim, want);
}

// ---- settings

static void
draw_setting(struct sim *sim, struct want *want)
{
    static const char *const keys[] = { "k0", "k1" };
    struct wire_setting *setting = &want->settings[0];
    want->actions[0] = "set";
    int64_t choice = sim_random(sim, 6);
    if (choice == 0) {
        want->actions[0] = "pause";
        want->actions[1] = "resume";
    } else if (choice == 1) {
        want->actions[0] = "purge";
    } else if (choice == 2) {
        REC_SET(setting, wire_setting, weight, 1 + sim_random(sim, 5));
        return; // of the tenant
    } else {
        REC_SET(setting, wire_setting, concurrency, 1 + sim_random(sim, 3));
        if (sim_chance(sim, 0.5)) {
            REC_SET(setting, wire_setting, rate, 1 + sim_random(sim, 4));
            REC_SET(setting, wire_setting, rate_ms, 1000 + sim_random(sim, 9000));
        }
    }
    bool any_scope = choice > 2;
    int64_t scope = any_scope ? sim_random(sim, 3) : 0;
    if (scope == 0)
        want->queue = queue_names[sim_random(sim, want->tenant == 0 ? 3 : 2)];
    else if (scope == 1)
        WIRE_SET(&want->options, limit_key, om_str(keys[sim_random(sim, 2)]));
    if (any_scope && sim_chance(sim, 0.5)) { // and later another limit, or none
        want->actions[1] = "set";
        REC_SET(&want->settings[1], wire_setting, concurrency, sim_random(sim, 3));
        REC_SET(&want->settings[1], wire_setting, rate, sim_random(sim, 6));
    }
}

// ---- batches

// The first jobs of the client are submitted together, some of them all or none.
static void
draw_batches(struct actor *self, struct client *client)
{
    struct sim *sim = self->sim;
    int at = 0;
    for (int batch = 1; batch <= BATCHES; batch++) {
        if (!sim_chance(sim, 0.5))
            continue;
        struct batch_plan *plan = &client->batches[batch];
        plan->atomic = sim_chance(sim, 0.6);
        plan->cyclic = plan->atomic && sim_chance(sim, 0.1);
        struct want *first = &client->wants[at];
        for (int64_t left = 2 + sim_random(sim, 3); left > 0; left--) {
            struct want *want = &client->wants[at++];
            want->batch = batch;
            want->start_ms = first->start_ms;
            if (plan->atomic)
                want->tenant = first->tenant;
        }
    }
}

static enum want_kind
kind_of(int place)
{
    static const int counts[] = {
        [WANT_JOB] = JOBS,         [WANT_PUBLISH] = PUBLISHES, [WANT_CALL] = CALLS,
        [WANT_SETTING] = SETTINGS, [WANT_SWEEP] = SWEEPS,
    };
    enum want_kind kind = WANT_JOB;
    while (place >= counts[kind])
        place -= counts[kind++];
    return kind;
}

void
want_draw_all(struct actor *self)
{
    struct client *client = self->state;
    struct sim *sim = self->sim;
    bool settings = sim_chance(sim, 0.6);
    for (int i = 0; i < ITEMS; i++) {
        struct want *want = &client->wants[i];
        want->kind = kind_of(i);
        want->start_ms = sim->mono_ms + sim_random(sim, 50000);
        want->tenant = (int)sim_random(sim, SIM_TENANTS);
        want->count = 1 + sim_random(sim, 6);
        want->poison = sim_chance(sim, 0.1);
        if (want->kind == WANT_SETTING && !settings)
            want->phase = FINISHED;
    }
    draw_batches(self, client);
    for (int i = 0; i < ITEMS; i++) {
        struct want *want = &client->wants[i];
        if (want->kind == WANT_JOB)
            draw_job(sim, want);
        else if (want->kind == WANT_SETTING)
            draw_setting(sim, want);
    }
}
