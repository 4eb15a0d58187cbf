#include "clock.h"
#include "registry.h"

enum {
    SWEEP_EVERY_MS = 3600 * 1000,
    STEP_BLOBS = 200, // looked at before calls are served again
    STEP_EVERY_MS = 20,
};

OM_SQL(blob_used, "SELECT 1 FROM file WHERE tenant = $1 AND blob = $2 "
                  "UNION ALL SELECT 1 FROM model WHERE tenant = $1 AND blob = $2");

// If it cannot be found out, it is used.
static bool
is_used(struct om_txn *txn, const struct om_blob_ref *ref)
{
    OM_AUTO(om_rows_close)
    struct om_rows *rows =
        om_db_query(txn, &sql_blob_used, DB_UUID(&ref->tenant), DB_UUID(&ref->id));
    return om_rows_next(rows) || om_db_rc(txn) != OM_OK;
}

// False at the end of the walk.
static bool
step(struct registry *self, struct om_txn *txn)
{
    int64_t before_ms = om_clock_wall_ms() - OM_BLOB_GRACE_MS;
    struct om_blob_entry entry;
    for (int n = 0; n < STEP_BLOBS; n++) {
        if (!om_blob_walk_next(self->walk, &entry))
            return false;
        if (entry.modified_ms < before_ms && (entry.partial || !is_used(txn, &entry.ref)))
            om_blob_walk_delete(self->walk);
    }
    return true;
}

int64_t
registry_sweep(void *context, int64_t now_ms)
{
    struct registry *self = context;
    if (!self->walk && now_ms < self->sweep_ms)
        return self->sweep_ms;
    self->sweep_ms = now_ms + SWEEP_EVERY_MS;
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin_read(self->db);
    if (!txn || (!self->walk &&
                 om_blob_walk_create(self->blobs, ROLE_REGISTRY, &self->walk) != OM_OK))
        return self->sweep_ms;
    if (step(self, txn))
        return now_ms + STEP_EVERY_MS;
    om_blob_walk_destroy(&self->walk);
    return self->sweep_ms;
}

int64_t
registry_tick(void *context, int64_t now_ms)
{
    struct registry *self = context;
    int64_t sweep_ms = registry_sweep(self, now_ms);
    int64_t flush_ms = outbox_flush(&self->outbox, now_ms);
    return sweep_ms < flush_ms ? sweep_ms : flush_ms;
}
