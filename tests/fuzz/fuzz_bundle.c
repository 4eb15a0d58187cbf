// Bundles from the network: what is read stays inside of them, and means the same when it
// is bundled anew.
#include <stdint.h>
#include <stdlib.h>

#include "bundle.h"

static void
require(bool condition)
{
    if (!condition)
        abort();
}

static void
try_anew(struct bundle *bundle, struct om_str header, struct om_str payload)
{
    if (!bundle_is_small(header, payload))
        return;
    if (!bundle_has_room(bundle, header, payload))
        bundle_reset(bundle);
    bundle_add(bundle, header, payload);
    require(!bundle->bytes.failed && bundle->bytes.size <= BUNDLE_BYTES);

    struct om_str again_header = { 0 }, again_payload = { 0 };
    struct bundle_iter iter = bundle_iter(om_buf_str(&bundle->bytes));
    for (size_t i = 0; i < bundle->count; i++)
        require(bundle_next(&iter, &again_header, &again_payload));
    require(iter.rest.size == 0 && om_str_eq(header, again_header) &&
            om_str_eq(payload, again_payload));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct bundle bundle;
    if (!bundle.bytes.capacity)
        require(bundle_init(&bundle));
    bundle_reset(&bundle);
    const char *at = (const char *)data, *end = at + size;
    struct om_str header, payload;
    struct bundle_iter iter = bundle_iter((struct om_str){ at, size });
    while (bundle_next(&iter, &header, &payload)) {
        require(header.data > at && header.data + header.size < payload.data);
        at = payload.data + payload.size;
        require(at <= end && at == iter.rest.data && header.size > 0);
        require(header.size <= WIRE_HEADER_MAX && payload.size <= WIRE_PAYLOAD_MAX);
        try_anew(&bundle, header, payload);
    }
    require(iter.count <= BUNDLE_MESSAGES_MAX);
    return 0;
}
