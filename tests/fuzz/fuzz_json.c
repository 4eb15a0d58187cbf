// fuzz_json.c - any text as the body of an operation, and back: what is read can be
// written and read again. The first byte chooses the operation.
#include <stdlib.h>

#include "json.h"
#include "ops.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
finish(struct om_arena *arena)
{
    om_arena_finish(arena);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    OM_AUTO(finish) struct om_arena arena = { 0 };
    OM_AUTO(om_buf_finish) struct om_buf packed = { 0 };
    OM_AUTO(om_buf_finish) struct om_buf text = { 0 };
    _Alignas(8) char record[2048];
    struct om_json_error error;
    if (size == 0)
        return 0;
    const struct rec *type = ops[data[0] % OP_COUNT].request;
    struct om_str json = { (const char *)data + 1, size - 1 };
    if (om_json_to_record(type, json, &arena, record, &error) != OM_OK)
        return 0;
    rec_encode(type, record, &packed);
    // A field nobody outside can give may be missing; the rest must hold.
    const struct rec_field *field;
    if (rec_decode(type, om_buf_str(&packed), record, &field) != OM_OK)
        return field && field->type == REC_BIN ? 0 : (abort(), 0);
    om_json_put_record(&text, type, record);
    if (om_json_to_record(type, om_buf_str(&text), &arena, record, &error) != OM_OK)
        abort();
    return 0;
}
