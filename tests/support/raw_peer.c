#include <stdio.h>

#include "clock.h"
#include "raw_peer.h"

enum { EXPECT_MS = 10 * 1000, HELLO_MS = 200 };

static void
read_key(const char *keys, const char *name, const char *suffix, char out[41])
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s.%s", keys, name, suffix);
    FILE *file = fopen(path, "r");
    cr_assert(file, "%s", path);
    out[fread(out, 1, 40, file)] = '\0';
    fclose(file);
}

static void
set_curve(struct raw_peer *self, const char *keys, const char *key)
{
    char server[41], public[41], secret[41];
    read_key(keys, "broker", "pub", server);
    if (*key) {
        read_key(keys, key, "pub", public);
        read_key(keys, key, "key", secret);
    } else {
        zmq_curve_keypair(public, secret);
    }
    zmq_setsockopt(self->socket, ZMQ_CURVE_SERVERKEY, server, 41);
    zmq_setsockopt(self->socket, ZMQ_CURVE_PUBLICKEY, public, 41);
    zmq_setsockopt(self->socket, ZMQ_CURVE_SECRETKEY, secret, 41);
}

void
raw_open(struct raw_peer *self, const char *endpoint, const char *keys, const char *key)
{
    *self = (struct raw_peer){ .context = zmq_ctx_new() };
    self->socket = zmq_socket(self->context, ZMQ_DEALER);
    int linger = 0, high_water = 0, again = 10;
    zmq_setsockopt(self->socket, ZMQ_LINGER, &linger, sizeof(linger));
    zmq_setsockopt(self->socket, ZMQ_SNDHWM, &high_water, sizeof(high_water));
    zmq_setsockopt(self->socket, ZMQ_RECONNECT_IVL, &again, sizeof(again));
    zmq_msg_init(&self->header);
    zmq_msg_init(&self->payload);
    if (keys)
        set_curve(self, keys, key);
    cr_assert_eq(zmq_connect(self->socket, endpoint), 0);
}

void
raw_close(struct raw_peer *self)
{
    if (!self->context)
        return;
    zmq_msg_close(&self->header);
    zmq_msg_close(&self->payload);
    zmq_close(self->socket);
    zmq_ctx_term(self->context);
    self->context = NULL;
}

void
raw_send(struct raw_peer *self, enum wire_type type, struct wire_msg *msg,
         struct om_str payload)
{
    snprintf(self->id, sizeof(self->id), "m%d", ++self->ids);
    if (!WIRE_HAS(msg, id))
        WIRE_SET(msg, id, om_str(self->id));
    OM_AUTO(om_buf_finish) struct om_buf header = { 0 };
    wire_encode(type, msg, &header);
    struct om_str frames[] = { om_buf_str(&header), payload };
    raw_send_frames(self, frames, payload.data ? 2 : 1);
}

void
raw_send_frames(struct raw_peer *self, const struct om_str *frames, size_t count)
{
    for (size_t i = 0; i < count; i++)
        zmq_send(self->socket, frames[i].data, frames[i].size,
                 i + 1 < count ? ZMQ_SNDMORE : 0);
}

bool
raw_recv(struct raw_peer *self, int64_t wait_ms)
{
    zmq_pollitem_t item = { self->socket, 0, ZMQ_POLLIN, 0 };
    if (zmq_poll(&item, 1, (long)wait_ms) <= 0)
        return false;
    zmq_msg_recv(&self->header, self->socket, 0);
    self->body = (struct om_str){ 0 };
    if (zmq_msg_more(&self->header)) {
        zmq_msg_recv(&self->payload, self->socket, 0);
        cr_assert_not(zmq_msg_more(&self->payload), "a third frame");
        self->body =
            (struct om_str){ zmq_msg_data(&self->payload), zmq_msg_size(&self->payload) };
    }
    struct om_str header = { zmq_msg_data(&self->header), zmq_msg_size(&self->header) };
    enum om_rc rc = wire_decode(header, &self->msg);
    cr_assert_eq(rc, OM_OK, "the broker sent what cannot be decoded");
    return true;
}

void
raw_expect(struct raw_peer *self, enum wire_type type)
{
    int64_t deadline_ms = om_clock_mono_ms() + EXPECT_MS;
    do {
        int64_t left = deadline_ms - om_clock_mono_ms();
        cr_assert(left > 0 && raw_recv(self, left), "no %s", wire_find(type)->name);
        if (self->msg.type == WIRE_ERROR && type != WIRE_ERROR)
            cr_assert_fail("instead of %s: ERROR %.*s %.*s", wire_find(type)->name,
                           (int)self->msg.code.size, self->msg.code.data,
                           (int)self->msg.text.size,
                           self->msg.text.data ? self->msg.text.data : "");
    } while (self->msg.type != type);
}

void
raw_hello(struct raw_peer *self, const char *role)
{
    int64_t deadline_ms = om_clock_mono_ms() + EXPECT_MS;
    while (om_clock_mono_ms() < deadline_ms) {
        struct wire_msg msg = { 0 };
        WIRE_SET(&msg, role, om_str(role));
        WIRE_SET(&msg, node, OM_LIT("test"));
        WIRE_SET(&msg, incarnation, 1);
        raw_send(self, WIRE_HELLO, &msg, (struct om_str){ 0 });
        while (raw_recv(self, HELLO_MS))
            if (self->msg.type == WIRE_WELCOME)
                return;
    }
    cr_assert_fail("no WELCOME");
}
