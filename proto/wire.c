#include "wire.h"

REC_DEFINE(wire_usage, WIRE_USAGE_FIELDS);
REC_DEFINE(wire_event, WIRE_EVENT_FIELDS);
REC_DEFINE(wire_logged, WIRE_LOGGED_FIELDS);
REC_DEFINE(wire_held, WIRE_HELD_FIELDS);
REC_DEFINE(wire_task, WIRE_TASK_FIELDS);
REC_DEFINE(wire_setting, WIRE_SETTING_FIELDS);
REC_DEFINE(wire_queue, WIRE_QUEUE_FIELDS);
REC_DEFINE(wire_limit, WIRE_LIMIT_FIELDS);
REC_DEFINE(wire_worker, WIRE_WORKER_FIELDS);
REC_DEFINE(wire_batch_job, WIRE_BATCH_JOB_FIELDS);
REC_DEFINE(wire_batch_item, WIRE_BATCH_ITEM_FIELDS);

// In the header presence is decided by the message, so each field is optional here.
static const struct rec_field header_fields[] = {
// clang-format off
#define HEADER_ROW(M, type, name, key, low, high, item, doc)                              \
    { #name, { key, sizeof(key) - 1 }, REC_##type, REC_OPTIONAL, low, high, item, doc,    \
      offsetof(struct M, name) },
    // clang-format on
    WIRE_FIELDS(HEADER_ROW, wire_msg)
#undef HEADER_ROW
};

_Static_assert(OM_COUNT(header_fields) <= REC_FIELDS_MAX, "the mask is 64 bits");

static const uint64_t header_words[] = {
#define HEADER_WORD(M, type, name, key, low, high, item, doc) REC_WORD(key),
    WIRE_FIELDS(HEADER_WORD, wire_msg)
#undef HEADER_WORD
};

static struct rec_index header_index;

const struct rec wire_msg_rec = {
    "wire_msg", header_fields,           header_words,           &header_index,
    0,          OM_COUNT(header_fields), sizeof(struct wire_msg)
};

const struct wire_info wire_infos[] = {
#define WIRE_ROW(number, name, from, required, optional, doc)                            \
    { number, #name, WIRE_##from, required, optional, doc },
    WIRE_LIST(WIRE_ROW)
#undef WIRE_ROW
};

const size_t wire_info_count = OM_COUNT(wire_infos);

// The place of each message's row, so that a number is found without a search.
enum {
#define WIRE_PLACE(number, name, from, required, optional, doc) PLACE_##name,
    WIRE_LIST(WIRE_PLACE)
#undef WIRE_PLACE
};

const struct wire_info *
wire_find(int64_t number)
{
    static const uint8_t places[256] = {
#define WIRE_INDEX(number, name, from, required, optional, doc)                          \
    [number] = PLACE_##name + 1,
        WIRE_LIST(WIRE_INDEX)
#undef WIRE_INDEX
    };
    if (number < 0 || number > 255 || places[number] == 0)
        return NULL;
    return &wire_infos[places[number] - 1];
}

enum om_rc
wire_decode(struct om_str header, struct wire_msg *out)
{
    enum om_rc rc = OM_EPROTO;
    if (header.size <= WIRE_HEADER_MAX)
        rc = rec_decode(&wire_msg_rec, header, out, NULL);
    if (rc != OM_OK || !WIRE_HAS(out, version) || !WIRE_HAS(out, type))
        return OM_EPROTO;
    const struct wire_info *info = wire_find(out->type);
    if (out->version < WIRE_VERSION_MIN || out->version > WIRE_VERSION || !info)
        return OM_EUNSUPPORTED;
    return (out->has & info->required) == info->required ? OM_OK : OM_EINVAL;
}

void
wire_encode(enum wire_type type, const struct wire_msg *msg, struct om_buf *buf)
{
    wire_encode_spliced(type, msg, (struct wire_part){ 0 }, buf);
}

struct wire_part
wire_encode_part(enum wire_type type, const struct wire_msg *msg, uint64_t mask,
                 struct om_buf *buf)
{
    const struct wire_info *info = wire_find(type);
    size_t start = buf->size;
    mask &= msg->has & (info->required | info->optional);
    rec_encode_fields(&wire_msg_rec, mask, msg, buf);
    return (struct wire_part){ mask, { buf->data + start, buf->size - start } };
}

void
wire_encode_spliced(enum wire_type type, const struct wire_msg *msg,
                    struct wire_part part, struct om_buf *buf)
{
    const struct wire_info *info = wire_find(type);
    uint64_t mask = msg->has & (info->required | info->optional) & ~part.has;
    mask &= ~(W(version) | W(type));
    om_pack_map(buf, 2 + (size_t)__builtin_popcountll(mask | part.has));
    om_pack_str(buf, header_fields[WIRE_F_version].key);
    om_pack_i64(buf, WIRE_VERSION);
    om_pack_str(buf, header_fields[WIRE_F_type].key);
    om_pack_i64(buf, type);
    om_buf_put(buf, part.bytes.data, part.bytes.size);
    rec_encode_fields(&wire_msg_rec, mask, msg, buf);
}

static void
put_big_endian(char *out, uint64_t value, int bytes)
{
    for (int i = bytes - 1; i >= 0; i--, value >>= 8)
        out[i] = (char)value;
}

static uint64_t
get_big_endian(const char *in, int bytes)
{
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++)
        value = value << 8 | (uint8_t)in[i];
    return value;
}

void
wire_token_encode(const struct wire_token *token, char out[WIRE_TOKEN_BYTES])
{
    memcpy(out, token->task.bytes, 16);
    put_big_endian(out + 16, token->attempt, 4);
    put_big_endian(out + 20, token->epoch, 4);
    put_big_endian(out + 24, token->lease, 8);
}

enum om_rc
wire_token_decode(struct om_str bytes, struct wire_token *out)
{
    if (bytes.size != WIRE_TOKEN_BYTES)
        return OM_EPROTO;
    memcpy(out->task.bytes, bytes.data, 16);
    out->attempt = (uint32_t)get_big_endian(bytes.data + 16, 4);
    out->epoch = (uint32_t)get_big_endian(bytes.data + 20, 4);
    out->lease = get_big_endian(bytes.data + 24, 8);
    return OM_OK;
}
