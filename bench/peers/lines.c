#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "bench.h"
#include "clock.h"
#include "lines.h"

enum { OPEN_MS = 10000, LINE_MAX_BYTES = 1024 };

static int
try_connect(const char *path, int port)
{
    struct sockaddr_un local = { .sun_family = AF_UNIX };
    struct sockaddr_in remote = { .sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    const void *address = path ? (const void *)&local : &remote;
    socklen_t size = path ? sizeof(local) : sizeof(remote);
    if (path)
        snprintf(local.sun_path, sizeof(local.sun_path), "%s", path);
    int fd = socket(path ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, address, size) != 0) {
        close(fd);
        return -1;
    }
    int on = 1;
    if (!path)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return fd;
}

void
lines_open(struct lines *self, const char *path, int port,
           int64_t (*body)(struct om_str line))
{
    *self = (struct lines){ .body = body };
    int64_t end_ms = om_clock_mono_ms() + OPEN_MS;
    while ((self->fd = try_connect(path, port)) < 0) {
        if (om_clock_mono_ms() > end_ms)
            bench_die("the server does not listen");
        usleep(5000);
    }
}

void
lines_close(struct lines *self)
{
    close(self->fd);
    om_buf_finish(&self->in);
    om_buf_finish(&self->out);
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
    om_buf_put(&self->out, text, (size_t)size);
}

void
lines_add_bytes(struct lines *self, const void *data, size_t size)
{
    om_buf_put(&self->out, data, size);
}

// Read once; false when nothing has come and `flags` say not to wait.
static bool
receive(struct lines *self, int flags)
{
    char chunk[65536];
    ssize_t size = recv(self->fd, chunk, sizeof(chunk), flags);
    if (size == 0)
        bench_die("the server has closed the connection");
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

void
lines_flush(struct lines *self)
{
    for (size_t done = 0; done < self->out.size;) {
        ssize_t sent = send(self->fd, self->out.data + done, self->out.size - done,
                            MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno != EAGAIN)
            bench_die("the server has closed the connection");
        if (sent > 0) {
            done += (size_t)sent;
            continue;
        }
        // A server that waits until its answers are read takes no more commands.
        struct pollfd polled = { self->fd, POLLIN | POLLOUT, 0 };
        poll(&polled, 1, -1);
        if (polled.revents & POLLIN)
            receive(self, MSG_DONTWAIT);
    }
    om_buf_reset(&self->out);
}

static bool
parse(struct lines *self, struct line *out)
{
    const char *begin = self->in.data + self->read;
    size_t left = self->in.size - self->read;
    const char *end = left ? memchr(begin, '\n', left) : NULL;
    if (!end || end == begin)
        return false;
    size_t size = (size_t)(end - begin) + 1;
    *out = (struct line){ .text = { begin, size - 2 } };
    int64_t body = self->body(out->text);
    if (body >= 0) {
        out->body = (struct om_str){ begin + size, (size_t)body };
        size += (size_t)body + 2;
    }
    if (left < size)
        return false;
    self->read += size;
    return true;
}

bool
lines_poll(struct lines *self, struct line *out)
{
    return parse(self, out) || (receive(self, MSG_DONTWAIT) && parse(self, out));
}

struct line
lines_next(struct lines *self)
{
    struct line line;
    lines_flush(self);
    while (!parse(self, &line))
        receive(self, 0);
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
