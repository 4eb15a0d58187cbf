#include <stdio.h>
#include <stdlib.h>

#include "http_peer.h"

void
peer_answer(struct peer *self, const struct om_http_request *request)
{
    char text[512];
    struct om_str body = request->streamed ? om_buf_str(&self->stream) : request->body;
    int size =
        snprintf(text, sizeof(text), "%s %.*s %.*s", om_http_method_name(request->method),
                 (int)request->path.size, request->path.data,
                 (int)(body.size > 200 ? 200 : body.size), body.data ? body.data : "");
    struct om_http_response response = { .status = 200,
                                         .content_type = OM_LIT("text/plain"),
                                         .body = { text, (size_t)size } };
    om_http_conn_respond(&self->conn, self->fixed.status ? &self->fixed : &response);
}

static void
on_head(void *context, struct om_http_request *request)
{
    struct peer *peer = context;
    peer->heads++;
    request->streamed = peer->stream_all;
    if (peer->limit)
        request->body_limit = peer->limit;
    if (peer->pause)
        peer->conn.paused = true;
    if (peer->answer_head)
        peer_answer(peer, request);
}

static void
on_body(void *context, struct om_http_request *request, struct om_str bytes)
{
    struct peer *peer = context;
    om_buf_put(&peer->stream, bytes.data, bytes.size);
    if (peer->answer_body)
        peer_answer(peer, request);
}

static void
on_request(void *context, struct om_http_request *request)
{
    struct peer *peer = context;
    peer->requests++;
    if (!peer->park)
        peer_answer(peer, request);
}

static void
on_gone(void *context, struct om_http_request *request)
{
    (void)request;
    ((struct peer *)context)->gone++;
}

static void
on_room(void *context, struct om_http_request *request)
{
    (void)request;
    ((struct peer *)context)->rooms++;
}

static const struct om_http_hooks hooks = { on_head, on_body, on_request,
                                            on_gone, NULL,    on_room };

void
peer_init_with(struct peer *self, struct om_http_conf conf)
{
    memset(self, 0, sizeof(*self));
    conf.hooks = &hooks;
    conf.context = self;
    om_http_env_init(&self->env, &conf);
    om_http_env_clock(&self->env, 1000, 784111777);
    om_http_conn_init(&self->conn, &self->env, "192.0.2.1", 7);
}

void
peer_init(struct peer *self)
{
    peer_init_with(self, (struct om_http_conf){ 0 });
}

void
peer_finish(struct peer *self)
{
    om_http_conn_finish(&self->conn);
    om_http_env_finish(&self->env);
    om_buf_finish(&self->got);
    om_buf_finish(&self->stream);
}

void
peer_put(struct peer *self, const char *text)
{
    char *at;
    size_t room;
    cr_assert(om_http_conn_window(&self->conn, &at, &room));
    cr_assert_leq(strlen(text), room);
    memcpy(at, text, strlen(text));
    om_http_conn_received(&self->conn, strlen(text));
    om_http_conn_run(&self->conn);
}

void
peer_read(struct peer *self)
{
    struct om_str pending;
    while ((pending = om_http_conn_pending(&self->conn)).size > 0) {
        om_buf_put(&self->got, pending.data, pending.size);
        om_http_conn_sent(&self->conn, pending.size);
        om_http_conn_run(&self->conn);
    }
}

void
peer_run(struct peer *self)
{
    om_http_conn_run(&self->conn);
    peer_read(self);
}

size_t
peer_feed(struct peer *self, struct om_str bytes, size_t step)
{
    size_t sent = 0;
    while (sent < bytes.size) {
        char *at;
        size_t room;
        cr_assert(om_http_conn_window(&self->conn, &at, &room));
        size_t size = bytes.size - sent < step ? bytes.size - sent : step;
        size = size < room ? size : room;
        if (size == 0)
            break;
        memcpy(at, bytes.data + sent, size);
        om_http_conn_received(&self->conn, size);
        sent += size;
        peer_run(self);
    }
    return sent;
}

void
peer_feed_text(struct peer *self, const char *text)
{
    peer_feed(self, om_str(text), SIZE_MAX);
}

const char *
peer_output(struct peer *self)
{
    om_buf_put(&self->got, "", 1);
    self->got.size--;
    return self->got.data;
}

int
peer_status(struct peer *self)
{
    const char *text = peer_output(self);
    return strncmp(text, "HTTP/1.1 ", 9) == 0 ? atoi(text + 9) : 0;
}
