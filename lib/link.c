#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>
#include <zmq.h>

#include "bundle.h"
#include "clock.h"
#include "id.h"
#include "link.h"
#include "zmtp.h"

enum {
    HELLO_AGAIN_MS = 1000,
    DEFAULT_HEARTBEAT_MS = 2000,
    SILENT_HEARTBEATS = 3,
    REMAKE_MAX_MS = 5000,
    LINGER_MS = 200,
    Z85_KEY = 41,
};

struct om_link {
    struct om_link_conf conf;
    struct zmtp *local;               // over ipc://
    void *context, *socket, *monitor; // over tcp://, ZeroMQ's
    bool secure;
    char server_key[Z85_KEY], public_key[Z85_KEY], secret_key[Z85_KEY];

    bool connected, open;
    int64_t incarnation;
    int64_t heartbeat_ms, sent_ms, hello_ms, remake_ms, remake_wait_ms;
    // When something was sent after the last that was heard; 0: nothing was.
    int64_t unanswered_ms;
    int64_t monitor_ms; // when the monitor was looked at last
    bool settled;
    char refusal[256];

    bool bundles;           // the broker understands them
    struct bundle outgoing; // what was sent and is not with ZeroMQ yet

    zmq_msg_t header, payload; // of the message received last
    bool bundled;              // it is a bundle, of which these are left
    struct bundle_iter incoming;
    struct wire_msg msg; // of the frame given out last
    struct om_buf encoded;
};

// Read a z85 key, 40 characters, from DIR/NAME.
static bool
read_key(const char *dir, const char *name, const char *suffix, char out[Z85_KEY])
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s.%s", dir, name, suffix);
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    size_t size = fread(out, 1, Z85_KEY - 1, file);
    fclose(file);
    out[size] = '\0';
    return size == Z85_KEY - 1;
}

// A tenant's worker is known by its API key, so any CURVE key of its own will do.
static bool
load_keys(struct om_link *self)
{
    const char *dir = self->conf.keys;
    if (!dir || !*dir || !read_key(dir, "broker", "pub", self->server_key))
        return false;
    if (self->conf.role == ROLE_TENANT)
        return zmq_curve_keypair(self->public_key, self->secret_key) == 0;
    const char *role = role_name(self->conf.role);
    return read_key(dir, role, "pub", self->public_key) &&
           read_key(dir, role, "key", self->secret_key);
}

static void
set_int(void *socket, int option, int value)
{
    zmq_setsockopt(socket, option, &value, sizeof(value));
}

static void
close_socket(struct om_link *self)
{
    zmtp_destroy(&self->local);
    if (self->socket) {
        zmq_socket_monitor(self->socket, NULL, 0);
        zmq_close(self->socket);
    }
    if (self->monitor)
        zmq_close(self->monitor);
    self->socket = self->monitor = NULL;
    self->connected = self->bundled = false;
}

// Make and connect the socket. A failure here is one of this process's own limits and is
// tried again by the tick.
static void
open_socket(struct om_link *self)
{
    if (!self->secure) {
        self->local = zmtp_create(self->conf.endpoint + strlen("ipc://"),
                                  WIRE_PAYLOAD_MAX + WIRE_HEADER_MAX);
        return;
    }
    if (!self->context)
        self->context = zmq_ctx_new();
    self->socket = zmq_socket(self->context, ZMQ_DEALER);
    self->monitor = zmq_socket(self->context, ZMQ_PAIR);
    if (!self->socket || !self->monitor) {
        close_socket(self);
        return;
    }
    set_int(self->socket, ZMQ_LINGER, LINGER_MS);
    set_int(self->socket, ZMQ_IMMEDIATE, 1);
    set_int(self->socket, ZMQ_RECONNECT_IVL, 10);
    set_int(self->socket, ZMQ_RECONNECT_IVL_MAX, 1000);
    set_int(self->socket, ZMQ_SNDHWM, 10000);
    set_int(self->socket, ZMQ_RCVHWM, 100000);
    int64_t max = WIRE_PAYLOAD_MAX + WIRE_HEADER_MAX;
    zmq_setsockopt(self->socket, ZMQ_MAXMSGSIZE, &max, sizeof(max));
    if (self->secure) {
        zmq_setsockopt(self->socket, ZMQ_CURVE_SERVERKEY, self->server_key, Z85_KEY);
        zmq_setsockopt(self->socket, ZMQ_CURVE_PUBLICKEY, self->public_key, Z85_KEY);
        zmq_setsockopt(self->socket, ZMQ_CURVE_SECRETKEY, self->secret_key, Z85_KEY);
    }
    char name[64];
    snprintf(name, sizeof(name), "inproc://monitor-%p", self->socket);
    set_int(self->monitor, ZMQ_LINGER, 0);
    // Without the monitor nobody would learn that the socket is connected.
    int events = ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED;
    if (zmq_socket_monitor(self->socket, name, events) != 0 ||
        zmq_connect(self->monitor, name) != 0 ||
        zmq_connect(self->socket, self->conf.endpoint) != 0)
        close_socket(self);
}

enum om_rc
om_link_create(const struct om_link_conf *conf, struct om_link **out, const char **why)
{
    *out = NULL;
    *why = "not enough memory";
    struct om_link *self = calloc(1, sizeof(*self));
    if (!self)
        return OM_EINTERNAL;
    self->conf = *conf;
    self->heartbeat_ms = DEFAULT_HEARTBEAT_MS;
    self->incarnation = om_clock_wall_ms();
    zmq_msg_init(&self->header);
    zmq_msg_init(&self->payload);
    if (!bundle_init(&self->outgoing)) {
        om_link_destroy(&self);
        return OM_EINTERNAL;
    }

    const size_t path_max = sizeof(((struct sockaddr_un *)0)->sun_path) - 1;
    *why = NULL;
    self->secure = strncmp(conf->endpoint, "tcp://", 6) == 0;
    if (!self->secure && strncmp(conf->endpoint, "ipc://", 6) != 0)
        *why = "the broker's endpoint must begin with ipc:// or tcp://";
    else if (!self->secure && strlen(conf->endpoint + 6) > path_max)
        *why = "the broker's ipc path is longer than 107 bytes: choose a shorter folder";
    else if (self->secure && !load_keys(self))
        *why = "a tcp endpoint needs OMNI_KEYS, a folder with broker.pub and this role's "
               "keys (omni-broker --make-keys DIR makes them)";
    if (*why) {
        om_link_destroy(&self);
        return OM_EINVAL;
    }
    open_socket(self);
    self->remake_ms = om_clock_mono_ms();
    *out = self;
    return OM_OK;
}

static void
close_session(struct om_link *self)
{
    if (!self->open)
        return;
    self->open = false;
    bundle_reset(&self->outgoing);
    if (self->conf.closed)
        self->conf.closed(self->conf.context);
}

void
om_link_destroy(struct om_link **self_p)
{
    struct om_link *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    if (self->open) {
        struct wire_msg bye = { 0 };
        (void)!om_link_send(self, WIRE_BYE, &bye, (struct om_str){ 0 });
        om_link_flush(self);
    }
    zmq_msg_close(&self->header);
    zmq_msg_close(&self->payload);
    if (self->local)
        zmtp_linger(self->local, LINGER_MS);
    close_socket(self);
    if (self->context)
        zmq_ctx_term(self->context);
    bundle_finish(&self->outgoing);
    om_buf_finish(&self->encoded);
    free(self);
}

void
om_link_fds(const struct om_link *self, int fds[2])
{
    void *const sockets[2] = { self->socket, self->monitor };
    if (!self->secure) {
        fds[0] = self->local ? zmtp_fd(self->local) : -1;
        fds[1] = -1;
        return;
    }
    for (int i = 0; i < 2; i++) {
        size_t size = sizeof(fds[i]);
        fds[i] = -1;
        if (sockets[i])
            zmq_getsockopt(sockets[i], ZMQ_FD, &fds[i], &size);
    }
}

bool
om_link_is_open(const struct om_link *self)
{
    return self->open;
}

int64_t
om_link_heartbeat_ms(const struct om_link *self)
{
    return self->heartbeat_ms;
}

const char *
om_link_refusal(const struct om_link *self)
{
    return *self->refusal ? self->refusal : NULL;
}

// A signal, of which the owner's thread may get any, must not leave half a message.
static bool
send_part(void *socket, struct om_str part, int more)
{
    return TEMP_FAILURE_RETRY(
               zmq_send(socket, part.data, part.size, ZMQ_DONTWAIT | more)) >= 0;
}

static bool
recv_part(void *socket, zmq_msg_t *part)
{
    return TEMP_FAILURE_RETRY(zmq_msg_recv(part, socket, ZMQ_DONTWAIT)) >= 0;
}

static enum om_rc
send_parts(struct om_link *self, struct om_str header, struct om_str payload)
{
    int more = payload.data ? ZMQ_SNDMORE : 0;
    if (!send_part(self->socket, header, more))
        return OM_EUNAVAILABLE;
    // Once a first part was taken, the second cannot fail for want of room.
    if (more && !send_part(self->socket, payload, 0))
        return OM_EUNAVAILABLE;
    self->settled = false;
    return OM_OK;
}

static enum om_rc
send_frames(struct om_link *self, struct om_str header, struct om_str payload)
{
    enum om_rc rc = self->local    ? zmtp_send(self->local, header, payload)
                    : self->socket ? send_parts(self, header, payload)
                                   : OM_EUNAVAILABLE;
    if (rc != OM_OK)
        return rc;
    self->sent_ms = om_clock_mono_ms();
    if (!self->unanswered_ms)
        self->unanswered_ms = self->sent_ms;
    return OM_OK;
}

// Hand ZeroMQ what waits; one message alone goes as it is.
static enum om_rc
send_outgoing(struct om_link *self)
{
    struct bundle *bundle = &self->outgoing;
    if (bundle->count == 0)
        return OM_OK;
    struct om_str header = bundle_header(), payload = om_buf_str(&bundle->bytes);
    if (bundle->count == 1) {
        struct bundle_iter iter = bundle_iter(payload);
        bundle_next(&iter, &header, &payload);
        if (payload.size == 0)
            payload.data = NULL;
    }
    enum om_rc rc = send_frames(self, header, payload);
    if (rc == OM_OK)
        bundle_reset(bundle);
    return rc;
}

void
om_link_flush(struct om_link *self)
{
    (void)!send_outgoing(self); // what finds no room waits on
}

enum om_rc
om_link_send_raw(struct om_link *self, struct om_str header, struct om_str payload)
{
    if (!self->open)
        return OM_EUNAVAILABLE;
    bool small = self->bundles && bundle_is_small(header, payload);
    if (!small || !bundle_has_room(&self->outgoing, header, payload)) {
        enum om_rc rc = send_outgoing(self);
        if (rc != OM_OK)
            return rc;
    }
    if (!small)
        return send_frames(self, header, payload);
    bundle_add(&self->outgoing, header, payload);
    self->settled = false;
    return OM_OK;
}

static enum om_rc
encode(struct om_link *self, enum wire_type type, const struct wire_msg *msg)
{
    om_buf_reset(&self->encoded);
    wire_encode(type, msg, &self->encoded);
    return self->encoded.failed ? OM_EINTERNAL : OM_OK;
}

enum om_rc
om_link_send(struct om_link *self, enum wire_type type, const struct wire_msg *msg,
             struct om_str payload)
{
    if (!self->open)
        return OM_EUNAVAILABLE;
    enum om_rc rc = encode(self, type, msg);
    return rc == OM_OK ? om_link_send_raw(self, om_buf_str(&self->encoded), payload) : rc;
}

// Send what needs no session, past what waits for one.
static void
send_outside(struct om_link *self, enum wire_type type, const struct wire_msg *msg)
{
    if (encode(self, type, msg) == OM_OK)
        (void)!send_frames(self, om_buf_str(&self->encoded), (struct om_str){ 0 });
}

static void
say_hello(struct om_link *self)
{
    struct wire_msg hello = { 0 };
    // Said again before its answer came, it is the same HELLO: the session that the first
    // one opened stays, with what was said in it meanwhile.
    WIRE_SET(&hello, id, OM_LIT("hello"));
    WIRE_SET(&hello, role, om_str(role_name(self->conf.role)));
    WIRE_SET(&hello, node, om_str(self->conf.node));
    WIRE_SET(&hello, incarnation, self->incarnation);
    WIRE_SET(&hello, caps, CAPABILITY_ACK_LISTS | CAPABILITY_BUNDLE);
    if (self->conf.credential)
        WIRE_SET(&hello, credential, om_str(self->conf.credential));
    if (self->conf.hello)
        self->conf.hello(self->conf.context, &hello);
    send_outside(self, WIRE_HELLO, &hello);
    self->hello_ms = om_clock_mono_ms();
}

static void
on_welcome(struct om_link *self)
{
    self->heartbeat_ms = self->msg.heartbeat_ms;
    self->bundles = self->msg.caps & CAPABILITY_BUNDLE;
    self->remake_wait_ms = 0;
    self->refusal[0] = '\0';
    if (self->open)
        return;
    self->open = true;
    if (self->conf.opened)
        self->conf.opened(self->conf.context, &self->msg);
}

static void
note_connection(struct om_link *self, bool connected)
{
    self->connected = connected;
    if (connected)
        say_hello(self);
    else
        close_session(self);
}

// Connection events: frame one is the event number, frame two the address.
static void
drain_monitor(struct om_link *self)
{
    for (;;) {
        zmq_msg_t event, address;
        zmq_msg_init(&event);
        zmq_msg_init(&address);
        bool come = self->monitor && recv_part(self->monitor, &event);
        uint16_t number = 0;
        if (come && zmq_msg_size(&event) >= sizeof(number))
            memcpy(&number, zmq_msg_data(&event), sizeof(number));
        if (come)
            recv_part(self->monitor, &address);
        zmq_msg_close(&event);
        zmq_msg_close(&address);
        if (!come)
            return;
        note_connection(self, number == ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
    }
}

static void
note_local(struct om_link *self)
{
    bool connected = zmtp_is_open(self->local);
    if (connected != self->connected)
        note_connection(self, connected);
}

// What was sent has not used up anything: the descriptor says what there is to read.
static bool
recv_local(struct om_link *self, struct om_str *header, struct om_str *payload)
{
    bool come = self->local && zmtp_recv(self->local, header, payload);
    self->settled = !come;
    if (come)
        self->unanswered_ms = 0;
    if (self->local)
        note_local(self);
    return come;
}

// Read one message of one or two frames into self->header and self->payload.
static bool
recv_frames(struct om_link *self, struct om_str *header, struct om_str *payload)
{
    if (!self->secure)
        return recv_local(self, header, payload);
    zmq_msg_close(&self->header);
    zmq_msg_close(&self->payload);
    zmq_msg_init(&self->header);
    zmq_msg_init(&self->payload);
    self->settled = !self->socket || !recv_part(self->socket, &self->header);
    if (self->settled)
        return false;
    if (zmq_msg_more(&self->header))
        recv_part(self->socket, &self->payload);
    zmq_msg_t rest;
    for (bool more = zmq_msg_more(&self->payload); more;) {
        zmq_msg_init(&rest);
        recv_part(self->socket, &rest);
        more = zmq_msg_more(&rest);
        zmq_msg_close(&rest);
    }
    self->unanswered_ms = 0;
    *header = (struct om_str){ zmq_msg_data(&self->header), zmq_msg_size(&self->header) };
    *payload =
        (struct om_str){ zmq_msg_data(&self->payload), zmq_msg_size(&self->payload) };
    return true;
}

// Handle what is the link's own; false if it is the owner's.
static bool
handle_own(struct om_link *self)
{
    struct wire_msg pong = { 0 };
    switch (self->msg.type) {
    case WIRE_WELCOME:
        on_welcome(self);
        return true;
    case WIRE_RESET:
        close_session(self);
        say_hello(self);
        return true;
    case WIRE_PING:
        pong.has = self->msg.has & W(id);
        pong.id = self->msg.id;
        send_outside(self, WIRE_PONG, &pong);
        return true;
    case WIRE_PONG:
        return true;
    case WIRE_ERROR:
        if (self->open)
            return false;
        snprintf(self->refusal, sizeof(self->refusal), "%.*s", (int)self->msg.text.size,
                 self->msg.text.size ? self->msg.text.data : "");
        return true;
    default:
        return false;
    }
}

// The next message that was received, alone or in a bundle. What was sent meanwhile goes
// out before another is looked for, so that it waits for no more than a bundle.
static bool
next_message(struct om_link *self, struct om_str *header, struct om_str *payload)
{
    for (;;) {
        if (self->bundled && bundle_next(&self->incoming, header, payload))
            return true;
        self->bundled = false;
        om_link_flush(self);
        if (!recv_frames(self, header, payload))
            return false;
        self->bundled = bundle_is(*header);
        if (!self->bundled)
            return true;
        self->incoming = bundle_iter(*payload);
    }
}

bool
om_link_recv(struct om_link *self, struct om_frame *out)
{
    out->msg = &self->msg;
    // A broker that speaks nonsense is met with silence; its messages have no answer.
    while (next_message(self, &out->header, &out->payload))
        if (wire_decode(out->header, &self->msg) == OM_OK && !handle_own(self))
            return true;
    return false;
}

bool
om_link_is_settled(const struct om_link *self)
{
    return self->settled;
}

// Connect anew after a silence. Waits grow to REMAKE_MAX_MS, with full jitter.
static void
remake_socket(struct om_link *self, int64_t now_ms)
{
    close_session(self);
    close_socket(self);
    open_socket(self);
    self->unanswered_ms = 0;
    self->remake_wait_ms = self->remake_wait_ms ? 2 * self->remake_wait_ms : 250;
    if (self->remake_wait_ms > REMAKE_MAX_MS)
        self->remake_wait_ms = REMAKE_MAX_MS;
    uint16_t random;
    om_random(&random, sizeof(random));
    self->remake_ms = now_ms + random % self->remake_wait_ms;
}

int64_t
om_link_tick(struct om_link *self, int64_t now_ms)
{
    // A busy link is called many times in a millisecond, and each look is a system call.
    if (now_ms != self->monitor_ms)
        drain_monitor(self);
    self->monitor_ms = now_ms;
    bool silent = self->connected && self->unanswered_ms &&
                  now_ms >= self->unanswered_ms + SILENT_HEARTBEATS * self->heartbeat_ms;
    if ((silent || !(self->socket || self->local)) && now_ms >= self->remake_ms)
        remake_socket(self, now_ms);
    if (self->connected && !self->open && now_ms >= self->hello_ms + HELLO_AGAIN_MS)
        say_hello(self);
    if (self->open && now_ms >= self->sent_ms + self->heartbeat_ms) {
        struct wire_msg ping = { 0 };
        if (om_link_send(self, WIRE_PING, &ping, (struct om_str){ 0 }) != OM_OK ||
            send_outgoing(self) != OM_OK)
            self->sent_ms = now_ms; // full pipe: try again a heartbeat later
    }
    om_link_flush(self);
    int64_t local_ms = INT64_MAX;
    if (self->local) {
        local_ms = zmtp_tick(self->local, now_ms);
        note_local(self);
    }
    int64_t due_ms = !self->connected ? now_ms + HELLO_AGAIN_MS
                     : self->open     ? self->sent_ms + self->heartbeat_ms
                                      : self->hello_ms + HELLO_AGAIN_MS;
    return due_ms < local_ms ? due_ms : local_ms;
}
