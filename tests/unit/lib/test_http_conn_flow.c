// Bodies, waits and answers that take their time: what a connection holds, and how long.
#include <stdlib.h>

#include "http_peer.h"

Test(http_conn, says_continue_only_to_who_waits_and_may_send)
{
    static const char head[] =
        "POST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\nExpect: 100-continue\r\n\r\n";
    struct peer peer;
    peer_init(&peer);
    peer_feed_text(&peer, head);
    cr_expect_str_eq(peer_output(&peer), "HTTP/1.1 100 Continue\r\n\r\n");
    peer_feed_text(&peer, "abc");
    cr_expect(strstr(peer_output(&peer), "POST / abc"));
    cr_expect_eq(peer.conn.state, OM_HTTP_STATE_HEAD);
    peer_finish(&peer);

    peer_init(&peer);
    peer.limit = 2;
    peer_feed_text(&peer, head);
    cr_expect_eq(peer_status(&peer), 413);
    cr_expect_eq(peer.gone, 1);
    peer_finish(&peer);

    peer_init(&peer);
    peer.answer_head = true;
    peer_feed_text(&peer, head);
    cr_expect_eq(peer_status(&peer), 200);
    cr_expect(strstr(peer_output(&peer), "connection: close"),
              "it may send the body or not");
    peer_finish(&peer);
}

Test(http_conn, streams_a_body_and_holds_it_back_when_paused)
{
    struct peer peer;
    peer_init(&peer);
    peer.stream_all = peer.pause = true;
    peer.limit = 1 << 20;
    peer_feed_text(&peer, "POST / HTTP/1.1\r\n" HOST "Content-Length: 200000\r\n\r\n");
    char *bytes = malloc(200000);
    for (size_t i = 0; i < 200000; i++)
        bytes[i] = (char)('a' + i % 26);
    size_t sent = peer_feed(&peer, (struct om_str){ bytes, 200000 }, 10000);
    cr_expect_lt(sent, OM_HTTP_INPUT_MAX,
                 "a paused connection takes no more than it holds");
    cr_expect_eq(peer.stream.size, 0);
    cr_expect_eq(om_http_conn_deadline(&peer.conn), INT64_MAX,
                 "nobody is to blame but us");

    peer.conn.paused = false;
    peer_run(&peer);
    sent += peer_feed(&peer, (struct om_str){ bytes + sent, 200000 - sent }, 10000);
    cr_expect_eq(sent, 200000);
    cr_expect(om_str_eq(om_buf_str(&peer.stream), (struct om_str){ bytes, 200000 }));
    cr_expect_eq(peer_status(&peer), 200);
    cr_expect_eq(peer.conn.state, OM_HTTP_STATE_HEAD);
    free(bytes);
    peer_finish(&peer);
}

Test(http_conn, keeps_the_connection_when_a_small_body_is_not_wanted)
{
    struct peer peer;
    peer_init(&peer);
    peer.answer_head = true;
    peer_feed(&peer,
              OM_LIT("POST /1 HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nabcde"
                     "GET /2 HTTP/1.1\r\n" HOST "\r\n"),
              3);
    cr_expect(strstr(peer_output(&peer), "POST /1") &&
              strstr(peer_output(&peer), "GET /2"));
    cr_expect_eq(peer.requests, 0);
    peer_finish(&peer);

    peer_init(&peer);
    peer.answer_head = true;
    peer_feed_text(&peer,
                   "POST /1 HTTP/1.1\r\n" HOST "Content-Length: 1000000\r\n\r\nabcde");
    cr_expect_eq(peer.conn.state, OM_HTTP_STATE_CLOSING);
    cr_expect(!om_http_conn_done(&peer.conn), "the client is given time to read");
    peer.conn.eof = true;
    peer_run(&peer);
    cr_expect(om_http_conn_done(&peer.conn));
    peer_finish(&peer);
}

Test(http_conn, ends_an_upload_that_is_answered_midway)
{
    struct peer peer;
    peer_init(&peer);
    peer.stream_all = peer.answer_body = true;
    peer_feed_text(&peer, CHUNKED "3\r\nabc\r\n3\r\ndef\r\n");
    cr_expect_eq(peer_status(&peer), 200);
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
        peer_feed_text(&peer, cases[i].bytes);
        om_buf_reset(&peer.got);
        cr_expect_eq(om_http_conn_deadline(&peer.conn), 1000 + cases[i].wait_ms, "%s",
                     cases[i].bytes);
        om_http_env_clock(&peer.env, 1000 + cases[i].wait_ms, 0);
        bool open = om_http_conn_expire(&peer.conn);
        peer_run(&peer);
        cr_expect_eq(open, cases[i].status != 0, "%s", cases[i].bytes);
        cr_expect_eq(peer_status(&peer), cases[i].status, "%s", cases[i].bytes);
        cr_expect_eq(peer.gone, peer.heads - peer.requests);
        peer_finish(&peer);
    }
}

Test(http_conn, asks_a_body_for_a_minimum_rate)
{
    struct peer peer;
    peer_init(&peer);
    char bytes[1024] = { 0 };
    peer_feed_text(&peer, "POST / HTTP/1.1\r\n" HOST "Content-Length: 100000\r\n\r\n");
    for (int second = 1; second <= 5; second++) {
        peer_feed(&peer, (struct om_str){ bytes, sizeof(bytes) }, SIZE_MAX);
        om_http_env_clock(&peer.env, 1000 + 5000 * second, 0);
        cr_assert(om_http_conn_expire(&peer.conn));
        cr_assert_eq(peer.conn.state, OM_HTTP_STATE_BODY, "fast enough");
    }
    peer_feed(&peer, (struct om_str){ bytes, sizeof(bytes) - 1 }, SIZE_MAX);
    om_http_env_clock(&peer.env, 100000, 0);
    om_http_conn_expire(&peer.conn);
    peer_run(&peer);
    cr_expect_eq(peer_status(&peer), 408);
    peer_finish(&peer);
}

Test(http_conn, closes_on_a_client_that_takes_nothing)
{
    struct peer peer;
    peer_init(&peer);
    peer_put(&peer, "GET / HTTP/1.1\r\n" HOST "\r\n");
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
    for (int i = 0; i < 10; i++) {
        peer_put(&peer, "GET / HTTP/1.1\r\n" HOST "\r\n");
    }
    cr_expect_eq(peer.requests, 2, "%d answers wait", peer.requests);
    peer_read(&peer);
    cr_expect_eq(peer.requests, 10);
    free(big);
    peer_finish(&peer);
}

Test(http_conn, tells_a_parked_request_that_its_client_left)
{
    struct peer peer;
    peer_init(&peer);
    peer.park = true;
    peer_feed_text(&peer, "GET / HTTP/1.1\r\n" HOST "\r\n");
    cr_expect_eq(om_http_conn_deadline(&peer.conn), INT64_MAX,
                 "its owner has the deadline");
    peer.conn.eof = true;
    peer_run(&peer);
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
    static const char get[] = "GET /x HTTP/1.1\r\n" HOST "\r\n";
    cr_assert(om_http_conn_window(&peer.conn, &at, &room));
    memcpy(at, get, sizeof(get) - 1);
    om_http_conn_received(&peer.conn, sizeof(get) - 1); // and its end comes with it
    peer.conn.eof = true;
    peer_run(&peer);
    cr_expect(strstr(peer_output(&peer), "GET /x"));
    cr_expect(om_http_conn_done(&peer.conn));
    cr_expect_eq(peer.gone, 0);
    peer_finish(&peer);
}

Test(http_conn, answers_a_parked_request_and_goes_on)
{
    struct peer peer;
    peer_init(&peer);
    peer.park = true;
    peer_feed_text(&peer, "POST /1 HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc"
                          "GET /2 HTTP/1.1\r\n" HOST "\r\n");
    uint64_t first = peer.conn.request.handle;
    cr_expect_eq(peer.requests, 1, "one at a time");
    peer_feed_text(&peer, "GET /3 HTTP/1.1\r\n" HOST "\r\n");
    cr_expect(om_str_eq(peer.conn.request.body, OM_LIT("abc")), "still there");
    peer_answer(&peer, &peer.conn.request);
    peer_run(&peer);
    cr_expect_eq(peer.requests, 2);
    cr_expect_neq(peer.conn.request.handle, first);
    cr_expect_eq(peer.conn.request.handle & 0xffffff, 7, "the slot stays");
    peer_answer(&peer, &peer.conn.request);
    peer_run(&peer);
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
    peer_feed_text(&peer, "GET / HTTP/1.1\r\n" HOST "\r\n");
    cr_expect_str_eq(peer_output(&peer), "HTTP/1.1 202 Accepted\r\n"
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
        peer_feed_text(&peer, "GET / HTTP/1.1\r\n" HOST "\r\n");
        cr_expect(letters.closed);
        cr_expect_eq(peer.conn.state,
                     cases[i].whole ? OM_HTTP_STATE_HEAD : OM_HTTP_STATE_CLOSING);
        const char *body = strstr(peer_output(&peer), "\r\n\r\n") + 4;
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
    for (int i = 0; i < 1000; i++) {
        peer_put(&peer, "GET / HTTP/1.1\r\n" HOST "\r\n");
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
        peer_feed_text(&peer, "GET / HTTP/1.1\r\n" HOST "\r\n");
    cr_expect_null(peer.conn.block);
    cr_expect_null(peer.conn.out.data);
    cr_expect_eq(peer.env.block_count, 1);
    cr_expect_eq(peer.env.spare_count, 1);
    peer_finish(&peer);
}
