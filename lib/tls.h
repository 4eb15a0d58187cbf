// tls.h - the certificate of a server and its key, for connections over TLS 1.2 and 1.3.
//
// HTTP/1.1 is the only protocol it agrees to (ALPN, RFC 7301); a client that names none
// may speak. There is no renegotiation, no compression, no early data. Sessions are
// resumed by tickets, so the server keeps nothing of them.
//
// May be used from any thread.
#pragma once
#include "rc.h"
#include "transport.h"

struct om_tls;

// Read a PEM file with the certificate and those between it and the root, and one with
// its key, which only its owner may read (or root's group, if it is root's). OM_EINVAL
// with the reason in `why`: one of them cannot be read, or they do not belong together.
OM_MUST_CHECK enum om_rc om_tls_create(const char *certificate, const char *key,
                                       struct om_tls **out, char *why, size_t why_size);

// Read both again, for connections that come from now on. On failure those in use stay.
OM_MUST_CHECK enum om_rc om_tls_reload(struct om_tls *self, char *why, size_t why_size);

// When the certificate in use ends, in milliseconds since 1970. False: it does not say.
OM_MUST_CHECK bool om_tls_expiry(struct om_tls *self, int64_t *wall_ms);

void om_tls_destroy(struct om_tls **self_p);

// Have the transport's socket, as a server, speak TLS: its first reads are the handshake.
// False: no memory.
OM_MUST_CHECK bool om_tls_accept(struct om_tls *self, struct om_transport *transport);
