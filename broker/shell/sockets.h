// sockets.h - the broker's ROUTER sockets, one for each endpoint.
//
// An endpoint is ipc:// in a folder only this user may enter, which is what makes its
// peers trusted, or tcp:// with CURVE. Over ipc:// the broker is the ROUTER itself
// (local.h), over tcp:// ZeroMQ is. A connection's number is its socket and that of the
// peer: over tcp:// the routing id. No send waits: a peer that cannot take a message is
// reported. One thread.
//
// Each look for a message is a system call, so a socket in which there was none is left
// alone until its descriptor fires, or until something is sent by it: that may use up the
// descriptor's edge.
#pragma once
#include <poll.h>
#include <zmq.h>

#include "core.h"

enum { SOCKETS_MAX = 16 };

struct sockets;

struct sockets_conf {
    const char *client, *work; // lists of endpoints, separated by commas
    const char *keys;          // folder of CURVE keys; "" without tcp
    struct pool *payloads;     // memory of received payloads; borrowed, lives longer
};

// Bind everything. The reason of a failure has been written to `why`.
//   OM_EINVAL       an endpoint, its folder or the keys are wrong
//   OM_EUNAVAILABLE an endpoint cannot be bound
OM_MUST_CHECK enum om_rc sockets_open(const struct sockets_conf *conf,
                                      struct sockets **out, char *why, size_t why_size);

// Close, giving what was sent half a second to leave; sets *self_p to NULL. Payloads the
// core has received are still good, as long as their pool is.
void sockets_close(struct sockets **self_p);

size_t sockets_count(const struct sockets *self);

// Fill in descriptors for poll(), one for each socket; after it, say which have fired.
void sockets_poll_items(const struct sockets *self, struct pollfd *items);
void sockets_polled(struct sockets *self, const struct pollfd *items);

// May any socket have a message?
bool sockets_may_have(const struct sockets *self);

struct sockets_message {
    core_conn conn;
    struct core_peer peer;
    struct om_str header;    // borrowed until the next call
    struct payload *payload; // NULL: none; the caller's
};

// The next message of socket `index`; false when there is none, or none among the next
// few hundred. Those of a BUNDLE are given out one by one. A message of another shape
// than [header] or [header][payload] is dropped and counted, and so is what is left of a
// bundle from where it is no bundle.
bool sockets_receive(struct sockets *self, size_t index, struct sockets_message *out);

uint64_t sockets_dropped(const struct sockets *self);

// Send; or, with `more`, keep a small message to send it with the next one, which is to
// follow. OM_EUNAVAILABLE: the peer is gone or takes no more; nothing was sent, nor what
// was kept.
OM_MUST_CHECK enum om_rc sockets_send(struct sockets *self, const struct core_send *send);

// Release payloads that have left. Called once a turn.
void sockets_collect(struct sockets *self);
