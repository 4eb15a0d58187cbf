// user.h - the users of a tenant, for the files that name, empower and bound them.
#pragma once
#include "inner.h"

// Find the person of that address, or make it. OM_EINVAL: it is no address.
OM_MUST_CHECK enum om_rc person_find(struct om_call *call, struct om_txn *txn,
                                     struct om_str email, const char *param,
                                     struct om_uuid *out);

// Make it a user of `tenant`; *again: it was one.
enum om_rc member_add(struct om_txn *txn, const struct om_uuid *tenant,
                      const struct om_uuid *user, struct om_str name,
                      const struct om_uuid *team, const struct limits *limits,
                      bool *again);

bool member_exists(struct om_txn *txn, const struct om_uuid *tenant,
                   const struct om_uuid *user);

bool team_exists(struct om_txn *txn, const struct om_uuid *tenant,
                 const struct om_uuid *team);
