#include <stdio.h>
#include <stdlib.h>

#include "bench.h"
#include "resp.h"

static void
put_size(struct om_buf *buf, char type, size_t size)
{
    char text[32];
    int length = snprintf(text, sizeof(text), "%c%zu\r\n", type, size);
    om_buf_put(buf, text, (size_t)length);
}

void
resp_add(struct stream *self, size_t count, const struct om_str words[])
{
    put_size(&self->out, '*', count);
    for (size_t i = 0; i < count; i++) {
        put_size(&self->out, '$', words[i].size);
        om_buf_put(&self->out, words[i].data, words[i].size);
        om_buf_put(&self->out, "\r\n", 2);
    }
}

// The next token of what was received.
static bool
parse(struct stream *self, struct resp_token *out)
{
    struct om_str left = stream_left(self);
    const char *begin = left.data;
    const char *line_end = left.size ? memchr(begin, '\n', left.size) : NULL;
    if (!line_end)
        return false;
    size_t line = (size_t)(line_end - begin) + 1;
    *out = (struct resp_token){ .type = *begin };
    if (*begin == '+' || *begin == '-')
        out->text = (struct om_str){ begin + 1, line - 3 };
    else
        out->number = strtoll(begin + 1, NULL, 10);
    if (*begin == '$' && out->number >= 0) {
        size_t size = (size_t)out->number;
        if (left.size < line + size + 2)
            return false;
        out->text = (struct om_str){ begin + line, size };
        line += size + 2;
    }
    self->read += line;
    return true;
}

bool
resp_poll(struct stream *self, struct resp_token *out)
{
    return parse(self, out) || (stream_poll(self) && parse(self, out));
}

struct resp_token
resp_next(struct stream *self)
{
    struct resp_token token;
    while (!parse(self, &token))
        stream_wait(self);
    if (token.type == '-')
        bench_die("redis says %.*s", (int)token.text.size, token.text.data);
    return token;
}
