#include <stdio.h>

#include "clock.h"
#include "outbox.h"

enum { EVENTS_MAX = 48, PUBLISH_MS = 5000, FLUSH_EVERY_MS = 250 };

OM_SQL(outbox_add, "INSERT INTO usage_outbox (tenant, event, meter, quantity, at_ms) "
                   "VALUES ($1, $2, $3, $4, $5)");
OM_SQL(outbox_first, "SELECT tenant FROM usage_outbox ORDER BY seq LIMIT 1");
OM_SQL(outbox_list, "SELECT seq, event, meter, quantity, at_ms FROM usage_outbox "
                    "WHERE tenant = $1 ORDER BY seq LIMIT $2");
OM_SQL(outbox_drop, "DELETE FROM usage_outbox WHERE tenant = $1 AND seq <= $2");

static void
add(struct outbox *self, struct om_txn *txn, const struct om_uuid *tenant,
    struct om_str id, const char *meter, int64_t bytes)
{
    char event[96];
    snprintf(event, sizeof(event), "%.*s/%s", (int)id.size, id.data, meter);
    om_db_exec(txn, &sql_outbox_add, DB_UUID(tenant), DB_STR(om_str(event)),
               DB_STR(om_str(meter)), DB_I64(bytes), DB_I64(om_clock_wall_ms()));
    self->pending = true;
}

void
outbox_store(struct outbox *self, struct om_txn *txn, const struct om_uuid *tenant,
             struct om_str id, int64_t bytes)
{
    add(self, txn, tenant, id, "storage_bytes", bytes);
}

void
outbox_remove(struct outbox *self, struct om_txn *txn, const struct om_uuid *tenant,
              struct om_str id, int64_t bytes)
{
    add(self, txn, tenant, id, "storage_bytes_removed", bytes);
}

// ---- publishing

static bool
find_tenant(struct outbox *self, struct om_txn *txn)
{
    OM_AUTO(om_rows_close) struct om_rows *rows = om_db_query(txn, &sql_outbox_first);
    if (!om_rows_next(rows))
        return false;
    self->tenant = om_row_uuid(rows, 0);
    return true;
}

static void
put_event(struct om_buf *out, struct om_rows *rows)
{
    OM_AUTO(om_buf_finish) struct om_buf body = { 0 };
    struct wire_usage usage = { 0 };
    struct wire_event event = { 0 };
    REC_SET(&usage, wire_usage, meter, om_row_str(rows, 2));
    REC_SET(&usage, wire_usage, quantity, om_row_i64(rows, 3));
    rec_encode(&wire_usage_rec, &usage, &body);
    REC_SET(&event, wire_event, topic, OM_LIT("usage"));
    REC_SET(&event, wire_event, id, om_row_str(rows, 1));
    REC_SET(&event, wire_event, at, om_row_i64(rows, 4));
    REC_SET(&event, wire_event, body, om_buf_str(&body));
    rec_encode(&wire_event_rec, &event, out);
}

// The oldest events of one tenant as an array. False: there are none, or the database
// failed.
static bool
read_events(struct outbox *self, struct om_buf *out)
{
    size_t count = 0;
    OM_AUTO(om_buf_finish) struct om_buf events = { 0 };
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin_read(self->db);
    if (!txn || !find_tenant(self, txn)) {
        self->pending = !txn || om_db_rc(txn) != OM_OK;
        return false;
    }
    OM_AUTO(om_rows_close)
    struct om_rows *rows =
        om_db_query(txn, &sql_outbox_list, DB_UUID(&self->tenant), DB_I64(EVENTS_MAX));
    for (; om_rows_next(rows); count++) {
        put_event(&events, rows);
        self->last = om_row_i64(rows, 0);
    }
    om_pack_array(out, count);
    om_buf_put(out, events.data, events.size);
    return om_db_rc(txn) == OM_OK && count > 0 && !out->failed;
}

// What cannot be deleted now is published again, which changes nothing.
static void
on_published(void *context, const struct om_answer *answer)
{
    struct outbox *self = context;
    self->sent = false;
    OM_AUTO(om_db_rollback)
    struct om_txn *txn = answer->rc == OM_OK ? om_db_begin(self->db) : NULL;
    if (!txn)
        return;
    om_db_exec(txn, &sql_outbox_drop, DB_UUID(&self->tenant), DB_I64(self->last));
    (void)!om_db_commit(&txn);
}

int64_t
outbox_flush(struct outbox *self, int64_t now_ms)
{
    char tenant[OM_TYPEID_MAX];
    OM_AUTO(om_buf_finish) struct om_buf events = { 0 };
    if (self->sent || !self->pending || !read_events(self, &events))
        return now_ms + FLUSH_EVERY_MS;
    om_typeid_encode(OM_ID_TENANT, &self->tenant, tenant);
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, tenant, om_str(tenant));
    WIRE_SET(&msg, events, om_buf_str(&events));
    self->sent = om_client_send(self->client, WIRE_PUBLISH, &msg, (struct om_str){ 0 },
                                PUBLISH_MS, on_published, self) != 0;
    return now_ms + FLUSH_EVERY_MS;
}
