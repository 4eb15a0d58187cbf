#include <criterion/criterion.h>
#include <stdlib.h>

#include "random_record.h"

const struct rec *const random_record_types[] = {
    &wire_msg_rec,    &wire_usage_rec,    &wire_event_rec, &wire_logged_rec,
    &wire_held_rec,   &wire_task_rec,     &key_item_rec,   &key_change_item_rec,
    &file_item_rec,   &model_item_rec,    &usage_item_rec, &audit_event_rec,
    &audit_item_rec,  &schedule_item_rec,
#define OP_TYPES(name, queue, lane, request, reply, callers, doc)                        \
    &name##_request_rec, &name##_reply_rec,
    OP_LIST(OP_TYPES)
#undef OP_TYPES
};

const size_t random_record_type_count = OM_COUNT(random_record_types);

void
random_record_init(struct random_record *self, uint64_t seed)
{
    *self = (struct random_record){ .state = seed };
    self->text.data = malloc(RANDOM_RECORD_BYTES);
    self->text.capacity = RANDOM_RECORD_BYTES;
    cr_assert(self->text.data);
}

void
random_record_finish(struct random_record *self)
{
    om_buf_finish(&self->text);
}

// xorshift64*
uint64_t
random_record_bits(struct random_record *self)
{
    self->state ^= self->state >> 12;
    self->state ^= self->state << 25;
    self->state ^= self->state >> 27;
    return self->state * UINT64_C(0x2545f4914f6cdd1d);
}

// The ends of the range come often.
static double
pick(struct random_record *self, double low, double high)
{
    uint64_t bits = random_record_bits(self);
    if (bits % 8 < 2)
        return bits % 8 ? high : low;
    return low + (high - low) * ((double)(bits >> 11) / 9007199254740992.0);
}

static size_t
pick_count(struct random_record *self, const struct rec_field *field, size_t most)
{
    double high = field->high < (double)most ? field->high : (double)most;
    return (size_t)pick(self, field->low, high < field->low ? field->low : high);
}

static struct om_str
random_bytes(struct random_record *self, size_t size)
{
    struct om_str made = { self->text.data + self->text.size, size };
    for (size_t i = 0; i < size; i++) {
        char byte = (char)random_record_bits(self);
        om_buf_put(&self->text, &byte, 1);
    }
    return made;
}

static void
pack_any(struct random_record *self, struct om_buf *buf, int depth)
{
    uint64_t bits = random_record_bits(self);
    switch (bits % (depth < 5 ? 8 : 6)) {
    case 0:
        om_pack_nil(buf);
        break;
    case 1:
        om_pack_bool(buf, bits >> 63);
        break;
    case 2:
        om_pack_i64(buf, (int64_t)random_record_bits(self));
        break;
    case 3:
        om_pack_f64(buf, pick(self, -1, 1));
        break;
    case 4:
        om_pack_str(buf, OM_LIT("text"));
        break;
    case 5:
        om_pack_bin(buf, OM_LIT("\0\xff"));
        break;
    case 6:
        om_pack_array(buf, 2);
        pack_any(self, buf, depth + 1);
        pack_any(self, buf, depth + 1);
        break;
    default:
        om_pack_map(buf, 1);
        om_pack_str(buf, OM_LIT("key"));
        pack_any(self, buf, depth + 1);
    }
}

static void fill(struct random_record *self, const struct rec *type, uint64_t needed,
                 void *out);

static void
pack_item(struct random_record *self, const struct rec_field *field, struct om_buf *buf)
{
    uint64_t record[256];
    switch (field->type) {
    case REC_NUMS:
        om_pack_f64(buf, pick(self, -1e9, 1e9));
        break;
    case REC_STRS:
        om_pack_str(buf, OM_LIT("a name"));
        break;
    case REC_RECS:
        cr_assert(field->item->size <= sizeof(record));
        fill(self, field->item, 0, record);
        rec_encode(field->item, record, buf);
        break;
    default:
        om_pack_i64(buf, (int64_t)random_record_bits(self));
        pack_any(self, buf, 0);
    }
}

static struct om_str
random_list(struct random_record *self, const struct rec_field *field, size_t count)
{
    OM_AUTO(om_buf_finish) struct om_buf buf = { 0 };
    if (field->type == REC_MAP)
        om_pack_map(&buf, count);
    else
        om_pack_array(&buf, count);
    for (size_t i = 0; i < count; i++)
        pack_item(self, field, &buf);
    struct om_str made = { self->text.data + self->text.size, buf.size };
    om_buf_put(&self->text, buf.data, buf.size);
    return made;
}

static void
fill_member(struct random_record *self, const struct rec_field *field, char *member)
{
    int64_t integer;
    double number;
    bool flag;
    struct om_str bytes;
    switch (field->type) {
    case REC_I64:
        integer = (int64_t)pick(self, field->low, field->high);
        memcpy(member, &integer, sizeof(integer));
        break;
    case REC_F64:
        number = pick(self, field->low, field->high);
        memcpy(member, &number, sizeof(number));
        break;
    case REC_BOOL:
        flag = random_record_bits(self) >> 63;
        memcpy(member, &flag, sizeof(flag));
        break;
    case REC_STR:
    case REC_BIN:
        bytes = random_bytes(self, pick_count(self, field, 300));
        memcpy(member, &bytes, sizeof(bytes));
        break;
    default:
        bytes = random_list(self, field, pick_count(self, field, 20));
        memcpy(member, &bytes, sizeof(bytes));
    }
}

static void
fill(struct random_record *self, const struct rec *type, uint64_t needed, void *out)
{
    uint64_t has = 0;
    memset(out, 0, type->size);
    for (size_t i = 0; i < type->count; i++) {
        const struct rec_field *field = &type->fields[i];
        if (field->presence != REC_REQUIRED && !(needed >> i & 1) &&
            random_record_bits(self) >> 63)
            continue;
        fill_member(self, field, (char *)out + field->offset);
        has |= UINT64_C(1) << i;
    }
    memcpy(out, &has, sizeof(has));
}

void
random_record_fill(struct random_record *self, const struct rec *type, uint64_t needed,
                   void *out)
{
    self->text.size = 0;
    fill(self, type, needed, out);
    // Memory that moved would have left strings behind.
    cr_assert(!self->text.failed && self->text.capacity == RANDOM_RECORD_BYTES);
}
