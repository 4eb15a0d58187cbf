// billing.h - what each tenant used: usage events applied once, and answered by meter.
//
// The service handles in one thread.
#pragma once
#include "db.h"
#include "service.h"

struct billing {
    struct om_db *db;
};

extern const struct om_migration billing_schema[];
extern const struct om_route billing_routes[];
