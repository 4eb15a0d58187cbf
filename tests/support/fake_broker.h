// fake_broker.h - a broker that a test plays itself, message by message.
#pragma once
#include <criterion/criterion.h>
#include <zmq.h>

#include "wire.h"

struct fake_broker {
    char dir[32], endpoint[64];
    void *context, *router;
    int64_t heartbeat_ms; // it asks for; set after broker_open(), or 2000
    int64_t caps;         // it says it has; set after broker_open(), or none
    uint8_t peer[16];
    size_t peer_size;
    char header[WIRE_HEADER_MAX], payload[64 * 1024];
    struct wire_msg msg; // received last
    struct om_str body;
};

// Bind in a folder of its own; remove it.
void broker_open(struct fake_broker *self);
void broker_close(struct fake_broker *self);

// Send to the peer heard last. `payload` may be NULL.
void broker_send(struct fake_broker *self, enum wire_type type, struct wire_msg *msg,
                 const char *payload);
void broker_welcome(struct fake_broker *self);

// Receive one message into self->msg. False when none comes in time.
bool broker_recv(struct fake_broker *self, int64_t wait_ms);

// Receive until a message of `type`, or fail the test; others pass by, HELLO is answered.
void broker_expect(struct fake_broker *self, enum wire_type type);
