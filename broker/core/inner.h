// inner.h - the broker core's data. Only the files of broker/core include it.
//
// Who owns what: the core owns sessions, tasks, queues, calls and runs; a lease is part
// of its task or run; credits and watches belong to their session; a share of a queue
// lives while a task or call counts in it, a queue while a share or a credit does.
//
// Memory that cannot be had ends the process: the broker recovers at its next start.
#pragma once
#include <stdlib.h>

#include "hash.h"

#define uthash_fatal(message) abort()
#include <uthash.h>
#include <utlist.h>

#include "core.h"
#include "pool.h"
#include "recent.h"
#include "timer.h"

enum {
    BANDS = 10,                // priorities
    PRIORITY_DEFAULT = 5,      // of a job that names none
    SESSIONS_MAX = 65536,      // sessions beyond it are refused
    CREDITS_MAX = 256,         // queues a session may take from
    WATCHES_MAX = 16384,       // watches in all
    QUERIES_MAX = 4096,        // reads asked for by clients, under way
    LIST_MAX = 256,            // rows of a LIST
    PENDING_MAX = 64,          // batches waiting for the disk before work is refused
    CALL_TTL_MS = 10 * 1000,   // of a CALL that names none
    CALL_ORPHAN_MS = 2 * 1000, // a queue without workers refuses its calls after
    WALL_CHECK_MS = 1000,      // how late a jump of the wall clock may be noticed
};

// Below this share of free disk only completions and events are taken.
#define DISK_RESERVE 0.1

struct awaited;
struct call;
struct credit;
struct depend;
struct group;
struct intake;
struct key;
struct lease;
struct limit;
struct limit_tenant;
struct listing;
struct name;
struct node;
struct queue_state;
struct replay;
struct retry;
struct run;
struct queue_stats;
struct session;
struct stats_tenant;
struct task;
struct tenant_state;
struct spill;

// A short string of the wire, kept.
struct label {
    uint8_t size;
    char text[64];
};

static inline struct om_str
label_str(const struct label *self)
{
    return (struct om_str){ self->text, self->size };
}

static inline void
label_set(struct label *self, struct om_str text)
{
    self->size =
        (uint8_t)(text.size < sizeof(self->text) ? text.size : sizeof(self->text));
    if (self->size)
        memcpy(self->text, text.data, self->size);
}

// Who waits for an answer to which message. conn 0: nobody.
struct asker {
    core_conn conn;
    struct label id;
};

struct core {
    struct core_conf conf;
    char *node;
    struct core_now now;
    uint64_t random;
    bool serving;
    double disk_free;

    struct session *sessions;
    struct session *acking; // those that have acknowledgements to get
    struct node *nodes;     // with leases of workers that are not connected
    struct recents recents;
    uint64_t last_lease;

    struct key *keys; // of tenants' workers
    struct timer feed_timer;
    int64_t feed_seq; // of the last change of a key
    int64_t feed_ms,
        feed_asked_ms; // the feed was asked that was answered last; asked last
    bool feed_asked;

    struct queue_state *queues, *dirty;
    struct limit_tenant *limits;
    struct limit *windows; // those with starts in them
    int64_t wall_ahead_ms; // of the mono clock, as stored starts have it
    struct timer wall_check;
    struct stats_tenant *stats_tenants;
    struct queue_stats *idle_stats; // of queues that nothing is in, idle longest first
    size_t idle_stats_count;
    struct task *tasks;
    struct tenant_state *tenants;
    int64_t last_task_seq;
    struct name *names;       // keys of jobs that are not durable yet
    struct intake *intakes;   // SUBMIT_BATCHes that are not answered yet
    size_t intake_items;      // jobs of those
    uint32_t last_set;        // of jobs that are added all or none
    struct awaited *awaited;  // tasks that others wait for
    struct depend *loose;     // tasks to place: what they waited for has come
    struct timer loose_timer; // for the rest of them
    size_t blocked;           // tasks that wait for others
    int64_t last_question;    // about parents and old ids
    struct spill *spill;
    size_t cached_bytes, chunk_bytes; // chunks: of those not durable yet
    int64_t last_number; // no task read from the store was told more by this broker

    struct call *calls;
    size_t waiting_calls;
    int64_t last_call;

    int64_t shards[OM_SHARD_COUNT]; // the newest event of each
    struct run *runs;               // run_at()
    size_t tail_bytes[SUBSCRIPTION_COUNT];
    size_t watch_count, query_count;

    struct timers mono, wall;
    struct pending *oldest, *newest; // batches, in order; the oldest may be out
    struct pending *durable;         // the one before them, until what it allows is done
    struct pending *spare;
    bool batch_out;
    int64_t last_batch, retry_commit_ms;
    int64_t full_until_ms; // the disk was full at the last commit, try again then
    size_t pending_count;
    size_t submit_bytes;                    // of submits that are not durable
    struct out *sends, **sends_end, *given; // given: borrowed by the caller
    bool bundling;                          // its peer takes bundles, and gets one
    struct query *queries, *asked;          // to hand out; under way
    struct pool pool; // of tasks, messages and leases that have ended
    struct om_buf scratch, list;
    struct core_stats stats;
};

// A message being handled.
struct input {
    core_conn conn;
    const struct core_peer *peer;
    const struct wire_msg *msg;
    struct payload *payload;
    struct session *session; // NULL for HELLO
    struct om_uuid tenant;   // the tenant acted for; zero if none
};

// Zeroed memory, and memory of another size; never NULL.
void *core_alloc(size_t size);
void *core_realloc(void *memory, size_t size);

// A copy that ends with a zero; NULL of an absent string.
char *core_strdup(struct om_str text);

// A number of [0, below); 0 if `below` is.
int64_t core_random(struct core *self, int64_t below);
