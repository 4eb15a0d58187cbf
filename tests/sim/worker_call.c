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
    worker->seen[queue] += !ahead;
    if (ahead && sim_random(self->sim, 3) == 0) {
        struct wire_msg back = { 0 };
        WIRE_SET(&back, call, msg->call);
        actor_send(self, WIRE_RELEASE, &back, (struct om_str){ 0 });
        return;
    }
    struct om_buf body = { 0 }, usage = { 0 };
    struct wire_msg reply = { 0 };
    WIRE_SET(&reply, call, msg->call);
    if (om_str_eq(msg->kind, om_str(ops[OP_key_resolve].name))) {
        resolve_key(self, payload, &body);
    } else {
        struct wire_usage item = { 0 };
        REC_SET(&item, wire_usage, meter, OM_LIT("ml_inference"));
        REC_SET(&item, wire_usage, quantity, 1);
        om_pack_array(&usage, 1);
        rec_encode(&wire_usage_rec, &item, &usage);
        WIRE_SET(&reply, usage, om_buf_str(&usage));
    }
    actor_send(self, WIRE_REPLY, &reply, om_buf_str(&body));
    om_buf_finish(&body);
    om_buf_finish(&usage);
}
