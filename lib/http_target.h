// http_target.h - the request target: path and query, percent-decoded (RFC 3986).
#pragma once
#include "http_message.h"

// Decode "%XX" in `text` to `out`, which has room for text.size bytes; '+' becomes a
// space if `form` is set. False: a bad escape, or a byte that is zero or a control
// character.
bool om_http_unescape(struct om_str text, bool form, char *out, size_t *size);

// Split `target` into path, segments and query of `out`. Decoded text goes to `decoded`,
// which has room for target.size bytes. NULL, or why the target is refused.
const char *om_http_target_parse(struct om_str target, char *decoded,
                                 struct om_http_request *out);
