#include <endian.h>
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

char *
om_buf_grow(struct om_buf *buf, size_t size)
{
    if (buf->failed)
        return NULL;
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
    return buf->data + buf->size;
}

// Append `head` and the low `width` bytes of `value`, most significant first.
static void
put_head(struct om_buf *buf, unsigned head, uint64_t value, unsigned width)
{
    char *at = om_buf_room(buf, 9);
    if (!at)
        return;
    *at = (char)head;
    value = htobe64(width ? value << (64 - 8 * width) : 0);
    memcpy(at + 1, &value, sizeof(value));
    buf->size += 1 + width;
}

void
om_pack_nil(struct om_buf *buf)
{
    put_head(buf, 0xc0, 0, 0);
}

void
om_pack_bool(struct om_buf *buf, bool value)
{
    put_head(buf, value ? 0xc3 : 0xc2, 0, 0);
}

static void
pack_negative(struct om_buf *buf, int64_t value)
{
    if (value >= -32)
        put_head(buf, (uint8_t)value, 0, 0);
    else if (value >= INT8_MIN)
        put_head(buf, 0xd0, (uint64_t)value, 1);
    else if (value >= INT16_MIN)
        put_head(buf, 0xd1, (uint64_t)value, 2);
    else if (value >= INT32_MIN)
        put_head(buf, 0xd2, (uint64_t)value, 4);
    else
        put_head(buf, 0xd3, (uint64_t)value, 8);
}

void
om_pack_i64(struct om_buf *buf, int64_t value)
{
    if (value < 0)
        pack_negative(buf, value);
    else if (value < 128)
        put_head(buf, (unsigned)value, 0, 0);
    else if (value <= UINT8_MAX)
        put_head(buf, 0xcc, (uint64_t)value, 1);
    else if (value <= UINT16_MAX)
        put_head(buf, 0xcd, (uint64_t)value, 2);
    else if (value <= UINT32_MAX)
        put_head(buf, 0xce, (uint64_t)value, 4);
    else
        put_head(buf, 0xcf, (uint64_t)value, 8);
}

void
om_pack_f64(struct om_buf *buf, double value)
{
    float single = (float)value;
    uint32_t half;
    uint64_t bits;
    memcpy(&half, &single, sizeof(half));
    memcpy(&bits, &value, sizeof(bits));
    if ((double)single == value)
        put_head(buf, 0xca, half, 4);
    else
        put_head(buf, 0xcb, bits, 8);
}

// A size behind the head `byte`, `two` or `four`, for as many bytes as it takes; byte 0:
// there is no head for a size of one byte.
static void
put_size(struct om_buf *buf, size_t size, unsigned byte, unsigned two, unsigned four)
{
    if (size <= UINT8_MAX && byte)
        put_head(buf, byte, size, 1);
    else if (size <= UINT16_MAX)
        put_head(buf, two, size, 2);
    else
        put_head(buf, four, size, 4);
}

void
om_pack_str(struct om_buf *buf, struct om_str value)
{
    if (value.size < 32)
        put_head(buf, 0xa0 | (unsigned)value.size, 0, 0);
    else
        put_size(buf, value.size, 0xd9, 0xda, 0xdb);
    om_buf_put(buf, value.data, value.size);
}

void
om_pack_bin(struct om_buf *buf, struct om_str value)
{
    put_size(buf, value.size, 0xc4, 0xc5, 0xc6);
    om_buf_put(buf, value.data, value.size);
}

void
om_pack_array(struct om_buf *buf, size_t count)
{
    if (count < 16)
        put_head(buf, 0x90 | (unsigned)count, 0, 0);
    else
        put_size(buf, count, 0, 0xdc, 0xdd);
}

void
om_pack_map(struct om_buf *buf, size_t count)
{
    if (count < 16)
        put_head(buf, 0x80 | (unsigned)count, 0, 0);
    else
        put_size(buf, count, 0, 0xde, 0xdf);
}
