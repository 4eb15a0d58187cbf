// http_reply.h - a response as bytes.
#pragma once
#include "http_message.h"
#include "pack.h"

// Append status line and fields. Content-Length is there always, unless the status allows
// no body. `keep_alive` is said aloud where it is not the version's default.
void om_http_reply_head(struct om_buf *buf, const struct om_http_response *response,
                        const char *date, int minor_version, bool keep_alive);

// May a response of this status have a body?
bool om_http_reply_has_body(int status);
