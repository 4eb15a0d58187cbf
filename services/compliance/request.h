// request.h - the log of requests that failed: bounded for each tenant, and forgotten
// after a time.
//
// What comes has no secrets (services/ingest/redact.h). A request that comes twice is
// kept once. A tenant that fails a lot loses its own oldest, never another's.
#pragma once
#include "compliance.h"

enum om_rc on_request_keep(void *context, struct om_call *call, const void *message,
                           void *answer);
enum om_rc on_request_list(void *context, struct om_call *call, const void *message,
                           void *answer);
enum om_rc on_request_get(void *context, struct om_call *call, const void *message,
                          void *answer);

// Remove some of those whose time is over. Returns when to call it next, on the clock of
// `now_ms`.
int64_t request_tick(void *context, int64_t now_ms);
