#include <stdlib.h>

#include "exposition.h"

enum { NUMBER_MAX = 64 };

static struct om_str
take_line(struct om_str *page)
{
    const char *end = memchr(page->data, '\n', page->size);
    size_t size = end ? (size_t)(end - page->data) : page->size;
    struct om_str line = { page->data, size };
    size_t taken = size + (end != NULL);
    page->data += taken;
    page->size -= taken;
    return line;
}

// The place behind the closing brace; NULL: none. Quoted values may hold braces.
static const char *
labels_end(const char *at, const char *end)
{
    bool quoted = false;
    for (; at < end; at++) {
        if (quoted && *at == '\\')
            at++;
        else if (*at == '"')
            quoted = !quoted;
        else if (*at == '}' && !quoted)
            return at + 1;
    }
    return NULL;
}

static bool
read_number(const char *at, const char *end, double *out)
{
    char text[NUMBER_MAX], *stop;
    while (at < end && *at == ' ')
        at++;
    size_t size = 0;
    while (at + size < end && at[size] != ' ')
        size++;
    if (size == 0 || size >= sizeof(text))
        return false;
    memcpy(text, at, size);
    text[size] = '\0';
    *out = strtod(text, &stop);
    return *stop == '\0';
}

static bool
read_sample(struct om_str line, struct exposition_sample *out)
{
    if (line.size == 0 || *line.data == '#')
        return false;
    const char *at = line.data, *end = at + line.size;
    while (at < end && *at != '{' && *at != ' ')
        at++;
    *out = (struct exposition_sample){ .name = { line.data, (size_t)(at - line.data) } };
    if (at < end && *at == '{') {
        const char *behind = labels_end(at + 1, end);
        if (!behind)
            return false;
        out->labels = (struct om_str){ at + 1, (size_t)(behind - at) - 2 };
        at = behind;
    }
    return out->name.size > 0 && read_number(at, end, &out->value);
}

bool
exposition_next(struct om_str *page, struct exposition_sample *out)
{
    while (page->size > 0)
        if (read_sample(take_line(page), out))
            return true;
    return false;
}

struct om_str
exposition_label(const struct exposition_sample *sample, const char *name)
{
    size_t size = strlen(name);
    const char *at = sample->labels.data, *end = at + sample->labels.size;
    while (at < end) {
        const char *equals = memchr(at, '=', (size_t)(end - at));
        if (!equals || equals + 1 >= end || equals[1] != '"')
            break;
        const char *value = equals + 2, *close = value;
        while (close < end && *close != '"')
            close += *close == '\\' ? 2 : 1;
        if (close >= end)
            break;
        if ((size_t)(equals - at) == size && memcmp(at, name, size) == 0)
            return (struct om_str){ value, (size_t)(close - value) };
        at = close + 1;
        at += at < end && *at == ',';
    }
    return (struct om_str){ 0 };
}
