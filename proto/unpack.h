// unpack.h - reads msgpack, one token at a time, from bytes that nobody vouches for.
//
// A count or size larger than the bytes that remain is refused here, before anyone
// reserves memory for it: each item takes at least a byte.
#pragma once
#include "base.h"

enum om_token_type {
    OM_TOKEN_NONE, // the byte msgpack never uses
    OM_TOKEN_NIL,
    OM_TOKEN_BOOL,
    OM_TOKEN_INT,   // fits an int64_t
    OM_TOKEN_LARGE, // an integer beyond it
    OM_TOKEN_FLOAT,
    OM_TOKEN_STR,
    OM_TOKEN_BIN,
    OM_TOKEN_EXT,
    OM_TOKEN_ARRAY,
    OM_TOKEN_MAP,
};

struct om_token {
    enum om_token_type type;
    size_t size;     // bytes of STR, BIN and EXT, which come next; items; pairs
    int64_t integer; // INT; BOOL as 0 or 1; LARGE as its 64 bits
    double number;   // FLOAT
};

static inline bool
om_token_is_bytes(const struct om_token *token)
{
    return token->type == OM_TOKEN_STR || token->type == OM_TOKEN_BIN;
}

// Step over `size` bytes, of which om_token_next() has said that they are there.
static inline struct om_str
om_token_take(struct om_str *rest, size_t size)
{
    struct om_str taken = { rest->data, size };
    rest->data += size;
    rest->size -= size;
    return taken;
}

// The same as om_token_next() once `first`, one of 0xc0 to 0xdf, was stepped over.
OM_MUST_CHECK bool om_token_next_long(struct om_str *rest, uint8_t first,
                                      struct om_token *token);

// Read the token at the start of `rest` and step over it, but not over a string's bytes
// nor what is in an array or a map. False: the bytes end, or are no msgpack.
OM_MUST_CHECK static inline bool
om_token_next(struct om_str *rest, struct om_token *token)
{
    if (rest->size == 0)
        return false;
    uint8_t first = (uint8_t)*om_token_take(rest, 1).data;
    *token = (struct om_token){ .type = OM_TOKEN_INT };
    if (first < 0x80 || first >= 0xe0) {
        token->integer = (int8_t)first;
        return true;
    }
    if (first >= 0xc0)
        return om_token_next_long(rest, first, token);
    if (first >= 0xa0) {
        token->type = OM_TOKEN_STR;
        token->size = first & 31;
        return token->size <= rest->size;
    }
    token->type = first < 0x90 ? OM_TOKEN_MAP : OM_TOKEN_ARRAY;
    token->size = first & 15;
    return token->size <= (first < 0x90 ? rest->size / 2 : rest->size);
}
