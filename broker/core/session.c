#include <stdio.h>

#include "call.h"
#include "key.h"
#include "lease.h"
#include "node.h"
#include "out.h"
#include "queue.h"
#include "session.h"
#include "watch.h"

struct session *
session_find(const struct core *self, core_conn conn)
{
    struct session *session = NULL;
    HASH_FIND(hh, self->sessions, &conn, sizeof(conn), session);
    return session;
}

bool
session_live(const struct core *self, const struct session *session)
{
    return !session->pending && !session->suspect &&
           self->now.mono_ms - session->heard_ms <= self->conf.silent_ms;
}

// The workers of a silent session's calls are given up before the session is.
static void
on_silence(struct core *self, struct timer *timer)
{
    struct session *session = TIMER_OWNER(timer, struct session, timer);
    int64_t silent_ms = self->now.mono_ms - session->heard_ms;
    if (silent_ms >= self->conf.lease_long_ms) {
        session_close(self, &session);
        return;
    }
    int64_t next_ms = session->heard_ms + self->conf.silent_ms;
    if (session->suspect || silent_ms >= self->conf.silent_ms) {
        call_fail_taken(self, session);
        next_ms = session->heard_ms + self->conf.lease_long_ms;
    }
    timer_set(&self->mono, timer, next_ms, on_silence);
}

static void
touch_queues(struct core *self, struct session *session)
{
    struct credit *credit;
    DL_FOREACH2(session->credits, credit, session_next)
    queue_touch(self, credit->queue);
}

void
session_heard(struct core *self, struct session *session)
{
    bool was_live = session_live(self, session);
    session->heard_ms = self->now.mono_ms;
    session->suspect = false;
    if (was_live)
        return;
    timer_set(&self->mono, &session->timer, self->now.mono_ms + self->conf.silent_ms,
              on_silence);
    touch_queues(self, session);
}

void
session_excuse(struct core *self, struct session *session, int64_t ms)
{
    bool was_live = session_live(self, session);
    int64_t heard_ms = session->heard_ms + ms;
    session->heard_ms = heard_ms < self->now.mono_ms ? heard_ms : self->now.mono_ms;
    if (!was_live && session_live(self, session))
        touch_queues(self, session);
}

void
core_suspect(struct core *self, struct core_now now, core_conn conn)
{
    self->now = now;
    struct session *session = session_find(self, conn);
    if (!session || session->suspect)
        return;
    session->suspect = true;
    timer_set(&self->mono, &session->timer, now.mono_ms + self->conf.heartbeat_ms,
              on_silence);
}

void
session_close(struct core *self, struct session **session_p)
{
    struct session *session = *session_p;
    *session_p = NULL;
    timer_stop(&self->mono, &session->timer);
    lease_orphan_all(self, session);
    call_fail_taken(self, session);
    call_abandon_made(self, session);
    watch_destroy_all(self, session);
    for (struct credit *credit; (credit = session->credits);)
        credit_destroy(self, &credit);
    HASH_DEL(self->sessions, session);
    key_leave(self, session);
    if (session->home && session->home->session == session)
        session->home->session = NULL;
    node_tidy(self, session->home);
    acks_finish(self, session);
    om_buf_finish(&session->held);
    free(session);
    self->stats.sessions--;
}

// ---- HELLO

static void
welcome(struct core *self, const struct session *session)
{
    char tenant[OM_TYPEID_MAX];
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, node, om_str(self->node));
    WIRE_SET(&msg, epoch, (int64_t)self->conf.epoch);
    WIRE_SET(&msg, heartbeat_ms, self->conf.heartbeat_ms);
    WIRE_SET(&msg, caps, CAPABILITY_BUNDLE);
    if (session->hello.size)
        WIRE_SET(&msg, id, label_str(&session->hello));
    if (session->role == ROLE_TENANT) {
        size_t size = om_typeid_encode(OM_ID_TENANT, &session->tenant, tenant);
        WIRE_SET(&msg, tenant, ((struct om_str){ tenant, size }));
    }
    out_send(self, session->conn, WIRE_WELCOME, &msg, NULL);
}

// A node has one session: a new one takes the place of the one it had, and of what an
// earlier start of the node held.
static void
supersede(struct core *self, struct session *session)
{
    struct node *home = node_get(self, session->role, &session->tenant, &session->node);
    struct session *twin = home->session;
    session->home = home;
    home->session = session;
    if (twin) {
        if (twin->incarnation == session->incarnation)
            call_move_taken(twin, session);
        session_close(self, &twin); // and perhaps sessions that waited for its answer
    }
    lease_lose_earlier(self, session);
}

static void
session_open(struct core *self, struct session *session, struct om_str held)
{
    session->pending = false;
    session->suspect = false;
    session->heard_ms = self->now.mono_ms;
    timer_set(&self->mono, &session->timer, self->now.mono_ms + self->conf.silent_ms,
              on_silence);
    supersede(self, session);
    welcome(self, session);
    lease_adopt(self, session, held);
}

// Which role may the peer have? OM_OK: the one it asks for; a tenant's worker has yet to
// show whose key it holds.
static enum om_rc
check_role(const struct core *self, const struct input *in, enum role role)
{
    if (role == ROLE_TENANT) {
        if (!WIRE_HAS(in->msg, credential))
            return OM_EAUTH;
        return self->conf.sha256 ? OM_OK : OM_EUNAVAILABLE;
    }
    unsigned services = ROLES_PLATFORM & ~ROLE_BIT(BROKER);
    if (!(1u << role & services))
        return OM_EFORBIDDEN;
    if (in->peer->trust == TRUST_LOCAL)
        return OM_OK;
    return in->peer->trust == TRUST_ROLE && in->peer->role == role ? OM_OK
                                                                   : OM_EFORBIDDEN;
}

// A HELLO said again, not a new one: it has the same id; or its key is still being looked
// up, and a peer that gives its HELLO no id is impatient.
static bool
same_hello(const struct session *session, const struct wire_msg *msg)
{
    return (session->hello.size || session->pending) &&
           om_str_eq(label_str(&session->hello), msg->id) &&
           om_str_eq(label_str(&session->node), msg->node) &&
           session->incarnation == msg->incarnation;
}

void
on_hello(struct core *self, const struct input *in)
{
    const struct wire_msg *msg = in->msg;
    struct session *session = session_find(self, in->conn);
    if (session && same_hello(session, msg)) {
        session_heard(self, session);
        if (!session->pending) {
            welcome(self, session);
            lease_adopt(self, session, msg->held);
        }
        return;
    }
    enum role role = role_find(msg->role);
    enum om_rc rc = check_role(self, in, role);
    if (rc == OM_OK && !session && self->stats.sessions >= SESSIONS_MAX)
        rc = OM_EUNAVAILABLE;
    if (rc != OM_OK) {
        out_error(self, in->conn, msg->id, rc, NULL);
        return;
    }
    if (session)
        session_close(self, &session);

    session = core_alloc(sizeof(*session));
    session->conn = in->conn;
    session->role = role;
    session->incarnation = msg->incarnation;
    session->caps = msg->caps;
    session->heard_ms = self->now.mono_ms;
    label_set(&session->node, msg->node);
    snprintf(session->holder, sizeof(session->holder), "%.*s#%lld",
             (int)session->node.size, session->node.text,
             (long long)session->incarnation);
    label_set(&session->hello, msg->id);
    HASH_ADD(hh, self->sessions, conn, sizeof(session->conn), session);
    self->stats.sessions++;
    if (role != ROLE_TENANT) {
        session_open(self, session, msg->held);
        return;
    }
    session->pending = true;
    om_buf_put(&session->held, msg->held.data, msg->held.size);
    timer_set(&self->mono, &session->timer, self->now.mono_ms + CALL_TTL_MS, on_silence);
    key_join(self, session, msg->credential);
}

void
session_key_resolved(struct core *self, struct session *session, enum om_rc rc,
                     const struct om_uuid *tenant)
{
    if (rc != OM_OK) {
        out_error(self, session->conn, label_str(&session->hello), rc, NULL);
        session_close(self, &session);
        return;
    }
    if (!session->pending)
        return;
    session->tenant = *tenant;
    struct om_buf held = session->held;
    session->held = (struct om_buf){ 0 };
    session_open(self, session, (struct om_str){ held.data, held.size });
    om_buf_finish(&held);
}

void
on_bye(struct core *self, const struct input *in)
{
    struct session *session = in->session;
    lease_release_unstarted(self, session);
    session_close(self, &session);
}

void
on_ping(struct core *self, const struct input *in)
{
    struct wire_msg msg = { 0 };
    if (WIRE_HAS(in->msg, id))
        WIRE_SET(&msg, id, in->msg->id);
    out_send(self, in->conn, WIRE_PONG, &msg, NULL);
}
