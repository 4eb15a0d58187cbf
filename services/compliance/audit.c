#include "audit.h"
#include "metrics.h"
#include "subscriber.h"

OM_SQL(head_get, "SELECT entries, hash FROM audit_head WHERE tenant = $1");
OM_SQL(head_set, "INSERT INTO audit_head (tenant, entries, hash) VALUES ($1, $2, $3) "
                 "ON CONFLICT (tenant) DO UPDATE "
                 "SET entries = excluded.entries, hash = excluded.hash");
OM_SQL(audit_insert,
       "INSERT INTO audit_log (tenant, seq, at_ms, event_id, hash" AUDIT_EVENT(
           AUDIT_NAME, ) ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) "
                         "ON CONFLICT (tenant, event_id) DO NOTHING");

struct audit_head
audit_head(struct om_txn *txn, const struct om_uuid *tenant)
{
    struct audit_head head = { 0 };
    OM_AUTO(om_rows_close)
    struct om_rows *rows = om_db_query(txn, &sql_head_get, DB_UUID(tenant));
    if (om_rows_next(rows)) {
        head.entries = om_row_i64(rows, 0);
        om_row_hash(rows, 1, head.hash);
    }
    return head;
}

void
audit_read(struct om_rows *rows, struct chain_row *row, uint8_t hash[CHAIN_HASH])
{
    row->seq = om_row_i64(rows, 0);
    row->at_ms = om_row_i64(rows, 1);
    row->event_id = om_row_str(rows, 2);
    om_row_hash(rows, 3, hash);
    int column = 4;
#define AUDIT_READ(M, type, name, ...) row->event.name = om_row_str(rows, column++);
    AUDIT_EVENT(AUDIT_READ, )
#undef AUDIT_READ
}

static uint64_t appended; // in the run that is applied

static enum om_rc
append(void *context, struct om_txn *txn, const struct wire_logged *event)
{
    (void)context;
    struct chain_row row = { .at_ms = event->at, .event_id = event->id };
    if (om_typeid_decode(OM_ID_TENANT, event->tenant, &row.tenant) ||
        rec_decode(&audit_event_rec, event->body, &row.event, NULL))
        return OM_EPROTO;
    struct audit_head head = audit_head(txn, &row.tenant);
    row.seq = head.entries + 1;
    uint8_t hash[CHAIN_HASH];
    enum om_rc rc = chain_hash(head.hash, &row, hash);
    if (rc)
        return rc;
#define AUDIT_VALUE(M, type, name, ...) , DB_STR(row.event.name)
    rc = om_db_exec(txn, &sql_audit_insert, DB_UUID(&row.tenant), DB_I64(row.seq),
                    DB_I64(row.at_ms), DB_STR(row.event_id),
                    DB_HASH(hash) AUDIT_EVENT(AUDIT_VALUE, ));
#undef AUDIT_VALUE
    if (rc || om_db_changes(txn) == 0)
        return rc; // delivered again: normal, not a failure
    appended++;
    return om_db_exec(txn, &sql_head_set, DB_UUID(&row.tenant), DB_I64(row.seq),
                      DB_HASH(hash));
}

enum om_rc
audit_apply(void *context, uint8_t shard, const struct wire_logged *events, size_t count)
{
    struct compliance *self = context;
    static uint32_t records;
    if (!records)
        records = om_metric_cell(M_omni_audit_records_total);
    appended = 0;
    enum om_rc rc = om_subscriber_apply(self->db, shard, events, count, append, self);
    if (rc == OM_OK)
        om_metric_add(records, appended);
    return rc;
}
