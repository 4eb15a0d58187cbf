#include "billing.h"
#include "idem.h"
#include "plan.h"
#include "quota.h"
#include "subscriber.h"

// The rows of PLAN_LIST.
#define TEXT(number) #number
#define QUOTA_SEED(code, policy, most)                                                   \
    "INSERT INTO plan_quota (plan, policy, most) "                                       \
    "SELECT '" #code "', '" policy "', " TEXT(most) " WHERE " TEXT(most) " IS NOT NULL;"
#define PLAN_SEED(code, name, requests, tokens, concurrent, calls, inferences, storage,  \
                  compute, models)                                                       \
    "INSERT INTO plan (code, name, requests, tokens, concurrent, place) "                \
    "SELECT '" #code "', '" name "', " TEXT(requests) ", " TEXT(tokens) ", " TEXT(       \
        concurrent) ", count(*) FROM plan;" QUOTA_SEED(code, "api_calls_month", calls)   \
        QUOTA_SEED(code, "ml_inference_day", inferences)                                 \
            QUOTA_SEED(code, "storage_bytes", storage)                                   \
                QUOTA_SEED(code, "compute_month", compute)                               \
                    QUOTA_SEED(code, "custom_models", models)

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
    { 2, "plans and quotas",
      // A rate that is NULL, and a quota that has no row, is not limited.
      "CREATE TABLE plan ("
      "  code TEXT PRIMARY KEY,"
      "  name TEXT NOT NULL,"
      "  requests BIGINT,"
      "  tokens BIGINT,"
      "  concurrent BIGINT,"
      "  place BIGINT NOT NULL" // in lists
      ") WITHOUT ROWID;"
      "CREATE TABLE plan_quota ("
      "  plan TEXT NOT NULL,"
      "  policy TEXT NOT NULL,"
      "  most BIGINT NOT NULL,"
      "  PRIMARY KEY (plan, policy)"
      ") WITHOUT ROWID;"
      // What edges are to hear of: NULL is a plan, else a tenant with a limit of its own.
      "CREATE TABLE quota_change ("
      "  version INTEGER PRIMARY KEY,"
      "  tenant BLOB"
      ");"
      "CREATE TABLE quota_own ("
      "  tenant BLOB NOT NULL,"
      "  policy TEXT NOT NULL,"
      "  most BIGINT NOT NULL,"
      "  PRIMARY KEY (tenant, policy)"
      ") WITHOUT ROWID;"
      // The plan a tenant had when an edge asked last.
      "CREATE TABLE quota_plan ("
      "  tenant BLOB PRIMARY KEY,"
      "  plan TEXT NOT NULL"
      ") WITHOUT ROWID;"
      // What tally.h describes.
      "CREATE TABLE quota_tally ("
      "  tenant BLOB NOT NULL,"
      "  policy TEXT NOT NULL,"
      "  window_ms BIGINT NOT NULL,"
      "  metered BIGINT NOT NULL,"
      "  removed BIGINT NOT NULL,"
      "  settled BIGINT NOT NULL,"
      "  leased BIGINT NOT NULL,"
      "  slot_ms BIGINT NOT NULL,"
      "  recent BIGINT NOT NULL,"
      "  before BIGINT NOT NULL,"
      "  PRIMARY KEY (tenant, policy, window_ms)"
      ") WITHOUT ROWID;"
      // One that came back stays until it would have expired: a call that is repeated
      // gets the answer it got.
      "CREATE TABLE quota_lease ("
      "  tenant BLOB NOT NULL,"
      "  id TEXT NOT NULL," // of the call
      "  policy TEXT NOT NULL,"
      "  window_ms BIGINT NOT NULL,"
      "  granted BIGINT NOT NULL,"
      "  used BIGINT," // NULL: it is out
      "  expires_ms BIGINT NOT NULL,"
      "  object TEXT," // whose usage event ends it
      "  PRIMARY KEY (tenant, id, policy)"
      ") WITHOUT ROWID;"
      "CREATE INDEX quota_lease_by_expiry ON quota_lease (expires_ms);"
      "CREATE INDEX quota_lease_by_object ON quota_lease (tenant, object) "
      "  WHERE object IS NOT NULL;" PLAN_LIST(
          PLAN_SEED) "INSERT INTO quota_change (version) VALUES (1);" },
    { 3, "answers by Idempotency-Key", OM_IDEM_TABLE },
    { 0 },
};
