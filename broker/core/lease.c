#include "lease.h"
#include "ahead.h"
#include "call.h"
#include "limit.h"
#include "node.h"
#include "out.h"
#include "queue.h"
#include "run.h"
#include "session.h"
#include "task.h"

// When so many beats of a worker that is back have not named a lease, each so long after
// the one before, its JOB is lost: with the second of them all that was on its way to the
// worker has come, with the third it has been read.
enum { DOUBTS = 3, DOUBT_MS = 5000 };

bool
token_eq(const struct wire_token *a, const struct wire_token *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

void
lease_ack(struct core *self, const struct wire_token *token, core_conn conn)
{
    struct recent *recent = recents_find(&self->recents, token);
    if (recent) {
        recent->durable = true;
        conn = recent->conn;
    }
    ack_done(self, conn, token);
}

// ---- the life of a lease

static struct lease **
list_of(const struct lease *lease)
{
    return lease->session ? &lease->session->leases : &lease->home->orphans;
}

static void
leave_home(struct core *self, struct lease *lease)
{
    struct node *home = lease->home;
    lease->home = NULL;
    node_tidy(self, home);
}

static void
attach(struct core *self, struct lease *lease, struct session *session)
{
    if (lease->session == session)
        return;
    struct lease **from = list_of(lease);
    DL_DELETE(*from, lease);
    if (session)
        leave_home(self, lease);
    else
        lease->home = lease->session->home;
    lease->session = session;
    struct lease **to = list_of(lease);
    DL_APPEND(*to, lease);
}

// The worker has shown that it holds the lease.
static void
claim(struct core *self, struct lease *lease, struct session *session)
{
    attach(self, lease, session);
    lease->node = session->node;
    lease->incarnation = session->incarnation;
    lease->claimed = true;
    lease->expires_ms = self->now.mono_ms + lease->lease_ms;
}

static void
timeout(struct core *self, struct lease *lease)
{
    struct failure failure = { .code = om_str(om_rc_info(OM_ETIMEOUT)->code),
                               .text = OM_LIT("the hard time limit is over"),
                               .retryable = om_rc_info(OM_ETIMEOUT)->retryable,
                               .retry_ms = -1 };
    if (lease->session)
        out_token(self, lease->session->conn, WIRE_CANCEL_JOB, &lease->token);
    lease->kind->fail(self, lease, &failure);
}

static void
on_expiry(struct core *self, struct timer *timer)
{
    struct lease *lease = TIMER_OWNER(timer, struct lease, timer);
    int64_t now_ms = self->now.mono_ms;
    if (now_ms >= lease->expires_ms) {
        self->stats.lost++;
        lease->kind->lost(self, lease);
    } else if (now_ms >= lease->hard_at_ms) {
        timeout(self, lease);
    } else {
        int64_t next_ms =
            lease->expires_ms < lease->hard_at_ms ? lease->expires_ms : lease->hard_at_ms;
        timer_set(&self->mono, timer, next_ms, on_expiry);
    }
}

// Does the time limit count from now on?
static void
start_clock(struct core *self, struct lease *lease)
{
    int64_t now_ms = self->now.mono_ms;
    lease->expires_ms = now_ms + lease->lease_ms;
    lease->hard_at_ms = lease->hard_ms > 0 ? now_ms + lease->hard_ms : INT64_MAX;
    on_expiry(self, &lease->timer);
}

static void
set_class(const struct core *self, struct lease *lease)
{
    lease->lease_ms = lease->queue->class == CLASS_LONG ? self->conf.lease_long_ms
                                                        : self->conf.lease_short_ms;
}

void
lease_grant(struct core *self, struct lease *lease, struct credit *credit,
            const struct om_uuid *about, uint32_t attempt)
{
    struct session *session = credit->session;
    lease->token =
        (struct wire_token){ *about, attempt, self->conf.epoch, ++self->last_lease };
    lease->active = lease->claimed = true;
    lease->doubts = 0;
    lease->started = lease->cancel = false;
    lease->waiting = 0;
    lease->session = session;
    lease->node = session->node;
    lease->incarnation = session->incarnation;
    lease->credit = credit;
    set_class(self, lease);
    credit->reserved++;
    credit_update(self, credit);
    if (lease->share)
        lease->share->in_flight++;
    limit_take(lease);
    DL_APPEND(session->leases, lease);
    self->stats.leased++;
}

void
lease_ready(struct core *self, struct lease *lease, unsigned what)
{
    lease->waiting &= ~what;
    if (lease->waiting || !lease->credit)
        return;
    lease->credit->reserved--;
    lease->credit->sent++;
    lease->credit = NULL;
    limit_sent(self, lease);
    lease->kind->send(self, lease);
    start_clock(self, lease);
}

void
lease_end(struct core *self, struct lease *lease, core_conn conn)
{
    if (conn)
        recents_add(&self->recents, &lease->token, conn);
    timer_stop(&self->mono, &lease->timer);
    if (lease->credit) {
        lease->credit->reserved--;
        credit_update(self, lease->credit);
        lease->credit = NULL;
    }
    if (lease->share)
        lease->share->in_flight--;
    limit_end(self, lease);
    struct lease **list = list_of(lease);
    DL_DELETE(*list, lease);
    leave_home(self, lease);
    lease->session = NULL;
    lease->active = false;
    self->stats.leased--;
}

void
lease_restore(struct core *self, struct lease *lease, const struct wire_token *token,
              struct om_str node)
{
    size_t size = node.size;
    while (size > 0 && node.data[size - 1] != '#')
        size--;
    int64_t incarnation = 0;
    for (size_t i = size; i < node.size; i++)
        incarnation = incarnation * 10 + (node.data[i] - '0');
    label_set(&lease->node, (struct om_str){ node.data, size ? size - 1 : node.size });
    lease->incarnation = incarnation;
    lease->token = *token;
    lease->active = true;
    set_class(self, lease);
    if (lease->share)
        lease->share->in_flight++;
    limit_restore(lease);
    lease->home = node_of_queue(self, lease->queue, &lease->node);
    DL_APPEND(lease->home->orphans, lease);
    self->stats.leased++;
}

void
lease_count_anew(struct core *self, struct lease *lease)
{
    start_clock(self, lease);
}

void
lease_cancel(struct core *self, struct lease *lease)
{
    lease->cancel = true;
    if (lease->session)
        out_token(self, lease->session->conn, WIRE_CANCEL_JOB, &lease->token);
}

// ---- leases and sessions

void
lease_orphan_all(struct core *self, struct session *session)
{
    for (struct lease *lease; (lease = session->leases);) {
        if (lease->credit)
            lease->kind->release(self, lease);
        else
            attach(self, lease, NULL);
    }
}

void
lease_release_unstarted(struct core *self, struct session *session)
{
    struct lease *lease, *next;
    DL_FOREACH_SAFE (session->leases, lease, next)
        if (!lease->started)
            lease->kind->release(self, lease);
}

void
lease_lose_earlier(struct core *self, struct session *session)
{
    struct lease *lease, *next;
    DL_FOREACH_SAFE (session->home->orphans, lease, next) {
        if (lease->incarnation >= session->incarnation)
            continue; // a HELLO of an earlier one may come late
        self->stats.lost++;
        lease->kind->lost(self, lease);
    }
}

// The current lease of these bytes if the session may hold it, else NULL.
static struct lease *
lease_find(struct core *self, const struct session *session, struct om_str bytes,
           struct wire_token *token)
{
    if (wire_token_decode(bytes, token) != OM_OK)
        return NULL;
    struct lease *lease = run_lease(self, token);
    if (!lease)
        lease = task_lease(self, token);
    bool current = lease && lease->active && !lease->credit &&
                   token_eq(&lease->token, token) && queue_serves(lease->queue, session);
    return current ? lease : NULL;
}

static void
mark_started(struct core *self, struct lease *lease)
{
    if (lease->started)
        return;
    lease->started = true;
    lease->kind->started(self, lease);
    if (lease->hard_ms > 0)
        lease->hard_at_ms = self->now.mono_ms + lease->hard_ms;
}

// Walk a list of what a worker holds: each lease that is current is its own again.
static void
hold(struct core *self, struct session *session, struct om_str held,
     void (*stale)(void *context, struct om_str token), void *context)
{
    struct rec_iter iter = rec_iter(held);
    for (struct om_str bytes; rec_next_raw(&iter, &bytes);) {
        struct wire_held item;
        struct wire_token token;
        if (rec_decode(&wire_held_rec, bytes, &item, NULL) != OM_OK)
            continue;
        struct lease *lease = lease_find(self, session, item.token, &token);
        if (lease) {
            claim(self, lease, session);
            if (REC_HAS(&item, wire_held, progress)) {
                mark_started(self, lease);
                lease->kind->progress(self, lease, &item);
            }
        } else if (!recents_find(&self->recents, &token)) {
            self->stats.stale++;
            stale(context, item.token);
        }
    }
}

struct stale_send {
    struct core *core;
    core_conn conn;
};

static void
send_stale(void *context, struct om_str token)
{
    struct stale_send *to = context;
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, token, token);
    out_send(to->core, to->conn, WIRE_STALE, &msg, NULL);
}

void
lease_adopt(struct core *self, struct session *session, struct om_str held)
{
    struct stale_send to = { self, session->conn };
    hold(self, session, held, send_stale, &to);
    struct lease *lease;
    DL_FOREACH (session->home->orphans, lease)
        lease->doubted_ms = self->now.mono_ms;
}

// The worker has sent a beat. Silence would prove nothing: it may stand still, with the
// JOB in its socket.
static void
doubt_unnamed(struct core *self, struct session *session)
{
    struct lease *lease, *next;
    DL_FOREACH_SAFE (session->home->orphans, lease, next) {
        if (lease->claimed || self->now.mono_ms - lease->doubted_ms < DOUBT_MS)
            continue;
        lease->doubted_ms = self->now.mono_ms;
        if (++lease->doubts < DOUBTS)
            continue;
        self->stats.lost++;
        lease->kind->lost(self, lease);
    }
}

// ---- messages

struct token_list {
    struct om_buf packed;
    size_t count;
};

static void
list_token(void *context, struct om_str token)
{
    struct token_list *list = context;
    om_pack_bin(&list->packed, token);
    list->count++;
}

// The list as a msgpack array in `out`.
static struct om_str
list_pack(struct token_list *list, struct om_buf *out)
{
    om_pack_array(out, list->count);
    om_buf_put(out, list->packed.data, list->packed.size);
    om_buf_finish(&list->packed);
    return om_buf_str(out);
}

void
on_beat(struct core *self, const struct input *in)
{
    struct token_list stale = { 0 }, cancel = { 0 };
    hold(self, in->session, in->msg->held, list_token, &stale);
    doubt_unnamed(self, in->session);
    struct lease *lease;
    DL_FOREACH (in->session->leases, lease) {
        char bytes[WIRE_TOKEN_BYTES];
        wire_token_encode(&lease->token, bytes);
        if (lease->cancel && cancel.count < 64)
            list_token(&cancel, (struct om_str){ bytes, sizeof(bytes) });
    }
    struct om_buf stale_list = { 0 }, cancel_list = { 0 };
    struct wire_msg msg = { 0 };
    if (WIRE_HAS(in->msg, id))
        WIRE_SET(&msg, id, in->msg->id);
    if (stale.count)
        WIRE_SET(&msg, stale, list_pack(&stale, &stale_list));
    if (cancel.count)
        WIRE_SET(&msg, tokens, list_pack(&cancel, &cancel_list));
    if (in->session->draining)
        WIRE_SET(&msg, drain, true);
    out_send(self, in->conn, WIRE_BEAT_ACK, &msg, NULL);
    om_buf_finish(&stale_list);
    om_buf_finish(&cancel_list);
}

static bool
ends_lease(int64_t type)
{
    return type == WIRE_DONE || type == WIRE_FAIL || type == WIRE_CANCELLED;
}

struct lease *
lease_said(struct core *self, const struct input *in)
{
    struct wire_token token;
    struct lease *lease = lease_find(self, in->session, in->msg->token, &token);
    if (lease) {
        claim(self, lease, in->session);
        return lease;
    }
    struct recent *recent = recents_find(&self->recents, &token);
    if (!recent) {
        self->stats.stale++;
        out_token(self, in->conn, WIRE_STALE, &token);
    } else if (ends_lease(in->msg->type)) {
        recent->conn = in->conn;
        if (recent->durable)
            out_token(self, in->conn, WIRE_DONE_ACK, &token);
    }
    return NULL;
}

void
on_start(struct core *self, const struct input *in)
{
    struct lease *lease = lease_said(self, in);
    if (lease)
        mark_started(self, lease);
}

void
on_release(struct core *self, const struct input *in)
{
    if (WIRE_HAS(in->msg, call)) {
        ahead_release(self, in);
        return;
    }
    struct lease *lease = lease_said(self, in);
    if (lease)
        lease->kind->release(self, lease);
}

void
on_chunk(struct core *self, const struct input *in)
{
    if (WIRE_HAS(in->msg, call)) {
        call_chunk(self, in);
        return;
    }
    struct lease *lease = lease_said(self, in);
    if (lease)
        lease->kind->chunk(self, lease, in);
}

void
on_done(struct core *self, const struct input *in)
{
    if (in->session->role == ROLE_TENANT && WIRE_HAS(in->msg, events)) {
        out_error(self, in->conn, in->msg->id, OM_EFORBIDDEN,
                  "events are the platform's");
        return;
    }
    struct lease *lease = lease_said(self, in);
    if (lease)
        lease->kind->done(self, lease, in);
}

void
on_fail(struct core *self, const struct input *in)
{
    const struct wire_msg *msg = in->msg;
    struct lease *lease = lease_said(self, in);
    if (!lease)
        return;
    struct failure failure = {
        .code = msg->code, .text = msg->text, .usage = msg->usage, .conn = in->conn
    };
    failure.retryable = WIRE_HAS(msg, retryable)
                            ? msg->retryable
                            : om_rc_info(om_rc_find(msg->code))->retryable;
    failure.retry_ms = WIRE_HAS(msg, retry_ms) ? msg->retry_ms : -1;
    if (failure.retry_ms > WIRE_RETRY_MAX_MS)
        failure.retry_ms = WIRE_RETRY_MAX_MS;
    lease->kind->fail(self, lease, &failure);
}

void
on_cancelled(struct core *self, const struct input *in)
{
    struct lease *lease = lease_said(self, in);
    if (!lease)
        return;
    struct failure failure = { .code = om_str(om_rc_info(OM_ECANCELLED)->code),
                               .text = OM_LIT("the worker stopped it"),
                               .retryable = true,
                               .cancelled = true,
                               .retry_ms = -1,
                               .usage = in->msg->usage,
                               .conn = in->conn };
    lease->kind->fail(self, lease, &failure);
}
