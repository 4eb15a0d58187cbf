#include "model.h"

enum { LOST_MAX = 3, BACKOFF_MS = 1 };

const struct model_queue model_queues[MODEL_QUEUES] = {
    { "omni.inference", 10 * 1000, 60 * 1000 },
    { "omni.training", 30 * 1000, 0 },
};

// ---- how a job moves

static bool
is_open(const struct model_job *job)
{
    return job->known && !state_info(job->state)->ended;
}

static void place(struct model *self, struct model_job *job);

// Note of a job's parents what has ended.
static void
look_at_parents(const struct model *self, struct model_job *job)
{
    for (int i = 0; i < job->spec.parent_count; i++) {
        const struct model_job *parent = &self->jobs[job->spec.parents[i]];
        if (job->passed[i] || is_open(parent))
            continue;
        job->passed[i] = true;
        job->parent_failed = job->parent_failed || parent->state != STATE_SUCCEEDED;
    }
}

static bool
must_wait(const struct model_job *job)
{
    for (int i = 0; !job->reopened && i < job->spec.parent_count; i++)
        if (!job->passed[i])
            return true;
    return false;
}

void
model_next_step(struct model *self)
{
    self->step += 2;
}

// Those that wait for it know when that is on disk, behind what was started meanwhile.
static void
end(struct model *self, struct model_job *job, enum task_state state, const char *code)
{
    job->state = state;
    job->code = code ? code : "";
    job->held = false;
    for (int i = 0; i < MODEL_JOBS; i++) {
        struct model_job *child = &self->jobs[i];
        if (!child->known || child->state != STATE_BLOCKED)
            continue;
        look_at_parents(self, child);
        place(self, child);
        child->ready_step = self->step + 1;
    }
}

// It waits: for others, for its time, or for a worker.
static void
place(struct model *self, struct model_job *job)
{
    bool given_up = job->parent_failed && !job->spec.run_anyway && !job->reopened;
    job->held = false;
    if (job->cancel) {
        end(self, job, STATE_CANCELLED, NULL);
    } else if (job->attempts == 0 && job->expires_ms && job->expires_ms <= self->now_ms) {
        end(self, job, STATE_EXPIRED, "expired");
    } else if (given_up) {
        end(self, job, STATE_CANCELLED, "parent_failed");
    } else if (must_wait(job)) {
        job->state = STATE_BLOCKED;
    } else if (job->due_ms > self->now_ms) {
        job->state = STATE_SCHEDULED;
    } else {
        job->state = STATE_READY;
        job->ready_step = self->step;
    }
}

static void
retry_later(struct model *self, struct model_job *job, int64_t delay_ms, const char *code)
{
    job->held = false;
    job->state = STATE_RETRY_WAIT;
    job->due_ms = self->now_ms + delay_ms;
    job->code = code;
}

static void
fail(struct model *self, struct model_job *job, const struct model_word *word,
     const char *code)
{
    if (job->cancel)
        end(self, job, STATE_CANCELLED, NULL);
    else if (!word->retryable || job->attempts - job->lost >= job->spec.max_attempts)
        end(self, job, STATE_FAILED, code);
    else
        retry_later(self, job, word->retry_ms < 0 ? BACKOFF_MS : word->retry_ms, code);
}

static void
release(struct model *self, struct model_job *job)
{
    job->attempts--;
    place(self, job);
}

// Its worker is gone. Where that worker never spoke to this start of the broker, the
// attempt does not count.
static void
lose(struct model *self, struct model_job *job)
{
    if (job->cancel)
        end(self, job, STATE_CANCELLED, NULL);
    else if (!job->claimed)
        release(self, job);
    else if (++job->lost >= LOST_MAX)
        end(self, job, STATE_FAILED, "worker_lost");
    else
        retry_later(self, job, BACKOFF_MS, "worker_lost");
}

static void
claim(struct model *self, struct model_job *job)
{
    job->claimed = true;
    job->lost_at_ms = self->now_ms + model_queues[job->spec.queue].lease_ms;
}

static void
limit_time(struct model *self, struct model_job *job)
{
    job->hard_at_ms = job->spec.hard_ms ? self->now_ms + job->spec.hard_ms : INT64_MAX;
}

// ---- clients

bool
model_is_full(const struct model *self, int tenant)
{
    size_t open = 0;
    for (int i = 0; i < MODEL_JOBS; i++)
        open += is_open(&self->jobs[i]) && self->jobs[i].spec.tenant == tenant;
    return open >= self->max_open;
}

const char *
model_submit(struct model *self, int number, const struct model_spec *spec, int content)
{
    struct model_job *job = &self->jobs[number];
    model_next_step(self);
    if (!is_open(job) && model_is_full(self, spec->tenant))
        return "REJECT queue_full";
    if (job->known)
        return job->content == content ? "SUBMITTED duplicate" : "REJECT id_reused";
    for (int i = 0; i < spec->parent_count; i++)
        if (!self->jobs[spec->parents[i]].known)
            return "REJECT invalid_request";
    *job = (struct model_job){ .known = true,
                               .number = ++self->last_number,
                               .spec = *spec,
                               .content = content,
                               .due_ms = spec->due_ms,
                               .expires_ms = spec->expires_ms };
    look_at_parents(self, job);
    place(self, job);
    return "SUBMITTED";
}

const char *
model_cancel(struct model *self, int number)
{
    struct model_job *job = &self->jobs[number];
    model_next_step(self);
    if (!job->known)
        return "ERROR not_found";
    if (!is_open(job))
        return "ERROR conflict";
    job->cancel = true;
    if (job->held)
        job->state = STATE_CANCELLING;
    else
        end(self, job, STATE_CANCELLED, NULL);
    return "CANCEL_ACK";
}

const char *
model_retry(struct model *self, int number)
{
    struct model_job *job = &self->jobs[number];
    model_next_step(self);
    if (!job->known)
        return "ERROR not_found";
    if (is_open(job) && job->reopened)
        return "SUBMITTED";
    if (job->state != STATE_FAILED)
        return "ERROR conflict";
    if (model_is_full(self, job->spec.tenant))
        return "ERROR queue_full";
    job->reopened = true;
    job->attempts = job->lost = job->due_ms = job->expires_ms = 0;
    job->cancel = false;
    place(self, job);
    return "SUBMITTED";
}

// ---- workers

const char *
model_say(struct model *self, int number, int lease, const struct model_word *word)
{
    struct model_job *job = &self->jobs[number];
    bool ends = word->type != WIRE_START && word->type != WIRE_RELEASE;
    model_next_step(self);
    if (job->leases[lease].finished)
        return ends ? "DONE_ACK" : NULL;
    if (!job->held || lease != job->lease_count - 1)
        return "STALE";
    claim(self, job);
    job->leases[lease].finished = ends;
    if (word->type == WIRE_START && !job->started) {
        job->started = true;
        job->state = job->state == STATE_LEASED ? STATE_RUNNING : job->state;
        limit_time(self, job);
    } else if (word->type == WIRE_RELEASE) {
        release(self, job);
    } else if (word->type == WIRE_DONE) {
        end(self, job, STATE_SUCCEEDED, NULL);
    } else if (word->type == WIRE_FAIL) {
        fail(self, job, word, "internal_error");
    } else if (word->type == WIRE_CANCELLED) {
        fail(self, job, &(struct model_word){ .retryable = true, .retry_ms = -1 },
             "cancelled");
    }
    return ends ? "DONE_ACK" : NULL;
}

static bool
is_held_by(const struct model_job *job, int worker)
{
    return job->held && job->leases[job->lease_count - 1].worker == worker;
}

void
model_beat(struct model *self, int worker)
{
    for (int i = 0; i < MODEL_JOBS; i++)
        if (is_held_by(&self->jobs[i], worker))
            claim(self, &self->jobs[i]);
}

void
model_worker_died(struct model *self, int worker)
{
    model_next_step(self);
    for (int i = 0; i < MODEL_JOBS; i++)
        if (is_held_by(&self->jobs[i], worker))
            lose(self, &self->jobs[i]);
}

static void
hold_anew(struct model *self, struct model_job *job)
{
    job->state = job->state == STATE_LEASED ? STATE_RUNNING : job->state;
    claim(self, job);
    limit_time(self, job);
    job->claimed = job->started = false;
}

void
model_restarted(struct model *self)
{
    model_next_step(self);
    for (int i = 0; i < MODEL_JOBS; i++) {
        struct model_job *job = &self->jobs[i];
        for (int k = 0; k < job->lease_count; k++)
            job->leases[k].finished = false; // forgotten
        if (job->state == STATE_READY)
            job->ready_step = self->step; // which came first is not promised any more
        if (job->held)
            hold_anew(self, job);
    }
}

// ---- the broker

// What time has done to the job by now.
static bool
is_lost(const struct model *self, const struct model_job *job)
{
    return is_open(job) && job->held && job->lost_at_ms <= self->now_ms;
}

static bool
is_timed_out(const struct model *self, const struct model_job *job)
{
    return is_open(job) && job->held && job->hard_at_ms <= self->now_ms;
}

static bool
has_waited(const struct model *self, const struct model_job *job)
{
    bool waits = job->state == STATE_RETRY_WAIT || job->state == STATE_SCHEDULED;
    bool may_expire =
        job->attempts == 0 && job->expires_ms && job->state != STATE_RETRY_WAIT;
    return is_open(job) && !job->held &&
           ((waits && job->due_ms <= self->now_ms) ||
            (may_expire && job->expires_ms <= self->now_ms));
}

// What is away is read first; what was ready before may be started meanwhile.
static void
come_due(struct model *self, struct model_job *job)
{
    place(self, job);
    if (self->away)
        job->ready_step = self->step + 1;
}

void
model_advance(struct model *self, int64_t now_ms)
{
    static const struct model_word timeout = { .retryable = true, .retry_ms = -1 };
    bool happens = now_ms != self->now_ms;
    self->now_ms = now_ms;
    for (int i = 0; i < MODEL_JOBS; i++)
        happens = happens || has_waited(self, &self->jobs[i]);
    if (happens)
        model_next_step(self);
    for (int i = 0; i < MODEL_JOBS; i++) {
        struct model_job *job = &self->jobs[i];
        if (is_lost(self, job))
            lose(self, job);
        else if (is_timed_out(self, job))
            fail(self, job, &timeout, "timeout");
        else if (has_waited(self, job))
            come_due(self, job);
    }
}

void
model_hold(struct model *self, struct model_job *job, int worker)
{
    job->state = STATE_LEASED;
    job->attempts++;
    job->held = true;
    job->started = false;
    job->leases[job->lease_count++] = (struct model_lease){ .worker = worker };
    claim(self, job);
    limit_time(self, job);
}

static bool
is_purged(const struct model_job *job, int tenant, int queue)
{
    return is_open(job) && !job->held && job->attempts == 0 && !job->reopened &&
           job->spec.tenant == tenant && job->spec.queue == queue;
}

void
model_purge(struct model *self, int tenant, int queue)
{
    model_next_step(self);
    // All of them at once, then those that wait for them.
    bool purged[MODEL_JOBS];
    for (int i = 0; i < MODEL_JOBS; i++) {
        purged[i] = is_purged(&self->jobs[i], tenant, queue);
        if (purged[i])
            self->jobs[i].state = STATE_CANCELLED;
    }
    for (int i = 0; i < MODEL_JOBS; i++)
        if (purged[i])
            end(self, &self->jobs[i], STATE_CANCELLED, NULL);
}
