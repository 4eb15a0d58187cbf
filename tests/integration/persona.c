#include <criterion/criterion.h>
#include <stdio.h>

#include "clock.h"
#include "id.h"
#include "ops.h"
#include "persona.h"

enum { TURN_MS = 20 };

const char *const persona_names[PERSONAS] = {
    "nobody",    "no key",    "an unknown key", "an expired key", "elsewhere",
    "unscoped",  "unmodeled", "suspended",      "closed",         "past due",
    "no rate",   "no place",  "no tokens",      "no quota",       "one",
    "the other",
};

void
persona_key(enum persona who, enum scope scope, char out[PERSONA_KEY])
{
    snprintf(out, PERSONA_KEY, "omni_live_%032d", 100 * (int)who + (int)scope);
}

// ---- identity and billing

static void
answer(struct personas *self, enum wire_type type, const char *code,
       struct om_str payload)
{
    struct wire_msg msg = { 0 };
    struct om_buf head = { 0 };
    struct fake_broker *broker = &self->broker;
    WIRE_SET(&msg, id, broker->msg.id);
    if (code) {
        WIRE_SET(&msg, code, om_str(code));
        WIRE_SET(&msg, text, OM_LIT("played by the test"));
    }
    wire_encode(type, &msg, &head);
    zmq_send(broker->router, broker->peer, broker->peer_size, ZMQ_SNDMORE);
    zmq_send(broker->router, head.data, head.size, payload.size ? ZMQ_SNDMORE : 0);
    if (payload.size)
        zmq_send(broker->router, payload.data, payload.size, 0);
    om_buf_finish(&head);
}

static void
answer_record(struct personas *self, const struct rec *type, const void *record)
{
    struct om_buf body = { 0 };
    rec_encode(type, record, &body);
    answer(self, WIRE_REPLY, NULL, om_buf_str(&body));
    om_buf_finish(&body);
}

static void
pack_limit(const struct personas *self, struct om_buf *out, enum persona who)
{
    struct rate_limit_item item = { 0 };
    REC_SET(&item, rate_limit_item, scope, OM_LIT("user"));
    REC_SET(&item, rate_limit_item, subject, OM_LIT("user_1"));
    if (who == NO_RATE || who == OTHER)
        REC_SET(&item, rate_limit_item, requests, who == OTHER ? self->ration : 0);
    if (who == NO_PLACE)
        REC_SET(&item, rate_limit_item, concurrent, 0);
    if (who == NO_TOKENS)
        REC_SET(&item, rate_limit_item, tokens, 0);
    om_pack_array(out, 1);
    rec_encode(&rate_limit_item_rec, &item, out);
}

static void
pack_name(struct om_buf *out, const char *name)
{
    om_pack_array(out, 1);
    om_pack_str(out, om_str(name));
}

static void
describe(struct personas *self, enum persona who, enum scope missing)
{
    struct key_resolve_reply reply = { 0 };
    struct om_buf scopes = { 0 }, list = { 0 };
    bool limited = who == NO_RATE || who == NO_PLACE || who == NO_TOKENS ||
                   (who == OTHER && self->ration > 0);
    uint64_t mask = SCOPES_OWNER | SCOPE_BIT(OPERATOR);
    if (who == UNSCOPED)
        mask &= ~SCOPE_BIT(ALL) & ~(UINT64_C(1) << missing);
    if (limited) // operators have no limit
        mask &= ~SCOPE_BIT(OPERATOR);
    scopes_encode(mask, &scopes);
    REC_SET(&reply, key_resolve_reply, id, OM_LIT("key_1"));
    REC_SET(&reply, key_resolve_reply, name, OM_LIT("a key"));
    REC_SET(&reply, key_resolve_reply, tenant, om_str(self->tenant_texts[who]));
    REC_SET(&reply, key_resolve_reply, scopes, om_buf_str(&scopes));
    REC_SET(&reply, key_resolve_reply, plan, OM_LIT("pro"));
    if (who == EXPIRED)
        REC_SET(&reply, key_resolve_reply, expires_ms, 1);
    if (who == SUSPENDED || who == CLOSED || who == PAST_DUE)
        REC_SET(&reply, key_resolve_reply, state,
                om_str(who == SUSPENDED ? "suspended"
                       : who == CLOSED  ? "closed"
                                        : "past_due"));
    if (limited)
        pack_limit(self, &list, who);
    else
        pack_name(&list, who == ELSEWHERE ? "192.0.2.0/24" : "none-of-ours");
    if (who == ELSEWHERE)
        REC_SET(&reply, key_resolve_reply, cidrs, om_buf_str(&list));
    else if (who == UNMODELED)
        REC_SET(&reply, key_resolve_reply, models, om_buf_str(&list));
    else if (limited)
        REC_SET(&reply, key_resolve_reply, limits, om_buf_str(&list));
    answer_record(self, ops[OP_key_resolve].reply, &reply);
    om_buf_finish(&scopes);
    om_buf_finish(&list);
}

static void
resolve(struct personas *self)
{
    struct key_resolve_request request;
    cr_assert_eq(
        rec_decode(ops[OP_key_resolve].request, self->broker.body, &request, NULL),
        OM_OK);
    for (unsigned who = EXPIRED; who < PERSONAS; who++)
        for (unsigned scope = 0; scope < SCOPE_COUNT; scope++)
            if (memcmp(request.hash.data, self->hashes[who][scope], KEY_HASH) == 0) {
                describe(self, (enum persona)who, (enum scope)scope);
                return;
            }
    answer(self, WIRE_ERROR, om_rc_info(OM_EAUTH)->code, (struct om_str){ 0 });
}

static void
lease(struct personas *self)
{
    struct quota_lease_request request;
    struct quota_lease_reply reply = { 0 };
    cr_assert_eq(
        rec_decode(ops[OP_quota_lease].request, self->broker.body, &request, NULL),
        OM_OK);
    bool none = om_str_eq(self->broker.msg.tenant, om_str(self->tenant_texts[NO_QUOTA]));
    REC_SET(&reply, quota_lease_reply, lease, om_str(none ? "" : "lease_1"));
    REC_SET(&reply, quota_lease_reply, granted, none ? 0 : request.amount);
    REC_SET(&reply, quota_lease_reply, expires_ms, om_clock_wall_ms() + 600000);
    REC_SET(&reply, quota_lease_reply, remaining, 0);
    REC_SET(&reply, quota_lease_reply, resets_ms, om_clock_wall_ms() + 3600000);
    if (none)
        REC_SET(&reply, quota_lease_reply, limit, 0);
    answer_record(self, ops[OP_quota_lease].reply, &reply);
}

static void
forecast(struct personas *self)
{
    struct predict_reply reply = { 0 };
    REC_SET(&reply, predict_reply, predictions, OM_LIT("\x91\x01"));
    REC_SET(&reply, predict_reply, lower, OM_LIT("\x91\x01"));
    REC_SET(&reply, predict_reply, upper, OM_LIT("\x91\x01"));
    REC_SET(&reply, predict_reply, confidence, 0.9);
    REC_SET(&reply, predict_reply, model_type, OM_LIT("played"));
    answer_record(self, ops[OP_predict].reply, &reply);
}

static void
show_status(struct personas *self)
{
    struct status_get_reply reply = { 0 };
    REC_SET(&reply, status_get_reply, state, OM_LIT("unknown"));
    REC_SET(&reply, status_get_reply, updated_at, 0);
    REC_SET(&reply, status_get_reply, components, OM_LIT("\x90"));
    REC_SET(&reply, status_get_reply, objectives, OM_LIT("\x90"));
    REC_SET(&reply, status_get_reply, incidents, OM_LIT("\x90"));
    answer_record(self, ops[OP_status_get].reply, &reply);
}

// What a request wants of the services must be in the name of who asks.
static void
notice(struct personas *self)
{
    bool own = om_str_eq(self->broker.msg.tenant,
                         om_str(self->tenant_texts[atomic_load(&self->asker)]));
    if (!own)
        snprintf(self->foreign_kind, sizeof(self->foreign_kind), "%d %.*s",
                 (int)self->broker.msg.type, (int)self->broker.msg.kind.size,
                 self->broker.msg.kind.size ? self->broker.msg.kind.data : "");
    atomic_fetch_add(own ? &self->seen : &self->foreign, 1);
}

static void
on_call(struct personas *self)
{
    static const struct key_changes_reply no_keys = { 0 };
    static const struct purge_changes_reply no_purges = { 0 };
    static const struct plan_changes_reply no_plans = { 0 };
    static const struct quota_settle_reply settled = { 0 };
    static const struct key_used_reply noted = { 0 };
    static const struct request_keep_reply no_requests = { 0 };
    const struct op_info *op = op_find(self->broker.msg.kind);
    cr_assert(op);
    if (op == &ops[OP_key_resolve]) {
        resolve(self);
    } else if (op == &ops[OP_key_changes]) {
        struct key_changes_reply reply = no_keys;
        REC_SET(&reply, key_changes_reply, data, OM_LIT("\x90"));
        REC_SET(&reply, key_changes_reply, last, 0);
        answer_record(self, op->reply, &reply);
    } else if (op == &ops[OP_purge_changes]) {
        struct purge_changes_reply reply = no_purges;
        REC_SET(&reply, purge_changes_reply, data, OM_LIT("\x90"));
        REC_SET(&reply, purge_changes_reply, last, 0);
        answer_record(self, op->reply, &reply);
    } else if (op == &ops[OP_plan_changes]) {
        struct plan_changes_reply reply = no_plans;
        REC_SET(&reply, plan_changes_reply, version, 0);
        answer_record(self, op->reply, &reply);
    } else if (op == &ops[OP_quota_lease]) {
        lease(self);
    } else if (op == &ops[OP_quota_settle]) {
        answer_record(self, op->reply, &settled);
    } else if (op == &ops[OP_key_used]) {
        answer_record(self, op->reply, &noted);
    } else if (op == &ops[OP_request_keep]) { // what failed, of whomever
        struct request_keep_reply reply = no_requests;
        REC_SET(&reply, request_keep_reply, kept, 0);
        answer_record(self, op->reply, &reply);
    } else if (op == &ops[OP_status_get]) { // the platform's, for anybody
        atomic_fetch_add(&self->statuses, 1);
        show_status(self);
    } else if (op == &ops[OP_predict] && self->forecasts) {
        notice(self);
        forecast(self);
    } else {
        notice(self);
        answer(self, WIRE_ERROR, om_rc_info(OM_ENOTFOUND)->code, (struct om_str){ 0 });
    }
}

static void *
play(void *context)
{
    struct personas *self = context;
    while (!atomic_load(&self->stop)) {
        if (!broker_recv(&self->broker, TURN_MS))
            continue;
        switch ((int)self->broker.msg.type) {
        case WIRE_HELLO:
            broker_welcome(&self->broker);
            break;
        case WIRE_PING:
            answer(self, WIRE_PONG, NULL, (struct om_str){ 0 });
            break;
        case WIRE_CALL:
            on_call(self);
            break;
        case WIRE_PUBLISH: // what was done, of whomever
            answer(self, WIRE_PUBLISHED, NULL, (struct om_str){ 0 });
            break;
        case WIRE_CALL_CANCEL:
        case WIRE_BYE:
            break;
        default:
            notice(self);
            answer(self, WIRE_ERROR, om_rc_info(OM_ENOTFOUND)->code,
                   (struct om_str){ 0 });
        }
    }
    return NULL;
}

// ---- life

static void
make(struct personas *self)
{
    for (unsigned who = 0; who < PERSONAS; who++) {
        self->tenants[who] = om_id_new((uint8_t)(who + 1));
        om_typeid_encode(OM_ID_TENANT, &self->tenants[who], self->tenant_texts[who]);
        for (unsigned scope = 0; scope < SCOPE_COUNT; scope++) {
            char key[PERSONA_KEY];
            persona_key((enum persona)who, (enum scope)scope, key);
            om_sha256(om_str(key), self->hashes[who][scope]);
        }
    }
}

void
personas_open(struct personas *self)
{
    make(self);
    broker_open(&self->broker);
    cr_assert_eq(pthread_create(&self->thread, NULL, play, self), 0);
}

void
personas_close(struct personas *self)
{
    atomic_store(&self->stop, true);
    pthread_join(self->thread, NULL);
    broker_close(&self->broker);
}

void
personas_ask(struct personas *self, enum persona who)
{
    atomic_store(&self->asker, (int)who);
    atomic_store(&self->seen, 0);
    atomic_store(&self->foreign, 0);
}

void
personas_settle(const struct personas *self, struct stage *stage)
{
    stage_settle(stage);
    stage_set(stage, "OMNI_BROKER", "%s", self->broker.endpoint);
    stage_set(stage, "OMNI_INGEST_THREADS", "1");
}
