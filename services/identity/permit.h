// permit.h - what roles amount to: permissions of roles in, a set of scopes out. Pure.
//
// A permission is a scope's name in which each part between colons may be a `*`, which
// stands for one or more parts: "files:*", "*:read", "*". It is allowed or denied, and
// what is denied by any role is denied, in whatever order they come. What no wildcard
// gives is the scope of operators: that must be named. A permission that fits no scope of
// this version, because a newer one wrote it, changes nothing.
#pragma once
#include "scope.h"

struct permit {
    uint64_t allowed, denied; // SCOPE_BITs
    bool all;                 // "*" is allowed: scopes of later versions too
};

// A role that is there in every tenant.
struct permit_seed {
    const char *name, *description;
    struct {
        const char *permission; // NULL ends the list
        bool deny;
    } permissions[16];
};

extern const struct permit_seed permit_seeds[];
extern const size_t permit_seed_count;

// The seed of that name, or NULL.
const struct permit_seed *permit_seed_find(struct om_str name);

// Does the permission fit that name?
bool permit_match(struct om_str permission, struct om_str name);

// The scopes it fits.
uint64_t permit_scopes(struct om_str permission);

// Is it well-formed, and does it fit a scope of this version?
bool permit_valid(struct om_str permission);

// Add a permission of a role that is held until `expires_ms` (INT64_MAX: for ever).
void permit_add(struct permit *self, struct om_str permission, bool deny,
                int64_t expires_ms, int64_t now_ms);

// Add all of a seeded role.
void permit_add_seed(struct permit *self, const struct permit_seed *seed,
                     int64_t expires_ms, int64_t now_ms);

// What they amount to.
uint64_t permit_mask(const struct permit *self);
