#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "bundle.h"
#include "frame.h"
#include "local.h"
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
        struct local *local; // over ipc://, or
        void *router;        // over tcp://
        int fd;
        bool curve;
        bool dry; // no message is there, and the descriptor will say when one is
        struct received {
            zmq_msg_t header, payload; // of the message received last
            core_conn conn;
            struct core_peer peer;
            bool bundled; // it is a bundle, of which these are left
            struct bundle_iter left;
        } received;
    } sockets[SOCKETS_MAX];
    struct keys keys;
    struct zap *zap;
    struct frame_loans loans;
    struct pool *payloads;
    struct bundle outgoing; // to the peer of the message sent last
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
bind_local(struct sockets *self, const char *endpoint, char *why, size_t why_size)
{
    struct local *local = local_open(endpoint + strlen("ipc://"));
    if (!local)
        return refuse(why, why_size, OM_EUNAVAILABLE, "cannot bind %s: %s", endpoint,
                      strerror(errno));
    struct socket *socket = &self->sockets[self->count++];
    *socket = (struct socket){ .local = local, .fd = local_fd(local) };
    zmq_msg_init(&socket->received.header);
    zmq_msg_init(&socket->received.payload);
    return OM_OK;
}

static enum om_rc
bind_tcp(struct sockets *self, const char *endpoint, char *why, size_t why_size)
{
    void *router = zmq_socket(self->context, ZMQ_ROUTER);
    if (!router)
        return refuse(why, why_size, OM_EUNAVAILABLE, "%s: %s", endpoint,
                      zmq_strerror(errno));
    struct socket *socket = &self->sockets[self->count++];
    *socket = (struct socket){ .router = router, .curve = true };
    zmq_msg_init(&socket->received.header);
    zmq_msg_init(&socket->received.payload);
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
    if (rc != OM_OK)
        return rc;
    return tcp ? bind_tcp(self, endpoint, why, why_size)
               : bind_local(self, endpoint, why, why_size);
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
    self->context = zmq_ctx_new();
    enum om_rc rc = OM_OK;
    if (!bundle_init(&self->outgoing))
        rc = refuse(why, why_size, OM_EUNAVAILABLE, "no memory");
    if (rc == OM_OK)
        rc = open_list(self, conf->client, conf->keys, why, why_size);
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
    for (size_t i = 0; i < self->count; i++) {
        zmq_msg_close(&self->sockets[i].received.header);
        zmq_msg_close(&self->sockets[i].received.payload);
        local_close(&self->sockets[i].local, LINGER_MS);
        if (self->sockets[i].router)
            zmq_close(self->sockets[i].router);
    }
    zmq_ctx_shutdown(self->context);
    zap_join(&self->zap);
    zmq_ctx_term(self->context);
    frame_collect(&self->loans);
    bundle_finish(&self->outgoing);
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
    for (size_t i = 0; i < self->count; i++)
        if (self->sockets[i].local)
            local_turn(self->sockets[i].local);
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
receive_frames(void *router, struct received *received, zmq_msg_t *id)
{
    int frames = 0;
    if (zmq_msg_recv(id, router, ZMQ_DONTWAIT) < 0)
        return -1;
    for (zmq_msg_t *target = id; zmq_msg_more(target); frames++) {
        target = frames == 0 ? &received->header : frames == 1 ? &received->payload : id;
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

static struct om_str
bytes_of(zmq_msg_t *msg)
{
    return (struct om_str){ zmq_msg_data(msg), zmq_msg_size(msg) };
}

enum outcome { TAKEN, DROPPED, NONE };

// Receive a message. Of a bundle nothing is given out yet.
static enum outcome
take_whole(struct sockets *self, size_t index, struct sockets_message *out)
{
    struct socket *socket = &self->sockets[index];
    struct received *received = &socket->received;
    zmq_msg_t id;
    zmq_msg_init(&id);
    int frames = receive_frames(socket->router, received, &id);
    received->conn = frames < 1 || frames > 2 ? 0 : conn_number(index, &id);
    zmq_msg_close(&id);
    socket->dry = frames < 0;
    if (received->conn == 0)
        return socket->dry ? NONE : DROPPED;
    received->peer = verified_peer(socket, &received->header);
    out->header = bytes_of(&received->header);
    out->payload = NULL;
    bool lost = false;
    received->bundled = frames == 2 && bundle_is(out->header);
    if (received->bundled)
        received->left = bundle_iter(bytes_of(&received->payload));
    else if (frames == 2)
        out->payload = frame_take(self->payloads, &received->payload, &lost);
    return lost ? DROPPED : TAKEN;
}

// The same over ipc://.
static enum outcome
take_local(struct sockets *self, size_t index, struct sockets_message *out)
{
    struct socket *socket = &self->sockets[index];
    struct received *received = &socket->received;
    struct om_str payload;
    uint32_t number;
    size_t frames;
    out->payload = NULL;
    socket->dry = !local_recv(socket->local, &number, &out->header, &payload, &frames);
    if (socket->dry)
        return NONE;
    if (frames > 2)
        return DROPPED;
    received->conn = (core_conn)(index + 1) << 32 | number;
    received->peer = (struct core_peer){ TRUST_LOCAL, ROLE_NONE };
    received->bundled = frames == 2 && bundle_is(out->header);
    if (received->bundled)
        received->left = bundle_iter(payload);
    else if (payload.size)
        out->payload = payload_pooled(self->payloads, payload);
    return payload.size && !received->bundled && !out->payload ? DROPPED : TAKEN;
}

// The next message of the bundle that was received.
static enum outcome
take_bundled(struct sockets *self, struct received *received, struct sockets_message *out)
{
    struct om_str payload;
    out->payload = NULL;
    if (bundle_next(&received->left, &out->header, &payload)) {
        if (payload.size == 0)
            return TAKEN;
        out->payload = payload_pooled(self->payloads, payload);
        return out->payload ? TAKEN : DROPPED;
    }
    received->bundled = false;
    return received->left.rest.size || received->left.count == 0 ? DROPPED : NONE;
}

bool
sockets_receive(struct sockets *self, size_t index, struct sockets_message *out)
{
    struct socket *socket = &self->sockets[index];
    struct received *received = &socket->received;
    for (int drops = 0; drops < DROPS_MAX && !socket->dry;) {
        bool bundled = received->bundled;
        enum outcome outcome = bundled         ? take_bundled(self, received, out)
                               : socket->local ? take_local(self, index, out)
                                               : take_whole(self, index, out);
        drops += outcome == DROPPED;
        self->dropped += outcome == DROPPED;
        if (outcome != TAKEN || received->bundled != bundled)
            continue;
        out->conn = received->conn;
        out->peer = received->peer;
        return true;
    }
    return false;
}

// ---- sending

// Send one message; its payload is `body`, or the bytes of `bytes`.
static enum om_rc
send_frames(struct sockets *self, core_conn conn, struct om_str header,
            struct payload *body, struct om_str bytes)
{
    size_t index = (size_t)(conn >> 32) - 1;
    if (index >= self->count)
        return OM_EUNAVAILABLE;
    struct local *local = self->sockets[index].local;
    if (local) {
        struct om_str whole = body ? payload_bytes(body) : bytes;
        if (whole.size == 0)
            whole.data = NULL;
        return local_send(local, (uint32_t)conn, header, whole);
    }
    void *router = self->sockets[index].router;
    zmq_msg_t payload;
    if (body && !frame_lend(&self->loans, body, &payload))
        return OM_EUNAVAILABLE;

    // When ROUTER takes the first frame, it takes the others.
    uint8_t id[ROUTING_ID];
    routing_id(conn, id);
    self->sockets[index].dry = false;
    if (zmq_send(router, id, sizeof(id), ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0) {
        if (body)
            zmq_msg_close(&payload);
        return OM_EUNAVAILABLE;
    }
    bool more = body || bytes.size;
    zmq_send(router, header.data, header.size, ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0));
    if (body && zmq_msg_send(&payload, router, ZMQ_DONTWAIT) < 0)
        zmq_msg_close(&payload);
    if (!body && more)
        zmq_send(router, bytes.data, bytes.size, ZMQ_DONTWAIT);
    return OM_OK;
}

// Send what is kept; one message alone goes as it is.
static enum om_rc
send_outgoing(struct sockets *self, core_conn conn)
{
    struct bundle *bundle = &self->outgoing;
    if (bundle->count == 0)
        return OM_OK;
    struct om_str header = bundle_header(), bytes = om_buf_str(&bundle->bytes);
    struct bundle_iter iter = bundle_iter(bytes);
    if (bundle->count == 1)
        bundle_next(&iter, &header, &bytes);
    enum om_rc rc = send_frames(self, conn, header, NULL, bytes);
    bundle_reset(bundle);
    return rc;
}

enum om_rc
sockets_send(struct sockets *self, const struct core_send *send)
{
    struct om_str bytes = payload_bytes(send->payload);
    struct payload *body = bytes.size ? send->payload : NULL;
    bool along = send->more || self->outgoing.count > 0;
    bool small = along && bundle_is_small(send->header, bytes);
    enum om_rc rc = OM_OK;
    if (!small || !bundle_has_room(&self->outgoing, send->header, bytes))
        rc = send_outgoing(self, send->conn);
    if (!small && rc == OM_OK)
        rc = send_frames(self, send->conn, send->header, body, (struct om_str){ 0 });
    if (small)
        bundle_add(&self->outgoing, send->header, bytes);
    if (send->more)
        return rc;
    enum om_rc last = send_outgoing(self, send->conn);
    return rc == OM_OK ? last : rc;
}
