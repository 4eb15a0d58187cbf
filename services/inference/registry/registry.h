// registry.h - a tenant's files and the versions of its models; the owner of their blobs.
//
// A row refers to a blob by its id: owner and tenant are the row's. A blob that no row
// refers to is deleted a day after it was written. The service handles and sweeps in one
// thread, so nothing comes between looking for a reference and deleting.
#pragma once
#include "blob.h"
#include "db.h"
#include "outbox.h"
#include "service.h"

struct registry_conf {
    struct om_service_conf common;
    const char *blobs; // OMNI_BLOBS
};

struct registry {
    struct om_db *db;
    struct om_blob_store *blobs;
    struct om_blob_walk *walk; // the sweep under way, or NULL
    int64_t sweep_ms;          // mono; when to begin the next one
    struct outbox outbox;
};

extern const struct om_migration registry_schema[];
extern const struct om_route registry_routes[];

// The handlers, in the order of ops.h.
om_handler registry_file_create, registry_file_get, registry_file_list,
    registry_file_delete, registry_model_create, registry_model_get, registry_model_list;

// Look at some blobs of the sweep that is due, and delete those
// nobody refers to. Returns when to go on (mono ms).
int64_t registry_sweep(void *self, int64_t now_ms);

// The service's tick: that, and what is metered is published.
int64_t registry_tick(void *self, int64_t now_ms);

// ---- what the handlers share

// The reference's text, in the arena of the call.
struct om_str registry_blob(struct om_call *call, struct om_uuid id);

// Read the reference of a blob of `bytes` bytes that the caller has written.
enum om_rc registry_read_blob(struct registry *self, struct om_call *call,
                              struct om_str text, int64_t bytes, struct om_uuid *out);

// Is it a checksum, 64 lower-case hexadecimal digits? Fails the call if not.
enum om_rc registry_check_sha256(struct om_call *call, struct om_str text);
