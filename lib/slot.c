#include <signal.h>
#include <stdio.h>
#include <unistd.h>
#include <zmq.h>

#include "work.h"

#define DONE_ENDPOINT "inproc://done"

static void
set_linger(void *socket)
{
    int none = 0;
    zmq_setsockopt(socket, ZMQ_LINGER, &none, sizeof(none));
}

static void
slot_endpoint(int number, char out[32])
{
    snprintf(out, 32, "inproc://slot-%d", number);
}

static void *
slot_main(void *argument)
{
    const struct slot *self = argument;
    const struct om_worker_conf *conf = self->conf;
    char endpoint[32];
    slot_endpoint(self->number, endpoint);
    void *pull = zmq_socket(self->zmq_context, ZMQ_PULL);
    void *done = zmq_socket(self->zmq_context, ZMQ_PUSH);
    set_linger(pull);
    set_linger(done);
    zmq_connect(pull, endpoint);
    zmq_connect(done, DONE_ENDPOINT);
    void *own = conf->slot_open ? conf->slot_open(conf->context) : NULL;

    struct work *work;
    while (zmq_recv(pull, &work, sizeof(work), 0) == sizeof(work) && work) {
        work->job.slot = own;
        work_handle(work, conf);
        zmq_send(done, &work, sizeof(work), 0);
    }

    if (conf->slot_close)
        conf->slot_close(conf->context, own);
    zmq_close(pull);
    zmq_close(done);
    return NULL;
}

bool
slot_start(struct slot *self, int number, void *zmq_context,
           const struct om_worker_conf *conf)
{
    *self = (struct slot){ .number = number, .zmq_context = zmq_context, .conf = conf };
    char endpoint[32];
    slot_endpoint(number, endpoint);
    self->push = zmq_socket(zmq_context, ZMQ_PUSH);
    if (!self->push)
        return false;
    set_linger(self->push);
    zmq_bind(self->push, endpoint);

    // Signals are the control thread's.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool made = pthread_create(&self->thread, NULL, slot_main, self) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!made) {
        zmq_close(self->push);
        self->push = NULL;
    }
    return made;
}

void
slot_give(struct slot *self, struct work *work)
{
    self->work = work;
    // A signal must not lose it: the slot would be busy for ever.
    (void)TEMP_FAILURE_RETRY(zmq_send(self->push, &work, sizeof(work), 0));
}

void
slot_stop(struct slot *self)
{
    if (!self->push)
        return;
    slot_give(self, NULL);
    pthread_join(self->thread, NULL);
    zmq_close(self->push);
    self->push = NULL;
}

void *
slot_done_socket(void *zmq_context, int *fd)
{
    void *socket = zmq_socket(zmq_context, ZMQ_PULL);
    if (socket && zmq_bind(socket, DONE_ENDPOINT) != 0) {
        zmq_close(socket);
        socket = NULL;
    }
    size_t size = sizeof(*fd);
    if (socket)
        zmq_getsockopt(socket, ZMQ_FD, fd, &size);
    return socket;
}

struct work *
slot_next_done(void *done_socket)
{
    struct work *work = NULL;
    if (TEMP_FAILURE_RETRY(zmq_recv(done_socket, &work, sizeof(work), ZMQ_DONTWAIT)) !=
        sizeof(work))
        return NULL;
    return work;
}
