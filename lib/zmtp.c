#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "clock.h"
#include "zmtp.h"

enum {
    GREETING = 64,
    VERSION_AT = 10,
    MECHANISM_AT = 12,
    MECHANISM = 20,
    FLAG_MORE = 1,
    FLAG_LONG = 2,
    FLAG_COMMAND = 4,
    HEAD_MAX = 9,            // of a frame
    IN_BYTES = 64 * 1024,    // read at a time, if there are so many
    KEPT_BYTES = 256 * 1024, // of memory, when nothing waits
    OUT_MAX = 8 << 20,       // that wait to be sent
    COMMAND_MAX = 512,       // bytes of one
    RETRY_MS = 10,           // after a connect that failed, twice as long each time,
    RETRY_MAX_MS = 1000,     // up to
    HANDSHAKE_MS = 5000,
    FULL_MS = 1, // the peer reads slowly: try again after
};

enum state { CLOSED, GREETED, SAID_READY, OPEN };

struct zmtp {
    struct sockaddr_un address;
    size_t message_max;
    int fd;
    enum state state;
    int64_t due_ms, retry_ms; // of the next connect, or of the end of the handshake
    char *in;
    size_t in_at, in_end, in_size;
    bool drained; // the last read has left nothing
    struct om_buf out;
    size_t out_at, out_max;
    size_t frames; // of the message received last
    bool accepted;
};

static void begin(struct zmtp *self);

struct zmtp *
zmtp_create(const char *path, size_t message_max)
{
    struct zmtp *self = calloc(1, sizeof(*self));
    if (!self)
        return NULL;
    self->fd = -1;
    self->message_max = message_max;
    self->out_max = OUT_MAX;
    self->retry_ms = RETRY_MS;
    self->address.sun_family = AF_UNIX;
    snprintf(self->address.sun_path, sizeof(self->address.sun_path), "%s", path);
    zmtp_tick(self, om_clock_mono_ms());
    return self;
}

struct zmtp *
zmtp_accept(int fd, size_t message_max, size_t out_max)
{
    struct zmtp *self = calloc(1, sizeof(*self));
    if (!self) {
        close(fd);
        return NULL;
    }
    self->fd = fd;
    self->accepted = true;
    self->message_max = message_max;
    self->out_max = out_max;
    begin(self);
    return self;
}

void
zmtp_break(struct zmtp *self)
{
    if (self->fd >= 0)
        close(self->fd);
    self->fd = -1;
    self->state = CLOSED;
    self->in_at = self->in_end = self->out_at = 0;
    om_buf_finish(&self->out);
    self->due_ms = om_clock_mono_ms() + self->retry_ms;
    self->retry_ms =
        2 * self->retry_ms < RETRY_MAX_MS ? 2 * self->retry_ms : RETRY_MAX_MS;
}

int
zmtp_fd(const struct zmtp *self)
{
    return self->fd;
}

bool
zmtp_is_open(const struct zmtp *self)
{
    return self->state == OPEN;
}

bool
zmtp_is_closed(const struct zmtp *self)
{
    return self->state == CLOSED;
}

bool
zmtp_waits(const struct zmtp *self)
{
    return self->out_at < self->out.size;
}

size_t
zmtp_frames(const struct zmtp *self)
{
    return self->frames;
}

// ---- sending

static bool
is_full(const struct zmtp *self)
{
    return self->out.size - self->out_at > self->out_max;
}

// What has left takes no room, also of a peer so slow that something always waits.
static void
drop_sent(struct zmtp *self)
{
    size_t left = self->out.size - self->out_at;
    if (self->out_at < left)
        return; // to move more than was sent would cost more than it
    memmove(self->out.data, self->out.data + self->out_at, left);
    self->out.size = left;
    self->out_at = 0;
}

// Write what waits, as far as there is room.
static void
flush(struct zmtp *self)
{
    while (self->out_at < self->out.size) {
        ssize_t sent = send(self->fd, self->out.data + self->out_at,
                            self->out.size - self->out_at, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent >= 0) {
            self->out_at += (size_t)sent;
        } else if (errno == EAGAIN) {
            drop_sent(self);
            return;
        } else if (errno != EINTR) {
            zmtp_break(self);
            return;
        }
    }
    self->out_at = 0;
    if (self->out.capacity > KEPT_BYTES)
        om_buf_finish(&self->out);
    om_buf_reset(&self->out);
}

static void
put_frame(struct om_buf *out, unsigned flags, struct om_str body)
{
    uint8_t head[HEAD_MAX] = { (uint8_t)flags, (uint8_t)body.size };
    size_t size = 2;
    if (body.size > UINT8_MAX) {
        head[0] |= FLAG_LONG;
        for (size = 1; size < HEAD_MAX; size++)
            head[size] = (uint8_t)((uint64_t)body.size >> 8 * (HEAD_MAX - 1 - size));
    }
    om_buf_put(out, head, size);
    om_buf_put(out, body.data, body.size);
}

static void
put_greeting(struct om_buf *out)
{
    char greeting[GREETING] = { [0] = (char)0xff, [8] = 1, [9] = 0x7f, [VERSION_AT] = 3 };
    memcpy(greeting + MECHANISM_AT, "NULL", 4);
    om_buf_put(out, greeting, sizeof(greeting));
}

enum om_rc
zmtp_send(struct zmtp *self, struct om_str header, struct om_str payload)
{
    if (self->state != OPEN || is_full(self))
        return OM_EUNAVAILABLE;
    put_frame(&self->out, payload.data ? FLAG_MORE : 0, header);
    if (payload.data)
        put_frame(&self->out, 0, payload);
    if (self->out.failed) {
        zmtp_break(self); // half a message may be in it
        return OM_EUNAVAILABLE;
    }
    flush(self);
    return self->state == OPEN ? OM_OK : OM_EUNAVAILABLE;
}

// ---- receiving

struct frame {
    unsigned flags;
    struct om_str body;
    size_t size; // with its head
};

enum look { WHOLE, PART, WRONG };

// Look at the frame that begins at `at`.
static enum look
look_at_frame(const struct zmtp *self, size_t at, struct frame *out)
{
    const uint8_t *bytes = (const uint8_t *)self->in + at;
    size_t left = self->in_end - at, head = 2;
    if (left == 0)
        return PART;
    out->flags = bytes[0];
    if (out->flags & ~(unsigned)(FLAG_MORE | FLAG_LONG | FLAG_COMMAND))
        return WRONG;
    if (out->flags & FLAG_LONG)
        head = HEAD_MAX;
    if (left < head)
        return PART;
    uint64_t size = 0;
    for (size_t i = 1; i < head; i++)
        size = size << 8 | bytes[i];
    if (size > (out->flags & FLAG_COMMAND ? COMMAND_MAX : self->message_max))
        return WRONG;
    out->body = (struct om_str){ (const char *)bytes + head, (size_t)size };
    out->size = head + (size_t)size;
    return left >= out->size ? WHOLE : PART;
}

static bool
is_command(struct om_str body, const char *name)
{
    size_t size = strlen(name);
    return body.size > size && (uint8_t)body.data[0] == size &&
           memcmp(body.data + 1, name, size) == 0;
}

static bool
on_command(struct zmtp *self, struct om_str body)
{
    if (self->state == SAID_READY && is_command(body, "READY")) {
        self->state = OPEN;
        self->retry_ms = RETRY_MS;
    } else if (is_command(body, "ERROR") || self->state != OPEN) {
        return false;
    } else if (is_command(body, "PING") && body.size >= 7) { // its context comes back
        char pong[COMMAND_MAX] = "\4PONG";
        if (is_full(self))
            return false; // it asks, and reads no answer
        memcpy(pong + 5, body.data + 7, body.size - 7);
        put_frame(&self->out, FLAG_COMMAND, (struct om_str){ pong, body.size - 2 });
        flush(self);
    }
    return true;
}

// Take the peer's greeting, and say which socket this is.
static enum look
take_greeting(struct zmtp *self)
{
    // The last of its zeros is the one C adds.
    static const char dealer[] = "\5READY\13Socket-Type\0\0\0\6DEALER\10Identity\0\0\0",
                      router[] = "\5READY\13Socket-Type\0\0\0\6ROUTER\10Identity\0\0\0";
    static const char null[MECHANISM] = "NULL";
    const uint8_t *bytes = (const uint8_t *)self->in + self->in_at;
    if (self->in_end - self->in_at < GREETING)
        return PART;
    if (bytes[0] != 0xff || !(bytes[9] & 1) || bytes[VERSION_AT] < 3 ||
        memcmp(bytes + MECHANISM_AT, null, MECHANISM) != 0)
        return WRONG;
    self->in_at += GREETING;
    self->state = SAID_READY;
    const char *ready = self->accepted ? router : dealer;
    put_frame(&self->out, FLAG_COMMAND, (struct om_str){ ready, sizeof(dealer) });
    flush(self);
    return WHOLE;
}

// Take a message out of what was read, and the commands before it.
static enum look
take_message(struct zmtp *self, struct om_str *header, struct om_str *payload)
{
    struct frame frame;
    size_t at = self->in_at, count = 0;
    *header = *payload = (struct om_str){ 0 };
    for (;;) {
        enum look look = look_at_frame(self, at, &frame);
        if (look != WHOLE)
            return look;
        at += frame.size;
        if (frame.flags & FLAG_COMMAND) {
            if (count > 0 || !on_command(self, frame.body))
                return WRONG;
            if (self->state == CLOSED)
                return PART; // its answer found nobody
            self->in_at = at;
            continue;
        }
        if (self->state != OPEN)
            return WRONG;
        if (count < 2) // of frames behind the payload nobody knows anything
            *(count == 0 ? header : payload) = frame.body;
        count++;
        if (frame.flags & FLAG_MORE)
            continue;
        self->in_at = at;
        self->frames = count;
        return WHOLE;
    }
}

// Have room for another read behind what waits. False without memory, or if a message
// would need more than it may.
static bool
make_room(struct zmtp *self)
{
    size_t left = self->in_end - self->in_at;
    if (self->in_at > 0 && left > 0)
        memmove(self->in, self->in + self->in_at, left);
    self->in_at = 0;
    self->in_end = left;
    bool large = left == 0 && self->in_size > KEPT_BYTES;
    size_t size = large ? IN_BYTES : self->in_size;
    while (size - left < IN_BYTES / 2 || size == 0)
        size = size ? 2 * size : IN_BYTES;
    if (size > 4 * self->message_max + IN_BYTES)
        return false;
    if (size == self->in_size)
        return true;
    char *memory = realloc(self->in, size);
    if (!memory)
        return false;
    self->in = memory;
    self->in_size = size;
    return true;
}

// Read once. False: there is nothing, or the connection broke.
static bool
read_more(struct zmtp *self)
{
    if (!make_room(self)) {
        zmtp_break(self);
        return false;
    }
    size_t room = self->in_size - self->in_end;
    ssize_t size =
        TEMP_FAILURE_RETRY(recv(self->fd, self->in + self->in_end, room, MSG_DONTWAIT));
    if (size < 0 && errno == EAGAIN)
        return false;
    if (size <= 0) {
        zmtp_break(self);
        return false;
    }
    self->in_end += (size_t)size;
    self->drained = (size_t)size < room; // a stream gives all it has
    return true;
}

bool
zmtp_recv(struct zmtp *self, struct om_str *header, struct om_str *payload)
{
    *header = *payload = (struct om_str){ 0 };
    while (self->state != CLOSED) {
        enum look look = self->state == GREETED ? take_greeting(self)
                                                : take_message(self, header, payload);
        if (look == WHOLE && header->data)
            return true;
        if (look == WRONG)
            zmtp_break(self);
        if (look != PART)
            continue;
        bool drained = self->drained;
        self->drained = false;
        if (drained || !read_more(self))
            break;
    }
    return false;
}

// ---- life

static void
begin(struct zmtp *self)
{
    self->state = GREETED;
    self->drained = false;
    self->due_ms = om_clock_mono_ms() + HANDSHAKE_MS;
    put_greeting(&self->out);
    flush(self);
}

static void
connect_now(struct zmtp *self)
{
    self->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (self->fd < 0 || connect(self->fd, (const struct sockaddr *)&self->address,
                                sizeof(self->address)) != 0) {
        zmtp_break(self);
        return;
    }
    begin(self);
}

int64_t
zmtp_tick(struct zmtp *self, int64_t now_ms)
{
    if (self->state != CLOSED)
        flush(self);
    if (self->accepted && self->state == CLOSED)
        return INT64_MAX;
    if (self->state != OPEN && now_ms >= self->due_ms) {
        if (self->state == CLOSED)
            connect_now(self);
        else
            zmtp_break(self);
    }
    if (self->state != OPEN)
        return self->due_ms;
    return self->out.size > self->out_at ? now_ms + FULL_MS : INT64_MAX;
}

void
zmtp_linger(struct zmtp *self, int64_t ms)
{
    int64_t end_ms = om_clock_mono_ms() + ms;
    for (int64_t left_ms = ms;
         left_ms > 0 && self->state == OPEN && self->out_at < self->out.size;
         left_ms = end_ms - om_clock_mono_ms()) {
        struct pollfd polled = { self->fd, POLLOUT, 0 };
        poll(&polled, 1, (int)left_ms);
        flush(self);
    }
}

void
zmtp_destroy(struct zmtp **self_p)
{
    struct zmtp *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    if (self->fd >= 0)
        close(self->fd);
    om_buf_finish(&self->out);
    free(self->in);
    free(self);
}
