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
#include "http_message.h"

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
    // A refusal: fill in the body and fields. If it comes after on_head, `user` is what
    // that set, and on_gone follows. May be NULL.
    void (*on_refuse)(void *context, const struct om_http_request *request,
                      const char *reason, struct om_http_response *response);
    // A stream whose om_http_write() gave false has room again. May be NULL.
    void (*on_room)(void *context, struct om_http_request *request);
};

struct om_http_conf {
    int listen_fd;          // of om_http_listen; the loop takes it
    struct om_tls *tls;     // of tls.h, borrowed; NULL: plain HTTP
    size_t connections_max; // 0: 10,000
    size_t out_max;         // unsent bytes that stop the reading; 0: 256 KiB
    size_t stream_max;      // unsent bytes at which a stream is full; 0: 64 KiB
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

// Answer a request whose on_request was called with a body of a length nobody knows:
// chunks, or for HTTP/1.0 all until the close. A body of `response` is its first piece.
// The handle stays valid until om_http_end, om_http_abandon or on_gone; the strings of
// the request do not. False: it is over already.
bool om_http_begin(struct om_http_loop *loop, uint64_t handle,
                   const struct om_http_response *response);

// Send the next piece of a stream. True: it was taken, whatever its size. False: nothing
// was, because the client is slow, and on_room will be called; or the request is over. So
// a stream holds stream_max bytes and one piece at most, and a client that takes nothing
// for write_ms is closed.
OM_MUST_CHECK bool om_http_write(struct om_http_loop *loop, uint64_t handle,
                                 struct om_str bytes);

// The stream is complete; what waits is still sent, and the connection goes on. To end it
// as incomplete, abandon it.
void om_http_end(struct om_http_loop *loop, uint64_t handle);

// Unsent bytes of an answer.
size_t om_http_unsent(struct om_http_loop *loop, uint64_t handle);

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
// what an edge-triggered descriptor such as ZMQ_FD needs. The fd stays the caller's;
// watching it twice is watching it once.
OM_MUST_CHECK bool om_http_watch(struct om_http_loop *loop, int fd);
void om_http_unwatch(struct om_http_loop *loop, int fd);
void om_http_on_wake(struct om_http_loop *loop, void (*hook)(void *context),
                     void *context);
