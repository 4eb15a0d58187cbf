// lines.h - a connection of a protocol of text lines, some of which have a body behind
// them, as beanstalkd's and NATS's do.
#pragma once
#include "stream.h"

struct lines {
    struct stream stream;
    // The size of the body that follows a line, without the CR LF behind it; -1: none.
    int64_t (*body)(struct om_str line);
};

// Borrowed until the next one is asked for.
struct line {
    struct om_str text, body;
};

// Connect as stream_open() does.
void lines_open(struct lines *self, const char *path, int port,
                int64_t (*body)(struct om_str line));
void lines_close(struct lines *self);

// Add to what is to be sent; then send it.
void lines_add(struct lines *self, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void lines_add_bytes(struct lines *self, const void *data, size_t size);
void lines_flush(struct lines *self);

// The next line if it has come whole, with its body; receives without waiting.
bool lines_poll(struct lines *self, struct line *out);

// The next line; sends what is to be sent and waits.
struct line lines_next(struct lines *self);

// Does the line begin with `word`?
bool line_is(const struct line *line, const char *word);

// The number behind the last space of a line; -1 if there is none.
int64_t line_last_number(struct om_str line);
