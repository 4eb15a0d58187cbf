// compliance.h - who did what: audit events, in one hash chain a tenant.
//
// Rows are only ever inserted; the database itself refuses updates and deletes. Somebody
// with the file can of course get round that, which audit_verify then shows. The service
// handles in one thread.
#pragma once
#include "db.h"
#include "service.h"

struct compliance {
    struct om_db *db;
};

extern const struct om_migration compliance_schema[];
extern const struct om_route compliance_routes[];
