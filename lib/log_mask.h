// log_mask.h - what no log line may show: secrets, and addresses of people.
//
// A last line of defence: nothing logs these on purpose, but texts of errors quote what
// users sent. It knows what looks like a secret, not what is one.
#pragma once
#include "base.h"

// Whether a field of this name is hidden whatever its value.
bool om_log_hides_field(const char *name);

// How many bytes of the value, from `at` on, are hidden; 0: none begins there. It finds
// keys of this product, the credentials of an Authorization field and of a URL, JSON Web
// Tokens, and e-mail addresses.
size_t om_log_hidden(struct om_str value, size_t at);

// Write at most `max` bytes of a text with a mark for all that is hidden, also for what
// stands behind the name of a field that is ("password=…", "token": "…"). Returns its
// size.
size_t om_log_mask(struct om_str text, char *out, size_t max);
