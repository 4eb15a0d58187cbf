#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "http_loop.h"

enum {
    EVENTS_MAX = 256,
    ACCEPTS_MAX = 64,      // connections taken in a turn
    PASSES_MAX = 4,        // over the connections that have something to do, in a turn
    ACCEPT_PAUSE_MS = 100, // when the process has no descriptor left
};

// ---- time and small helpers

static void
read_clock(struct om_http_loop *loop)
{
    struct timespec real;
    clock_gettime(CLOCK_REALTIME_COARSE, &real);
    om_http_env_clock(&loop->env, om_clock_mono_ms(), real.tv_sec);
}

bool
om_http_loop_add(struct om_http_loop *loop, int fd, uint32_t events, void *source)
{
    struct epoll_event event = { .events = events, .data.ptr = source };
    return epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

// ---- accepting

static void
pause_accepting(struct om_http_loop *loop)
{
    if (loop->accepting)
        epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, loop->listen_fd, NULL);
    loop->accepting = false;
}

void
om_http_loop_accept(struct om_http_loop *loop)
{
    if (!loop->accepting && !loop->stopping &&
        loop->client_count < loop->env.conf.connections_max)
        loop->accepting =
            om_http_loop_add(loop, loop->listen_fd, EPOLLIN, &loop->listener);
}

static void
on_accept_again(void *context)
{
    om_http_loop_accept(context);
}

static void
accept_clients(struct om_http_loop *loop)
{
    for (int i = 0; i < ACCEPTS_MAX; i++) {
        if (loop->client_count >= loop->env.conf.connections_max) {
            pause_accepting(loop);
            return;
        }
        struct sockaddr_storage address;
        socklen_t size = sizeof(address);
        int fd = accept4(loop->listen_fd, (struct sockaddr *)&address, &size,
                         SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            om_http_client_create(loop, fd, &address);
            continue;
        }
        if (errno == ECONNABORTED || errno == EINTR)
            continue;
        if (errno != EAGAIN && om_timers_set(&loop->timers, &loop->accept_timer,
                                             loop->env.now_ms + ACCEPT_PAUSE_MS))
            pause_accepting(loop); // no descriptors: the listener would wake us for ever
        return;
    }
}

// ---- life of a loop

struct om_http_loop *
om_http_loop_create(const struct om_http_conf *conf)
{
    struct om_http_loop *loop = calloc(1, sizeof(*loop));
    if (!loop) {
        close(conf->listen_fd);
        return NULL;
    }
    om_http_env_init(&loop->env, conf);
    loop->listen_fd = conf->listen_fd;
    loop->queue_end = &loop->queue;
    loop->stop = SOURCE_STOP;
    loop->foreign = SOURCE_FOREIGN;
    loop->accept_timer.fire = on_accept_again;
    loop->accept_timer.context = loop;
    read_clock(loop);
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    loop->stop_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    om_http_loop_accept(loop);
    if (loop->epoll_fd < 0 || loop->stop_fd < 0 || !loop->accepting ||
        !om_http_loop_add(loop, loop->stop_fd, EPOLLIN, &loop->stop))
        om_http_loop_destroy(&loop);
    return loop;
}

void
om_http_loop_destroy(struct om_http_loop **loop_p)
{
    struct om_http_loop *loop = *loop_p;
    if (!loop)
        return;
    *loop_p = NULL;
    loop->stopping = true;
    om_http_clients_close(loop);
    int fds[] = { loop->listen_fd, loop->stop_fd, loop->epoll_fd };
    for (size_t i = 0; i < OM_COUNT(fds); i++)
        if (fds[i] >= 0)
            close(fds[i]);
    om_timers_finish(&loop->timers);
    om_http_env_finish(&loop->env);
    free(loop->slots);
    free(loop);
}

static void
on_drained(void *context)
{
    ((struct om_http_loop *)context)->drained = true;
}

static void
begin_drain(struct om_http_loop *loop)
{
    uint64_t count;
    if (read(loop->stop_fd, &count, sizeof(count)) < 0 || loop->stopping)
        return;
    pause_accepting(loop);
    loop->stopping = loop->env.draining = true;
    close(loop->listen_fd);
    loop->listen_fd = -1;
    for (size_t i = 0; i < loop->slot_count; i++)
        if (loop->slots[i].client)
            om_http_client_enqueue(loop->slots[i].client);
    loop->drain_timer.fire = on_drained;
    loop->drain_timer.context = loop;
    loop->drained = !om_timers_set(&loop->timers, &loop->drain_timer,
                                   loop->env.now_ms + loop->env.conf.drain_ms);
}

static void
on_event(struct om_http_loop *loop, const struct epoll_event *event)
{
    enum source_kind kind = *(enum source_kind *)event->data.ptr;
    if (kind == SOURCE_LISTENER)
        accept_clients(loop);
    else if (kind == SOURCE_STOP)
        begin_drain(loop);
    if (kind != SOURCE_CLIENT)
        return;
    struct client *client = event->data.ptr;
    if (event->events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        client->readable = true;
    if (event->events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        client->peer_shut = true;
    if (event->events & EPOLLOUT)
        client->writable = true;
    om_http_client_enqueue(client);
}

static int
wait_ms(const struct om_http_loop *loop)
{
    int64_t next_ms = om_timers_next_ms(&loop->timers);
    if (loop->queue)
        return 0;
    if (next_ms == INT64_MAX)
        return -1;
    int64_t left_ms = next_ms - loop->env.now_ms;
    return left_ms < 0 ? 0 : left_ms > 60000 ? 60000 : (int)left_ms;
}

void
om_http_loop_run(struct om_http_loop *loop)
{
    struct epoll_event events[EVENTS_MAX];
    while (!loop->stopping || (loop->client_count > 0 && !loop->drained)) {
        int count = epoll_wait(loop->epoll_fd, events, EVENTS_MAX, wait_ms(loop));
        read_clock(loop);
        for (int i = 0; i < count; i++)
            on_event(loop, &events[i]);
        om_timers_run(&loop->timers, loop->env.now_ms);
        // What the hook does wakes requests, and what requests do concerns the hook.
        for (int pass = 0; pass < PASSES_MAX; pass++) {
            om_http_clients_serve(loop);
            if (loop->wake)
                loop->wake(loop->wake_context);
            if (!loop->queue)
                break;
        }
    }
    om_http_clients_close(loop);
}

void
om_http_loop_stop(struct om_http_loop *loop)
{
    uint64_t one = 1;
    ssize_t written = write(loop->stop_fd, &one, sizeof(one));
    (void)written; // fails only if it was written before
}
