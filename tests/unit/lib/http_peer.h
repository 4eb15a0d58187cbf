// http_peer.h - a client of om_http_conn without a socket, whose requests answer
// themselves with "METHOD /path body".
//
// It reads all that is sent to it after each byte of its own, unless it only puts.
#pragma once
#include <criterion/criterion.h>

#include "http_conn.h"

#define HOST    "Host: a\r\n"
#define CHUNKED "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"

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

// With the limits of `conf`, or usual ones; the clock begins at 1000 ms.
void peer_init(struct peer *self);
void peer_init_with(struct peer *self, struct om_http_conf conf);
void peer_finish(struct peer *self);

// Answer a parked request.
void peer_answer(struct peer *self, const struct om_http_request *request);

// Send, and read nothing. All of it must find room.
void peer_put(struct peer *self, const char *text);

// Read what there is; after the connection had its turn.
void peer_read(struct peer *self);
void peer_run(struct peer *self);

// Send at most `step` bytes at a time, as far as the connection takes them.
size_t peer_feed(struct peer *self, struct om_str bytes, size_t step);
void peer_feed_text(struct peer *self, const char *text);

// What was read, as a string; the status it begins with, 0 if with none.
const char *peer_output(struct peer *self);
int peer_status(struct peer *self);
