#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "bench.h"
#include "clock.h"
#include "resp.h"

enum { OPEN_MS = 10000 };

void
resp_open(struct resp *self, const char *path)
{
    *self = (struct resp){ 0 };
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    int64_t end_ms = om_clock_mono_ms() + OPEN_MS;
    self->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    while (connect(self->fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        if (om_clock_mono_ms() > end_ms)
            bench_die("nobody listens at %s", path);
        usleep(5000);
    }
}

void
resp_close(struct resp *self)
{
    close(self->fd);
    om_buf_finish(&self->in);
    om_buf_finish(&self->out);
}

static void
put_size(struct om_buf *buf, char type, size_t size)
{
    char text[32];
    int length = snprintf(text, sizeof(text), "%c%zu\r\n", type, size);
    om_buf_put(buf, text, (size_t)length);
}

void
resp_add(struct resp *self, size_t count, const struct om_str words[])
{
    put_size(&self->out, '*', count);
    for (size_t i = 0; i < count; i++) {
        put_size(&self->out, '$', words[i].size);
        om_buf_put(&self->out, words[i].data, words[i].size);
        om_buf_put(&self->out, "\r\n", 2);
    }
}

void
resp_flush(struct resp *self)
{
    for (size_t done = 0; done < self->out.size;) {
        ssize_t sent =
            send(self->fd, self->out.data + done, self->out.size - done, MSG_NOSIGNAL);
        if (sent <= 0)
            bench_die("redis has closed the connection");
        done += (size_t)sent;
    }
    om_buf_reset(&self->out);
}

// Read once; false when nothing has come and `flags` say not to wait.
static bool
receive(struct resp *self, int flags)
{
    char chunk[65536];
    ssize_t size = recv(self->fd, chunk, sizeof(chunk), flags);
    if (size == 0)
        bench_die("redis has closed the connection");
    if (size < 0)
        return false;
    size_t left = self->in.size - self->read;
    if (self->read) {
        memmove(self->in.data, self->in.data + self->read, left);
        self->in.size = left;
        self->read = 0;
    }
    om_buf_put(&self->in, chunk, (size_t)size);
    return true;
}

// The next token of what was received.
static bool
parse(struct resp *self, struct resp_token *out)
{
    const char *begin = self->in.data + self->read;
    size_t left = self->in.size - self->read;
    const char *line_end = left ? memchr(begin, '\n', left) : NULL;
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
        if (left < line + size + 2)
            return false;
        out->text = (struct om_str){ begin + line, size };
        line += size + 2;
    }
    self->read += line;
    return true;
}

bool
resp_poll(struct resp *self, struct resp_token *out)
{
    return parse(self, out) || (receive(self, MSG_DONTWAIT) && parse(self, out));
}

struct resp_token
resp_next(struct resp *self)
{
    struct resp_token token;
    while (!parse(self, &token))
        receive(self, 0);
    if (token.type == '-')
        bench_die("redis says %.*s", (int)token.text.size, token.text.data);
    return token;
}
