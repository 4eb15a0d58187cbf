#include <stdlib.h>

#include "http_peer.h"

enum { STREAM_MAX = 1000, WRITE_MS = 30000 };

#define HEAD                                                                             \
    "HTTP/1.1 200 OK\r\n"                                                                \
    "date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"

// Its requests are begun as streams by the test.
static void
open_peer(struct peer *peer)
{
    peer_init_with(
        peer, (struct om_http_conf){ .stream_max = STREAM_MAX, .write_ms = WRITE_MS });
    peer->park = true;
}

// The client reads up to `size` bytes.
static void
take(struct peer *peer, size_t size)
{
    struct om_str pending;
    while (size > 0 && (pending = om_http_conn_pending(&peer->conn)).size > 0) {
        size_t part = pending.size < size ? pending.size : size;
        om_buf_put(&peer->got, pending.data, part);
        om_http_conn_sent(&peer->conn, part);
        om_http_conn_run(&peer->conn);
        size -= part;
    }
}

static const char *
output(struct peer *peer)
{
    om_http_conn_run(&peer->conn);
    take(peer, SIZE_MAX);
    om_buf_put(&peer->got, "", 1);
    peer->got.size = 0;
    return peer->got.data;
}

static void
begin(struct peer *peer, int status, const char *first)
{
    struct om_http_response response = { .status = status, .body = om_str(first) };
    om_http_conn_begin(&peer->conn, &response);
}

static bool
write_size(struct peer *peer, size_t size)
{
    char *bytes = calloc(1, size);
    bool taken = om_http_conn_write(&peer->conn, (struct om_str){ bytes, size });
    free(bytes);
    return taken;
}

Test(http_stream, writes_a_body_as_its_version_and_method_want_it_and_goes_on)
{
    static const struct {
        const char *request;
        int status;
        const char *begun, *rest;
        bool open;
    } cases[] = {
        { "GET / HTTP/1.1\r\n" HOST "\r\n", 200,
          HEAD "transfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n",
          "6\r\nsecond\r\n0\r\n\r\n", true },
        { "GET / HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n", 200,
          HEAD "transfer-encoding: chunked\r\nconnection: close\r\n\r\n5\r\nfirst\r\n",
          "6\r\nsecond\r\n0\r\n\r\n", false },
        { "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 200,
          HEAD "connection: close\r\n\r\nfirst", "second", false },
        { "HEAD / HTTP/1.1\r\n" HOST "\r\n", 200,
          HEAD "transfer-encoding: chunked\r\n\r\n", "", true },
        { "GET / HTTP/1.1\r\n" HOST "\r\n", 204,
          "HTTP/1.1 204 No Content\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n", "",
          true },
        { "POST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc", 200,
          HEAD "transfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n",
          "6\r\nsecond\r\n0\r\n\r\n", true },
    };
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        struct peer peer;
        open_peer(&peer);
        peer_put(&peer, cases[i].request);
        cr_assert_eq(peer.requests, 1);
        begin(&peer, cases[i].status, "first");
        cr_expect_str_eq(output(&peer), cases[i].begun, "case %zu", i);
        cr_expect(om_http_conn_write(&peer.conn, (struct om_str){ 0 }),
                  "an empty piece is not the end");
        cr_expect(om_http_conn_write(&peer.conn, OM_LIT("second")));
        om_http_conn_end(&peer.conn);
        cr_expect_str_eq(output(&peer), cases[i].rest, "case %zu", i);
        cr_expect_eq(om_http_conn_done(&peer.conn), !cases[i].open, "case %zu", i);
        if (cases[i].open)
            peer_put(&peer, "GET /again HTTP/1.1\r\n" HOST "\r\n");
        cr_expect_eq(peer.requests, cases[i].open ? 2 : 1);
        cr_expect_eq(peer.gone, 0);
        peer_finish(&peer);
    }
}

Test(http_stream, takes_the_next_request_only_after_its_end)
{
    struct peer peer;
    open_peer(&peer);
    peer_put(&peer, "GET /1 HTTP/1.1\r\n" HOST "\r\nGET /2 HTTP/1.1\r\n" HOST "\r\n");
    begin(&peer, 200, NULL);
    peer_put(&peer, "GET /3 HTTP/1.1\r\n" HOST "\r\n");
    output(&peer);
    cr_expect_eq(peer.requests, 1);
    om_http_conn_end(&peer.conn);
    cr_expect_str_eq(output(&peer), "0\r\n\r\n");
    cr_expect_eq(peer.requests, 2);
    cr_expect(om_str_eq(peer.conn.request.path, OM_LIT("/2")));
    peer_finish(&peer);
}

Test(http_stream, refuses_pieces_when_it_is_full_and_says_when_there_is_room)
{
    struct peer peer;
    open_peer(&peer);
    peer_put(&peer, "GET / HTTP/1.1\r\n" HOST "\r\n");
    begin(&peer, 200, NULL);
    take(&peer, SIZE_MAX);
    cr_expect(write_size(&peer, STREAM_MAX - 10), "there is room");
    cr_expect(write_size(&peer, 5000), "one piece more, whatever its size");
    size_t held = om_http_conn_pending(&peer.conn).size;
    for (int i = 0; i < 100; i++)
        cr_assert_not(write_size(&peer, 1));
    cr_expect_eq(om_http_conn_pending(&peer.conn).size, held, "nothing of them is kept");
    take(&peer, held - STREAM_MAX / 2 - 1);
    cr_expect_eq(peer.rooms, 0);
    take(&peer, 1);
    cr_expect_eq(peer.rooms, 1);
    take(&peer, SIZE_MAX);
    cr_expect_eq(peer.rooms, 1, "told once");
    cr_expect(write_size(&peer, 1));
    peer_finish(&peer);
}

Test(http_stream, tells_nobody_of_room_who_did_not_ask_for_it)
{
    struct peer peer;
    open_peer(&peer);
    peer_put(&peer, "GET / HTTP/1.1\r\n" HOST "\r\n");
    begin(&peer, 200, NULL);
    cr_expect(write_size(&peer, 5000));
    take(&peer, SIZE_MAX);
    cr_expect_eq(peer.rooms, 0);
    peer_finish(&peer);
}

// A client that always leaves some bytes unread for a while.
Test(http_stream, holds_no_more_memory_however_long_a_slow_client_reads)
{
    struct peer peer;
    open_peer(&peer);
    peer.env.conf.stream_max = 100000;
    peer_put(&peer, "GET / HTTP/1.1\r\n" HOST "\r\n");
    begin(&peer, 200, NULL);
    cr_assert(write_size(&peer, 50000));
    for (int i = 0; i < 1000; i++) {
        cr_assert(write_size(&peer, 10000));
        take(&peer, 10000);
        peer.got.size = 0;
        cr_assert_gt(om_http_conn_pending(&peer.conn).size, 0);
    }
    cr_expect_lt(peer.conn.out.capacity, 400000, "%zu", peer.conn.out.capacity);
    peer_finish(&peer);
}

Test(http_stream, closes_on_a_client_that_takes_nothing_for_too_long)
{
    struct peer peer;
    open_peer(&peer);
    peer_put(&peer, "GET / HTTP/1.1\r\n" HOST "\r\n");
    begin(&peer, 200, NULL);
    take(&peer, SIZE_MAX);
    cr_expect_eq(om_http_conn_deadline(&peer.conn), INT64_MAX, "its writer may be slow");
    om_http_env_clock(&peer.env, 5000, 0);
    cr_expect(write_size(&peer, 1));
    om_http_env_clock(&peer.env, 6000, 0);
    cr_expect(write_size(&peer, 1));
    cr_expect_eq(om_http_conn_deadline(&peer.conn), 5000 + WRITE_MS);
    om_http_env_clock(&peer.env, 5000 + WRITE_MS, 0);
    cr_expect_not(om_http_conn_expire(&peer.conn));
    peer_finish(&peer);
    cr_expect_eq(peer.gone, 1);
}

Test(http_stream, leaves_an_abandoned_body_without_its_end)
{
    struct peer peer;
    open_peer(&peer);
    peer_put(&peer, "GET / HTTP/1.1\r\n" HOST "\r\n");
    begin(&peer, 200, "x");
    om_http_conn_abandon(&peer.conn);
    cr_expect_str_eq(output(&peer), HEAD "transfer-encoding: chunked\r\n\r\n1\r\nx\r\n");
    cr_expect(om_http_conn_done(&peer.conn));
    peer_finish(&peer);
    cr_expect_eq(peer.gone, 0);
}

Test(http_stream, tells_its_writer_that_the_client_left)
{
    struct peer peer;
    open_peer(&peer);
    peer_put(&peer, "GET / HTTP/1.1\r\n" HOST "\r\n");
    begin(&peer, 200, "x");
    take(&peer, SIZE_MAX);
    peer.conn.eof = true;
    om_http_conn_run(&peer.conn);
    cr_expect_eq(peer.gone, 1);
    cr_expect(om_http_conn_done(&peer.conn));
    cr_expect_not(write_size(&peer, 1));
    peer_finish(&peer);
    cr_expect_eq(peer.gone, 1);
}

Test(http_stream, closes_at_its_end_when_the_server_stops)
{
    struct peer peer;
    open_peer(&peer);
    peer_put(&peer, "GET / HTTP/1.1\r\n" HOST "\r\n");
    begin(&peer, 200, NULL);
    peer.env.draining = true;
    om_http_conn_end(&peer.conn);
    cr_expect(strstr(output(&peer), "\r\n\r\n0\r\n\r\n"));
    cr_expect(om_http_conn_done(&peer.conn));
    peer_finish(&peer);
}

Test(http_stream, keeps_no_buffer_while_there_is_nothing_to_send)
{
    struct peer peer;
    open_peer(&peer);
    peer_put(&peer, "GET / HTTP/1.1\r\n" HOST "\r\n");
    begin(&peer, 200, "x");
    take(&peer, SIZE_MAX);
    cr_expect_null(peer.conn.block);
    cr_expect_null(peer.conn.out.data);
    cr_expect_null(peer.conn.request.path.data, "its bytes are gone");
    cr_expect_eq(peer.conn.request.field_count, 0);
    peer_finish(&peer);
}
