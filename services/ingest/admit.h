// admit.h - takes a request whose route is known through the decision of admission.h:
// who asks, what the counters say, and what is given back when it ends.
#pragma once
#include "admission.h"
#include "exchange.h"

// What an admitted request took of the counters. In the exchange's arena.
struct ticket {
    int64_t at_ms; // when
    struct admission_limits limits;
    size_t count;
    struct counter_want *wants; // those in flight are last
    char text[ADMISSION_TEXT_MAX];
};

// Decide about a request by its API key, or by the grant of a task, and go on with the
// route's on_head if it is admitted; else it is refused, or waits for identity.
void admit_key(struct exchange *x, const struct om_http_request *request);
void admit_grant(struct exchange *x, const struct om_http_request *request);

// Take so many tokens for an admitted request. False: refused, what it had taken was
// given back, and it was replied.
bool admit_tokens(struct exchange *x, int64_t tokens);

// May the caller use a model that only the body names? False: refused, and replied.
bool admit_model(struct exchange *x, struct om_str model);

// Give back all that was taken: the request is refused after all.
void admit_revoke(struct exchange *x);

// The request is over: it is no longer one of those in flight.
void admit_end(struct exchange *x);

// Tell the client of its limits, if it has any.
void admit_fields(struct exchange *x, struct om_http_response *response);
