// sse.h - server-sent events as bytes (HTML Living Standard, 9.2). Pure.
#pragma once
#include "pack.h"

// Does an Accept field ask for text/event-stream? A wildcard does not: it gets JSON.
bool sse_wanted(struct om_str accept);

// The id of an event: its number, and whether it was the last one. "17", and "17-end".
struct sse_id {
    int64_t seq;
    bool end;
};

// Append an event. A NULL id or name is left out. The data becomes one line: its line
// ends, which in JSON are but white space, become spaces.
void sse_put(struct om_buf *out, const struct sse_id *id, const char *name,
             struct om_str data);

// Append what clients skip: it shows them, and everything between, that we are there.
void sse_put_comment(struct om_buf *out);

// Read a Last-Event-ID as sse_put() wrote it. False: it is none.
bool sse_last_id(struct om_str text, struct sse_id *out);
