// key.h - API keys as they are stored, for the files that make, rotate and show them.
#pragma once
#include "inner.h"
#include "secret.h"

// A key that is there.
struct key_row {
    struct om_uuid id, user, team, successor;           // zero: none
    struct om_str name, prefix, models, cidrs, version; // data == NULL: none
    bool test;
    uint64_t scopes;
    struct limits limits;
    int64_t created_ms, expires_ms, revoked_ms, used_ms; // INT64_MAX: never
};

// The key `id` of the caller's tenant. OM_ENOTFOUND: it has none.
OM_MUST_CHECK enum om_rc key_load(struct om_call *call, struct om_txn *txn,
                                  struct om_uuid id, struct key_row *out);

// Fill in a reply; borrows from the row. key_create, key_get, key_revoke and key_rotate
// reply with a key_item too.
void key_show(struct om_call *call, const struct key_row *row, struct key_item *out);

// key_load() and key_show().
OM_MUST_CHECK enum om_rc key_reply(struct om_call *call, struct om_txn *txn,
                                   struct om_uuid id, struct key_item *out);

// The call was applied before. Its key cannot be shown again: only its hash is known.
OM_MUST_CHECK enum om_rc key_refuse_repeat(struct om_call *call, struct om_txn *txn);

// A key to be made.
struct new_key {
    struct om_uuid id, tenant, user, team;               // zero: none
    struct om_str call_id, name, models, cidrs, version; // absent: none
    bool test;
    uint64_t scopes;
    struct limits limits;
    int64_t expires_ms;         // INT64_MAX: never
    char text[SECRET_SIZE + 1]; // out: the key
};

// Give it an id and a secret, and store it. om_db_changes() is 0 when its call was
// applied before.
enum om_rc key_insert(struct om_txn *txn, struct new_key *key, int64_t now_ms);
