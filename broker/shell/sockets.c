#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "frame.h"
#include "sockets.h"
#include "zap.h"

enum {
    HIGH_WATER = 16384, // above any burst of the core's; the flow control is credit
    BACKLOG = 1024,
    LINGER_MS = 500,
    HANDSHAKE_MS = 5000,
    HEARTBEAT_MS = 5000, // of ZMTP, so that dead tcp peers are noticed
    ROUTING_ID = 5,      // of a peer that has chosen none: a zero and a number
    ENDPOINT_MAX = 256,
    DROPS_MAX = 256, // messages of a wrong shape in a row: others have their turn
};

struct sockets {
    void *context;
    size_t count;
    struct socket {
        void *router;
        int fd;
        bool curve;
        bool dry; // no message is there, and the descriptor will say when one is
    } sockets[SOCKETS_MAX];
    struct keys keys;
    struct zap *zap;
    struct frame_loans loans;
    struct pool *payloads;
    zmq_msg_t header; // of the message received last
    uint64_t dropped;
};

// ---- endpoints

static enum om_rc __attribute__((format(printf, 4, 5)))
refuse(char *why, size_t why_size, enum om_rc rc, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(why, why_size, format, args);
    va_end(args);
    return rc;
}

static bool
begins(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

// The socket's file mode says nothing on every system, its folder's does.
static enum om_rc
check_ipc(const char *endpoint, char *why, size_t why_size)
{
    enum { PATH_MAX_BYTES = sizeof(((struct sockaddr_un *)0)->sun_path) - 1 };
    const char *path = endpoint + strlen("ipc://");
    if (strlen(path) > PATH_MAX_BYTES)
        return refuse(
            why, why_size, OM_EINVAL,
            "%s: the path has %zu bytes; a socket's may have %d: choose a shorter "
            "folder",
            endpoint, strlen(path), (int)PATH_MAX_BYTES);
    const char *slash = strrchr(path, '/');
    if (!slash || slash == path || *path == '@' || *path == '*')
        return refuse(why, why_size, OM_EINVAL,
                      "%s: an ipc endpoint is a path in a folder of its own", endpoint);
    char folder[sizeof(((struct sockaddr_un *)0)->sun_path)];
    snprintf(folder, sizeof(folder), "%.*s", (int)(slash - path), path);
    struct stat info;
    if (stat(folder, &info) != 0)
        return refuse(why, why_size, OM_EINVAL, "%s: %s: %s", endpoint, folder,
                      strerror(errno));
    if (!S_ISDIR(info.st_mode) || info.st_uid != geteuid() || (info.st_mode & 077))
        return refuse(
            why, why_size, OM_EINVAL,
            "%s: %s must be a folder of this user's that nobody else can enter: "
            "run chmod 700",
            endpoint, folder);
    return OM_OK;
}

static void
set_int(void *socket, int option, int value)
{
    zmq_setsockopt(socket, option, &value, sizeof(value));
}

static void
set_curve(struct sockets *self, void *router)
{
    set_int(router, ZMQ_CURVE_SERVER, 1);
    zmq_setsockopt(router, ZMQ_CURVE_SECRETKEY, self->keys.secret, KEY_TEXT + 1);
    zmq_setsockopt(router, ZMQ_ZAP_DOMAIN, "omni", 4);
    set_int(router, ZMQ_HEARTBEAT_IVL, HEARTBEAT_MS);
    set_int(router, ZMQ_HEARTBEAT_TIMEOUT, 3 * HEARTBEAT_MS);
}

static enum om_rc
bind_endpoint(struct sockets *self, const char *endpoint, bool curve, char *why,
              size_t why_size)
{
    void *router = zmq_socket(self->context, ZMQ_ROUTER);
    if (!router)
        return refuse(why, why_size, OM_EUNAVAILABLE, "%s: %s", endpoint,
                      zmq_strerror(errno));
    struct socket *socket = &self->sockets[self->count++];
    *socket = (struct socket){ .router = router, .curve = curve };
    size_t fd_size = sizeof(socket->fd);
    zmq_getsockopt(router, ZMQ_FD, &socket->fd, &fd_size);
    set_int(router, ZMQ_ROUTER_MANDATORY, 1);
    set_int(router, ZMQ_LINGER, LINGER_MS);
    set_int(router, ZMQ_SNDHWM, HIGH_WATER);
    set_int(router, ZMQ_RCVHWM, HIGH_WATER);
    set_int(router, ZMQ_BACKLOG, BACKLOG);
    set_int(router, ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS);
    set_int(router, ZMQ_IPV6, 1);
    int64_t max = WIRE_PAYLOAD_MAX + WIRE_HEADER_MAX; // a little too large gets an answer
    zmq_setsockopt(router, ZMQ_MAXMSGSIZE, &max, sizeof(max));
    if (curve)
        set_curve(self, router);
    if (zmq_bind(router, endpoint) != 0)
        return refuse(why, why_size, OM_EUNAVAILABLE, "cannot bind %s: %s", endpoint,
                      zmq_strerror(errno));
    return OM_OK;
}

static enum om_rc
need_keys(struct sockets *self, const char *directory, char *why, size_t why_size)
{
    if (self->zap)
        return OM_OK;
    enum om_rc rc = keys_load(directory, &self->keys, why, why_size);
    if (rc != OM_OK)
        return rc;
    self->zap = zap_start(self->context, &self->keys);
    return self->zap ? OM_OK : refuse(why, why_size, OM_EUNAVAILABLE, "no thread");
}

static enum om_rc
open_endpoint(struct sockets *self, const char *endpoint, const char *keys, char *why,
              size_t why_size)
{
    enum om_rc rc = OM_OK;
    bool tcp = begins(endpoint, "tcp://");
    if (self->count == SOCKETS_MAX)
        return refuse(why, why_size, OM_EINVAL, "%s: more than %d endpoints", endpoint,
                      (int)SOCKETS_MAX);
    if (!tcp && !begins(endpoint, "ipc://"))
        return refuse(why, why_size, OM_EINVAL,
                      "%s: an endpoint begins with ipc:// or tcp://", endpoint);
    if (tcp && !*keys)
        return refuse(
            why, why_size, OM_EINVAL,
            "%s: tcp is served with keys only: run omni-broker --make-keys DIR and "
            "set OMNI_KEYS=DIR",
            endpoint);
    rc = tcp ? need_keys(self, keys, why, why_size) : check_ipc(endpoint, why, why_size);
    return rc == OM_OK ? bind_endpoint(self, endpoint, tcp, why, why_size) : rc;
}

static enum om_rc
open_list(struct sockets *self, const char *list, const char *keys, char *why,
          size_t why_size)
{
    enum om_rc rc = OM_OK;
    while (rc == OM_OK) {
        char endpoint[ENDPOINT_MAX];
        size_t size = strcspn(list, ",");
        if (size >= sizeof(endpoint))
            return refuse(why, why_size, OM_EINVAL, "%.64s...: the endpoint is too long",
                          list);
        snprintf(endpoint, sizeof(endpoint), "%.*s", (int)size, list);
        rc = open_endpoint(self, endpoint, keys, why, why_size);
        if (!list[size])
            break;
        list += size + 1;
    }
    return rc;
}

enum om_rc
sockets_open(const struct sockets_conf *conf, struct sockets **out, char *why,
             size_t why_size)
{
    struct sockets *self = calloc(1, sizeof(*self));
    if (!self)
        return refuse(why, why_size, OM_EUNAVAILABLE, "no memory");
    self->payloads = conf->payloads;
    zmq_msg_init(&self->header);
    self->context = zmq_ctx_new();
    enum om_rc rc = open_list(self, conf->client, conf->keys, why, why_size);
    if (rc == OM_OK)
        rc = open_list(self, conf->work, conf->keys, why, why_size);
    if (rc != OM_OK)
        sockets_close(&self);
    *out = self;
    return rc;
}

void
sockets_close(struct sockets **self_p)
{
    struct sockets *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    for (size_t i = 0; i < self->count; i++)
        zmq_close(self->sockets[i].router);
    zmq_ctx_shutdown(self->context);
    zap_join(&self->zap);
    zmq_msg_close(&self->header);
    zmq_ctx_term(self->context);
    frame_collect(&self->loans);
    free(self);
}

size_t
sockets_count(const struct sockets *self)
{
    return self->count;
}

void
sockets_poll_items(const struct sockets *self, struct pollfd *items)
{
    for (size_t i = 0; i < self->count; i++)
        items[i] = (struct pollfd){ self->sockets[i].fd, POLLIN, 0 };
}

void
sockets_polled(struct sockets *self, const struct pollfd *items)
{
    for (size_t i = 0; i < self->count; i++)
        if (items[i].revents)
            self->sockets[i].dry = false;
}

bool
sockets_may_have(const struct sockets *self)
{
    for (size_t i = 0; i < self->count; i++)
        if (!self->sockets[i].dry)
            return true;
    return false;
}

uint64_t
sockets_dropped(const struct sockets *self)
{
    return self->dropped;
}

void
sockets_collect(struct sockets *self)
{
    frame_collect(&self->loans);
}

// ---- connection numbers

// 0 for a routing id that ROUTER has not made: peers may not choose their own.
static core_conn
conn_number(size_t index, zmq_msg_t *routing_id)
{
    const uint8_t *bytes = zmq_msg_data(routing_id);
    if (zmq_msg_size(routing_id) != ROUTING_ID || bytes[0] != 0)
        return 0;
    return (core_conn)(index + 1) << 32 | (core_conn)bytes[1] << 24 |
           (core_conn)bytes[2] << 16 | (core_conn)bytes[3] << 8 | bytes[4];
}

static void
routing_id(core_conn conn, uint8_t out[ROUTING_ID])
{
    out[0] = 0;
    for (int i = 0; i < 4; i++)
        out[i + 1] = (uint8_t)(conn >> (24 - 8 * i));
}

// ---- receiving

// Read one whole message. Returns the number of its frames behind the routing id; -1 when
// there is no message. Of frames behind the payload only the number is kept.
static int
receive_frames(void *router, zmq_msg_t *id, zmq_msg_t *header, zmq_msg_t *payload)
{
    int frames = 0;
    if (zmq_msg_recv(id, router, ZMQ_DONTWAIT) < 0)
        return -1;
    for (zmq_msg_t *target = id; zmq_msg_more(target); frames++) {
        target = frames == 0 ? header : frames == 1 ? payload : id;
        if (zmq_msg_recv(target, router, ZMQ_DONTWAIT) < 0)
            return -1;
    }
    return frames;
}

static struct core_peer
verified_peer(const struct socket *socket, zmq_msg_t *header)
{
    if (!socket->curve)
        return (struct core_peer){ TRUST_LOCAL, ROLE_NONE };
    enum role role = zap_role(zmq_msg_gets(header, "User-Id"));
    return (struct core_peer){ role == ROLE_NONE ? TRUST_NOTHING : TRUST_ROLE, role };
}

bool
sockets_receive(struct sockets *self, size_t index, struct sockets_message *out)
{
    struct socket *socket = &self->sockets[index];
    if (socket->dry)
        return false;
    zmq_msg_t id, payload;
    zmq_msg_init(&id);
    zmq_msg_init(&payload);
    bool found = false;
    int drops = 0;
    for (; !found && drops < DROPS_MAX; drops += !found) {
        int frames = receive_frames(socket->router, &id, &self->header, &payload);
        socket->dry = frames < 0;
        if (socket->dry)
            break;
        out->conn = frames > 2 ? 0 : conn_number(index, &id);
        if (out->conn == 0 || frames < 1)
            continue;
        bool lost = false;
        out->payload = frames == 2 ? frame_take(self->payloads, &payload, &lost) : NULL;
        if (lost)
            continue;
        out->peer = verified_peer(socket, &self->header);
        out->header =
            (struct om_str){ zmq_msg_data(&self->header), zmq_msg_size(&self->header) };
        found = true;
    }
    self->dropped += (uint64_t)drops;
    zmq_msg_close(&id);
    zmq_msg_close(&payload);
    return found;
}

// ---- sending

enum om_rc
sockets_send(struct sockets *self, const struct core_send *send)
{
    size_t index = (size_t)(send->conn >> 32) - 1;
    if (index >= self->count)
        return OM_EUNAVAILABLE;
    void *router = self->sockets[index].router;
    bool body = send->payload && send->payload->bytes.size > 0;
    zmq_msg_t payload;
    if (body && !frame_lend(&self->loans, send->payload, &payload))
        return OM_EUNAVAILABLE;

    // When ROUTER takes the first frame, it takes the others.
    uint8_t id[ROUTING_ID];
    routing_id(send->conn, id);
    self->sockets[index].dry = false;
    if (zmq_send(router, id, sizeof(id), ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0) {
        if (body)
            zmq_msg_close(&payload);
        return OM_EUNAVAILABLE;
    }
    zmq_send(router, send->header.data, send->header.size,
             ZMQ_DONTWAIT | (body ? ZMQ_SNDMORE : 0));
    if (body && zmq_msg_send(&payload, router, ZMQ_DONTWAIT) < 0)
        zmq_msg_close(&payload);
    return OM_OK;
}
