// traced.h - a request's place in a trace: whose context it goes on with, and its span.
//
// What a caller says of a trace decides what is recorded, so it is believed of those who
// may say so (OMNI_TRACE_TRUST). Of anybody else a new trace begins, whose span is linked
// to what was said. A malformed context is as good as none, and never fails a request.
#pragma once
#include "http_message.h"
#include "rc.h"
#include "trace.h"

struct exchange;

enum traced_trust { TRACED_NEVER, TRACED_AUTHENTICATED, TRACED_ALWAYS, TRACED_COUNT };

// Read OMNI_TRACE_TRUST. False: it is none of them.
bool traced_trust_find(const char *name, enum traced_trust *out);

// Traces that others ask to have recorded, beyond those we would: so many a second are.
struct traced_budget {
    double left;
    int64_t at_ms; // when it was counted; 0: never
};

// Take one; `most` may be recorded a second, and in a burst. Pure.
bool traced_budget_take(struct traced_budget *self, int64_t most, int64_t now_ms);

// Of an exchange.
struct traced {
    struct om_trace asked; // what the caller said; none: nothing, or nothing valid
    struct om_str state;   // its tracestate, in the arena; passed on if it is believed
    uint8_t parent[8];     // of its span
    int64_t asked_us;      // when identity was asked who it is; 0: it was not
    bool waits;            // nobody has said yet whether it may say so
    bool believed;
    bool held; // it is answered by a stream, and its span is written when that has ended
    bool done;
    // Of a stream's request, in the arena.
    struct om_str method, path, host, agent;
};

// Read what the request says.
void traced_begin(struct exchange *x, const struct om_http_request *request);

// Identity is asked who the caller is.
void traced_ask(struct exchange *x);

// The caller is known.
void traced_identify(struct exchange *x);

// It has been answered; or is, by a stream that goes on. `request` may be NULL.
void traced_reply(struct exchange *x, const struct om_http_request *request, int status);
void traced_hold(struct exchange *x, const struct om_http_request *request);

// It ends, answered or not.
void traced_end(struct exchange *x);
