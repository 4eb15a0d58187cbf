// port.h - the address `omni up` serves, known to be free before anything is started.
#pragma once
#include "rc.h"

struct port {
    int fd;          // bound, never listening: keeps the port while omni-ingest restarts
    char listen[80]; // HOST:PORT for omni-ingest
    char url[96];    // for a client on this machine
};

// Take the port of "HOST:PORT", "[IPv6]:PORT" or ":PORT"; port 0 is any free one. On
// failure the reason is in `why`.
//   OM_EINVAL       not an address
//   OM_ECONFLICT    another program listens there
//   OM_EUNAVAILABLE the system refused
OM_MUST_CHECK enum om_rc port_take(const char *text, struct port *out, char *why,
                                   size_t why_size);
