// plan.h - the plans there are, and what changed of them and of tenants' own limits.
//
// Each change has a version, so that an edge that asks twice a second sees it.
#pragma once
#include "billing.h"

enum { PLAN_CODE_MAX = 32 };

// What a fresh database begins with; an operator changes it with PUT
// /api/v1/admin/plans/{code}. null is no limit. Rates are of any minute, storage in
// bytes, compute in milliseconds.
// clang-format off
//  code          name          requests  tokens   concurrent  api calls  inferences  storage       compute    models
#define PLAN_LIST(X)                                                                                                   \
    X(free,       "Free",       60,       40000,   5,          10000,     500,        1073741824,   3600000,   3)      \
    X(pro,        "Pro",        3000,     2000000, 100,        1000000,   50000,      107374182400, 360000000, 100)    \
    X(enterprise, "Enterprise", null,     null,    null,       null,      null,       null,         null,      null)
// clang-format on

// The plan of a tenant that has none, or one that nobody made.
#define PLAN_DEFAULT "free"

// Note in the transaction that the quotas of a tenant changed; NULL: that a plan did.
void plan_note_change(struct om_txn *txn, const struct om_uuid *tenant);
