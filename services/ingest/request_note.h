// request_note.h - takes down a request that failed for the log, without what is secret.
//
// Not kept are requests without a tenant (no valid key), those of workers' grants, and
// those about the log itself.
#pragma once
#include "exchange.h"

// What is asked will be gone before it is known whether the answer, which comes in parts,
// fails: have it ready.
void request_hold(struct exchange *x);

// Keep the exchange and its answer, if it has a tenant whose log has room. Before the
// request is answered, since its bytes are gone then.
void request_note(struct exchange *x, const struct om_http_response *response);

// Write the header fields of an answer as the `headers` of a record. Returns REDACT_
// bits.
unsigned request_put_reply_headers(const struct om_http_response *response,
                                   struct om_buf *out);
