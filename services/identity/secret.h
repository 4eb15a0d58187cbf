// secret.h - the text of an API key. Pure, but for the random bytes its caller brings.
//
// "omni_live_" or "omni_test_" and 32 characters of Crockford's base32: 160 bits no one
// can guess.
#pragma once
#include "base.h"

#define SECRET_MARK      "omni_live_"
#define SECRET_MARK_TEST "omni_test_"

enum {
    SECRET_ENTROPY = 20,                        // bytes
    SECRET_SIZE = sizeof(SECRET_MARK) - 1 + 32, // characters of a key made here
    SECRET_SIZE_MAX = 128,                      // of one brought from outside
    SECRET_SHOWN = sizeof(SECRET_MARK) - 1 + 4, // characters that are not secret
};

_Static_assert(sizeof(SECRET_MARK) == sizeof(SECRET_MARK_TEST), "marks of one size");

// The key of those random bytes, with a final zero.
void secret_format(const uint8_t entropy[SECRET_ENTROPY], bool test,
                   char out[SECRET_SIZE + 1]);

// Is it a live key: the mark and at least 32 letters and digits, SECRET_SIZE_MAX in all?
bool secret_valid(struct om_str text);
