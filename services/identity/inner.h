// inner.h - what the files of identity share.
#pragma once
#include "handlers.h"
#include "identity.h"
#include "scope.h"

enum { USER_ROLES_MAX = 32, LIMITS_COUNT = 3 };

// What a test key never may: there is nothing of it in a sandbox. Nor "*", which would
// give it.
#define SCOPES_LIVE_ONLY                                                                 \
    (SCOPE_BIT(ALL) | SCOPE_BIT(OPERATOR) | SCOPE_BIT(KEYS_READ) |                       \
     SCOPE_BIT(KEYS_WRITE) | SCOPE_BIT(USERS_READ) | SCOPE_BIT(USERS_WRITE) |            \
     SCOPE_BIT(USERS_DELETE) | SCOPE_BIT(ROLES_READ) | SCOPE_BIT(ROLES_WRITE))

// Requests and tokens in any minute, requests at a time; 0: no limit.
struct limits {
    int64_t requests, tokens, concurrent;
};

// Set those that a request names. `NAME` is the request's type.
#define LIMITS_READ(request, NAME, limits)                                               \
    do {                                                                                 \
        if (REC_HAS(request, NAME, requests))                                            \
            (limits)->requests = (request)->requests;                                    \
        if (REC_HAS(request, NAME, tokens))                                              \
            (limits)->tokens = (request)->tokens;                                        \
        if (REC_HAS(request, NAME, concurrent))                                          \
            (limits)->concurrent = (request)->concurrent;                                \
    } while (0)

// Show those that there are.
#define LIMITS_SHOW(item, NAME, limits)                                                  \
    do {                                                                                 \
        if ((limits).requests)                                                           \
            REC_SET(item, NAME, requests, (limits).requests);                            \
        if ((limits).tokens)                                                             \
            REC_SET(item, NAME, tokens, (limits).tokens);                                \
        if ((limits).concurrent)                                                         \
            REC_SET(item, NAME, concurrent, (limits).concurrent);                        \
    } while (0)

// Three columns from `column`.
struct limits limits_row(struct om_rows *rows, int column);

// ---- values

// NULL for the zero id, and for a time that never comes (INT64_MAX).
struct om_value value_id(const struct om_uuid *id);
struct om_value value_end(int64_t at_ms);

// A time from a column; INT64_MAX for NULL.
int64_t row_end(struct om_rows *rows, int column);

// The names of the scopes of a mask, `*` with all it stands for.
struct om_str scope_names(struct om_call *call, uint64_t mask);

// The scopes of the caller's key, from a request's `granted`.
OM_MUST_CHECK enum om_rc read_granted(struct om_call *call, struct om_str granted,
                                      uint64_t *mask);

// Refuse if `mask` has what the caller's key has not. `doing` completes "your key
// cannot".
OM_MUST_CHECK enum om_rc refuse_more(struct om_call *call, uint64_t mask,
                                     uint64_t granted, const char *param,
                                     const char *doing);

// Read the id in a request; OM_ENOTFOUND with "no such `what`".
OM_MUST_CHECK enum om_rc read_id(struct om_call *call, const char *prefix,
                                 struct om_str text, const char *what,
                                 struct om_uuid *out);

// A name as in a path: a letter, then letters, digits and dashes, all lower case.
bool slug_valid(struct om_str text, size_t max);

// ---- the feed of changes

// The key changed.
enum om_rc feed_key(struct om_txn *txn, const struct om_uuid *key);

// What all keys of the tenant, or of its sandbox, may do could have changed.
enum om_rc feed_tenant(struct om_txn *txn, const struct om_uuid *tenant);

// ---- tenants and their settings

// The tenant whose settings and users count: the tenant itself, or that whose sandbox it
// is.
struct om_uuid tenant_owner(struct om_txn *txn, const struct om_uuid *tenant);

// The sandbox of a tenant, made if there is none.
enum om_rc tenant_sandbox(struct om_txn *txn, const struct om_uuid *tenant,
                          int64_t now_ms);

// Check `if_version` (-1: none), raise the version, tell the edges.
OM_MUST_CHECK enum om_rc tenant_touch(struct om_call *call, struct om_txn *txn,
                                      const struct om_uuid *tenant, int64_t if_version,
                                      int64_t *version);

// Change settings from a map: those it names, or with `whole` all. OM_EINVAL: one is
// unknown or wrong; nothing is to be committed.
OM_MUST_CHECK enum om_rc config_change(struct om_call *call, struct om_txn *txn,
                                       const struct om_uuid *tenant, struct om_str map,
                                       bool whole, int64_t version);

// All that is set, as a map.
struct om_str config_load(struct om_call *call, struct om_txn *txn,
                          const struct om_uuid *tenant);
