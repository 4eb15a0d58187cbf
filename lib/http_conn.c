#include <stdlib.h>
#include <time.h>

#include "http_out.h"

// ---- what connections share

void
om_http_env_init(struct om_http_env *env, const struct om_http_conf *conf)
{
    *env = (struct om_http_env){ .conf = *conf };
    struct om_http_conf *c = &env->conf;
    c->connections_max = c->connections_max ? c->connections_max : 10000;
    c->out_max = c->out_max ? c->out_max : 256 * 1024;
    c->stream_max = c->stream_max ? c->stream_max : 64 * 1024;
    c->head_ms = c->head_ms ? c->head_ms : 10000;
    c->idle_ms = c->idle_ms ? c->idle_ms : 75000;
    c->body_ms = c->body_ms ? c->body_ms : 5000;
    c->body_min = c->body_min ? c->body_min : 1024;
    c->write_ms = c->write_ms ? c->write_ms : 30000;
    c->linger_ms = c->linger_ms ? c->linger_ms : 1000;
    c->drain_ms = c->drain_ms ? c->drain_ms : 5000;
}

void
om_http_env_finish(struct om_http_env *env)
{
    while (env->blocks) {
        struct om_http_block *next = env->blocks->next;
        free(env->blocks);
        env->blocks = next;
    }
    while (env->spare_count > 0)
        om_buf_finish(&env->spares[--env->spare_count]);
}

void
om_http_env_clock(struct om_http_env *env, int64_t now_ms, int64_t unix_s)
{
    env->now_ms = now_ms;
    if (unix_s == env->date_s && env->date[0])
        return;
    env->date_s = unix_s;
    time_t seconds = (time_t)unix_s;
    struct tm tm;
    gmtime_r(&seconds, &tm);
    // Month and day names are English: no program here calls setlocale().
    strftime(env->date, sizeof(env->date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
}

static bool
take_block(struct om_http_conn *conn)
{
    struct om_http_env *env = conn->env;
    if (conn->block)
        return true;
    conn->block = env->blocks;
    if (conn->block) {
        env->blocks = conn->block->next;
        env->block_count--;
    } else {
        conn->block = malloc(sizeof(*conn->block));
    }
    conn->at = conn->end = 0;
    if (!conn->block)
        return false;
    struct om_http_request *request = &conn->request;
    request->segments = conn->block->tables.segments;
    request->query = conn->block->tables.query;
    request->fields = conn->block->tables.fields;
    return true;
}

static void
give_block(struct om_http_conn *conn)
{
    struct om_http_env *env = conn->env;
    if (conn->block && env->block_count < OM_HTTP_BLOCKS_KEPT) {
        conn->block->next = env->blocks;
        env->blocks = conn->block;
        env->block_count++;
    } else {
        free(conn->block);
    }
    conn->block = NULL;
    conn->at = conn->end = 0;
    struct om_http_request *request = &conn->request;
    request->segment_count = request->query_count = request->field_count = 0;
}

// ---- life

void
om_http_conn_init(struct om_http_conn *conn, struct om_http_env *env, const char *remote,
                  uint64_t handle)
{
    memset(conn, 0, sizeof(*conn));
    conn->env = env;
    conn->since_ms = env->now_ms;
    conn->request.handle = handle;
    conn->request.remote = remote;
}

void
om_http_conn_tell_gone(struct om_http_conn *conn)
{
    if (!conn->seen)
        return;
    conn->seen = false;
    const struct om_http_conf *conf = &conn->env->conf;
    if (conf->hooks->on_gone)
        conf->hooks->on_gone(conf->context, &conn->request);
}

void
om_http_conn_finish(struct om_http_conn *conn)
{
    om_http_conn_tell_gone(conn);
    om_http_out_drop(conn);
    give_block(conn);
    om_buf_finish(&conn->body);
}

// ---- input

bool
om_http_conn_window(struct om_http_conn *conn, char **at, size_t *size)
{
    *at = NULL;
    *size = 0;
    if (conn->eof || (conn->state == OM_HTTP_STATE_CLOSING && !conn->lingering))
        return true;
    if (!take_block(conn))
        return false;
    *at = conn->block->input + conn->end;
    *size = OM_HTTP_INPUT_MAX - conn->end;
    return true;
}

void
om_http_conn_received(struct om_http_conn *conn, size_t size)
{
    if (conn->state == OM_HTTP_STATE_HEAD && conn->at == conn->end)
        conn->since_ms = conn->env->now_ms;
    conn->end += size;
}

// ---- the end

void
om_http_conn_close(struct om_http_conn *conn, bool linger)
{
    conn->state = OM_HTTP_STATE_CLOSING;
    conn->lingering = linger;
    conn->since_ms = conn->env->now_ms;
    conn->at = conn->end = 0;
}

// Answer with an error of our own and end the connection: after a message that cannot be
// read nobody knows where the next one begins.
static void
refuse(struct om_http_conn *conn, int status, const char *reason)
{
    const struct om_http_conf *conf = &conn->env->conf;
    if (!conn->answered) {
        struct om_http_response response = { .status = status,
                                             .content_type = OM_LIT("text/plain"),
                                             .body = om_str(reason),
                                             .close = true };
        if (conf->hooks->on_refuse)
            conf->hooks->on_refuse(conf->context, &conn->request, reason, &response);
        om_http_out_response(conn, &response, false);
    }
    om_http_conn_tell_gone(conn);
    om_http_conn_close(conn, true);
}

void
om_http_conn_shed(struct om_http_conn *conn)
{
    struct om_http_request *request = &conn->request;
    request->path = request->query_text = request->body = (struct om_str){ 0 };
    request->segment_count = request->query_count = request->field_count = 0;
    om_buf_finish(&conn->body);
    if (conn->at == conn->end)
        give_block(conn);
}

// ---- the machine: each step returns true if there may be another one

static void
begin_request(struct om_http_conn *conn)
{
    struct om_http_request *request = &conn->request;
    memset(&conn->scan, 0, sizeof(conn->scan));
    conn->seen = true;
    conn->answered = conn->paused = conn->refused = false;
    conn->body_bytes = conn->window_bytes = 0;
    request->body = (struct om_str){ 0 };
    request->body_limit = OM_HTTP_BODY_MAX;
    request->streamed = false;
    request->user = NULL;
    request->started_ms = conn->since_ms;
    conn->since_ms = conn->env->now_ms;
    om_http_body_init(&conn->framing, request->content_length);
    conn->state = OM_HTTP_STATE_BODY;
}

static bool
end_request(struct om_http_conn *conn)
{
    conn->request.handle += UINT64_C(1) << OM_HTTP_SLOT_BITS;
    om_buf_finish(&conn->body);
    if (conn->close_after) {
        // Closing a socket with unread bytes would reset it, and the answer might be
        // lost.
        om_http_conn_close(conn,
                           conn->state == OM_HTTP_STATE_BODY || conn->at < conn->end);
        return false;
    }
    conn->state = OM_HTTP_STATE_HEAD;
    conn->used = true;
    conn->since_ms = conn->env->now_ms;
    return true;
}

// Move what is left of the input to its start, without the empty lines some clients send
// behind a body.
static void
trim_input(struct om_http_conn *conn)
{
    char *input = conn->block->input;
    while (conn->at < conn->end && (input[conn->at] == '\r' || input[conn->at] == '\n'))
        conn->at++;
    conn->end -= conn->at;
    if (conn->at > 0 && conn->end > 0)
        memmove(input, input + conn->at, conn->end);
    conn->at = 0;
}

static bool
no_more_input(struct om_http_conn *conn)
{
    if (conn->eof) {
        om_http_conn_tell_gone(conn);
        om_http_conn_close(conn, false);
    }
    return false;
}

static bool
refuse_head(struct om_http_conn *conn, int status, const char *reason)
{
    struct om_http_request *request = &conn->request;
    request->method = OM_HTTP_OTHER;
    request->minor_version = 1;
    request->path = request->query_text = (struct om_str){ 0 };
    request->field_count = 0;
    request->user = NULL;
    refuse(conn, status, reason);
    return false;
}

static bool
step_head(struct om_http_conn *conn)
{
    if (conn->out.size - conn->out_sent > conn->env->conf.out_max || conn->source.read)
        return false; // the client must take its answers before it gets more
    if (conn->block && conn->scan.at == 0)
        trim_input(conn);
    if (!conn->block || conn->end == 0) {
        give_block(conn);
        if (conn->env->draining)
            om_http_conn_close(conn, false);
        return no_more_input(conn);
    }

    struct om_str bytes = { conn->block->input, conn->end };
    enum om_http_scan_result result = om_http_scan(&conn->scan, bytes);
    if (result == OM_HTTP_SCAN_BAD)
        return refuse_head(conn, 400, "this is no head of an HTTP/1.1 request");
    if (conn->scan.at > OM_HTTP_HEAD_MAX)
        return conn->scan.line == 0
                   ? refuse_head(conn, 414, "the request line is too long")
                   : refuse_head(conn, 431, "the head is too large");
    if (result == OM_HTTP_SCAN_MORE)
        return no_more_input(conn);

    conn->at = conn->head_size = bytes.size = conn->scan.at;
    struct om_http_refusal why;
    if (!om_http_head_parse(bytes, conn->block->decoded, &conn->request, &why))
        return refuse_head(conn, why.status, why.reason);
    begin_request(conn);
    conn->env->conf.hooks->on_head(conn->env->conf.context, &conn->request);
    return true;
}

static bool
complete(struct om_http_conn *conn)
{
    if (conn->answered)
        return end_request(conn);
    conn->state = OM_HTTP_STATE_PARKED;
    conn->env->conf.hooks->on_request(conn->env->conf.context, &conn->request);
    return true;
}

static bool
take_body(struct om_http_conn *conn, struct om_str data)
{
    struct om_http_request *request = &conn->request;
    conn->body_bytes += data.size;
    if (conn->answered) {
        // A chunked body ended its connection when it was answered.
        return true;
    }
    if (conn->body_bytes > request->body_limit) {
        refuse(conn, 413, "the body is larger than this route allows");
        return false;
    }
    if (request->streamed) {
        conn->env->conf.hooks->on_body(conn->env->conf.context, request, data);
        return true;
    }
    om_buf_put(&conn->body, data.data, data.size);
    if (conn->body.failed)
        refuse(conn, 503, "there is no memory for the body");
    return !conn->body.failed;
}

// Is the body one piece in the input? Then it needs no copy.
static bool
is_whole(const struct om_http_conn *conn)
{
    const struct om_http_request *request = &conn->request;
    return request->content_length > 0 && conn->body_bytes == 0 && !request->streamed &&
           conn->end - conn->at >= (size_t)request->content_length;
}

// May the body be read now? Says 100 Continue if the client waits for that.
static bool
wants_body(struct om_http_conn *conn)
{
    struct om_http_request *request = &conn->request;
    if (conn->answered)
        return true;
    if (request->content_length > 0 &&
        (uint64_t)request->content_length > request->body_limit) {
        refuse(conn, 413, "the body is larger than this route allows");
        return false;
    }
    if (conn->paused)
        return false;
    if (request->expects_continue && conn->at == conn->end)
        om_http_out_put(conn, OM_LIT("HTTP/1.1 100 Continue\r\n\r\n"));
    request->expects_continue = false;
    return true;
}

static bool
step_body(struct om_http_conn *conn)
{
    if (conn->answered && conn->close_after)
        return end_request(conn);
    if (!wants_body(conn))
        return false;
    if (is_whole(conn)) {
        size_t size = (size_t)conn->request.content_length;
        conn->request.body = (struct om_str){ conn->block->input + conn->at, size };
        conn->at += size;
        return complete(conn);
    }

    struct om_str input = { conn->block->input + conn->at, conn->end - conn->at };
    struct om_str data;
    enum om_http_body_result result = om_http_body_take(&conn->framing, &input, &data);
    conn->at = conn->end - input.size;
    switch (result) {
    case OM_HTTP_BODY_MORE:
        conn->at = conn->end = conn->head_size; // the window is free again
        return no_more_input(conn);
    case OM_HTTP_BODY_DATA:
        return take_body(conn, data);
    case OM_HTTP_BODY_END:
        if (!conn->request.streamed)
            conn->request.body = om_buf_str(&conn->body);
        return complete(conn);
    case OM_HTTP_BODY_BAD:
        refuse(conn, 400, "the chunks of the body are malformed");
        break;
    }
    return false;
}

static bool
step_parked(struct om_http_conn *conn)
{
    const struct om_http_conf *conf = &conn->env->conf;
    if (conn->stream && conn->at == conn->end)
        give_block(conn);
    if (conn->eof)
        return no_more_input(conn);
    if (!om_http_out_has_room(conn))
        return false;
    conn->refused = false;
    if (conf->hooks->on_room)
        conf->hooks->on_room(conf->context, &conn->request);
    return true;
}

static bool
step(struct om_http_conn *conn)
{
    switch (conn->state) {
    case OM_HTTP_STATE_HEAD:
        return step_head(conn);
    case OM_HTTP_STATE_BODY:
        return step_body(conn);
    case OM_HTTP_STATE_PARKED:
        return conn->answered ? end_request(conn) : step_parked(conn);
    case OM_HTTP_STATE_CLOSING:
        conn->at = conn->end = 0;
        return false;
    }
    return false;
}

void
om_http_conn_run(struct om_http_conn *conn)
{
    while (step(conn))
        ;
}

// ---- time

int64_t
om_http_conn_deadline(const struct om_http_conn *conn)
{
    const struct om_http_conf *conf = &conn->env->conf;
    if (om_http_out_waits(conn))
        return conn->out_since_ms + conf->write_ms;
    switch (conn->state) {
    case OM_HTTP_STATE_HEAD:
        return conn->since_ms +
               (conn->end == 0 && conn->used ? conf->idle_ms : conf->head_ms);
    case OM_HTTP_STATE_BODY:
        return conn->paused ? INT64_MAX : conn->since_ms + conf->body_ms;
    case OM_HTTP_STATE_PARKED:
        return INT64_MAX;
    case OM_HTTP_STATE_CLOSING:
        return conn->since_ms + conf->linger_ms;
    }
    return INT64_MAX;
}

bool
om_http_conn_expire(struct om_http_conn *conn)
{
    if (om_http_out_waits(conn) || conn->state == OM_HTTP_STATE_CLOSING)
        return false;
    if (conn->state == OM_HTTP_STATE_HEAD) {
        if (conn->end == 0)
            return false;
        refuse_head(conn, 408, "the head took too long");
        return true;
    }
    if (conn->state == OM_HTTP_STATE_BODY) {
        if (conn->body_bytes - conn->window_bytes >= (uint64_t)conn->env->conf.body_min) {
            conn->window_bytes = conn->body_bytes;
            conn->since_ms = conn->env->now_ms;
        } else {
            refuse(conn, 408, "the body comes too slowly");
        }
    }
    return true;
}
