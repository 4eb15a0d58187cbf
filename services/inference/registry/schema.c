#include "idem.h"
#include "registry.h"

const struct om_migration registry_schema[] = {
    { 1, "files and models",
      // An id is a UUIDv7, so its order is that of creation.
      "CREATE TABLE file ("
      "  tenant BLOB NOT NULL,"
      "  id BLOB NOT NULL,"
      "  purpose TEXT NOT NULL,"
      "  filename TEXT NOT NULL,"
      "  bytes BIGINT NOT NULL,"
      "  sha256 TEXT NOT NULL,"
      "  blob BLOB NOT NULL,"
      "  created_ms BIGINT NOT NULL,"
      "  PRIMARY KEY (tenant, id),"
      "  UNIQUE (tenant, blob)"
      ");"
      "CREATE TABLE model ("
      "  tenant BLOB NOT NULL,"
      "  id BLOB NOT NULL,"
      "  name TEXT NOT NULL,"
      "  version BIGINT NOT NULL,"
      "  model_type TEXT NOT NULL,"
      "  task BLOB NOT NULL,"
      "  training_file BLOB,"
      "  metrics BLOB NOT NULL," // a msgpack map
      "  bytes BIGINT NOT NULL,"
      "  sha256 TEXT NOT NULL,"
      "  blob BLOB NOT NULL,"
      "  created_ms BIGINT NOT NULL,"
      "  PRIMARY KEY (tenant, id),"
      "  UNIQUE (tenant, task),"
      "  UNIQUE (tenant, name, version),"
      "  UNIQUE (tenant, blob)"
      ");" },
    { 2, "what is metered",
      // Events until the broker has them. What was stored before is metered by ids that
      // are not those of the objects, because they are bytes here.
      "CREATE TABLE usage_outbox ("
      "  seq INTEGER PRIMARY KEY,"
      "  tenant BLOB NOT NULL,"
      "  event TEXT NOT NULL,"
      "  meter TEXT NOT NULL,"
      "  quantity BIGINT NOT NULL,"
      "  at_ms BIGINT NOT NULL"
      ");"
      "INSERT INTO usage_outbox (tenant, event, meter, quantity, at_ms) "
      "SELECT tenant, lower(hex(id)) || '/storage_bytes', 'storage_bytes', bytes, "
      "created_ms FROM file UNION ALL "
      "SELECT tenant, lower(hex(id)) || '/storage_bytes', 'storage_bytes', bytes, "
      "created_ms FROM model;" },
    { 3, "answers by Idempotency-Key", OM_IDEM_TABLE },
    { 0 },
};
