// What a worker answers to calls.
#include "ops.h"
#include "worker.h"

int
worker_queue(const struct worker *worker, struct om_str queue)
{
    for (int i = 0; i < QUEUES_MAX && worker->queues[i]; i++)
        if (om_str_eq(queue, om_str(worker->queues[i])))
            return i;
    return -1;
}

static void
resolve_key(struct actor *self, struct om_str payload, struct om_buf *body)
{
    uint8_t hash[32];
    struct key_resolve_request request;
    struct key_resolve_reply reply = { 0 };
    sim_hash(om_str(SIM_KEY), hash);
    if (rec_decode(&key_resolve_request_rec, payload, &request, NULL) != OM_OK ||
        memcmp(request.hash.data, hash, sizeof(hash)) != 0)
        sim_fail(self->sim, "identity was asked for a key nobody has");
    struct om_buf scopes = { 0 };
    om_pack_array(&scopes, 1);
    om_pack_str(&scopes, OM_LIT("worker"));
    REC_SET(&reply, key_resolve_reply, id, OM_LIT("key"));
    REC_SET(&reply, key_resolve_reply, tenant, sim_tenant_text(self->sim, 0));
    REC_SET(&reply, key_resolve_reply, name, OM_LIT("sim"));
    REC_SET(&reply, key_resolve_reply, scopes, om_buf_str(&scopes));
    rec_encode(&key_resolve_reply_rec, &reply, body);
    om_buf_finish(&scopes);
}

static void
say_end(struct actor *self, enum wire_type type, int64_t call, int64_t quantity,
        struct sim_part end)
{
    struct om_buf usage = { 0 };
    struct wire_msg msg = { 0 };
    struct wire_usage item = { 0 };
    REC_SET(&item, wire_usage, meter, OM_LIT("ml_inference"));
    REC_SET(&item, wire_usage, quantity, quantity);
    om_pack_array(&usage, 1);
    rec_encode(&wire_usage_rec, &item, &usage);
    WIRE_SET(&msg, call, call);
    WIRE_SET(&msg, usage, om_buf_str(&usage));
    WIRE_SET(&msg, code, OM_LIT("cancelled"));
    if (end.number > 0)
        WIRE_SET(&msg, seq, end.number);
    actor_send(self, type, &msg, (struct om_str){ (const char *)&end, sizeof(end) });
    om_buf_finish(&usage);
}

// ---- answers in parts

// A connection says nothing twice; the network of the simulation does.
static bool
was_asked(struct worker *worker, int64_t call)
{
    for (int i = 0; i < ASKED_MAX; i++)
        if (worker->asked[i] == call)
            return true;
    memmove(&worker->asked[1], worker->asked, sizeof(*worker->asked) * (ASKED_MAX - 1));
    worker->asked[0] = call;
    return false;
}

static bool
begin_parts(struct actor *self, const struct wire_msg *msg)
{
    struct worker *worker = self->state;
    if (WIRE_HAS(msg, limit) && was_asked(worker, msg->call))
        return true;
    for (int i = 0; WIRE_HAS(msg, limit) && i < ANSWERS_MAX; i++) {
        struct answer *answer = &worker->answers[i];
        if (answer->call)
            continue;
        *answer = (struct answer){
            .call = msg->call,
            .limit = msg->limit,
            .end_ms = self->sim->mono_ms + msg->ttl_ms,
            .maker = (self->generation * SIM_ACTORS_MAX + self->index) * 10000 +
                     ++worker->answered,
            .total = 1 + sim_random(self->sim, 8),
        };
        return true;
    }
    return false;
}

static void
end_parts(struct actor *self, struct answer *answer, enum wire_type type)
{
    struct sim_part end = { answer->maker, answer->made };
    say_end(self, type, answer->call, answer->made, end);
    answer->call = 0;
}

static void
say_part(struct actor *self, struct answer *answer)
{
    struct wire_msg msg = { 0 };
    struct sim_part part = { answer->maker, ++answer->made };
    WIRE_SET(&msg, call, answer->call);
    WIRE_SET(&msg, seq, part.number);
    actor_send(self, WIRE_CHUNK, &msg,
               (struct om_str){ (const char *)&part, sizeof(part) });
}

void
worker_tend_answers(struct actor *self)
{
    struct worker *worker = self->state;
    for (int i = 0; i < ANSWERS_MAX; i++) {
        struct answer *answer = &worker->answers[i];
        while (answer->call && answer->made < answer->total &&
               (answer->made + 1) * SIM_PART_COST <= answer->limit &&
               sim_chance(self->sim, 0.7))
            say_part(self, answer);
        if (answer->call && answer->made == answer->total)
            end_parts(self, answer, WIRE_REPLY);
        else if (answer->call && self->sim->mono_ms >= answer->end_ms)
            end_parts(self, answer, WIRE_ERROR);
    }
}

void
worker_steer_answer(struct actor *self, const struct wire_msg *msg)
{
    struct worker *worker = self->state;
    for (int i = 0; i < ANSWERS_MAX; i++) {
        struct answer *answer = &worker->answers[i];
        if (answer->call != msg->call)
            continue;
        if (msg->type == WIRE_CALL_CANCEL)
            end_parts(self, answer, WIRE_ERROR);
        else if (msg->limit > answer->limit)
            answer->limit = msg->limit;
    }
}

// ---- all calls

void
worker_answer(struct actor *self, const struct wire_msg *msg, struct om_str payload)
{
    struct worker *worker = self->state;
    int queue = worker_queue(worker, msg->queue);
    if (queue < 0) {
        sim_fail(self->sim, "%s was sent a call that is not for it", self->name);
        return;
    }
    bool ahead = WIRE_HAS(msg, ahead);
    if (ahead && worker->ahead == 0)
        sim_fail(self->sim, "%s was sent a call ahead", self->name);
    if (ahead && WIRE_HAS(msg, limit))
        sim_fail(self->sim, "an answer in parts was asked for at once");
    worker->seen[queue] += !ahead;
    if (ahead && sim_random(self->sim, 3) == 0) {
        struct wire_msg back = { 0 };
        WIRE_SET(&back, call, msg->call);
        actor_send(self, WIRE_RELEASE, &back, (struct om_str){ 0 });
        return;
    }
    if (om_str_eq(msg->kind, om_str(ops[OP_key_resolve].name))) {
        struct om_buf body = { 0 };
        struct wire_msg reply = { 0 };
        WIRE_SET(&reply, call, msg->call);
        resolve_key(self, payload, &body);
        actor_send(self, WIRE_REPLY, &reply, om_buf_str(&body));
        om_buf_finish(&body);
    } else if (!begin_parts(self, msg)) {
        say_end(self, WIRE_REPLY, msg->call, 1, (struct sim_part){ 0 });
    }
}
