// zmtp.h - one end of a ZMTP 3.0 connection over a Unix socket: a DEALER's, or a ROUTER's
// end of one that was accepted.
//
// ZeroMQ moves each message through a thread of its own at either end, which costs this
// process two wake-ups and a dozen system calls a message. Between processes of one
// machine links and broker speak the protocol themselves, in the thread that owns the
// connection: a message is a write, or a read. A peer of ZeroMQ's sees no difference
// (https://rfc.zeromq.org/spec/23, mechanism NULL).
//
// Nothing blocks. A connection that breaks takes with it what was not sent, and
// zmtp_tick() makes another. One thread.
#pragma once
#include "pack.h"
#include "rc.h"

struct zmtp;

// To the socket at `path`, which must fit its address. A message with more bytes than
// `message_max` breaks the connection. NULL without memory.
struct zmtp *zmtp_create(const char *path, size_t message_max);

// Of a connection that was accepted; takes the descriptor. Once it is broken, it stays
// so. No more than `out_max` bytes and a message wait to be sent.
struct zmtp *zmtp_accept(int fd, size_t message_max, size_t out_max);

// What has not left is lost.
void zmtp_destroy(struct zmtp **self_p);

// To be polled for reading; -1 while there is none. It changes with each connection.
int zmtp_fd(const struct zmtp *self);

// Have both ends greeted each other?
bool zmtp_is_open(const struct zmtp *self);

// Is there no connection, nor one in the making?
bool zmtp_is_closed(const struct zmtp *self);

// Does something wait for room? Then zmtp_tick() sends it when there is some.
bool zmtp_waits(const struct zmtp *self);

// Break the connection; zmtp_tick() makes another.
void zmtp_break(struct zmtp *self);

// Send a message of one frame, or of two if `payload` has data. OM_EUNAVAILABLE: there is
// no connection, or too much waits; nothing was sent.
OM_MUST_CHECK enum om_rc zmtp_send(struct zmtp *self, struct om_str header,
                                   struct om_str payload);

// The next message, borrowed until the next call; an absent payload has no data, and
// further frames are left out. False: there is none until the descriptor can be read.
bool zmtp_recv(struct zmtp *self, struct om_str *header, struct om_str *payload);

// Of how many frames was the last message?
size_t zmtp_frames(const struct zmtp *self);

// Wait until what was sent has left, for so long at most.
void zmtp_linger(struct zmtp *self, int64_t ms);

// Do what is due: connect, or send what found no room. Returns when to be called next.
int64_t zmtp_tick(struct zmtp *self, int64_t now_ms);
