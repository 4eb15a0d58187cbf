// zap.h - who a CURVE key belongs to, for libzmq (RFC 27, ZAP). A thread of its own.
//
// Every key is let in: "none" is what a key of no role gets as its User-Id, and may then
// only be a tenant's worker, by its API key. A role's key gets "role:NAME".
#pragma once
#include "keys.h"

struct zap;

// Answer for all CURVE sockets of a ZeroMQ context; `keys` is borrowed. Started before
// the first of them is bound. NULL when there is no memory or no thread.
struct zap *zap_start(void *context, const struct keys *keys);

// Wait for the thread's end, which zmq_ctx_shutdown() begins; sets *self_p to NULL.
void zap_join(struct zap **self_p);

// The role a received frame's sender has by its key; ROLE_NONE for none.
enum role zap_role(const char *user_id);
