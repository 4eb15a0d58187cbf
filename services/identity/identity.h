// identity.h - who may use the platform: tenants, their users with their roles, and API
// keys.
//
// Of a key only its SHA-256 is stored, with its first characters so that people can tell
// keys apart. The key itself is shown once, in the reply that makes it. Whatever changes
// what a key may do leaves a row in the feed of changes, in the same transaction, so that
// an edge that asks later forgets what it knew. The service handles in one thread.
#pragma once
#include "db.h"
#include "service.h"

struct identity_conf {
    struct om_service_conf common;
    const char *admin_key_file;     // OMNI_ADMIN_KEY_FILE
    const char *bootstrap_key_file; // OMNI_BOOTSTRAP_KEY_FILE
};

struct identity {
    struct om_db *db;
};

extern const struct om_migration identity_schema[];
extern const struct om_route identity_routes[];
extern const struct om_shown_once identity_shown_once[];

// On the very first start: make the tenant `default` and its first key, which may do
// everything, operator included. The key is read from `bootstrap_key_file`; without one
// from `admin_key_file`; and if that is not there either, it is made and written to it,
// for this user only. The file is durable before the key counts, and a start that was
// interrupted in between takes the key it finds: what stands in the file is always valid.
//   OM_EINVAL  a file cannot be read or written, or holds no key; `why` says which
enum om_rc identity_bootstrap(struct identity *self, const struct identity_conf *conf,
                              char *why, size_t why_size);

// Take the roles that have ended by now from their users, and tell the edges. Returns
// OM_OK also if there were none.
enum om_rc identity_end_roles(struct identity *self, int64_t wall_ms);
