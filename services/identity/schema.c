#include "identity.h"

const struct om_migration identity_schema[] = {
    { 1, "tenants and keys",
      "CREATE TABLE tenant ("
      "  id BLOB PRIMARY KEY,"
      "  name TEXT NOT NULL UNIQUE,"
      "  created_ms BIGINT NOT NULL"
      ");"
      // An id is a UUIDv7, so its order is that of creation.
      "CREATE TABLE api_key ("
      "  id BLOB PRIMARY KEY,"
      "  tenant BLOB NOT NULL REFERENCES tenant (id),"
      "  call_id TEXT," // that made it
      "  name TEXT NOT NULL,"
      "  prefix TEXT NOT NULL,"
      "  hash BLOB NOT NULL UNIQUE,"
      "  scopes BIGINT NOT NULL," // a mask, scope.h
      "  created_ms BIGINT NOT NULL,"
      "  expires_ms BIGINT,"
      "  revoked_ms BIGINT,"
      "  UNIQUE (tenant, call_id)"
      ");"
      "CREATE INDEX api_key_by_tenant ON api_key (tenant, id);"
      // What edges have to forget, in order.
      "CREATE TABLE key_change ("
      "  seq INTEGER PRIMARY KEY,"
      "  hash BLOB NOT NULL"
      ");" },
    { 0 },
};
