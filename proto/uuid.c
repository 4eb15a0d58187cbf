#include <endian.h>

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

static uint64_t
load(const uint8_t *bytes)
{
    uint64_t word;
    memcpy(&word, bytes, sizeof(word));
    return be64toh(word);
}

static void
store(uint8_t *bytes, uint64_t word)
{
    word = htobe64(word);
    memcpy(bytes, &word, sizeof(word));
}

// A UUID is 128 bits and 26 characters hold 130: the first character carries three bits.
// They are taken as 8, 9 and 9 characters, each group in a word of its own.
static const uint64_t group_mask = (UINT64_C(1) << 45) - 1;

static void
put_group(char *out, int count, uint64_t bits)
{
    for (int i = count - 1; i >= 0; i--, bits >>= 5)
        out[i] = alphabet[bits & 31];
}

size_t
om_typeid_encode(const char *prefix, const struct om_uuid *id, char out[OM_TYPEID_MAX])
{
    uint64_t high = load(id->bytes), low = load(id->bytes + 8);
    size_t head = strlen(prefix);
    memcpy(out, prefix, head);
    out[head++] = '_';
    put_group(out + head, 8, high >> 26);
    put_group(out + head + 8, 9, (high << 19 | low >> 45) & group_mask);
    put_group(out + head + 17, 9, low & group_mask);
    out[head + 26] = '\0';
    return head + 26;
}

// The value of a character of the alphabet plus one; 0 for any other.
static const uint8_t digits[256] = {
    ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,
    ['7'] = 8,  ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14,
    ['e'] = 15, ['f'] = 16, ['g'] = 17, ['h'] = 18, ['j'] = 19, ['k'] = 20, ['m'] = 21,
    ['n'] = 22, ['p'] = 23, ['q'] = 24, ['r'] = 25, ['s'] = 26, ['t'] = 27, ['v'] = 28,
    ['w'] = 29, ['x'] = 30, ['y'] = 31, ['z'] = 32,
};

// False for a character that is none of the alphabet.
static bool
get_group(const char *text, int count, uint64_t *bits)
{
    unsigned all = 0; // of the digits; one that is none has all bits
    *bits = 0;
    for (int i = 0; i < count; i++) {
        unsigned digit = digits[(uint8_t)text[i]] - 1u;
        all |= digit;
        *bits = *bits << 5 | (digit & 31);
    }
    return all < 32;
}

enum om_rc
om_typeid_decode(const char *prefix, struct om_str text, struct om_uuid *out)
{
    size_t head = strlen(prefix) + 1;
    uint64_t first, middle, last;
    if (!text.data || text.size != head + 26 || text.data[head - 1] != '_' ||
        memcmp(text.data, prefix, head - 1) != 0 || text.data[head] > '7' ||
        !get_group(text.data + head, 8, &first) ||
        !get_group(text.data + head + 8, 9, &middle) ||
        !get_group(text.data + head + 17, 9, &last))
        return OM_EINVAL;
    store(out->bytes, first << 26 | middle >> 19);
    store(out->bytes + 8, middle << 45 | last);
    return OM_OK;
}
