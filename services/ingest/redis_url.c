#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "redis.h"

static int
hex_of(char digit)
{
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    const char *at = digit ? strchr(digits, digit) : NULL;
    return at ? (int)((at - digits) % 16) : -1;
}

// Copy text with %XX for bytes. False: too long, or a % that is none.
static bool
copy(struct om_str text, char *out, size_t size)
{
    size_t used = 0;
    for (size_t i = 0; i < text.size; i++) {
        int byte = (unsigned char)text.data[i];
        if (byte == '%') {
            int high = i + 2 < text.size ? hex_of(text.data[i + 1]) : -1;
            int low = i + 2 < text.size ? hex_of(text.data[i + 2]) : -1;
            if (high < 0 || low < 0 || high + low == 0)
                return false;
            byte = high * 16 + low;
            i += 2;
        }
        if (used + 1 >= size)
            return false;
        out[used++] = (char)byte;
    }
    out[used] = '\0';
    return true;
}

static bool
read_number(const char *text, long most, int *out)
{
    char *end;
    long number = strtol(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || number > most)
        return false;
    *out = (int)number;
    return true;
}

static const char *
read_credentials(struct om_str text, struct redis_conf *out)
{
    const char *colon = memchr(text.data, ':', text.size);
    if (!colon)
        return "a password stands behind a colon: redis://:PASSWORD@HOST";
    struct om_str user = { text.data, (size_t)(colon - text.data) };
    struct om_str password = { colon + 1, text.size - user.size - 1 };
    if (!copy(user, out->user, sizeof(out->user)) ||
        !copy(password, out->password, sizeof(out->password)) || !*out->password)
        return "user and password are at most 127 and 255 bytes, with %XX for others";
    return NULL;
}

static const char *
read_path(const char *text, struct redis_conf *out)
{
    const char *query = strchr(text, '?');
    size_t size = query ? (size_t)(query - text) : strlen(text);
    if (*text != '/' ||
        !copy((struct om_str){ text, size }, out->path, sizeof(out->path)))
        return "a Unix socket is unix:/PATH, of at most 107 bytes";
    if (query &&
        (strncmp(query, "?db=", 4) != 0 || !read_number(query + 4, 999, &out->db)))
        return "behind a path there may be ?db=NUMBER";
    return NULL;
}

static const char *
read_host(const char *text, struct redis_conf *out)
{
    char host[sizeof(out->host) + 16];
    if (strlen(text) >= sizeof(host))
        return "the host is too long";
    snprintf(host, sizeof(host), "%s", text);
    char *slash = strchr(host, '/');
    if (slash) {
        *slash = '\0';
        if (slash[1] && !read_number(slash + 1, 999, &out->db))
            return "behind the / is the number of a database, 0 to 999";
    }
    char *name = host, *port = strrchr(host, ':');
    if (*host == '[') { // an IPv6 address
        char *end = strchr(host, ']');
        if (!end || (end[1] && end[1] != ':'))
            return "an IPv6 address stands in brackets: [::1]:6379";
        port = end[1] ? end + 1 : NULL;
        *end = '\0';
        name++;
    }
    if (port) {
        *port = '\0';
        if (!read_number(port + 1, 65535, &out->port) || out->port == 0)
            return "the port is a number from 1 to 65535";
    }
    if (!*name || strlen(name) >= sizeof(out->host) ||
        strpbrk(name, *host == '[' ? "@?#[] " : ":@?#[] "))
        return "it is redis://[:PASSWORD@]HOST[:PORT][/DB] or redis://unix:/PATH";
    memcpy(out->host, name, strlen(name) + 1);
    return NULL;
}

bool
redis_parse(const char *url, struct redis_conf *out, char *why, size_t why_size)
{
    static const char scheme[] = "redis://";
    const char *reason = "it begins with redis://";
    *out = (struct redis_conf){ .port = 6379 };
    if (strncasecmp(url, scheme, sizeof(scheme) - 1) == 0) {
        const char *rest = url + sizeof(scheme) - 1, *at = strrchr(rest, '@');
        reason = at ? read_credentials((struct om_str){ rest, (size_t)(at - rest) }, out)
                    : NULL;
        rest = at ? at + 1 : rest;
        if (!reason)
            reason = strncmp(rest, "unix:", 5) == 0 ? read_path(rest + 5, out)
                                                    : read_host(rest, out);
    }
    if (reason)
        snprintf(why, why_size, "OMNI_CACHE: %s", reason);
    return !reason;
}
