// outbox.h - what the registry meters: the bytes of files and models that are stored, and
// of those that were deleted.
//
// An event is kept from the transaction that causes it until the broker has it on disk,
// so none is lost; it is published until then, and its id has it applied once.
#pragma once
#include "client.h"
#include "db.h"

struct outbox {
    struct om_db *db;
    struct om_client *client;
    bool pending;          // there may be something in it
    bool sent;             // a message is under way:
    struct om_uuid tenant; // whose
    int64_t last;          // and up to where
};

// Note that `bytes` of the object `id` (its text) were stored, or removed.
void outbox_store(struct outbox *self, struct om_txn *txn, const struct om_uuid *tenant,
                  struct om_str id, int64_t bytes);
void outbox_remove(struct outbox *self, struct om_txn *txn, const struct om_uuid *tenant,
                   struct om_str id, int64_t bytes);

// Publish what there is, if nothing is under way. Returns when to be called next.
int64_t outbox_flush(struct outbox *self, int64_t now_ms);
