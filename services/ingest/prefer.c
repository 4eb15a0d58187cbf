#include "prefer.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static bool
is_token(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("!#$%&'*+-.^_`|~", c));
}

static void
skip_space(struct om_str *text)
{
    while (text->size && (*text->data == ' ' || *text->data == '\t'))
        text->data++, text->size--;
}

static struct om_str
take_token(struct om_str *text)
{
    struct om_str token = { text->data, 0 };
    while (token.size < text->size && is_token(text->data[token.size]))
        token.size++;
    text->data += token.size;
    text->size -= token.size;
    return token;
}

// What stands before the next `end` that is not in a quoted string; that is taken too.
static struct om_str
take_until(struct om_str *text, char end)
{
    struct om_str part = { text->data, 0 };
    bool quoted = false;
    for (; part.size < text->size; part.size++) {
        char c = part.data[part.size];
        if (quoted && c == '\\' && part.size + 1 < text->size)
            part.size++;
        else if (c == '"')
            quoted = !quoted;
        else if (c == end && !quoted)
            break;
    }
    size_t taken = part.size + (part.size < text->size);
    text->data += taken;
    text->size -= taken;
    return part;
}

// A token or a quoted string, and nothing behind it. False: it is neither.
static bool
read_word(struct om_str text, struct om_str *word)
{
    skip_space(&text);
    if (text.size >= 2 && text.data[0] == '"') {
        const char *end = memchr(text.data + 1, '"', text.size - 1);
        if (!end)
            return false;
        *word = (struct om_str){ text.data + 1, (size_t)(end - text.data) - 1 };
        text.size -= word->size + 2;
        text.data = end + 1;
    } else {
        *word = take_token(&text);
        if (word->size == 0)
            return false;
    }
    skip_space(&text);
    return text.size == 0;
}

static bool
read_seconds(struct om_str text, int64_t *seconds)
{
    *seconds = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        *seconds = *seconds * 10 + text.data[i] - '0';
        if (*seconds > PREFER_WAIT_MAX_S)
            *seconds = PREFER_WAIT_MAX_S;
    }
    return text.size > 0;
}

static bool
is_named(struct om_str token, const char *name)
{
    return token.size == strlen(name) && strncasecmp(token.data, name, token.size) == 0;
}

static void
add_one(struct prefer *self, struct om_str part)
{
    struct om_str word = { 0 }, first = take_until(&part, ';');
    int64_t seconds;
    skip_space(&first);
    struct om_str name = take_token(&first);
    skip_space(&first);
    bool has_value = first.size > 0;
    if (has_value) {
        struct om_str value = { first.data + 1, first.size - 1 };
        if (*first.data != '=' || !read_word(value, &word))
            return;
    }
    if (is_named(name, "respond-async") && word.size == 0)
        self->respond_async = true;
    if (is_named(name, "wait") && !self->has_wait && read_seconds(word, &seconds)) {
        self->has_wait = true;
        self->wait_s = seconds;
    }
}

void
prefer_add(struct prefer *self, struct om_str value)
{
    while (value.size > 0)
        add_one(self, take_until(&value, ','));
}

void
prefer_applied(const struct prefer *self, bool late, char out[PREFER_TEXT_MAX])
{
    bool async = late && self->respond_async;
    out[0] = '\0';
    if (self->has_wait)
        snprintf(out, PREFER_TEXT_MAX, "%swait=%d", async ? "respond-async, " : "",
                 (int)self->wait_s);
    else if (async)
        snprintf(out, PREFER_TEXT_MAX, "respond-async");
}
