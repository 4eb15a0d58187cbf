#include <stdio.h>
#include <stdlib.h>

#include "http_out.h"
#include "http_reply.h"

enum {
    DROP_MAX = 256 * 1024,   // a body nobody wants is read this far to keep a connection
    SPARE_BYTES = 32 * 1024, // a larger buffer is not kept
    PIECE_MAX = 16 * 1024,   // of a source, read at a time
    COMPACT_MIN = 16 * 1024, // bytes sent that may stay in front of those that wait
};

// ---- the buffer

// A connection that sends nothing has no buffer: it is lent while bytes wait.
static void
begin(struct om_http_conn *conn)
{
    struct om_http_env *env = conn->env;
    if (om_http_out_waits(conn)) {
        size_t left = conn->out.size - conn->out_sent;
        if (conn->out_sent < COMPACT_MIN || conn->out_sent < left)
            return;
        // A client that always leaves a little must not make the buffer grow for ever.
        memmove(conn->out.data, conn->out.data + conn->out_sent, left);
        conn->out.size = left;
        conn->out_sent = 0;
        return;
    }
    conn->out_since_ms = env->now_ms;
    if (conn->out.capacity == 0 && env->spare_count > 0)
        conn->out = env->spares[--env->spare_count];
}

static void
give_back(struct om_http_conn *conn)
{
    struct om_http_env *env = conn->env;
    conn->out_sent = 0;
    om_buf_reset(&conn->out);
    if (conn->out.capacity > SPARE_BYTES || env->spare_count == OM_HTTP_SPARES)
        om_buf_finish(&conn->out);
    else if (conn->out.capacity > 0)
        env->spares[env->spare_count++] = conn->out;
    conn->out = (struct om_buf){ 0 };
}

static void
close_source(struct om_http_conn *conn)
{
    if (conn->source.close)
        conn->source.close(conn->source.context);
    conn->source = (struct om_http_source){ 0 };
    conn->source_left = 0;
}

void
om_http_out_drop(struct om_http_conn *conn)
{
    close_source(conn);
    om_buf_finish(&conn->out);
    conn->out_sent = 0;
}

void
om_http_out_put(struct om_http_conn *conn, struct om_str bytes)
{
    begin(conn);
    om_buf_put(&conn->out, bytes.data, bytes.size);
}

// ---- sending

struct om_str
om_http_conn_pending(const struct om_http_conn *conn)
{
    if (!om_http_out_waits(conn))
        return (struct om_str){ 0 };
    return (struct om_str){ conn->out.data + conn->out_sent,
                            conn->out.size - conn->out_sent };
}

// Put the next piece of the source into `out`. A source that ends early leaves a response
// shorter than it said: only closing the connection tells the client so.
static void
refill(struct om_http_conn *conn)
{
    size_t want = conn->source_left < PIECE_MAX ? (size_t)conn->source_left : PIECE_MAX;
    size_t got = 0;
    begin(conn);
    char *at = om_buf_room(&conn->out, want);
    if (!at || !conn->source.read(conn->source.context, at, want, &got) || got == 0) {
        om_http_out_drop(conn);
        om_http_conn_tell_gone(conn);
        om_http_conn_close(conn, false);
        return;
    }
    conn->out.size += got;
    conn->source_left -= (int64_t)got;
    if (conn->source_left == 0)
        close_source(conn);
}

void
om_http_conn_sent(struct om_http_conn *conn, size_t size)
{
    conn->out_since_ms = conn->env->now_ms;
    conn->out_sent += size;
    if (om_http_out_waits(conn))
        return;
    give_back(conn);
    if (conn->source_left > 0)
        refill(conn);
}

bool
om_http_conn_all_sent(const struct om_http_conn *conn)
{
    return conn->state == OM_HTTP_STATE_CLOSING && !om_http_out_waits(conn);
}

bool
om_http_conn_done(const struct om_http_conn *conn)
{
    return om_http_conn_all_sent(conn) && (!conn->lingering || conn->eof);
}

// ---- whole responses

static bool
wants_body(const struct om_http_conn *conn, const struct om_http_response *response)
{
    return om_http_reply_has_body(response->status) &&
           conn->request.method != OM_HTTP_HEAD;
}

void
om_http_out_response(struct om_http_conn *conn, const struct om_http_response *response,
                     bool keep_alive)
{
    bool wanted = wants_body(conn, response);
    int64_t length =
        response->source.read ? response->source_bytes : (int64_t)response->body.size;
    begin(conn);
    om_http_reply_head(&conn->out, response, conn->env->date, conn->request.minor_version,
                       length, keep_alive);
    if (response->source.read) {
        conn->source = response->source;
        conn->source_left = wanted ? response->source_bytes : 0;
        if (conn->source_left <= 0)
            close_source(conn);
    } else if (wanted) {
        om_buf_put(&conn->out, response->body.data, response->body.size);
    }
    if (conn->out.failed) { // half a response must not be taken for a whole one
        om_http_out_drop(conn);
        conn->close_after = true;
    }
}

static bool
may_keep_alive(const struct om_http_conn *conn, const struct om_http_response *response)
{
    const struct om_http_request *request = &conn->request;
    if (!request->keep_alive || response->close || conn->env->draining)
        return false;
    if (conn->state != OM_HTTP_STATE_BODY)
        return true;
    // The rest of the body is read and dropped only if that is cheap. A client that was
    // not told to continue may or may not send it.
    uint64_t left = (uint64_t)request->content_length - conn->body_bytes;
    return !request->expects_continue && request->content_length >= 0 && left <= DROP_MAX;
}

void
om_http_conn_respond(struct om_http_conn *conn, const struct om_http_response *response)
{
    bool keep_alive = may_keep_alive(conn, response);
    conn->seen = false;
    conn->answered = true;
    conn->close_after = !keep_alive;
    om_http_out_response(conn, response, keep_alive);
}

// ---- streams

// There is no memory: the client must not take what it has for the whole. on_gone follows
// when the connection is closed.
static void
break_stream(struct om_http_conn *conn)
{
    om_http_out_drop(conn);
    om_http_conn_close(conn, false);
}

void
om_http_conn_begin(struct om_http_conn *conn, const struct om_http_response *response)
{
    bool old = conn->request.minor_version == 0; // it knows no chunks
    bool keep_alive = may_keep_alive(conn, response) && !old;
    conn->stream = !wants_body(conn, response) ? OM_HTTP_STREAM_MUTE
                   : old                       ? OM_HTTP_STREAM_PLAIN
                                               : OM_HTTP_STREAM_CHUNKED;
    conn->close_after = !keep_alive;
    om_http_conn_shed(conn);
    begin(conn);
    om_http_reply_head(&conn->out, response, conn->env->date, conn->request.minor_version,
                       old ? OM_HTTP_LENGTH_NONE : OM_HTTP_LENGTH_CHUNKED, keep_alive);
    if (response->body.size > 0)
        (void)om_http_conn_write(conn, response->body);
    if (conn->out.failed)
        break_stream(conn);
}

bool
om_http_out_has_room(const struct om_http_conn *conn)
{
    return conn->stream && conn->refused &&
           om_http_conn_pending(conn).size <= conn->env->conf.stream_max / 2;
}

bool
om_http_conn_write(struct om_http_conn *conn, struct om_str bytes)
{
    char line[24];
    if (conn->state == OM_HTTP_STATE_CLOSING)
        return false;
    if (conn->stream == OM_HTTP_STREAM_MUTE || bytes.size == 0)
        return true; // an empty chunk would be the end
    if (om_http_conn_pending(conn).size >= conn->env->conf.stream_max) {
        conn->refused = true;
        return false;
    }
    begin(conn);
    if (conn->stream == OM_HTTP_STREAM_CHUNKED) {
        int size = snprintf(line, sizeof(line), "%zx\r\n", bytes.size);
        om_buf_put(&conn->out, line, (size_t)size);
    }
    om_buf_put(&conn->out, bytes.data, bytes.size);
    if (conn->stream == OM_HTTP_STREAM_CHUNKED)
        om_buf_put(&conn->out, "\r\n", 2);
    if (!conn->out.failed)
        return true;
    break_stream(conn);
    return false;
}

void
om_http_conn_end(struct om_http_conn *conn)
{
    if (conn->state == OM_HTTP_STATE_CLOSING)
        return; // on_gone follows
    conn->seen = false;
    if (conn->env->draining)
        conn->close_after = true;
    if (conn->stream == OM_HTTP_STREAM_CHUNKED)
        om_http_out_put(conn, OM_LIT("0\r\n\r\n"));
    conn->stream = OM_HTTP_STREAM_NONE;
    conn->answered = true;
    if (conn->out.failed)
        break_stream(conn);
}

void
om_http_conn_abandon(struct om_http_conn *conn)
{
    conn->seen = false;
    om_http_conn_close(conn, false);
}
