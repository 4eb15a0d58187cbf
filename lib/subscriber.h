// subscriber.h - applies runs of events, each event once: in the transaction that stores
// how far a shard's log has been applied.
#pragma once
#include "db.h"
#include "wire.h"

// A statement of the schema of each service that subscribes.
#define OM_SUBSCRIBER_TABLE                                                              \
    "CREATE TABLE shard_cursor ("                                                        \
    "  shard INTEGER PRIMARY KEY,"                                                       \
    "  seq BIGINT NOT NULL"                                                              \
    ");"

// Apply one event. Anything but OM_OK: nothing of the run is applied.
typedef enum om_rc om_apply_fn(void *context, struct om_txn *txn,
                               const struct wire_logged *event);

// Give the events of a run to `apply` in order, but for those that were applied before.
// The results are those of an om_events_handler.
OM_MUST_CHECK enum om_rc om_subscriber_apply(struct om_db *db, uint8_t shard,
                                             const struct wire_logged *events,
                                             size_t count, om_apply_fn *apply,
                                             void *context);
