// inner.h - the broker core's data. Only the files of broker/core include it.
//
// Who owns what: the core owns sessions, tasks, queues, calls and runs; a lease is part of
// its task or run; credits and watches belong to their session; a share of a queue lives
// while a task or call counts in it, a queue while a share or a credit does.
//
// Memory that cannot be had ends the process: the broker recovers at its next start.
#pragma once
#include <stdlib.h>

#define uthash_fatal(message) abort()
#include <uthash.h>
#include <utlist.h>

#include "core.h"
#include "timer.h"

enum {
    BANDS = 10,               // priorities
    SESSIONS_MAX = 65536,     // sessions beyond it are refused
    CREDITS_MAX = 256,        // queues a session may take from
    WATCHES_MAX = 16384,      // watches in all
    QUERIES_MAX = 4096,       // reads asked for by clients, under way
    LIST_MAX = 256,           // rows of a LIST
    PENDING_MAX = 64,         // batches waiting for the disk before work is refused
    RECENT_MAX = 16384,       // finished leases remembered
    CALL_TTL_MS = 10 * 1000,  // of a CALL that names none
    CALL_ORPHAN_MS = 2 * 1000, // a queue without workers refuses its calls after
    WALL_CHECK_MS = 1000,     // how late a jump of the wall clock may be noticed
};

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
    self->size = (uint8_t)(text.size < sizeof(self->text) ? text.size : sizeof(self->text));
    if (self->size)
        memcpy(self->text, text.data, self->size);
}

// Who waits for an answer to which message. conn 0: nobody.
struct asker {
    core_conn conn;
    struct label id;
};

// ---- queues and fairness (fair.c, queue.c)

// Something that waits in a flow: a task or a call.
struct item {
    struct item *prev, *next;
    struct flow *flow; // NULL while it does not wait
};

// What of one tenant waits in one band.
struct flow {
    struct flow *prev, *next; // in its band's ring, while something waits
    struct item *items;
    struct share *share;
    struct band *band;
    int deficit;
};

struct band {
    struct flow *ring;
};

// One tenant's part of a queue.
struct share {
    struct om_uuid tenant;
    struct queue_state *queue;
    size_t refs;      // tasks and calls that count in it
    size_t in_flight; // leases and calls at workers
    size_t waiting_calls;
    struct flow calls, jobs[BANDS];
    UT_hash_handle hh;
};

struct queue_key {
    struct om_uuid owner; // zero: the platform
    char name[64];
};

struct queue_state {
    struct queue_key key;
    const struct queue_info *info; // NULL: a tenant's
    enum queue_class class;
    int64_t hard_ms;
    size_t refs; // shares and credits
    struct share *shares;
    struct band calls, jobs[BANDS];
    struct run *runs;      // event runs that wait for credit
    struct credit *takers; // every session's credit
    struct credit *open;   // those with some left, next taker first
    bool dirty;
    struct queue_state *prev, *next; // in the core's list of queues to look at
    UT_hash_handle hh;
};

// How many jobs a session may be sent from a queue.
struct credit {
    struct session *session;
    struct queue_state *queue;
    int64_t limit, sent;
    int64_t reserved; // picked, and not yet sent
    bool is_open;
    struct credit *session_prev, *session_next;
    struct credit *queue_prev, *queue_next;
    struct credit *open_prev, *open_next;
};

// ---- sessions (session.c)

struct session {
    core_conn conn;
    enum role role;
    struct om_uuid tenant; // of ROLE_TENANT
    struct label node, hello;
    int64_t incarnation;
    bool pending; // its key is being looked up
    bool suspect; // a send to it failed and it has not spoken since
    int64_t heard_ms;
    struct om_buf held; // of its HELLO, while it is pending
    struct timer timer;
    size_t credit_count;
    struct credit *credits;
    struct lease *leases;
    struct call *made, *taken; // calls it waits for; calls it works on
    struct watch *watches;
    UT_hash_handle hh;
};

// ---- leases (lease.c)

enum lease_wait { WAIT_COMMIT = 1, WAIT_PAYLOAD = 2 };

// Why an attempt ended without a result.
struct failure {
    struct om_str code, text;
    bool retryable, cancelled;
    int64_t retry_ms; // -1: the broker chooses
    struct om_str usage;
    core_conn conn; // who waits for DONE_ACK; 0: nobody
};

struct input;

// What a lease is on. `done` and what follows end the lease.
struct lease_kind {
    void (*send)(struct core *self, struct lease *lease);
    void (*started)(struct core *self, struct lease *lease);
    void (*progress)(struct core *self, struct lease *lease, const struct wire_held *held);
    void (*done)(struct core *self, struct lease *lease, const struct input *in);
    void (*fail)(struct core *self, struct lease *lease, const struct failure *failure);
    void (*release)(struct core *self, struct lease *lease);
    void (*lost)(struct core *self, struct lease *lease);
};

struct lease {
    const struct lease_kind *kind;
    struct wire_token token;
    bool active;
    bool started; // the handler runs
    bool cancel;  // its worker shall stop
    bool claimed; // a worker has spoken of it to this broker, or got it from this broker
    unsigned waiting; // lease_wait: what must come before JOB is sent
    struct queue_state *queue;
    struct share *share;     // where it counts as in flight; NULL for a run
    struct session *session; // NULL: of a worker that is not connected
    struct credit *credit;   // reserved, until JOB is sent
    struct label node;
    int64_t incarnation;
    int64_t lease_ms, hard_ms;
    int64_t expires_ms, hard_at_ms; // mono clock
    struct timer timer;
    struct lease *prev, *next; // in its session's list or the core's list of orphans
};

// A lease that ended by its worker's word: the word said again gets DONE_ACK again.
struct recent {
    struct wire_token token;
    bool durable;
    core_conn conn; // who said it last
    UT_hash_handle hh;
};

// ---- tasks (task.c)

struct tenant_state {
    struct om_uuid id;
    size_t open;
    struct task *tasks; // in the order of their seq
    UT_hash_handle hh;
};

// Where a change stands, while its batch has not gone out.
struct change_slot {
    int64_t batch;
    size_t index;
};

struct task {
    struct om_uuid id;
    int64_t seq;
    struct tenant_state *tenant;
    struct share *share;
    enum task_state state;
    bool committed;  // its SUBMIT, or its REOPEN, is durable
    enum task_state ending; // its result, which waits for the disk; STATE_NONE: none
    bool cancel;     // somebody asked to cancel it
    bool cancel_durable;
    bool reopened;   // not committed for a RETRY
    uint8_t priority;
    int64_t created_ms, due_ms, expires_ms, started_ms; // wall clock
    int64_t finished_ms;
    int64_t attempts, lost, max_attempts;
    uint32_t last_attempt; // of its tokens: rises for ever, released or reopened
    double progress;
    char *detail, *code, *text; // of the last progress, of the last failure
    struct om_str header;       // the SUBMIT as stored; owned
    struct om_str kind;         // in `header`, as traceparent
    struct om_str traceparent;
    bool has_hash;
    uint8_t hash[32];
    struct payload *payload; // NULL: in the store, unless it is empty
    bool empty_payload;
    bool cached;             // `payload` counts in the cache
    struct asker asker;      // of SUBMIT or RETRY
    struct lease lease;
    struct change_slot lease_mark; // of the last attempt
    struct item item;
    struct timer backoff; // mono clock
    struct timer wall;    // due or expiry, wall clock
    struct watch *watches;
    struct task *prev, *next; // of its tenant
    UT_hash_handle hh;
};

// ---- watches (watch.c)

struct watch {
    struct asker asker;
    struct session *session;
    struct task *task;
    int64_t seq;
    struct timer timer;
    struct watch *session_prev, *session_next;
    struct watch *task_prev, *task_next;
};

// ---- calls (call.c)

struct call {
    int64_t number;
    struct asker asker;
    enum role from;
    bool internal; // the broker's own: the look-up of a worker's key
    bool has_tenant;
    struct session *caller; // NULL: nobody waits any more
    struct session *worker; // NULL: waiting
    struct share *share;
    struct om_str header; // as it came; owned
    struct payload *payload;
    int64_t deadline_ms;
    struct item item;
    struct timer timer;
    struct call *made_prev, *made_next;
    struct call *taken_prev, *taken_next;
    UT_hash_handle hh;
};

// ---- events (events.c)

enum run_state {
    RUN_IDLE,
    RUN_WAITING,
    RUN_READING,
    RUN_LEASED,
    RUN_COMMITTING,
    RUN_BACKOFF,
    RUN_GATHERING, // for more events, so that a run has many
};

// What a subscriber has of a shard's events, and the run it is being sent.
struct run {
    unsigned subscription;
    uint8_t shard;
    enum run_state state;
    int64_t cursor;  // durable
    int64_t newest;  // no event of the topic is known behind it
    int64_t asked;   // `newest` when the read began
    int64_t last;    // of the run at the subscriber
    size_t count;    // events in the run
    size_t limit;    // events of the next run
    unsigned strikes; // against a run of a single event
    struct payload *payload;
    struct lease lease;
    struct timer backoff;
    struct run *prev, *next; // in the queue's list
};

// ---- commits and sends (commit.c, out.c)

struct out {
    struct out *next;
    core_conn conn;
    struct payload *payload;
    size_t size;
    char header[];
};

struct pending;

// ---- reads asked for by clients (query.c)

enum query_kind { QUERY_GET, QUERY_LIST, QUERY_CANCEL, QUERY_RETRY, QUERY_WATCH,
                  QUERY_PAYLOAD, QUERY_RUN };

// ---- the core

struct core {
    struct core_conf conf;
    char *node;
    struct core_now now;
    uint64_t random;
    bool serving;
    double disk_free;

    struct session *sessions;
    struct lease *orphans; // leases of workers that are not connected
    struct recent *recents;
    uint64_t last_lease;

    struct queue_state *queues, *dirty;
    struct task *tasks;
    struct tenant_state *tenants;
    int64_t last_task_seq;
    size_t cached_bytes;

    struct call *calls;
    size_t waiting_calls;
    int64_t last_call;

    int64_t shards[OM_SHARD_COUNT]; // the newest event of each
    struct run runs[SUBSCRIPTION_COUNT][OM_SHARD_COUNT];
    size_t watch_count, query_count;

    struct timers mono, wall;
    struct pending *oldest, *newest; // batches, in order; the oldest may be out
    struct pending *spare;
    bool batch_out;
    int64_t last_batch, retry_commit_ms;
    size_t pending_count;
    struct out *sends, **sends_end, *given; // given: borrowed by the caller
    struct query *queries, *asked; // to hand out; under way
    struct om_buf scratch;
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
