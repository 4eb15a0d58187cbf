// usage.h - the record of what was used.
#pragma once
#include "billing.h"

// Apply a run of a shard's usage events in one transaction that also stores how far the
// shard's log was read. Events up to there, and events whose id the tenant had before,
// are skipped, so usage is counted once however often it is delivered.
//   OM_EPROTO  an event is no usage record; nothing was applied
//   OM_EINVAL  an hour's sum would exceed 64 bits; nothing was applied
//   OM_EDB, OM_ENOSPACE
enum om_rc usage_apply(void *self, uint8_t shard, const struct wire_logged *events,
                       size_t count);
