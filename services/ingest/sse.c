#include <stdio.h>
#include <strings.h>

#include "sse.h"

enum { ID_DIGITS = 16 }; // of 9e15, the largest seq

static const char end_mark[] = "-end";

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

// Take what stands before the next `mark` off `rest`.
static struct om_str
take(struct om_str *rest, char mark)
{
    const char *at = rest->size ? memchr(rest->data, mark, rest->size) : NULL;
    struct om_str part = { rest->data, at ? (size_t)(at - rest->data) : rest->size };
    size_t used = part.size + (at != NULL);
    *rest = (struct om_str){ rest->data + used, rest->size - used };
    return trim(part);
}

static bool
is_word(struct om_str text, const char *word)
{
    return text.size == strlen(word) && strncasecmp(text.data, word, text.size) == 0;
}

// "q=0", "q=0.0" and so on: not acceptable (RFC 9110, 12.4.2).
static bool
is_refusal(struct om_str parameter)
{
    if (parameter.size < 3 || strncasecmp(parameter.data, "q=", 2) != 0)
        return false;
    for (size_t i = 2; i < parameter.size; i++)
        if (parameter.data[i] != '0' && parameter.data[i] != '.')
            return false;
    return true;
}

bool
sse_wanted(struct om_str accept)
{
    while (accept.size > 0) {
        struct om_str range = take(&accept, ',');
        bool wanted = is_word(take(&range, ';'), "text/event-stream");
        while (wanted && range.size > 0)
            wanted = !is_refusal(take(&range, ';'));
        if (wanted)
            return true;
    }
    return false;
}

void
sse_put(struct om_buf *out, const struct sse_id *id, const char *name, struct om_str data)
{
    char line[96];
    int size = 0;
    if (id)
        size = snprintf(line, sizeof(line), "id: %lld%s\n", (long long)id->seq,
                        id->end ? end_mark : "");
    om_buf_put(out, line, (size_t)size);
    size = name ? snprintf(line, sizeof(line), "event: %.64s\n", name) : 0;
    om_buf_put(out, line, (size_t)size);
    om_buf_put(out, "data: ", 6);
    size_t start = out->size;
    om_buf_put(out, data.data, data.size);
    for (size_t i = start; i < out->size; i++)
        if (out->data[i] == '\n' || out->data[i] == '\r')
            out->data[i] = ' ';
    om_buf_put(out, "\n\n", 2);
}

void
sse_put_comment(struct om_buf *out)
{
    om_buf_put(out, ":\n\n", 3);
}

bool
sse_last_id(struct om_str text, struct sse_id *out)
{
    const size_t mark = sizeof(end_mark) - 1;
    struct sse_id id = { 0 };
    id.end =
        text.size > mark && memcmp(text.data + text.size - mark, end_mark, mark) == 0;
    if (id.end)
        text.size -= mark;
    if (text.size == 0 || text.size > ID_DIGITS)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        id.seq = id.seq * 10 + (text.data[i] - '0');
    }
    *out = id;
    return true;
}
