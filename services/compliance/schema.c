#include "compliance.h"
#include "idem.h"
#include "subscriber.h"

const struct om_migration compliance_schema[] = {
    { 1, "audit log",
      OM_SUBSCRIBER_TABLE
      "CREATE TABLE audit_log ("
      "  tenant BLOB NOT NULL,"
      "  seq BIGINT NOT NULL,"
      "  at_ms BIGINT NOT NULL,"
      "  event_id TEXT NOT NULL,"
      "  hash BLOB NOT NULL," // chain.h
      "  actor TEXT NOT NULL,"
      "  action TEXT NOT NULL,"
      "  resource TEXT NOT NULL,"
      "  result TEXT NOT NULL,"
      "  ip TEXT,"
      "  user_agent TEXT,"
      "  correlation TEXT,"
      "  PRIMARY KEY (tenant, seq),"
      "  UNIQUE (tenant, event_id)"
      ") WITHOUT ROWID;"
      "CREATE TRIGGER audit_log_no_update BEFORE UPDATE ON audit_log "
      "BEGIN SELECT RAISE(ABORT, 'audit rows are never changed'); END;"
      "CREATE TRIGGER audit_log_no_delete BEFORE DELETE ON audit_log "
      "BEGIN SELECT RAISE(ABORT, 'audit rows are never deleted'); END;"
      // The end of each chain: rows cut off at the end would otherwise not be missed.
      "CREATE TABLE audit_head ("
      "  tenant BLOB PRIMARY KEY,"
      "  entries BIGINT NOT NULL,"
      "  hash BLOB NOT NULL"
      ");" },
    { 2, "answers by Idempotency-Key", OM_IDEM_TABLE },
    { 3, "requests that failed",
      "CREATE TABLE request_log ("
      "  tenant BLOB NOT NULL,"
      "  id BLOB NOT NULL,"
      "  at_ms BIGINT NOT NULL,"
      "  duration_us BIGINT NOT NULL,"
      "  method TEXT NOT NULL,"
      "  route TEXT NOT NULL,"
      "  path TEXT NOT NULL,"
      "  status BIGINT NOT NULL,"
      "  code TEXT,"
      "  key_id TEXT NOT NULL,"
      "  client_id TEXT,"
      "  detail BLOB NOT NULL," // request_kept, as the edge sent it
      "  UNIQUE (tenant, id)"
      ");"
      "CREATE INDEX request_log_by_age ON request_log (at_ms);" },
    { 0 },
};
