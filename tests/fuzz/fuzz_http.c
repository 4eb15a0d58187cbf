// fuzz_http.c - any bytes, in any pieces, into a connection. The first bytes choose what
// its hooks do. What is wrong shows as a crash, or as a broken promise of http.h.
#include <stdlib.h>

#include "http_conn.h"

// Like assert, in every build.
#define PROMISE(condition) ((condition) ? (void)0 : abort())

struct peer {
    struct om_http_env env;
    struct om_http_conn conn;
    uint8_t behaviour;
    bool open; // between on_head and the answer, or on_gone
    bool streaming;
    volatile size_t sink;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
touch(struct peer *peer, struct om_str text)
{
    for (size_t i = 0; i < text.size; i++)
        peer->sink += (unsigned char)text.data[i];
}

static void
answer(struct peer *peer)
{
    PROMISE(peer->open);
    peer->open = false;
    struct om_http_response response = { .status = 200, .body = OM_LIT("ok") };
    om_http_conn_respond(&peer->conn, &response);
}

// A piece more than the connection holds back.
static void
stream(struct peer *peer)
{
    static const char piece[100];
    struct om_http_response response = { .status = 200, .body = OM_LIT("ok") };
    om_http_conn_begin(&peer->conn, &response);
    peer->streaming = true;
    for (int i = 0; i < 4; i++)
        if (!om_http_conn_write(&peer->conn, (struct om_str){ piece, sizeof(piece) }))
            return;
}

static void
end(struct peer *peer)
{
    PROMISE(peer->open);
    peer->open = peer->streaming = false;
    if (peer->behaviour & 32)
        om_http_conn_abandon(&peer->conn);
    else
        om_http_conn_end(&peer->conn);
}

static void
on_head(void *context, struct om_http_request *request)
{
    struct peer *peer = context;
    PROMISE(!peer->open);
    peer->open = true;
    touch(peer, request->path);
    for (size_t i = 0; i < request->segment_count; i++)
        touch(peer, request->segments[i]);
    for (size_t i = 0; i < request->query_count; i++)
        touch(peer, request->query[i].value);
    for (size_t i = 0; i < request->field_count; i++) {
        touch(peer, request->fields[i].value);
        PROMISE(
            !memchr(request->fields[i].value.data, '\n', request->fields[i].value.size));
    }
    request->streamed = peer->behaviour & 1;
    request->body_limit = 1000;
    peer->conn.paused = peer->behaviour & 2;
    if ((peer->behaviour & 12) == 4)
        answer(peer);
}

static void
on_body(void *context, struct om_http_request *request, struct om_str bytes)
{
    struct peer *peer = context;
    PROMISE(request->streamed && bytes.size > 0);
    touch(peer, bytes);
    if ((peer->behaviour & 12) == 8)
        answer(peer);
}

static void
on_request(void *context, struct om_http_request *request)
{
    struct peer *peer = context;
    PROMISE(request->body.size <= 1000);
    touch(peer, request->body);
    if ((peer->behaviour & 12) == 12)
        return;
    if (peer->behaviour & 16)
        stream(peer);
    else
        answer(peer);
}

static void
on_room(void *context, struct om_http_request *request)
{
    struct peer *peer = context;
    (void)request;
    PROMISE(peer->streaming);
    PROMISE(om_http_conn_write(&peer->conn, OM_LIT("more")));
}

static void
on_gone(void *context, struct om_http_request *request)
{
    struct peer *peer = context;
    (void)request;
    PROMISE(peer->open);
    peer->open = peer->streaming = false;
}

static void
run(struct peer *peer)
{
    om_http_conn_run(&peer->conn);
    struct om_str pending;
    while ((pending = om_http_conn_pending(&peer->conn)).size > 0) {
        om_http_conn_sent(&peer->conn, pending.size);
        om_http_conn_run(&peer->conn);
    }
}

// What happens between two pieces: a parked request is answered, a pause ends.
static void
turn(struct peer *peer)
{
    if (peer->streaming)
        end(peer);
    else if (peer->conn.state == OM_HTTP_STATE_PARKED && peer->open)
        answer(peer);
    peer->conn.paused = false;
    run(peer);
    PROMISE(om_http_conn_deadline(&peer->conn) > 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct om_http_hooks hooks = { on_head, on_body, on_request,
                                                on_gone, NULL,    on_room };
    if (size < 2)
        return 0;
    struct peer peer = { .behaviour = data[0] };
    struct om_http_conf conf = { .hooks = &hooks, .context = &peer, .stream_max = 200 };
    om_http_env_init(&peer.env, &conf);
    om_http_env_clock(&peer.env, 1, 1);
    om_http_conn_init(&peer.conn, &peer.env, "", 1);
    size_t step = data[1] + 1u;
    for (size_t at = 2; at < size;) {
        char *window;
        size_t room;
        if (!om_http_conn_window(&peer.conn, &window, &room))
            break;
        if (room == 0 && peer.conn.state == OM_HTTP_STATE_CLOSING)
            break;
        size_t piece = size - at < step ? size - at : step;
        piece = piece < room ? piece : room;
        memcpy(window, data + at, piece);
        om_http_conn_received(&peer.conn, piece);
        at += piece;
        run(&peer);
        turn(&peer);
    }
    peer.conn.eof = true;
    turn(&peer);
    om_http_conn_finish(&peer.conn);
    PROMISE(!peer.open);
    om_http_env_finish(&peer.env);
    return 0;
}
