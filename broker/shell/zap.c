#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <zmq.h>

#include "zap.h"

#define ZAP_ENDPOINT "inproc://zeromq.zap.01"
#define ROLE_USER    "role:"

struct zap {
    pthread_t thread;
    void *socket;
    const struct keys *keys;
};

// A request: version, request id, domain, address, routing id, mechanism, credentials.
enum { FRAME_VERSION, FRAME_ID, FRAME_MECHANISM = 5, FRAME_KEY, FRAME_COUNT };

struct request {
    size_t count;
    struct frame {
        char data[256];
        size_t size;
    } frames[FRAME_COUNT];
};

// False when the context is shut down.
static bool
receive(void *socket, struct request *out)
{
    *out = (struct request){ 0 };
    int more = 1;
    while (more) {
        struct frame *frame = &out->frames[out->count < FRAME_COUNT ? out->count : 0];
        int size;
        do
            size = zmq_recv(socket, frame->data, sizeof(frame->data), 0);
        while (size < 0 && errno == EINTR);
        if (size < 0)
            return false;
        frame->size =
            (size_t)size < sizeof(frame->data) ? (size_t)size : sizeof(frame->data);
        out->count++;
        size_t more_size = sizeof(more);
        zmq_getsockopt(socket, ZMQ_RCVMORE, &more, &more_size);
    }
    return true;
}

static bool
frame_is(const struct frame *frame, const char *text)
{
    return om_str_eq((struct om_str){ frame->data, frame->size }, om_str(text));
}

static void
answer(struct zap *self, const struct request *request)
{
    char user[64] = "none";
    bool valid = request->count == FRAME_COUNT &&
                 frame_is(&request->frames[FRAME_MECHANISM], "CURVE") &&
                 request->frames[FRAME_KEY].size == KEY_BYTES;
    if (valid) {
        enum role role =
            keys_find(self->keys, (const uint8_t *)request->frames[FRAME_KEY].data);
        if (role != ROLE_NONE)
            snprintf(user, sizeof(user), ROLE_USER "%s", role_name(role));
    }
    const struct frame *id = &request->frames[FRAME_ID];
    const char *status = valid ? "200" : "400", *text = valid ? "OK" : "Bad request";
    zmq_send(self->socket, "1.0", 3, ZMQ_SNDMORE);
    zmq_send(self->socket, id->data, id->size, ZMQ_SNDMORE);
    zmq_send(self->socket, status, 3, ZMQ_SNDMORE);
    zmq_send(self->socket, text, strlen(text), ZMQ_SNDMORE);
    zmq_send(self->socket, user, valid ? strlen(user) : 0, ZMQ_SNDMORE);
    zmq_send(self->socket, "", 0, 0);
}

static void *
run(void *context)
{
    struct zap *self = context;
    struct request request;
    while (receive(self->socket, &request))
        answer(self, &request);
    zmq_close(self->socket);
    return NULL;
}

struct zap *
zap_start(void *context, const struct keys *keys)
{
    struct zap *self = calloc(1, sizeof(*self));
    if (!self)
        return NULL;
    self->keys = keys;
    int linger = 0;
    self->socket = zmq_socket(context, ZMQ_REP);
    if (self->socket &&
        zmq_setsockopt(self->socket, ZMQ_LINGER, &linger, sizeof(linger)) == 0 &&
        zmq_bind(self->socket, ZAP_ENDPOINT) == 0 &&
        pthread_create(&self->thread, NULL, run, self) == 0)
        return self;
    if (self->socket)
        zmq_close(self->socket);
    free(self);
    return NULL;
}

void
zap_join(struct zap **self_p)
{
    struct zap *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    pthread_join(self->thread, NULL);
    free(self);
}

enum role
zap_role(const char *user_id)
{
    size_t prefix = strlen(ROLE_USER);
    if (!user_id || strncmp(user_id, ROLE_USER, prefix) != 0)
        return ROLE_NONE;
    return role_find(om_str(user_id + prefix));
}
