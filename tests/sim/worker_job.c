// The course of a job, or of a run of events, at a worker.
#include "judge.h"
#include "worker.h"

void
worker_drop(struct job *job)
{
    om_buf_finish(&job->events);
    *job = (struct job){ .phase = NO_JOB };
}

struct om_str
job_token(const struct job *job)
{
    return (struct om_str){ job->token, WIRE_TOKEN_BYTES };
}

static void
send_token(struct actor *self, enum wire_type type, const struct job *job)
{
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, token, job_token(job));
    actor_send(self, type, &msg, (struct om_str){ 0 });
}

static void
start_job(struct actor *self, struct job *job)
{
    struct sim *sim = self->sim;
    if (!job->is_run && sim_chance(sim, sim->calm ? 0 : 0.05)) {
        send_token(self, WIRE_RELEASE, job);
        worker_drop(job);
        return;
    }
    struct wire_token token;
    if (!job->is_run && wire_token_decode(job_token(job), &token) == OM_OK)
        judge_starts(sim->judge, &token);
    send_token(self, WIRE_START, job);
    job->phase = RUNNING;
    job->end_ms = sim->mono_ms + 50 + sim_random(sim, 4000);
    if (sim_chance(sim, 0.05))
        job->end_ms += sim_random(sim, 40000);
}

// Apply a run in a transaction of its own; a poisoned event fails it, and nothing of it
// is applied.
static bool
apply_run(struct actor *self, const struct job *job)
{
    const struct worker *worker = self->state;
    struct om_str bytes;
    struct wire_logged event;
    struct rec_iter iter = rec_iter(om_buf_str(&job->events));
    int64_t before = 0;
    while (rec_next_raw(&iter, &bytes)) {
        if (rec_decode(&wire_logged_rec, bytes, &event, NULL) != OM_OK ||
            event.seq <= before) {
            sim_fail(self->sim, "a run of events is not in order");
            return false;
        }
        before = event.seq;
        if (judge_is_poison(event.body))
            return false;
    }
    iter = rec_iter(om_buf_str(&job->events));
    while (rec_next_raw(&iter, &bytes))
        if (rec_decode(&wire_logged_rec, bytes, &event, NULL) == OM_OK)
            judge_apply(self->sim->judge, (unsigned)worker->subscription, job->shard,
                        &event);
    return true;
}

// A partial result says whose it is, and which.
static void
send_chunk(struct actor *self, struct job *job)
{
    struct wire_msg msg = { 0 };
    struct job_result body;
    memset(&body, 0, sizeof(body));
    if (wire_token_decode(job_token(job), &body.token) != OM_OK)
        return;
    body.quantity = ++job->chunks;
    WIRE_SET(&msg, token, job_token(job));
    WIRE_SET(&msg, seq, job->chunks);
    actor_send(self, WIRE_CHUNK, &msg,
               (struct om_str){ (const char *)&body, sizeof(body) });
}

static void
finish_job(struct actor *self, struct job *job)
{
    struct sim *sim = self->sim;
    job->phase = FINISHED;
    job->next_ms = 0;
    job->outcome = WIRE_DONE;
    job->quantity = sim_random(sim, 1000);
    job->retryable = sim_chance(sim, 0.8);
    if (job->is_run && !apply_run(self, job))
        job->outcome = WIRE_FAIL;
    else if (!job->is_run && job->cancel && sim_chance(sim, 0.8))
        job->outcome = WIRE_CANCELLED;
    else if (!job->is_run && !sim->calm && sim_chance(sim, 0.2))
        job->outcome = WIRE_FAIL;
}

static void
send_outcome(struct actor *self, struct job *job)
{
    struct wire_msg msg = { 0 };
    struct om_buf usage = { 0 };
    struct om_str result = { 0 };
    struct job_result body;
    memset(&body, 0, sizeof(body));
    job->next_ms = self->sim->mono_ms + 1000 + sim_random(self->sim, 500);
    WIRE_SET(&msg, token, job_token(job));
    if (!job->is_run) {
        struct wire_usage item = { 0 };
        REC_SET(&item, wire_usage, meter, OM_LIT("compute_ms"));
        REC_SET(&item, wire_usage, quantity, job->quantity);
        om_pack_array(&usage, 1);
        rec_encode(&wire_usage_rec, &item, &usage);
        WIRE_SET(&msg, usage, om_buf_str(&usage));
    }
    if (job->outcome == WIRE_FAIL) {
        WIRE_SET(&msg, code, OM_LIT("internal_error"));
        WIRE_SET(&msg, retryable, job->retryable);
    } else if (job->outcome == WIRE_DONE &&
               wire_token_decode(job_token(job), &body.token) == OM_OK) {
        body.quantity = job->quantity;
        result = (struct om_str){ (const char *)&body, sizeof(body) };
    }
    actor_send(self, job->outcome, &msg, result);
    om_buf_finish(&usage);
}

void
worker_tend(struct actor *self, struct job *job)
{
    int64_t now_ms = self->sim->mono_ms;
    if (job->phase == HELD)
        start_job(self, job);
    else if (job->phase == RUNNING && (now_ms >= job->end_ms || job->cancel))
        finish_job(self, job);
    else if (job->phase == RUNNING && !job->is_run && sim_chance(self->sim, 0.4))
        send_chunk(self, job);
    if (job->phase == FINISHED && now_ms >= job->next_ms)
        send_outcome(self, job);
}
