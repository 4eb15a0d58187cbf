#include <assert.h>
#include <endian.h>

#include "journal_codec.h"

enum field_type {
    FIELD_END,
    FIELD_U8,
    FIELD_U32,
    FIELD_U64,
    FIELD_UUID,
    FIELD_STR,
    FIELD_PAYLOAD,
};

struct field {
    enum field_type type;
    uint32_t max; // U8, U32; 0: any value
    size_t offset;
};

enum { HEAD_BYTES = 5 };

static_assert(sizeof(enum mark_kind) == 4 && sizeof(enum task_state) == 4 &&
                  sizeof(enum setting_scope) == 4 && sizeof(unsigned) == 4,
              "they are stored as U32");
static_assert(sizeof(bool) == 1, "it is stored as U8");

// clang-format off
#define F(type, max, member) { FIELD_##type, max, offsetof(struct change, member) }

static const struct field task_fields[] = {
    F(U64, 0, task.seq), F(UUID, 0, task.id), F(UUID, 0, task.tenant),
    F(STR, 0, task.queue), F(STR, 0, task.kind), F(U64, 0, task.created_ms),
    F(STR, 0, task.header), F(PAYLOAD, 0, task.payload), F(U8, 0, task.priority),
    F(U64, 0, task.due_ms), F(U64, 0, task.expires_ms), F(STR, 0, task.limit_key),
    F(U8, 1, task.depends), F(U64, 0, task.retain_ms), F(STR, 0, task.idem_key),
    F(STR, 0, task.unique_key), F(U64, 0, task.unique_until_ms), { 0 },
};

static const struct field mark_fields[] = {
    F(U64, 0, mark.task_seq), F(U32, MARK_REOPEN, mark.kind), F(U64, 0, mark.at_ms),
    F(U64, 0, mark.due_ms), F(UUID, 0, mark.token.task), F(U32, 0, mark.token.attempt),
    F(U32, 0, mark.token.epoch), F(U64, 0, mark.token.lease), F(STR, 0, mark.node),
    F(STR, 0, mark.code), F(STR, 0, mark.text), { 0 },
};

static const struct field result_fields[] = {
    F(U64, 0, result.task_seq), F(U32, STATE_EXPIRED, result.state),
    F(U64, 0, result.attempts), F(U64, 0, result.lost), F(U64, 0, result.started_ms),
    F(U64, 0, result.finished_ms), F(STR, 0, result.code), F(STR, 0, result.text),
    F(STR, 0, result.ctype), F(PAYLOAD, 0, result.payload), { 0 },
};

static const struct field reopen_fields[] = { F(U64, 0, reopen_seq), { 0 } };

static const struct field event_fields[] = {
    F(U8, 0, event.shard), F(U64, 0, event.seq), F(STR, 0, event.topic),
    F(STR, 0, event.id), F(STR, 0, event.body), F(STR, 0, event.context),
    F(UUID, 0, event.tenant), F(U64, 0, event.at_ms), { 0 },
};

static const struct field cursor_fields[] = {
    F(U32, SUBSCRIPTION_COUNT - 1, cursor.subscription), F(U8, 0, cursor.shard),
    F(U64, 0, cursor.seq), { 0 },
};

static const struct field setting_fields[] = {
    F(UUID, 0, setting.tenant), F(U32, SETTING_KEY, setting.scope),
    F(STR, 0, setting.name), F(U64, 0, setting.weight), F(U64, 0, setting.concurrency),
    F(U64, 0, setting.rate), F(U64, 0, setting.rate_ms), F(U8, 1, setting.paused),
    F(U64, 0, setting.purge_seq), { 0 },
};

static const struct field start_fields[] = {
    F(UUID, 0, start.tenant), F(U32, SETTING_KEY, start.scope), F(STR, 0, start.name),
    F(U64, 0, start.at_ms), F(U64, 0, start.count), F(U64, 0, start.until_ms), { 0 },
};

static const struct field chunk_fields[] = {
    F(U64, 0, chunk.task_seq), F(U64, 0, chunk.seq), F(U64, 0, chunk.attempt),
    F(STR, 0, chunk.ctype), F(PAYLOAD, 0, chunk.payload), F(U64, 0, chunk.worker_seq),
    { 0 },
};
#undef F

// The numbers of the kinds are stored too: a kind's row never moves.
static const struct field *const kinds[] = {
    [CHANGE_TASK] = task_fields,       [CHANGE_MARK] = mark_fields,
    [CHANGE_RESULT] = result_fields,   [CHANGE_REOPEN] = reopen_fields,
    [CHANGE_EVENT] = event_fields,     [CHANGE_CURSOR] = cursor_fields,
    [CHANGE_SETTING] = setting_fields, [CHANGE_START] = start_fields,
    [CHANGE_CHUNK] = chunk_fields,
};
// clang-format on

static const struct field *
fields_of(unsigned kind)
{
    return kind < OM_COUNT(kinds) ? kinds[kind] : NULL;
}

// ---- writing

static struct om_str
field_str(const struct field *field, const void *member)
{
    struct om_str text = { 0 };
    if (field->type == FIELD_STR) {
        memcpy(&text, member, sizeof(text));
        return text;
    }
    const struct payload *payload;
    memcpy(&payload, member, sizeof(const struct payload *));
    if (payload)
        text = payload->bytes;
    if (payload && !text.data)
        text.data = "";
    return text;
}

size_t
journal_change_size(const struct change *change)
{
    static const uint8_t sizes[] = {
        [FIELD_U8] = 1,    [FIELD_U32] = 4, [FIELD_U64] = 8,
        [FIELD_UUID] = 16, [FIELD_STR] = 4, [FIELD_PAYLOAD] = 4,
    };
    const struct field *field = fields_of(change->kind);
    if (!field)
        return 0;
    size_t size = HEAD_BYTES;
    for (; field->type != FIELD_END; field++) {
        size += sizes[field->type];
        if (field->type >= FIELD_STR)
            size += field_str(field, (const char *)change + field->offset).size;
    }
    return size;
}

static char *
put_u32(char *at, uint32_t value)
{
    value = htole32(value);
    memcpy(at, &value, sizeof(value));
    return at + sizeof(value);
}

static char *
put_field(char *at, const struct field *field, const void *member)
{
    uint32_t u32;
    uint64_t u64;
    struct om_str text;
    switch (field->type) {
    case FIELD_U8:
        *at = *(const char *)member;
        return at + 1;
    case FIELD_U32:
        memcpy(&u32, member, sizeof(u32));
        return put_u32(at, u32);
    case FIELD_U64:
        memcpy(&u64, member, sizeof(u64));
        u64 = htole64(u64);
        memcpy(at, &u64, sizeof(u64));
        return at + sizeof(u64);
    case FIELD_UUID:
        memcpy(at, member, sizeof(struct om_uuid));
        return at + sizeof(struct om_uuid);
    case FIELD_STR:
    case FIELD_PAYLOAD:
        // An absent string has the size that no string can have.
        text = field_str(field, member);
        at = put_u32(at, text.data ? (uint32_t)text.size : UINT32_MAX);
        if (text.size > 0)
            memcpy(at, text.data, text.size);
        return at + text.size;
    case FIELD_END:
        break;
    }
    return at;
}

char *
journal_put_change(char *at, const struct change *change)
{
    char *start = at;
    *at = (char)change->kind;
    at += HEAD_BYTES;
    for (const struct field *field = fields_of(change->kind); field->type != FIELD_END;
         field++)
        at = put_field(at, field, (const char *)change + field->offset);
    put_u32(start + 1, (uint32_t)(at - start - HEAD_BYTES));
    return at;
}

// ---- reading

// Take `size` bytes off the front; NULL if there are fewer.
static const char *
take(struct om_str *bytes, size_t size)
{
    if (bytes->size < size)
        return NULL;
    const char *at = bytes->data;
    bytes->data += size;
    bytes->size -= size;
    return at;
}

static bool
take_u32(struct om_str *bytes, uint32_t *value)
{
    const char *at = take(bytes, sizeof(*value));
    if (!at)
        return false;
    memcpy(value, at, sizeof(*value));
    *value = le32toh(*value);
    return true;
}

static bool
take_str(struct om_str *bytes, struct om_str *text)
{
    uint32_t size;
    if (!take_u32(bytes, &size))
        return false;
    *text = (struct om_str){ 0 };
    if (size == UINT32_MAX)
        return true;
    text->data = take(bytes, size);
    text->size = size;
    return text->data != NULL;
}

static bool
take_payload(struct om_str *bytes, struct journal_change *out, void *member)
{
    if (!take_str(bytes, &out->payload.bytes))
        return false;
    out->payload.refs = 1;
    struct payload *payload = out->payload.bytes.data ? &out->payload : NULL;
    memcpy(member, &payload, sizeof(struct payload *));
    return true;
}

static bool
take_field(struct om_str *bytes, const struct field *field, struct journal_change *out)
{
    char *member = (char *)out + field->offset; // the change is its first member
    const char *at;
    uint32_t u32 = 0;
    uint64_t u64;
    struct om_str text;
    switch (field->type) {
    case FIELD_U8:
        if ((at = take(bytes, 1)))
            *member = *at;
        return at && (field->max == 0 || (uint8_t)*at <= field->max);
    case FIELD_U32:
        if (!take_u32(bytes, &u32))
            return false;
        memcpy(member, &u32, sizeof(u32));
        return field->max == 0 || u32 <= field->max;
    case FIELD_U64:
        if (!(at = take(bytes, sizeof(u64))))
            return false;
        memcpy(&u64, at, sizeof(u64));
        u64 = le64toh(u64);
        memcpy(member, &u64, sizeof(u64));
        return true;
    case FIELD_UUID:
        if ((at = take(bytes, sizeof(struct om_uuid))))
            memcpy(member, at, sizeof(struct om_uuid));
        return at != NULL;
    case FIELD_STR:
        if (!take_str(bytes, &text))
            return false;
        memcpy(member, &text, sizeof(text));
        return true;
    case FIELD_PAYLOAD:
        return take_payload(bytes, out, member);
    case FIELD_END:
        break;
    }
    return false;
}

bool
journal_next(struct om_str *bytes, struct om_str *change)
{
    struct om_str rest = *bytes;
    uint32_t size;
    if (!take(&rest, 1) || !take_u32(&rest, &size) || !take(&rest, size))
        return false;
    *change = (struct om_str){ bytes->data, (size_t)HEAD_BYTES + size };
    *bytes = rest;
    return true;
}

enum om_rc
journal_decode(struct om_str bytes, struct journal_change *out)
{
    if (bytes.size < HEAD_BYTES)
        return OM_EPROTO;
    const struct field *field = fields_of((uint8_t)bytes.data[0]);
    if (!field)
        return OM_EPROTO;
    memset(out, 0, sizeof(*out));
    out->change.kind = journal_kind(bytes);
    take(&bytes, HEAD_BYTES);
    for (; field->type != FIELD_END && bytes.size > 0; field++)
        if (!take_field(&bytes, field, out))
            return OM_EPROTO;
    return bytes.size == 0 ? OM_OK : OM_EPROTO;
}
