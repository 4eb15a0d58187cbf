#include "usage.h"
#include "period.h"
#include "subscriber.h"
#include "tally.h"
#include "usage_stats.h"

OM_SQL(event_insert,
       "INSERT INTO usage_event (tenant, id, meter, at_ms, quantity, subject) "
       "VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (tenant, id) DO NOTHING");
// The condition keeps the sum an integer: SQLite would go on with a float.
OM_SQL(
    hour_add,
    "INSERT INTO usage_hour (tenant, meter, hour_ms, quantity) VALUES ($1, $2, $3, $4) "
    "ON CONFLICT (tenant, meter, hour_ms) "
    "DO UPDATE SET quantity = usage_hour.quantity + excluded.quantity "
    "WHERE usage_hour.quantity <= 9223372036854775807 - excluded.quantity");

static enum om_rc
apply_one(void *context, struct om_txn *txn, const struct wire_logged *event)
{
    (void)context;
    struct om_uuid tenant;
    struct wire_usage usage;
    if (om_typeid_decode(OM_ID_TENANT, event->tenant, &tenant) ||
        rec_decode(&wire_usage_rec, event->body, &usage, NULL))
        return OM_EPROTO;
    enum om_rc rc = om_db_exec(txn, &sql_event_insert, DB_UUID(&tenant),
                               DB_STR(event->id), DB_STR(usage.meter), DB_I64(event->at),
                               DB_I64(usage.quantity), DB_STR(usage.subject));
    if (rc || om_db_changes(txn) == 0) {
        usage_stats_repeat();
        return rc; // delivered again: normal, not a failure
    }
    usage_stats_note(&tenant, usage.meter, usage.quantity);
    rc = om_db_exec(txn, &sql_hour_add, DB_UUID(&tenant), DB_STR(usage.meter),
                    DB_I64(period_hour(event->at)), DB_I64(usage.quantity));
    if (!rc && om_db_changes(txn) == 0)
        return OM_EINVAL;
    tally_meter(txn, &tenant, event->id, usage.meter, usage.quantity, event->at);
    return om_db_rc(txn);
}

enum om_rc
usage_apply(void *context, uint8_t shard, const struct wire_logged *events, size_t count)
{
    struct billing *self = context;
    enum om_rc rc = om_subscriber_apply(self->db, shard, events, count, apply_one, self);
    usage_stats_end(rc == OM_OK);
    return rc;
}
