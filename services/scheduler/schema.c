#include "idem.h"
#include "scheduler.h"

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
    { 0 },
};
