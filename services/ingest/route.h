// route.h - what the interface offers, once: authentication, limits, audit, counters and
// the OpenAPI document are made from this table, so no route can forget them.
#pragma once
#include "http.h"
#include "quota.h"
#include "records.h"
#include "scope.h"

struct exchange;

enum route_auth {
    AUTH_KEY,   // an API key with the route's scope
    AUTH_GRANT, // the token of a task (grant.h)
    AUTH_NONE,  // public
};

enum {
    // It changes something: it is finished and audited even if the client leaves.
    ROUTE_MUTATES = 1,
    // Its audit row is on disk before it happens.
    ROUTE_PRIVILEGED = 2,
    // Fields come from the body; else from the query.
    ROUTE_BODY = 4,
    // It answers with a stream of events (stream.h) too, to who asks for one.
    ROUTE_EVENTS = 8,
    // It costs money: not for a tenant that is behind with paying.
    ROUTE_COSTS = 16,
    // The first parameter of its path is a model's name.
    ROUTE_MODEL = 32,
    // Its object has a version, which is its ETag (etag.h).
    ROUTE_ETAG = 64,
    // It submits jobs, by whose Idempotency-Keys the broker knows them (keyed.h).
    ROUTE_JOBS = 128,
    // It answers in parts (parts.h) too, to who asks for that.
    ROUTE_PARTS = 256,
};

enum { ROUTE_PARAMS_MAX = 3, CACHE_VARY_MAX = 2 };

// Who shares an answer, within a tenant; never anybody beyond it.
enum cache_scope { CACHE_TENANT, CACHE_USER };

// How long a route's answers are kept and given again (cached.h).
struct cache_policy {
    int ttl_s; // 0: they are not
    enum cache_scope scope;
    const char *vary[CACHE_VARY_MAX]; // fields of the request the answer depends on
};

struct route {
    enum om_http_method method;
    const char *pattern;
    enum route_auth auth;
    enum scope scope;
    unsigned flags;
    unsigned quotas; // QUOTA_BITs: what it takes beside a call (quota.h)
    int status;      // of a success
    int also;        // another one, for the document; 0: none
    enum op op;      // OP_COUNT: none
    // The request's field that is in the path; with ROUTE_BODY an INTERNAL one.
    const char *param;
    // Without an operation of their own: what they read and show, for the document. NULL:
    // not JSON.
    const struct rec *request, *reply;
    const struct rec *other; // what it may show instead of `reply`, for the document
    // `on_request` of a row that has none calls its operation. Those with `on_body`
    // stream.
    void (*on_head)(struct exchange *x);
    void (*on_body)(struct exchange *x, struct om_str bytes);
    void (*on_request)(struct exchange *x);
    size_t body_max;    // 0: OM_HTTP_BODY_MAX
    const char *action; // in the audit log; NULL: not audited
    struct cache_policy cache;
    const char *doc;
};

extern const struct route routes[];
extern const size_t route_count;

// The route of a request, with the path's parameters. NULL: none; then `allow` lists the
// methods of the pattern that fits best, and is empty if nobody knows the path.
const struct route *route_find(const struct om_http_request *request,
                               struct om_str params[ROUTE_PARAMS_MAX], char *allow,
                               size_t allow_size);

// What a route reads and shows.
const struct rec *route_request(const struct route *route);
const struct rec *route_reply(const struct route *route);

// ---- handlers

void operate(struct exchange *x); // the route's operation, one to one
void predict(struct exchange *x);
void tenant_change(struct exchange *x);

void file_upload_head(struct exchange *x);
void file_upload_body(struct exchange *x, struct om_str bytes);
void file_upload_end(struct exchange *x);
void file_content(struct exchange *x);

void task_get(struct exchange *x);
void task_list(struct exchange *x);
void task_cancel(struct exchange *x);
void task_retry(struct exchange *x);
void task_submit(struct exchange *x);
void task_submit_batch(struct exchange *x);
void workflow_submit(struct exchange *x);
void task_events(struct exchange *x);
void task_retry_many(struct exchange *x);
void worker_list(struct exchange *x);
void worker_drain(struct exchange *x);
void admin_worker_list(struct exchange *x);
void admin_worker_drain(struct exchange *x);
void train_submit(struct exchange *x);

void queue_list(struct exchange *x);
void queue_get(struct exchange *x);
void queue_set(struct exchange *x);
void queue_pause(struct exchange *x);
void queue_resume(struct exchange *x);
void queue_purge(struct exchange *x);
void limit_list(struct exchange *x);
void limit_get(struct exchange *x);
void limit_set(struct exchange *x);
void admin_queue_list(struct exchange *x);
void admin_limit_list(struct exchange *x);
void admin_tenant_set(struct exchange *x);

void cache_purge_own(struct exchange *x);
void cache_purge_admin(struct exchange *x);

void admin_plan_set(struct exchange *x);
void quota_list(struct exchange *x);
void admin_quota_get(struct exchange *x);
void admin_quota_set(struct exchange *x);

void request_replay(struct exchange *x);

void transfer_get(struct exchange *x);
void transfer_put_head(struct exchange *x);
void transfer_put_body(struct exchange *x, struct om_str bytes);
void transfer_put_end(struct exchange *x);

void show_health(struct exchange *x);
void show_ready(struct exchange *x);
void show_openapi(struct exchange *x);
void show_metrics(struct exchange *x);
void show_status(struct exchange *x);
