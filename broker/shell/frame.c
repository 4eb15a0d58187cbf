#include <stdlib.h>

#include "frame.h"

enum {
    // A smaller message is a piece of libzmq's 8 KiB receive buffer and would keep all of
    // it.
    TAKE_BYTES = 8192,
    LEND_BYTES = 1024, // a smaller one is cheaper copied
};

struct frame_payload {
    struct payload payload; // first
    zmq_msg_t msg;
};

struct frame_loan {
    struct frame_loan *next;
    struct frame_loans *loans;
    struct payload *payload;
};

static void
release_message(struct payload *payload)
{
    struct frame_payload *self = (struct frame_payload *)payload;
    zmq_msg_close(&self->msg);
    free(self);
}

struct payload *
frame_take(struct pool *pool, zmq_msg_t *msg, bool *lost)
{
    struct om_str bytes = { zmq_msg_data(msg), zmq_msg_size(msg) };
    *lost = false;
    if (bytes.size == 0)
        return NULL;
    if (bytes.size < TAKE_BYTES)
        return payload_pooled(pool, bytes);
    struct frame_payload *self = malloc(sizeof(*self));
    *lost = !self;
    if (!self)
        return NULL;
    zmq_msg_init(&self->msg);
    zmq_msg_move(&self->msg, msg);
    bytes.data = zmq_msg_data(&self->msg);
    self->payload = (struct payload){ 1, bytes, release_message };
    return &self->payload;
}

// Called by ZeroMQ, in any thread.
static void
hand_back(void *data, void *hint)
{
    (void)data;
    struct frame_loan *loan = hint;
    struct frame_loans *self = loan->loans;
    loan->next = atomic_load(&self->returned);
    while (!atomic_compare_exchange_weak(&self->returned, &loan->next, loan))
        ;
}

bool
frame_lend(struct frame_loans *self, struct payload *payload, zmq_msg_t *out)
{
    struct om_str bytes = payload->bytes;
    if (bytes.size < LEND_BYTES) {
        if (zmq_msg_init_size(out, bytes.size) != 0)
            return false;
        memcpy(zmq_msg_data(out), bytes.data, bytes.size);
        return true;
    }
    struct frame_loan *loan = malloc(sizeof(*loan));
    if (!loan)
        return false;
    *loan = (struct frame_loan){ NULL, self, payload };
    // libzmq's type takes bytes it may change; it only reads them.
    void *data = (void *)(uintptr_t)bytes.data;
    if (zmq_msg_init_data(out, data, bytes.size, hand_back, loan) != 0) {
        free(loan);
        return false;
    }
    payload_ref(payload);
    return true;
}

void
frame_collect(struct frame_loans *self)
{
    struct frame_loan *loan = atomic_exchange(&self->returned, NULL);
    while (loan) {
        struct frame_loan *next = loan->next;
        payload_unref(&loan->payload);
        free(loan);
        loan = next;
    }
}
