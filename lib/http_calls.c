#include <errno.h>
#include <sys/epoll.h>

#include "http_loop.h"

bool
om_http_respond(struct om_http_loop *loop, uint64_t handle,
                const struct om_http_response *response)
{
    struct client *client = om_http_client_find(loop, handle);
    if (!client) {
        if (response->source.close)
            response->source.close(response->source.context);
        return false;
    }
    om_http_conn_respond(&client->conn, response);
    om_http_client_enqueue(client);
    return true;
}

bool
om_http_begin(struct om_http_loop *loop, uint64_t handle,
              const struct om_http_response *response)
{
    struct client *client = om_http_client_find(loop, handle);
    if (!client)
        return false;
    om_http_conn_begin(&client->conn, response);
    om_http_client_enqueue(client);
    return true;
}

bool
om_http_write(struct om_http_loop *loop, uint64_t handle, struct om_str bytes)
{
    struct client *client = om_http_client_find(loop, handle);
    if (!client)
        return false;
    om_http_client_enqueue(client);
    return om_http_conn_write(&client->conn, bytes);
}

void
om_http_end(struct om_http_loop *loop, uint64_t handle)
{
    struct client *client = om_http_client_find(loop, handle);
    if (!client)
        return;
    om_http_conn_end(&client->conn);
    om_http_client_enqueue(client);
}

size_t
om_http_unsent(struct om_http_loop *loop, uint64_t handle)
{
    const struct client *client = om_http_client_find(loop, handle);
    return client ? om_http_conn_pending(&client->conn).size : 0;
}

void
om_http_abandon(struct om_http_loop *loop, uint64_t handle)
{
    struct client *client = om_http_client_find(loop, handle);
    if (!client)
        return;
    om_http_conn_abandon(&client->conn);
    om_http_client_enqueue(client);
}

void
om_http_pause(struct om_http_loop *loop, uint64_t handle)
{
    struct client *client = om_http_client_find(loop, handle);
    if (client)
        client->conn.paused = true;
}

void
om_http_resume(struct om_http_loop *loop, uint64_t handle)
{
    struct client *client = om_http_client_find(loop, handle);
    if (!client || !client->conn.paused)
        return;
    client->conn.paused = false;
    client->conn.since_ms = loop->env.now_ms;
    om_http_client_enqueue(client);
}

struct om_http_request *
om_http_find(struct om_http_loop *loop, uint64_t handle)
{
    struct client *client = om_http_client_find(loop, handle);
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
    return om_http_loop_add(loop, fd, EPOLLIN, &loop->foreign) || errno == EEXIST;
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
