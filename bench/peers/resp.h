// resp.h - Redis's protocol (RESP2), as far as the bench needs it.
#pragma once
#include "stream.h"

// One piece of a reply: a reply is a token, or '*' with the number of replies that
// follow.
struct resp_token {
    char type;          // one of + - : $ *
    int64_t number;     // of : and *, and the size of $; -1 is null
    struct om_str text; // of + - and $; borrowed until the next token
};

// Add a command of `count` words to what is to be sent.
void resp_add(struct stream *self, size_t count, const struct om_str words[]);

// The next token if it has come whole; receives without waiting. False when it has not.
bool resp_poll(struct stream *self, struct resp_token *out);

// The next token; waits for it. An error exits.
struct resp_token resp_next(struct stream *self);
