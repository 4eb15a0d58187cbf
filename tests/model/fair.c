#include <stdio.h>

#include "fair.h"
#include "real.h"

enum { STARTS = 1500, HELD_MAX = 12, COST_MAX = 16, QUEUE_AT = 1 };

struct tenant {
    int64_t weight, held;
    double paid;
    bool hogs; // its jobs run long
};

struct fair {
    struct real real;
    uint64_t random;
    struct tenant tenants[MODEL_TENANTS];
    bool held[MODEL_JOBS];
    int64_t starts, held_count;
    // How far what one has paid was ahead of the other's, at most and at least.
    double most[MODEL_TENANTS][MODEL_TENANTS], least[MODEL_TENANTS][MODEL_TENANTS];
};

// Each place of a job is one tenant's, and is used again when the job has ended.
static int
tenant_of(int job)
{
    return job % MODEL_TENANTS;
}

static int64_t
draw(struct fair *self, int64_t below)
{
    uint64_t z = self->random += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return (int64_t)((z ^ z >> 31) % (uint64_t)below);
}

static void
judge_pair(struct fair *self, int a, int b)
{
    const struct tenant *one = &self->tenants[a], *other = &self->tenants[b];
    double one_weight = (double)one->weight, other_weight = (double)other->weight;
    double ahead = one->paid / one_weight - other->paid / other_weight;
    double *most = &self->most[a][b], *least = &self->least[a][b];
    *most = ahead > *most ? ahead : *most;
    *least = ahead < *least ? ahead : *least;
    if (*most - *least > 1 + COST_MAX / one_weight + COST_MAX / other_weight)
        sim_fail(&self->real.sim, "tenants of weight %lld and %lld drifted %.1f apart",
                 (long long)one->weight, (long long)other->weight, *most - *least);
}

static void
on_job(void *context, int job, int worker)
{
    (void)worker;
    struct fair *self = context;
    struct tenant *tenant = &self->tenants[tenant_of(job)];
    int64_t cost = 1 + tenant->held / tenant->weight;
    tenant->paid += (double)(cost < COST_MAX ? cost : COST_MAX);
    tenant->held++;
    self->held[job] = true;
    self->held_count++;
    self->starts++;
    for (int a = 0; a < MODEL_TENANTS; a++)
        for (int b = 0; b < a; b++)
            judge_pair(self, a, b);
}

static void
on_beat(void *context, int worker)
{
    (void)context, (void)worker;
}

static void
on_time(void *context, int64_t now_ms)
{
    (void)context, (void)now_ms;
}

static void
submit(struct fair *self, int job)
{
    struct model_spec spec = {
        .tenant = tenant_of(job), .queue = QUEUE_AT, .priority = 5, .max_attempts = 1
    };
    self->real.ids[job] = (struct om_uuid){ 0 };
    self->real.lease_count[job] = 0;
    self->held[job] = false;
    real_ask(&self->real, WIRE_SUBMIT, job, &spec, 0);
}

// Some job that is held ends, and another takes its place.
static void
finish(struct fair *self)
{
    const struct model_word done = { .type = WIRE_DONE };
    int job = (int)draw(self, MODEL_JOBS);
    while (!self->held[job])
        job = (job + 1) % MODEL_JOBS;
    struct tenant *tenant = &self->tenants[tenant_of(job)];
    if (tenant->hogs && draw(self, 8))
        return;
    real_say(&self->real, job, 0, &done);
    tenant->held--;
    self->held_count--;
    real_advance(&self->real, self->real.sim.mono_ms + 1 + draw(self, 50));
    submit(self, job);
}

static void
begin(struct fair *self)
{
    struct core_conf conf = core_conf_default();
    self->real.context = self;
    self->real.on_job = on_job;
    self->real.on_beat = on_beat;
    self->real.on_time = on_time;
    real_create(&self->real, &conf);
    for (int i = 0; i < MODEL_TENANTS; i++) {
        self->tenants[i].weight = 1 + draw(self, 5);
        self->tenants[i].hogs = draw(self, 3) == 0;
        real_weigh(&self->real, i, self->tenants[i].weight);
    }
    for (int job = 0; job < MODEL_JOBS; job++)
        submit(self, job);
}

bool
fair_run(uint64_t seed, char *why, size_t why_size)
{
    struct fair *self = calloc(1, sizeof(*self));
    if (!self)
        abort();
    self->random = seed;
    begin(self);
    while (self->starts < STARTS && !self->real.sim.failure[0])
        if (self->held_count < HELD_MAX && draw(self, 2))
            real_credit(&self->real, (int)draw(self, MODEL_WORKERS), QUEUE_AT, 1);
        else if (self->held_count > 0)
            finish(self);
    bool kept = !self->real.sim.failure[0];
    snprintf(why, why_size, "%s", self->real.sim.failure);
    real_destroy(&self->real);
    free(self);
    return kept;
}
