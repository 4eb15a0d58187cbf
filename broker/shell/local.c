#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "hash.h"
#include <uthash.h>
#include <utlist.h>

#include "clock.h"
#include "local.h"
#include "wire.h"

enum {
    BACKLOG = 1024,
    EVENTS = 64,        // looked at in one go
    TURN = 64,          // messages of one peer in a row: others have their turn
    OUT_MAX = 64 << 20, // bytes that wait for one peer, above any burst of the core's
    DEAF_MS = 100,      // without descriptors no peer is accepted for so long
    MESSAGE_MAX = WIRE_PAYLOAD_MAX + WIRE_HEADER_MAX, // a little too large gets an answer
};

struct peer {
    uint32_t number;
    struct zmtp *zmtp;
    bool ready; // it may have messages: it stands in the list of those
    bool waits; // for room, as epoll knows
    int taken;  // messages in a row
    struct peer *ready_prev, *ready_next;
    struct peer *new_prev, *new_next; // of those that have not greeted us yet
    bool is_new;
    UT_hash_handle hh;
};

struct local {
    struct sockaddr_un address;
    int listener, epoll;
    uint32_t last_number;
    struct peer *peers, *ready, *strangers;
    bool asked;      // what epoll knows was asked for since local_recv() returned false
    int64_t deaf_ms; // until when nobody is accepted; 0: everybody is
};

// ---- life

static bool
watch(struct local *self, int fd, void *what, int op, uint32_t events)
{
    struct epoll_event event = { .events = events, .data.ptr = what };
    return epoll_ctl(self->epoll, op, fd, &event) == 0;
}

struct local *
local_open(const char *path)
{
    struct local *self = calloc(1, sizeof(*self));
    if (!self)
        return NULL;
    const struct sockaddr *address = (const struct sockaddr *)&self->address;
    self->address.sun_family = AF_UNIX;
    snprintf(self->address.sun_path, sizeof(self->address.sun_path), "%s", path);
    self->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    self->epoll = epoll_create1(EPOLL_CLOEXEC);
    unlink(path);
    if (self->listener >= 0 && self->epoll >= 0 &&
        bind(self->listener, address, sizeof(self->address)) == 0 &&
        listen(self->listener, BACKLOG) == 0 &&
        watch(self, self->listener, self, EPOLL_CTL_ADD, EPOLLIN))
        return self;
    int kept = errno;
    local_close(&self, 0);
    errno = kept;
    return NULL;
}

static void
forget_stranger(struct local *self, struct peer *peer)
{
    if (peer->is_new)
        DL_DELETE2(self->strangers, peer, new_prev, new_next);
    peer->is_new = false;
}

static void
peer_destroy(struct local *self, struct peer *peer)
{
    forget_stranger(self, peer);
    if (peer->ready)
        DL_DELETE2(self->ready, peer, ready_prev, ready_next);
    HASH_DEL(self->peers, peer);
    zmtp_destroy(&peer->zmtp);
    free(peer);
}

void
local_close(struct local **self_p, int64_t linger_ms)
{
    struct local *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    int64_t end_ms = om_clock_mono_ms() + linger_ms;
    for (struct peer *peer; (peer = self->peers);) {
        zmtp_linger(peer->zmtp, end_ms - om_clock_mono_ms());
        peer_destroy(self, peer);
    }
    if (self->listener >= 0) {
        close(self->listener);
        unlink(self->address.sun_path);
    }
    if (self->epoll >= 0)
        close(self->epoll);
    free(self);
}

int
local_fd(const struct local *self)
{
    return self->epoll;
}

// ---- peers

static void
make_ready(struct local *self, struct peer *peer)
{
    if (!peer->ready)
        DL_APPEND2(self->ready, peer, ready_prev, ready_next);
    peer->ready = true;
}

static void
peer_create(struct local *self, int fd)
{
    struct peer *peer = calloc(1, sizeof(*peer));
    if (!peer) {
        close(fd);
        return;
    }
    peer->zmtp = zmtp_accept(fd, MESSAGE_MAX, OUT_MAX);
    if (!peer->zmtp || zmtp_is_closed(peer->zmtp) ||
        !watch(self, fd, peer, EPOLL_CTL_ADD, EPOLLIN)) {
        zmtp_destroy(&peer->zmtp);
        free(peer);
        return;
    }
    peer->number = ++self->last_number;
    peer->is_new = true;
    HASH_ADD(hh, self->peers, number, sizeof(peer->number), peer);
    DL_APPEND2(self->strangers, peer, new_prev, new_next);
}

// Those that have connected and do not greet us have their time.
static void
drop_strangers(struct local *self, int64_t now_ms)
{
    for (struct peer *peer; (peer = self->strangers);) {
        if (zmtp_is_open(peer->zmtp)) {
            forget_stranger(self, peer);
            continue;
        }
        zmtp_tick(peer->zmtp, now_ms);
        if (!zmtp_is_closed(peer->zmtp))
            return; // those behind it came later
        peer_destroy(self, peer);
    }
}

static void
accept_all(struct local *self)
{
    int64_t now_ms = om_clock_mono_ms();
    drop_strangers(self, now_ms);
    for (int i = 0; i < EVENTS; i++) {
        int fd = accept4(self->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            peer_create(self, fd);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            watch(self, self->listener, self, EPOLL_CTL_MOD, 0);
            self->deaf_ms = now_ms + DEAF_MS;
        }
        return;
    }
}

void
local_turn(struct local *self)
{
    if (!self->deaf_ms || om_clock_mono_ms() < self->deaf_ms)
        return;
    watch(self, self->listener, self, EPOLL_CTL_MOD, EPOLLIN);
    self->deaf_ms = 0;
}

// Have epoll tell when there is room, as long as something waits for it.
static void
watch_room(struct local *self, struct peer *peer)
{
    bool waits = zmtp_waits(peer->zmtp);
    if (waits == peer->waits || zmtp_is_closed(peer->zmtp))
        return;
    peer->waits = waits;
    watch(self, zmtp_fd(peer->zmtp), peer, EPOLL_CTL_MOD,
          EPOLLIN | (waits ? EPOLLOUT : 0));
}

// ---- messages

// Ask who has written, come, or has room.
static void
ask(struct local *self)
{
    struct epoll_event events[EVENTS];
    int count = (int)TEMP_FAILURE_RETRY(epoll_wait(self->epoll, events, EVENTS, 0));
    for (int i = 0; i < count; i++) {
        struct peer *peer = events[i].data.ptr;
        if (events[i].data.ptr == self)
            continue;
        if (events[i].events & EPOLLOUT) {
            zmtp_tick(peer->zmtp, om_clock_mono_ms());
            watch_room(self, peer);
        }
        make_ready(self, peer);
    }
    for (int i = 0; i < count; i++) // it may free peers
        if (events[i].data.ptr == self)
            accept_all(self);
}

// The first that may have a message; it has had its turn, it is gone, or it has none.
static bool
recv_first(struct local *self, struct om_str *header, struct om_str *payload)
{
    struct peer *peer = self->ready;
    if (peer->taken < TURN && zmtp_recv(peer->zmtp, header, payload)) {
        peer->taken++;
        return true;
    }
    bool turn_over = peer->taken >= TURN;
    peer->taken = 0;
    DL_DELETE2(self->ready, peer, ready_prev, ready_next);
    peer->ready = false;
    if (turn_over)
        make_ready(self, peer);
    else if (zmtp_is_closed(peer->zmtp))
        peer_destroy(self, peer);
    else
        watch_room(self, peer); // a handshake may have found none
    return false;
}

bool
local_recv(struct local *self, uint32_t *number, struct om_str *header,
           struct om_str *payload, size_t *frames)
{
    for (;;) {
        while (self->ready) {
            if (!recv_first(self, header, payload))
                continue;
            *number = self->ready->number;
            *frames = zmtp_frames(self->ready->zmtp);
            return true;
        }
        self->asked = !self->asked;
        if (!self->asked)
            return false;
        ask(self);
    }
}

enum om_rc
local_send(struct local *self, uint32_t number, struct om_str header,
           struct om_str payload)
{
    struct peer *peer;
    HASH_FIND(hh, self->peers, &number, sizeof(number), peer);
    if (!peer)
        return OM_EUNAVAILABLE;
    enum om_rc rc = zmtp_send(peer->zmtp, header, payload);
    if (zmtp_is_closed(peer->zmtp))
        make_ready(self, peer); // it may be the one whose message is still read
    else
        watch_room(self, peer);
    return rc;
}
