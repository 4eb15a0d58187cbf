// http_conn.h - one connection as a state machine without a socket: bytes in, hooks
// called, bytes out. http_loop.c moves the bytes; tests and the fuzzer are other callers.
//
// The caller puts what it received at the place om_http_conn_window names, says so with
// om_http_conn_received, calls om_http_conn_run until there is nothing to do, and sends
// what is in `out`. Nothing here reads a clock: `now_ms` of the env is the time.
#pragma once
#include "http.h"
#include "http_body.h"
#include "http_head.h"
#include "pack.h"

enum {
    // A head, then a window for the bytes behind it, in one piece.
    OM_HTTP_INPUT_MAX = 48 * 1024,
    OM_HTTP_BLOCKS_KEPT = 64,
    OM_HTTP_SPARES = 64,
    // A handle is a slot of the loop's table in its low bits, and a count in the others.
    OM_HTTP_SLOT_BITS = 24,
};

// The memory of a connection that is doing something. Idle ones have none.
struct om_http_block {
    struct om_http_block *next;
    char input[OM_HTTP_INPUT_MAX];
    char decoded[OM_HTTP_HEAD_MAX];
    struct om_http_tables tables;
};

// What the connections of a loop share.
struct om_http_env {
    struct om_http_conf conf; // with the defaults filled in
    int64_t now_ms;
    char date[32]; // of the second date_s, as in the Date field
    int64_t date_s;
    bool draining; // every answer closes its connection
    struct om_http_block *blocks;
    size_t block_count;
    struct om_buf spares[OM_HTTP_SPARES]; // buffers to send from
    size_t spare_count;
};

enum om_http_state {
    OM_HTTP_STATE_HEAD,    // between requests, or in a head
    OM_HTTP_STATE_BODY,    // the head was taken
    OM_HTTP_STATE_PARKED,  // complete, and to be answered
    OM_HTTP_STATE_CLOSING, // send `out`, then close; what comes in is dropped
};

// How the body of a response is written that has no length.
enum om_http_stream {
    OM_HTTP_STREAM_NONE,
    OM_HTTP_STREAM_CHUNKED,
    OM_HTTP_STREAM_PLAIN, // to HTTP/1.0: closing is its end
    OM_HTTP_STREAM_MUTE,  // not at all: the answer to HEAD
};

struct om_http_conn {
    struct om_http_env *env;
    enum om_http_state state;
    struct om_http_block *block;
    size_t at, end; // bytes of the block's input that are not used yet
    size_t head_size;
    struct om_http_scan scan;
    struct om_http_body framing;
    struct om_buf body;
    struct om_http_request request;
    bool answered;    // this request has its answer; the rest of its body is dropped
    bool close_after; // the connection ends with this answer
    bool paused;      // the hooks want no more body now
    bool eof;         // the peer sends nothing more (set by the caller, before run)
    bool lingering;   // the peer may be sending still: do not reset the connection
    bool seen;        // on_head was called for this request, and no answer given
    bool used;        // this is not the first request
    uint64_t body_bytes;
    uint64_t window_bytes; // of them, before the current window of body_ms
    int64_t since_ms;      // when the present wait began
    struct om_buf out;
    size_t out_sent;
    struct om_http_source source; // sent behind `out`, piece by piece
    int64_t source_left;
    enum om_http_stream stream;
    bool refused;         // the writer was told to wait for room
    int64_t out_since_ms; // last progress in sending
};

// Fill in the defaults of `conf`.
void om_http_env_init(struct om_http_env *env, const struct om_http_conf *conf);
void om_http_env_finish(struct om_http_env *env);
void om_http_env_clock(struct om_http_env *env, int64_t now_ms, int64_t unix_s);

// `remote` is borrowed. The first request has `handle`, the next ones one more above the
// slot's bits.
void om_http_conn_init(struct om_http_conn *conn, struct om_http_env *env,
                       const char *remote, uint64_t handle);

// Frees everything; a request that still waits is told so by on_gone.
void om_http_conn_finish(struct om_http_conn *conn);

// Where to put received bytes; size 0 when none are wanted now. False: no memory.
bool om_http_conn_window(struct om_http_conn *conn, char **at, size_t *size);
void om_http_conn_received(struct om_http_conn *conn, size_t size);

// Handle what was received, as far as it goes.
void om_http_conn_run(struct om_http_conn *conn);

// Answer the current request; and end the connection without an answer.
void om_http_conn_respond(struct om_http_conn *conn,
                          const struct om_http_response *response);
void om_http_conn_abandon(struct om_http_conn *conn);

// Begin a streamed answer to a parked request; see om_http_begin().
void om_http_conn_begin(struct om_http_conn *conn,
                        const struct om_http_response *response);
bool om_http_conn_write(struct om_http_conn *conn, struct om_str bytes);
void om_http_conn_end(struct om_http_conn *conn);

// Bytes to send now, and how many of them went.
struct om_str om_http_conn_pending(const struct om_http_conn *conn);
void om_http_conn_sent(struct om_http_conn *conn, size_t size);

// Has everything been sent that will be, and is this the end? One that lingers is not
// done but wants its sending side shut.
bool om_http_conn_all_sent(const struct om_http_conn *conn);
bool om_http_conn_done(const struct om_http_conn *conn);

// When om_http_conn_expire is to be called if nothing happens; INT64_MAX for never.
int64_t om_http_conn_deadline(const struct om_http_conn *conn);

// The deadline has come. False: close the connection now.
bool om_http_conn_expire(struct om_http_conn *conn);
