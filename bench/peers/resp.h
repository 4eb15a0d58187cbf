// resp.h - Redis's protocol (RESP2) over a Unix socket, as far as the bench needs it.
#pragma once
#include "pack.h"

struct resp {
    int fd;
    struct om_buf out; // commands that are not written yet
    struct om_buf in;
    size_t read; // of `in`
};

// One piece of a reply: a reply is a token, or '*' with the number of replies that
// follow.
struct resp_token {
    char type;          // one of + - : $ *
    int64_t number;     // of : and *, and the size of $; -1 is null
    struct om_str text; // of + - and $; borrowed until the next token
};

// Connect, trying for 10 s; exits on failure, as everything here does.
void resp_open(struct resp *self, const char *path);
void resp_close(struct resp *self);

// Add a command of `count` words, then write all that were added.
void resp_add(struct resp *self, size_t count, const struct om_str words[]);
void resp_flush(struct resp *self);

// The next token if it has come whole; receives without waiting. False when it has not.
bool resp_poll(struct resp *self, struct resp_token *out);

// The next token; waits for it. An error exits.
struct resp_token resp_next(struct resp *self);
