#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http.h"

enum { BACKLOG = 1024 };

static enum om_rc
resolve(const char *host_port, struct addrinfo **out)
{
    char host[64];
    const char *colon = strrchr(host_port, ':');
    size_t size = colon ? (size_t)(colon - host_port) : 0;
    const char *start = host_port;
    if (size > 2 && start[0] == '[' && start[size - 1] == ']') // [::1]:8080
        start++, size -= 2;
    if (!colon || size >= sizeof(host) || colon[1] == '\0' || strlen(colon + 1) > 5 ||
        strtol(colon + 1, NULL, 10) > UINT16_MAX)
        return OM_EINVAL;
    memcpy(host, start, size);
    host[size] = '\0';
    struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
                              .ai_socktype = SOCK_STREAM };
    if (strcmp(host, "localhost") == 0)
        snprintf(host, sizeof(host), "127.0.0.1");
    return getaddrinfo(size ? host : NULL, colon + 1, &hints, out) == 0 ? OM_OK
                                                                        : OM_EINVAL;
}

static bool
set_option(int fd, int level, int option)
{
    int on = 1;
    return setsockopt(fd, level, option, &on, sizeof(on)) == 0;
}

// The port is shared only after it was bound: so the first loop learns that another
// program has it, even one of the same user that shares its own.
static enum om_rc
bind_and_listen(int fd, const struct addrinfo *address, bool join)
{
    if (!set_option(fd, SOL_SOCKET, SO_REUSEADDR) ||
        (join && !set_option(fd, SOL_SOCKET, SO_REUSEPORT)))
        return OM_EUNAVAILABLE;
    if (bind(fd, address->ai_addr, address->ai_addrlen) != 0)
        return errno == EADDRINUSE ? OM_ECONFLICT : OM_EUNAVAILABLE;
    if (!set_option(fd, SOL_SOCKET, SO_REUSEPORT) ||
        !set_option(fd, IPPROTO_TCP, TCP_NODELAY))
        return OM_EUNAVAILABLE;
    if (listen(fd, BACKLOG) != 0)
        return errno == EADDRINUSE ? OM_ECONFLICT : OM_EUNAVAILABLE;
    return OM_OK;
}

enum om_rc
om_http_listen(const char *host_port, bool join, int *fd)
{
    *fd = -1;
    struct addrinfo *address = NULL;
    enum om_rc rc = resolve(host_port, &address);
    if (rc != OM_OK)
        return rc;
    int made = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    rc = made < 0 ? OM_EUNAVAILABLE : bind_and_listen(made, address, join);
    freeaddrinfo(address);
    if (rc == OM_OK)
        *fd = made;
    else if (made >= 0)
        close(made);
    return rc;
}

int
om_http_port(int listen_fd)
{
    struct sockaddr_storage address = { 0 };
    socklen_t size = sizeof(address);
    if (getsockname(listen_fd, (struct sockaddr *)&address, &size) != 0)
        return -1;
    if (address.ss_family == AF_INET6)
        return ntohs(((struct sockaddr_in6 *)&address)->sin6_port);
    return ntohs(((struct sockaddr_in *)&address)->sin_port);
}
