// frame.h - payloads between ZeroMQ's messages and the core, large ones without a copy.
//
// The I/O thread's, but for ZeroMQ's threads handing back what they have sent.
#pragma once
#include <stdatomic.h>
#include <zmq.h>

#include "payload.h"

// Payloads lent to ZeroMQ, and handed back.
struct frame_loan;
struct frame_loans {
    _Atomic(struct frame_loan *) returned;
};

// Take a received frame as a payload with one reference; the message is empty afterwards,
// or a small one was copied into memory of the pool. NULL for an empty frame, and when
// there is no memory: then *lost is set.
struct payload *frame_take(struct pool *pool, zmq_msg_t *msg, bool *lost);

// Make a message of a payload, which the loans hold until ZeroMQ has sent it. False when
// there is no memory.
OM_MUST_CHECK bool frame_lend(struct frame_loans *self, struct payload *payload,
                              zmq_msg_t *out);

// Release the payloads that were handed back. Called often, and after the context's end.
void frame_collect(struct frame_loans *self);
