#include "http_target.h"

static int
hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool
om_http_unescape(struct om_str text, bool form, char *out, size_t *size)
{
    size_t n = 0;
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (c == '%') {
            if (text.size - i < 3)
                return false;
            int high = hex_value(text.data[i + 1]), low = hex_value(text.data[i + 2]);
            if (high < 0 || low < 0)
                return false;
            c = (char)(high << 4 | low);
            i += 2;
        } else if (c == '+' && form) {
            c = ' ';
        }
        if ((unsigned char)c < 0x20 || c == 0x7f)
            return false;
        out[n++] = c;
    }
    *size = n;
    return true;
}

// Decode `text` and move *decoded behind it.
static bool
decode(struct om_str text, bool form, char **decoded, struct om_str *out)
{
    *out = (struct om_str){ *decoded, 0 };
    if (!om_http_unescape(text, form, *decoded, &out->size))
        return false;
    *decoded += out->size;
    return true;
}

// Cut `rest` at the first `mark`; the part before it is returned, and without a mark all.
static struct om_str
cut(struct om_str *rest, char mark)
{
    const char *at = rest->size ? memchr(rest->data, mark, rest->size) : NULL;
    struct om_str part = { rest->data, at ? (size_t)(at - rest->data) : rest->size };
    size_t step = part.size + (at ? 1 : 0);
    rest->data += step;
    rest->size -= step;
    return part;
}

static const char *
parse_query(struct om_str query, char **decoded, struct om_http_request *out)
{
    while (query.size > 0) {
        struct om_str value = cut(&query, '&');
        if (value.size == 0)
            continue;
        if (out->query_count == OM_HTTP_QUERY_MAX)
            return "there are too many query parameters";
        struct om_str name = cut(&value, '=');
        struct om_http_field *field = &out->query[out->query_count++];
        if (!decode(name, true, decoded, &field->name) ||
            !decode(value, true, decoded, &field->value))
            return "the query has a bad percent-encoding";
    }
    return NULL;
}

static const char *
parse_path(struct om_str path, char **decoded, struct om_http_request *out)
{
    cut(&path, '/'); // the slash at the start
    for (bool more = true; more;) {
        if (out->segment_count == OM_HTTP_SEGMENTS_MAX)
            return "the path has too many segments";
        more = memchr(path.data, '/', path.size) != NULL;
        if (!decode(cut(&path, '/'), false, decoded,
                    &out->segments[out->segment_count++]))
            return "the path has a bad percent-encoding";
    }
    return NULL;
}

// Leave out scheme and authority of "http://host/path" (RFC 9112, 3.2.2).
static bool
strip_authority(struct om_str *target)
{
    static const char *const schemes[] = { "http://", "https://" };
    for (size_t i = 0; i < OM_COUNT(schemes); i++) {
        size_t size = strlen(schemes[i]);
        if (target->size <= size || strncasecmp(target->data, schemes[i], size) != 0)
            continue;
        struct om_str rest = { target->data + size, target->size - size };
        size_t host = 0;
        while (host < rest.size && rest.data[host] != '/' && rest.data[host] != '?')
            host++;
        *target = (struct om_str){ rest.data + host, rest.size - host };
        // A user in an authority is there to deceive (RFC 9110, 4.2.4).
        return host > 0 && !memchr(rest.data, '@', host);
    }
    return false;
}

const char *
om_http_target_parse(struct om_str target, char *decoded, struct om_http_request *out)
{
    out->segment_count = out->query_count = 0;
    out->query_text = (struct om_str){ 0 };
    if (om_str_eq(target, OM_LIT("*")) && out->method == OM_HTTP_OPTIONS) {
        out->path = target;
        return NULL;
    }
    if (target.size == 0 || (target.data[0] != '/' && !strip_authority(&target)))
        return "the request target is neither a path nor an http URL";
    if (memchr(target.data, '#', target.size))
        return "the request target has a fragment";

    struct om_str query = target;
    out->path = cut(&query, '?');
    out->query_text = query;
    if (out->path.size == 0) // "http://host?query"
        out->path = OM_LIT("/");
    const char *wrong = parse_path(out->path, &decoded, out);
    return wrong ? wrong : parse_query(query, &decoded, out);
}

static bool
is_dots(struct om_str segment)
{
    return om_str_eq(segment, OM_LIT(".")) || om_str_eq(segment, OM_LIT(".."));
}

bool
om_http_match(const struct om_http_request *request, const char *pattern,
              struct om_str *params, size_t max)
{
    struct om_str rest = om_str(pattern);
    size_t segment = 0, param = 0;
    cut(&rest, '/');
    for (bool more = true; more; segment++) {
        more = memchr(rest.data, '/', rest.size) != NULL;
        struct om_str want = cut(&rest, '/');
        if (segment == request->segment_count)
            return false;
        struct om_str have = request->segments[segment];
        if (want.size == 0 || want.data[0] != '{') {
            if (!om_str_eq(want, have))
                return false;
            continue;
        }
        if (have.size == 0 || is_dots(have) || param == max)
            return false;
        params[param++] = have;
    }
    return segment == request->segment_count;
}
