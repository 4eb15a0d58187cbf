// redact_scan.h - reads a text for redact.c, and takes out of it what is secret.
#pragma once
#include "redact.h"

// A text being read. What begins at `stop` or behind it is not written.
struct scan {
    struct om_str in;
    size_t stop, plain; // `plain`: what stands before it is written, or taken out
    bool cut;           // there was more of it
    int depth;
    bool hit;
    struct om_buf *out;
};

// The byte at a place, 0 behind the end.
char scan_byte(const struct scan *s, size_t at);

// Write what stands before `to`.
void scan_plain(struct scan *s, size_t to);

// Leave `mark` in the place of what stands from `at` to `end`.
void scan_take_out(struct scan *s, size_t at, size_t end, struct om_str mark);

// Can a name have it?
bool scan_is_name(char c);

// Undo percent-encodings, those of percent-encodings too. A plus is a space in a form.
void scan_percent(struct om_str text, bool form, struct om_buf *out);

// Read all of a text.
void scan_text(struct scan *s);

// Read a text within a text, percent-encoded or not, `depth` deep, and append what is
// left of it. False: all of it.
bool scan_any(struct om_str text, bool cut, int depth, struct om_buf *out);
