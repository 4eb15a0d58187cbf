// What the edge hears of by asking twice a second: keys and tenants that changed and
// answers that are to be forgotten, of identity, and plans, of billing. An answer that
// says nothing new is a few bytes. Once a minute it says which keys were used.
#include "clock.h"
#include "ingest.h"

enum {
    FEED_MS = 2000,       // to be answered
    FEED_LATE_MS = 3000,  // then this edge is not ready
    KEYS_HOLD_MS = 30000, // known keys are served without identity
    USED_MS = 60000,      // between two reports of the keys in use
    USED_KEYS_MAX = 1000, // of a report; the others come with the next
};

static bool
ask(struct edge *self, enum op op, const void *request, om_answer_fn *fn)
{
    struct wire_msg msg = { 0 };
    OM_AUTO(om_buf_finish) struct om_buf body = { 0 };
    rec_encode(ops[op].request, request, &body);
    WIRE_SET(&msg, queue, om_str(queues[ops[op].queue].name));
    WIRE_SET(&msg, kind, om_str(ops[op].name));
    return om_client_send(self->client, WIRE_CALL, &msg, om_buf_str(&body), FEED_MS, fn,
                          self);
}

// ---- keys and tenants

static void ask_keys(struct edge *self);

static void
on_keys(void *context, const struct om_answer *answer)
{
    struct edge *self = context;
    struct key_changes_reply reply;
    self->feed_asked = false;
    if (answer->rc != OM_OK ||
        rec_decode(ops[OP_key_changes].reply, answer->payload, &reply, NULL) != OM_OK)
        return;
    // From when it was asked: what changed later may not be in it.
    self->feed_ms = self->feed_sent_ms;
    atomic_store(&self->ingest->answered_ms[self->number], self->feed_ms);
    if (keys_apply(&self->keys, &reply))
        ask_keys(self);
}

static void
ask_keys(struct edge *self)
{
    struct key_changes_request request = { 0 };
    if (self->feed_asked)
        return;
    REC_SET(&request, key_changes_request, since, self->keys.seq);
    self->feed_sent_ms = om_clock_mono_ms();
    self->feed_asked = ask(self, OP_key_changes, &request, on_keys);
}

// ---- purges of other edges

static void ask_purges(struct edge *self);

static void
on_purges(void *context, const struct om_answer *answer)
{
    struct edge *self = context;
    struct purge_changes_reply reply;
    self->purges_asked = false;
    if (answer->rc == OM_OK &&
        rec_decode(ops[OP_purge_changes].reply, answer->payload, &reply, NULL) == OM_OK &&
        cached_apply_purges(self->ingest, &reply))
        ask_purges(self);
}

static void
ask_purges(struct edge *self)
{
    struct purge_changes_request request = { 0 };
    if (self->purges_asked)
        return;
    REC_SET(&request, purge_changes_request, since,
            atomic_load(&self->ingest->purged_seq));
    self->purges_asked = ask(self, OP_purge_changes, &request, on_purges);
}

// ---- plans

static void
on_plans(void *context, const struct om_answer *answer)
{
    struct edge *self = context;
    struct plan_changes_reply reply;
    self->plans_asked = false;
    if (answer->rc != OM_OK ||
        rec_decode(ops[OP_plan_changes].reply, answer->payload, &reply, NULL) != OM_OK)
        return;
    quotas_heard(self->ingest->quotas);
    bool news = reply.version != self->plans.version;
    if (plans_apply(&self->plans, &reply) && news)
        quotas_apply(self, &reply);
}

static void
ask_plans(struct edge *self)
{
    struct plan_changes_request request = { 0 };
    if (self->plans_asked)
        return;
    REC_SET(&request, plan_changes_request, since, self->plans.version);
    self->plans_asked = ask(self, OP_plan_changes, &request, on_plans);
}

// ---- last use

// Lost, it is as if the keys had not been used until they are used again.
static void
on_used(void *context, const struct om_answer *answer)
{
    (void)context, (void)answer;
}

// False: none was.
static bool
tell_used(struct edge *self)
{
    struct key_used_request request = { 0 };
    OM_AUTO(om_buf_finish) struct om_buf ids = { 0 };
    if (keys_take_used(&self->keys, USED_KEYS_MAX, &ids) == 0)
        return false;
    REC_SET(&request, key_used_request, ids, om_buf_str(&ids));
    return ask(self, OP_key_used, &request, on_used);
}

// ---- the edge

void
feed_ask(struct edge *self)
{
    if (!om_link_is_open(om_client_link(self->client)))
        return;
    ask_keys(self);
    ask_plans(self);
    ask_purges(self);
    if (om_clock_mono_ms() >= self->used_due_ms && tell_used(self))
        self->used_due_ms = om_clock_mono_ms() + USED_MS;
}

bool
edge_ready(const struct edge *self)
{
    const struct ingest *ingest = self->ingest;
    int64_t late_ms = om_clock_mono_ms() - FEED_LATE_MS;
    for (int64_t i = 0; i < ingest->conf.threads; i++)
        if (atomic_load(&ingest->answered_ms[i]) <= (late_ms > 0 ? late_ms : 0))
            return false;
    return true;
}

bool
edge_keys_hold(const struct edge *self)
{
    int64_t since_ms = self->feed_ms ? self->feed_ms : self->began_ms;
    return om_clock_mono_ms() - since_ms < KEYS_HOLD_MS;
}
