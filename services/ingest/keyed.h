// keyed.h - requests with an Idempotency-Key: each is done once, and a repeat of it
// within 24 hours of its end gets the same answer.
//
// Who commits the effect knows the key, so that neither a crash nor another edge can do
// it twice: a service keeps the answer in the transaction of the effect (lib/once.h), the
// broker the jobs a key made. What else the broker does for a request is claimed with
// identity before, and its answer kept there after: if the edge dies in between, a repeat
// finds the claim over after a minute, and does it again.
#pragma once
#include "exchange.h"

enum keyed_by { KEYED_NOBODY, KEYED_SERVICE, KEYED_BROKER, KEYED_CLAIM };

// Who remembers the keys of a route's requests. Every POST has somebody.
enum keyed_by keyed_by(const struct route *route);

// Is that a key a request may have? Absent: it has none.
bool keyed_is_valid(struct om_str key);

// Handle a request that is admitted and complete, with or without a key.
void keyed_handle(struct exchange *x);

// Say what the request asks for, so that a repeat can be told from another request.
void keyed_identify(struct exchange *x, struct om_str content);

// Append what the key of the request counts for: method, path and key.
void keyed_put_scope(const struct exchange *x, struct om_buf *out);

// The request ends without an answer.
void keyed_abandon(struct exchange *x);

// Take care of the claim a request has, before it is answered. True: the answer is being
// kept, and exchange_reply() comes again.
bool keyed_finish(struct exchange *x, const struct om_http_response *response);
