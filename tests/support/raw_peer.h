// raw_peer.h - a peer of the broker made of plain libzmq, that can misbehave.
#pragma once
#include <criterion/criterion.h>
#include <zmq.h>

#include "wire.h"

struct raw_peer {
    void *context, *socket;
    zmq_msg_t header, payload; // received last
    struct wire_msg msg;
    struct om_str body;
    int ids;
    char id[16]; // of the message sent last
};

// Connect. `keys` is a folder of CURVE keys and `key` the role whose keys are used, ""
// for keys nobody knows; both NULL on ipc.
void raw_open(struct raw_peer *self, const char *endpoint, const char *keys,
              const char *key);
void raw_close(struct raw_peer *self);

// Send a message; the peer gives it an id if it has none.
void raw_send(struct raw_peer *self, enum wire_type type, struct wire_msg *msg,
              struct om_str payload);

// Send frames as they are.
void raw_send_frames(struct raw_peer *self, const struct om_str *frames, size_t count);

// Receive into self->msg; false when nothing comes in time.
bool raw_recv(struct raw_peer *self, int64_t wait_ms);

// Receive until a message of `type`; the test fails after ten seconds.
void raw_expect(struct raw_peer *self, enum wire_type type);

// HELLO as `role`, until WELCOME: also over a restart of the broker.
void raw_hello(struct raw_peer *self, const char *role);
