// http_reply.h - a response as bytes.
#pragma once
#include "http_message.h"
#include "pack.h"

// Lengths of a body that has none.
enum { OM_HTTP_LENGTH_NONE = -1, OM_HTTP_LENGTH_CHUNKED = -2 };

// Append status line and fields. Unless the status allows no body, Content-Length is
// there, or what stands for it. `keep_alive` is said aloud where it is not the version's
// default.
void om_http_reply_head(struct om_buf *buf, const struct om_http_response *response,
                        const char *date, int minor_version, int64_t length,
                        bool keep_alive);

// May a response of this status have a body?
bool om_http_reply_has_body(int status);
