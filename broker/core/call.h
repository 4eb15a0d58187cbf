// call.h - the call lane: questions passed to a worker and answers passed back.
//
// Nothing of a call is stored but the usage and events its answer carries. Every call
// ends with one REPLY or ERROR, at its deadline at the latest.
//
// The answer of a call with a limit comes in parts (part.c): CHUNKs, then the REPLY. The
// caller sees all parts in order, or an ERROR. They are passed on and never kept, and the
// caller's limit bounds how many are on their way. When the caller does not wait any
// more, or was told an ERROR, the worker is told to stop, and the call stays until it has
// said what was used, LEFT_MS at most.
#pragma once
#include "fair.h"
#include "ops.h"

// The broker's own question was answered by REPLY or ERROR.
typedef void call_answered_fn(struct core *self, void *context,
                              const struct wire_msg *msg, struct payload *payload);

struct call {
    int64_t number;
    struct asker asker;
    enum role from;
    call_answered_fn *answered; // of the broker's own questions, else NULL
    void *context;
    bool has_tenant;
    struct session *caller; // NULL: the broker itself
    struct session *worker; // NULL: waiting
    bool ahead;             // it came to the worker ahead (ahead.h), and
    struct credit *counted; // counts there; NULL: it does not, or no more
    struct share *share;
    struct om_str header; // as it came; owned
    struct payload *payload;
    int64_t deadline_ms;
    int64_t since_us;    // when it came, and
    int64_t sent_us;     // was sent to its worker (told.h)
    bool streams;        // it has a limit
    bool left;           // nobody waits any more
    int64_t limit, used; // of what the parts count; what those that were passed on did
    int64_t chunks;      // so many
    struct item item;
    struct timer timer;
    struct call *taken_prev, *taken_next;
    UT_hash_handle hh, made; // by its number; of its caller, by the CALL's id
};

// The call that the session of this input works on and speaks of, or NULL.
struct call *call_taken(struct core *self, const struct input *in);

// Send a call, which waits no longer, to the session of `credit`.
void call_send(struct core *self, struct call *call, struct credit *credit);

// Pass the next waiting call of the queue to the session of `credit`; false if none waits
// for credit.
bool call_hand_out(struct core *self, struct queue_state *queue, struct credit *credit);

// Ask a service, as the broker, with an encoded request, which is finished. `answered` is
// called once, unless the core is destroyed or the call forgotten before. Returns its
// number.
int64_t call_ask(struct core *self, enum op op, struct om_buf *body, int64_t ttl_ms,
                 call_answered_fn *answered, void *context);
void call_forget(struct core *self, int64_t number);

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

// A part of the answer of a call, passed on; and more of them are wanted.
void call_chunk(struct core *self, const struct input *in);
void on_call_credit(struct core *self, const struct input *in);

// Does a session have a call of this id under way whose answer comes in parts?
bool call_streams(const struct session *caller, struct om_str id);

// ---- for part.c

// The call a worker's message is about; NULL: it is not, or no longer, that worker's.
struct call *call_taken(struct core *self, const struct input *in);

// Stop the worker and tell the caller why.
void call_break(struct core *self, struct call *call, enum om_rc rc, const char *text);

// A worker's ERROR that ends a call; any other ERROR is ignored.
void on_error(struct core *self, const struct input *in);
