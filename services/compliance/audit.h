// audit.h - the stored chains: appending to them and reading them.
#pragma once
#include "chain.h"
#include "compliance.h"

// Append a run of a shard's audit events to their tenants' chains, in one transaction
// that also stores how far the shard's log was read. What was appended before is skipped.
//   OM_EPROTO  an event is no audit record; nothing was appended
//   OM_EDB, OM_ENOSPACE
enum om_rc audit_apply(void *self, uint8_t shard, const struct wire_logged *events,
                       size_t count);

// The columns audit_read() wants, for queries on audit_log.
#define AUDIT_NAME(M, type, name, ...) ", " #name
#define AUDIT_COLUMNS                  "seq, at_ms, event_id, hash" AUDIT_EVENT(AUDIT_NAME, )

// The current row of a query for AUDIT_COLUMNS; texts are borrowed from it.
void audit_read(struct om_rows *rows, struct chain_row *row, uint8_t hash[CHAIN_HASH]);

// How long a tenant's chain is, and the hash of its last row; 0 and zeroes if it has
// none.
struct audit_head {
    int64_t entries;
    uint8_t hash[CHAIN_HASH];
};

struct audit_head audit_head(struct om_txn *txn, const struct om_uuid *tenant);
