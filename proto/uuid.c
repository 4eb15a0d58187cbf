#include "uuid.h"

static const char alphabet[] = "0123456789abcdefghjkmnpqrstvwxyz";

struct om_uuid
om_uuid_make(int64_t unix_ms, const uint8_t entropy[10], uint8_t shard)
{
    struct om_uuid id;
    for (int i = 0; i < 6; i++)
        id.bytes[i] = (uint8_t)((uint64_t)unix_ms >> (40 - 8 * i));
    memcpy(id.bytes + 6, entropy, 10);
    id.bytes[6] = (uint8_t)(0x70 | (id.bytes[6] & 0x0f));
    id.bytes[8] = (uint8_t)(0x80 | (id.bytes[8] & 0x3f));
    id.bytes[15] = shard;
    return id;
}

int64_t
om_uuid_time_ms(const struct om_uuid *id)
{
    uint64_t ms = 0;
    for (int i = 0; i < 6; i++)
        ms = ms << 8 | id->bytes[i];
    return (int64_t)ms;
}

bool
om_uuid_is_zero(const struct om_uuid *id)
{
    static const struct om_uuid zero;
    return om_uuid_eq(id, &zero);
}

// A UUID is 128 bits and 26 characters hold 130: the first character carries three bits.
size_t
om_typeid_encode(const char *prefix, const struct om_uuid *id, char out[OM_TYPEID_MAX])
{
    size_t size = strlen(prefix);
    memcpy(out, prefix, size);
    out[size++] = '_';
    for (int i = 0; i < 26; i++) {
        int bit = 5 * i - 2; // of the first of five bits, counted from the left
        unsigned window = bit < 0 ? id->bytes[0] : (unsigned)id->bytes[bit / 8] << 8;
        if (bit >= 0 && bit / 8 < 15)
            window |= id->bytes[bit / 8 + 1];
        unsigned value = bit < 0 ? window >> 5 : window >> (11 - bit % 8);
        out[size++] = alphabet[value & (bit < 0 ? 7 : 31)];
    }
    out[size] = '\0';
    return size;
}

static int
digit(char c)
{
    const char *at = c ? strchr(alphabet, c) : NULL;
    return at ? (int)(at - alphabet) : -1;
}

enum om_rc
om_typeid_decode(const char *prefix, struct om_str text, struct om_uuid *out)
{
    size_t head = strlen(prefix) + 1;
    if (!text.data || text.size != head + 26 || text.data[head - 1] != '_' ||
        memcmp(text.data, prefix, head - 1) != 0)
        return OM_EINVAL;

    struct om_uuid id = { 0 };
    for (int i = 0; i < 26; i++) {
        int value = digit(text.data[head + (size_t)i]);
        if (value < 0 || (i == 0 && value > 7))
            return OM_EINVAL;
        int bit = 5 * i - 2;
        for (int b = 0; b < 5; b++)
            if (bit + b >= 0 && value >> (4 - b) & 1)
                id.bytes[(bit + b) / 8] |= (uint8_t)(0x80 >> ((bit + b) % 8));
    }
    *out = id;
    return OM_OK;
}
