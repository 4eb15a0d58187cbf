#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "http_conn.h"

// A connection without a socket, whose hooks answer "METHOD /path body".
struct peer {
    struct om_http_env env;
    struct om_http_conn conn;
    struct om_buf got;             // everything the connection sent
    struct om_buf stream;          // everything on_body was given
    struct om_http_response fixed; // used instead, if it has a status
    bool park, stream_all, answer_head, pause, answer_body;
    size_t limit;
    int heads, requests, gone, rooms;
};

static void
answer(struct peer *peer, const struct om_http_request *request)
{
    char text[512];
    struct om_str body = request->streamed ? om_buf_str(&peer->stream) : request->body;
    int size =
        snprintf(text, sizeof(text), "%s %.*s %.*s", om_http_method_name(request->method),
                 (int)request->path.size, request->path.data,
                 (int)(body.size > 200 ? 200 : body.size), body.data ? body.data : "");
    struct om_http_response response = { .status = 200,
                                         .content_type = OM_LIT("text/plain"),
                                         .body = { text, (size_t)size } };
    om_http_conn_respond(&peer->conn, peer->fixed.status ? &peer->fixed : &response);
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
        answer(peer, request);
}

static void
on_body(void *context, struct om_http_request *request, struct om_str bytes)
{
    struct peer *peer = context;
    om_buf_put(&peer->stream, bytes.data, bytes.size);
    if (peer->answer_body)
        answer(peer, request);
}

static void
on_request(void *context, struct om_http_request *request)
{
    struct peer *peer = context;
    peer->requests++;
    if (!peer->park)
        answer(peer, request);
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

static void
peer_init(struct peer *peer)
{
    memset(peer, 0, sizeof(*peer));
    struct om_http_conf conf = { .hooks = &hooks, .context = peer };
    om_http_env_init(&peer->env, &conf);
    om_http_env_clock(&peer->env, 1000, 784111777);
    om_http_conn_init(&peer->conn, &peer->env, "192.0.2.1", 7);
}

static void
peer_finish(struct peer *peer)
{
    om_http_conn_finish(&peer->conn);
    om_http_env_finish(&peer->env);
    om_buf_finish(&peer->got);
    om_buf_finish(&peer->stream);
}

static void
collect(struct peer *peer)
{
    struct om_str pending;
    while ((pending = om_http_conn_pending(&peer->conn)).size > 0) {
        om_buf_put(&peer->got, pending.data, pending.size);
        om_http_conn_sent(&peer->conn, pending.size);
        om_http_conn_run(&peer->conn);
    }
}

static void
run(struct peer *peer)
{
    om_http_conn_run(&peer->conn);
    collect(peer);
}

// Send at most `step` bytes at a time, as far as the connection takes them.
static size_t
feed(struct peer *peer, struct om_str bytes, size_t step)
{
    size_t sent = 0;
    while (sent < bytes.size) {
        char *at;
        size_t room;
        cr_assert(om_http_conn_window(&peer->conn, &at, &room));
        size_t size = bytes.size - sent < step ? bytes.size - sent : step;
        size = size < room ? size : room;
        if (size == 0)
            break;
        memcpy(at, bytes.data + sent, size);
        om_http_conn_received(&peer->conn, size);
        sent += size;
        run(peer);
    }
    return sent;
}

static void
feed_text(struct peer *peer, const char *text)
{
    feed(peer, om_str(text), SIZE_MAX);
}

// The final zero is added for strstr.
static const char *
output(struct peer *peer)
{
    om_buf_put(&peer->got, "", 1);
    peer->got.size--;
    return peer->got.data;
}

static int
status_of(struct peer *peer)
{
    const char *text = output(peer);
    return strncmp(text, "HTTP/1.1 ", 9) == 0 ? atoi(text + 9) : 0;
}

static int
count(const char *text, const char *part)
{
    int n = 0;
    for (; (text = strstr(text, part)); text += strlen(part))
        n++;
    return n;
}

#define HOST "Host: a\r\n"

static const struct {
    int status;
    const char *bytes;
} malformed[] = {
    { 400, "GET / HTTP/1.1\r\n\r\n" },              // no Host
    { 400, "GET / HTTP/1.1\r\n" HOST HOST "\r\n" }, // two
    { 400, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n" },
    { 400, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n" },
    { 400, "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n" },
    { 400, "GET / HTTP/1.1\r\nHost : a\r\n\r\n" }, // space before colon
    { 400, "GET / HTTP/1.1\r\n" HOST "X : 1\r\n\r\n" },
    { 400, "GET / HTTP/1.1\r\n" HOST "X\t: 1\r\n\r\n" },
    { 400, "GET / HTTP/1.1\r\n" HOST ": 1\r\n\r\n" },        // no name
    { 400, "GET / HTTP/1.1\r\n" HOST "X\r\n\r\n" },          // no colon
    { 400, "GET / HTTP/1.1\r\n" HOST "X: 1\r\n 2\r\n\r\n" }, // obs-fold
    { 400, "GET / HTTP/1.1\r\n" HOST "X:\r\n\t2\r\n\r\n" },
    { 400, "GET / HTTP/1.1\r\n X: 1\r\n" HOST "\r\n" },
    { 400, "GET / HTTP/1.1\r\n" HOST "X: a\001b\r\n\r\n" }, // control characters
    { 400, "GET / HTTP/1.1\r\n" HOST "X: a\177b\r\n\r\n" },
    { 400, "GET / HTTP/1.1\r\n" HOST "X: a\rb\r\n\r\n" }, // bare CR
    { 400, "GET / HTTP/1.1\n" HOST "\r\n" },              // bare LF
    { 400, "GET / HTTP/1.1\r\nHost: a\n\r\n" },
    { 400, "GET / HTTP/1.1\r\n" HOST "\n" },
    { 400, "GET / HTTP/1.1\r\n" HOST "A(b): 1\r\n\r\n" },
    { 400, "GET  / HTTP/1.1\r\n" HOST "\r\n\r\n" },
    { 400, "GET / HTTP/1.1 \r\n" HOST "\r\n" },
    { 400, "GET /\r\n" HOST "\r\n" }, // HTTP/0.9
    { 400, "GET / HTTPX/1.1\r\n" HOST "\r\n" },
    { 400, "NONSENSE / HTTP/1.1\r\n" HOST "\r\n" },
    { 400, "get / HTTP/1.1\r\n" HOST "\r\n" },
    { 400, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" },
    { 400, "\026\003\001\002" }, // a TLS hello
    { 505, "GET / HTTP/2.0\r\n" HOST "\r\n" },
    { 505, "GET / HTTP/0.9\r\n" HOST "\r\n" },
    { 400, "GET a HTTP/1.1\r\n" HOST "\r\n" }, // targets
    { 400, "GET * HTTP/1.1\r\n" HOST "\r\n" },
    { 400, "GET ftp://a/b HTTP/1.1\r\n" HOST "\r\n" },
    { 400, "CONNECT a:1 HTTP/1.1\r\n" HOST "\r\n" },
    { 400, "GET /a#b HTTP/1.1\r\n" HOST "\r\n" },
    { 400, "GET /%0 HTTP/1.1\r\n" HOST "\r\n" },
    { 400, "GET /%g0 HTTP/1.1\r\n" HOST "\r\n" },
    { 400, "GET /a%00b HTTP/1.1\r\n" HOST "\r\n" },
    { 400, "GET /a%0ab HTTP/1.1\r\n" HOST "\r\n" },
    { 400, "GET /?a=%f HTTP/1.1\r\n" HOST "\r\n" },
    { 400, "GET /?%00=1 HTTP/1.1\r\n" HOST "\r\n" },
    { 400, "GET /1/2/3/4/5/6/7/8/9/0/1/2/3/4/5/6/7 HTTP/1.1\r\n" HOST "\r\n" },
    // lengths
    { 400, "POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 1\r\n\r\na" },
    { 400,
      "POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab" },
    { 400, "POST / HTTP/1.1\r\n" HOST "Content-Length: +1\r\n\r\na" },
    { 400, "POST / HTTP/1.1\r\n" HOST "Content-Length: -1\r\n\r\na" },
    { 400, "POST / HTTP/1.1\r\n" HOST "Content-Length: 1, 1\r\n\r\na" },
    { 400, "POST / HTTP/1.1\r\n" HOST "Content-Length: 0x1\r\n\r\na" },
    { 400, "POST / HTTP/1.1\r\n" HOST "Content-Length: 1 1\r\n\r\na" },
    { 400, "POST / HTTP/1.1\r\n" HOST "Content-Length:\r\n\r\na" },
    { 400, "POST / HTTP/1.1\r\n" HOST "Content-Length: 99999999999999999999\r\n\r\n" },
    { 400, "POST / HTTP/1.1\r\n" HOST "Content-Length: 0000000000000000001\r\n\r\na" },
    { 400, "POST / HTTP/1.1\r\n" HOST
           "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" },
    { 400, "POST / HTTP/1.1\r\n" HOST
           "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n" },
    { 400, "POST / HTTP/1.1\r\n" HOST
           "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" },
    { 400, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" },
    { 413, "POST / HTTP/1.1\r\n" HOST "Content-Length: 2097153\r\n\r\n" },
    { 417, "POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nExpect: gold\r\n\r\na" },
#define CHUNKED "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
    { 501, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip\r\n\r\n" },
    { 501, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n" },
    { 501, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: identity\r\n\r\n" },
    { 400, CHUNKED "\r\n" },
    { 400, CHUNKED "g\r\n" },
    { 400, CHUNKED "-1\r\na\r\n" },
    { 400, CHUNKED "+1\r\na\r\n" },
    { 400, CHUNKED "0x1\r\na\r\n" },
    { 400, CHUNKED " 1\r\na\r\n" },
    { 400, CHUNKED "1 \r\na\r\n" },
    { 400, CHUNKED "1\na\r\n" },
    { 400, CHUNKED "1\rXa\r\n" },
    { 400, CHUNKED "1\r\nab\r\n" },
    { 400, CHUNKED "1\r\na\rX" },
    { 400, CHUNKED "1\r\na0\r\n\r\n" },
    { 400, CHUNKED "1;a\001b\r\na\r\n" },
    { 400, CHUNKED "fffffffffffffffff\r\na\r\n" },
    { 400, CHUNKED "0\r\nX: 1\n\r\n" },
    { 413, CHUNKED "200001\r\n" },
};

Test(http_conn, refuses_every_malformed_request_and_closes)
{
    for (size_t i = 0; i < OM_COUNT(malformed); i++) {
        struct peer peer;
        peer_init(&peer);
        struct om_str bytes = om_str(malformed[i].bytes);
        feed(&peer, bytes, SIZE_MAX);
        if (malformed[i].status == 413) { // shows only once the bytes come
            char *flood = calloc(1, 3 << 20);
            feed(&peer, (struct om_str){ flood, 3 << 20 }, 1 << 16);
            free(flood);
        }
        cr_expect_eq(status_of(&peer), malformed[i].status, "%d for %s", status_of(&peer),
                     malformed[i].bytes);
        cr_expect_eq(peer.conn.state, OM_HTTP_STATE_CLOSING, "open after %s",
                     malformed[i].bytes);
        cr_expect(strstr(output(&peer), "connection: close\r\n"));
        cr_expect_eq(peer.requests, 0, "answered %s", malformed[i].bytes);
        cr_expect_eq(peer.gone, peer.heads, "not told of the end of %s",
                     malformed[i].bytes);
        peer_finish(&peer);
    }
}

static const char *const wellformed[] = {
    "GET / HTTP/1.1\r\n" HOST "\r\n",
    "\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n",
    "GET / HTTP/1.1\r\nhOsT:a\r\nX:\r\nY: \t1\t \r\n\r\n",
    "GET / HTTP/1.1\r\nHost:\r\n\r\n",
    "GET / HTTP/1.1\r\n" HOST "X: \xc3\xa4\r\n\r\n",
    "GET / HTTP/1.0\r\n\r\n",
    "GET http://a/ HTTP/1.1\r\n" HOST "\r\n",
    "GET HTTP://a?x=1 HTTP/1.1\r\n" HOST "\r\n",
    "GET /?a=1&b=%20+c&&d HTTP/1.1\r\n" HOST "\r\n",
    "GET /../a/%2e%2e/%2f HTTP/1.1\r\n" HOST "\r\n",
    "OPTIONS * HTTP/1.1\r\n" HOST "\r\n",
    "PROPFIND / HTTP/1.1\r\n" HOST "\r\n",
    "GET / HTTP/1.1\r\n" HOST "Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    "GET / HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n",
    "GET / HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\na",
    "POST / HTTP/1.1\r\n" HOST "Content-Length:  3 \r\n\r\nabc",
    "POST / HTTP/1.1\r\n" HOST "Expect: 100-Continue\r\nContent-Length: 3\r\n\r\nabc",
    CHUNKED "0\r\n\r\n",
    CHUNKED "3\r\nabc\r\n00\r\n\r\n",
    CHUNKED "1\r\na\r\n2;x=\"y\"\r\nbc\r\n0\r\nTrailer: 1\r\nOther: 2\r\n\r\n",
    "POST / HTTP/1.1\r\n" HOST
    "Transfer-Encoding: CHUNKED\r\n\r\nA\r\n0123456789\r\n0\r\n\r\n",
};

Test(http_conn, answers_every_wellformed_request_however_it_is_cut)
{
    for (size_t i = 0; i < OM_COUNT(wellformed); i++) {
        struct om_str bytes = om_str(wellformed[i]);
        for (size_t cut = 0; cut <= bytes.size; cut++) {
            struct peer peer;
            peer_init(&peer);
            feed(&peer, (struct om_str){ bytes.data, cut }, cut ? cut : 1);
            feed(&peer, (struct om_str){ bytes.data + cut, bytes.size - cut }, SIZE_MAX);
            const char *text = output(&peer);
            cr_expect_eq(peer.requests, 1, "%s cut at %zu: %s", bytes.data, cut, text);
            cr_expect(strstr(text, "HTTP/1.1 200 OK\r\n"), "%s cut at %zu: %s",
                      bytes.data, cut, text);
            peer_finish(&peer);
        }
    }
}

Test(http_conn, answers_pipelined_requests_in_order_however_they_are_cut)
{
    static const char text[] = "GET /1 HTTP/1.1\r\n" HOST "\r\n"
                               "POST /2 HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc"
                               "POST /3 HTTP/1.1\r\n" HOST
                               "Transfer-Encoding: chunked\r\n\r\n2\r\nde\r\n0\r\n\r\n"
                               "HEAD /4 HTTP/1.1\r\n" HOST "\r\n"
                               "GET /5 HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n"
                               "GET /6 HTTP/1.1\r\n" HOST "\r\n";
    for (size_t step = 1; step <= sizeof(text); step++) {
        struct peer peer;
        peer_init(&peer);
        feed(&peer, OM_LIT(text), step);
        const char *got = output(&peer);
        const char *one = strstr(got, "GET /1 "), *two = strstr(got, "POST /2 abc"),
                   *three = strstr(got, "POST /3 de"), *five = strstr(got, "GET /5");
        cr_expect(one && two > one && three > two && five > three, "step %zu: %s", step,
                  got);
        cr_expect_eq(count(got, "HTTP/1.1 200 OK"), 5);
        cr_expect(!strstr(got, "HEAD /4"), "HEAD has no body");
        cr_expect_eq(count(got, "connection: close"), 1);
        cr_expect_eq(peer.conn.state, OM_HTTP_STATE_CLOSING);
        peer_finish(&peer);
    }
}

Test(http_conn, keeps_the_connection_as_the_version_and_the_client_say)
{
    static const struct {
        const char *bytes;
        bool open;
    } cases[] = {
        { "GET / HTTP/1.1\r\n" HOST "\r\n", true },
        { "GET / HTTP/1.1\r\n" HOST "Connection: keep-alive\r\n\r\n", true },
        { "GET / HTTP/1.1\r\n" HOST "Connection: x, Close\r\n\r\n", false },
        { "GET / HTTP/1.0\r\n\r\n", false },
        { "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true },
    };
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        struct peer peer;
        peer_init(&peer);
        feed_text(&peer, cases[i].bytes);
        cr_expect_eq(peer.conn.state,
                     cases[i].open ? OM_HTTP_STATE_HEAD : OM_HTTP_STATE_CLOSING, "%s",
                     cases[i].bytes);
        cr_expect_eq(om_http_conn_done(&peer.conn), !cases[i].open);
        peer_finish(&peer);
    }
}

Test(http_conn, closes_when_its_owner_wants_to)
{
    struct peer peer;
    peer_init(&peer);
    peer.fixed = (struct om_http_response){ .status = 204, .close = true };
    feed_text(&peer, "GET / HTTP/1.1\r\n" HOST "\r\n");
    cr_expect(om_http_conn_done(&peer.conn));
    cr_expect(!strstr(output(&peer), "content-length"), "204 has no body");
    peer_finish(&peer);

    peer_init(&peer);
    peer.env.draining = true;
    feed_text(&peer, "GET / HTTP/1.1\r\n" HOST "\r\n");
    cr_expect(strstr(output(&peer), "connection: close"));
    cr_expect(om_http_conn_done(&peer.conn));
    peer_finish(&peer);
}

Test(http_conn, gives_fields_segments_and_query_decoded)
{
    struct peer peer;
    peer_init(&peer);
    peer.park = true;
    feed_text(&peer, "GET /a%2Fb/c%20d?x=1%262&y=+&x=3&z HTTP/1.1\r\n" HOST
                     "X-Name:  v 1 \r\n\r\n");
    struct om_http_request *request = &peer.conn.request;
    cr_assert_eq(request->segment_count, 2);
    cr_expect(om_str_eq(request->segments[0], OM_LIT("a/b")));
    cr_expect(om_str_eq(request->segments[1], OM_LIT("c d")));
    cr_expect(om_str_eq(request->path, OM_LIT("/a%2Fb/c%20d")));
    cr_expect(om_str_eq(om_http_query(request, "x"), OM_LIT("1&2")));
    cr_expect(om_str_eq(om_http_query(request, "y"), OM_LIT(" ")));
    cr_expect(om_http_query(request, "z").data && om_http_query(request, "z").size == 0);
    cr_expect_null(om_http_query(request, "X").data);
    cr_expect(om_str_eq(om_http_field(request, "x-nAME"), OM_LIT("v 1")));
    cr_expect_null(om_http_field(request, "x-nam").data);
    cr_expect_str_eq(request->remote, "192.0.2.1");
    peer_finish(&peer);
}

Test(http_conn, matches_paths_segment_by_segment)
{
    static const struct {
        const char *path, *pattern, *param; // param NULL: no match
    } cases[] = {
        { "/v1/files", "/v1/files", "" },
        { "/v1/files/", "/v1/files", NULL },
        { "/v1", "/v1/files", NULL },
        { "/v1/files/x", "/v1/files", NULL },
        { "/v1/files/x", "/v1/files/{id}", "x" },
        { "/v1/files/a%2Fb", "/v1/files/{id}", "a/b" },
        { "/v1/files/", "/v1/files/{id}", NULL },
        { "/v1/files/..", "/v1/files/{id}", NULL },
        { "/v1/files/%2e%2E", "/v1/files/{id}", NULL },
        { "/v1/files/.", "/v1/files/{id}", NULL },
        { "/v1/files/x/../y", "/v1/files/{id}", NULL },
        { "/a/x/b", "/a/{id}/b", "x" },
        { "/a/x/c", "/a/{id}/b", NULL },
        { "/", "/", "" },
        { "//", "/", NULL },
    };
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        struct peer peer;
        char text[128];
        peer_init(&peer);
        peer.park = true;
        snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\n" HOST "\r\n", cases[i].path);
        feed_text(&peer, text);
        struct om_str param = { "", 0 };
        bool match = om_http_match(&peer.conn.request, cases[i].pattern, &param, 1);
        cr_expect_eq(match, cases[i].param != NULL, "%s", cases[i].path);
        if (match && cases[i].param)
            cr_expect(om_str_eq(param, om_str(cases[i].param)), "%s", cases[i].path);
        peer_finish(&peer);
    }
}

Test(http_conn, refuses_a_head_that_is_too_large)
{
    char *long_text = malloc(20000);
    memset(long_text, 'a', 20000);
    struct peer peer;
    peer_init(&peer);
    feed_text(&peer, "GET /");
    feed(&peer, (struct om_str){ long_text, 20000 }, 1000);
    cr_expect_eq(status_of(&peer), 414);
    peer_finish(&peer);

    peer_init(&peer);
    feed_text(&peer, "GET / HTTP/1.1\r\nX: ");
    feed(&peer, (struct om_str){ long_text, 20000 }, 20000);
    cr_expect_eq(status_of(&peer), 431);
    peer_finish(&peer);

    peer_init(&peer);
    feed_text(&peer, "GET / HTTP/1.1\r\n" HOST);
    for (int i = 0; i < 100; i++)
        feed_text(&peer, "X: 1\r\n");
    feed_text(&peer, "\r\n");
    cr_expect_eq(status_of(&peer), 431);
    peer_finish(&peer);
    free(long_text);
}

Test(http_conn, says_continue_only_to_who_waits_and_may_send)
{
    static const char head[] =
        "POST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\nExpect: 100-continue\r\n\r\n";
    struct peer peer;
    peer_init(&peer);
    feed_text(&peer, head);
    cr_expect_str_eq(output(&peer), "HTTP/1.1 100 Continue\r\n\r\n");
    feed_text(&peer, "abc");
    cr_expect(strstr(output(&peer), "POST / abc"));
    cr_expect_eq(peer.conn.state, OM_HTTP_STATE_HEAD);
    peer_finish(&peer);

    peer_init(&peer);
    peer.limit = 2;
    feed_text(&peer, head);
    cr_expect_eq(status_of(&peer), 413);
    cr_expect_eq(peer.gone, 1);
    peer_finish(&peer);

    peer_init(&peer);
    peer.answer_head = true;
    feed_text(&peer, head);
    cr_expect_eq(status_of(&peer), 200);
    cr_expect(strstr(output(&peer), "connection: close"), "it may send the body or not");
    peer_finish(&peer);
}

Test(http_conn, streams_a_body_and_holds_it_back_when_paused)
{
    struct peer peer;
    peer_init(&peer);
    peer.stream_all = peer.pause = true;
    peer.limit = 1 << 20;
    feed_text(&peer, "POST / HTTP/1.1\r\n" HOST "Content-Length: 200000\r\n\r\n");
    char *bytes = malloc(200000);
    for (size_t i = 0; i < 200000; i++)
        bytes[i] = (char)('a' + i % 26);
    size_t sent = feed(&peer, (struct om_str){ bytes, 200000 }, 10000);
    cr_expect_lt(sent, OM_HTTP_INPUT_MAX,
                 "a paused connection takes no more than it holds");
    cr_expect_eq(peer.stream.size, 0);
    cr_expect_eq(om_http_conn_deadline(&peer.conn), INT64_MAX,
                 "nobody is to blame but us");

    peer.conn.paused = false;
    run(&peer);
    sent += feed(&peer, (struct om_str){ bytes + sent, 200000 - sent }, 10000);
    cr_expect_eq(sent, 200000);
    cr_expect(om_str_eq(om_buf_str(&peer.stream), (struct om_str){ bytes, 200000 }));
    cr_expect_eq(status_of(&peer), 200);
    cr_expect_eq(peer.conn.state, OM_HTTP_STATE_HEAD);
    free(bytes);
    peer_finish(&peer);
}

Test(http_conn, keeps_the_connection_when_a_small_body_is_not_wanted)
{
    struct peer peer;
    peer_init(&peer);
    peer.answer_head = true;
    feed(&peer,
         OM_LIT("POST /1 HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nabcde"
                "GET /2 HTTP/1.1\r\n" HOST "\r\n"),
         3);
    cr_expect(strstr(output(&peer), "POST /1") && strstr(output(&peer), "GET /2"));
    cr_expect_eq(peer.requests, 0);
    peer_finish(&peer);

    peer_init(&peer);
    peer.answer_head = true;
    feed_text(&peer, "POST /1 HTTP/1.1\r\n" HOST "Content-Length: 1000000\r\n\r\nabcde");
    cr_expect_eq(peer.conn.state, OM_HTTP_STATE_CLOSING);
    cr_expect(!om_http_conn_done(&peer.conn), "the client is given time to read");
    peer.conn.eof = true;
    run(&peer);
    cr_expect(om_http_conn_done(&peer.conn));
    peer_finish(&peer);
}

Test(http_conn, ends_an_upload_that_is_answered_midway)
{
    struct peer peer;
    peer_init(&peer);
    peer.stream_all = peer.answer_body = true;
    feed_text(&peer, CHUNKED "3\r\nabc\r\n3\r\ndef\r\n");
    cr_expect_eq(status_of(&peer), 200);
    cr_expect(om_str_eq(om_buf_str(&peer.stream), OM_LIT("abc")));
    cr_expect_eq(peer.conn.state, OM_HTTP_STATE_CLOSING);
    cr_expect_eq(peer.gone, 0);
    peer_finish(&peer);
}

Test(http_conn, gives_every_wait_a_deadline)
{
    static const struct {
        const char *bytes;
        int64_t wait_ms;
        int status; // 0: closed without a word
    } cases[] = {
        { "", 10000, 0 },
        { "GET / HTT", 10000, 408 },
        { "GET / HTTP/1.1\r\n" HOST "\r\n", 75000,
          0 }, // idle; its own answer is taken off
        { "POST / HTTP/1.1\r\n" HOST "Content-Length: 10\r\n\r\nabc", 5000, 408 },
        { CHUNKED "a\r\nabc", 5000, 408 },
    };
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        struct peer peer;
        peer_init(&peer);
        feed_text(&peer, cases[i].bytes);
        om_buf_reset(&peer.got);
        cr_expect_eq(om_http_conn_deadline(&peer.conn), 1000 + cases[i].wait_ms, "%s",
                     cases[i].bytes);
        om_http_env_clock(&peer.env, 1000 + cases[i].wait_ms, 0);
        bool open = om_http_conn_expire(&peer.conn);
        run(&peer);
        cr_expect_eq(open, cases[i].status != 0, "%s", cases[i].bytes);
        cr_expect_eq(status_of(&peer), cases[i].status, "%s", cases[i].bytes);
        cr_expect_eq(peer.gone, peer.heads - peer.requests);
        peer_finish(&peer);
    }
}

Test(http_conn, asks_a_body_for_a_minimum_rate)
{
    struct peer peer;
    peer_init(&peer);
    char bytes[1024] = { 0 };
    feed_text(&peer, "POST / HTTP/1.1\r\n" HOST "Content-Length: 100000\r\n\r\n");
    for (int second = 1; second <= 5; second++) {
        feed(&peer, (struct om_str){ bytes, sizeof(bytes) }, SIZE_MAX);
        om_http_env_clock(&peer.env, 1000 + 5000 * second, 0);
        cr_assert(om_http_conn_expire(&peer.conn));
        cr_assert_eq(peer.conn.state, OM_HTTP_STATE_BODY, "fast enough");
    }
    feed(&peer, (struct om_str){ bytes, sizeof(bytes) - 1 }, SIZE_MAX);
    om_http_env_clock(&peer.env, 100000, 0);
    om_http_conn_expire(&peer.conn);
    run(&peer);
    cr_expect_eq(status_of(&peer), 408);
    peer_finish(&peer);
}

Test(http_conn, closes_on_a_client_that_takes_nothing)
{
    struct peer peer;
    peer_init(&peer);
    char *at;
    size_t room;
    cr_assert(om_http_conn_window(&peer.conn, &at, &room));
    static const char get[] = "GET / HTTP/1.1\r\n" HOST "\r\n";
    memcpy(at, get, sizeof(get) - 1);
    om_http_conn_received(&peer.conn, sizeof(get) - 1);
    om_http_conn_run(&peer.conn);
    cr_expect_eq(om_http_conn_deadline(&peer.conn), 31000);
    om_http_env_clock(&peer.env, 31000, 0);
    cr_expect_not(om_http_conn_expire(&peer.conn));
    peer_finish(&peer);
}

Test(http_conn, takes_no_more_requests_than_answers_are_read)
{
    struct peer peer;
    peer_init(&peer);
    char *big = calloc(1, 200000);
    peer.fixed = (struct om_http_response){ .status = 200, .body = { big, 200000 } };
    static const char get[] = "GET / HTTP/1.1\r\n" HOST "\r\n";
    for (int i = 0; i < 10; i++) {
        char *at;
        size_t room;
        cr_assert(om_http_conn_window(&peer.conn, &at, &room));
        memcpy(at, get, sizeof(get) - 1);
        om_http_conn_received(&peer.conn, sizeof(get) - 1);
        om_http_conn_run(&peer.conn);
    }
    cr_expect_eq(peer.requests, 2, "%d answers wait", peer.requests);
    collect(&peer);
    cr_expect_eq(peer.requests, 10);
    free(big);
    peer_finish(&peer);
}

Test(http_conn, tells_a_parked_request_that_its_client_left)
{
    struct peer peer;
    peer_init(&peer);
    peer.park = true;
    feed_text(&peer, "GET / HTTP/1.1\r\n" HOST "\r\n");
    cr_expect_eq(om_http_conn_deadline(&peer.conn), INT64_MAX,
                 "its owner has the deadline");
    peer.conn.eof = true;
    run(&peer);
    cr_expect_eq(peer.gone, 1);
    cr_expect(om_http_conn_done(&peer.conn));
    peer_finish(&peer);
}

Test(http_conn, answers_a_client_that_shut_its_sending_side)
{
    struct peer peer;
    peer_init(&peer);
    char *at;
    size_t room;
    cr_assert(om_http_conn_window(&peer.conn, &at, &room));
    static const char get[] = "GET /x HTTP/1.1\r\n" HOST "\r\n";
    memcpy(at, get, sizeof(get) - 1);
    om_http_conn_received(&peer.conn, sizeof(get) - 1);
    peer.conn.eof = true;
    run(&peer);
    cr_expect(strstr(output(&peer), "GET /x"));
    cr_expect(om_http_conn_done(&peer.conn));
    cr_expect_eq(peer.gone, 0);
    peer_finish(&peer);
}

Test(http_conn, answers_a_parked_request_and_goes_on)
{
    struct peer peer;
    peer_init(&peer);
    peer.park = true;
    feed_text(&peer, "POST /1 HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc"
                     "GET /2 HTTP/1.1\r\n" HOST "\r\n");
    uint64_t first = peer.conn.request.handle;
    cr_expect_eq(peer.requests, 1, "one at a time");
    feed_text(&peer, "GET /3 HTTP/1.1\r\n" HOST "\r\n");
    cr_expect(om_str_eq(peer.conn.request.body, OM_LIT("abc")), "still there");
    answer(&peer, &peer.conn.request);
    run(&peer);
    cr_expect_eq(peer.requests, 2);
    cr_expect_neq(peer.conn.request.handle, first);
    cr_expect_eq(peer.conn.request.handle & 0xffffff, 7, "the slot stays");
    answer(&peer, &peer.conn.request);
    run(&peer);
    cr_expect_eq(peer.requests, 3);
    peer_finish(&peer);
    cr_expect_eq(peer.gone, 1, "the third was never answered");
}

Test(http_conn, writes_only_safe_header_fields)
{
    struct peer peer;
    peer_init(&peer);
    peer.fixed = (struct om_http_response){ .status = 202 };
    om_http_response_field(&peer.fixed, "location", OM_LIT("/a\r\nset-cookie: x"));
    om_http_response_field(&peer.fixed, "absent", (struct om_str){ 0 });
    feed_text(&peer, "GET / HTTP/1.1\r\n" HOST "\r\n");
    cr_expect_str_eq(output(&peer), "HTTP/1.1 202 Accepted\r\n"
                                    "date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
                                    "content-length: 0\r\n"
                                    "location: /aset-cookie: x\r\n\r\n");
    peer_finish(&peer);
}

struct letters {
    size_t left;
    bool closed;
};

static bool
read_letters(void *context, void *out, size_t size, size_t *got)
{
    struct letters *letters = context;
    *got = size < letters->left ? size : letters->left;
    memset(out, 'x', *got);
    letters->left -= *got;
    return true;
}

static void
close_letters(void *context)
{
    ((struct letters *)context)->closed = true;
}

Test(http_conn, sends_a_source_piece_by_piece_and_closes_it)
{
    static const struct {
        size_t given;
        int64_t promised;
        bool whole;
    } cases[] = { { 100000, 100000, true }, { 99999, 100000, false }, { 0, 0, true } };
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        struct peer peer;
        peer_init(&peer);
        struct letters letters = { .left = cases[i].given };
        peer.fixed = (struct om_http_response){
            .status = 200,
            .source = { &letters, read_letters, close_letters },
            .source_bytes = cases[i].promised,
        };
        feed_text(&peer, "GET / HTTP/1.1\r\n" HOST "\r\n");
        cr_expect(letters.closed);
        cr_expect_eq(peer.conn.state,
                     cases[i].whole ? OM_HTTP_STATE_HEAD : OM_HTTP_STATE_CLOSING);
        const char *body = strstr(output(&peer), "\r\n\r\n") + 4;
        cr_expect_eq(strlen(body), cases[i].given);
        peer_finish(&peer);
    }
}

// A client that asks on and on, and always leaves some bytes unread for a while.
Test(http_conn, holds_no_more_memory_however_long_a_slow_client_asks)
{
    struct peer peer;
    peer_init(&peer);
    char *big = calloc(1, 50000);
    peer.fixed = (struct om_http_response){ .status = 200, .body = { big, 50000 } };
    static const char get[] = "GET / HTTP/1.1\r\n" HOST "\r\n";
    for (int i = 0; i < 1000; i++) {
        char *at;
        size_t room;
        cr_assert(om_http_conn_window(&peer.conn, &at, &room));
        memcpy(at, get, sizeof(get) - 1);
        om_http_conn_received(&peer.conn, sizeof(get) - 1);
        om_http_conn_run(&peer.conn);
        while (om_http_conn_pending(&peer.conn).size > 60000)
            om_http_conn_sent(&peer.conn, 1000);
    }
    cr_expect_eq(peer.requests, 1000);
    cr_expect_lt(peer.conn.out.capacity, 400000, "%zu", peer.conn.out.capacity);
    free(big);
    peer_finish(&peer);
}

Test(http_conn, gives_its_memory_back_between_requests)
{
    struct peer peer;
    peer_init(&peer);
    for (int i = 0; i < 100; i++)
        feed_text(&peer, "GET / HTTP/1.1\r\n" HOST "\r\n");
    cr_expect_null(peer.conn.block);
    cr_expect_null(peer.conn.out.data);
    cr_expect_eq(peer.env.block_count, 1);
    cr_expect_eq(peer.env.spare_count, 1);
    peer_finish(&peer);
}
