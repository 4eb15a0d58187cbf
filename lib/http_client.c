#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http_loop.h"

// What one connection may do in a turn before others have theirs: a client that takes a
// large file as fast as it comes would keep the loop for itself.
enum {
    ROUNDS_MAX = 8,        // reads, and
    BURST_MAX = 64 * 1024, // bytes sent after each
};

void
om_http_client_enqueue(struct client *client)
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

struct client *
om_http_client_find(struct om_http_loop *loop, uint64_t handle)
{
    size_t slot = handle & ((UINT64_C(1) << OM_HTTP_SLOT_BITS) - 1);
    struct client *client = slot < loop->slot_count ? loop->slots[slot].client : NULL;
    return client && client->conn.request.handle == handle && client->conn.seen ? client
                                                                                : NULL;
}

// ---- life

void
om_http_client_close(struct client *client)
{
    struct om_http_loop *loop = client->loop;
    bool complete = om_http_conn_done(&client->conn);
    om_http_conn_finish(&client->conn);
    om_timers_clear(&loop->timers, &client->timer);
    give_slot(loop, client);
    om_transport_close(&client->transport, complete); // which takes it out of epoll, too
    loop->client_count--;
    if (!client->queued)
        free(client);
    if (loop->accept_timer.place == 0)
        om_http_loop_accept(loop);
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
            om_http_client_close(client);
    } else if (om_http_conn_expire(&client->conn)) {
        om_http_client_enqueue(client);
    } else {
        om_http_client_close(client);
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

void
om_http_client_create(struct om_http_loop *loop, int fd,
                      const struct sockaddr_storage *address)
{
    struct client *client = calloc(1, sizeof(*client));
    if (!client || !take_slot(loop, client)) {
        free(client);
        close(fd);
        return;
    }
    client->kind = SOURCE_CLIENT;
    client->loop = loop;
    client->transport.fd = fd;
    client->writable = true;
    client->timer.fire = on_deadline;
    client->timer.context = client;
    write_remote(address, client->remote);
    om_http_conn_init(&client->conn, &loop->env, client->remote,
                      loop->slots[client->slot].handle);
    loop->client_count++;
    struct om_tls *tls = loop->env.conf.tls;
    if ((tls && !om_tls_accept(tls, &client->transport)) ||
        !om_timers_set(&loop->timers, &client->timer,
                       om_http_conn_deadline(&client->conn)) ||
        !om_http_loop_add(loop, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, client))
        om_http_client_close(client);
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
    size_t got;
    enum om_io io = om_transport_read(&client->transport, at, size, &got);
    if (got > 0)
        om_http_conn_received(&client->conn, got);
    client->conn.eof = io == OM_IO_END;
    if (io == OM_IO_BROKEN)
        return MOVED_BROKEN;
    if (io == OM_IO_WANT_WRITE) { // of a handshake: no event is missed, both are watched
        client->writable = false;
        return MOVED_NOTHING;
    }
    if (io == OM_IO_WANT_READ || io == OM_IO_END ||
        (io == OM_IO_DRAINED && !client->peer_shut))
        client->readable = false;
    return io == OM_IO_WANT_READ ? MOVED_NOTHING : MOVED_SOME;
}

static enum moved
transmit(struct client *client)
{
    enum moved moved = MOVED_NOTHING;
    struct om_str pending;
    size_t sent, burst = 0;
    while (client->writable && burst < BURST_MAX &&
           (pending = om_http_conn_pending(&client->conn)).size > 0) {
        enum om_io io = om_transport_write(&client->transport, pending, &sent);
        if (io == OM_IO_BROKEN || io == OM_IO_END)
            return MOVED_BROKEN;
        if (io == OM_IO_WANT_READ)
            break; // serve() follows when it can be read
        if (io == OM_IO_WANT_WRITE)
            client->writable = false;
        if (sent > 0) {
            om_http_conn_sent(&client->conn, sent);
            moved = MOVED_SOME;
            burst += sent;
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
            om_http_client_close(client);
            return;
        }
    }
    client->serving = false;
    if (received == MOVED_SOME || sent == MOVED_SOME)
        om_http_client_enqueue(client); // others have their turn first
    if (!client->shut && om_http_conn_all_sent(&client->conn)) {
        om_transport_shut(&client->transport);
        client->shut = true;
    }
    int64_t deadline_ms = om_http_conn_deadline(&client->conn);
    if (deadline_ms != INT64_MAX &&
        (client->timer.place == 0 || deadline_ms < client->timer.at_ms) &&
        !om_timers_set(&client->loop->timers, &client->timer, deadline_ms))
        om_http_client_close(client);
}

void
om_http_clients_serve(struct om_http_loop *loop)
{
    struct client *client = loop->queue;
    loop->queue = NULL;
    loop->queue_end = &loop->queue;
    while (client) {
        struct client *next = client->next;
        client->queued = false;
        if (client->transport.fd < 0)
            free(client); // closed while it waited here
        else
            serve(client);
        client = next;
    }
}

void
om_http_clients_close(struct om_http_loop *loop)
{
    for (size_t i = 0; i < loop->slot_count; i++)
        if (loop->slots[i].client)
            om_http_client_close(loop->slots[i].client);
    om_http_clients_serve(loop); // frees those that were waiting in it
}
