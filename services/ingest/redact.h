// redact.h - takes secrets and personal data out of what is kept of a request. Pure.
//
// Nobody says which bytes are secret, so they are known by their name ("password": …,
// token=…) or by their shape (a key, a card's number, an e-mail address); both tables are
// in redact_table.c. Text is read as it is, well-formed or not: JSON within JSON, strings
// with escapes, percent-encodings of percent-encodings. What is taken out leaves
// REDACT_MARK behind.
//
// The time is linear in what is looked at, which is `max` bytes and a few more: a secret
// that lies across that end is still seen.
#pragma once
#include "pack.h"

#define REDACT_MARK "[redacted]"

enum {
    REDACT_HIT = 1, // something was taken out
    REDACT_CUT = 2, // there was more than `max` bytes
};

// Append at most `max` bytes of what is left of a text: JSON or anything else. The result
// has the bits above.
unsigned redact_text(struct om_str text, size_t max, struct om_buf *out);

// The same for "name=value&…", percent-encoded: a query, or a form.
unsigned redact_form(struct om_str text, size_t max, struct om_buf *out);

// The same for a path, percent-encoded.
unsigned redact_path(struct om_str path, size_t max, struct om_buf *out);

// The same for a body, which may be either of the first two.
unsigned redact_body(struct om_str body, size_t max, struct om_buf *out);

// The same for the value of a header field.
unsigned redact_field(struct om_str name, struct om_str value, size_t max,
                      struct om_buf *out);

// ---- the tables (redact_table.c)

// Is what has this name a secret? Case and all but letters and digits make no difference.
bool redact_is_secret_name(struct om_str name);

// The same of a header field.
bool redact_is_secret_field(struct om_str name);

// How many bytes at the start of `text` are a secret by their shape; 0: none. `before` is
// the byte before it (0: none). If `text` is cut, what goes on to its end counts.
size_t redact_shape(struct om_str text, char before, bool cut);
