#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "clock.h"
#include "fake_broker.h"

enum { DEADLINE_MS = 10000 };

void
broker_open(struct fake_broker *self)
{
    self->heartbeat_ms = 2000;
    self->caps = CAPABILITY_BUNDLE;
    self->bundle = (struct bundle_iter){ 0 };
    strcpy(self->dir, "/tmp/omni-test-XXXXXX");
    cr_assert(mkdtemp(self->dir));
    snprintf(self->endpoint, sizeof(self->endpoint), "ipc://%s/work", self->dir);
    self->context = zmq_ctx_new();
    self->router = zmq_socket(self->context, ZMQ_ROUTER);
    int linger = 0;
    zmq_setsockopt(self->router, ZMQ_LINGER, &linger, sizeof(linger));
    cr_assert_eq(zmq_bind(self->router, self->endpoint), 0);
}

void
broker_close(struct fake_broker *self)
{
    zmq_close(self->router);
    zmq_ctx_term(self->context);
    char path[64];
    snprintf(path, sizeof(path), "%s/work", self->dir);
    unlink(path);
    rmdir(self->dir);
}

void
broker_send(struct fake_broker *self, enum wire_type type, struct wire_msg *msg,
            const char *payload)
{
    struct om_buf buf = { 0 };
    wire_encode(type, msg, &buf);
    zmq_send(self->router, self->peer, self->peer_size, ZMQ_SNDMORE);
    zmq_send(self->router, buf.data, buf.size, payload ? ZMQ_SNDMORE : 0);
    if (payload)
        zmq_send(self->router, payload, strlen(payload), 0);
    om_buf_finish(&buf);
}

void
broker_welcome(struct fake_broker *self)
{
    struct wire_msg welcome = { 0 };
    WIRE_SET(&welcome, node, om_str("fake"));
    WIRE_SET(&welcome, epoch, 1);
    WIRE_SET(&welcome, heartbeat_ms, self->heartbeat_ms);
    if (self->caps)
        WIRE_SET(&welcome, caps, self->caps);
    broker_send(self, WIRE_WELCOME, &welcome, NULL);
}

bool
broker_recv_whole(struct fake_broker *self, int64_t wait_ms)
{
    zmq_pollitem_t item = { self->router, 0, ZMQ_POLLIN, 0 };
    if (zmq_poll(&item, 1, (long)wait_ms) <= 0)
        return false;
    int peer = zmq_recv(self->router, self->peer, sizeof(self->peer), 0);
    int header = zmq_recv(self->router, self->header, sizeof(self->header), 0);
    cr_assert(peer > 0 && header > 0);
    self->peer_size = (size_t)peer;
    int more = 0;
    size_t more_size = sizeof(more);
    zmq_getsockopt(self->router, ZMQ_RCVMORE, &more, &more_size);
    int size = more ? zmq_recv(self->router, self->payload, sizeof(self->payload), 0) : 0;
    cr_assert_leq((size_t)size, sizeof(self->payload));
    self->body = (struct om_str){ self->payload, (size_t)size };
    cr_assert_eq(wire_decode((struct om_str){ self->header, (size_t)header }, &self->msg),
                 OM_OK);
    return true;
}

bool
broker_recv(struct fake_broker *self, int64_t wait_ms)
{
    struct om_str header;
    for (;;) {
        if (bundle_next(&self->bundle, &header, &self->body)) {
            cr_assert_eq(wire_decode(header, &self->msg), OM_OK);
            return true;
        }
        cr_assert_eq(self->bundle.rest.size, 0, "it is no bundle");
        if (!broker_recv_whole(self, wait_ms))
            return false;
        if (self->msg.type != WIRE_BUNDLE)
            return true;
        self->bundle = bundle_iter(self->body);
    }
}

void
broker_expect(struct fake_broker *self, enum wire_type type)
{
    int64_t end = om_clock_mono_ms() + DEADLINE_MS;
    for (;;) {
        int64_t left = end - om_clock_mono_ms();
        cr_assert(left > 0 && broker_recv(self, left), "no %s came",
                  wire_find(type)->name);
        if (self->msg.type == WIRE_HELLO)
            broker_welcome(self);
        if (self->msg.type == type)
            return;
    }
}
