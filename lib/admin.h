// admin.h - a port of the process for who runs it: /metrics, /healthz and /readyz, over
// plain HTTP, answered by a thread of its own.
//
// It knows no keys, so it listens on the loopback unless it is told otherwise.
#pragma once
#include "rc.h"

struct om_admin;

// The row of the setting, for a program's table; `member` is a const char *.
// clang-format off
#define OM_ADMIN_SETTING(member)                                                          \
    { "OMNI_ADMIN", CONF_STR, member, "127.0.0.1:0", 0, 0,                                \
      "HOST:PORT for /metrics, /healthz and /readyz; port 0 is any free one; off: none" }
// clang-format on

// Start it; with "off" there is none, and *out is NULL. Call om_metrics_init() before.
//   OM_EINVAL        not HOST:PORT
//   OM_ECONFLICT     the port is taken
//   OM_EUNAVAILABLE  the system refused
// On failure the reason is in `why`. The port that was taken is logged.
OM_MUST_CHECK enum om_rc om_admin_start(const char *listen, struct om_admin **out,
                                        char *why, size_t why_size);
void om_admin_stop(struct om_admin **self_p);

// Can the process do its work? What /readyz says; any thread. Not ready at first.
void om_admin_set_ready(bool ready);
