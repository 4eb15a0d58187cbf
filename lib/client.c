#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "hash.h"
#include <uthash.h>

#include "client.h"
#include "clock.h"
#include "id.h"
#include "span.h"

enum {
    PENDING_MAX = 65536,
    NODE_MAX = 64,
    EXPIRE_MAX = 256,
    ALLOW_AGAIN_MS = 1000, // without a part: what allows more of them may be lost
};

struct pending {
    uint64_t number;
    enum wire_type type;
    int64_t deadline_ms;
    om_answer_fn *fn;
    void *context;
    bool streams;                      // it is answered in parts
    bool broken;                       // and they do not go on: it ends at once
    int64_t chunks;                    // so many came
    int64_t call;                      // the broker's number of what makes them
    int64_t limit;                     // of them, as was said last; 0: nothing was
    int64_t heard_ms;                  // when that was said, or a part came
    struct om_str id, header, payload; // in `memory`; payload.data NULL: none
    UT_hash_handle by_id, by_number;
    char memory[];
};

struct om_client {
    struct om_link_conf conf;
    char node[NODE_MAX + 1];
    struct om_link *link;
    struct pending *by_id, *by_number;
    uint64_t last_number;
    int64_t next_deadline_ms;
    int64_t allow_ms;     // when to look for answers that stand still
    struct om_buf header; // of the request that is sent

    // The answer of om_client_request().
    bool waiting;
    struct om_answer answer;
    struct om_buf answer_header, answer_payload;
    struct wire_msg answer_msg;
};

static void
transmit(struct om_client *self, const struct pending *one)
{
    // What finds no room now is sent when the session opens again, or times out.
    (void)!om_link_send_raw(self->link, one->header, one->payload);
}

// Parts of its answer are lost.
static void
break_off(struct om_client *self, struct pending *one)
{
    one->broken = true;
    one->deadline_ms = 0;
    self->next_deadline_ms = 0;
}

static void
on_opened(void *context, const struct wire_msg *welcome)
{
    struct om_client *self = context;
    for (struct pending *one = self->by_number; one; one = one->by_number.next) {
        if (one->chunks == 0)
            transmit(self, one);
        else
            break_off(self, one); // what is made anew need not be the same
    }
    if (self->conf.opened)
        self->conf.opened(self->conf.context, welcome);
}

static void
on_closed(void *context)
{
    struct om_client *self = context;
    if (self->conf.closed)
        self->conf.closed(self->conf.context);
}

enum om_rc
om_client_create(const struct om_link_conf *conf, struct om_client **out,
                 const char **why)
{
    *out = NULL;
    *why = "not enough memory";
    struct om_client *self = calloc(1, sizeof(*self));
    if (!self)
        return OM_EINTERNAL;
    static atomic_uint created;
    snprintf(self->node, sizeof(self->node), "%.*s/%u", NODE_MAX - 12, conf->node,
             atomic_fetch_add(&created, 1) + 1);
    self->conf = *conf;
    self->next_deadline_ms = self->allow_ms = INT64_MAX;
    struct om_link_conf own = *conf;
    own.context = self;
    own.node = self->node;
    own.hello = NULL;
    own.opened = on_opened;
    own.closed = on_closed;
    enum om_rc rc = om_link_create(&own, &self->link, why);
    if (rc != OM_OK) {
        free(self);
        return rc;
    }
    *out = self;
    return OM_OK;
}

static void
drop(struct om_client *self, struct pending *one)
{
    HASH_DELETE(by_id, self->by_id, one);
    HASH_DELETE(by_number, self->by_number, one);
    free(one);
}

void
om_client_destroy(struct om_client **self_p)
{
    struct om_client *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    while (self->by_number)
        drop(self, self->by_number);
    om_link_destroy(&self->link);
    om_buf_finish(&self->header);
    om_buf_finish(&self->answer_header);
    om_buf_finish(&self->answer_payload);
    free(self);
}

struct om_link *
om_client_link(struct om_client *self)
{
    return self->link;
}

size_t
om_client_pending(const struct om_client *self)
{
    return HASH_CNT(by_number, self->by_number);
}

static struct om_str
keep(char **at, struct om_str bytes)
{
    struct om_str kept = { *at, bytes.size };
    if (bytes.size)
        memcpy(*at, bytes.data, bytes.size);
    *at += bytes.size;
    return kept;
}

// A copy of the request as it is sent; NULL when there is no memory.
static struct pending *
pending_create(struct om_client *self, enum wire_type type, const struct wire_msg *msg,
               struct om_str payload)
{
    om_buf_reset(&self->header);
    wire_encode(type, msg, &self->header);
    struct pending *one = NULL;
    if (!self->header.failed)
        one = malloc(sizeof(*one) + msg->id.size + self->header.size + payload.size);
    if (!one)
        return NULL;
    char *at = one->memory;
    *one = (struct pending){ .type = type };
    one->id = keep(&at, msg->id);
    one->header = keep(&at, om_buf_str(&self->header));
    if (payload.data)
        one->payload = keep(&at, payload);
    return one;
}

static void
pending_add(struct om_client *self, struct pending *one)
{
    one->number = ++self->last_number;
    HASH_ADD_KEYPTR(by_id, self->by_id, one->id.data, one->id.size, one);
    HASH_ADD(by_number, self->by_number, number, sizeof(one->number), one);
    if (one->deadline_ms < self->next_deadline_ms)
        self->next_deadline_ms = one->deadline_ms;
}

// What is asked while something is handled is a part of its trace.
static void
set_context(struct wire_msg *msg, char traceparent[OM_TRACEPARENT_SIZE + 1])
{
    struct om_str state;
    const struct om_trace *trace = om_span_current(&state);
    if (WIRE_HAS(msg, traceparent) || om_trace_is_none(trace))
        return;
    om_trace_format(trace, traceparent);
    WIRE_SET(msg, traceparent, om_str(traceparent));
    if (state.size)
        WIRE_SET(msg, tracestate, state);
}

uint64_t
om_client_send(struct om_client *self, enum wire_type type,
               const struct wire_msg *request, struct om_str payload, int64_t timeout_ms,
               om_answer_fn *fn, void *context)
{
    if (om_client_pending(self) >= PENDING_MAX)
        return 0;
    struct wire_msg msg = *request;
    char id[OM_TYPEID_MAX], traceparent[OM_TRACEPARENT_SIZE + 1];
    set_context(&msg, traceparent);
    // Usage and effects are applied once per message id, so ids are unique for ever.
    if (!WIRE_HAS(&msg, id)) {
        om_id_text(OM_ID_REQUEST, 0, id);
        WIRE_SET(&msg, id, om_str(id));
    }
    if ((type == WIRE_CALL || type == WIRE_WATCH) && !WIRE_HAS(&msg, ttl_ms))
        WIRE_SET(&msg, ttl_ms, timeout_ms);
    struct pending *same = NULL;
    HASH_FIND(by_id, self->by_id, msg.id.data, msg.id.size, same);
    struct pending *one = same ? NULL : pending_create(self, type, &msg, payload);
    if (!one)
        return 0;
    one->deadline_ms = om_clock_mono_ms() + timeout_ms;
    one->fn = fn;
    one->context = context;
    one->streams = type == WIRE_CALL && WIRE_HAS(&msg, limit);
    pending_add(self, one);
    transmit(self, one);
    return one->number;
}

static void
allow(struct om_client *self, struct pending *one, int64_t now_ms)
{
    struct wire_msg more = { 0 };
    WIRE_SET(&more, id, one->id);
    WIRE_SET(&more, limit, one->limit);
    (void)!om_link_send(self->link, WIRE_CALL_CREDIT, &more, (struct om_str){ 0 });
    one->heard_ms = now_ms;
}

void
om_client_allow(struct om_client *self, uint64_t number, int64_t limit)
{
    struct pending *one = NULL;
    HASH_FIND(by_number, self->by_number, &number, sizeof(number), one);
    if (!one)
        return;
    int64_t now_ms = om_clock_mono_ms();
    one->limit = limit;
    allow(self, one, now_ms);
    if (self->allow_ms > now_ms + ALLOW_AGAIN_MS)
        self->allow_ms = now_ms + ALLOW_AGAIN_MS;
}

// Who makes an answer that stands still may not have heard that it may go on.
static void
allow_again(struct om_client *self, int64_t now_ms)
{
    if (now_ms < self->allow_ms)
        return;
    self->allow_ms = INT64_MAX;
    for (struct pending *one = self->by_number; one; one = one->by_number.next) {
        if (!one->limit || one->broken)
            continue;
        if (now_ms >= one->heard_ms + ALLOW_AGAIN_MS)
            allow(self, one, now_ms);
        if (one->heard_ms + ALLOW_AGAIN_MS < self->allow_ms)
            self->allow_ms = one->heard_ms + ALLOW_AGAIN_MS;
    }
}

static void
say_end(struct om_client *self, const struct pending *one)
{
    struct wire_msg end = { 0 };
    WIRE_SET(&end, id, one->id);
    (void)!om_link_send(self->link,
                        one->type == WIRE_CALL ? WIRE_CALL_CANCEL : WIRE_UNWATCH, &end,
                        (struct om_str){ 0 });
}

void
om_client_forget(struct om_client *self, uint64_t number)
{
    struct pending *one = NULL;
    HASH_FIND(by_number, self->by_number, &number, sizeof(number), one);
    if (!one)
        return;
    if (one->type == WIRE_CALL || one->type == WIRE_WATCH)
        say_end(self, one);
    drop(self, one);
}

// Is it the next part of the answer, or the REPLY behind all of them? If one is missing
// the call is over.
static bool
is_next(struct om_client *self, struct pending *one, const struct wire_msg *msg)
{
    bool is_chunk = msg->type == WIRE_CHUNK;
    int64_t seq = WIRE_HAS(msg, seq) ? msg->seq : 0;
    bool other = one->chunks > 0 && msg->call != one->call;
    if (one->broken || (is_chunk && seq <= one->chunks && !other))
        return false;
    bool missed = seq != one->chunks + is_chunk || other;
    if ((is_chunk || msg->type == WIRE_REPLY) && missed) {
        say_end(self, one);
        break_off(self, one);
        return false;
    }
    one->chunks += is_chunk;
    one->call = msg->call;
    one->heard_ms = om_clock_mono_ms();
    return true;
}

// Give the answer to its request. A watch goes on until its last event.
static void
deliver_one(struct om_client *self, const struct wire_msg *msg, struct om_str payload)
{
    struct pending *one = NULL;
    if (WIRE_HAS(msg, id))
        HASH_FIND(by_id, self->by_id, msg->id.data, msg->id.size, one);
    if (!one)
        return;
    struct om_answer answer = { OM_OK, msg, payload };
    if (msg->type == WIRE_ERROR || msg->type == WIRE_REJECT)
        answer.rc = om_rc_find(msg->code);
    om_answer_fn *fn = one->fn;
    void *context = one->context;
    bool is_chunk = msg->type == WIRE_CHUNK;
    if ((is_chunk && one->type != WIRE_WATCH && !one->streams) ||
        (one->streams && !is_next(self, one, msg)))
        return;
    if (!is_chunk && (msg->type != WIRE_EVENT || msg->drain))
        drop(self, one);
    fn(context, &answer);
}

// Give the answer to each request it answers.
static void
deliver(struct om_client *self, const struct om_frame *frame)
{
    if (!WIRE_HAS(frame->msg, ids)) {
        deliver_one(self, frame->msg, frame->payload);
        return;
    }
    struct rec_iter ids = rec_iter(frame->msg->ids);
    struct wire_msg msg = *frame->msg;
    msg.has &= ~W(ids);
    for (struct om_str id; rec_next_str(&ids, &id);) {
        WIRE_SET(&msg, id, id);
        deliver_one(self, &msg, frame->payload);
    }
}

// Tell the request of this number, if it is still there, that its time is over.
static void
expire_one(struct om_client *self, uint64_t number)
{
    struct pending *one = NULL;
    HASH_FIND(by_number, self->by_number, &number, sizeof(number), one);
    if (!one)
        return;
    bool timeout = om_link_is_open(self->link) && !one->broken;
    struct om_answer answer = { timeout ? OM_ETIMEOUT : OM_EUNAVAILABLE, NULL, { 0 } };
    om_answer_fn *fn = one->fn;
    void *context = one->context;
    drop(self, one);
    fn(context, &answer);
}

// A function called here may send and forget, so what is due is noted by number first.
static void
expire(struct om_client *self, int64_t now_ms)
{
    if (now_ms < self->next_deadline_ms)
        return;
    uint64_t numbers[EXPIRE_MAX];
    size_t count;
    do {
        count = 0;
        self->next_deadline_ms = INT64_MAX;
        for (struct pending *one = self->by_number; one; one = one->by_number.next) {
            if (one->deadline_ms > now_ms) {
                if (one->deadline_ms < self->next_deadline_ms)
                    self->next_deadline_ms = one->deadline_ms;
            } else if (count < EXPIRE_MAX) {
                numbers[count++] = one->number;
            }
        }
        for (size_t i = 0; i < count; i++)
            expire_one(self, numbers[i]);
    } while (count == EXPIRE_MAX);
}

int64_t
om_client_process(struct om_client *self)
{
    struct om_frame frame;
    for (;;) {
        while (om_link_recv(self->link, &frame))
            deliver(self, &frame);
        int64_t now_ms = om_clock_mono_ms();
        expire(self, now_ms);
        allow_again(self, now_ms);
        int64_t due_ms = om_link_tick(self->link, now_ms);
        // What was sent just now may have used up the descriptor's edge.
        if (om_link_is_settled(self->link) || !om_link_recv(self->link, &frame)) {
            due_ms = due_ms < self->allow_ms ? due_ms : self->allow_ms;
            return due_ms < self->next_deadline_ms ? due_ms : self->next_deadline_ms;
        }
        deliver(self, &frame);
    }
}

static void
keep_answer(void *context, const struct om_answer *answer)
{
    struct om_client *self = context;
    self->waiting = false;
    self->answer = (struct om_answer){ answer->rc, NULL, { 0 } };
    if (!answer->msg)
        return;
    om_buf_reset(&self->answer_header);
    om_buf_reset(&self->answer_payload);
    rec_encode(&wire_msg_rec, answer->msg, &self->answer_header);
    om_buf_put(&self->answer_payload, answer->payload.data, answer->payload.size);
    if (self->answer_payload.failed ||
        wire_decode(om_buf_str(&self->answer_header), &self->answer_msg) != OM_OK) {
        self->answer.rc = OM_EINTERNAL; // no memory to keep it in
        return;
    }
    self->answer.msg = &self->answer_msg;
    self->answer.payload = om_buf_str(&self->answer_payload);
}

struct om_answer
om_client_request(struct om_client *self, enum wire_type type, const struct wire_msg *msg,
                  struct om_str payload, int64_t timeout_ms)
{
    self->waiting = true;
    uint64_t number =
        om_client_send(self, type, msg, payload, timeout_ms, keep_answer, self);
    if (!number)
        return (struct om_answer){ OM_EUNAVAILABLE, NULL, { 0 } };
    for (;;) {
        int64_t due_ms = om_client_process(self);
        if (!self->waiting)
            return self->answer;
        int fds[2];
        om_link_fds(self->link, fds);
        struct pollfd polled[2] = { { fds[0], POLLIN, 0 }, { fds[1], POLLIN, 0 } };
        int64_t wait_ms = due_ms - om_clock_mono_ms();
        poll(polled, 2, wait_ms < 0 ? 0 : wait_ms > 1000 ? 1000 : (int)wait_ms + 1);
    }
}

enum om_rc
om_client_call(struct om_client *self, enum op op, struct om_str tenant,
               const void *request, void *reply, int64_t timeout_ms, struct om_str *text)
{
    struct om_buf body = { 0 };
    rec_encode(ops[op].request, request, &body);
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, queue, om_str(queues[ops[op].queue].name));
    WIRE_SET(&msg, kind, om_str(ops[op].name));
    if (tenant.size)
        WIRE_SET(&msg, tenant, tenant);
    struct om_answer answer = { OM_EINTERNAL, NULL, { 0 } };
    if (!body.failed)
        answer = om_client_request(self, WIRE_CALL, &msg, om_buf_str(&body), timeout_ms);
    om_buf_finish(&body);
    if (text)
        *text = answer.msg && answer.rc != OM_OK ? answer.msg->text
                                                 : om_str(om_rc_info(answer.rc)->text);
    if (answer.rc != OM_OK)
        return answer.rc;
    return rec_decode(ops[op].reply, answer.payload, reply, NULL);
}
