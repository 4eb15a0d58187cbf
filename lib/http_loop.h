// http_loop.h - what the files of the event loop share: the loop, its clients and the
// slots that make their handles.
#pragma once
#include "http_conn.h"
#include "timers.h"
#include "tls.h"

struct sockaddr_storage;

enum source_kind { SOURCE_LISTENER, SOURCE_STOP, SOURCE_FOREIGN, SOURCE_CLIENT };

// A connection and its socket. Its first member says so to epoll.
struct client {
    enum source_kind kind;
    struct om_http_loop *loop;
    struct om_http_conn conn;
    struct om_transport transport;
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

// The loop wakes for `events` of `fd`, and tells them apart by `source`.
bool om_http_loop_add(struct om_http_loop *loop, int fd, uint32_t events, void *source);

// Take connections again, if there is room.
void om_http_loop_accept(struct om_http_loop *loop);

// ---- clients

// Serve a connection. Takes the socket.
void om_http_client_create(struct om_http_loop *loop, int fd,
                           const struct sockaddr_storage *address);

// Close it now. A client that waits in the queue is freed there.
void om_http_client_close(struct client *client);

// The client of a handle whose request is not over; else NULL.
struct client *om_http_client_find(struct om_http_loop *loop, uint64_t handle);

// It may have something to do: look at it in this turn.
void om_http_client_enqueue(struct client *client);

// Serve all that are in the queue now.
void om_http_clients_serve(struct om_http_loop *loop);

void om_http_clients_close(struct om_http_loop *loop);
