// http_body.h - takes a body out of the bytes of a connection: a length, or chunks
// (RFC 9112, 7.1). Trailer fields are read and dropped.
#pragma once
#include "base.h"

enum {
    OM_HTTP_CHUNK_LINE_MAX = 256, // a chunk's size and its extensions
    OM_HTTP_TRAILERS_MAX = 8 * 1024,
};

struct om_http_body {
    int state;       // of http_body.c
    uint64_t left;   // bytes of the body, or of this chunk, that are to come
    size_t overhead; // bytes of this chunk's line, or of the trailers
    bool blank; // nothing in this line yet: of a chunk no digit, of a trailer no byte
};

enum om_http_body_result {
    OM_HTTP_BODY_MORE, // all input is used
    OM_HTTP_BODY_DATA, // *data has bytes of the body; there may be more in the input
    OM_HTTP_BODY_END,  // the body ends here; the rest of the input is not its own
    OM_HTTP_BODY_BAD,
};

// `length` of the body, or -1 if it is chunked.
void om_http_body_init(struct om_http_body *body, int64_t length);

// Step over input, up to and with the next bytes of the body, which *data borrows from
// it.
enum om_http_body_result om_http_body_take(struct om_http_body *body,
                                           struct om_str *input, struct om_str *data);
