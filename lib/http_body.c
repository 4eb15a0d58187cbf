#include "http_body.h"

enum state {
    LENGTH, // a body of known length
    CHUNK_SIZE,
    CHUNK_EXTENSION,
    CHUNK_SIZE_LF,
    CHUNK_DATA,
    CHUNK_DATA_CR,
    CHUNK_DATA_LF,
    TRAILER,
    TRAILER_LF,
    ENDED,
};

void
om_http_body_init(struct om_http_body *body, int64_t length)
{
    *body = (struct om_http_body){ .state = length < 0 ? CHUNK_SIZE : LENGTH,
                                   .left = length < 0 ? 0 : (uint64_t)length,
                                   .blank = true };
}

static int
hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool
read_size(struct om_http_body *body, char c)
{
    int value = hex_value(c);
    if (value >= 0) {
        // 2^40 is more than any limit, and far from an overflow.
        if (body->left >> 36)
            return false;
        body->left = body->left << 4 | (uint64_t)value;
        body->blank = false;
        return true;
    }
    if (body->blank || (c != '\r' && c != ';'))
        return false;
    body->state = c == '\r' ? CHUNK_SIZE_LF : CHUNK_EXTENSION;
    return true;
}

static void
begin_line(struct om_http_body *body, enum state state)
{
    body->state = (int)state;
    body->overhead = 0;
    body->blank = true;
}

// One byte that is not data. False: it may not stand here.
static bool
step(struct om_http_body *body, char c)
{
    bool plain = (unsigned char)c >= 0x20 || c == '\t';
    body->overhead++;
    switch ((enum state)body->state) {
    case CHUNK_SIZE:
        return body->overhead <= OM_HTTP_CHUNK_LINE_MAX && read_size(body, c);
    case CHUNK_EXTENSION:
        if (c == '\r')
            body->state = CHUNK_SIZE_LF;
        return body->overhead <= OM_HTTP_CHUNK_LINE_MAX && (plain || c == '\r');
    case CHUNK_SIZE_LF:
        begin_line(body, body->left ? CHUNK_DATA : TRAILER);
        return c == '\n';
    case CHUNK_DATA_CR:
        body->state = CHUNK_DATA_LF;
        return c == '\r';
    case CHUNK_DATA_LF:
        begin_line(body, CHUNK_SIZE);
        return c == '\n';
    case TRAILER:
        if (c == '\r')
            body->state = TRAILER_LF;
        else
            body->blank = false;
        return body->overhead <= OM_HTTP_TRAILERS_MAX && (plain || c == '\r');
    case TRAILER_LF:
        body->state = body->blank ? ENDED : TRAILER;
        body->blank = true;
        return c == '\n';
    case LENGTH:
    case CHUNK_DATA:
    case ENDED:
        break;
    }
    return false;
}

static enum om_http_body_result
take_data(struct om_http_body *body, struct om_str *input, struct om_str *data)
{
    size_t size = input->size < body->left ? input->size : (size_t)body->left;
    *data = (struct om_str){ input->data, size };
    input->data += size;
    input->size -= size;
    body->left -= size;
    if (body->left == 0)
        body->state = body->state == LENGTH ? ENDED : CHUNK_DATA_CR;
    return OM_HTTP_BODY_DATA;
}

enum om_http_body_result
om_http_body_take(struct om_http_body *body, struct om_str *input, struct om_str *data)
{
    if (body->state == LENGTH && body->left == 0)
        body->state = ENDED;
    while (body->state != ENDED) {
        if (input->size == 0)
            return OM_HTTP_BODY_MORE;
        if (body->state == LENGTH || body->state == CHUNK_DATA)
            return take_data(body, input, data);
        if (!step(body, input->data[0]))
            return OM_HTTP_BODY_BAD;
        input->data++;
        input->size--;
    }
    return OM_HTTP_BODY_END;
}
