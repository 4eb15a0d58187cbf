// parts.h - answers that are streamed to the client while a worker makes them, part by
// part: events "part", and at the end one "end", or "error".
//
// Memory is bounded: the worker may be ahead of the client by PARTS_WINDOW and what the
// connection holds, and waits then (wire.h, CALL_CREDIT). One that waits for 5 s gives
// up. When the client leaves, the worker is told to stop; what it made is metered.
//
// Such an answer is neither kept nor taken from the cache, and no request joins
// another's.
#pragma once
#include "exchange.h"

enum { PARTS_WINDOW = 128 * 1024 }; // of parts on their way, as the wire counts them

struct parts;

// Does the request want that, of a route that can do it? Its body or its Accept says so.
bool parts_wanted(struct exchange *x, bool said);

// Have the answer of x->route's operation, whose request is x->record, come in parts once
// it is asked for. False: that cannot be, and was replied.
bool parts_want(struct exchange *x);

// Ask for it.
void parts_call(struct exchange *x);

// The exchange ends.
void parts_forget(struct exchange *x);
