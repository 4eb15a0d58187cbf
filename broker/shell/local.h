// local.h - the broker's end of ipc://: a Unix socket whose peers speak ZMTP to a ROUTER.
//
// It does what ZeroMQ's ROUTER did, in the broker's thread (zmtp.h says why). A peer has
// a number, which no other ever gets. A peer that leaves is not announced: whoever sends
// to it learns it. No send waits. One thread.
#pragma once
#include "zmtp.h"

struct local;

// Listen at `path`; a socket that an earlier process left there is replaced. NULL, with
// errno set, if that cannot be.
struct local *local_open(const char *path);

// Close, giving what was sent so long to leave, and remove the path.
void local_close(struct local **self_p, int64_t linger_ms);

// To be polled for reading: somebody has written, or come, or has room again.
int local_fd(const struct local *self);

// The next message, borrowed until the next call, of peer *number; an absent payload has
// no data. *frames of them came. False: there is none until the descriptor can be read.
bool local_recv(struct local *self, uint32_t *number, struct om_str *header,
                struct om_str *payload, size_t *frames);

// Once a turn: accept peers again, if there were no descriptors for them.
void local_turn(struct local *self);

// OM_EUNAVAILABLE: there is no such peer, or it does not read what it is sent.
OM_MUST_CHECK enum om_rc local_send(struct local *self, uint32_t number,
                                    struct om_str header, struct om_str payload);
