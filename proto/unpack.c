#include <endian.h>

#include "unpack.h"

// clang-format off
// What the bytes 0xc0 to 0xdf begin: the type, and how many bytes follow it, of the number
// or of the size. FIXED: the size is known, a byte for the type of an EXT follows.
static const struct head {
    uint8_t type, width, fixed;
} heads[32] = {
    { OM_TOKEN_NIL,  0, 0 }, { OM_TOKEN_NONE,  0, 0 },
    { OM_TOKEN_BOOL, 0, 0 }, { OM_TOKEN_BOOL,  0, 0 },
    { OM_TOKEN_BIN,  1, 0 }, { OM_TOKEN_BIN,   2, 0 }, { OM_TOKEN_BIN, 4, 0 },
    { OM_TOKEN_EXT,  1, 0 }, { OM_TOKEN_EXT,   2, 0 }, { OM_TOKEN_EXT, 4, 0 },
    { OM_TOKEN_FLOAT, 4, 0 }, { OM_TOKEN_FLOAT, 8, 0 },
    { OM_TOKEN_LARGE, 1, 0 }, { OM_TOKEN_LARGE, 2, 0 },
    { OM_TOKEN_LARGE, 4, 0 }, { OM_TOKEN_LARGE, 8, 0 },
    { OM_TOKEN_INT,  1, 0 }, { OM_TOKEN_INT,   2, 0 },
    { OM_TOKEN_INT,  4, 0 }, { OM_TOKEN_INT,   8, 0 },
    { OM_TOKEN_EXT,  0, 1 }, { OM_TOKEN_EXT,   0, 2 }, { OM_TOKEN_EXT, 0, 4 },
    { OM_TOKEN_EXT,  0, 8 }, { OM_TOKEN_EXT,   0, 16 },
    { OM_TOKEN_STR,  1, 0 }, { OM_TOKEN_STR,   2, 0 }, { OM_TOKEN_STR, 4, 0 },
    { OM_TOKEN_ARRAY, 2, 0 }, { OM_TOKEN_ARRAY, 4, 0 },
    { OM_TOKEN_MAP,  2, 0 }, { OM_TOKEN_MAP,   4, 0 },
};
// clang-format on

static uint64_t
big_endian(const char *bytes, unsigned width)
{
    uint16_t two;
    uint32_t four;
    uint64_t eight;
    switch (width) {
    case 1:
        return (uint8_t)*bytes;
    case 2:
        memcpy(&two, bytes, sizeof(two));
        return be16toh(two);
    case 4:
        memcpy(&four, bytes, sizeof(four));
        return be32toh(four);
    case 8:
        memcpy(&eight, bytes, sizeof(eight));
        return be64toh(eight);
    default:
        return 0;
    }
}

static int64_t
sign_extend(uint64_t value, unsigned width)
{
    switch (width) {
    case 1:
        return (int8_t)value;
    case 2:
        return (int16_t)value;
    case 4:
        return (int32_t)value;
    default:
        return (int64_t)value;
    }
}

static double
as_number(uint64_t value, unsigned width)
{
    uint32_t half = (uint32_t)value;
    float single;
    double number;
    memcpy(&single, &half, sizeof(single));
    memcpy(&number, &value, sizeof(number));
    return width == 4 ? (double)single : number;
}

bool
om_token_next_long(struct om_str *rest, uint8_t first, struct om_token *token)
{
    const struct head *head = &heads[first - 0xc0];
    if (rest->size < head->width || head->type == OM_TOKEN_NONE)
        return false;
    uint64_t value = big_endian(om_token_take(rest, head->width).data, head->width);
    token->type = (enum om_token_type)head->type;
    switch (token->type) {
    case OM_TOKEN_BOOL:
        token->integer = first & 1;
        return true;
    case OM_TOKEN_INT:
        token->integer = sign_extend(value, head->width);
        return true;
    case OM_TOKEN_LARGE:
        token->type = value <= INT64_MAX ? OM_TOKEN_INT : OM_TOKEN_LARGE;
        token->integer = (int64_t)value;
        return true;
    case OM_TOKEN_FLOAT:
        token->number = as_number(value, head->width);
        return true;
    case OM_TOKEN_EXT:
        if (rest->size == 0)
            return false;
        om_token_take(rest, 1);
        token->size = head->fixed ? head->fixed : value;
        return token->size <= rest->size;
    case OM_TOKEN_MAP:
        token->size = value;
        return value <= rest->size / 2;
    default:
        token->size = value;
        return value <= rest->size;
    }
}
