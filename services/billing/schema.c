#include "billing.h"
#include "subscriber.h"

const struct om_migration billing_schema[] = {
    { 1, "usage",
      OM_SUBSCRIBER_TABLE
      "CREATE TABLE usage_event ("
      "  tenant BLOB NOT NULL,"
      "  id TEXT NOT NULL,"
      "  meter TEXT NOT NULL,"
      "  at_ms BIGINT NOT NULL,"
      "  quantity BIGINT NOT NULL,"
      "  subject TEXT,"
      "  PRIMARY KEY (tenant, id)"
      ") WITHOUT ROWID;"
      "CREATE INDEX usage_event_by_time ON usage_event (tenant, at_ms);"
      // The sums of the events above, by hour.
      "CREATE TABLE usage_hour ("
      "  tenant BLOB NOT NULL,"
      "  meter TEXT NOT NULL,"
      "  hour_ms BIGINT NOT NULL,"
      "  quantity BIGINT NOT NULL,"
      "  PRIMARY KEY (tenant, meter, hour_ms)"
      ") WITHOUT ROWID;" },
    { 0 },
};
