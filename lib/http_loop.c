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
#include "http_conn.h"
#include "timers.h"

enum {
    EVENTS_MAX = 256,
    ACCEPTS_MAX = 64,      // connections taken in a turn
    ROUNDS_MAX = 8,        // reads of one connection in a turn
    PASSES_MAX = 4,        // over the connections that have something to do, in a turn
    ACCEPT_PAUSE_MS = 100, // when the process has no descriptor left
};

enum source_kind { SOURCE_LISTENER, SOURCE_STOP, SOURCE_FOREIGN, SOURCE_CLIENT };

// A connection and its socket. Its first member says so to epoll.
struct client {
    enum source_kind kind;
    struct om_http_loop *loop;
    struct om_http_conn conn;
    int fd;
    size_t slot;
    bool readable, writable; // as far as we know: events are edge-triggered
    bool peer_shut;          // so a short read is not the end of the input
    bool shut;
    bool queued;         // in the loop's queue
    bool serving;        // serve() runs, so queueing it is needless
    struct client *next; // in the queue
    struct om_timer timer;
    char remote[OM_HTTP_REMOTE_MAX];
};

struct slot {
    struct client *client; // NULL: free
    uint64_t handle;       // of the next client here
    size_t next_free;
};

struct om_http_loop {
    struct om_http_env env;
    int epoll_fd, stop_fd, listen_fd;
    enum source_kind listener, stop, foreign;
    bool accepting;
    bool stopping;
    struct slot *slots;
    size_t slot_count, slot_capacity, free_slot; // free_slot: from 1, 0 = none
    size_t client_count;
    struct client *queue, **queue_end;
    struct om_timers timers;
    struct om_timer accept_timer, drain_timer;
    bool drained;
    void (*wake)(void *context);
    void *wake_context;
};

// ---- time and small helpers

static void
read_clock(struct om_http_loop *loop)
{
    struct timespec real;
    clock_gettime(CLOCK_REALTIME_COARSE, &real);
    om_http_env_clock(&loop->env, om_clock_mono_ms(), real.tv_sec);
}

static bool
add_source(struct om_http_loop *loop, int fd, uint32_t events, void *source)
{
    struct epoll_event event = { .events = events, .data.ptr = source };
    return epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

static void
enqueue(struct client *client)
{
    struct om_http_loop *loop = client->loop;
    if (client->queued || client->serving)
        return;
    client->queued = true;
    client->next = NULL;
    *loop->queue_end = client;
    loop->queue_end = &client->next;
}

// ---- slots and handles

static bool
take_slot(struct om_http_loop *loop, struct client *client)
{
    if (loop->free_slot == 0) {
        if (loop->slot_count == loop->slot_capacity) {
            size_t capacity = loop->slot_capacity ? 2 * loop->slot_capacity : 64;
            if (capacity >> OM_HTTP_SLOT_BITS)
                return false;
            struct slot *slots = reallocarray(loop->slots, capacity, sizeof(*slots));
            if (!slots)
                return false;
            loop->slots = slots;
            loop->slot_capacity = capacity;
        }
        size_t fresh = loop->slot_count++;
        loop->slots[fresh] = (struct slot){
            .handle = UINT64_C(1) << OM_HTTP_SLOT_BITS | fresh,
        };
        loop->free_slot = fresh + 1;
    }
    client->slot = loop->free_slot - 1;
    struct slot *slot = &loop->slots[client->slot];
    loop->free_slot = slot->next_free;
    slot->client = client;
    return true;
}

static void
give_slot(struct om_http_loop *loop, struct client *client)
{
    struct slot *slot = &loop->slots[client->slot];
    slot->client = NULL;
    slot->handle = client->conn.request.handle + (UINT64_C(1) << OM_HTTP_SLOT_BITS);
    slot->next_free = loop->free_slot;
    loop->free_slot = client->slot + 1;
}

static struct client *
find_client(struct om_http_loop *loop, uint64_t handle)
{
    size_t slot = handle & ((UINT64_C(1) << OM_HTTP_SLOT_BITS) - 1);
    struct client *client = slot < loop->slot_count ? loop->slots[slot].client : NULL;
    return client && client->conn.request.handle == handle && client->conn.seen ? client
                                                                                : NULL;
}

// ---- accepting

static void
pause_accepting(struct om_http_loop *loop)
{
    if (loop->accepting)
        epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, loop->listen_fd, NULL);
    loop->accepting = false;
}

static void
resume_accepting(void *context)
{
    struct om_http_loop *loop = context;
    if (!loop->accepting && !loop->stopping &&
        loop->client_count < loop->env.conf.connections_max)
        loop->accepting = add_source(loop, loop->listen_fd, EPOLLIN, &loop->listener);
}

static void
close_client(struct client *client)
{
    struct om_http_loop *loop = client->loop;
    om_http_conn_finish(&client->conn);
    om_timers_clear(&loop->timers, &client->timer);
    give_slot(loop, client);
    close(client->fd); // which takes it out of epoll, too
    client->fd = -1;
    loop->client_count--;
    if (!client->queued)
        free(client);
    if (loop->accept_timer.place == 0)
        resume_accepting(loop);
}

static void
on_deadline(void *context)
{
    struct client *client = context;
    int64_t deadline_ms = om_http_conn_deadline(&client->conn);
    if (deadline_ms > client->loop->env.now_ms) {
        // It moved on since the timer was set. A set that fails here cannot: the place
        // just freed is still there.
        if (deadline_ms != INT64_MAX &&
            !om_timers_set(&client->loop->timers, &client->timer, deadline_ms))
            close_client(client);
    } else if (om_http_conn_expire(&client->conn)) {
        enqueue(client);
    } else {
        close_client(client);
    }
}

static void
write_remote(const struct sockaddr_storage *address, char out[OM_HTTP_REMOTE_MAX])
{
    out[0] = '\0';
    if (address->ss_family == AF_INET)
        inet_ntop(AF_INET, &((const struct sockaddr_in *)address)->sin_addr, out,
                  OM_HTTP_REMOTE_MAX);
    else if (address->ss_family == AF_INET6)
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)address)->sin6_addr, out,
                  OM_HTTP_REMOTE_MAX);
}

static void
add_client(struct om_http_loop *loop, int fd, const struct sockaddr_storage *address)
{
    struct client *client = calloc(1, sizeof(*client));
    if (!client || !take_slot(loop, client)) {
        free(client);
        close(fd);
        return;
    }
    client->kind = SOURCE_CLIENT;
    client->loop = loop;
    client->fd = fd;
    client->writable = true;
    client->timer.fire = on_deadline;
    client->timer.context = client;
    write_remote(address, client->remote);
    om_http_conn_init(&client->conn, &loop->env, client->remote,
                      loop->slots[client->slot].handle);
    loop->client_count++;
    if (!om_timers_set(&loop->timers, &client->timer,
                       om_http_conn_deadline(&client->conn)) ||
        !add_source(loop, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, client))
        close_client(client);
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
            add_client(loop, fd, &address);
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

// ---- moving bytes

enum moved { MOVED_NOTHING, MOVED_SOME, MOVED_BROKEN };

static enum moved
receive(struct client *client)
{
    char *at;
    size_t size;
    if (!client->readable)
        return MOVED_NOTHING;
    if (!om_http_conn_window(&client->conn, &at, &size))
        return MOVED_BROKEN;
    if (size == 0)
        return MOVED_NOTHING;
    ssize_t got = recv(client->fd, at, size, 0);
    if (got > 0) {
        om_http_conn_received(&client->conn, (size_t)got);
        // A short read of a stream means it is empty (epoll(7)), and saves one more call.
        client->readable = (size_t)got == size || client->peer_shut;
        return MOVED_SOME;
    }
    if (got < 0 && errno == EINTR)
        return MOVED_SOME;
    client->readable = false;
    if (got < 0)
        return errno == EAGAIN ? MOVED_NOTHING : MOVED_BROKEN;
    client->conn.eof = true;
    return MOVED_SOME;
}

static enum moved
transmit(struct client *client)
{
    enum moved moved = MOVED_NOTHING;
    struct om_str pending;
    while (client->writable && (pending = om_http_conn_pending(&client->conn)).size > 0) {
        ssize_t sent = send(client->fd, pending.data, pending.size, MSG_NOSIGNAL);
        if (sent > 0) {
            om_http_conn_sent(&client->conn, (size_t)sent);
            moved = MOVED_SOME;
        } else if (errno == EAGAIN) {
            client->writable = false;
        } else if (errno != EINTR) {
            return MOVED_BROKEN;
        }
    }
    return moved;
}

// Do all that can be done for a connection now. Closes it at its end.
static void
serve(struct client *client)
{
    client->serving = true;
    // A body that was held back fills the window, and no event tells of the rest of it:
    // what was resumed makes room before the socket is read.
    om_http_conn_run(&client->conn);
    enum moved received = MOVED_SOME, sent = MOVED_SOME;
    for (int round = 0; received == MOVED_SOME || sent == MOVED_SOME; round++) {
        if (round == ROUNDS_MAX)
            break;
        received = receive(client);
        if (received != MOVED_BROKEN)
            om_http_conn_run(&client->conn);
        sent = transmit(client);
        if (received == MOVED_BROKEN || sent == MOVED_BROKEN ||
            om_http_conn_done(&client->conn)) {
            close_client(client);
            return;
        }
    }
    client->serving = false;
    if (received == MOVED_SOME || sent == MOVED_SOME)
        enqueue(client); // others have their turn first
    if (!client->shut && om_http_conn_all_sent(&client->conn)) {
        shutdown(client->fd, SHUT_WR);
        client->shut = true;
    }
    int64_t deadline_ms = om_http_conn_deadline(&client->conn);
    if (deadline_ms != INT64_MAX &&
        (client->timer.place == 0 || deadline_ms < client->timer.at_ms) &&
        !om_timers_set(&client->loop->timers, &client->timer, deadline_ms))
        close_client(client);
}

static void
serve_queue(struct om_http_loop *loop)
{
    struct client *client = loop->queue;
    loop->queue = NULL;
    loop->queue_end = &loop->queue;
    while (client) {
        struct client *next = client->next;
        client->queued = false;
        if (client->fd < 0)
            free(client); // closed while it waited here
        else
            serve(client);
        client = next;
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
    loop->accept_timer.fire = resume_accepting;
    loop->accept_timer.context = loop;
    read_clock(loop);
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    loop->stop_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    resume_accepting(loop);
    if (loop->epoll_fd < 0 || loop->stop_fd < 0 || !loop->accepting ||
        !add_source(loop, loop->stop_fd, EPOLLIN, &loop->stop))
        om_http_loop_destroy(&loop);
    return loop;
}

static void
close_clients(struct om_http_loop *loop)
{
    for (size_t i = 0; i < loop->slot_count; i++)
        if (loop->slots[i].client)
            close_client(loop->slots[i].client);
    serve_queue(loop); // frees those that were waiting in it
}

void
om_http_loop_destroy(struct om_http_loop **loop_p)
{
    struct om_http_loop *loop = *loop_p;
    if (!loop)
        return;
    *loop_p = NULL;
    loop->stopping = true;
    close_clients(loop);
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
            enqueue(loop->slots[i].client);
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
    enqueue(client);
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
            serve_queue(loop);
            if (loop->wake)
                loop->wake(loop->wake_context);
            if (!loop->queue)
                break;
        }
    }
    close_clients(loop);
}

void
om_http_loop_stop(struct om_http_loop *loop)
{
    uint64_t one = 1;
    ssize_t written = write(loop->stop_fd, &one, sizeof(one));
    (void)written; // fails only if it was written before
}

// ---- what hooks call

bool
om_http_respond(struct om_http_loop *loop, uint64_t handle,
                const struct om_http_response *response)
{
    struct client *client = find_client(loop, handle);
    if (!client) {
        if (response->source.close)
            response->source.close(response->source.context);
        return false;
    }
    om_http_conn_respond(&client->conn, response);
    enqueue(client);
    return true;
}

void
om_http_abandon(struct om_http_loop *loop, uint64_t handle)
{
    struct client *client = find_client(loop, handle);
    if (!client)
        return;
    om_http_conn_abandon(&client->conn);
    enqueue(client);
}

void
om_http_pause(struct om_http_loop *loop, uint64_t handle)
{
    struct client *client = find_client(loop, handle);
    if (client)
        client->conn.paused = true;
}

void
om_http_resume(struct om_http_loop *loop, uint64_t handle)
{
    struct client *client = find_client(loop, handle);
    if (!client || !client->conn.paused)
        return;
    client->conn.paused = false;
    client->conn.since_ms = loop->env.now_ms;
    enqueue(client);
}

struct om_http_request *
om_http_find(struct om_http_loop *loop, uint64_t handle)
{
    struct client *client = find_client(loop, handle);
    return client ? &client->conn.request : NULL;
}

int64_t
om_http_now_ms(const struct om_http_loop *loop)
{
    return loop->env.now_ms;
}

size_t
om_http_connections(const struct om_http_loop *loop)
{
    return loop->client_count;
}

struct om_timers *
om_http_timers(struct om_http_loop *loop)
{
    return &loop->timers;
}

bool
om_http_watch(struct om_http_loop *loop, int fd)
{
    return add_source(loop, fd, EPOLLIN, &loop->foreign) || errno == EEXIST;
}

void
om_http_unwatch(struct om_http_loop *loop, int fd)
{
    epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}

void
om_http_on_wake(struct om_http_loop *loop, void (*hook)(void *context), void *context)
{
    loop->wake = hook;
    loop->wake_context = context;
}
