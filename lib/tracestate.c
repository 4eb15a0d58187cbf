#include "trace.h"

enum { KEY_MAX = 256, VALUE_MAX = 256, LONG_MEMBER = 128 };

struct members {
    struct om_str list[OM_TRACESTATE_MEMBERS];
    size_t count;
};

static bool
is_key_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           c == '*' || c == '/' || c == '@';
}

static bool
is_key(struct om_str key)
{
    char first = key.size ? key.data[0] : '@';
    if (key.size > KEY_MAX || !is_key_char(first) || first == '_' || first == '-' ||
        first == '*' || first == '/' || first == '@')
        return false;
    for (size_t i = 0; i < key.size; i++)
        if (!is_key_char(key.data[i]))
            return false;
    return true;
}

static bool
is_value(struct om_str value)
{
    if (value.size == 0 || value.size > VALUE_MAX || value.data[value.size - 1] == ' ')
        return false;
    for (size_t i = 0; i < value.size; i++)
        if (value.data[i] < ' ' || value.data[i] > '~' || value.data[i] == '=')
            return false;
    return true;
}

static struct om_str
key_of(struct om_str member)
{
    const char *equals = memchr(member.data, '=', member.size);
    return (struct om_str){ member.data, equals ? (size_t)(equals - member.data) : 0 };
}

static bool
is_member(struct om_str member)
{
    struct om_str key = key_of(member);
    if (!is_key(key))
        return false;
    struct om_str value = { key.data + key.size + 1, member.size - key.size - 1 };
    return is_value(value);
}

static struct om_str
trim(struct om_str text)
{
    while (text.size && (*text.data == ' ' || *text.data == '\t')) {
        text.data++;
        text.size--;
    }
    while (text.size &&
           (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\t'))
        text.size--;
    return text;
}

static bool
has_key(const struct members *self, struct om_str key)
{
    for (size_t i = 0; i < self->count; i++)
        if (om_str_eq(key, key_of(self->list[i])))
            return true;
    return false;
}

// Add a header's members. False: it is malformed, or they are too many.
static bool
add(struct members *self, struct om_str header)
{
    while (header.size) {
        const char *comma = memchr(header.data, ',', header.size);
        size_t size = comma ? (size_t)(comma - header.data) : header.size;
        struct om_str member = trim((struct om_str){ header.data, size });
        header.data += size + (comma != NULL);
        header.size -= size + (comma != NULL);
        if (member.size == 0)
            continue;
        if (!is_member(member))
            return false;
        if (has_key(self, key_of(member)))
            continue; // the first is the newest
        if (self->count == OM_TRACESTATE_MEMBERS)
            return false;
        self->list[self->count++] = member;
    }
    return true;
}

static size_t
size_of(const struct members *self)
{
    size_t size = self->count ? self->count - 1 : 0;
    for (size_t i = 0; i < self->count; i++)
        size += self->list[i].size;
    return size;
}

static void
drop_long(struct members *self)
{
    size_t kept = 0;
    for (size_t i = 0; i < self->count; i++)
        if (self->list[i].size <= LONG_MEMBER)
            self->list[kept++] = self->list[i];
    self->count = kept;
}

size_t
om_tracestate_read(const struct om_str *headers, size_t count,
                   char out[OM_TRACESTATE_MAX + 1])
{
    struct members members = { .count = 0 };
    size_t size = 0;
    bool good = true;
    for (size_t i = 0; good && i < count; i++)
        good = add(&members, headers[i]);
    if (!good)
        members.count = 0;
    if (size_of(&members) > OM_TRACESTATE_MAX)
        drop_long(&members);
    while (size_of(&members) > OM_TRACESTATE_MAX)
        members.count--;
    for (size_t i = 0; i < members.count; i++) {
        if (i)
            out[size++] = ',';
        memcpy(out + size, members.list[i].data, members.list[i].size);
        size += members.list[i].size;
    }
    out[size] = '\0';
    return size;
}
