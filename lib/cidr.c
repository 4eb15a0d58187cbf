#include <arpa/inet.h>
#include <stdio.h>

#include "cidr.h"

static const uint8_t v4_in_v6[12] = { [10] = 0xff, [11] = 0xff };

// inet_pton() takes no octal, no short forms and no zone, but leading zeros of an IPv4
// number ("010"), which others read as octal.
static bool
has_padded_number(const char *text)
{
    for (const char *at = text; *at; at++)
        if (*at == '0' && (at == text || at[-1] == '.') && at[1] >= '0' && at[1] <= '9')
            return true;
    return false;
}

enum om_rc
om_address_parse(struct om_str text, struct om_address *out)
{
    char copy[OM_ADDRESS_MAX];
    struct om_address made = { 0 };
    if (text.size == 0 || text.size >= sizeof(copy) || memchr(text.data, '\0', text.size))
        return OM_EINVAL;
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    bool is_v6 = strchr(copy, ':') != NULL;
    made.bits = is_v6 ? 128 : 32;
    const char *dotted = is_v6 ? strrchr(copy, ':') + 1 : copy;
    if ((strchr(dotted, '.') && has_padded_number(dotted)) ||
        inet_pton(is_v6 ? AF_INET6 : AF_INET, copy, made.bytes) != 1)
        return OM_EINVAL;
    *out = made;
    if (is_v6 && memcmp(made.bytes, v4_in_v6, sizeof(v4_in_v6)) == 0) {
        *out = (struct om_address){ .bits = 32 };
        memcpy(out->bytes, made.bytes + sizeof(v4_in_v6), 4);
    }
    return OM_OK;
}

size_t
om_address_text(const struct om_address *address, char out[OM_ADDRESS_MAX])
{
    out[0] = '\0';
    if (address->bits)
        inet_ntop(address->bits == 32 ? AF_INET : AF_INET6, address->bytes, out,
                  OM_ADDRESS_MAX);
    return strlen(out);
}

// ---- networks

static bool
read_prefix(struct om_str text, unsigned *out)
{
    *out = 0;
    if (text.size == 0 || text.size > 3 || (text.size > 1 && text.data[0] == '0'))
        return false;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        *out = *out * 10 + (unsigned)(text.data[i] - '0');
    }
    return true;
}

// Are the first `prefix` bits of both the same?
static bool
is_same(const uint8_t *a, const uint8_t *b, unsigned prefix)
{
    unsigned whole = prefix / 8, rest = prefix % 8;
    uint8_t mask = (uint8_t)(0xff00 >> rest);
    return memcmp(a, b, whole) == 0 && (rest == 0 || ((a[whole] ^ b[whole]) & mask) == 0);
}

static bool
is_zero_behind(const struct om_address *address, unsigned prefix)
{
    for (unsigned bit = prefix; bit < address->bits; bit++)
        if (address->bytes[bit / 8] >> (7 - bit % 8) & 1)
            return false;
    return true;
}

enum om_rc
om_cidr_parse(struct om_str text, struct om_cidr *out)
{
    const char *slash = text.size ? memchr(text.data, '/', text.size) : NULL;
    struct om_str head = text;
    struct om_cidr made;
    unsigned prefix;
    if (slash)
        head.size = (size_t)(slash - text.data);
    if (om_address_parse(head, &made.address) != OM_OK)
        return OM_EINVAL;
    unsigned hidden =
        made.address.bits == 32 && memchr(head.data, ':', head.size) ? 96 : 0;
    if (!slash) {
        prefix = made.address.bits;
    } else {
        struct om_str tail = { slash + 1, text.size - head.size - 1 };
        if (!read_prefix(tail, &prefix) || prefix < hidden)
            return OM_EINVAL;
        prefix -= hidden; // of an IPv4 network that is written as IPv6
    }
    if (prefix > made.address.bits || !is_zero_behind(&made.address, prefix))
        return OM_EINVAL;
    made.prefix = (uint8_t)prefix;
    *out = made;
    return OM_OK;
}

size_t
om_cidr_text(const struct om_cidr *cidr, char out[OM_CIDR_MAX])
{
    size_t size = om_address_text(&cidr->address, out);
    return size + (size_t)snprintf(out + size, OM_CIDR_MAX - size, "/%u", cidr->prefix);
}

bool
om_cidr_contains(const struct om_cidr *cidr, const struct om_address *address)
{
    return address->bits != 0 && cidr->address.bits == address->bits &&
           is_same(cidr->address.bytes, address->bytes, cidr->prefix);
}

bool
om_cidr_any(const struct om_cidr *cidrs, size_t count, const struct om_address *address)
{
    for (size_t i = 0; i < count; i++)
        if (om_cidr_contains(&cidrs[i], address))
            return true;
    return false;
}

// ---- lists

static struct om_str
trim(struct om_str text)
{
    while (text.size > 0 && (text.data[0] == ' ' || text.data[0] == '\t'))
        text.data++, text.size--;
    while (text.size > 0 &&
           (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\t'))
        text.size--;
    return text;
}

// Take the item behind the last comma off `rest`, which is not empty. False: it was all.
static bool
take_last(struct om_str *rest, struct om_str *item)
{
    const char *comma = memrchr(rest->data, ',', rest->size);
    size_t at = comma ? (size_t)(comma - rest->data) + 1 : 0;
    *item = trim((struct om_str){ rest->data + at, rest->size - at });
    rest->size = comma ? at - 1 : 0;
    return comma != NULL;
}

enum om_rc
om_cidr_list(struct om_str text, struct om_cidr *out, size_t max, size_t *count,
             struct om_str *bad)
{
    struct om_str none;
    bad = bad ? bad : &none;
    *count = 0;
    if (trim(text).size == 0)
        return OM_OK;
    for (struct om_str rest = text; rest.data;) {
        const char *comma = memchr(rest.data, ',', rest.size);
        size_t size = comma ? (size_t)(comma - rest.data) : rest.size;
        *bad = trim((struct om_str){ rest.data, size });
        if (*count == max)
            return OM_ETOOBIG;
        if (om_cidr_parse(*bad, &out[*count]) != OM_OK)
            return OM_EINVAL;
        ++*count;
        rest = comma ? (struct om_str){ comma + 1, rest.size - size - 1 }
                     : (struct om_str){ 0 };
    }
    return OM_OK;
}

// Some proxies add the port: 192.0.2.1:4711, [2001:db8::1]:4711 and [2001:db8::1].
static enum om_rc
parse_forwarded(struct om_str text, struct om_address *out)
{
    const char *end = NULL;
    if (text.size == 0)
        return OM_EINVAL;
    if (text.data[0] == '[') {
        text.data++, text.size--;
        end = memchr(text.data, ']', text.size);
        if (!end || (end + 1 < text.data + text.size && end[1] != ':'))
            return OM_EINVAL;
    } else if (memchr(text.data, '.', text.size)) {
        const char *colon = memchr(text.data, ':', text.size);
        end = colon && colon == memrchr(text.data, ':', text.size) ? colon : NULL;
    }
    if (end)
        text.size = (size_t)(end - text.data);
    return om_address_parse(text, out);
}

struct om_address
om_forwarded_for(const struct om_address *remote, struct om_str field,
                 const struct om_cidr *trusted, size_t count)
{
    struct om_address client = *remote;
    bool more = field.size > 0;
    while (more && om_cidr_any(trusted, count, &client)) {
        struct om_str item;
        struct om_address next;
        more = take_last(&field, &item);
        if (parse_forwarded(item, &next) != OM_OK)
            break;
        client = next;
    }
    return client;
}
