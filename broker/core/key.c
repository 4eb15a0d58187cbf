#include "key.h"
#include "call.h"
#include "ops.h"
#include "session.h"

enum {
    FEED_MS = 500,      // between two questions for changes
    FEED_TTL_MS = 1500, // of one
    FRESH_MS = 2000,    // what is known of a key holds so long after a feed's answer
    CHANGES_A_REPLY = 256,
};

static void on_feed_due(struct core *self, struct timer *timer);

// ---- keys

static void
key_tidy(struct core *self, struct key *key)
{
    if (key->sessions || key->waiting || key->told)
        return;
    if (key->call)
        call_forget(self, key->call);
    HASH_DEL(self->keys, key);
    free(key);
}

// Whose key is it? OM_OK only for one with the scope of a worker.
static enum om_rc
worker_of_key(const struct wire_msg *msg, const struct payload *payload,
              struct key_resolve_reply *reply, struct om_uuid *tenant)
{
    if (msg->type == WIRE_ERROR)
        return om_rc_find(msg->code);
    enum om_rc rc =
        rec_decode(&key_resolve_reply_rec, payload_bytes(payload), reply, NULL);
    if (rc != OM_OK || om_typeid_decode(OM_ID_TENANT, reply->tenant, tenant) != OM_OK)
        return OM_EINTERNAL;
    struct rec_iter scopes = rec_iter(reply->scopes);
    for (struct om_str scope; rec_next_str(&scopes, &scope);)
        if (om_str_eq(scope, OM_LIT("worker")))
            return OM_OK;
    return OM_EFORBIDDEN;
}

// Did identity say no, rather than nothing?
static bool
is_refusal(enum om_rc rc)
{
    return rc != OM_OK && !om_rc_info(rc)->retryable && rc != OM_EINTERNAL;
}

// The session's key is good: it opens, and may take the place of others of the key.
static void
admit(struct core *self, struct key *key, struct session *session)
{
    DL_DELETE2(key->waiting, session, key_prev, key_next);
    DL_APPEND2(key->sessions, session, key_prev, key_next);
    session->key_known = true;
    session_key_resolved(self, session, OM_OK, &key->tenant);
}

static void
admit_all(struct core *self, struct key *key)
{
    key->told = true;
    while (key->waiting)
        admit(self, key, key->waiting);
    key->told = false;
    key_tidy(self, key);
}

// Close the sessions that wait for the key, or all of it.
static void
refuse_all(struct core *self, struct key *key, enum om_rc rc, bool open_too)
{
    key->told = true;
    while (key->waiting)
        session_key_resolved(self, key->waiting, rc, NULL);
    while (open_too && key->sessions)
        session_key_resolved(self, key->sessions, rc, NULL);
    key->told = false;
    key_tidy(self, key);
}

static void on_resolved(struct core *self, void *context, const struct wire_msg *msg,
                        struct payload *payload);

static void
ask_key(struct core *self, struct key *key)
{
    struct key_resolve_request request = { 0 };
    struct om_str hash = { (const char *)key->hash, sizeof(key->hash) };
    struct om_buf body = { 0 };
    REC_SET(&request, key_resolve_request, hash, hash);
    rec_encode(&key_resolve_request_rec, &request, &body);
    key->again = false;
    key->call = call_ask(self, OP_key_resolve, &body, CALL_TTL_MS, on_resolved, key);
}

static void
on_resolved(struct core *self, void *context, const struct wire_msg *msg,
            struct payload *payload)
{
    struct key *key = context;
    struct key_resolve_reply reply;
    struct om_uuid tenant = { 0 };
    enum om_rc rc = worker_of_key(msg, payload, &reply, &tenant);
    key->call = 0;
    if (key->again) {
        ask_key(self, key);
        return;
    }
    bool moved = rc == OM_OK && !om_uuid_is_zero(&key->tenant) &&
                 !om_uuid_eq(&tenant, &key->tenant);
    if (moved)
        rc = OM_EAUTH; // no key ever changes its tenant
    if (rc == OM_OK) {
        key->tenant = tenant;
        key->expires_ms =
            REC_HAS(&reply, key_resolve_reply, expires_ms) ? reply.expires_ms : 0;
    }
    key->again = rc != OM_OK && !is_refusal(rc);
    if (rc == OM_OK)
        admit_all(self, key);
    else
        refuse_all(self, key, rc, is_refusal(rc));
}

void
key_join(struct core *self, struct session *session, struct om_str credential)
{
    uint8_t hash[32];
    struct key *key = NULL;
    self->conf.sha256(credential, hash);
    HASH_FIND(hh, self->keys, hash, sizeof(hash), key);
    if (!key) {
        key = core_alloc(sizeof(*key));
        memcpy(key->hash, hash, sizeof(hash));
        HASH_ADD(hh, self->keys, hash, sizeof(key->hash), key);
    }
    session->key = key;
    DL_APPEND2(key->waiting, session, key_prev, key_next);
    if (!self->feed_timer.place)
        timer_set(&self->mono, &self->feed_timer, self->now.mono_ms + FEED_MS,
                  on_feed_due);
    bool fresh = self->feed_ms && self->now.mono_ms - self->feed_ms < FRESH_MS;
    if (fresh && !key->call && !key->again && !om_uuid_is_zero(&key->tenant))
        admit(self, key, session);
    else if (!key->call)
        ask_key(self, key);
}

void
key_leave(struct core *self, struct session *session)
{
    struct key *key = session->key;
    if (!key)
        return;
    session->key = NULL;
    if (session->key_known)
        DL_DELETE2(key->sessions, session, key_prev, key_next);
    else
        DL_DELETE2(key->waiting, session, key_prev, key_next);
    key_tidy(self, key);
}

// ---- the feed of changes

static void
end_expired(struct core *self)
{
    struct key *key, *next;
    HASH_ITER (hh, self->keys, key, next) {
        if (key->expires_ms && key->expires_ms <= self->now.wall_ms)
            refuse_all(self, key, OM_EAUTH, true);
        else if (key->again && !key->call)
            ask_key(self, key);
    }
}

static void
ask_again(struct core *self, struct key *key)
{
    if (key->call)
        key->again = true;
    else
        ask_key(self, key);
}

// The keys of a tenant that changed, and those nobody has said yet whose they are.
static void
ask_about_tenant(struct core *self, const struct om_uuid *tenant)
{
    struct key *key, *next;
    HASH_ITER (hh, self->keys, key, next)
        if (om_uuid_eq(&key->tenant, tenant) || om_uuid_is_zero(&key->tenant))
            ask_again(self, key);
}

static bool
apply_changes(struct core *self, const struct key_changes_reply *reply)
{
    struct rec_iter iter = rec_iter(reply->data);
    size_t count = iter.left;
    for (struct om_str bytes; rec_next_raw(&iter, &bytes);) {
        struct key_change_item change;
        struct key *key = NULL;
        if (rec_decode(&key_change_item_rec, bytes, &change, NULL) != OM_OK)
            continue;
        self->feed_seq = change.seq;
        HASH_FIND(hh, self->keys, change.hash.data, sizeof(key->hash), key);
        if (key)
            ask_again(self, key);
        struct om_uuid tenant;
        if (om_typeid_decode(OM_ID_TENANT, change.tenant, &tenant) == OM_OK)
            ask_about_tenant(self, &tenant);
    }
    return count == CHANGES_A_REPLY;
}

static void ask_feed(struct core *self);

static void
on_feed(struct core *self, void *context, const struct wire_msg *msg,
        struct payload *payload)
{
    (void)context;
    struct key_changes_reply reply;
    bool more = false;
    self->feed_asked = false;
    if (msg->type == WIRE_REPLY &&
        rec_decode(&key_changes_reply_rec, payload_bytes(payload), &reply, NULL) ==
            OM_OK) {
        more = apply_changes(self, &reply);
        // From when it was asked: what changed later may not be in it.
        self->feed_ms = more ? 0 : self->feed_asked_ms;
    }
    if (more)
        ask_feed(self);
}

static void
ask_feed(struct core *self)
{
    if (!self->keys) {
        timer_stop(&self->mono, &self->feed_timer);
        self->feed_ms = 0;
        return;
    }
    timer_set(&self->mono, &self->feed_timer, self->now.mono_ms + FEED_MS, on_feed_due);
    if (self->feed_asked)
        return;
    struct key_changes_request request = { 0 };
    struct om_buf body = { 0 };
    REC_SET(&request, key_changes_request, since, self->feed_seq);
    rec_encode(&key_changes_request_rec, &request, &body);
    self->feed_asked = true;
    self->feed_asked_ms = self->now.mono_ms;
    call_ask(self, OP_key_changes, &body, FEED_TTL_MS, on_feed, NULL);
}

static void
on_feed_due(struct core *self, struct timer *timer)
{
    (void)timer;
    end_expired(self);
    ask_feed(self);
}
