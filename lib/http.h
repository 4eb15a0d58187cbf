// http.h - an HTTP/1.1 server: one event loop a thread, requests in, responses out.
//
// A loop, its connections and its requests belong to the thread that runs it; only
// om_http_loop_stop may be called from others. A connection handles one request at a
// time, so pipelined requests are answered in order. A request is answered in the hook,
// or parked: the hook returns, and om_http_respond is called later in the same thread
// with its handle. A handle is never used twice: once the client is gone, everything done
// with it does nothing.
//
// Whatever is malformed, too large or too slow is refused before a hook sees it (RFC
// 9110, RFC 9112; docs/http.md has the list). The parser behind it is known to
// http_head.c alone.
#pragma once
#include "rc.h"

//  symbol
#define OM_HTTP_METHOD_LIST(X) X(GET) X(HEAD) X(POST) X(PUT) X(PATCH) X(DELETE) X(OPTIONS)

enum om_http_method {
    OM_HTTP_OTHER, // known to HTTP, to no route of ours
#define OM_HTTP_METHOD_ENUM(symbol) OM_HTTP_##symbol,
    OM_HTTP_METHOD_LIST(OM_HTTP_METHOD_ENUM)
#undef OM_HTTP_METHOD_ENUM
        OM_HTTP_METHOD_COUNT
};

const char *om_http_method_name(enum om_http_method method);

enum {
    OM_HTTP_HEAD_MAX = 16 * 1024,
    OM_HTTP_FIELDS_MAX = 100,
    OM_HTTP_QUERY_MAX = 32,
    OM_HTTP_SEGMENTS_MAX = 16,
    OM_HTTP_BODY_MAX =
        2 * 1024 * 1024, // of a body that is not streamed, if no limit is set
    OM_HTTP_REPLY_FIELDS_MAX = 12,
    OM_HTTP_REMOTE_MAX = 46, // an IPv6 address as text
};

struct om_http_field {
    struct om_str name, value;
};

// A request. Everything in it is borrowed from the connection until the request ends:
// om_http_respond or on_gone.
struct om_http_request {
    uint64_t handle;
    enum om_http_method method;
    int minor_version;  // of HTTP/1.x
    struct om_str path; // as it was sent, without the query
    size_t segment_count;
    struct om_str segments[OM_HTTP_SEGMENTS_MAX]; // of the path, percent-decoded
    size_t query_count;
    struct om_http_field query[OM_HTTP_QUERY_MAX]; // percent-decoded
    size_t field_count;
    struct om_http_field fields[OM_HTTP_FIELDS_MAX];
    bool has_body;
    bool keep_alive; // what the client wants
    bool expects_continue;
    int64_t content_length; // -1: the body is chunked
    struct om_str body;     // the whole body, unless it is streamed
    const char *remote;     // the client's address
    int64_t started_ms;     // first byte, on the loop's clock
    // Set by on_head:
    size_t body_limit; // in bytes; OM_HTTP_BODY_MAX before
    bool streamed;     // on_body gets the body piece by piece
    void *user;        // the caller's own
};

// The first header field, or query parameter, of that name (field names in any case).
// Absent: data == NULL.
struct om_str om_http_field(const struct om_http_request *request, const char *name);
struct om_str om_http_query(const struct om_http_request *request, const char *name);

// Does the path match a pattern like "/v1/files/{id}"? A "{name}" takes one segment that is
// neither empty nor dots. What each took goes to `params`, which has room for `max`.
bool om_http_match(const struct om_http_request *request, const char *pattern,
                   struct om_str *params, size_t max);

// A body that is read while it is sent. `close` is called once, whatever happens.
struct om_http_source {
    void *context;
    bool (*read)(void *context, void *out, size_t size, size_t *got);
    void (*close)(void *context);
};

// A response. Zero is a good start; what it points to is borrowed until the call that
// takes it returns. Content-length, date and connection are added.
struct om_http_response {
    int status;
    struct om_str content_type;
    struct om_str body;
    struct om_http_source source; // the body instead, if it has a `read`; taken
    int64_t source_bytes;         // how much it will give
    bool close;                   // close the connection after it
    size_t field_count;
    struct om_http_field fields[OM_HTTP_REPLY_FIELDS_MAX];
};

// Add a header field; control characters are left out when it is written.
void om_http_response_field(struct om_http_response *response, const char *name,
                            struct om_str value);

// What the owner of the loop does. `context` is the conf's.
struct om_http_hooks {
    // The head is here and well-formed. May set body_limit, streamed and user, may pause
    // the body, and may answer at once: then on_request is not called and the body is
    // dropped.
    void (*on_head)(void *context, struct om_http_request *request);
    // Bytes of a streamed body. May pause, and may answer to end the upload.
    void (*on_body)(void *context, struct om_http_request *request, struct om_str bytes);
    // The request is complete: answer it, or park it.
    void (*on_request)(void *context, struct om_http_request *request);
    // The request ends without an answer of yours: the client left, or what it sent after
    // the head was refused. The handle is no longer valid. Follows on_head at most once.
    void (*on_gone)(void *context, struct om_http_request *request);
    // A refusal, before or after on_head: fill in the body and fields. May be NULL.
    void (*on_refuse)(void *context, const struct om_http_request *request,
                      const char *reason, struct om_http_response *response);
};

struct om_http_conf {
    int listen_fd;          // of om_http_listen; the loop takes it
    size_t connections_max; // 0: 10,000
    size_t out_max;         // unsent bytes that stop the reading; 0: 256 KiB
    int64_t head_ms;        // a head must be here after; 0: 10 s
    int64_t idle_ms;        // between requests; 0: 75 s
    int64_t body_ms;        // in each such time at least body_min bytes; 0: 5 s
    int64_t body_min;       // 0: 1 KiB
    int64_t write_ms;       // a client that takes no bytes is closed after; 0: 30 s
    int64_t linger_ms;      // for the client to read a refusal; 0: 1 s
    int64_t drain_ms;       // for parked requests once stopped; 0: 5 s
    const struct om_http_hooks *hooks;
    void *context;
};

struct om_http_loop;

// A listening socket on a numeric address; port 0 is any free one. The first of a process
// is made with join = false and fails when anyone else has the port; more loops join it.
//   OM_EINVAL  not HOST:PORT     OM_ECONFLICT  the port is taken
//   OM_EUNAVAILABLE  the system refused (errno)
OM_MUST_CHECK enum om_rc om_http_listen(const char *host_port, bool join, int *fd);

// The port a listening socket is bound to.
int om_http_port(int listen_fd);

// Takes conf->listen_fd, also on failure: NULL when the system has no more memory or fds.
struct om_http_loop *om_http_loop_create(const struct om_http_conf *conf);
void om_http_loop_destroy(struct om_http_loop **loop_p);

// Serve until stopped; then accept nothing more, end idle connections, let requests in
// flight be answered for drain_ms, close what is left, and return.
void om_http_loop_run(struct om_http_loop *loop);

// May be called from any thread, and from a signal handler.
void om_http_loop_stop(struct om_http_loop *loop);

// Answer a request. False when it is over already.
bool om_http_respond(struct om_http_loop *loop, uint64_t handle,
                     const struct om_http_response *response);

// Close the connection of a request without an answer; on_gone is not called.
void om_http_abandon(struct om_http_loop *loop, uint64_t handle);

// Hold back the body of a streamed request: the client is slowed down by TCP; and go on.
void om_http_pause(struct om_http_loop *loop, uint64_t handle);
void om_http_resume(struct om_http_loop *loop, uint64_t handle);

// The request of a handle, or NULL if it is over.
struct om_http_request *om_http_find(struct om_http_loop *loop, uint64_t handle);

// Milliseconds of CLOCK_MONOTONIC, read once a turn of the loop.
int64_t om_http_now_ms(const struct om_http_loop *loop);

size_t om_http_connections(const struct om_http_loop *loop);

// Timers of the loop's clock (timers.h).
struct om_timers *om_http_timers(struct om_http_loop *loop);

// Wake the loop when `fd` can be read. The hook set by om_http_on_wake runs at the end of
// every turn, whatever woke it, and until it and the requests have nothing more to do:
// what an edge-triggered descriptor such as ZMQ_FD needs. The fd stays the caller's; watching
// it twice is watching it once.
OM_MUST_CHECK bool om_http_watch(struct om_http_loop *loop, int fd);
void om_http_unwatch(struct om_http_loop *loop, int fd);
void om_http_on_wake(struct om_http_loop *loop, void (*hook)(void *context),
                     void *context);
