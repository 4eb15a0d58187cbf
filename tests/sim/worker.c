#include <stdio.h>

#include "worker.h"

// A worker: pulls jobs, calls and runs of events under credit, renews its leases, says
// each outcome again until it is acknowledged, and stops for nothing but STALE or a
// cancel.

static void
worker_create(struct actor *self)
{
    struct worker *worker = calloc(1, sizeof(*worker));
    if (!worker)
        abort();
    self->state = worker;
    worker->subscription = -1;
}

static void
take_from(struct actor *self, const char *queue, int slots)
{
    struct worker *worker = self->state;
    int place = worker->queues[0] ? 1 : 0;
    worker->queues[place] = queue;
    worker->slots[place] = slots;
}

static void
inference_create(struct actor *self)
{
    worker_create(self);
    take_from(self, "omni.inference", 3);
    take_from(self, "omni.training", 1);
    ((struct worker *)self->state)->ahead = sim_random(self->sim, 4);
}

static void
tenant_create(struct actor *self)
{
    worker_create(self);
    take_from(self, "own", 2);
}

static void
identity_create(struct actor *self)
{
    worker_create(self);
    take_from(self, "omni.identity", 8);
}

static void
billing_create(struct actor *self)
{
    worker_create(self);
    take_from(self, "omni.billing.events", 2);
    ((struct worker *)self->state)->subscription = SUBSCRIPTION_BILLING_EVENTS;
}

static void
compliance_create(struct actor *self)
{
    worker_create(self);
    take_from(self, "omni.compliance.events", 2);
    ((struct worker *)self->state)->subscription = SUBSCRIPTION_COMPLIANCE_EVENTS;
}

static void
scheduler_create(struct actor *self)
{
    worker_create(self);
    take_from(self, "omni.scheduler.events", 2);
    ((struct worker *)self->state)->subscription = SUBSCRIPTION_SCHEDULER_EVENTS;
}

static void
worker_destroy(struct actor *self)
{
    struct worker *worker = self->state;
    for (int i = 0; i < JOBS_MAX; i++)
        worker_drop(&worker->jobs[i]);
    free(worker);
}

// A new session: credit counts from nothing.
static void
new_session(struct worker *worker)
{
    worker->welcome = false;
    worker->hello++;
    worker->next_hello_ms = worker->next_beat_ms = worker->next_credit_ms = 0;
    memset(worker->seen, 0, sizeof(worker->seen));
}

static void
worker_start(struct actor *self)
{
    struct worker *worker = self->state;
    for (int i = 0; i < JOBS_MAX; i++)
        worker_drop(&worker->jobs[i]);
    memset(worker->answers, 0, sizeof(worker->answers));
    new_session(worker);
}

// What it holds, as the list of HELLO and BEAT.
static void
pack_held(struct actor *self, struct om_buf *out)
{
    struct worker *worker = self->state;
    size_t count = 0;
    for (int i = 0; i < JOBS_MAX; i++)
        count += worker->jobs[i].phase != NO_JOB;
    om_pack_array(out, count);
    for (int i = 0; i < JOBS_MAX; i++) {
        const struct job *job = &worker->jobs[i];
        if (job->phase == NO_JOB)
            continue;
        struct wire_held held = { 0 };
        REC_SET(&held, wire_held, token, job_token(job));
        if (job->phase == RUNNING)
            REC_SET(&held, wire_held, progress, (double)sim_random(self->sim, 100) / 100);
        rec_encode(&wire_held_rec, &held, out);
    }
}

static void
send_hello(struct actor *self, struct worker *worker)
{
    char id[24];
    struct om_buf held = { 0 };
    struct wire_msg msg = { 0 };
    snprintf(id, sizeof(id), "h%d", worker->hello);
    pack_held(self, &held);
    WIRE_SET(&msg, id, om_str(id));
    WIRE_SET(&msg, role, om_str(self->type->role));
    WIRE_SET(&msg, node, om_str(self->name));
    WIRE_SET(&msg, incarnation, self->generation);
    WIRE_SET(&msg, held, om_buf_str(&held));
    if (self->credential)
        WIRE_SET(&msg, credential, om_str(self->credential));
    if (worker->hello % 2)
        WIRE_SET(&msg, caps, CAPABILITY_ACK_LISTS);
    actor_send(self, WIRE_HELLO, &msg, (struct om_str){ 0 });
    om_buf_finish(&held);
}

static void
send_beat(struct actor *self)
{
    struct om_buf held = { 0 };
    struct wire_msg msg = { 0 };
    pack_held(self, &held);
    WIRE_SET(&msg, held, om_buf_str(&held));
    actor_send(self, WIRE_BEAT, &msg, (struct om_str){ 0 });
    om_buf_finish(&held);
}

static void
send_credit(struct actor *self, struct worker *worker)
{
    for (int i = 0; i < QUEUES_MAX && worker->queues[i]; i++) {
        int free_slots = worker->slots[i];
        for (int k = 0; k < JOBS_MAX; k++)
            free_slots -= worker->jobs[k].phase != NO_JOB && worker->jobs[k].queue == i;
        struct wire_msg msg = { 0 };
        WIRE_SET(&msg, queue, om_str(worker->queues[i]));
        WIRE_SET(&msg, limit, worker->seen[i] + (free_slots > 0 ? free_slots : 0));
        if (worker->ahead)
            WIRE_SET(&msg, ahead, worker->ahead);
        actor_send(self, WIRE_CREDIT, &msg, (struct om_str){ 0 });
    }
}

static void
worker_tick(struct actor *self)
{
    struct worker *worker = self->state;
    int64_t now_ms = self->sim->mono_ms;
    for (int i = 0; i < JOBS_MAX; i++)
        worker_tend(self, &worker->jobs[i]); // whether the broker is there or not
    worker_tend_answers(self);
    if (!worker->welcome) {
        if (now_ms >= worker->next_hello_ms) {
            worker->next_hello_ms = now_ms + 2000;
            send_hello(self, worker);
        }
        return;
    }
    if (now_ms >= worker->next_beat_ms) {
        worker->next_beat_ms = now_ms + 2000;
        send_beat(self);
    }
    if (now_ms >= worker->next_credit_ms) {
        worker->next_credit_ms = now_ms + 1500;
        send_credit(self, worker);
    }
}

// ---- messages

static struct job *
find_job(struct worker *worker, struct om_str token)
{
    for (int i = 0; i < JOBS_MAX; i++)
        if (worker->jobs[i].phase != NO_JOB &&
            om_str_eq(job_token(&worker->jobs[i]), token))
            return &worker->jobs[i];
    return NULL;
}

static void
on_job(struct actor *self, const struct wire_msg *msg, struct om_str payload)
{
    struct worker *worker = self->state;
    int queue = worker_queue(worker, msg->queue);
    bool foreign =
        self->credential && !om_str_eq(msg->tenant, sim_tenant_text(self->sim, 0));
    if (queue < 0 || foreign) {
        sim_fail(self->sim, "%s was sent a job that is not for it", self->name);
        return;
    }
    bool is_run = WIRE_HAS(msg, shard);
    if (!is_run && !om_str_eq(payload, OM_LIT("what the worker shall do")))
        sim_fail(self->sim, "a job came without its payload");
    worker->seen[queue]++;
    if (find_job(worker, msg->token))
        return;
    for (int i = 0; i < JOBS_MAX; i++) {
        struct job *job = &worker->jobs[i];
        if (job->phase != NO_JOB)
            continue;
        *job = (struct job){
            .phase = HELD, .queue = queue, .is_run = is_run, .shard = (uint8_t)msg->shard
        };
        memcpy(job->token, msg->token.data, WIRE_TOKEN_BYTES);
        if (is_run)
            om_buf_put(&job->events, payload.data, payload.size);
        return;
    }
}

static void
on_beat_ack(struct worker *worker, const struct wire_msg *msg)
{
    struct om_str token;
    struct rec_iter iter = rec_iter(msg->stale);
    while (rec_next_str(&iter, &token)) {
        struct job *job = find_job(worker, token);
        if (job)
            worker_drop(job);
    }
    iter = rec_iter(msg->tokens);
    while (rec_next_str(&iter, &token)) {
        struct job *job = find_job(worker, token);
        if (job)
            job->cancel = true;
    }
}

static void
on_credit_ok(struct worker *worker, const struct wire_msg *msg)
{
    int queue = worker_queue(worker, msg->queue);
    if (queue >= 0 && msg->sent > worker->seen[queue])
        worker->seen[queue] = msg->sent;
}

static void
drop_jobs(struct worker *worker, struct om_str tokens)
{
    struct rec_iter iter = rec_iter(tokens);
    for (struct om_str token; rec_next_str(&iter, &token);) {
        struct job *job = find_job(worker, token);
        if (job)
            worker_drop(job);
    }
}

static void
worker_receive(struct actor *self, const struct wire_msg *msg, struct om_str payload)
{
    struct worker *worker = self->state;
    struct job *job = WIRE_HAS(msg, token) ? find_job(worker, msg->token) : NULL;
    char hello[24];
    snprintf(hello, sizeof(hello), "h%d", worker->hello);
    switch (msg->type) {
    case WIRE_WELCOME:
        worker->welcome = worker->welcome || om_str_eq(msg->id, om_str(hello));
        break;
    case WIRE_RESET:
        if (worker->welcome)
            new_session(worker);
        break;
    case WIRE_JOB:
        on_job(self, msg, payload);
        break;
    case WIRE_CALL:
        worker_answer(self, msg, payload);
        break;
    case WIRE_CALL_CREDIT:
    case WIRE_CALL_CANCEL:
        worker_steer_answer(self, msg);
        break;
    case WIRE_CANCEL_JOB:
        if (job)
            job->cancel = true;
        break;
    case WIRE_STALE:
    case WIRE_DONE_ACK:
        if (job)
            worker_drop(job);
        drop_jobs(worker, msg->tokens);
        break;
    case WIRE_BEAT_ACK:
        on_beat_ack(worker, msg);
        break;
    case WIRE_CREDIT_OK:
        on_credit_ok(worker, msg);
        break;
    default:
        break;
    }
}

static bool
worker_idle(const struct actor *self)
{
    const struct worker *worker = self->state;
    for (int i = 0; i < JOBS_MAX; i++)
        if (worker->jobs[i].phase != NO_JOB)
            return false;
    return true;
}

#define WORKER_TYPE(symbol, role, create)                                                \
    const struct actor_type symbol = { role,         create,      worker_destroy,        \
                                       worker_start, worker_tick, worker_receive,        \
                                       worker_idle };

WORKER_TYPE(inference_type, "inference", inference_create)
WORKER_TYPE(tenant_worker_type, "tenant", tenant_create)
WORKER_TYPE(identity_type, "identity", identity_create)
WORKER_TYPE(billing_type, "billing", billing_create)
WORKER_TYPE(compliance_type, "compliance", compliance_create)
WORKER_TYPE(scheduler_type, "scheduler", scheduler_create)
