#include <inttypes.h>
#include <stdio.h>

#include "etag.h"

enum { DIGITS_MAX = 18 };

size_t
etag_write(int64_t version, char out[ETAG_MAX])
{
    return (size_t)snprintf(out, ETAG_MAX, "\"v%" PRId64 "\"", version);
}

static void
skip_spaces(struct om_str *rest)
{
    while (rest->size > 0 && (rest->data[0] == ' ' || rest->data[0] == '\t'))
        rest->data++, rest->size--;
}

// Take the entity tag off the front of a list, without its quotes. False: there is none.
static bool
take_tag(struct om_str *rest, struct om_str *tag, bool *weak)
{
    skip_spaces(rest);
    *weak = rest->size > 2 && memcmp(rest->data, "W/", 2) == 0;
    if (*weak)
        rest->data += 2, rest->size -= 2;
    if (rest->size < 2 || rest->data[0] != '"')
        return false;
    const char *end = memchr(rest->data + 1, '"', rest->size - 1);
    if (!end)
        return false;
    *tag = (struct om_str){ rest->data + 1, (size_t)(end - rest->data) - 1 };
    rest->size -= (size_t)(end - rest->data) + 1;
    rest->data = end + 1;
    skip_spaces(rest);
    return true;
}

// -1: it is none of ours.
static int64_t
version_of(struct om_str tag)
{
    int64_t version = 0;
    bool padded = tag.size > 2 && tag.data[1] == '0';
    if (tag.size < 2 || tag.size > DIGITS_MAX || tag.data[0] != 'v' || padded)
        return -1;
    for (size_t i = 1; i < tag.size; i++) {
        if (tag.data[i] < '0' || tag.data[i] > '9')
            return -1;
        version = version * 10 + tag.data[i] - '0';
    }
    return version;
}

enum etag_wish
etag_read(struct om_str field, int64_t *version)
{
    struct om_str tag;
    bool weak;
    skip_spaces(&field);
    if (!field.size || om_str_eq(field, OM_LIT("*")))
        return ETAG_ANY;
    if (!take_tag(&field, &tag, &weak) || field.size > 0)
        return ETAG_BAD;
    *version = version_of(tag);
    return weak || *version < 0 ? ETAG_NEVER : ETAG_VERSION;
}

bool
etag_listed(struct om_str field, int64_t version)
{
    struct om_str tag;
    bool weak;
    skip_spaces(&field);
    if (om_str_eq(field, OM_LIT("*")))
        return true;
    while (field.size > 0 && take_tag(&field, &tag, &weak)) {
        if (version_of(tag) == version)
            return true;
        if (field.size == 0 || field.data[0] != ',')
            return false;
        field.data++, field.size--;
    }
    return false;
}
