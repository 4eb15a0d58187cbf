// fingerprint.h - which errors are the same one: the text of an error without what
// differs from one time to the next. Pure.
//
// Ids, numbers, addresses, paths, quoted words and long tokens become marks such as <n>;
// several of a kind in a row become one. Of a traceback in Python's form only the type of
// the exception and the functions it came through stay, without lines and values: those
// of the program itself, not of the libraries it uses.
#pragma once
#include "base.h"

enum { OM_TITLE_MAX = 256, OM_FINGERPRINT = 16 };

// Write what stays of `text`, with a final zero; valid UTF-8 without control characters.
// Returns its size. Linear in the text.
size_t om_error_title(struct om_str text, char out[OM_TITLE_MAX + 1]);

// What two errors of a tenant have in common if they are the same: the first bytes of
// SHA-256 over the parts, which may be absent.
void om_fingerprint(const struct om_str *parts, size_t count,
                    uint8_t out[OM_FINGERPRINT]);
