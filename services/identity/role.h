// role.h - the roles of a tenant, for the file that gives them to users.
#pragma once
#include "inner.h"
#include "permit.h"

// Add what the role allows and denies until `expires_ms`; nothing if there is no such
// role.
void role_add(struct om_txn *txn, const struct om_uuid *tenant, struct om_str name,
              int64_t expires_ms, int64_t now_ms, struct permit *permit);

bool role_exists(struct om_txn *txn, const struct om_uuid *tenant, struct om_str name);
