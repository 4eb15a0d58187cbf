#include <mpack.h>
#include <stdlib.h>

#include "pack.h"

void
om_buf_finish(struct om_buf *buf)
{
    free(buf->data);
    *buf = (struct om_buf){ 0 };
}

void
om_buf_reset(struct om_buf *buf)
{
    buf->size = 0;
    buf->failed = false;
}

// Make room for `size` more bytes; NULL when there is no memory.
static char *
reserve(struct om_buf *buf, size_t size)
{
    if (buf->failed)
        return NULL;
    if (size > buf->capacity - buf->size) {
        size_t capacity = buf->capacity ? buf->capacity : 256;
        while (capacity - buf->size < size)
            capacity *= 2;
        char *data = realloc(buf->data, capacity);
        if (!data) {
            buf->failed = true;
            return NULL;
        }
        buf->data = data;
        buf->capacity = capacity;
    }
    return buf->data + buf->size;
}

void
om_buf_put(struct om_buf *buf, const void *data, size_t size)
{
    char *at = size ? reserve(buf, size) : NULL;
    if (at) {
        memcpy(at, data, size);
        buf->size += size;
    }
}

static void
put_token(struct om_buf *buf, const mpack_token_t *token)
{
    size_t room = MPACK_MAX_TOKEN_LEN;
    char *at = reserve(buf, room);
    if (!at)
        return;
    mpack_tokbuf_t state = MPACK_TOKBUF_INITIAL_VALUE;
    mpack_write(&state, &at, &room, token);
    buf->size += MPACK_MAX_TOKEN_LEN - room;
}

void
om_pack_nil(struct om_buf *buf)
{
    mpack_token_t token = mpack_pack_nil();
    put_token(buf, &token);
}

void
om_pack_bool(struct om_buf *buf, bool value)
{
    mpack_token_t token = mpack_pack_boolean(value);
    put_token(buf, &token);
}

void
om_pack_i64(struct om_buf *buf, int64_t value)
{
    mpack_token_t token =
        value < 0 ? mpack_pack_sint(value) : mpack_pack_uint((uint64_t)value);
    put_token(buf, &token);
}

void
om_pack_f64(struct om_buf *buf, double value)
{
    mpack_token_t token = mpack_pack_float_fast(value);
    put_token(buf, &token);
}

void
om_pack_str(struct om_buf *buf, struct om_str value)
{
    mpack_token_t token = mpack_pack_str((uint32_t)value.size);
    put_token(buf, &token);
    om_buf_put(buf, value.data, value.size);
}

void
om_pack_bin(struct om_buf *buf, struct om_str value)
{
    mpack_token_t token = mpack_pack_bin((uint32_t)value.size);
    put_token(buf, &token);
    om_buf_put(buf, value.data, value.size);
}

void
om_pack_array(struct om_buf *buf, size_t count)
{
    mpack_token_t token = mpack_pack_array((uint32_t)count);
    put_token(buf, &token);
}

void
om_pack_map(struct om_buf *buf, size_t count)
{
    mpack_token_t token = mpack_pack_map((uint32_t)count);
    put_token(buf, &token);
}
