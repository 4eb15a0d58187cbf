#include "chain.h"
#include "id.h"

static void
put_number(struct om_buf *buf, uint64_t value, int bytes)
{
    for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) {
        uint8_t byte = (uint8_t)(value >> shift);
        om_buf_put(buf, &byte, 1);
    }
}

static void
put_text(struct om_buf *buf, struct om_str text)
{
    put_number(buf, text.data != NULL, 1);
    if (!text.data)
        return;
    put_number(buf, text.size, 4);
    om_buf_put(buf, text.data, text.size);
}

enum om_rc
chain_hash(const uint8_t before[CHAIN_HASH], const struct chain_row *row,
           uint8_t out[CHAIN_HASH])
{
    OM_AUTO(om_buf_finish) struct om_buf buf = { 0 };
    om_buf_put(&buf, before, CHAIN_HASH);
    om_buf_put(&buf, row->tenant.bytes, sizeof(row->tenant.bytes));
    put_number(&buf, (uint64_t)row->seq, 8);
    put_number(&buf, (uint64_t)row->at_ms, 8);
    put_text(&buf, row->event_id);
#define CHAIN_PUT(M, type, name, ...) put_text(&buf, row->event.name);
    AUDIT_EVENT(CHAIN_PUT, )
#undef CHAIN_PUT
    if (buf.failed)
        return OM_EINTERNAL;
    om_sha256(om_buf_str(&buf), out);
    return OM_OK;
}
