// replay.h - a request that failed, once more: in the sandbox, never in the live tenant.
//
// The replay is an exchange of its own, with an id of its own, which has no client. Its
// caller is the caller's key as identity would resolve it if it were a test key, so the
// scopes, models, networks and limits of that key hold, and it goes through the same
// decision as every request. Its answer becomes a part of the answer of who asked for it.
#pragma once
#include "exchange.h"

// The replay is answered: tell who asked. Ends it.
void replay_end(struct exchange *x, const struct om_http_response *response);

// An exchange ends: if it is a replay or has one, each goes on without the other.
void replay_part(struct exchange *x);
