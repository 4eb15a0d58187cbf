// What clients and workers say to the real core.
#include <stdio.h>

#include "disk.h"
#include "real.h"

static const char *const keys[MODEL_KEYS] = { NULL, "k1", "k2" };

// Say something in the worker's session; a new one if the broker does not know it.
static void
from_worker(struct real *self, int number, enum wire_type type,
            const struct wire_msg *msg, struct om_str payload)
{
    struct real_worker *worker = &self->workers[number];
    if (!worker->welcome)
        real_hello(self, number);
    worker->heard_ms = self->sim.mono_ms;
    real_give(self, worker->conn, type, msg, payload);
    if (worker->welcome)
        return;
    real_hello(self, number); // it was told RESET
    real_give(self, worker->conn, type, msg, payload);
}

// A client's message of its own id, about a tenant. `id` holds it.
static struct wire_msg
begin(struct real *self, int tenant, char id[32])
{
    struct wire_msg msg = { 0 };
    snprintf(id, 32, "%lld", (long long)++self->last_id);
    WIRE_SET(&msg, id, om_str(id));
    WIRE_SET(&msg, tenant, sim_tenant_text(&self->sim, tenant));
    if (self->sim.mono_ms - self->client_heard_ms > REAL_BEAT_MS)
        real_client_hello(self);
    self->answer[0] = '\0';
    return msg;
}

static const struct om_uuid *
id_of(struct real *self, int job, int tenant)
{
    if (om_uuid_is_zero(&self->ids[job]))
        self->ids[job] =
            om_uuid_make(sim_now(&self->sim).wall_ms + job, (uint8_t[10]){ (uint8_t)job },
                         om_uuid_shard(&self->sim.tenants[tenant]));
    return &self->ids[job];
}

static void
set_options(struct real *self, const struct model_spec *spec, struct om_buf *parents,
            struct wire_msg *msg)
{
    int64_t wall_ms = sim_now(&self->sim).wall_ms - self->sim.mono_ms;
    WIRE_SET(msg, queue, om_str(model_queues[spec->queue].name));
    WIRE_SET(msg, kind, OM_LIT("model"));
    WIRE_SET(msg, priority, spec->priority);
    WIRE_SET(msg, max_attempts, spec->max_attempts);
    WIRE_SET(msg, hard_ms, spec->hard_ms);
    if (spec->due_ms)
        WIRE_SET(msg, due_ms, wall_ms + spec->due_ms);
    if (spec->expires_ms)
        WIRE_SET(msg, expires_ms, wall_ms + spec->expires_ms);
    if (spec->key)
        WIRE_SET(msg, limit_key, om_str(keys[spec->key]));
    if (spec->run_anyway)
        WIRE_SET(msg, run_anyway, true);
    if (spec->parent_count == 0)
        return;
    om_pack_array(parents, (size_t)spec->parent_count);
    for (int i = 0; i < spec->parent_count; i++)
        om_pack_str(parents, sim_task_text(id_of(self, spec->parents[i], spec->tenant)));
    WIRE_SET(msg, depends_on, om_buf_str(parents));
}

void
real_ask(struct real *self, enum wire_type type, int job, const struct model_spec *spec,
         int content)
{
    char id[32];
    uint8_t hash[32] = { (uint8_t)(content + 1) };
    struct om_buf parents = { 0 };
    struct wire_msg msg = begin(self, spec->tenant, id);
    if (type == WIRE_SUBMIT) {
        WIRE_SET(&msg, hash, ((struct om_str){ (const char *)hash, sizeof(hash) }));
        set_options(self, spec, &parents, &msg);
    }
    WIRE_SET(&msg, task, sim_task_text(id_of(self, job, spec->tenant)));
    real_give(self, self->client, type, &msg,
              type == WIRE_SUBMIT ? OM_LIT("what the worker shall do")
                                  : (struct om_str){ 0 });
    om_buf_finish(&parents);
}

static void
give_queue(struct real *self, struct wire_msg *msg, const char *action,
           const struct wire_setting *setting)
{
    struct om_buf record = { 0 };
    rec_encode(&wire_setting_rec, setting, &record);
    WIRE_SET(msg, action, om_str(action));
    if (strcmp(action, "set") == 0)
        WIRE_SET(msg, settings, om_buf_str(&record));
    real_give(self, self->client, WIRE_QUEUE, msg, (struct om_str){ 0 });
    om_buf_finish(&record);
}

void
real_queue(struct real *self, const char *action, int tenant, int limit,
           int64_t concurrency)
{
    char id[32];
    struct wire_setting setting = { 0 };
    struct wire_msg msg = begin(self, tenant, id);
    REC_SET(&setting, wire_setting, concurrency, concurrency);
    if (limit > MODEL_QUEUES)
        WIRE_SET(&msg, limit_key, om_str(keys[limit - 1 - MODEL_QUEUES]));
    else if (limit > 0)
        WIRE_SET(&msg, queue, om_str(model_queues[limit - 1].name));
    give_queue(self, &msg, action, &setting);
}

void
real_weigh(struct real *self, int tenant, int64_t weight)
{
    char id[32];
    struct wire_setting setting = { 0 };
    struct wire_msg msg = begin(self, tenant, id);
    REC_SET(&setting, wire_setting, weight, weight);
    give_queue(self, &msg, "set", &setting);
}

void
real_list(struct real *self, int tenant, const char *status)
{
    char id[32];
    struct wire_msg msg = begin(self, tenant, id);
    WIRE_SET(&msg, limit, 256);
    if (status)
        WIRE_SET(&msg, status, om_str(status));
    real_give(self, self->client, WIRE_LIST, &msg, (struct om_str){ 0 });
}

// The disk judges each result: it says whose it is, and its usage comes with it.
static struct om_str
result_of(struct om_str token, struct job_result *result, struct om_buf *usage)
{
    struct wire_usage item = { 0 };
    memset(result, 0, sizeof(*result));
    result->quantity = 1;
    if (wire_token_decode(token, &result->token) != OM_OK)
        abort();
    REC_SET(&item, wire_usage, meter, OM_LIT("compute_ms"));
    REC_SET(&item, wire_usage, quantity, result->quantity);
    om_pack_array(usage, 1);
    rec_encode(&wire_usage_rec, &item, usage);
    return (struct om_str){ (const char *)result, sizeof(*result) };
}

void
real_say(struct real *self, int job, int number, const struct model_word *word)
{
    struct real_lease *lease = &self->leases[job][number];
    struct job_result result;
    struct om_buf usage = { 0 };
    struct om_str payload = { 0 };
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, token, ((struct om_str){ lease->token, WIRE_TOKEN_BYTES }));
    if (word->type == WIRE_DONE) {
        payload = result_of(msg.token, &result, &usage);
        WIRE_SET(&msg, usage, om_buf_str(&usage));
    } else if (word->type == WIRE_FAIL) {
        WIRE_SET(&msg, code, OM_LIT("internal_error"));
        WIRE_SET(&msg, retryable, word->retryable);
        if (word->retry_ms >= 0)
            WIRE_SET(&msg, retry_ms, word->retry_ms);
    }
    if (word->type == WIRE_RELEASE)
        lease->held = false;
    self->answer[0] = '\0';
    from_worker(self, lease->worker, word->type, &msg, payload);
    om_buf_finish(&usage);
}

void
real_credit(struct real *self, int number, int queue, int64_t more)
{
    struct real_worker *worker = &self->workers[number];
    struct wire_msg msg = { 0 };
    if (!worker->welcome)
        real_hello(self, number); // after which its credit is none
    WIRE_SET(&msg, queue, om_str(model_queues[queue].name));
    WIRE_SET(&msg, limit, worker->sent[queue] + more);
    from_worker(self, number, WIRE_CREDIT, &msg, (struct om_str){ 0 });
    worker->limit[queue] = msg.limit; // in the session it has now
}
