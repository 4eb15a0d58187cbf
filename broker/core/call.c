#include <stdio.h>

#include "ahead.h"
#include "call.h"
#include "chunk.h"
#include "commit.h"
#include "events.h"
#include "fair.h"
#include "ops.h"
#include "out.h"
#include "queue.h"
#include "session.h"
#include "told.h"

enum { LEFT_MS = 10 * 1000 }; // for the worker to say what was used

static void
call_destroy(struct core *self, struct call **call_p)
{
    struct call *call = *call_p;
    *call_p = NULL;
    timer_stop(&self->mono, &call->timer);
    if (call->ahead && call->sent_us) {
        struct wire_msg msg;
        if (wire_decode(call->header, &msg) == OM_OK)
            told_call(self, call, &msg);
    }
    if (call->worker) {
        DL_DELETE2(call->worker->taken, call, taken_prev, taken_next);
        call->share->in_flight--;
        ahead_leave(self, call);
    } else {
        fair_remove(&call->item);
        call->share->waiting_calls--;
        self->waiting_calls--;
    }
    if (call->caller)
        HASH_DELETE(made, call->caller->made, call);
    HASH_DEL(self->calls, call);
    share_unref(self, &call->share);
    payload_unref(&call->payload);
    free((char *)call->header.data);
    free(call);
}

// ---- the answer

// Pass REPLY or ERROR on to who asked.
static void
answer(struct core *self, struct call *call, const struct wire_msg *answer_msg,
       struct payload *payload)
{
    if (call->answered) {
        call->answered(self, call->context, answer_msg, payload);
        return;
    }
    struct wire_msg msg = *answer_msg;
    msg.has &= ~(W(usage) | W(events) | W(call) | W(id) | W(seq));
    if (call->left)
        return;
    if (call->chunks > 0) {
        WIRE_SET(&msg, call, call->number);
        WIRE_SET(&msg, seq, call->chunks);
    }
    if (call->asker.id.size)
        WIRE_SET(&msg, id, label_str(&call->asker.id));
    out_send(self, call->asker.conn, (enum wire_type)answer_msg->type, &msg, payload);
}

static void
say_error(struct core *self, struct call *call, enum om_rc rc, const char *text)
{
    struct wire_msg msg = { .type = WIRE_ERROR };
    WIRE_SET(&msg, code, om_str(om_rc_info(rc)->code));
    WIRE_SET(&msg, text, om_str(text));
    answer(self, call, &msg, NULL);
}

static void
answer_error(struct core *self, struct call *call, enum om_rc rc, const char *text)
{
    say_error(self, call, rc, text);
    call_destroy(self, &call);
}

static void
tell_worker_to_stop(struct core *self, const struct call *call)
{
    if (!call->worker || call->left)
        return;
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, call, call->number);
    out_send(self, call->worker->conn, WIRE_CALL_CANCEL, &msg, NULL);
}

static void on_deadline(struct core *self, struct timer *timer);

// Nobody waits for the answer any more, and the worker was told so.
static void
leave(struct core *self, struct call *call)
{
    if (!call->streams || !call->worker || call->left) {
        call_destroy(self, &call);
        return;
    }
    if (call->caller)
        HASH_DELETE(made, call->caller->made, call);
    call->caller = NULL;
    call->left = true;
    call->deadline_ms = self->now.mono_ms + LEFT_MS;
    timer_set(&self->mono, &call->timer, call->deadline_ms, on_deadline);
}

void
call_break(struct core *self, struct call *call, enum om_rc rc, const char *text)
{
    tell_worker_to_stop(self, call);
    say_error(self, call, rc, text);
    leave(self, call);
}

static void
on_deadline(struct core *self, struct timer *timer)
{
    struct call *call = TIMER_OWNER(timer, struct call, timer);
    if (self->now.mono_ms >= call->deadline_ms) {
        call_break(self, call, OM_ETIMEOUT, "no worker answered in time");
    } else if (!call->worker && !queue_has_takers(self, call->share->queue)) {
        answer_error(self, call, OM_EUNAVAILABLE, "no worker serves this queue");
    } else {
        timer_set(&self->mono, timer, call->deadline_ms, on_deadline);
    }
}

// What was used and what happened, appended after the answer is on its way.
static void
log_answer(struct core *self, const struct call *call, const struct wire_msg *msg)
{
    if (!call->has_tenant)
        return;
    size_t count = events_count(msg->usage) + events_count(msg->events);
    if (count == 0)
        return;
    char prefix[128];
    struct om_str id = label_str(&call->asker.id);
    struct om_uuid ignored;
    if (om_typeid_decode(OM_ID_REQUEST, id, &ignored) == OM_OK)
        snprintf(prefix, sizeof(prefix), "%.*s", (int)id.size, id.data);
    else
        snprintf(prefix, sizeof(prefix), "call/%u/%lld", self->conf.epoch,
                 (long long)(call->number % EPOCH_NUMBERS));
    struct wire_msg asked;
    if (wire_decode(call->header, &asked) != OM_OK)
        asked.traceparent = asked.tracestate = (struct om_str){ 0 };
    struct events_origin origin = { .tenant = call->share->tenant,
                                    .traceparent = asked.traceparent,
                                    .tracestate = asked.tracestate,
                                    .own_worker = !call->share->queue->info };
    commit_group(self, EFFECT_NONE, count);
    events_add_usage(self, &origin, om_str(prefix), msg->usage);
    events_add(self, &origin, msg->events);
    commit_lazily(self); // the caller has its answer: a commit for many of them will do
}

struct call *
call_taken(struct core *self, const struct input *in)
{
    struct call *call = NULL;
    if (WIRE_HAS(in->msg, call))
        HASH_FIND(hh, self->calls, &in->msg->call, sizeof(in->msg->call), call);
    return call && call->worker == in->session ? call : NULL;
}

// Is a part missing that the worker has sent?
static bool
is_short(const struct call *call, const struct wire_msg *reply)
{
    int64_t sent = WIRE_HAS(reply, seq) ? reply->seq : 0;
    return call->streams && reply->type == WIRE_REPLY && sent != call->chunks;
}

static void
finish(struct core *self, const struct input *in)
{
    struct call *call = call_taken(self, in);
    if (!call)
        return; // too late, or somebody else's
    struct wire_msg msg = *in->msg;
    if (in->session->role == ROLE_TENANT)
        msg.has &= ~W(events), msg.events = (struct om_str){ 0 };
    if (is_short(call, &msg))
        say_error(self, call, OM_EUNAVAILABLE, "a part of the answer was lost");
    else
        answer(self, call, &msg, in->payload);
    log_answer(self, call, &msg);
    call_destroy(self, &call);
}

void
on_reply(struct core *self, const struct input *in)
{
    finish(self, in);
}

void
on_error(struct core *self, const struct input *in)
{
    finish(self, in);
}

// ---- the question

static struct call *
call_create(struct core *self, struct queue_state *queue, const struct om_uuid *tenant,
            struct session *caller, struct om_str id, struct om_str header,
            struct payload *payload)
{
    struct call *call = core_alloc(sizeof(*call));
    // A worker may answer to the broker before this one: no number comes again.
    call->number = self->conf.epoch * EPOCH_NUMBERS + ++self->last_call;
    char *copy = core_realloc(NULL, header.size + 1);
    memcpy(copy, header.data, header.size);
    call->header = (struct om_str){ copy, header.size };
    call->payload = payload_ref(payload);
    call->has_tenant = !om_uuid_is_zero(tenant);
    call->share = share_get(self, queue, tenant);
    call->caller = caller;
    label_set(&call->asker.id, id);
    if (caller) {
        call->asker.conn = caller->conn;
        HASH_ADD_KEYPTR(made, caller->made, call->asker.id.text, call->asker.id.size,
                        call);
    }
    HASH_ADD(hh, self->calls, number, sizeof(call->number), call);
    self->waiting_calls++;
    call->share->waiting_calls++;
    fair_push(&call->share->calls, &call->item);
    queue_touch(self, queue);
    return call;
}

static void
set_deadline(struct core *self, struct call *call, int64_t ttl_ms)
{
    int64_t hard_ms = call->share->queue->hard_ms;
    if (ttl_ms > WIRE_WAIT_MAX_MS)
        ttl_ms = WIRE_WAIT_MAX_MS;
    if (hard_ms > 0 && ttl_ms > hard_ms)
        ttl_ms = hard_ms;
    call->deadline_ms = self->now.mono_ms + ttl_ms;
    int64_t first_ms = ttl_ms < CALL_ORPHAN_MS ? ttl_ms : CALL_ORPHAN_MS;
    timer_set(&self->mono, &call->timer, self->now.mono_ms + first_ms, on_deadline);
}

// Calls that wait are bounded, and no tenant has over a quarter of the room.
static bool
is_full(const struct core *self, const struct share *share)
{
    bool over = share && !om_uuid_is_zero(&share->tenant) &&
                share->waiting_calls >= (self->conf.max_calls + 3) / 4;
    return over || self->waiting_calls >= self->conf.max_calls || commit_congested(self);
}

void
on_call(struct core *self, const struct input *in)
{
    const struct wire_msg *msg = in->msg;
    if (WIRE_HAS(msg, limit) && call_streams(in->session, msg->id))
        return; // it is said again: the parts of two answers would look like one
    struct queue_state *queue = queue_get(self, &in->tenant, msg->queue);
    if (!queue) {
        out_error(self, in->conn, msg->id, OM_EINVAL, "there is no such queue");
        return;
    }
    struct share *share = NULL;
    HASH_FIND(hh, queue->shares, &in->tenant, sizeof(in->tenant), share);
    if (is_full(self, share)) {
        queue_tidy(self, queue);
        out_error(self, in->conn, msg->id, OM_EUNAVAILABLE, "too many calls are waiting");
        return;
    }
    om_buf_reset(&self->scratch);
    wire_encode(WIRE_CALL, msg, &self->scratch);
    struct call *call = call_create(self, queue, &in->tenant, in->session, msg->id,
                                    om_buf_str(&self->scratch), in->payload);
    call->from = in->session->role;
    call->since_us = told_now_us(self);
    call->streams = WIRE_HAS(msg, limit) && msg->id.size > 0;
    call->limit = msg->limit;
    if (call->streams) { // its worker may have to wait for the caller
        fair_remove(&call->item);
        fair_push(&call->share->long_calls, &call->item);
    }
    set_deadline(self, call, WIRE_HAS(msg, ttl_ms) ? msg->ttl_ms : CALL_TTL_MS);
}

int64_t
call_ask(struct core *self, enum op op, struct om_buf *body, int64_t ttl_ms,
         call_answered_fn *answered, void *context)
{
    struct om_buf header = { 0 };
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, queue, om_str(queues[ops[op].queue].name));
    WIRE_SET(&msg, kind, om_str(ops[op].name));
    wire_encode(WIRE_CALL, &msg, &header);
    struct payload *payload = payload_copy(om_buf_str(body));
    if (!payload || body->failed || header.failed)
        abort();

    static const struct om_uuid nobody;
    struct queue_state *queue = queue_get(self, &nobody, msg.queue);
    struct call *call =
        call_create(self, queue, &nobody, NULL, msg.id, om_buf_str(&header), payload);
    call->from = ROLE_BROKER;
    call->answered = answered;
    call->context = context;
    set_deadline(self, call, ttl_ms);
    payload_unref(&payload);
    om_buf_finish(body);
    om_buf_finish(&header);
    return call->number;
}

void
call_forget(struct core *self, int64_t number)
{
    struct call *call = NULL;
    HASH_FIND(hh, self->calls, &number, sizeof(number), call);
    if (!call)
        return;
    tell_worker_to_stop(self, call);
    call_destroy(self, &call);
}

void
call_send(struct core *self, struct call *call, struct credit *credit)
{
    call->worker = credit->session;
    DL_APPEND2(call->worker->taken, call, taken_prev, taken_next);
    call->share->in_flight++;
    call->share->waiting_calls--;
    self->waiting_calls--;

    struct wire_msg msg;
    if (wire_decode(call->header, &msg) != OM_OK)
        abort(); // this core encoded it
    call->sent_us = told_call_sent_us(self, &msg);
    if (!call->ahead)
        told_call(self, call, &msg);
    int64_t ttl_ms = call->deadline_ms - self->now.mono_ms;
    char tenant[OM_TYPEID_MAX];
    WIRE_SET(&msg, call, call->number);
    WIRE_SET(&msg, from, om_str(role_name(call->from)));
    WIRE_SET(&msg, ttl_ms, ttl_ms > 0 ? ttl_ms : 0);
    if (call->streams)
        WIRE_SET(&msg, limit, call->limit);
    msg.has &= ~W(tenant);
    if (call->has_tenant) {
        size_t size = om_typeid_encode(OM_ID_TENANT, &call->share->tenant, tenant);
        WIRE_SET(&msg, tenant, ((struct om_str){ tenant, size }));
    }
    msg.has &= ~W(ahead);
    if (call->ahead)
        WIRE_SET(&msg, ahead, 1);
    out_send(self, call->worker->conn, WIRE_CALL, &msg, call->payload);
    if (!call->ahead) // else it may come back
        payload_unref(&call->payload);
}

bool
call_hand_out(struct core *self, struct queue_state *queue, struct credit *credit)
{
    struct item *item = fair_pick(self, &queue->long_calls, NULL);
    if (!item)
        item = fair_pick(self, &queue->calls, NULL);
    if (!item)
        return false;
    credit->sent++;
    credit_update(self, credit);
    call_send(self, TIMER_OWNER(item, struct call, item), credit);
    return true;
}

// ---- ends that nobody answered

void
on_call_cancel(struct core *self, const struct input *in)
{
    if (!WIRE_HAS(in->msg, id))
        return;
    for (;;) {
        struct call *call = NULL;
        HASH_FIND(made, in->session->made, in->msg->id.data, in->msg->id.size, call);
        if (!call)
            return;
        tell_worker_to_stop(self, call);
        leave(self, call);
    }
}

void
call_fail_taken(struct core *self, struct session *session)
{
    for (struct call *call; (call = session->taken);)
        answer_error(self, call, OM_EUNAVAILABLE, "the worker is gone");
}

void
call_abandon_made(struct core *self, struct session *session)
{
    for (struct call *call; (call = session->made);) {
        tell_worker_to_stop(self, call);
        leave(self, call);
    }
}

void
call_move_taken(struct session *from, struct session *to)
{
    for (struct call *call; (call = from->taken);) {
        DL_DELETE2(from->taken, call, taken_prev, taken_next);
        call->worker = to;
        call->counted = NULL;
        DL_APPEND2(to->taken, call, taken_prev, taken_next);
    }
}

void
call_destroy_all(struct core *self)
{
    struct call *call, *next;
    HASH_ITER (hh, self->calls, call, next)
        call_destroy(self, &call);
}
