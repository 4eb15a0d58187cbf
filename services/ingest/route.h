// route.h - what the interface offers, once: authentication, limits, audit, counters and
// the OpenAPI document are made from this table, so no route can forget them.
#pragma once
#include "http.h"
#include "ops.h"
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
};

enum { ROUTE_PARAMS_MAX = 3 };

struct route {
    enum om_http_method method;
    const char *pattern;
    enum route_auth auth;
    enum scope scope;
    unsigned flags;
    int status;        // of a success
    enum op op;        // OP_COUNT: none
    const char *param; // the request's field that is in the path
    // Without an operation of their own: what they read and show, for the document. NULL:
    // not JSON.
    const struct rec *request, *reply;
    // `on_request` of a row that has none calls its operation. Those with `on_body`
    // stream.
    void (*on_head)(struct exchange *x);
    void (*on_body)(struct exchange *x, struct om_str bytes);
    void (*on_request)(struct exchange *x);
    size_t body_max;    // 0: OM_HTTP_BODY_MAX
    const char *action; // in the audit log; NULL: not audited
    const char *doc;
};

extern const struct route routes[];
extern const size_t route_count;

// The route of a request, with the path's parameters. NULL: none; then `allow` lists the
// methods of the path, and is empty if nobody knows the path.
const struct route *route_find(const struct om_http_request *request,
                               struct om_str params[ROUTE_PARAMS_MAX], char *allow,
                               size_t allow_size);

// What a route reads and shows.
const struct rec *route_request(const struct route *route);
const struct rec *route_reply(const struct route *route);

// ---- handlers

void operate(struct exchange *x); // the route's operation, one to one
void predict(struct exchange *x);
void key_create(struct exchange *x);

void file_upload_head(struct exchange *x);
void file_upload_body(struct exchange *x, struct om_str bytes);
void file_upload_end(struct exchange *x);
void file_content(struct exchange *x);

void task_get(struct exchange *x);
void task_list(struct exchange *x);
void task_cancel(struct exchange *x);
void task_retry(struct exchange *x);
void task_submit(struct exchange *x);
void train_submit(struct exchange *x);

void transfer_get(struct exchange *x);
void transfer_put_head(struct exchange *x);
void transfer_put_body(struct exchange *x, struct om_str bytes);
void transfer_put_end(struct exchange *x);

void show_health(struct exchange *x);
void show_ready(struct exchange *x);
void show_openapi(struct exchange *x);
void show_metrics(struct exchange *x);

// ---- records of routes without an operation of their own

#define TASK_CREATE(F, M)                                                                \
    F(M, STR, queue, REQUIRED, 1, 64, NULL, "a queue of your own: [a-z][a-z0-9_-]*")     \
    F(M, STR, kind, REQUIRED, 1, 64, NULL, "kind of job, for the worker")                \
    F(M, MAP, payload, OPTIONAL, 0, 1000, NULL, "given to the worker as JSON")           \
    F(M, I64, priority, OPTIONAL, 0, 9, NULL, "0 is served first; 5 if absent")          \
    F(M, I64, max_attempts, OPTIONAL, 1, 100, NULL, "3 if absent")
REC_DECLARE(task_create, TASK_CREATE);

#define TASK_QUERY(F, M)                                                                 \
    F(M, STR, id, REQUIRED, 1, 48, NULL, "task id")                                      \
    F(M, I64, wait, OPTIONAL, 0, 60, NULL, "seconds to wait for the task to end")
REC_DECLARE(task_query, TASK_QUERY);

#define TASK_LIST_QUERY(F, M)                                                            \
    LIST_REQUEST(F, M)                                                                   \
    F(M, STR, status, OPTIONAL, 1, 16, NULL, "only tasks of this status")
REC_DECLARE(task_list_query, TASK_LIST_QUERY);

#define TASK_ACCEPTED(F, M)                                                              \
    F(M, STR, task_id, REQUIRED, 1, 48, NULL, "task id")                                 \
    F(M, STR, status, REQUIRED, 1, 16, NULL, "of the task")                              \
    F(M, STR, check_url, REQUIRED, 1, 128, NULL, "where to ask for its result")
REC_DECLARE(task_accepted, TASK_ACCEPTED);

#define TASK_ERROR(F, M)                                                                 \
    F(M, STR, code, REQUIRED, 1, 64, NULL, "why it failed")                              \
    F(M, STR, message, REQUIRED, 0, 1024, NULL, "why it failed, for people")
REC_DECLARE(task_error, TASK_ERROR);

// As the document shows a task; task.c writes it. `error` is one such object or null.
#define TASK_ITEM(F, M)                                                                  \
    F(M, STR, id, REQUIRED, 1, 48, NULL, "task id")                                      \
    F(M, STR, object, REQUIRED, 4, 4, NULL, "always task")                               \
    F(M, STR, queue, REQUIRED, 1, 64, NULL, "queue")                                     \
    F(M, STR, kind, REQUIRED, 0, 64, NULL, "kind of job")                                \
    F(M, STR, status, REQUIRED, 1, 16, NULL,                                             \
      "submitted, scheduled, running, retrying, complete, failed, cancelled or expired") \
    F(M, F64, progress, REQUIRED, 0, 1, NULL, "share done")                              \
    F(M, MAP, detail, REQUIRED, 0, 64, NULL, "what the worker says of its progress")     \
    F(M, MAP, result, OPTIONAL, 0, 1000, NULL, "of a complete task, else null")          \
    F(M, MAP, error, OPTIONAL, 0, 2, NULL,                                               \
      "code and message of a failed task, else null")                                    \
    F(M, I64, attempts, REQUIRED, 0, 1e9, NULL, "attempts started")                      \
    F(M, BOOL, cancel_requested, REQUIRED, 0, 1, NULL, "a cancel is under way")          \
    F(M, I64, created_at, REQUIRED, 0, 9e12, NULL, "s since 1970")                       \
    F(M, I64, started_at, OPTIONAL, 0, 9e12, NULL, "s since 1970, or null")              \
    F(M, I64, finished_at, OPTIONAL, 0, 9e12, NULL, "s since 1970, or null")
REC_DECLARE(task_item, TASK_ITEM);

#define TASK_PAGE(F, M) PAGE_REPLY(F, M, &task_item_rec)
REC_DECLARE(task_page, TASK_PAGE);

#define BLOB_WRITTEN(F, M)                                                               \
    F(M, STR, ref, REQUIRED, 1, 128, NULL, "its reference")                              \
    F(M, I64, bytes, REQUIRED, 0, 9e15, NULL, "its size")                                \
    F(M, STR, sha256, REQUIRED, 64, 64, NULL, "checksum of its bytes, hexadecimal")
REC_DECLARE(blob_written, BLOB_WRITTEN);
