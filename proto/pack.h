// pack.h - a growing byte buffer and the msgpack values written into it.
//
// A write that cannot get memory sets `failed` and later writes do nothing, so a caller
// checks once, at the end.
#pragma once
#include "base.h"

struct om_buf {
    char *data;
    size_t size, capacity;
    bool failed;
};

// Free the buffer's memory and make it empty.
void om_buf_finish(struct om_buf *buf);

// Make it empty but keep its memory.
void om_buf_reset(struct om_buf *buf);

// Make room for `size` more bytes at the place that is returned: at the end of what is
// there. NULL without memory. om_buf_grow() is what om_buf_room() does when it has to.
char *om_buf_grow(struct om_buf *buf, size_t size);

static inline char *
om_buf_room(struct om_buf *buf, size_t size)
{
    if (buf->failed || size > buf->capacity - buf->size)
        return om_buf_grow(buf, size);
    return buf->data + buf->size;
}

// Append bytes as they are.
static inline void
om_buf_put(struct om_buf *buf, const void *data, size_t size)
{
    char *at = size ? om_buf_room(buf, size) : NULL;
    if (!at)
        return;
    memcpy(at, data, size);
    buf->size += size;
}

static inline struct om_str
om_buf_str(const struct om_buf *buf)
{
    return (struct om_str){ buf->data ? buf->data : "", buf->size };
}

void om_pack_nil(struct om_buf *buf);
void om_pack_bool(struct om_buf *buf, bool value);
void om_pack_i64(struct om_buf *buf, int64_t value);
void om_pack_f64(struct om_buf *buf, double value);
void om_pack_str(struct om_buf *buf, struct om_str value);
void om_pack_bin(struct om_buf *buf, struct om_str value);
void om_pack_array(struct om_buf *buf, size_t count); // `count` values follow
void om_pack_map(struct om_buf *buf, size_t count);   // `count` keys and values follow
