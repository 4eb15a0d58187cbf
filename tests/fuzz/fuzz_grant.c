// Tokens and references of blobs, as a worker shows them to the edge.
#include <stdint.h>
#include <stdlib.h>

#include "blob.h"
#include "grant.h"

static void
require(bool condition)
{
    if (!condition)
        abort();
}

// A token of the fuzzer's own claims is accepted as it is, and not with a bit changed.
static void
try_own(const struct om_secret *secret, const uint8_t *data, size_t size)
{
    struct om_grant in = { .expires_ms = INT64_MAX }, out;
    char text[OM_GRANT_MAX];
    if (size < 20)
        return;
    memcpy(in.tenant.bytes, data, 16);
    in.rights = data[16];
    size_t task = size - 20 < OM_GRANT_TASK_MAX ? size - 20 : OM_GRANT_TASK_MAX;
    memcpy(in.task, data + 20, task);
    size_t length = om_grant_mint(secret, &in, text);
    require(om_grant_verify(secret, 0, (struct om_str){ text, length }, &out) == OM_OK);
    require(om_uuid_eq(&in.tenant, &out.tenant) && in.rights == out.rights);
    require(strcmp(in.task, out.task) == 0);
    text[data[17] % length] ^= (char)(1 << data[18] % 8);
    require(om_grant_verify(secret, 0, (struct om_str){ text, length }, &out) ==
            OM_EAUTH);
}

static void
try_ref(struct om_str text)
{
    struct om_blob_ref ref;
    struct om_uuid tenant = { { [15] = 10 } };
    char again[OM_BLOB_REF_MAX];
    if (om_blob_ref_parse(text, &tenant, &ref) != OM_OK)
        return;
    size_t size = om_blob_ref_text(&ref, again);
    require(om_str_eq(text, (struct om_str){ again, size }));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct om_secret secret = { { 1, 2, 3 } };
    struct om_grant out;
    struct om_str text = { (const char *)data, size };
    // No input has been signed with this secret.
    require(om_grant_verify(&secret, 0, text, &out) == OM_EAUTH);
    try_own(&secret, data, size);
    try_ref(text);
    return 0;
}
