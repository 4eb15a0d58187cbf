// transport.h - moves the bytes of a connected, non-blocking socket: as they are, or
// through TLS (tls.h). Nothing else knows which it is.
//
// A transport belongs to one thread. SIGPIPE must be ignored: TLS writes to a socket
// whose peer left.
#pragma once
#include "base.h"

struct ssl_st;

struct om_transport {
    int fd;
    struct ssl_st *ssl; // NULL: bytes as they are
};

enum om_io {
    OM_IO_MORE,       // some bytes moved; there may be more to move
    OM_IO_DRAINED,    // some were read, and the socket has no more of them now
    OM_IO_WANT_READ,  // none moved until the socket can be read
    OM_IO_WANT_WRITE, // none moved until it can be written
    OM_IO_AGAIN,      // none moved; call again
    OM_IO_END,        // the peer sends nothing more
    OM_IO_BROKEN,
};

// Read up to `size` bytes, which is not 0; *got of them have come.
enum om_io om_transport_read(struct om_transport *self, void *at, size_t size,
                             size_t *got);

// Write; *sent of the bytes went. The next write begins with those that did not.
enum om_io om_transport_write(struct om_transport *self, struct om_str bytes,
                              size_t *sent);

// Tell the peer that nothing more will be sent; it can still be read.
void om_transport_shut(struct om_transport *self);

// `complete`: the peer has got all it was to get, and may be told so. TLS does.
void om_transport_close(struct om_transport *self, bool complete);
