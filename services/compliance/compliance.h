// compliance.h - who did what: audit events, in one hash chain a tenant; and the log of
// requests that failed (request.h).
//
// Rows of the chains are only ever inserted; the database itself refuses updates and
// deletes. Somebody with the file can of course get round that, which audit_verify then
// shows. The service handles in one thread.
#pragma once
#include "db.h"
#include "service.h"

struct compliance_conf {
    struct om_service_conf service;
    int64_t request_ms;  // OMNI_REQUEST_LOG_MS
    int64_t request_max; // OMNI_REQUEST_LOG_MAX
};

struct compliance {
    struct om_db *db;
    int64_t request_ms;  // how long a request that failed is kept
    int64_t request_max; // how many of a tenant
};

extern const struct om_migration compliance_schema[];
extern const struct om_route compliance_routes[];
