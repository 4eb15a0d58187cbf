#include "idem.h"
#include "scheduler.h"
#include "subscriber.h"

const struct om_migration scheduler_schema[] = {
    { 1, "schedules and fires",
      // An id is a UUIDv7, so its order is that of creation.
      "CREATE TABLE schedule ("
      "  id BLOB PRIMARY KEY,"
      "  tenant BLOB NOT NULL,"
      "  call_id TEXT," // that made it
      "  cron TEXT NOT NULL,"
      "  queue TEXT NOT NULL,"
      "  kind TEXT NOT NULL,"
      "  payload TEXT NOT NULL," // JSON
      "  misfire TEXT NOT NULL,"
      "  next_ms BIGINT," // NULL: never again
      "  last_ms BIGINT,"
      "  last_task BLOB,"
      "  created_ms BIGINT NOT NULL,"
      "  deleted_ms BIGINT," // kept for its fires
      "  UNIQUE (tenant, call_id)"
      ");"
      "CREATE INDEX schedule_by_tenant ON schedule (tenant, id);"
      "CREATE INDEX schedule_due ON schedule (next_ms) WHERE next_ms IS NOT NULL;"
      "CREATE TABLE fire ("
      "  schedule BLOB NOT NULL REFERENCES schedule (id),"
      "  nominal_ms BIGINT NOT NULL,"
      "  task BLOB NOT NULL UNIQUE,"
      "  state INTEGER NOT NULL," // enum fire_state
      "  code TEXT,"              // why it was refused
      "  retry_ms BIGINT NOT NULL,"
      "  PRIMARY KEY (schedule, nominal_ms)"
      ");"
      "CREATE INDEX fire_pending ON fire (retry_ms) WHERE state = 0;" },
    { 2, "answers by Idempotency-Key", OM_IDEM_TABLE },
    { 3, "what the platform promises, and how it did",
      "CREATE TABLE slo_count ("
      "  objective INTEGER NOT NULL," // enum slo
      "  start_ms BIGINT NOT NULL,"   // of five minutes
      "  good BIGINT NOT NULL,"
      "  total BIGINT NOT NULL,"
      "  PRIMARY KEY (objective, start_ms)"
      ");"
      "CREATE TABLE program_day ("
      "  name TEXT NOT NULL,"
      "  day BIGINT NOT NULL," // since 1970, UTC
      "  ready BIGINT NOT NULL,"
      "  looks BIGINT NOT NULL,"
      "  PRIMARY KEY (name, day)"
      ");"
      "CREATE TABLE incident ("
      "  component TEXT NOT NULL,"
      "  began_ms BIGINT NOT NULL,"
      "  ended_ms BIGINT," // NULL: it goes on
      "  PRIMARY KEY (component, began_ms)"
      ");" },
    // The context it was made in, to which its fires are linked.
    { 4, "traces of schedules", "ALTER TABLE schedule ADD COLUMN traceparent TEXT;" },
    { 5, "groups of errors",
      OM_SUBSCRIBER_TABLE
      "CREATE TABLE error_group ("
      "  id BLOB PRIMARY KEY,"
      "  tenant BLOB NOT NULL,"
      "  fingerprint BLOB NOT NULL,"
      "  status INTEGER NOT NULL," // enum error_status
      "  regressed INTEGER NOT NULL,"
      "  platform INTEGER NOT NULL," // not of a queue of the tenant's own
      "  source TEXT NOT NULL,"
      "  queue TEXT,"
      "  kind TEXT,"
      "  route TEXT,"
      "  code TEXT NOT NULL,"
      "  title TEXT NOT NULL,"
      "  count BIGINT NOT NULL,"
      "  retried BIGINT NOT NULL,"
      "  first_ms BIGINT NOT NULL,"
      "  last_ms BIGINT NOT NULL,"
      "  changed_ms BIGINT NOT NULL," // when the status was set
      "  version BIGINT NOT NULL,"
      "  slot INTEGER NOT NULL," // of the newest sample
      "  UNIQUE (tenant, fingerprint)"
      ");"
      "CREATE INDEX error_group_by_tenant ON error_group (tenant, id);"
      "CREATE INDEX error_group_by_use ON error_group (tenant, status, last_ms);"
      "CREATE INDEX error_group_by_last ON error_group (last_ms);"
      "CREATE INDEX error_group_of_platform ON error_group (id) WHERE platform = 1;"
      // A slot for each hour of a day, and for each of the newest samples.
      "CREATE TABLE error_hour ("
      "  grp BLOB NOT NULL,"
      "  slot INTEGER NOT NULL,"
      "  hour BIGINT NOT NULL," // since 1970
      "  count BIGINT NOT NULL,"
      "  PRIMARY KEY (grp, slot)"
      ");"
      "CREATE TABLE error_sample ("
      "  grp BLOB NOT NULL,"
      "  slot INTEGER NOT NULL,"
      "  seq BIGINT NOT NULL," // of the group's versions
      "  at_ms BIGINT NOT NULL,"
      "  message TEXT NOT NULL,"
      "  retried INTEGER NOT NULL,"
      "  trace_id TEXT,"
      "  task_id TEXT,"
      "  request_id TEXT,"
      "  attempt BIGINT,"
      "  worker TEXT,"
      "  model TEXT,"
      "  PRIMARY KEY (grp, slot)"
      ");"
      // Events that an edge may send again.
      "CREATE TABLE error_seen ("
      "  tenant BLOB NOT NULL,"
      "  id TEXT NOT NULL,"
      "  at_ms BIGINT NOT NULL,"
      "  PRIMARY KEY (tenant, id)"
      ");"
      "CREATE INDEX error_seen_by_time ON error_seen (at_ms);" },
    { 0 },
};
