// chain.h - the hash of an audit row. Pure.
//
// Each row's hash covers the hash of the row before it, so no row can be changed, taken
// out or put in without changing all that follow:
//
//   hash = SHA-256(hash before ‖ tenant ‖ seq ‖ at ‖ event id ‖ each field of
//   AUDIT_EVENT)
//
// The first row follows 32 zero bytes. Tenant is 16 bytes; numbers are 8 bytes,
// big-endian; a text is a byte 1, its size as 4 bytes, big-endian, and its bytes; an
// absent text is a byte 0. So no two rows have the same bytes.
#pragma once
#include "ops.h"

enum { CHAIN_HASH = 32 };

struct chain_row {
    struct om_uuid tenant;
    int64_t seq; // from 1 in each tenant
    int64_t at_ms;
    struct om_str event_id;
    struct audit_event event; // an absent text has data == NULL
};

// OM_EINTERNAL: no memory.
OM_MUST_CHECK enum om_rc chain_hash(const uint8_t before[CHAIN_HASH],
                                    const struct chain_row *row, uint8_t out[CHAIN_HASH]);
