// core.h - the broker's decisions: states, leases, fairness, limits.
//
// A pure step function. In: messages with their verified peer, the clock, results of
// commits and reads. Out: messages to send, changes to commit, reads to do, the time of
// the next timer. It does no I/O, reads no clock, starts no thread, keeps no global and
// draws its random numbers from a generator of its own seed, so a whole cluster runs
// under a seed in tests/sim. One thread.
//
// Order of use, after each input: core_take_batch() when the disk is free, then
// core_next_send() until false, then core_next_read() until NULL.
#pragma once
#include "change.h"
#include "read.h"

struct core;

// A connection, as the shell numbers it; a number is never used for another peer.
typedef uint64_t core_conn;

// What the transport has verified of a peer.
enum core_trust {
    TRUST_NOTHING, // may only be a tenant's worker, by its API key
    TRUST_ROLE,    // its CURVE key belongs to `role`
    TRUST_LOCAL,   // file mode lets only the platform's user connect: any platform role
};

struct core_peer {
    enum core_trust trust;
    enum role role;
};

struct core_now {
    int64_t mono_ms; // leases, heartbeats, backoff, timeouts
    int64_t wall_ms; // due and expiry times, timestamps
    int64_t wall_us; // of traces, which decide nothing; 0: not known
};

// A part of what a job or a call went through, as it ends: its SUBMIT's commit, its wait
// for a worker, an attempt. Borrowed.
struct core_told {
    enum { TOLD_COMMIT, TOLD_WAIT, TOLD_ATTEMPT } what;
    struct om_str traceparent;   // of its creation
    struct om_uuid task, tenant; // a call has no task
    struct om_str queue, kind;
    int64_t from_us, to_us;   // since 1970
    uint32_t attempt;         // number; of TOLD_WAIT that which follows
    struct om_str node;       // the worker's, of an attempt
    struct om_str code, text; // why it failed; empty: it did not
};

struct core_conf {
    uint32_t epoch; // of this start of the broker, durable and rising
    uint64_t seed;
    const char *node; // the broker's name in WELCOME
    int64_t heartbeat_ms, silent_ms;
    int64_t lease_short_ms, lease_long_ms;
    int64_t retry_base_ms, retry_cap_ms;
    int64_t gather_ms; // events wait this long for others of their shard
    int64_t lazy_ms;   // what nobody waits for is committed after this at the latest
    int64_t max_attempts, max_lost; // defaults of a job
    size_t max_open_tasks;          // in all; SUBMIT beyond it: OM_EFULL
    size_t max_open_per_tenant;
    size_t max_blocked; // tasks that wait for others; SUBMIT beyond it: OM_EFULL
    size_t max_blocked_per_tenant;
    int64_t id_memory_ms;       // an older id that the store does not know is refused
    size_t max_calls;           // waiting calls in all; CALL beyond it: OM_EUNAVAILABLE
    size_t payload_cache_bytes; // payloads of waiting jobs kept in memory
    size_t max_tail_bytes;      // of a subscription's newest events, kept in memory
    size_t max_pending_bytes;   // payloads of submits on their way to the disk
    size_t window_flow;         // ready jobs of a flow in memory
    size_t window_total;        // of all flows; and jobs in memory that wait for a time
    int64_t window_ahead_ms;    // jobs that wait longer are not in memory
    int64_t max_chunks, max_chunk_bytes; // of a task; CHUNK beyond it: OM_ETOOBIG

    // SHA-256, brought by the caller so that the core has no cryptography. Without it no
    // tenant's worker can open a session.
    void (*sha256)(struct om_str bytes, uint8_t out[32]);

    // May be NULL. Told of what is traced; must not call the core.
    void (*tell)(void *context, const struct core_told *told);
    void *tell_context;
};

// The defaults of the table above, with epoch 1, seed 1 and no sha256.
struct core_conf core_conf_default(void);

struct core *core_create(const struct core_conf *conf);

// Reads that were handed out stay their holder's, who frees them with read_destroy(); a
// batch that is out goes with the core.
void core_destroy(struct core **self_p);

// ---- loading, before the first message

// An open task. Its lease, if it has one, counts anew from core_serve().
OM_MUST_CHECK enum om_rc core_load_task(struct core *self,
                                        const struct stored_task *task);

// An open task of which nothing is to be kept in memory but its seq.
OM_MUST_CHECK enum om_rc core_load_waiting(struct core *self,
                                           const struct stored_waiting *waiting);

// The newest seq of all tasks; the newest event of a shard; a subscriber's cursor.
void core_load_task_seq(struct core *self, int64_t seq);
void core_load_shard(struct core *self, uint8_t shard, int64_t seq);
void core_load_cursor(struct core *self, unsigned subscription, uint8_t shard,
                      int64_t seq);

// What is set, before the tasks; starts under it, after it.
void core_load_setting(struct core *self, const struct change_setting *setting);
void core_load_start(struct core *self, const struct change_start *start);

// Loading is over: start serving.
void core_serve(struct core *self, struct core_now now);

// ---- inputs

// A message: its header's bytes, borrowed, and its payload, of which the core takes a
// reference if it keeps it (NULL: none).
void core_receive(struct core *self, struct core_now now, core_conn conn,
                  const struct core_peer *peer, struct om_str header,
                  struct payload *payload);

// The connection is gone, or a send to it failed: its session is suspect.
void core_suspect(struct core *self, struct core_now now, core_conn conn);

void core_tick(struct core *self, struct core_now now);

// The batch of core_take_batch() ended. OM_OK: durable. OM_ENOSPACE or OM_EDB: certainly
// not written; its submits are refused. A commit whose outcome is unknown is never
// reported: the broker exits and recovers.
void core_committed(struct core *self, struct core_now now, struct batch **batch_p,
                    enum om_rc rc);

// Takes the answered read.
void core_read_done(struct core *self, struct core_now now, struct read **read_p);

// Free bytes of the disk as a share, 0 to 1: below 0.1 SUBMIT is refused, the rest is
// kept for completions and events.
void core_set_disk_free(struct core *self, double share);

// ---- outputs

// The changes gathered since the last call, or NULL if there are none or a batch is out.
// The caller gives it back with core_committed().
struct batch *core_take_batch(struct core *self);

// The batch that is out is durable, and core_committed() will be called for it next, with
// OM_OK: the batch that follows it, if there is one, of at least `least` changes, that is
// due. The disk need not wait until all is done that the first one allows.
struct batch *core_follow_batch(struct core *self, struct core_now now, size_t least);

struct core_send {
    core_conn conn;
    struct om_str header;
    struct payload *payload; // NULL: none
    bool more; // the next one goes there too, and the peer takes both in a BUNDLE
};

// Put what is to be sent together by connection: those of a connection stay in their
// order. What is sent in one go wakes a connection's other end once.
void core_group_sends(struct core *self);

// The next message to send; false when there is none. Borrowed until the next call. What
// `more` says of the next one holds as long as core_group_sends() is not called.
bool core_next_send(struct core *self, struct core_send *out);

// The next read to do, or NULL. The caller gives it back with core_read_done().
struct read *core_next_read(struct core *self);

// When core_tick() is due, on the mono clock; INT64_MAX for never.
int64_t core_next_timer(const struct core *self);

// ---- for operators and tests

struct core_stats {
    size_t open_tasks, ready, leased, waiting_calls, sessions;
    uint64_t submitted, completed, failed, cancelled, expired, lost, stale, events;
    uint64_t recalled;    // tasks read back into memory
    size_t away;          // open tasks that are not in memory
    uint64_t dead_events; // set aside after failing three times; kept under topic "dead"
    uint64_t delivered;   // attempts that began
    uint64_t retried;     // attempts that failed or were lost and are followed by another
};

struct core_stats core_stats(const struct core *self);

// Append an array of wire_queue records, as an answer to QUEUE has it: the platform's
// queues, then tenants' own, those with most jobs first.
void core_queues(struct core *self, struct core_now now, struct om_buf *out);

// Sessions that take work, and how long that one was silent that is silent longest.
struct core_workers {
    size_t busy, idle, draining, silent;
    int64_t silence_ms;
};

struct core_workers core_workers(const struct core *self, struct core_now now);

// How far a subscriber of events is behind.
struct core_lag {
    int64_t events; // not applied yet, at most
    int64_t
        stuck_ms;  // since the slowest of its cursors that have events moved; 0: none has
    uint64_t dead; // set aside since the broker's start
};

struct core_lag core_lag(const struct core *self, unsigned subscription);
