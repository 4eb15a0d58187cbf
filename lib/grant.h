// grant.h - a token that lets its bearer read and write blobs of one tenant, for one
// task, until a time.
//
// The edge mints it when it submits a job or makes a call; it travels as the header field
// `grant` to the worker, who shows it to the edge's blob route. Text:
//   omg1.<claims>.<HMAC-SHA256 of "omg1.<claims>">, both base64url without padding.
// Whoever holds the secret can mint; nothing is stored. Pure but for the secret's file.
#pragma once
#include "rc.h"
#include "uuid.h"

enum {
    OM_SECRET_BYTES = 32,
    OM_GRANT_TASK_MAX = 48,
    OM_GRANT_MAX = 192, // text with its final zero
};

enum om_grant_right {
    OM_GRANT_READ = 1,  // any blob of the tenant
    OM_GRANT_WRITE = 2, // new blobs of the tenant; a blob that exists cannot be changed
};

struct om_secret {
    uint8_t bytes[OM_SECRET_BYTES];
};

struct om_grant {
    struct om_uuid tenant;
    char task[OM_GRANT_TASK_MAX + 1]; // task id, or request id of a call
    int64_t expires_ms;               // wall clock
    unsigned rights;                  // OM_GRANT_* or-ed
};

// Write the token's text with a final zero; returns its length.
size_t om_grant_mint(const struct om_secret *secret, const struct om_grant *grant,
                     char out[OM_GRANT_MAX]);

// Check a token and read it. OM_EAUTH: not minted with this secret, changed, or expired;
// then `out` is zero.
OM_MUST_CHECK enum om_rc om_grant_verify(const struct om_secret *secret, int64_t now_ms,
                                         struct om_str text, struct om_grant *out);

// Read the secret from its file. OM_EINVAL with the reason in `why`.
OM_MUST_CHECK enum om_rc om_secret_load(const char *path, struct om_secret *out,
                                        char *why, size_t why_size);

// Make a new secret in a file of mode 0600, durably: it is there whole or not at all.
//   OM_EDUP  the file exists and was left as it is
//   OM_EDB, OM_ENOSPACE  with the reason in `why`
OM_MUST_CHECK enum om_rc om_secret_create(const char *path, char *why, size_t why_size);
