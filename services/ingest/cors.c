#include "cors.h"

static bool
is_host_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' ||
           c == '_' || c == ':' || c == '[' || c == ']';
}

// What stands behind "://"; absent if this is no origin.
static struct om_str
host_of(struct om_str origin)
{
    const char *mark = origin.size ? memmem(origin.data, origin.size, "://", 3) : NULL;
    size_t scheme = mark ? (size_t)(mark - origin.data) : 0;
    if (scheme == 0 || origin.size <= scheme + 3 || origin.size > CORS_ORIGIN_SIZE)
        return (struct om_str){ 0 };
    for (size_t i = 0; i < scheme; i++)
        if (origin.data[i] < 'a' || origin.data[i] > 'z')
            return (struct om_str){ 0 };
    for (size_t i = scheme + 3; i < origin.size; i++)
        if (!is_host_byte(origin.data[i]))
            return (struct om_str){ 0 };
    return (struct om_str){ mark + 3, origin.size - scheme - 3 };
}

static bool
has(const struct om_str *origins, size_t count, struct om_str origin)
{
    for (size_t i = 0; i < count; i++)
        if (om_str_eq(origins[i], origin))
            return true;
    return false;
}

static struct om_str
trim(struct om_str text)
{
    while (text.size > 0 && text.data[0] == ' ')
        text.data++, text.size--;
    while (text.size > 0 && text.data[text.size - 1] == ' ')
        text.size--;
    return text;
}

enum om_rc
cors_parse(struct om_str text, struct cors *out, struct om_str *bad)
{
    *out = (struct cors){ 0 };
    *bad = text = trim(text);
    if (text.size == 0)
        return OM_OK;
    out->by_tenant = om_str_eq(text, OM_LIT("*"));
    for (bool more = !out->by_tenant; more;) {
        const char *comma = memchr(text.data, ',', text.size);
        size_t size = comma ? (size_t)(comma - text.data) : text.size;
        *bad = trim((struct om_str){ text.data, size });
        if (out->count == CORS_ORIGINS_MAX)
            return OM_ETOOBIG;
        if (!host_of(*bad).data)
            return OM_EINVAL;
        out->origins[out->count++] = *bad;
        more = comma != NULL;
        if (more)
            text = (struct om_str){ comma + 1, text.size - size - 1 };
    }
    return OM_OK;
}

enum cors_answer
cors_decide(const struct cors_facts *facts)
{
    const struct cors *cors = facts->cors;
    if (!facts->origin.data || (cors->count == 0 && !cors->by_tenant))
        return CORS_SILENT;
    struct om_str host = host_of(facts->origin);
    if (host.data && facts->host.data && om_str_eq(host, facts->host))
        return CORS_SILENT; // a page of this server
    if (!host.data)         // "null": a page of nobody's
        return CORS_REFUSED;
    if (!cors->by_tenant && !has(cors->origins, cors->count, facts->origin))
        return CORS_REFUSED;
    if (!facts->known || (facts->count == 0 && !cors->by_tenant))
        return CORS_ALLOWED;
    return has(facts->origins, facts->count, facts->origin) ? CORS_ALLOWED : CORS_REFUSED;
}
