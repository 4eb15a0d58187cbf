#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "port.h"

static bool
split(const char *text, char *host, size_t host_size, const char **service)
{
    const char *colon = strrchr(text, ':');
    size_t size = colon ? (size_t)(colon - text) : 0;
    if (size > 2 && text[0] == '[' && text[size - 1] == ']')
        text++, size -= 2;
    else if (memchr(text, ':', size))
        return false;
    if (!colon || size >= host_size)
        return false;
    memcpy(host, text, size);
    host[size] = '\0';
    if (strcmp(host, "localhost") == 0)
        snprintf(host, host_size, "127.0.0.1");
    *service = colon + 1;
    return **service && strlen(*service) <= 5 &&
           strspn(*service, "0123456789") == strlen(*service) &&
           strtol(*service, NULL, 10) <= UINT16_MAX;
}

// What to connect to: a wildcard address is reached over the loopback.
static void
describe(const struct sockaddr_storage *address, struct port *out)
{
    char host[INET6_ADDRSTRLEN];
    const char *certificate = getenv("OMNI_TLS_CERT");
    const char *scheme = certificate && *certificate ? "https" : "http";
    if (address->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in = (const void *)address;
        inet_ntop(AF_INET6, &in->sin6_addr, host, sizeof(host));
        int port = ntohs(in->sin6_port);
        snprintf(out->listen, sizeof(out->listen), "[%s]:%d", host, port);
        bool any = IN6_IS_ADDR_UNSPECIFIED(&in->sin6_addr);
        snprintf(out->url, sizeof(out->url), "%s://[%s]:%d", scheme, any ? "::1" : host,
                 port);
    } else {
        const struct sockaddr_in *in = (const void *)address;
        inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
        int port = ntohs(in->sin_port);
        snprintf(out->listen, sizeof(out->listen), "%s:%d", host, port);
        bool any = in->sin_addr.s_addr == htonl(INADDR_ANY);
        snprintf(out->url, sizeof(out->url), "%s://%s:%d", scheme,
                 any ? "127.0.0.1" : host, port);
    }
}

// SO_REUSEADDR lets omni-ingest listen on the port this socket keeps, and still refuses a
// port on which somebody listens already.
static bool
bind_quietly(int fd, const struct addrinfo *address)
{
    int on = 1;
    return setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
           bind(fd, address->ai_addr, address->ai_addrlen) == 0;
}

enum om_rc
port_take(const char *text, struct port *out, char *why, size_t why_size)
{
    char host[64];
    const char *service;
    struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
                              .ai_socktype = SOCK_STREAM };
    struct addrinfo *address = NULL;
    out->fd = -1;
    if (!split(text, host, sizeof(host), &service) ||
        getaddrinfo(*host ? host : "0.0.0.0", service, &hints, &address) != 0) {
        snprintf(why, why_size,
                 "%s is not an address: give HOST:PORT with a numeric host, e.g. "
                 "127.0.0.1:8080 or [::1]:0",
                 text);
        return OM_EINVAL;
    }
    struct sockaddr_storage bound;
    socklen_t size = sizeof(bound);
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool taken = fd >= 0 && bind_quietly(fd, address) &&
                 getsockname(fd, (struct sockaddr *)&bound, &size) == 0;
    int error = errno;
    freeaddrinfo(address);
    if (taken) {
        out->fd = fd;
        describe(&bound, out);
        return OM_OK;
    }
    if (fd >= 0)
        close(fd);
    if (error == EADDRINUSE)
        snprintf(why, why_size,
                 "another program listens on %s; give another port, or port 0 for any "
                 "free one",
                 text);
    else
        snprintf(why, why_size, "cannot listen on %s: %s", text, strerror(error));
    return error == EADDRINUSE ? OM_ECONFLICT : OM_EUNAVAILABLE;
}
