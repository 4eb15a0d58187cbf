#include "bundle.h"
#include "unpack.h"

enum { BIN_HEAD_ROOM = 9 }; // which om_pack_bin() wants free before a bin's bytes

// A map of version and type, as wire_encode() writes it.
static const char header_bytes[] = { '\x82', '\xa1', 'v',        WIRE_VERSION,
                                     '\xa1', 't',    WIRE_BUNDLE };

struct om_str
bundle_header(void)
{
    return (struct om_str){ header_bytes, sizeof(header_bytes) };
}

bool
bundle_is(struct om_str header)
{
    return om_str_eq(header, bundle_header());
}

bool
bundle_init(struct bundle *self)
{
    *self = (struct bundle){ 0 };
    return om_buf_room(&self->bytes, BUNDLE_BYTES);
}

void
bundle_finish(struct bundle *self)
{
    om_buf_finish(&self->bytes);
    self->count = 0;
}

void
bundle_reset(struct bundle *self)
{
    om_buf_reset(&self->bytes);
    self->count = 0;
}

bool
bundle_is_small(struct om_str header, struct om_str payload)
{
    return header.size <= BUNDLE_SMALL && payload.size <= BUNDLE_SMALL - header.size;
}

bool
bundle_has_room(const struct bundle *self, struct om_str header, struct om_str payload)
{
    return self->count < BUNDLE_MESSAGES_MAX &&
           self->bytes.size + header.size + payload.size + 2 * BIN_HEAD_ROOM <=
               BUNDLE_BYTES;
}

void
bundle_add(struct bundle *self, struct om_str header, struct om_str payload)
{
    om_pack_bin(&self->bytes, header);
    om_pack_bin(&self->bytes, payload);
    self->count++;
}

struct bundle_iter
bundle_iter(struct om_str payload)
{
    return (struct bundle_iter){ payload, 0 };
}

static bool
next_bin(struct om_str *rest, size_t max, struct om_str *out)
{
    struct om_token token;
    if (!om_token_next(rest, &token) || token.type != OM_TOKEN_BIN || token.size > max)
        return false;
    *out = om_token_take(rest, token.size);
    return true;
}

bool
bundle_next(struct bundle_iter *iter, struct om_str *header, struct om_str *payload)
{
    struct om_str rest = iter->rest;
    if (iter->count == BUNDLE_MESSAGES_MAX || !next_bin(&rest, WIRE_HEADER_MAX, header) ||
        header->size == 0 || bundle_is(*header) ||
        !next_bin(&rest, WIRE_PAYLOAD_MAX, payload))
        return false;
    iter->rest = rest;
    iter->count++;
    return true;
}
