// Requests that two readers could read in two ways (RFC 9112, 11.2): whatever stands
// behind one of them must never be taken for a request.
#include <criterion/criterion.h>
#include <stdlib.h>

#include "http_conn.h"

#define HOST     "Host: a\r\n"
#define POST     "POST / HTTP/1.1\r\n" HOST
#define GET      "GET / HTTP/1.1\r\n" HOST
#define CHUNKED  POST "Transfer-Encoding: chunked\r\n\r\n"
#define SMUGGLED "GET /smuggled HTTP/1.1\r\n" HOST "\r\n"

static struct {
    struct om_http_env env;
    struct om_http_conn conn;
    size_t input_max; // the most that was kept of the input
    int requests, status;
    bool smuggled;
} peer;

static void
on_head(void *context, struct om_http_request *request)
{
    (void)context;
    if (om_str_eq(request->path, OM_LIT("/smuggled")))
        peer.smuggled = true;
}

static void
on_request(void *context, struct om_http_request *request)
{
    (void)context;
    (void)request;
    struct om_http_response response = { .status = 200 };
    peer.requests++;
    om_http_conn_respond(&peer.conn, &response);
}

static void
open_peer(void)
{
    static const struct om_http_hooks hooks = { on_head, NULL, on_request,
                                                NULL,    NULL, NULL };
    memset(&peer, 0, sizeof(peer));
    struct om_http_conf conf = { .hooks = &hooks };
    om_http_env_init(&peer.env, &conf);
    om_http_env_clock(&peer.env, 1000, 784111777);
    om_http_conn_init(&peer.conn, &peer.env, "192.0.2.1", 7);
}

static void
close_peer(void)
{
    om_http_conn_finish(&peer.conn);
    om_http_env_finish(&peer.env);
}

// Send in pieces of `step` bytes, as far as they are taken. The first answer's status is
// kept.
static size_t
feed(struct om_str bytes, size_t step)
{
    size_t sent = 0;
    while (sent < bytes.size) {
        char *at;
        size_t room;
        cr_assert(om_http_conn_window(&peer.conn, &at, &room));
        size_t size = bytes.size - sent < step ? bytes.size - sent : step;
        size = size < room ? size : room;
        if (size == 0)
            break;
        memcpy(at, bytes.data + sent, size);
        om_http_conn_received(&peer.conn, size);
        sent += size;
        om_http_conn_run(&peer.conn);
        peer.input_max = peer.conn.end > peer.input_max ? peer.conn.end : peer.input_max;
        struct om_str out;
        while ((out = om_http_conn_pending(&peer.conn)).size > 0) {
            if (!peer.status && memcmp(out.data, "HTTP/1.1 100", 12) != 0)
                peer.status = atoi(out.data + 9);
            om_http_conn_sent(&peer.conn, out.size);
            om_http_conn_run(&peer.conn);
        }
    }
    return sent;
}

static const struct {
    int status;
    struct om_str bytes;
} cases[] = {
    // two lengths
    { 400, OM_LIT(POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
                       "0\r\n\r\n") },
    { 400, OM_LIT(POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"
                       "0\r\n\r\n") },
    { 400, OM_LIT(POST "Content-Length: 0\r\nTransfer-Encoding: identity\r\n\r\n") },
    { 400, OM_LIT(POST "Content-Length: 0\r\nContent-Length: 44\r\n\r\n") },
    { 400, OM_LIT(POST "Content-Length: 44\r\ncontent-length: 0\r\n\r\n") },
    { 400, OM_LIT(POST "Content-Length: 0, 44\r\n\r\n") },
    { 400, OM_LIT(POST "Content-Length: 0,0\r\n\r\n") },
    { 400, OM_LIT(GET "Content-Length: 0\r\nContent-Length: 0\r\n\r\n") },
    // a length that is not plainly one
    { 400, OM_LIT(POST "Content-Length: 0x0\r\n\r\n") },
    { 400, OM_LIT(POST "Content-Length: +0\r\n\r\n") },
    { 400, OM_LIT(POST "Content-Length: -0\r\n\r\n") },
    { 400, OM_LIT(POST "Content-Length: 0;\r\n\r\n") },
    { 400, OM_LIT(POST "Content-Length: 0\x0b\r\n\r\n") },
    { 400, OM_LIT(POST "Content-Length: 0\0\r\n\r\n") },
    { 400, OM_LIT(POST "Content-Length: \"0\"\r\n\r\n") },
    { 400, OM_LIT(POST "Content-Length: 18446744073709551616\r\n\r\n") },
    { 400, OM_LIT(POST "Content-Length:\r\n 0\r\n\r\n") },
    // a coding that another reader might not see, or see differently
    { 501, OM_LIT(POST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n") },
    { 501, OM_LIT(POST "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n") },
    { 501, OM_LIT(POST "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n") },
    { 501, OM_LIT(POST "Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n") },
    { 501, OM_LIT(POST "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n") },
    { 501, OM_LIT(POST "Transfer-Encoding:\r\n\r\n0\r\n\r\n") },
    { 400, OM_LIT(POST "Transfer-Encoding: \x0b"
                       "chunked\r\n\r\n0\r\n\r\n") },
    { 400, OM_LIT(POST "Transfer-Encoding: chunked\0\r\n\r\n0\r\n\r\n") },
    { 400, OM_LIT(POST "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n") },
    { 400, OM_LIT(POST "Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n") },
    { 400, OM_LIT(POST " Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n") },
    { 400, OM_LIT(POST "X: 1\r\n\tTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n") },
    { 400, OM_LIT(POST "X: 1\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n") },
    { 400, OM_LIT(POST "X: 1\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n") },
    { 400, OM_LIT(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n"
                       "0\r\n\r\n") },
    { 400, OM_LIT("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n") },
    // chunks
    { 400, OM_LIT(CHUNKED "0\n\r\n") },
    { 400, OM_LIT(CHUNKED "0\r\r\n") },
    { 400, OM_LIT(CHUNKED "0x0\r\n\r\n") },
    { 400, OM_LIT(CHUNKED "00_0\r\n\r\n") },
    { 400, OM_LIT(CHUNKED ";x\r\n\r\n") },
    { 400, OM_LIT(CHUNKED "0 ;x\r\n\r\n") },
    { 400, OM_LIT(CHUNKED "\t0\r\n\r\n") },
    { 400, OM_LIT(CHUNKED "1\r\nab\r\n0\r\n\r\n") },
    { 400, OM_LIT(CHUNKED "1\r\na0\r\n\r\n") },
    { 400, OM_LIT(CHUNKED "1;x\nx\r\na\r\n0\r\n\r\n") },
    { 400, OM_LIT(CHUNKED "1;\0\r\na\r\n0\r\n\r\n") },
    { 400, OM_LIT(CHUNKED "ffffffffffffffff\r\na\r\n0\r\n\r\n") },
    { 400, OM_LIT(CHUNKED "10000000000000000\r\na\r\n0\r\n\r\n") },
    { 400, OM_LIT(CHUNKED "0\r\nX: 1\n\r\n") },
    { 400, OM_LIT(CHUNKED "0\r\nX: \0\r\n\r\n") },
    // targets and hosts
    { 400, OM_LIT("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n") },
    { 400, OM_LIT("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n") },
    { 400, OM_LIT("GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n") },
    { 400, OM_LIT("GET / HTTP/1.1\r\nHost: user@a\r\n\r\n") },
    { 400, OM_LIT("GET a HTTP/1.1\r\n" HOST "\r\n") },
    { 400, OM_LIT("GET \\ HTTP/1.1\r\n" HOST "\r\n") },
    { 400, OM_LIT("GET a:1 HTTP/1.1\r\n" HOST "\r\n") },
    { 400, OM_LIT("CONNECT a:1 HTTP/1.1\r\n" HOST "\r\n") },
    { 400, OM_LIT("GET https:///a HTTP/1.1\r\n" HOST "\r\n") },
    { 400, OM_LIT("GET http://user@a/ HTTP/1.1\r\n" HOST "\r\n") },
    { 400, OM_LIT("GET /a\0b HTTP/1.1\r\n" HOST "\r\n") },
    { 400, OM_LIT("GET /a\tb HTTP/1.1\r\n" HOST "\r\n") },
    { 400, OM_LIT("GET /a b HTTP/1.1\r\n" HOST "\r\n") },
    { 400, OM_LIT("GET /\x7f HTTP/1.1\r\n" HOST "\r\n") },
    // lines
    { 400, OM_LIT("GET /\n" HOST "\r\n") },
    { 400, OM_LIT("GET / HTTP/1.1\r" HOST "\r\n") },
    { 400, OM_LIT("GET / HTTP/1.1\r\n\0" HOST "\r\n") },
    { 400, OM_LIT("\0GET / HTTP/1.1\r\n" HOST "\r\n") },
    { 400, OM_LIT("GET / HTTP/1.1\r\n" HOST "X\r\n\r\n") },
    { 400, OM_LIT("GET / HTTP/1.1\r\n" HOST "X Y: 1\r\n\r\n") },
    { 400, OM_LIT("GET / HTTP/1.1\r\n" HOST "X\0: 1\r\n\r\n") },
    { 400, OM_LIT("GET / HTTP/1.1\r\n" HOST "\xc3\xa4: 1\r\n\r\n") },
    { 400, OM_LIT("GET / http/1.1\r\n" HOST "\r\n") },
    { 400, OM_LIT("GET / HTTP/1.1.1\r\n" HOST "\r\n") },
    { 400, OM_LIT("GET / HTTP/ 1.1\r\n" HOST "\r\n") },
    { 400, OM_LIT("GET\t/\tHTTP/1.1\r\n" HOST "\r\n") },
};

Test(http_smuggling, takes_nothing_behind_a_doubtful_request_for_a_request)
{
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        struct om_str first = cases[i].bytes;
        size_t size = first.size + sizeof(SMUGGLED) - 1;
        char *bytes = malloc(size);
        memcpy(bytes, first.data, first.size);
        memcpy(bytes + first.size, SMUGGLED, sizeof(SMUGGLED) - 1);
        static const size_t steps[] = { 1, 7, SIZE_MAX };
        for (size_t k = 0; k < OM_COUNT(steps); k++) {
            open_peer();
            feed((struct om_str){ bytes, size }, steps[k]);
            cr_expect_eq(peer.status, cases[i].status, "%d for case %zu: %s", peer.status,
                         i, first.data);
            cr_expect_not(peer.smuggled, "case %zu: %s", i, first.data);
            cr_expect_eq(peer.requests, 0, "case %zu: %s", i, first.data);
            cr_expect_eq(peer.conn.state, OM_HTTP_STATE_CLOSING, "case %zu", i);
            close_peer();
        }
        free(bytes);
    }
}

// `before`, then `part` over and over, 1 MiB of it or 10,000 times.
Test(http_smuggling, keeps_little_of_what_is_endless)
{
    static const struct {
        int status;
        const char *before, *part;
    } endless[] = {
        { 414, "GET /", "a" },
        { 414, "GET /?", "a=b&" },
        { 431, GET "X: ", "a" },
        { 431, GET, "a" },
        { 431, GET, "X: 1\r\n" },
        { 431, GET, "Cookie: " },
        { 400, CHUNKED "1;", "x" },
        { 400, CHUNKED, "0" },
        { 400, CHUNKED "0\r\nX: ", "a" },
        { 400, CHUNKED "0\r\n", "X: 1\r\n" },
    };
    for (size_t i = 0; i < OM_COUNT(endless); i++) {
        struct om_str part = om_str(endless[i].part);
        struct om_buf bytes = { 0 };
        om_buf_put(&bytes, endless[i].before, strlen(endless[i].before));
        while (bytes.size < 1 << 20 || bytes.size < 10000 * part.size)
            om_buf_put(&bytes, part.data, part.size);
        open_peer();
        feed(om_buf_str(&bytes), 1000);
        cr_expect_eq(peer.status, endless[i].status, "%d for %s%s", peer.status,
                     endless[i].before, endless[i].part);
        cr_expect_leq(peer.input_max, OM_HTTP_INPUT_MAX);
        cr_expect_eq(peer.conn.body.capacity, 0);
        close_peer();
        om_buf_finish(&bytes);
    }
}
