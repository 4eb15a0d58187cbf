// role.h - the roles of a tenant: what they amount to, and giving them to users.
#pragma once
#include "inner.h"
#include "permit.h"

// Add what the role allows and denies until `expires_ms`; nothing if there is no such
// role.
void role_add(struct om_txn *txn, const struct om_uuid *tenant, struct om_str name,
              int64_t expires_ms, int64_t now_ms, struct permit *permit);

bool role_exists(struct om_txn *txn, const struct om_uuid *tenant, struct om_str name);

// What a user of the tenant may do now. The zero mask also if there is no such user.
uint64_t user_scopes(struct om_txn *txn, const struct om_uuid *tenant,
                     const struct om_uuid *user, int64_t now_ms);

// Give a user a role, or change when it ends, and check what that makes of the user
// against what the caller's key may do.
OM_MUST_CHECK enum om_rc role_give(struct om_call *call, struct om_txn *txn,
                                   const struct om_uuid *user, struct om_str role,
                                   int64_t expires_ms, uint64_t granted,
                                   struct om_uuid *binding);
