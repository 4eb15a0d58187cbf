#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "transport.h"

static enum om_io
ssl_result(const struct om_transport *self, int result)
{
    switch (SSL_get_error(self->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        return OM_IO_WANT_READ;
    case SSL_ERROR_WANT_WRITE:
        return OM_IO_WANT_WRITE;
    case SSL_ERROR_ZERO_RETURN:
        return OM_IO_END;
    default:
        return OM_IO_BROKEN;
    }
}

// OpenSSL looks for its errors in a queue of the thread, where an old one would be taken
// for that of this call.
static enum om_io
ssl_read(struct om_transport *self, void *at, size_t size, size_t *got)
{
    ERR_clear_error();
    int result = SSL_read_ex(self->ssl, at, size, got);
    return result > 0 ? OM_IO_MORE : ssl_result(self, result);
}

static enum om_io
ssl_write(struct om_transport *self, struct om_str bytes, size_t *sent)
{
    ERR_clear_error();
    int result = SSL_write_ex(self->ssl, bytes.data, bytes.size, sent);
    return result > 0 ? OM_IO_MORE : ssl_result(self, result);
}

enum om_io
om_transport_read(struct om_transport *self, void *at, size_t size, size_t *got)
{
    *got = 0;
    if (self->ssl)
        return ssl_read(self, at, size, got);
    ssize_t count = recv(self->fd, at, size, 0);
    if (count > 0) {
        *got = (size_t)count;
        // A short read of a stream means it is empty (epoll(7)).
        return *got == size ? OM_IO_MORE : OM_IO_DRAINED;
    }
    if (count == 0)
        return OM_IO_END;
    return errno == EAGAIN  ? OM_IO_WANT_READ
           : errno == EINTR ? OM_IO_AGAIN
                            : OM_IO_BROKEN;
}

enum om_io
om_transport_write(struct om_transport *self, struct om_str bytes, size_t *sent)
{
    *sent = 0;
    if (self->ssl)
        return ssl_write(self, bytes, sent);
    ssize_t count = send(self->fd, bytes.data, bytes.size, MSG_NOSIGNAL);
    if (count >= 0) {
        *sent = (size_t)count;
        return OM_IO_MORE;
    }
    return errno == EAGAIN  ? OM_IO_WANT_WRITE
           : errno == EINTR ? OM_IO_AGAIN
                            : OM_IO_BROKEN;
}

// Say that this is the end, if there is room for it. After an error nothing may be said.
static void
say_goodbye(struct om_transport *self)
{
    if (!self->ssl || SSL_in_init(self->ssl) ||
        SSL_get_shutdown(self->ssl) & SSL_SENT_SHUTDOWN)
        return;
    ERR_clear_error();
    SSL_shutdown(self->ssl);
}

void
om_transport_shut(struct om_transport *self)
{
    say_goodbye(self);
    shutdown(self->fd, SHUT_WR);
}

void
om_transport_close(struct om_transport *self, bool complete)
{
    if (complete)
        say_goodbye(self);
    SSL_free(self->ssl);
    self->ssl = NULL;
    close(self->fd);
    self->fd = -1;
}
