// admit.h - takes a request whose route is known through the decision of admission.h:
// who asks, what the counters say, and what is given back when it ends.
#pragma once
#include "admission.h"
#include "exchange.h"

// What an admitted request took of the counters. In the exchange's arena.
struct ticket {
    struct admission_limits limits; // as the client is told
    int64_t at_ms;                  // when it was taken of this edge's counters
    size_t count;
    struct counter_want *wants; // what is to be given back; those in flight are last
    bool shared;                // it was asked for of the shared counters too
    int64_t shared_ms;          // when it was taken of them, on their clock; 0: not known
    // What the shared counters are asked for now.
    uint64_t asked; // their number of it; 0: nothing
    size_t more;
    struct counter_want *more_wants;
    struct counter_state *more_states;
    int64_t more_ms;
    void (*go_on)(struct exchange *x);
    char text[ADMISSION_TEXT_MAX];
};

// Decide about a request by its API key, or by the grant of a task, and go on with the
// route's on_head if it is admitted; else it is refused, or waits for identity, for the
// shared counters or for a quota.
void admit_key(struct exchange *x, const struct om_http_request *request);
void admit_grant(struct exchange *x, const struct om_http_request *request);

// It asks identity about its key no more.
void admit_asked(struct exchange *x);

// Decide about a replay (replay.h), and handle it if it is admitted.
void admit_replay(struct exchange *x, const struct caller *caller);

// May the caller use a model that only the body names? False: refused, and replied.
bool admit_model(struct exchange *x, struct om_str model);

// Answer a request that is not admitted. A refusal for a limit is told by x->ticket.
void admit_refuse(struct exchange *x, enum admission why);

// ---- what is taken of the counters (admit_take.c)

// The limits of the caller's plan.
const struct plan *admit_plan(const struct exchange *x);

// Take what the request wants of the counters. True: it has it. False: it waits, and
// `go_on` is called once it has it; or it was refused, and has been replied to.
bool admit_request(struct exchange *x, const struct admission_facts *facts,
                   void (*go_on)(struct exchange *x));

// The same for so many tokens of an admitted request. A refusal gives back what it had
// taken.
bool admit_tokens(struct exchange *x, int64_t tokens, void (*go_on)(struct exchange *x));

// Give back all that was taken: the request is refused after all.
void admit_revoke(struct exchange *x);

// The request is over: it is no longer one of those in flight.
void admit_end(struct exchange *x);

// At each tick: what is long in flight still is.
void admit_renew(struct edge *edge);

// Tell the client of its limits, if it has any.
void admit_fields(struct exchange *x, struct om_http_response *response);
