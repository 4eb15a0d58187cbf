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

static void
end(struct model_job *job, enum task_state state, const char *code)
{
    job->state = state;
    job->code = code ? code : job->code;
    job->held = false;
}

// It waits: for its time, or for a worker.
static void
place(struct model *self, struct model_job *job)
{
    job->held = false;
    if (job->cancel) {
        end(job, STATE_CANCELLED, NULL);
    } else if (job->attempts == 0 && job->expires_ms && job->expires_ms <= self->now_ms) {
        end(job, STATE_EXPIRED, "expired");
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
        end(job, STATE_CANCELLED, NULL);
    else if (!word->retryable || job->attempts - job->lost >= job->spec.max_attempts)
        end(job, STATE_FAILED, code);
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
        end(job, STATE_CANCELLED, NULL);
    else if (!job->claimed)
        release(self, job);
    else if (++job->lost >= LOST_MAX)
        end(job, STATE_FAILED, "worker_lost");
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

static bool
is_full(const struct model *self, int tenant)
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
    self->step++;
    if (!is_open(job) && is_full(self, spec->tenant))
        return "REJECT queue_full";
    if (job->known)
        return job->content == content ? "SUBMITTED duplicate" : "REJECT id_reused";
    *job = (struct model_job){ .known = true,
                               .spec = *spec,
                               .content = content,
                               .due_ms = spec->due_ms,
                               .expires_ms = spec->expires_ms };
    place(self, job);
    return "SUBMITTED";
}

const char *
model_cancel(struct model *self, int number)
{
    struct model_job *job = &self->jobs[number];
    self->step++;
    if (!job->known)
        return "ERROR not_found";
    if (!is_open(job))
        return "ERROR conflict";
    job->cancel = true;
    if (job->held)
        job->state = STATE_CANCELLING;
    else
        end(job, STATE_CANCELLED, NULL);
    return "CANCEL_ACK";
}

const char *
model_retry(struct model *self, int number)
{
    struct model_job *job = &self->jobs[number];
    self->step++;
    if (!job->known)
        return "ERROR not_found";
    if (is_open(job) && job->reopened)
        return "SUBMITTED";
    if (job->state != STATE_FAILED)
        return "ERROR conflict";
    if (is_full(self, job->spec.tenant))
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
    self->step++;
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
        end(job, STATE_SUCCEEDED, NULL);
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
    self->step++;
    for (int i = 0; i < MODEL_JOBS; i++)
        if (is_held_by(&self->jobs[i], worker))
            lose(self, &self->jobs[i]);
}

void
model_restarted(struct model *self)
{
    self->step++;
    for (int i = 0; i < MODEL_JOBS; i++) {
        struct model_job *job = &self->jobs[i];
        for (int k = 0; k < job->lease_count; k++)
            job->leases[k].finished = false; // forgotten
        if (job->state == STATE_READY)
            job->ready_step = self->step; // which came first is not promised any more
        if (!job->held)
            continue;
        job->state = job->state == STATE_LEASED ? STATE_RUNNING : job->state;
        claim(self, job);
        limit_time(self, job);
        job->claimed = job->started = false;
    }
}

// ---- the broker

void
model_advance(struct model *self, int64_t now_ms)
{
    static const struct model_word timeout = { .retryable = true, .retry_ms = -1 };
    self->now_ms = now_ms;
    self->step++;
    for (int i = 0; i < MODEL_JOBS; i++) {
        struct model_job *job = &self->jobs[i];
        if (!is_open(job))
            continue;
        if (job->held && job->lost_at_ms <= now_ms)
            lose(self, job);
        else if (job->held && job->hard_at_ms <= now_ms)
            fail(self, job, &timeout, "timeout");
        else if (job->state == STATE_RETRY_WAIT && job->due_ms <= now_ms)
            place(self, job);
        else if (job->state == STATE_SCHEDULED && job->due_ms <= now_ms)
            place(self, job);
        else if (!job->held && job->state != STATE_RETRY_WAIT && job->attempts == 0 &&
                 job->expires_ms && job->expires_ms <= now_ms)
            place(self, job);
    }
}

static bool
is_ready(const struct model_job *job, int queue)
{
    return job->known && job->state == STATE_READY && job->spec.queue == queue;
}

const char *
model_give(struct model *self, int number, int worker)
{
    struct model_job *job = &self->jobs[number];
    if (!is_ready(job, job->spec.queue))
        return "a job was given that is not ready";
    job->state = STATE_LEASED;
    job->attempts++;
    job->given_step = self->step;
    job->given_ready_step = job->ready_step;
    job->held = true;
    job->started = false;
    job->leases[job->lease_count++] = (struct model_lease){ .worker = worker };
    claim(self, job);
    limit_time(self, job);
    return NULL;
}

// Was `waiting` passed over when `given` was given?
static const char *
is_passed_over(const struct model_job *waiting, const struct model_job *given)
{
    if (!given->given_step || !is_ready(waiting, given->spec.queue) ||
        waiting->ready_step > given->given_step ||
        waiting->spec.priority > given->spec.priority)
        return NULL;
    if (waiting->spec.priority < given->spec.priority)
        return "a job was given while a more urgent one waits";
    if (waiting->spec.tenant == given->spec.tenant &&
        waiting->ready_step < given->given_ready_step)
        return "a job was given while an older one of its tenant waits";
    return NULL;
}

const char *
model_check_order(struct model *self)
{
    const char *complaint = NULL;
    for (int i = 0; i < MODEL_JOBS; i++)
        for (int k = 0; k < MODEL_JOBS && !complaint; k++)
            complaint = is_passed_over(&self->jobs[k], &self->jobs[i]);
    for (int i = 0; i < MODEL_JOBS; i++)
        self->jobs[i].given_step = 0;
    return complaint;
}

bool
model_has_work(const struct model *self, int queue)
{
    for (int i = 0; i < MODEL_JOBS; i++)
        if (is_ready(&self->jobs[i], queue))
            return true;
    return false;
}
