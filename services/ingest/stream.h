// stream.h - an answer that is written while it comes, as server-sent events.
//
// A tenant has a bounded number of streams in a process, and each of them holds a bounded
// number of unsent bytes. A stream ends cleanly when the edge stops, and when its key
// must be looked at anew, because it expired or identity says that something about it
// changed: its client comes back, authenticated anew, and goes on where it was. One that
// `ends` by itself is let to its end, as any other request is.
#pragma once
#include <pthread.h>
#include <uthash.h>

#include "sse.h"
#include "uuid.h"

struct exchange;
struct edge;

// Streams of one tenant, in all threads.
struct stream_count {
    struct om_uuid tenant;
    int64_t count;
    UT_hash_handle hh;
};

// Zero is a good start, but for the lock.
struct stream_counts {
    pthread_mutex_t lock;
    struct stream_count *tenants;
};

struct stream {
    struct exchange *x;
    int64_t said_ms; // when something was written last
    bool ends;       // by itself, soon, and nobody could go on where it was: it is let to
    // There is room again, after a stream_write() that gave false. May be NULL.
    void (*on_room)(struct exchange *x);
    struct stream *prev, *next; // of the edge
};

// Begin to answer with events. False: refused, and replied.
bool stream_begin(struct exchange *x, void (*on_room)(struct exchange *x));

// Write an event (sse.h). False: not now, the client is slow; on_room will be called.
bool stream_write(struct exchange *x, const struct sse_id *id, const char *name,
                  struct om_str data);

// The answer is complete. Ends the exchange.
void stream_end(struct exchange *x);

// End it with an event "error" whose data is an error body. Ends the exchange.
void stream_fail(struct exchange *x, struct om_str body);

// The loop has room for the stream of this exchange.
void stream_room(struct exchange *x);

// The exchange ends, however it does.
void stream_forget(struct exchange *x);

// Say on quiet streams that we are there, and end those whose key must be looked at.
void streams_tick(struct edge *edge);
