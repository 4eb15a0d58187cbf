// What the connection takes for a request, and what it answers to it.
#include <stdio.h>
#include <stdlib.h>

#include "http_peer.h"

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
        peer_feed(&peer, bytes, SIZE_MAX);
        if (malformed[i].status == 413) { // shows only once the bytes come
            char *flood = calloc(1, 3 << 20);
            peer_feed(&peer, (struct om_str){ flood, 3 << 20 }, 1 << 16);
            free(flood);
        }
        cr_expect_eq(peer_status(&peer), malformed[i].status, "%d for %s",
                     peer_status(&peer), malformed[i].bytes);
        cr_expect_eq(peer.conn.state, OM_HTTP_STATE_CLOSING, "open after %s",
                     malformed[i].bytes);
        cr_expect(strstr(peer_output(&peer), "connection: close\r\n"));
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
            peer_feed(&peer, (struct om_str){ bytes.data, cut }, cut ? cut : 1);
            peer_feed(&peer, (struct om_str){ bytes.data + cut, bytes.size - cut },
                      SIZE_MAX);
            const char *text = peer_output(&peer);
            cr_expect_eq(peer.requests, 1, "%s cut at %zu: %s", bytes.data, cut, text);
            cr_expect(strstr(text, "HTTP/1.1 200 OK\r\n"), "%s cut at %zu: %s",
                      bytes.data, cut, text);
            peer_finish(&peer);
        }
    }
}

static int
count(const char *text, const char *part)
{
    int n = 0;
    for (; (text = strstr(text, part)); text += strlen(part))
        n++;
    return n;
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
        peer_feed(&peer, OM_LIT(text), step);
        const char *got = peer_output(&peer);
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
        peer_feed_text(&peer, cases[i].bytes);
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
    peer_feed_text(&peer, "GET / HTTP/1.1\r\n" HOST "\r\n");
    cr_expect(om_http_conn_done(&peer.conn));
    cr_expect(!strstr(peer_output(&peer), "content-length"), "204 has no body");
    peer_finish(&peer);

    peer_init(&peer);
    peer.env.draining = true;
    peer_feed_text(&peer, "GET / HTTP/1.1\r\n" HOST "\r\n");
    cr_expect(strstr(peer_output(&peer), "connection: close"));
    cr_expect(om_http_conn_done(&peer.conn));
    peer_finish(&peer);
}

Test(http_conn, gives_fields_segments_and_query_decoded)
{
    struct peer peer;
    peer_init(&peer);
    peer.park = true;
    peer_feed_text(&peer, "GET /a%2Fb/c%20d?x=1%262&y=+&x=3&z HTTP/1.1\r\n" HOST
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
        peer_feed_text(&peer, text);
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
    peer_feed_text(&peer, "GET /");
    peer_feed(&peer, (struct om_str){ long_text, 20000 }, 1000);
    cr_expect_eq(peer_status(&peer), 414);
    peer_finish(&peer);

    peer_init(&peer);
    peer_feed_text(&peer, "GET / HTTP/1.1\r\nX: ");
    peer_feed(&peer, (struct om_str){ long_text, 20000 }, 20000);
    cr_expect_eq(peer_status(&peer), 431);
    peer_finish(&peer);

    peer_init(&peer);
    peer_feed_text(&peer, "GET / HTTP/1.1\r\n" HOST);
    for (int i = 0; i < 100; i++)
        peer_feed_text(&peer, "X: 1\r\n");
    peer_feed_text(&peer, "\r\n");
    cr_expect_eq(peer_status(&peer), 431);
    peer_finish(&peer);
    free(long_text);
}
