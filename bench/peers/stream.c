#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "bench.h"
#include "clock.h"
#include "stream.h"

enum { OPEN_MS = 10000 };

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
stream_open(struct stream *self, const char *path, int port)
{
    *self = (struct stream){ 0 };
    int64_t end_ms = om_clock_mono_ms() + OPEN_MS;
    while ((self->fd = try_connect(path, port)) < 0) {
        if (om_clock_mono_ms() > end_ms)
            bench_die("the server does not listen");
        usleep(5000);
    }
}

void
stream_close(struct stream *self)
{
    close(self->fd);
    om_buf_finish(&self->in);
    om_buf_finish(&self->out);
}

struct om_str
stream_left(const struct stream *self)
{
    return (struct om_str){ self->in.data + self->read, self->in.size - self->read };
}

static bool
receive(struct stream *self, int flags)
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

bool
stream_poll(struct stream *self)
{
    return receive(self, MSG_DONTWAIT);
}

void
stream_wait(struct stream *self)
{
    receive(self, 0);
}

void
stream_flush(struct stream *self)
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
