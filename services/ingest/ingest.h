// ingest.h - the HTTP edge: identical threads, each with its event loop, its client of
// the broker, its cache of keys and its reports. They share what does not change, and
// counters.
#pragma once
#include <stdatomic.h>

#include "blob.h"
#include "cached.h"
#include "client.h"
#include "conf.h"
#include "cors.h"
#include "failures.h"
#include "grant.h"
#include "http.h"
#include "keys.h"
#include "offload.h"
#include "plans.h"
#include "proxy.h"
#include "quotas.h"
#include "report.h"
#include "request_log.h"
#include "shared.h"
#include "stream.h"
#include "timers.h"
#include "tls.h"
#include "traced.h"

struct ingest_conf {
    const char *listen;      // OMNI_LISTEN
    const char *broker;      // OMNI_BROKER
    const char *keys;        // OMNI_KEYS
    const char *node;        // OMNI_NODE
    const char *admin;       // OMNI_ADMIN
    const char *blobs;       // OMNI_BLOBS
    const char *secret_file; // OMNI_SECRET_FILE
    int64_t threads;         // OMNI_INGEST_THREADS
    int64_t drain_ms;        // OMNI_DRAIN_MS
    int64_t streams_max;     // OMNI_STREAMS_MAX
    int64_t stream_quiet_ms; // OMNI_STREAM_QUIET_MS
    int64_t limits_max;      // OMNI_LIMITS_MAX
    int64_t failed_keys;     // OMNI_FAILED_KEYS
    int64_t quota_hold_ms;   // OMNI_QUOTA_HOLD_MS
    const char *proxies;     // OMNI_TRUSTED_PROXIES
    const char *origins;     // OMNI_CORS_ORIGINS
    const char *tls_cert;    // OMNI_TLS_CERT
    const char *tls_key;     // OMNI_TLS_KEY
    const char *cache;       // OMNI_CACHE
    int64_t cache_ms;        // OMNI_CACHE_MS
    int64_t cache_bytes;     // OMNI_CACHE_BYTES
    const char *trace_trust; // OMNI_TRACE_TRUST
    int64_t trace_asked;     // OMNI_TRACE_ASKED
    // OMNI_DEFAULT_REQUESTS, OMNI_DEFAULT_CONCURRENT
    int64_t default_requests, default_concurrent;
    int64_t request_rate; // OMNI_REQUEST_LOG_RATE
};

extern const struct om_setting ingest_settings[];

enum { INGEST_ROUTES_MAX = 160, INGEST_THREADS_MAX = 64, STATUS_CLASSES = 6 };

// What all threads share.
struct ingest {
    struct ingest_conf conf;
    char node[64];
    struct om_blob_store *blobs;
    struct om_offload *offload; // for what waits for the disk
    struct om_secret secret;
    struct om_tls *tls; // NULL: plain HTTP
    struct proxies proxies;
    struct cors cors;
    enum traced_trust trust;
    struct om_buf openapi;
    struct stream_counts streams;
    struct counters *counters;
    struct counters *guesses; // of keys, by address (guess.h)
    struct quotas *quotas;
    struct cache *cache;
    struct om_uuid self;            // names this process to identity
    atomic_int_fast64_t purged_seq; // of the last purge of all edges' that was done
    // Requests answered of routes with a policy, by route and by what the cache did.
    atomic_uint_fast64_t cached[INGEST_ROUTES_MAX][CACHED_RESULTS];
    bool has_redis;
    struct redis_conf redis;
    // Requests refused for a limit; and decided about without the shared counters that
    // should have been asked.
    atomic_uint_fast64_t limited, unshared;
    struct request_counts requests;            // kept of those that failed
    struct failure_counts failures;            // told of answers of 5xx
    atomic_bool shared_up[INGEST_THREADS_MAX]; // each thread's connection to it
    // When identity answered each thread last, on the mono clock: a process is ready when
    // all its threads are, since nobody knows which one a connection will reach.
    atomic_int_fast64_t answered_ms[INGEST_THREADS_MAX];
    // Each thread's connections of clients, and whether it has a session with the broker.
    atomic_size_t connections[INGEST_THREADS_MAX];
    atomic_bool linked[INGEST_THREADS_MAX];
};

// Read the secret and the certificate, and open the blob store. False with the reason in
// `why`.
bool ingest_open(struct ingest *self, char *why, size_t why_size);
void ingest_close(struct ingest *self);

// One thread of the edge.
struct edge {
    struct ingest *ingest;
    int64_t number;
    char node[80]; // each session has a name of its own: the broker closes older ones
    struct om_http_loop *loop;
    struct om_client *client;
    struct key_cache keys;
    struct plans plans;
    struct report report;
    struct request_log requests;
    struct failures failures;
    struct quota_desk quotas;
    struct traced_budget traced;
    struct shared *shared; // NULL: edges share nothing
    bool shared_told;      // how it is was logged
    struct om_timer shared_timer;
    struct om_timer client_timer, tick_timer;
    bool rewatch; // the link may have made its descriptors anew
    int64_t began_ms;
    int64_t feed_ms;      // when the key feed was asked that was answered last; 0: never
    int64_t feed_sent_ms; // when it was asked last
    bool feed_asked, plans_asked, purges_asked;
    int64_t used_due_ms; // when identity is told next which keys were used
    uint64_t ticks;
    char refused_id[OM_TYPEID_MAX];
    struct exchange *idle;   // exchanges to use again
    struct exchange *busy;   // exchanges in use
    struct exchange *asking; // about keys that nobody else asks about, by the key's hash
    struct stream *streams;
    struct om_offload_box *commits; // uploads being made durable come back here
    atomic_bool stopping;
    struct om_buf out;      // the body of the response being made; empty between two
    struct om_buf frame;    // the event being made
    struct om_buf scratch;  // what a key of the cache is made of; empty between two
    struct flight *flights; // calls of the cache that are under way
    struct om_buf status;   // what the scheduler said of it last,
    int64_t status_ms;      // and when
    // The body of a refusal: the loop sends it after on_refuse() returned, so nobody is
    // there to empty `out` again.
    struct om_buf refusal;
};

// Thread `number` of the process. Takes listen_fd. NULL with the reason in `why`.
struct edge *edge_create(struct ingest *ingest, int64_t number, int listen_fd, char *why,
                         size_t why_size);

// Serve until edge_stop() and until what is to be reported was.
void edge_run(struct edge *self);

// From any thread.
void edge_stop(struct edge *self);

void edge_destroy(struct edge **self_p);

// Ask identity what keys and tenants changed, and billing for plans (feed.c).
void feed_ask(struct edge *self);

// Has identity answered every thread lately?
bool edge_ready(const struct edge *self);

// Do identity's answers about keys still hold?
bool edge_keys_hold(const struct edge *self);

// ---- what edges share (share.c)

// Read OMNI_CACHE. False with the reason in `why`.
bool share_configure(struct ingest *self, char *why, size_t why_size);

// A thread's connection: have one, if it is configured; move it, at the end of each turn
// of the loop; and let go of it, while the loop is still there.
bool share_open(struct edge *self);
void share_process(struct edge *self);
void share_close(struct edge *self);

enum share_state { SHARE_NONE, SHARE_UP, SHARE_DOWN };

// Of all threads; from any.
enum share_state share_state(const struct ingest *self);
