#include <stdio.h>

#include "steps.h"

static const struct {
    const char *name;
    int share; // how often it is drawn
} step_infos[STEP_COUNT] = {
#define STEP_ROW(name, share) { #name, share },
    STEP_LIST(STEP_ROW)
#undef STEP_ROW
};

// ---- drawing

// SplitMix64.
static int64_t
draw(uint64_t *state, int64_t below)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return (int64_t)((z ^ z >> 31) % (uint64_t)below);
}

static struct model_spec
draw_spec(uint64_t *state)
{
    int64_t begin_ms = 1000;
    struct model_spec spec = { .tenant = (int)draw(state, MODEL_TENANTS),
                               .queue = (int)draw(state, MODEL_QUEUES),
                               .priority = 5,
                               .max_attempts = 1 + draw(state, 4) };
    spec.hard_ms = model_queues[spec.queue].hard_ms;
    if (draw(state, 2))
        spec.priority = (int)draw(state, 10);
    if (draw(state, 4) == 0)
        spec.due_ms = begin_ms + draw(state, 60000);
    if (draw(state, 5) == 0)
        spec.expires_ms = begin_ms + draw(state, 60000);
    if (draw(state, 4) == 0)
        spec.hard_ms = 1 + draw(state, 20000);
    if (draw(state, 3) == 0)
        spec.key = (int)draw(state, MODEL_KEYS);
    spec.run_anyway = draw(state, 3) == 0;
    return spec;
}

// Some jobs wait for earlier ones of their tenant.
static void
draw_parents(uint64_t *state, struct model_spec *specs, int job)
{
    struct model_spec *spec = &specs[job];
    for (int i = 0; i < job && spec->parent_count < MODEL_PARENTS; i++)
        if (specs[i].tenant == spec->tenant && draw(state, 12) == 0)
            spec->parents[spec->parent_count++] = i;
}

static struct step
draw_step(uint64_t *state, int64_t shares, int jobs)
{
    struct step step = { .job = (int)draw(state, jobs),
                         .worker = (int)draw(state, MODEL_WORKERS),
                         .queue = (int)draw(state, MODEL_QUEUES),
                         .value = draw(state, 1000),
                         .flag = draw(state, 4) == 0 };
    int64_t at = draw(state, shares);
    while (at >= step_infos[step.kind].share)
        at -= step_infos[step.kind++].share;
    return step;
}

void
steps_make(struct steps *self, uint64_t seed)
{
    uint64_t state = seed * 7919 + 17;
    *self = (struct steps){ .conf = core_conf_default(), .count = STEPS_MAX };
    self->conf.retry_base_ms = self->conf.retry_cap_ms = 1; // then the jitter is none
    self->max_open = draw(&state, 3) ? 1000 : 1 + (size_t)draw(&state, 6);
    self->conf.max_open_per_tenant = self->max_open;
    if (draw(&state, 3) == 0)
        self->conf.payload_cache_bytes = (size_t)draw(&state, 200);
    if (draw(&state, 2)) {
        self->conf.window_flow = 1 + (size_t)draw(&state, 4);
        self->conf.window_total = 1 + (size_t)draw(&state, 8);
        self->conf.window_ahead_ms = draw(&state, 2000);
    }
    int64_t shares = 0;
    for (int i = 0; i < STEP_COUNT; i++)
        shares += step_infos[i].share;
    for (int i = 0; i < MODEL_JOBS; i++) {
        self->specs[i] = draw_spec(&state);
        draw_parents(&state, self->specs, i);
    }
    int jobs = 2 + (int)draw(&state, MODEL_JOBS - 1);
    for (size_t i = 0; i < self->count; i++)
        self->list[i] = draw_step(&state, shares, jobs);
}

// ---- running

struct run {
    const struct steps *steps;
    struct real real;
    struct model model;
};

static void
on_job(void *context, int job, int worker)
{
    struct run *self = context;
    const char *complaint = model_give(&self->model, job, worker);
    if (complaint)
        sim_fail(&self->real.sim, "%s (job %d)", complaint, job);
}

static void
on_beat(void *context, int worker)
{
    struct run *self = context;
    model_beat(&self->model, worker);
}

static void
on_time(void *context, int64_t now_ms)
{
    struct run *self = context;
    model_advance(&self->model, now_ms);
}

static void
expect(struct run *self, const char *want)
{
    want = want ? want : "";
    if (strcmp(self->real.answer, want) != 0)
        sim_fail(&self->real.sim, "answered \"%s\", not \"%s\"", self->real.answer, want);
}

static void
ask(struct run *self, enum wire_type type, const struct step *step)
{
    const struct model_spec *spec = &self->steps->specs[step->job];
    struct model *model = &self->model;
    // Mostly the same job again under its id.
    int content = step->flag && step->value < 500 ? 1 : 0;
    bool full = type == WIRE_SUBMIT && model_is_full(model, spec->tenant);
    const char *want = type == WIRE_SUBMIT ? model_submit(model, step->job, spec, content)
                       : type == WIRE_CANCEL ? model_cancel(model, step->job)
                                             : model_retry(model, step->job);
    real_ask(&self->real, type, step->job, spec, content);
    // Of a job that only the store knows no more is said while the queue is full.
    if (!full || strcmp(self->real.answer, "REJECT queue_full") != 0)
        expect(self, want);
}

// A word about the newest lease of the job, or about an older one.
static void
say(struct run *self, enum wire_type type, const struct step *step)
{
    int count = self->real.lease_count[step->job];
    if (count == 0)
        return;
    int lease = step->flag ? (int)(step->value % count) : count - 1;
    if (real_is_frozen(&self->real, self->real.leases[step->job][lease].worker))
        return;
    struct model_word word = { type, step->value % 4 != 0, -1 };
    if (step->value % 3 == 0)
        word.retry_ms = step->value * 5;
    const char *want = model_say(&self->model, step->job, lease, &word);
    real_say(&self->real, step->job, lease, &word);
    expect(self, want);
}

static void
restart(struct run *self)
{
    real_stop(&self->real);
    model_restarted(&self->model);
    real_start(&self->real);
}

static void
set(struct run *self, const struct step *step)
{
    static const char *const actions[STEP_COUNT] = {
        [STEP_set] = "set",
        [STEP_pause] = "pause",
        [STEP_resume] = "resume",
        [STEP_purge] = "purge",
    };
    int tenant = step->worker % MODEL_TENANTS;
    int limit = model_limit_of_queue(step->queue);
    int64_t concurrency = step->value / 10 % 4;
    if (step->kind == STEP_set) {
        limit = (int)(step->value % MODEL_LIMITS);
        limit += limit == model_limit_of_key(0); // which is none
        model_limit(&self->model, tenant, limit, concurrency);
    } else if (step->kind == STEP_purge) {
        model_purge(&self->model, tenant, step->queue);
    } else {
        model_pause(&self->model, tenant, step->queue, step->kind == STEP_pause);
    }
    real_queue(&self->real, actions[step->kind], tenant, limit, concurrency);
    expect(self, "QUEUES");
    if (step->kind == STEP_purge) // which ends a moment later
        real_advance(&self->real, self->real.sim.mono_ms + 2);
}

static void
list(struct run *self, const struct step *step)
{
    int want[MODEL_JOBS], tenant = step->worker % MODEL_TENANTS;
    int64_t state = step->value % STATE_COUNT;
    const char *status = state ? state_info(state)->public_name : NULL;
    size_t count = model_list(&self->model, tenant, status, want);
    real_list(&self->real, tenant, status);
    expect(self, "TASKS");
    if (self->real.listed_count != count ||
        memcmp(self->real.listed, want, count * sizeof(want[0])) != 0)
        sim_fail(&self->real.sim, "%zu jobs of status %s are listed, not %zu",
                 self->real.listed_count, status ? status : "any", count);
}

static void
do_step(struct run *self, const struct step *step)
{
    static const enum wire_type words[STEP_COUNT] = {
        [STEP_submit] = WIRE_SUBMIT,   [STEP_cancel] = WIRE_CANCEL,
        [STEP_retry] = WIRE_RETRY,     [STEP_start] = WIRE_START,
        [STEP_done] = WIRE_DONE,       [STEP_fail] = WIRE_FAIL,
        [STEP_release] = WIRE_RELEASE, [STEP_cancelled] = WIRE_CANCELLED,
    };
    struct real *real = &self->real;
    int64_t now_ms = real->sim.mono_ms;
    switch (step->kind) {
    case STEP_submit:
    case STEP_cancel:
    case STEP_retry:
        ask(self, words[step->kind], step);
        break;
    case STEP_credit:
        if (!real_is_frozen(real, step->worker))
            real_credit(real, step->worker, step->queue, step->value % 4);
        break;
    case STEP_pass:
        // From nothing to longer than any lease.
        real_advance(real,
                     now_ms + (step->flag ? step->value * 40 : step->value * 3 / 2));
        break;
    case STEP_freeze:
        real_freeze(real, step->worker, now_ms + step->value * 45);
        break;
    case STEP_die:
        model_worker_died(&self->model, step->worker);
        real_worker_dies(real, step->worker);
        break;
    case STEP_restart:
        restart(self);
        break;
    case STEP_set:
    case STEP_pause:
    case STEP_resume:
    case STEP_purge:
        set(self, step);
        break;
    case STEP_list:
        list(self, step);
        break;
    default:
        say(self, words[step->kind], step);
        break;
    }
}

// ---- comparing

static void
compare_job(struct run *self, int number)
{
    struct real *real = &self->real;
    const struct model_job *job = &self->model.jobs[number];
    real_ask(real, WIRE_GET, number, &self->steps->specs[number], 0);
    expect(self, job->known ? "TASK" : "ERROR not_found");
    if (!job->known || real->sim.failure[0])
        return;
    const struct wire_task *info = &real->info;
    bool shown = job->state == STATE_RETRY_WAIT || job->state >= STATE_FAILED;
    const char *code = shown ? job->code : "";
    int64_t wall_ms = sim_now(&real->sim).wall_ms - real->sim.mono_ms;
    bool waits = job->state == STATE_SCHEDULED || job->state == STATE_RETRY_WAIT;
    if (info->state != (int64_t)job->state)
        sim_fail(&real->sim, "job %d is %s, not %s", number,
                 state_info(info->state)->name, state_info(job->state)->name);
    else if (info->attempts != job->attempts || info->lost != job->lost)
        sim_fail(&real->sim, "job %d has %lld attempts, %lld lost, not %lld, %lld",
                 number, (long long)info->attempts, (long long)info->lost,
                 (long long)job->attempts, (long long)job->lost);
    else if (strcmp(real->code, code) != 0)
        sim_fail(&real->sim, "job %d has code \"%s\", not \"%s\"", number, real->code,
                 code);
    else if (waits && info->due_ms != wall_ms + job->due_ms)
        sim_fail(&real->sim, "job %d is due in %lld ms, not %lld", number,
                 (long long)(info->due_ms - wall_ms - real->sim.mono_ms),
                 (long long)(job->due_ms - real->sim.mono_ms));
}

static void
compare(struct run *self)
{
    for (int i = 0; i < MODEL_JOBS && !self->real.sim.failure[0]; i++)
        compare_job(self, i);
    const char *complaint = model_check_order(&self->model);
    if (complaint)
        sim_fail(&self->real.sim, "%s", complaint);
    for (int i = 0; i < MODEL_QUEUES; i++)
        if (model_has_work(&self->model, i) && real_has_taker(&self->real, i))
            sim_fail(&self->real.sim, "a job of %s waits, and so does a worker",
                     model_queues[i].name);
}

bool
steps_run(const struct steps *self, char *why, size_t why_size, size_t *done)
{
    struct run *run = calloc(1, sizeof(*run));
    if (!run)
        abort();
    run->steps = self;
    run->model.now_ms = 1000;
    run->model.max_open = self->max_open;
    run->model.away = self->conf.window_total < MODEL_JOBS;
    run->real.context = run;
    run->real.on_job = on_job;
    run->real.on_beat = on_beat;
    run->real.on_time = on_time;
    real_create(&run->real, &self->conf);
    for (*done = 0; *done < self->count && !run->real.sim.failure[0]; ++*done) {
        do_step(run, &self->list[*done]);
        if (!run->real.sim.failure[0])
            compare(run);
    }
    bool same = !run->real.sim.failure[0];
    snprintf(why, why_size, "%s", run->real.sim.failure);
    real_destroy(&run->real);
    free(run);
    return same;
}

// ---- shrinking

// Leave out `count` steps from `first` on, if the two still differ.
static bool
leave_out(struct steps *self, size_t first, size_t count)
{
    char why[512];
    size_t done;
    struct steps *less = malloc(sizeof(*less));
    if (!less)
        abort();
    *less = *self;
    memmove(&less->list[first], &less->list[first + count],
            (less->count - first - count) * sizeof(less->list[0]));
    less->count -= count;
    bool same = steps_run(less, why, sizeof(why), &done);
    if (!same) {
        less->count = done; // nothing after the difference matters
        *self = *less;
    }
    free(less);
    return !same;
}

void
steps_shrink(struct steps *self)
{
    for (size_t size = self->count / 2; size > 0;) {
        bool shrunk = false;
        for (size_t at = 0; at + size <= self->count;)
            if (leave_out(self, at, size))
                shrunk = true;
            else
                at += size;
        if (!shrunk || size > self->count)
            size /= 2;
    }
}

static void
print_submit(const struct step *step, const struct model_spec *spec)
{
    printf(" job %d: tenant %d, %s, priority %d, %lld attempts, due %lld, expires %lld, "
           "hard %lld ms, key %d%s",
           step->job, spec->tenant, model_queues[spec->queue].name, spec->priority,
           (long long)spec->max_attempts, (long long)spec->due_ms,
           (long long)spec->expires_ms, (long long)spec->hard_ms, spec->key,
           spec->run_anyway ? ", anyway" : "");
    for (int i = 0; i < spec->parent_count; i++)
        printf("%s %d", i ? "" : ", after", spec->parents[i]);
}

void
steps_print(const struct steps *self)
{
    for (size_t i = 0; i < self->count; i++) {
        const struct step *step = &self->list[i];
        printf("  %2zu %s", i + 1, step_infos[step->kind].name);
        if (step->kind == STEP_submit)
            print_submit(step, &self->specs[step->job]);
        else if (step->kind < STEP_pass && step->kind != STEP_credit)
            printf(" job %d (%lld%s)", step->job, (long long)step->value,
                   step->flag ? ", older" : "");
        else if (step->kind == STEP_credit)
            printf(" worker %d: %lld of %s", step->worker, (long long)step->value % 4,
                   model_queues[step->queue].name);
        else if (step->kind != STEP_restart)
            printf(" worker or tenant %d, %s, %lld%s", step->worker,
                   model_queues[step->queue].name, (long long)step->value,
                   step->flag ? " long" : "");
        putchar('\n');
    }
}
