// fake_broker.h - a broker that a test plays itself, message by message.
#pragma once
#include <criterion/criterion.h>
#include <zmq.h>

#include "bundle.h"

struct fake_broker {
    char dir[32], endpoint[64];
    void *context, *router;
    int64_t heartbeat_ms; // it asks for; set after broker_open(), or 2000
    int64_t caps;         // it says it has; set after broker_open(), or BUNDLE
    uint8_t peer[16];
    size_t peer_size;
    char header[WIRE_HEADER_MAX], payload[64 * 1024];
    struct bundle_iter bundle; // what is left of the one received last
    struct wire_msg msg;       // received last
    struct om_str body;
};

// Bind in a folder of its own; remove it.
void broker_open(struct fake_broker *self);
void broker_close(struct fake_broker *self);

// Send to the peer heard last. `payload` may be NULL.
void broker_send(struct fake_broker *self, enum wire_type type, struct wire_msg *msg,
                 const char *payload);
void broker_welcome(struct fake_broker *self);

// Receive one message into self->msg, be it out of a bundle. False when none comes in
// time.
bool broker_recv(struct fake_broker *self, int64_t wait_ms);

// The same, of a bundle the bundle.
bool broker_recv_whole(struct fake_broker *self, int64_t wait_ms);

// Receive until a message of `type`, or fail the test; others pass by, HELLO is answered.
void broker_expect(struct fake_broker *self, enum wire_type type);
