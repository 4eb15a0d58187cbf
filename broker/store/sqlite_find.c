#include "sqlite.h"

void
sqlite_header_hash(struct om_str header, uint8_t out[32])
{
    struct wire_msg msg;
    memset(out, 0, 32);
    if (rec_decode(&wire_msg_rec, header, &msg, NULL) == OM_OK && WIRE_HAS(&msg, hash))
        memcpy(out, msg.hash.data, 32);
}

static enum om_rc
begin(struct sqlite_store *self)
{
    if (!self->finding && sqlite_run(self->finds[FINDER_BEGIN]) != SQLITE_DONE)
        return OM_EDB;
    self->finding = true;
    return OM_OK;
}

void
sqlite_find_end(struct sqlite_store *self)
{
    if (self->finding)
        sqlite_run(self->finds[FINDER_END]);
    self->finding = false;
}

static enum om_rc
find(sqlite3_stmt *row, struct sqlite_known *out)
{
    int code = sqlite3_step(row);
    if (code == SQLITE_ROW) {
        *out = (struct sqlite_known){ .seq = sqlite3_column_int64(row, 0),
                                      .id = sqlite_uuid(row, 1),
                                      .tenant = sqlite_uuid(row, 2) };
        sqlite_header_hash(sqlite_str(row, 3), out->hash);
        if (sqlite3_column_count(row) > 4) {
            out->until_ms = sqlite3_column_int64(row, 4);
            out->open = sqlite3_column_type(row, 5) != SQLITE_NULL;
        }
    }
    sqlite3_reset(row);
    return code == SQLITE_ROW ? OM_OK : code == SQLITE_DONE ? OM_ENOTFOUND : OM_EDB;
}

static enum om_rc
find_packed(struct sqlite_store *self, const struct om_uuid *id, struct sqlite_known *out)
{
    struct packed packed;
    enum om_rc rc = pack_find(self->finds[FINDER_IDS_OF_BUCKET],
                              self->finds[FINDER_BLOCK], id, &packed);
    if (rc == OM_OK) {
        const struct change_task *task = &packed.task.change.task;
        *out = (struct sqlite_known){ .seq = task->seq,
                                      .id = task->id,
                                      .tenant = task->tenant };
        sqlite_header_hash(task->header, out->hash);
    }
    sqlite3_reset(self->finds[FINDER_BLOCK]);
    return rc;
}

// The names of a purged task.
static enum om_rc
find_gone(sqlite3_stmt *row, struct sqlite_known *out)
{
    int code = sqlite3_step(row);
    if (code == SQLITE_ROW) {
        *out = (struct sqlite_known){ .seq = sqlite3_column_int64(row, 0),
                                      .id = sqlite_uuid(row, 1),
                                      .tenant = sqlite_uuid(row, 2) };
        struct om_str hash = sqlite_str(row, 3);
        if (hash.size == sizeof(out->hash))
            memcpy(out->hash, hash.data, sizeof(out->hash));
    }
    sqlite3_reset(row);
    return code == SQLITE_ROW ? OM_OK : code == SQLITE_DONE ? OM_ENOTFOUND : OM_EDB;
}

enum om_rc
sqlite_find_id(struct sqlite_store *self, const struct om_uuid *id,
               struct sqlite_known *out)
{
    if (begin(self) != OM_OK)
        return OM_EDB;
    sqlite_bind_uuid(self->finds[FINDER_BY_ID], 1, id);
    enum om_rc rc = find(self->finds[FINDER_BY_ID], out);
    if (rc == OM_ENOTFOUND)
        rc = find_packed(self, id, out);
    if (rc != OM_ENOTFOUND)
        return rc;
    sqlite_bind_uuid(self->finds[FINDER_GONE_BY_ID], 1, id);
    return find_gone(self->finds[FINDER_GONE_BY_ID], out);
}

enum om_rc
sqlite_find_key(struct sqlite_store *self, enum known_by by, const struct om_uuid *tenant,
                struct om_str key, struct sqlite_known *out)
{
    if (begin(self) != OM_OK)
        return OM_EDB;
    sqlite3_stmt *row = self->finds[by == KNOWN_IDEM ? FINDER_BY_IDEM : FINDER_BY_UNIQUE];
    sqlite_bind_uuid(row, 1, tenant);
    sqlite_bind_str(row, 2, key);
    enum om_rc rc = find(row, out);
    if (rc != OM_ENOTFOUND || by != KNOWN_IDEM)
        return rc;
    row = self->finds[FINDER_GONE_BY_IDEM];
    sqlite_bind_uuid(row, 1, tenant);
    sqlite_bind_str(row, 2, key);
    return find_gone(row, out);
}

bool
sqlite_holds_keys(struct sqlite_store *self)
{
    return sqlite_run(self->finds[FINDER_HELD]) != SQLITE_DONE;
}
