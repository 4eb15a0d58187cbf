// call.h - the call lane: questions passed to a worker and answers passed back.
//
// Nothing of a call is stored but the usage and events its answer carries. Every call
// ends with one REPLY or ERROR, at its deadline at the latest.
#pragma once
#include "fair.h"

struct call {
    int64_t number;
    struct asker asker;
    enum role from;
    bool internal; // the broker's own: the look-up of a worker's key
    bool has_tenant;
    struct session *caller; // NULL: nobody waits any more
    struct session *worker; // NULL: waiting
    struct share *share;
    struct om_str header; // as it came; owned
    struct payload *payload;
    int64_t deadline_ms;
    int64_t chunks; // parts of its answer that were passed on
    size_t chunk_bytes;
    struct item item;
    struct timer timer;
    struct call *taken_prev, *taken_next;
    UT_hash_handle hh, made; // by its number; of its caller, by the CALL's id
};

// Pass the next waiting call of the queue to the session of `credit`; false if none
// waits.
bool call_hand_out(struct core *self, struct queue_state *queue, struct credit *credit);

// Ask identity whose key a pending session's `credential` is: session_key_resolved().
void call_resolve_key(struct core *self, struct session *session,
                      struct om_str credential);

// The session works on no more calls: its callers get ERROR unavailable.
void call_fail_taken(struct core *self, struct session *session);

// The session waits for no more answers.
void call_abandon_made(struct core *self, struct session *session);

// The worker goes on under another session.
void call_move_taken(struct session *from, struct session *to);

void call_destroy_all(struct core *self);

void on_call(struct core *self, const struct input *in);
void on_reply(struct core *self, const struct input *in);
void on_call_cancel(struct core *self, const struct input *in);

// A part of the answer of a call, passed on.
void call_chunk(struct core *self, const struct input *in);

// A worker's ERROR that ends a call; any other ERROR is ignored.
void on_error(struct core *self, const struct input *in);
