// caller.h - who makes a request, and what holds for them: identity's answer about a key.
//
// What every request needs is in `struct caller`, which is copied; the rest is the
// policy, made once for an answer, bounded, never changed, and shared by the cache of
// keys and the requests that hold it. One thread.
#pragma once
#include "cidr.h"
#include "counters.h"
#include "ops.h"

enum {
    CALLER_LIMITS_MAX = 8, // as in key_resolve
    CALLER_NETWORKS_MAX = 32,
    CALLER_NAMES_MAX = 64, // models
    CALLER_ORIGINS_MAX = 32,
    CALLER_TEXT_MAX = 16 * 1024, // of all names and origins of one
};

//  symbol      name in identity's answer
#define TENANT_STATE_LIST(X)                                                             \
    X(ACTIVE, "active")                                                                  \
    X(PAST_DUE, "past_due")                                                              \
    X(SUSPENDED, "suspended")                                                            \
    X(CLOSED, "closed")

enum tenant_state {
#define TENANT_STATE_ENUM(symbol, name) TENANT_##symbol,
    TENANT_STATE_LIST(TENANT_STATE_ENUM)
#undef TENANT_STATE_ENUM
};

//  symbol  name      before the names of its policies
#define LIMIT_SCOPE_LIST(X)                                                              \
    X(KEY, "key", "key_")                                                                \
    X(USER, "user", "user_")                                                             \
    X(TEAM, "team", "team_")                                                             \
    X(TENANT, "tenant", "tenant_")                                                       \
    X(PLAN, "plan", "")

// What a limit stands on.
enum limit_scope {
#define LIMIT_SCOPE_ENUM(symbol, name, prefix) LIMIT_##symbol,
    LIMIT_SCOPE_LIST(LIMIT_SCOPE_ENUM)
#undef LIMIT_SCOPE_ENUM
        LIMIT_SCOPES
};

enum { NO_LIMIT = -1 };

struct rate_limit {
    enum limit_scope scope;
    uint8_t subject[COUNTER_SUBJECT];
    int64_t most[COUNTER_KINDS]; // in a minute, or at a time; NO_LIMIT
};

struct policy {
    unsigned holders;
    enum tenant_state state;
    bool sandbox, prepaid;
    bool uncached; // its answers may not be kept
    char user[49], plan[33], version[17];
    int64_t clock_ms;  // what the sandbox's clock is ahead
    bool has_networks; // only from these; false: from anywhere
    bool has_models;   // only these
    size_t network_count, model_count, limit_count, origin_count;
    // Of the same allocation:
    struct rate_limit *limits;
    struct om_cidr *networks;
    struct om_str *models, *origins;
    char *text;
};

// Zero is nobody.
struct caller {
    char tenant_text[OM_TYPEID_MAX], key[49];
    struct om_uuid tenant;
    uint64_t scopes;       // SCOPE_BITs
    int64_t expires_ms;    // wall clock; INT64_MAX for never
    struct policy *policy; // NULL: nothing but the scopes
};

// Read identity's answer. What a newer identity says and this edge does not know gives
// nothing: a state is suspended, a network nobody's, a scope is ignored.
//   OM_EPROTO  it is not an answer, or beyond the bounds
//   OM_EUNAVAILABLE  no memory
// On success the caller holds its policy, until caller_drop().
OM_MUST_CHECK enum om_rc caller_decode(const struct key_resolve_reply *reply,
                                       struct caller *out);

// A copy that holds the policy too; and let go of it.
struct caller caller_hold(const struct caller *self);
void caller_drop(struct caller *self);

// How far the caller's clock is ahead of the wall clock: 0 but for a test key.
int64_t caller_clock_ms(const struct caller *self);

// What time it is for the caller: with a test key that of the sandbox's clock.
int64_t caller_now_ms(const struct caller *self);

// May the caller use its key from `address`, a numeric one?
bool caller_is_near(const struct caller *self, const char *address);

// May the caller use that model?
bool caller_may_use(const struct caller *self, struct om_str model);
