// cached.h - how requests are answered from the cache (cache.h), by their routes'
// policies.
//
// Whatever holds for a request holds for one that is answered from the cache: it is
// admitted, limited by requests and tokens, and counted as a call. It is no inference: it
// takes none of that quota and asks no worker.
//
//   same bytes      a request that is byte for byte like an earlier one is answered
//                   without reading its body
//   same request    else its record is, which has neither blanks nor an order
//   under way       else it waits for the call that an equal request has made in this
//                   thread. What that one gets, they all get, a failure too; and it goes
//                   on for them if its own client leaves.
//   shared          else it is asked for of Redis, if edges share one (cached_shared.c)
//
// Only answers of status 200 are kept. "Cache-Control: no-cache" of a request has it
// answered anew, "no-store" has the answer not be kept either.
#pragma once
#include <uthash.h>

#include "cache.h"
#include "http_message.h"
#include "uuid.h"

struct edge;
struct error_text;
struct exchange;
struct ingest;
struct purge_changes_reply;

enum cached { CACHED_NOT, CACHED_HIT, CACHED_MISS, CACHED_BYPASS };
enum { CACHED_RESULTS = CACHED_BYPASS + 1, CACHED_WAITERS_MAX = 1024, CACHED_STAMP = 16 };

// A call under way, of the request that made it. In that one's arena.
struct flight {
    struct cache_id id;
    uint64_t mark;
    struct exchange *leader, *waiting;
    size_t count;
    UT_hash_handle hh;
};

// What a request has to do with the cache.
struct cached_use {
    enum cached result;
    bool no_store;
    uint8_t raw[CACHE_KEY]; // of its bytes
    struct cache_id id;     // of its record
    uint64_t mark;          // when it was looked for
    int64_t tokens, looked_ms, made_ms;
    const struct cache_answer *answer; // held
    void (*call)(struct exchange *x);
    struct flight *flight;        // it made the call of
    struct flight *joined;        // or waits for
    struct exchange *prev, *next; // of those that wait
    // What Redis is asked, and what it said of the tenant's answers (cached_shared.c).
    uint64_t asked_stamp, asked_answer;
    bool stamped;
    uint8_t stamp[CACHED_STAMP];
    void (*on_void)(struct exchange *x, bool done);
    char age[24], control[48], key[2 * CACHE_KEY + 1]; // header fields
};

// A request of a route with a policy is complete. True: it is answered, or will be.
// False: its handler is to be called.
bool cached_begin(struct exchange *x);

// Its record was read, and it is admitted: answer it, or have `call` do so, once.
void cached_call(struct exchange *x, void (*call)(struct exchange *x));

// The answer of the call is in edge->out: keep it, and give it to all that wait for it.
void cached_keep(struct exchange *x);

// The call failed: tell those that wait. The strings are borrowed.
void cached_fail(struct exchange *x, int status, const struct error_text *error,
                 const char *retry_after);

// Has a request a call that others wait for?
bool cached_is_awaited(const struct exchange *x);

// The request is over.
void cached_end(struct exchange *x);

// Tell the client.
void cached_fields(struct exchange *x, struct om_http_response *response);

// Do what edges had written down of purges, but this one's own, which are done. True:
// there are more.
bool cached_apply_purges(struct ingest *ingest, const struct purge_changes_reply *reply);

// ---- within

int64_t cached_now_ms(const struct exchange *x);

// Answer the request and all that wait for it. Borrows the answer.
void cached_land(struct exchange *x, const struct cache_answer *answer);

// Nothing is known: take the quota, and call.
void cached_depart(struct exchange *x);

// ---- shared with other edges (cached_shared.c)

// Ask Redis. False: there is none, or not now.
bool cached_ask(struct exchange *x);
void cached_forget(struct exchange *x);

// Until when an answer made now holds in this process without asking Redis.
int64_t cached_check_ms(const struct exchange *x);

void cached_share(struct exchange *x, const struct cache_answer *answer);

// Make all shared answers of a tenant void, and say whether that was done. False: it
// cannot be asked for now; fn is not called.
bool cached_void(struct exchange *x, const struct om_uuid *tenant,
                 void (*fn)(struct exchange *x, bool done));
