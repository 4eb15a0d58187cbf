#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"
#include "lines.h"

enum { LINE_MAX_BYTES = 1024 };

void
lines_open(struct lines *self, const char *path, int port,
           int64_t (*body)(struct om_str line))
{
    self->body = body;
    stream_open(&self->stream, path, port);
}

void
lines_close(struct lines *self)
{
    stream_close(&self->stream);
}

void
lines_add(struct lines *self, const char *format, ...)
{
    char text[LINE_MAX_BYTES];
    va_list args;
    va_start(args, format);
    int size = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (size >= LINE_MAX_BYTES)
        bench_die("a command is too long");
    om_buf_put(&self->stream.out, text, (size_t)size);
}

void
lines_add_bytes(struct lines *self, const void *data, size_t size)
{
    om_buf_put(&self->stream.out, data, size);
}

void
lines_flush(struct lines *self)
{
    stream_flush(&self->stream);
}

static bool
parse(struct lines *self, struct line *out)
{
    struct om_str left = stream_left(&self->stream);
    const char *end = left.size ? memchr(left.data, '\n', left.size) : NULL;
    if (!end || end == left.data)
        return false;
    size_t size = (size_t)(end - left.data) + 1;
    *out = (struct line){ .text = { left.data, size - 2 } };
    int64_t body = self->body(out->text);
    if (body >= 0) {
        out->body = (struct om_str){ left.data + size, (size_t)body };
        size += (size_t)body + 2;
    }
    if (left.size < size)
        return false;
    self->stream.read += size;
    return true;
}

bool
lines_poll(struct lines *self, struct line *out)
{
    return parse(self, out) || (stream_poll(&self->stream) && parse(self, out));
}

struct line
lines_next(struct lines *self)
{
    struct line line;
    stream_flush(&self->stream);
    while (!parse(self, &line))
        stream_wait(&self->stream);
    return line;
}

bool
line_is(const struct line *line, const char *word)
{
    size_t size = strlen(word);
    return line->text.size >= size && memcmp(line->text.data, word, size) == 0;
}

int64_t
line_last_number(struct om_str line)
{
    const char *space = memrchr(line.data, ' ', line.size);
    return space ? strtoll(space + 1, NULL, 10) : -1;
}
