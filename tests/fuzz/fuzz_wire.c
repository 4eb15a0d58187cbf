// Headers and records from the network. What the decoder takes must be msgpack to another
// decoder too, and must mean the same after it was written anew.
#include <msgpack.h>
#include <stdint.h>
#include <stdlib.h>

#include "ops.h"

static const struct rec *const types[] = {
    &wire_msg_rec,    &wire_usage_rec,    &wire_event_rec, &wire_logged_rec,
    &wire_held_rec,   &wire_task_rec,     &key_item_rec,   &key_change_item_rec,
    &file_item_rec,   &model_item_rec,    &usage_item_rec, &audit_event_rec,
    &audit_item_rec,  &schedule_item_rec,
#define OP_TYPES(name, queue, lane, request, reply, callers, doc)                        \
    &name##_request_rec, &name##_reply_rec,
    OP_LIST(OP_TYPES)
#undef OP_TYPES
};

static void
require(bool condition)
{
    if (!condition)
        abort();
}

static bool
is_msgpack(struct om_str bytes)
{
    msgpack_unpacked value;
    size_t used = 0;
    msgpack_unpacked_init(&value);
    bool whole = msgpack_unpack_next(&value, bytes.data, bytes.size, &used) ==
                     MSGPACK_UNPACK_SUCCESS &&
                 used == bytes.size && value.data.type == MSGPACK_OBJECT_MAP;
    msgpack_unpacked_destroy(&value);
    return whole;
}

static void
walk_lists(const struct rec *type, const void *record)
{
    for (size_t i = 0; i < type->count; i++) {
        if (type->fields[i].type < REC_NUMS)
            continue;
        struct om_str list, item;
        double number;
        memcpy(&list, (const char *)record + type->fields[i].offset, sizeof(list));
        struct rec_iter iter = rec_iter(list);
        while (rec_next_f64(&iter, &number) || rec_next_str(&iter, &item) ||
               rec_next_raw(&iter, &item)) {
        }
        require(type->fields[i].type == REC_MAP || iter.left == 0);
    }
}

static void
try_record(const struct rec *type, struct om_str bytes)
{
    uint64_t first[256], second[256];
    require(type->size <= sizeof(first));
    if (rec_decode(type, bytes, first, NULL) != OM_OK)
        return;
    require(is_msgpack(bytes));
    require(rec_check(type, first, NULL) == OM_OK);
    walk_lists(type, first);

    struct om_buf once = { 0 }, twice = { 0 };
    rec_encode(type, first, &once);
    require(rec_decode(type, om_buf_str(&once), second, NULL) == OM_OK);
    rec_encode(type, second, &twice);
    require(om_str_eq(om_buf_str(&once), om_buf_str(&twice)));
    om_buf_finish(&once);
    om_buf_finish(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// The first byte chooses the record type; the header is tried with each input.
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct om_str bytes = { (const char *)data + 1, size - 1 };
    struct wire_msg msg;
    if (wire_decode(bytes, &msg) == OM_OK)
        require(is_msgpack(bytes));
    try_record(types[data[0] % OM_COUNT(types)], bytes);
    return 0;
}
