// scope.h - what an API key may do: one list for identity, which grants scopes, and for
// the edge and the broker, which ask for them.
//
// A set of scopes is a mask in memory and storage, and an array of names in records.
#pragma once
#include "record.h"

// Numbers are stored and never reused. `*` is every scope but operator, those of later
// versions too: the owner's.
// clang-format off
//  number symbol           name               what it allows
#define SCOPE_LIST(X)                                                                     \
    X(0,  ALL,             "*",               "everything in the tenant")                 \
    X(1,  FILES_READ,      "files:read",      "list and read files")                      \
    X(2,  FILES_WRITE,     "files:write",     "upload and delete files")                  \
    X(3,  MODELS_READ,     "models:read",     "list trained models")                      \
    X(4,  TRAIN,           "train",           "train models")                             \
    X(5,  PREDICT,         "predict",         "make predictions")                         \
    X(6,  TASKS_READ,      "tasks:read",      "read tasks and their results")             \
    X(7,  TASKS_WRITE,     "tasks:write",     "submit, cancel and retry tasks")           \
    X(8,  USAGE_READ,      "usage:read",      "read what was used")                       \
    X(9,  AUDIT_READ,      "audit:read",      "read and verify the audit log")            \
    X(10, SCHEDULES_READ,  "schedules:read",  "list schedules")                           \
    X(11, SCHEDULES_WRITE, "schedules:write", "make and delete schedules")                \
    X(12, KEYS_READ,       "keys:read",       "list API keys")                            \
    X(13, KEYS_WRITE,      "keys:write",      "make and revoke API keys")                 \
    X(14, WORKER,          "worker",          "take jobs from the tenant's own queues")   \
    X(15, OPERATOR,        "operator",        "run the platform, across tenants")            \
    X(16, QUEUES_READ,     "queues:read",     "read what goes on in queues, and limits")     \
    X(17, QUEUES_WRITE,    "queues:write",    "limit, pause and purge queues")             \
    X(18, TENANTS_READ,    "tenants:read",    "read the tenant and its settings")         \
    X(19, TENANTS_WRITE,   "tenants:write",   "change the tenant's name and settings")    \
    X(20, USERS_READ,      "users:read",      "list users and teams")                     \
    X(21, USERS_WRITE,     "users:write",     "make and change users and teams")          \
    X(22, USERS_DELETE,    "admin:users:delete", "delete users and end their keys")       \
    X(23, ROLES_READ,      "roles:read",      "list roles and who has them")              \
    X(24, ROLES_WRITE,     "roles:write",     "make roles, give and take them")           \
    X(25, REQUESTS_READ,   "requests:read",   "read requests that failed")                \
    X(26, REQUESTS_REPLAY, "requests:replay", "run them again in the sandbox")            \
    X(27, ERRORS_READ,     "errors:read",     "read groups of errors")                    \
    X(28, ERRORS_WRITE,    "errors:write",    "resolve, ignore and reopen them")
// clang-format on

enum scope {
#define SCOPE_ENUM(number, symbol, name, doc) SCOPE_##symbol = number,
    SCOPE_LIST(SCOPE_ENUM)
#undef SCOPE_ENUM
        SCOPE_COUNT
};

#define SCOPE_BIT(symbol) (UINT64_C(1) << SCOPE_##symbol)

// What `*` stands for, and what a key is given that asks for no scopes.
#define SCOPES_OWNER   (((UINT64_C(1) << SCOPE_COUNT) - 1) & ~SCOPE_BIT(OPERATOR))
#define SCOPES_DEFAULT (SCOPES_OWNER & ~SCOPE_BIT(ALL) & ~SCOPE_BIT(WORKER))

struct scope_info {
    const char *name, *doc;
};

extern const struct scope_info scope_infos[SCOPE_COUNT];

// Read an array of scope names (a STRS field). An absent list is the empty set.
//   OM_EINVAL  a name is no scope: *unknown (may be NULL) is that name, or is absent if
//              the item is no string
OM_MUST_CHECK enum om_rc scopes_decode(struct om_str list, uint64_t *mask,
                                       struct om_str *unknown);

// Append the names of the set, as a STRS field has them.
void scopes_encode(uint64_t mask, struct om_buf *buf);
