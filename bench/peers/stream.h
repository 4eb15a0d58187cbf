// stream.h - a connection to a peer's server, buffered in both directions.
//
// Everything here exits when it fails.
#pragma once
#include "pack.h"

struct stream {
    int fd;
    struct om_buf out; // what is not sent yet
    struct om_buf in;
    size_t read; // of `in`
};

// Connect to a Unix socket, or to a port of this machine if `path` is NULL, trying for
// 10 s.
void stream_open(struct stream *self, const char *path, int port);
void stream_close(struct stream *self);

// Send all of `out`.
void stream_flush(struct stream *self);

// What was received and is not read; borrowed until more is received.
struct om_str stream_left(const struct stream *self);

// Receive once: what is there, false if nothing is; or wait for something.
bool stream_poll(struct stream *self);
void stream_wait(struct stream *self);
