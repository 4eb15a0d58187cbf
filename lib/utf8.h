// utf8.h - is it valid UTF-8 (RFC 3629)? Pure.
#pragma once
#include "base.h"

// The size of the character at `at`, of which `left` bytes are there: 1 to 4; 0 if it is
// not a valid one.
size_t om_utf8_size(const char *at, size_t left);
