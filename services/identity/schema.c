#include "idem.h"
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
    { 2, "users, roles, settings and sandboxes",
      "ALTER TABLE tenant RENAME COLUMN name TO slug;"
      "ALTER TABLE tenant ADD COLUMN name TEXT NOT NULL DEFAULT '';"
      "ALTER TABLE tenant ADD COLUMN plan TEXT NOT NULL DEFAULT 'free';"
      "ALTER TABLE tenant ADD COLUMN state TEXT NOT NULL DEFAULT 'active';"
      "ALTER TABLE tenant ADD COLUMN region TEXT;"
      "ALTER TABLE tenant ADD COLUMN sensitivity TEXT NOT NULL DEFAULT 'normal';"
      "ALTER TABLE tenant ADD COLUMN prepaid BIGINT NOT NULL DEFAULT 0;"
      // Of a sandbox: whose it is, and what its clock is ahead.
      "ALTER TABLE tenant ADD COLUMN parent BLOB REFERENCES tenant (id);"
      "ALTER TABLE tenant ADD COLUMN clock_ms BIGINT NOT NULL DEFAULT 0;"
      "ALTER TABLE tenant ADD COLUMN version BIGINT NOT NULL DEFAULT 1;"
      "ALTER TABLE tenant ADD COLUMN updated_ms BIGINT NOT NULL DEFAULT 0;"
      // Who was there before plans were is the operator.
      "UPDATE tenant SET name = slug, plan = 'enterprise', updated_ms = created_ms;"
      "CREATE UNIQUE INDEX tenant_by_parent ON tenant (parent);"
      "CREATE TABLE tenant_config ("
      "  tenant BLOB NOT NULL REFERENCES tenant (id),"
      "  name TEXT NOT NULL,"      // of setting.c
      "  value BLOB NOT NULL,"     // msgpack
      "  version BIGINT NOT NULL," // of the tenant, when it was set
      "  PRIMARY KEY (tenant, name)"
      ");"
      "CREATE TABLE team ("
      "  id BLOB PRIMARY KEY,"
      "  tenant BLOB NOT NULL REFERENCES tenant (id),"
      "  name TEXT NOT NULL,"
      "  requests BIGINT NOT NULL DEFAULT 0,"
      "  tokens BIGINT NOT NULL DEFAULT 0,"
      "  concurrent BIGINT NOT NULL DEFAULT 0,"
      "  created_ms BIGINT NOT NULL,"
      "  UNIQUE (tenant, name)"
      ");"
      "CREATE TABLE person ("
      "  id BLOB PRIMARY KEY,"
      "  email TEXT NOT NULL UNIQUE," // in lower case
      "  created_ms BIGINT NOT NULL"
      ");"
      // What one tenant writes of a person, another in which it is too does not see.
      "CREATE TABLE membership ("
      "  tenant BLOB NOT NULL REFERENCES tenant (id),"
      "  person BLOB NOT NULL REFERENCES person (id),"
      "  name TEXT NOT NULL,"
      "  state TEXT NOT NULL,"
      "  team BLOB REFERENCES team (id),"
      "  requests BIGINT NOT NULL DEFAULT 0,"
      "  tokens BIGINT NOT NULL DEFAULT 0,"
      "  concurrent BIGINT NOT NULL DEFAULT 0,"
      "  created_ms BIGINT NOT NULL,"
      "  PRIMARY KEY (tenant, person)"
      ");"
      "CREATE INDEX membership_by_person ON membership (person);"
      "CREATE INDEX membership_by_team ON membership (tenant, team);"
      // Of a tenant's own; those of permit.c are not here.
      "CREATE TABLE role ("
      "  tenant BLOB NOT NULL REFERENCES tenant (id),"
      "  name TEXT NOT NULL,"
      "  description TEXT NOT NULL,"
      "  PRIMARY KEY (tenant, name)"
      ");"
      "CREATE TABLE role_permission ("
      "  tenant BLOB NOT NULL,"
      "  role TEXT NOT NULL,"
      "  place BIGINT NOT NULL," // as it was given
      "  permission TEXT NOT NULL,"
      "  deny BIGINT NOT NULL,"
      "  PRIMARY KEY (tenant, role, place),"
      "  FOREIGN KEY (tenant, role) REFERENCES role (tenant, name)"
      ");"
      "CREATE TABLE role_binding ("
      "  id BLOB PRIMARY KEY,"
      "  tenant BLOB NOT NULL,"
      "  person BLOB NOT NULL,"
      "  role TEXT NOT NULL," // of permit.c or of the tenant
      "  expires_ms BIGINT,"
      "  created_ms BIGINT NOT NULL,"
      "  UNIQUE (tenant, person, role),"
      "  FOREIGN KEY (tenant, person) REFERENCES membership (tenant, person)"
      ");"
      "CREATE INDEX role_binding_by_end ON role_binding (expires_ms);"
      "ALTER TABLE api_key ADD COLUMN env TEXT NOT NULL DEFAULT 'live';"
      "ALTER TABLE api_key ADD COLUMN person BLOB;"
      "ALTER TABLE api_key ADD COLUMN team BLOB;"
      "ALTER TABLE api_key ADD COLUMN models BLOB;" // msgpack, an array of texts
      "ALTER TABLE api_key ADD COLUMN cidrs BLOB;"  // the same
      "ALTER TABLE api_key ADD COLUMN requests BIGINT NOT NULL DEFAULT 0;"
      "ALTER TABLE api_key ADD COLUMN tokens BIGINT NOT NULL DEFAULT 0;"
      "ALTER TABLE api_key ADD COLUMN concurrent BIGINT NOT NULL DEFAULT 0;"
      "ALTER TABLE api_key ADD COLUMN version TEXT;"
      "ALTER TABLE api_key ADD COLUMN successor BLOB;"
      "ALTER TABLE api_key ADD COLUMN used_ms BIGINT;"
      "CREATE INDEX api_key_by_person ON api_key (tenant, person);"
      "ALTER TABLE key_change ADD COLUMN tenant BLOB;" // all its keys; hash is zeros
      "CREATE INDEX key_change_by_hash ON key_change (hash, tenant);" },
    { 3, "answers by Idempotency-Key", OM_IDEM_TABLE },
    { 4, "purges of the edges' caches",
      "CREATE TABLE cache_purge ("
      "  seq INTEGER PRIMARY KEY,"
      "  tenant BLOB NOT NULL,"
      "  what BLOB NOT NULL,"
      "  made_by BLOB NOT NULL," // an edge's process
      "  at_ms BIGINT NOT NULL"
      ");"
      "CREATE INDEX cache_purge_by_what ON cache_purge (tenant, what);" },
    { 0 },
};
